import CPlatform
import Dataplane
import Foundation
import NetTypes
import Workloads

/// What one vif loses while another floods the same worker.
///
/// Three vifs of one VRF send to a fourth, which has a policy: *regular* packets of 10,000 established flows, *calls* (each the first packet of a flow, all different), and the attacker, whose
/// packets are random 5-tuples, or combinations of what the rules name, so that each falls into another class of the compiled policy, or combinations of the edges of what they name: the
/// first and the last port of a range and the ports beside it, the first and the last address of a prefix and those beside it. Every source is given by the clock into
/// a queue of 1,024 packets, as a NIC would; what does not fit is lost. The clock stands still while the thread has no core. The share of the regular packets and of the
/// calls that left is the figure, without attack and with it.
enum Attack {
    static let heading =
        "attack".trailing(34) + "attacker's vif".trailing(18) + "offered".leading(9) + "taken, M/s".leading(12) + "regular".leading(9)
        + "calls".leading(9) + "flow entries".leading(14)

    private enum Kind: String, CaseIterable {
        case none = "none", random = "random 5-tuples", crafted = "crafted against the rules", edges = "edges of ranges and prefixes"
    }

    /// What the attacker's vif may have.
    private enum Bound: String, CaseIterable {
        case table = "no limit", rate = "100k flows/s"
    }

    /// Ethernet of 10 Gbit/s, 64 octets.
    private static let lineRate = 14.88e6
    private static let regularRate = 1e6, callRate = 100e3
    private static let rules = 1000, groups = 100

    static func run(quick: Bool) throws {
        say(
            "regular \(regularRate / 1e6) M/s over 10k flows, calls \(callRate / 1e3) k/s, policy of \(rules) rules over \(groups) groups, one worker"
        )
        say(heading)
        for kind in Kind.allCases {
            for bound in Bound.allCases where kind != .none || bound == .table { try measure(kind, bound, seconds: quick ? 1 : 4) }
        }
    }

    private static func measure(_ kind: Kind, _ bound: Bound, seconds: Double) throws {
        let traffic = Traffic(flows: 10_000, routes: 10_000), workload = Workload.guarded("attack", traffic, rules: rules, groups: groups)
        let regular = PacedReplay(name: Program.sourcePort, frames: traffic.frames())
        let calls = PacedReplay(name: "caller", frames: calling(Int(callRate * (seconds + 1)), traffic.prefixes))
        let flood = PacedReplay(name: "attacker", frames: kind == .none ? [] : flooding(kind, traffic.prefixes, Edges(workload.objects())))
        let sources = [regular, calls, flood]
        var objects = workload.objects()
        for (index, source) in [calls, flood].enumerated() {
            objects.append(.port(PortSpec(name: source.name, driver: .loopback, mtu: Program.mtu)))
            var vif = VifSpec(
                id: .init(UInt32(20 + index)), name: source.name, kind: .virtual, port: source.name, vrf: Program.vrf, mac: .gateway, addresses: [],
                keepsFlows: true)
            if bound == .rate, source === flood { vif.flowRate = 100_000 }
            objects.append(.vif(vif))
        }
        let router = Router(
            RouterConfiguration(cores: [0], idle: .poll, flowCapacity: 1 << 20), pool: try HeapBufferPool(bufferSize: 2048, capacity: 4096)
        ) { spec throws(PortError) in sources.first { $0.name == spec.name } ?? CountingPort(name: spec.name, mtu: Program.mtu) }
        for (object, outcome) in zip(objects, router.apply(objects.map(RouterOperation.upsert))) where outcome != .ok {
            throw MeasureError(description: "attack: \(object) was refused: \(outcome)")
        }
        // Flows are there, and the table is as full as it gets.
        regular.begin(perSecond: regularRate)
        run(router, seconds: 0.2)
        flood.begin(perSecond: kind == .none ? 0 : lineRate)
        run(router, seconds: seconds / 2)
        for source in [regular, flood] { source.begin(perSecond: source.perSecond) }
        calls.begin(perSecond: callRate)
        let before = received(router)
        run(router, seconds: seconds)
        let after = received(router)
        // Of each vif, what was received and not dropped: all of them send to one port.
        func share(_ vif: UInt32, _ source: PacedReplay) -> Double {
            let (received, dropped) = (after[vif, default: (0, 0)], before[vif, default: (0, 0)])
            let passed = Double(received.packets - dropped.packets) - Double(received.drops - dropped.drops)
            return passed / Double(max(source.offered, 1)) * 100
        }
        let entries = router.status().tables.first { $0.name == "flow" }?.used ?? 0
        say(
            kind.rawValue.trailing(34) + (kind == .none ? "" : bound.rawValue).trailing(18)
                + String(format: "%.1f", flood.perSecond / 1e6).leading(9)
                + String(format: "%.2f", flood.perSecond * Double(flood.given) / Double(max(flood.offered, 1)) / 1e6).leading(12)
                + String(format: "%.1f %%", share(3, regular)).leading(9)
                + String(format: "%.1f %%", share(20, calls)).leading(9) + "\(entries)".leading(14))
    }

    private static func run(_ router: Router, seconds: Double) {
        let end = vr_monotonic_ns() + UInt64(seconds * 1e9)
        while vr_monotonic_ns() < end { router.run(turns: 64) }
    }

