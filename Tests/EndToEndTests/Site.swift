import Foundation
import Testing

/// Namespaces of one test with routers in them that have no agent: their tables come from a configuration file. Everything goes away with the site.
///
///     e2e-<name>-<namespace>
final class Site {
    let name: String
    let scratch: TemporaryDirectory
    private let namespaces: [String]
    private(set) var routers: [String: Background] = [:]

    /// `network`: shell that joins the namespaces by cables. In it, `on NS COMMAND…` runs a command in a namespace, `cable NS1 IF1 NS2 IF2 [MTU]` is a pair of
    /// interfaces that are up, and `$P` is what the names of the namespaces begin with.
    init(_ name: String, _ namespaces: [String], network: String) throws {
        try Place.checkRequirements()
        self.name = name
        self.namespaces = namespaces
        scratch = try TemporaryDirectory()
        removeNamespaces()
        let prelude = """
            set -euo pipefail
            P=e2e-\(name)-
            on() { local ns=$1; shift; ip netns exec "$P$ns" "$@"; }
            cable() {
                ip link add "$2" netns "$P$1" mtu "${5:-1500}" type veth peer name "$4" netns "$P$3" mtu "${5:-1500}"
                ip -n "$P$1" link set "$2" up
                ip -n "$P$3" link set "$4" up
            }
            # An interface whose link-local address is still being tried (RFC 4862) asks for no neighbour: nobody waits for that here.
            for ns in \(namespaces.joined(separator: " ")); do
                ip netns add $P$ns
                ip -n $P$ns link set lo up
                on $ns sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
            done

            """
        do { try Shell.succeed(["bash", "-c", prelude + network]) } catch {
            removeNamespaces()
            throw error
        }
    }

    deinit {
        for router in routers.values { router.end() }
        removeNamespaces()
    }

    private func removeNamespaces() { for namespace in namespaces { _ = try? Shell.run(["ip", "netns", "delete", full(namespace)]) } }

    // MARK: - Commands

    func full(_ namespace: String) -> String { "e2e-\(name)-\(namespace)" }
    func inside(_ namespace: String, _ command: [String]) -> [String] { ["ip", "netns", "exec", full(namespace)] + command }
    @discardableResult func succeed(_ namespace: String, _ command: String..., limit: Int = 30) throws -> String {
        try Shell.succeed(inside(namespace, command), limit: limit)
    }
    func start(_ namespace: String, _ command: String...) throws -> Background { try Background(inside(namespace, command)) }
    func path(_ file: String) -> String { "\(scratch.path)/\(file)" }
    func mac(_ namespace: String, _ interface: String) throws -> String {
        try succeed(namespace, "cat", "/sys/class/net/\(interface)/address").trimmingCharacters(in: .newlines)
    }

    // MARK: - Routers

    /// Starts a router in a namespace with these `objects` (and `extra` sections of the file), and waits for its API.
    func startRouter(_ namespace: String, objects: String, extra: String = "") throws {
        let file = try scratch.write("\(namespace).yaml", "api: {socket: \(socket(namespace))}\n\(extra)\nobjects:\n\(objects)\n")
        let process = try start(namespace, Place.program("vrouter"), "--config", file)
        routers[namespace] = process
        try eventually("the API of \(namespace)") { try !process.isRunning || run(namespace, "status", "dataplane").status == 0 }
        guard process.isRunning else { throw Failure("vrouter: \(process.errors)") }
    }

    func stopRouter(_ namespace: String) { routers.removeValue(forKey: namespace)?.end() }

    func socket(_ router: String) -> String { path("\(router).sock") }
    func words(_ router: String, _ arguments: [String]) -> [String] { [Place.program("vrctl"), "--socket", socket(router)] + arguments }
    func run(_ router: String, _ arguments: String...) throws -> Outcome { try Shell.run(words(router, arguments)) }
    @discardableResult func vrctl(_ router: String, _ arguments: String...) throws -> String { try Shell.succeed(words(router, arguments)) }

    func view(_ router: String) throws -> DataplaneView {
        let outcome = try run(router, "status", "dataplane", "-o", "json")
        guard let details = try decode(StatusView.self, outcome.output).dataplane.details else { throw Failure("no data plane: \(outcome.both)") }
        return details
    }

