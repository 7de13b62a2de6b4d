import Foundation
import Testing

/// The parts of the programs' JSON that the tests look at.
struct AgentView: Decodable {
    struct Controller: Decodable { var state: String, endOfRIB: Bool, routesReceived: Int, routesStale: Int }
    struct Dataplane: Decodable { var connected: Bool, instance: String?, objects: Int, repairs: Int }
    struct Port: Decodable { var name: String, state: String, reason: String?, vif: Int?, interface: String? }
    struct Refusal: Decodable { var object: String, code: String, reason: String }
    struct Config: Decodable { var networks: Int, ports: Int, endOfConfig: Bool }
    var node: String, controllers: [Controller], dataplane: Dataplane, config: Config, ports: [Port], refused: [Refusal]

    func port(_ name: String) throws -> Port {
        guard let port = ports.first(where: { $0.name == name }) else { throw Failure("the agent of \(node) does not know a port \(name)") }
        return port
    }
}

/// The data plane as `vrctl status dataplane` shows it.
struct DataplaneView: Decodable {
    struct Counters: Decodable {
        var received: Int, generated: Int, forwarded: Int, dropped: Int, trapped: Int, consumed: Int
        /// Every packet that came in or was made went somewhere.
        var isBalanced: Bool { received + generated == forwarded + dropped + trapped + consumed }
    }
    struct Table: Decodable { var name: String, used: Int }
    struct Buffers: Decodable { var inUse: Int, capacity: Int }
    var instance: String, counters: Counters, balanced: Bool, tables: [Table], buffers: Buffers
}

struct VifView: Decodable {
    struct Statistics: Decodable { var rxPackets: Int, rxBytes: Int, txPackets: Int, txBytes: Int, drops: Int, txErrors: Int }
    struct PortStatistics: Decodable { var rxPackets: Int, rxMissed: Int, txPackets: Int, txErrors: Int, txUncut: Int }
    var id: Int, name: String, kind: String, vrf: Int, mac: String, statistics: Statistics, portStatistics: PortStatistics?
}

func decode<Value: Decodable>(_ type: Value.Type, _ text: String) throws -> Value {
    do { return try JSONDecoder().decode(type, from: Data(text.utf8)) } catch { throw Failure("\(error)\nin \(text.prefix(2000))") }
}

struct StatusView: Decodable {
    struct Part: Decodable { var details: DataplaneView? }
    var dataplane: Part
}
struct DropsView: Decodable {
    struct Drop: Decodable { var name: String, packets: Int }
    var drops: [Drop]
}
struct VifsView: Decodable { var vifs: [VifView] }

extension Lab {
    func agent(_ node: String) throws -> AgentView {
        try decode(AgentView.self, succeed(in: node, ["curl", "-sSf", "http://127.0.0.1:9091/status"]))
    }

    func dataplane(_ node: String) throws -> DataplaneView { try Lab.dataplane(node, setup) }

    static func dataplane(_ node: String, _ setup: Setup) throws -> DataplaneView {
        let outcome = try Shell.run(setup.vrctl(node, ["status", "dataplane", "-o", "json"]))
        guard let details = try decode(StatusView.self, outcome.output).dataplane.details else { throw Failure("no data plane: \(outcome.both)") }
        return details
    }

    /// Packets dropped for a reason, by its stable name.
    func drops(_ node: String, _ reason: String) throws -> Int {
        let drops = try decode(DropsView.self, vrctl(node, "dropstats", "-o", "json").output).drops
        guard let drop = drops.first(where: { $0.name == reason }) else { throw Failure("there is no drop reason \(reason)") }
        return drop.packets
    }

    func vif(_ node: String, _ name: String) throws -> VifView {
        guard let vif = try decode(VifsView.self, vrctl(node, "vif", "--list", "-o", "json").output).vifs.first(where: { $0.name == name }) else {
            throw Failure("\(node) has no vif \(name)")
        }
        return vif
    }

    /// What every test may end with: nothing crashed, nothing leaked, every packet is accounted for.
    func expectSoundDataplane(sourceLocation: SourceLocation = #_sourceLocation) throws {
        for node in setup.nodes {
            #expect(try isRunning("\(node)-vrouter"), "vrouter of \(node) has ended", sourceLocation: sourceLocation)
            let view = try dataplane(node)
            #expect(view.balanced, "\(node): \(view.counters)", sourceLocation: sourceLocation)
            // Later fragments wait for their first for up to two seconds.
            try eventually("\(node): every packet gone somewhere", within: 5) { try dataplane(node).counters.isBalanced }
            // Packets in flight hold buffers; packets are in flight for microseconds.
            let idle = idleBuffers[node] ?? 0
            try eventually("\(node): all packet buffers back in the pool", within: 5) {
                let now = try dataplane(node).buffers.inUse
                guard now <= idle else { throw Failure("\(now) in use, \(idle) without traffic") }
                return true
            }
        }
    }

