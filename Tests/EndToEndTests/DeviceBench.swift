import Foundation
import Testing

/// Routers without an agent, each with two vifs of one network that it bridges, in namespaces of their own: where one kind of device is looked at.
///
/// The two workloads are 10.9.0.1 (MAC ….:01) and 10.9.0.2 (MAC ….:02); every router has the first behind its vif 1 and the second behind its vif 2.
final class DeviceBench {
    private let name: String
    let scratch: TemporaryDirectory
    private var namespaces: Set<String> = []
    private(set) var routers: [String: Background] = [:]

    init(_ name: String, _ namespaces: String...) throws {
        try Place.checkRequirements()
        self.name = name
        scratch = try TemporaryDirectory()
        for namespace in namespaces {
            _ = try? Shell.run(["ip", "netns", "delete", full(namespace)])
            try Shell.succeed(["ip", "netns", "add", full(namespace)])
            self.namespaces.insert(namespace)
            try Shell.succeed(["ip", "-n", full(namespace), "link", "set", "lo", "up"])
            try Shell.succeed(inside(namespace, ["sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1", "net.ipv6.conf.all.disable_ipv6=1"]))
        }
    }

    deinit {
        for router in routers.values { router.end() }
        for namespace in namespaces { _ = try? Shell.run(["ip", "netns", "delete", full(namespace)]) }
    }

    func full(_ namespace: String) -> String { "e2e-\(name)-\(namespace)" }
    func inside(_ namespace: String, _ command: [String]) -> [String] { ["ip", "netns", "exec", full(namespace)] + command }
    /// A path that a router's device may use.
    func path(_ file: String) -> String { "\(scratch.path)/\(file)" }
    @discardableResult func ip(_ namespace: String, _ arguments: String) throws -> String {
        try Shell.succeed(["ip", "-n", full(namespace)] + arguments.split(separator: " ").map(String.init))
    }

    // MARK: - Routers

    /// Starts a router in a namespace; `ports` are the drivers of its two ports, in the words of the configuration file.
    func start(_ router: String, in namespace: String, ports: (String, String), workers: Int = 1) throws {
        var text = "workers: \(workers)\napi: {socket: \(socket(router))}\ndpdk: {}\nobjects:\n  ports:\n"
        for (number, port) in [(1, ports.0), (2, ports.1)] { text += "    - {name: p\(number), \(port)}\n" }
        text += "  vrfs: [{id: 1, name: blue}]\n  vifs:\n"
        for number in 1...2 {
            text += "    - {id: \(number), name: w\(number), kind: virtual, port: p\(number), vrf: 1, mac: \"00:00:5e:00:01:00\"}\n"
        }
        text += "  nextHops: [{id: 1, encap: {vif: 1}}, {id: 2, encap: {vif: 2}}]\n  bridge:\n"
        for number in 1...2 { text += "    - {vrf: 1, mac: \"\(Self.mac(number))\", nextHop: \(number)}\n" }
        text += "  routes:\n"
        for number in 1...2 {
            text += "    - {vrf: 1, prefix: \(Self.address(number))/32, nextHop: \(number), proxies: true, mac: \"\(Self.mac(number))\"}\n"
        }
        let file = try scratch.write("\(router).yaml", text)
        let process = try Background(inside(namespace, [Place.program("vrouter"), "--config", file]))
        routers[router] = process
        try eventually("the API of \(router)") {
            guard process.isRunning else { throw Failure("vrouter: \(process.errors)") }
            return try Shell.run(vrctl(router, ["status", "dataplane"])).status == 0
        }
    }

    func stop(_ router: String) { routers.removeValue(forKey: router)?.end() }

    func socket(_ router: String) -> String { path("\(router)-api.sock") }
    private func vrctl(_ router: String, _ arguments: [String]) -> [String] {
        [Place.program("vrctl"), "--socket", socket(router)] + arguments
    }
    func list(_ router: String) throws -> String { try Shell.succeed(vrctl(router, ["vif", "--list"])) }