    private static func received(_ router: Router) -> [UInt32: (packets: UInt64, drops: UInt64)] {
        var out: [UInt32: (packets: UInt64, drops: UInt64)] = [:]
        for vif in router.vifs(after: nil, limit: 64) { out[vif.spec.id.rawValue] = (vif.counters.receivedPackets, vif.counters.drops) }
        return out
    }

    // MARK: Packets

    /// First packets, all of different flows, from clients that the policy lets in.
    private static func calling(_ count: Int, _ prefixes: [IPPrefix]) -> [[UInt8]] {
        (0..<count).map { flow in
            Frames.udp(
                from: .v4(IPv4Address(rawValue: 0x0A01_0000 | UInt32(flow & 0xFFFF))), UInt16(40_000 + flow >> 16), to: host(prefixes, flow), 5000,
                sourceMAC: Program.source)
        }
    }

    /// What a compiled policy cuts ports and addresses at, and what lies on the other side of each cut.
    private struct Edges {
        private(set) var ports: [UInt16] = []
        private(set) var clients: [UInt32] = []

        init(_ objects: [RouterObject]) {
            var ports = Set<UInt16>(), clients = Set<UInt32>()
            for object in objects {
                switch object {
                case .policy(let policy):
                    for case .ports(_, let destinations, _) in policy.rules.map(\.service) {
                        for range in destinations {
                            ports.formUnion([range.lowerBound &- 1, range.lowerBound, range.upperBound, range.upperBound &+ 1])
                        }
                    }
                case .addressGroup(let group):
                    for prefix in group.prefixes {
                        guard case .v4(let address) = prefix.address else { continue }
                        let last = address.rawValue | (prefix.length == 0 ? .max : ~(UInt32.max << UInt32(32 - prefix.length)))
                        clients.formUnion([address.rawValue &- 1, address.rawValue, last, last &+ 1])
                    }
                default: break
                }
            }
            self.ports = ports.sorted()
            self.clients = clients.sorted()
        }
    }

    private static func flooding(_ kind: Kind, _ prefixes: [IPPrefix], _ edges: Edges) -> [[UInt8]] {
        var random = Sequence64(seed: 0xBAD)
        return (0..<1_000_000).map { _ in
            let word = random.next()
            // Clients of every group; or anybody.
            var source = kind == .crafted ? 0x0A01_0000 | UInt32(word & 0xFFFF) : UInt32(truncatingIfNeeded: word) & 0x3FFF_FFFF | 0x4000_0000
            var port = UInt16(truncatingIfNeeded: word >> 48)
            if kind == .edges {
                source = edges.clients[Int(word & 0xFFFF_FFFF) % edges.clients.count]
                port = edges.ports[Int(word >> 40) % edges.ports.count]
            }
            var frame = Frames.udp(
                from: .v4(IPv4Address(rawValue: source)), UInt16(truncatingIfNeeded: word >> 32), to: host(prefixes, Int(word >> 40 & 0xFFFF)),
                port, sourceMAC: Program.source)
            if kind != .random, word >> 47 & 1 == 0 {
                // TCP, the protocol of the rules with ports: a SYN of 20 octets; its IPv4 checksum is 11 more for the other protocol.
                frame[23] = 6
                let (wrapped, carry) = (UInt16(frame[24]) << 8 | UInt16(frame[25])).addingReportingOverflow(11), sum = carry ? wrapped + 1 : wrapped
                (frame[24], frame[25]) = (UInt8(sum >> 8), UInt8(sum & 0xFF))
                (frame[46], frame[47]) = (0x50, 0x02)
            }
            return frame
        }
    }

    private static func host(_ prefixes: [IPPrefix], _ number: Int) -> IPAddress { prefixes[number % prefixes.count].address }
}

/// A replay by the clock: so many packets a second fall into a queue of 1,024, and those that find it full are lost.
private final class PacedReplay: Dataplane.Port, @unchecked Sendable {
    private let replay: ReplayPort?
    private(set) var perSecond = 0.0
    private(set) var given = 0, lost = 0
    private var last: UInt64 = 0, elapsed: UInt64 = 0
    var offered: Int { given + lost }

    init(name: String, frames: [[UInt8]]) {
        replay = frames.isEmpty ? nil : ReplayPort(name: name, frames: frames)
        super.init(name: name, driver: "replay", device: name, mtu: Program.mtu)
    }

    /// From now on, counting from nothing.
    func begin(perSecond: Double) {
        self.perSecond = perSecond
        (given, lost, last, elapsed) = (0, 0, vr_monotonic_ns(), 0)
    }

    override func receive(queue: Int, pool: BufferPool, lane: Int, into frames: UnsafeMutablePointer<vr_frame>, capacity: Int) -> Int {
        guard perSecond > 0, let replay else { return 0 }
        // A turn takes a tenth of this at most; whatever takes longer was another program.
        let now = vr_monotonic_ns()
        elapsed += min(now - last, 50_000)
        last = now
        let due = Int(Double(elapsed) / 1e9 * perSecond) - offered
        if due > 1024 { lost += due - 1024 }
        let count = replay.receive(queue: 0, pool: pool, lane: lane, into: frames, capacity: min(capacity, max(0, min(due, 1024))))
        given += count
        return count
    }
}
