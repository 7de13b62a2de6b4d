import NetTypes

@testable import Dataplane

/// Frames in, through the whole router, frames out.
///
/// An input is one octet that chooses the router (with or without a host interface; many or few flows) and what the control program says of the flows it is asked about, and then
/// packets: one octet that says where it comes in and what is made right first, two of length, the frame. So mutation gets past the checks that only a checksum or a length stands for.
///
/// Required after each input: counters add up; every buffer is back; and every frame that left is well-formed, whatever came in: IP versions, lengths and header
/// checksums, tunnel headers, and transport checksums that are right if they were right before. Exempt is what the node's own stack exchanges with the fabric and what
/// the control program sends: that passes as it is; so does what is mirrored.
///
/// What a policy denies does not come out; what waits for a decision, or for its first fragment, is gone two seconds later; what the policy log says was said by a rule; a fat flow has
/// no port that does not matter.
@MainActor enum Pipeline {
    /// With a history, so that flows age and tables fill; begun anew so that an input that fails mostly fails alone.
    private static var topologies: [Topology?] = [nil, nil, nil, nil]
    private static var runs = 0

    /// What the control program does about flows it is asked about.
    private enum Decision: UInt8, CaseIterable { case nothing, forward, drop, translate, delete, changeGroup, openPolicy, closePolicy }

    private enum Repair { static let length: UInt8 = 0x20, checksum: UInt8 = 0x40, inner: UInt8 = 0x80 }

    static func run(_ input: UnsafeRawBufferPointer) {
        guard input.count > 4 else { return }
        runs += 1
        if runs % 2000 == 0 { topologies = [nil, nil, nil, nil] }
        let choice = Int(input[0] & 3)
        let topology = topologies[choice] ?? Topology(hasHost: choice & 1 != 0, flows: choice & 2 != 0 ? 64 : 1 << 16)
        topologies[choice] = topology

        var sent: [[UInt8]] = [], at = 1, packetsOut = 0
        while at + 3 <= input.count, sent.count < 40 {
            let how = input[at], length = min(Int(input[at + 1]) << 8 | Int(input[at + 2]), input.count - at - 3)
            var frame = Array(input[(at + 3)..<(at + 3 + length)])
            at += 3 + length
            if how & Repair.length != 0 { Mend.lengths(&frame) }
            if how & Repair.inner != 0 { Mend.inner(&frame) }
            if how & Repair.checksum != 0 { Mend.checksum(&frame, at: 14) }
            sent.append(frame)
            switch Int(how & 7) {
            case let port where port < 5: topology.ports[port].input.append(frame)
            case 5:
                if topology.router.send(OutgoingPacket(mode: .receive, vif: .init(3), packet: frame)) == .ok { packetsOut += 1 }
            case 6:
                if topology.router.send(OutgoingPacket(mode: .transmit, vif: .init(4), packet: frame)) == .ok { packetsOut += 1 }
            default: topology.ports[5].input.append(frame)
            }
        }
        let decision = Decision.allCases[Int(input[0] >> 2 & 7)]
        turn(topology)
        decide(decision, topology)
        turn(topology)
        checkFlows(topology)
        restore(decision, topology)
        checkWaiting(topology)
        topology.router.runUntilExhausted()
        // Without a host interface nobody takes what comes from there.
        for port in topology.ports { port.input = [] }
        check(topology, sent)
    }

    private static func turn(_ topology: Topology) {
        while topology.router.run(turns: 1) {
            topology.router.deliverTraps()
            topology.router.learn()
        }
        topology.router.deliverTraps()
    }

    // MARK: - Policies and flows

    private static func decide(_ decision: Decision, _ topology: Topology) {
        let held = topology.listener.held
        topology.listener.held = []
        var operations: [RouterOperation] = []
        switch decision {
        case .nothing: break
        case .forward: operations = held.map { .upsert(.flow(FlowSpec(key: $0.key, action: .forward))) }
        case .drop: operations = held.map { .upsert(.flow(FlowSpec(key: $0.key, action: .drop))) }
        case .translate:
            operations = held.map { .upsert(.flow(FlowSpec(key: $0.key, action: .nat, translation: FlowTranslation(sourcePort: 4321)))) }
        case .delete: operations = held.map { .delete(.flow($0.key)) }
        case .changeGroup: operations = [.upsert(Topology.peers(true))]
        case .openPolicy, .closePolicy:
            var spec = Topology.policies[1]
            spec.rules.append(PolicyRule(action: decision == .openPolicy ? .pass : .deny))
            operations = [.upsert(.policy(spec))]
        }
        for (operation, outcome) in zip(operations, topology.router.apply(operations)) {
            switch (decision, outcome) {
            case (_, .ok): break
            // It may be gone, or be one that is not translated.
            case (.forward, .notFound), (.drop, .notFound), (.delete, .notFound), (.translate, _): break
            default: fatalError("\(operation): \(outcome)")
            }
        }
    }