    struct Vif: Decodable {
        var id: Int, link: String?, offloads: [String], receiveQueues: Int, transmitQueues: Int, statistics: VifView.Statistics,
            portStatistics: VifView.PortStatistics
    }
    func vif(_ router: String, _ id: Int) throws -> Vif {
        struct Vifs: Decodable { var vifs: [Vif] }
        let vifs = try decode(Vifs.self, Shell.succeed(vrctl(router, ["vif", "--get", "\(id)", "-o", "json"]))).vifs
        guard let vif = vifs.first else { throw Failure("\(router) has no vif \(id)") }
        return vif
    }
    func waitForLink(_ router: String, _ id: Int, _ state: String, within seconds: Double = 20) throws {
        try eventually("link \(state) of vif \(id) of \(router)", within: seconds) { try vif(router, id).link == state }
    }

    /// Every packet went somewhere, and the router runs.
    func expectSound(_ router: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
        #expect(routers[router]?.isRunning == true, "\(router) has ended: \(routers[router]?.errors ?? "")", sourceLocation: sourceLocation)
        let outcome = try Shell.run(vrctl(router, ["status", "dataplane", "-o", "json"]))
        let view = try decode(StatusView.self, outcome.output).dataplane.details
        #expect(view?.balanced == true, "\(String(describing: view))", sourceLocation: sourceLocation)
    }

    // MARK: - Workloads

    static func address(_ workload: Int) -> String { "10.9.0.\(workload)" }
    static func mac(_ workload: Int) -> String { "02:00:00:00:09:0\(workload)" }

    /// Makes an interface of `namespace` the one of a workload.
    func settle(_ workload: Int, _ interface: String, in namespace: String, mtu: Int = 1500) throws {
        try ip(namespace, "link set \(interface) address \(Self.mac(workload)) mtu \(mtu)")
        try ip(namespace, "link set \(interface) up")
        try ip(namespace, "address add \(Self.address(workload))/24 dev \(interface)")
    }

    /// An interface that a router has made (net_tap) goes to the workload's namespace.
    func adopt(_ workload: Int, _ interface: String, from router: String, to namespace: String) throws {
        try eventually("the interface \(interface)") { try Shell.run(["ip", "-n", full(router), "link", "show", interface]).status == 0 }
        try ip(router, "link set \(interface) netns \(full(namespace))")
        try settle(workload, interface, in: namespace)
    }

    /// Both sizes of packet both ways, and a file over TCP both ways, octet by octet the same.
    func expectTraffic(_ first: String, _ second: String, mebibytes: Int = 8, sourceLocation: SourceLocation = #_sourceLocation) throws {
        for (from, to) in [(first, 2), (second, 1)] {
            for size in ["56", "1472"] {
                let words = ["ping", "-n", "-c", "3", "-i", "0.1", "-W", "5", "-M", "do", "-s", size, Self.address(to)]
                let ping = try Lab.readPing(Shell.run(inside(from, words)).both)
                #expect(ping.received == 3, "\(from) -> \(Self.address(to)), \(size) octets: \(ping.text)", sourceLocation: sourceLocation)
            }
        }
        try transfer(from: inside(first, []), to: inside(second, []), Self.address(2), mebibytes, 5001, sourceLocation)
        try transfer(from: inside(second, []), to: inside(first, []), Self.address(1), mebibytes, 5002, sourceLocation)
    }

    func expectPing(from namespace: String, to workload: Int, within seconds: Double = 10) throws {
        try eventually("an answer of \(Self.address(workload)) to \(namespace)", within: seconds) {
            try Shell.run(inside(namespace, ["ping", "-n", "-c", "1", "-W", "1", Self.address(workload)])).status == 0
        }
    }

    /// A guest as in a virtual machine: DPDK's virtio driver, whose frames go to and from a kernel interface of the namespace.
    func startGuest(in namespace: String, device: String, interface: String) throws -> Background {
        let guest = try Background(
            inside(
                namespace,
                [
                    "dpdk-testpmd", "--lcores", "0@(0,1),1@(0,1)", "--no-pci", "--no-huge", "-m", "192", "--no-shconf", "--no-telemetry", "--vdev",
                    device, "--vdev", "net_tap0,iface=\(interface)", "--", "--total-num-mbufs=8192", "--forward-mode=io", "--auto-start",
                    "--stats-period=60",
                ]))
        // The driver takes the interface up last: after that, its MAC is ours to set.
        try eventually("the guest's interface") {
            guard guest.isRunning else { throw Failure("testpmd: \(guest.output.suffix(1000)) \(guest.errors.suffix(1000))") }
            return try !Shell.run(["ip", "-n", full(namespace), "link", "show", "dev", interface, "up"]).output.isEmpty
        }
        return guest
    }
}