    // MARK: - Traffic

    struct Ping { var sent: Int, received: Int, text: String }

    /// Pings and counts; `options` as for ping(8).
    func ping(from namespace: String, _ destination: String, count: Int = 3, _ options: String...) throws -> Ping {
        let words = ["ping", "-n", "-c", "\(count)", "-i", "0.1", "-W", "2"] + options + [destination]
        return try Lab.readPing(run(in: namespace, words, limit: 60).both)
    }

    static func readPing(_ text: String) throws -> Ping {
        guard let match = text.firstMatch(of: /(\d+) packets transmitted, (\d+) received/), let sent = Int(match.1), let received = Int(match.2)
        else {
            throw Failure("ping said: \(text)")
        }
        return Ping(sent: sent, received: received, text: text)
    }

    /// Every one of three pings must be answered; the first packet is not excused.
    func expectPing(from namespace: String, _ destination: String, _ options: String..., sourceLocation: SourceLocation = #_sourceLocation) throws {
        let words = ["ping", "-n", "-c", "3", "-i", "0.1", "-W", "2"] + options + [destination]
        let ping = try Lab.readPing(run(in: namespace, words).both)
        #expect(ping.sent == 3 && ping.received == 3, "\(namespace) -> \(destination): \(ping.text)", sourceLocation: sourceLocation)
    }

    /// Moves random octets over TCP and compares checksums. `address` is the receiver's.
    func expectTransfer(
        from sender: String, to receiver: String, _ address: String, mebibytes: Int = 64, port: Int = 5001,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        try transfer(from: inside(sender, []), to: inside(receiver, []), address, mebibytes, port, sourceLocation)
    }
}

/// A ping that goes on while something happens. A packet that is under way at the end is not a lost one; a gap is.
struct SteadyPing {
    private let process: Background
    private let what: String

    init(_ lab: Lab, from namespace: String, _ destination: String) throws {
        what = "\(namespace) -> \(destination)"
        let process = try lab.start(in: namespace, ["ping", "-n", "-i", "0.01", "-W", "5", destination])
        self.process = process
        try eventually("the first answer of \(what)") { process.output.contains("icmp_seq=") }
    }

    private var answered: Set<Int> { Set(process.output.matches(of: /icmp_seq=(\d+) ttl=/).compactMap { Int($0.1) }) }

    /// Goes on for `count` more answers, ends, and returns how many were sent and which were not answered.
    func end(after count: Int = 50) throws -> (answered: Int, lost: [Int]) {
        let before = answered.count
        try eventually("\(count) more answers of \(what)") { answered.count >= before + count }
        process.end(SIGINT)
        let seen = answered
        return (seen.count, (1...(seen.max() ?? 1)).filter { !seen.contains($0) })
    }
}

/// Sends a file of random octets from one namespace to another over TCP and compares SHA-256 sums. The arguments are command prefixes.
func transfer(
    from sender: [String], to receiver: [String], _ address: String, _ mebibytes: Int, _ port: Int, _ sourceLocation: SourceLocation
) throws {
    let scratch = try TemporaryDirectory()
    try Shell.succeed(["sh", "-c", "head -c \(mebibytes)M /dev/urandom >\(scratch.path)/sent"])
    let isIPv6 = address.contains(":")
    let sink = try Background(receiver + ["socat", "-u", "TCP\(isIPv6 ? 6 : 4)-LISTEN:\(port),reuseaddr", "CREATE:\(scratch.path)/received"])
    try eventually("socat listening") {
        guard sink.isRunning else { throw Failure("socat: \(sink.errors)") }
        return try !Shell.succeed(receiver + ["ss", "-ltnH", "sport = :\(port)"]).isEmpty
    }
    try Shell.succeed(
        sender + ["socat", "-u", "OPEN:\(scratch.path)/sent", "TCP:\(isIPv6 ? "[\(address)]" : address):\(port),connect-timeout=10"], limit: 60)
    try sink.ended(within: 20)
    let sums = try Shell.succeed(["sha256sum", "\(scratch.path)/sent", "\(scratch.path)/received"]).split(separator: "\n").map { $0.prefix(64) }
    #expect(sums.count == 2 && sums[0] == sums[1], "\(mebibytes) MiB to \(address): \(sums)", sourceLocation: sourceLocation)
}