    private static func restore(_ decision: Decision, _ topology: Topology) {
        guard [.changeGroup, .openPolicy, .closePolicy].contains(decision) else { return }
        let outcomes = topology.router.apply([.upsert(Topology.peers(false)), .upsert(.policy(Topology.policies[1]))])
        require(outcomes == [.ok, .ok], "\(outcomes)")
    }

    /// Two seconds on nothing waits any more, and every buffer is back: what waits is made so much older.
    private static func checkWaiting(_ topology: Topology) {
        for worker in topology.router.workers {
            for slot in 0..<worker.waitingCount { worker.waiting[slot].since &-= Worker.decisionTime }
            for slot in 0..<worker.heldCount { worker.held[slot].since &-= FragmentTable.lifetime }
            worker.heldChecked &-= 1000
        }
        turn(topology)
        topology.router.run(turns: 3)
        let waiting = topology.router.workers.map { ($0.waitingCount, $0.heldCount) }
        require(waiting.allSatisfy { $0 == (0, 0) }, "packets that wait, fragments that wait: \(waiting)")
        require(topology.router.status().flows.heldPackets == 0, "counted as waiting")
        require(topology.pool.outstanding == 0, "\(topology.pool.outstanding) buffers are out")
        topology.listener.held = []
    }

    private static func checkFlows(_ topology: Topology) {
        for record in topology.router.policyLog(after: topology.logged) {
            topology.logged[record.worker] = record.number
            guard let policy = Topology.policies.first(where: { $0.id == record.policy }) else { fatalError("\(record)") }
            require(policy.name == record.policyName && policy.rules.indices.contains(record.rule), "\(record)")
            let rule = policy.rules[record.rule]
            require(rule.logs && rule.name == record.ruleName && rule.action == record.action, "\(record): \(rule)")
            require([4, 5, 8].contains(record.vif.rawValue), "\(record)")
        }
        var vrfs: [UInt32: VRFID] = [:], fat: [FlowReading] = []
        _ = topology.router.flows(from: 0, limit: .max, scan: .max, matching: FlowFilter()) { flow in
            let key = flow.spec.key
            vrfs[flow.index] = key.vrf
            guard key.vrf == VRFID(1), key.proto == 17 || key.proto == 6, Topology.fat.contains(key.source) || Topology.fat.contains(key.destination)
            else { return }
            let port: UInt16 = key.proto == 17 ? 53 : 80
            if key.sourcePort == port || key.destinationPort == port, flow.spec.action != .nat { fat.append(flow) }
        }
        // From another VRF the rules of a workload are not known.
        for flow in fat where flow.reverseIndex.flatMap({ vrfs[$0] }) == VRFID(1) {
            let key = flow.spec.key
            require(flow.isFat && (key.sourcePort == 0 || key.destinationPort == 0 || key.sourcePort == key.destinationPort), "\(flow)")
        }
    }

    /// UDP with a port that all policies of red1 forbid, as a packet without headers between.
    private static func isForbidden(_ frame: [UInt8]) -> Bool {
        guard frame.count >= 42 else { return false }
        let at: Int
        switch (frame[12], frame[13]) {
        case (0x08, 0x00) where frame[23] == 17 && frame[20] & 0x1F == 0 && frame[21] == 0: at = 14 + Int(frame[14] & 0xF) * 4
        case (0x86, 0xDD) where frame[20] == 17: at = 54
        default: return false
        }
        guard at + 4 <= frame.count else { return false }
        return [at, at + 2].contains { Topology.forbidden.contains(UInt16(frame[$0]) << 8 | UInt16(frame[$0 + 1])) }
    }

    private static func check(_ topology: Topology, _ sent: [[UInt8]]) {
        let status = topology.router.status()
        require(status.totals.isBalanced, "counters: \(status.totals)")
        require(topology.pool.outstanding == 0, "\(topology.pool.outstanding) buffers are out")
        // Right only if everything that came in was.
        let wereRight = sent.allSatisfy {
            let seen = WellFormed($0, tunnels: true)
            return seen.problem == nil && seen.transport != .wrong
        }
        // A tag that only says a priority is taken off on the way.
        let asTheyAre =
            sent
            + sent.filter { $0.count > 18 && [[0x81, 0], [0x88, 0xA8]].contains(Array($0[12..<14])) && $0[14] & 0xF == 0 && $0[15] == 0 }
            .map { Array($0[..<12] + $0[16...]) }
        for (port, name) in zip(topology.ports, Topology.names) where name == "red1" {
            for frame in port.output + port.uncut where isForbidden(frame) {
                fatalError("out of \(name), and denied: \(hex(frame)); in: \(sent.map(hex))")
            }
        }
        for (port, name) in zip(topology.ports, Topology.names) where name != "analyser" {
            for frame in port.output where !asTheyAre.contains(where: { $0.starts(with: frame) }) {
                let isFabric = name == "fabric"
                let seen = WellFormed(frame, tunnels: isFabric)
                require(seen.problem == nil, "out of \(name): \(seen.problem ?? ""): \(hex(frame)); in: \(sent.map(hex))")
                require(!wereRight || seen.transport != .wrong, "out of \(name), a transport checksum is wrong: \(hex(frame)); in: \(sent.map(hex))")
                let size = frame.count - 14 - tags(frame)
                require(size <= port.mtu || name == "host" || isFabric, "out of \(name): \(size) octets, MTU \(port.mtu)")
            }
            for frame in port.uncut {
                require(port.traits.contains(.cutsSegments) || port.traits.contains(.cutsDatagrams), "\(name) cuts nothing: \(hex(frame))")
                let seen = WellFormed(frame, tunnels: name == "fabric")
                require(seen.problem == nil, "uncut out of \(name): \(seen.problem ?? ""): \(hex(frame)); in: \(sent.map(hex))")
            }
            (port.output, port.uncut) = ([], [])
        }
        topology.ports.last?.output = []
        topology.ports.last?.uncut = []
    }