    func drops(_ router: String) throws -> [String: Int] {
        let drops = try decode(DropsView.self, vrctl(router, "dropstats", "-o", "json")).drops
        return Dictionary(uniqueKeysWithValues: drops.filter { $0.packets > 0 }.map { ($0.name, $0.packets) })
    }

    /// It runs, every packet went somewhere, every buffer came back, and nothing was dropped but for reasons that are expected.
    func expectSound(_ router: String, drops expected: Set<String> = [], sourceLocation: SourceLocation = #_sourceLocation) throws {
        #expect(routers[router]?.isRunning == true, "vrouter has ended: \(routers[router]?.errors ?? "")", sourceLocation: sourceLocation)
        let view = try view(router)
        #expect(view.balanced && view.counters.isBalanced, "\(view.counters)", sourceLocation: sourceLocation)
        try eventually("\(router): all packet buffers back in the pool", within: 5) { try self.view(router).buffers.inUse == 0 }
        let drops = try drops(router).filter { !expected.contains($0.key) }
        let log = drops.isEmpty ? "" : try vrctl(router, "dropstats", "--log")
        #expect(drops.isEmpty, "\(log)", sourceLocation: sourceLocation)
    }

    // MARK: - Traffic

    /// Every one of three pings must be answered.
    func ping(_ namespace: String, _ address: String, _ options: String..., sourceLocation: SourceLocation = #_sourceLocation) throws {
        let words = ["ping", "-n", "-c", "3", "-i", "0.01", "-W", "2"] + options + [address]
        let ping = try Lab.readPing(Shell.run(inside(namespace, words)).both)
        #expect(ping.received == 3 && !ping.text.contains("DUP"), "\(namespace) -> \(address): \(ping.text)", sourceLocation: sourceLocation)
    }

    /// A file over TCP, octet by octet the same.
    func transfer(
        _ sender: String, _ receiver: String, _ address: String, mebibytes: Int = 8, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        try EndToEndTests.transfer(from: inside(sender, []), to: inside(receiver, []), address, mebibytes, 5001, sourceLocation)
    }

    /// iperf3 both ways at once with two streams each.
    func iperf(_ client: String, _ server: String, _ address: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
        let listener = try start(server, "iperf3", "-s", "-1")
        try eventually("iperf3 listening") { try !succeed(server, "ss", "-ltnH", "sport = :5201").isEmpty }
        let file = try scratch.write("iperf.json", succeed(client, "iperf3", "-c", address, "--bidir", "-P", "2", "-t", "1", "-J", limit: 60))
        try listener.ended(within: 10)
        // What the server's side received, and what the client's did.
        struct Sum: Decodable { var bytes: Int }
        struct Report: Decodable { var end: [String: Sum] }
        let sums = try decode(Report.self, Shell.succeed(["jq", "{end: {to: .end.sum_received, back: .end.sum_received_bidir_reverse}}", file])).end
        for (direction, sum) in sums { #expect(sum.bytes > 1 << 20, "\(direction): \(sum.bytes)", sourceLocation: sourceLocation) }
        #expect(sums.count == 2, sourceLocation: sourceLocation)
    }

    /// Takes datagrams to an address, or a group that it joins, until it ends; `texts` are what has come.
    func listen(_ namespace: String, _ address: String, interface: String = "eth0", port: Int = 7000) throws -> Listener {
        let process = try start(namespace, Place.python, "-u", Place.input("datagrams.py"), "listen", address, "\(port)", interface)
        try eventually("the listener in \(namespace)") {
            guard process.isRunning else { throw Failure("\(process.errors)") }
            return process.output.contains("ready")
        }
        return Listener(process: process)
    }

    struct Listener {
        var process: Background
        var texts: [String] { process.output.split(separator: "\n").dropFirst().map(String.init) }
    }

    func send(_ namespace: String, _ address: String, _ text: String, count: Int = 5, interface: String = "eth0", port: Int = 7000) throws {
        try succeed(namespace, Place.python, Place.input("datagrams.py"), "send", address, "\(port)", interface, "\(count)", text)
    }
}