    /// Octets of VLAN tags, which the MTU does not count.
    private static func tags(_ frame: [UInt8]) -> Int {
        var size = 0
        while frame.count > 13 + size, [[0x81, 0], [0x88, 0xA8]].contains(Array(frame[(12 + size)..<(14 + size)])) { size += 4 }
        return size
    }

    private static func hex(_ octets: [UInt8]) -> String {
        octets.map { (($0 < 16 ? "0" : "") + String($0, radix: 16)) }.joined()
    }
}

/// Makes lengths and header checksums right that mutation has made wrong.
enum Mend {
    private static func word(_ frame: [UInt8], _ at: Int) -> Int { at + 1 < frame.count ? Int(frame[at]) << 8 | Int(frame[at + 1]) : 0 }
    private static func set(_ frame: inout [UInt8], _ at: Int, _ value: Int) {
        guard at + 1 < frame.count else { return }
        frame[at] = UInt8(value >> 8 & 0xFF)
        frame[at + 1] = UInt8(value & 0xFF)
    }

    /// The outer packet, and the one in a tunnel, fill the frame.
    static func lengths(_ frame: inout [UInt8]) {
        fill(&frame, at: 14, type: word(frame, 12))
        if let (at, type) = innerPacket(frame) { fill(&frame, at: at, type: type) }
    }
    private static func fill(_ frame: inout [UInt8], at: Int, type: Int) {
        if type == 0x0800 { set(&frame, at + 2, frame.count - at) }
        if type == 0x86DD { set(&frame, at + 4, frame.count - at - 40) }
    }

    static func inner(_ frame: inout [UInt8]) {
        if let (at, type) = innerPacket(frame), type == 0x0800 { checksum(&frame, at: at) }
    }

    /// The IPv4 header checksum of the header there.
    static func checksum(_ frame: inout [UInt8], at: Int) {
        guard at < frame.count, frame[at] >> 4 == 4 else { return }
        let end = at + Int(frame[at] & 0xF) * 4
        guard end <= frame.count, end >= at + 20 else { return }
        set(&frame, at + 10, 0)
        set(&frame, at + 10, ~WellFormed.sum(frame[at..<end]))
    }

    /// The checksum of a UDP datagram, a TCP segment or an ICMPv6 message without headers between.
    static func transport(_ frame: inout [UInt8]) {
        let v4 = word(frame, 12) == 0x0800
        guard v4 || word(frame, 12) == 0x86DD, frame.count > 54 else { return }
        let begin = v4 ? 14 + Int(frame[14] & 0xF) * 4 : 54, proto = Int(frame[v4 ? 23 : 20])
        guard begin < frame.count, let at = [6: 16, 17: 6, 58: 2][proto], begin + at + 1 < frame.count else { return }
        // A datagram may be shorter than its packet.
        let length = proto == 17 ? min(word(frame, begin + 4), frame.count - begin) : frame.count - begin
        set(&frame, begin + at, 0)
        let addresses = v4 ? frame[26..<34] : frame[22..<54]
        let sum = ~WellFormed.sum(frame[begin..<begin + length], WellFormed.sum(addresses) + proto + length) & 0xFFFF
        set(&frame, begin + at, sum == 0 ? 0xFFFF : sum)
    }

    /// Where the packet in a tunnel begins and its EtherType, for outer headers without options.
    private static func innerPacket(_ frame: [UInt8]) -> (at: Int, type: Int)? {
        let type = word(frame, 12), outer = type == 0x0800 ? 20 : 40
        guard type == 0x0800 || type == 0x86DD, frame.count > 14 + outer + 12 else { return nil }
        let proto = frame[type == 0x0800 ? 23 : 20], transport = 14 + outer
        var at = 0
        if proto == 17, word(frame, transport + 2) == 4789 {
            at = transport + 8 + 8 + 14
            return at < frame.count ? (at, word(frame, at - 2)) : nil
        }
        if proto == 17, word(frame, transport + 2) == 6635 { at = transport + 8 + 4 }
        if proto == 47 { at = transport + 4 + 4 }
        guard at > 0, at < frame.count else { return nil }
        return (at, frame[at] >> 4 == 4 ? 0x0800 : 0x86DD)
    }
}
