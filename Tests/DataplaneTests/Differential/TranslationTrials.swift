import NetTypes
import Testing

@testable import Dataplane

/// Translation by rules against a list of rules and a dictionary of flows: which translations a first packet may get, that each flow's packets, replies and errors are
/// translated there and back, that no two flows share what they become, which flows a change of rules ends, and every checksum from scratch.
///
/// Inside is VRF 1 with blue1 and blue2, outside VRF 2, all of it behind a tunnel. Where the router may choose (a backend, a port), any choice that the rules allow is right,
/// and is taken as the flow's from then on. Its choices are by hashes of its own: a seed repeats what is done, not what is chosen.
@Suite struct TranslationTrials {
    /// What a packet is, and where it is looked up. ICMP echo: the identifier stands for both ports.
    struct Tuple: Hashable, CustomStringConvertible {
        var vrf: UInt32, proto: UInt8
        var source: IPAddress, destination: IPAddress
        var sourcePort: UInt16, destinationPort: UInt16
        var reversed: Tuple {
            Tuple(vrf: vrf, proto: proto, source: destination, destination: source, sourcePort: destinationPort, destinationPort: sourcePort)
        }
        var isEcho: Bool { proto == 1 || proto == 58 }
        var description: String { "\(vrf): \(proto) \(source) \(sourcePort) > \(destination) \(destinationPort)" }
    }

    enum Right {
        case plain, refused
        /// One list for each backend that may be chosen: its tuples differ by port.
        case either([[Tuple]])
    }

    // MARK: - The slow one

    struct Slow {
        var rules: [UInt32: NATRuleSpec.Kind] = [:]
        struct Flow {
            var key: Tuple, becomes: Tuple
        }
        var flows: [Int: Flow] = [:]
        /// Both keys of every flow.
        var entries: [Tuple: (number: Int, isForward: Bool)] = [:]
        private var next = 0

        mutating func add(_ key: Tuple, _ becomes: Tuple) {
            next += 1
            flows[next] = Flow(key: key, becomes: becomes)
            entries[key] = (next, true)
            entries[becomes.reversed] = (next, false)
        }
        mutating func remove(_ number: Int) {
            guard let flow = flows.removeValue(forKey: number) else { return }
            entries[flow.key] = nil
            entries[flow.becomes.reversed] = nil
        }

        private func backends(_ key: Tuple, draining: Bool) -> [Tuple]? {
            var best: (rank: Int, rule: NATRuleSpec.Destination)?
            for case .destination(let rule) in rules.values where rule.vrf.rawValue == key.vrf && rule.address == key.destination {
                let rank: Int
                switch rule.match {
                case .port(let proto, let port): rank = proto == key.proto && port == key.destinationPort ? 3 : 0
                case .range(let range): rank = range.contains(key.destinationPort) ? 2 : 0
                case .all: rank = 1
                }
                if rank > best?.rank ?? 0 { best = (rank, rule) }
            }
            return best?.rule.backends.filter { draining || !$0.isDraining }.map { backend in
                var new = key
                new.vrf = backend.vrf.rawValue
                new.destination = backend.address ?? key.destination
                new.destinationPort = backend.port ?? key.destinationPort
                // A workload that reaches itself.
                if new.vrf == key.vrf, new.destination == key.source { new.source = key.destination }
                return new
            }
        }

        func right(_ key: Tuple, draining: Bool = false) -> Right {
            if let found = backends(key, draining: draining) { return found.isEmpty ? .refused : .either(found.map { [$0] }) }
            var best: NATRuleSpec.Source?
            for case .source(let rule) in rules.values where rule.vrf.rawValue == key.vrf && rule.prefix.contains(key.source) {
                if best.map({ rule.prefix.length > $0.prefix.length }) ?? true { best = rule }
            }
            guard let best, !TranslationTrials.isRouted(key) else { return .plain }
            var new = key
            new.vrf = best.outside.rawValue
            var found = [new]
            if let redirected = backends(new, draining: draining) {
                if redirected.isEmpty { return .refused }
                found = redirected
            }
            return .either(
                found.map { tuple in
                    var tuple = tuple
                    tuple.source = best.address
                    guard let ports = best.ports else { return [tuple] }
                    return ports.map { port in
                        var tuple = tuple
                        tuple.sourcePort = port
                        if tuple.isEcho { tuple.destinationPort = port }
                        return tuple
                    }
                })
        }

        /// Ends the flows that would not be made any more.
        mutating func changed() {
            for (number, flow) in flows {
                let holds =
                    switch right(flow.key, draining: true) {
                    case .plain: flow.becomes == flow.key
                    case .refused: false
                    case .either(let lists): lists.contains { $0.contains(flow.becomes) }
                    }
                if !holds { remove(number) }
            }
        }
    }

    static func isRouted(_ key: Tuple) -> Bool {
        key.vrf == 1
            && (["10.1.0.0/24", "10.3.0.0/24"].contains { IPPrefix($0)!.contains(key.destination) } || inside.contains(key.destination))
    }

    // MARK: - Packets

    static func sum(_ octets: some Collection<UInt8>) -> UInt32 {
        var sum: UInt32 = 0, isHigh = true
        for octet in octets {
            sum += isHigh ? UInt32(octet) << 8 : UInt32(octet)
            isHigh.toggle()
        }
        while sum > 0xFFFF { sum = sum & 0xFFFF + sum >> 16 }
        return sum
    }
    private static func word(_ value: some BinaryInteger) -> [UInt8] { [UInt8(truncatingIfNeeded: value >> 8), UInt8(truncatingIfNeeded: value)] }
    private static func pseudo(_ source: IPAddress, _ destination: IPAddress, _ proto: UInt8, _ count: Int) -> [UInt8] {
        source.bytes + destination.bytes + word(Int(proto)) + word(count)
    }

    static func packet(_ tuple: Tuple, isReply: Bool, ttl: UInt8 = 64, payload: [UInt8], hasChecksum: Bool = true) -> [UInt8] {
        var transport: [UInt8], at: Int
        switch tuple.proto {
        case 6:
            (transport, at) = (
                word(tuple.sourcePort) + word(tuple.destinationPort) + [0, 0, 0, 1, 0, 0, 0, 2, 0x50, isReply ? 0x12 : 2, 1, 0, 0, 0, 0, 0], 16
            )
        case 17: (transport, at) = (word(tuple.sourcePort) + word(tuple.destinationPort) + word(8 + payload.count) + [0, 0], 6)
        case 1: (transport, at) = ([isReply ? 0 : 8, 0, 0, 0] + word(tuple.sourcePort) + [0, 1], 2)
        default: (transport, at) = ([isReply ? 129 : 128, 0, 0, 0] + word(tuple.sourcePort) + [0, 1], 2)
        }
        transport += payload
        if hasChecksum { checksum(&transport, at, tuple.proto, tuple.source, tuple.destination) }
        return header(tuple.source, tuple.destination, tuple.proto, ttl, transport.count) + transport
    }
    private static func checksum(_ transport: inout [UInt8], _ at: Int, _ proto: UInt8, _ source: IPAddress, _ destination: IPAddress) {
        var sum = ~UInt16(Self.sum((proto == 1 ? [] : pseudo(source, destination, proto, transport.count)) + transport))
        if sum == 0, proto == 17 { sum = 0xFFFF }
        transport.replaceSubrange(at..<at + 2, with: word(sum))
    }
    private static func header(_ source: IPAddress, _ destination: IPAddress, _ proto: UInt8, _ ttl: UInt8, _ count: Int) -> [UInt8] {
        if source.isIPv4 {
            var header = [0x45, 0] + word(20 + count) + [0, 1, 0, 0, ttl, proto, 0, 0] + source.bytes + destination.bytes
            header.replaceSubrange(10..<12, with: word(~UInt16(sum(header))))
            return header
        }
        return [0x60, 0, 0, 0] + word(count) + [proto, ttl] + source.bytes + destination.bytes
    }
    /// An error about `quoted`: port unreachable, or packet too big.
    static func error(_ source: IPAddress, _ destination: IPAddress, about quoted: [UInt8]) -> [UInt8] {
        let isIPv4 = source.isIPv4, proto: UInt8 = isIPv4 ? 1 : 58
        var message = (isIPv4 ? [3, 3, 0, 0, 0, 0, 0, 0] : [2, 0, 0, 0, 0, 0, 5, 0]) + quoted
        checksum(&message, 2, proto, source, destination)
        return header(source, destination, proto, 64, message.count) + message
    }

    struct Seen {
        var tuple: Tuple
        var ttl: UInt8
        var transport: [UInt8]
        /// What is wrong with its checksums.
        var fault: String?
        /// Of an error: what it quotes.
        var quoted: [UInt8]?
    }
    static func seen(_ packet: [UInt8]) -> Seen? {
        let isIPv4 = packet[0] >> 4 == 4, start = isIPv4 ? 20 : 40,
            end = isIPv4 ? Int(packet[2]) << 8 | Int(packet[3]) : 40 + Int(packet[4]) << 8 + Int(packet[5])
        guard end <= packet.count, let source = IPAddress(bytes: packet[(isIPv4 ? 12 : 8)..<(isIPv4 ? 16 : 24)]),
            let destination = IPAddress(bytes: packet[(isIPv4 ? 16 : 24)..<start])
        else { return nil }
        let proto = packet[isIPv4 ? 9 : 6], transport = Array(packet[start..<end])
        func word(_ at: Int) -> UInt16 { UInt16(transport[at]) << 8 | UInt16(transport[at + 1]) }
        let isEcho = proto == 1 || proto == 58
        var seen = Seen(
            tuple: Tuple(
                vrf: 0, proto: proto, source: source, destination: destination, sourcePort: word(isEcho ? 4 : 0),
                destinationPort: word(isEcho ? 4 : 2)),
            ttl: packet[isIPv4 ? 8 : 7], transport: transport)
        if isIPv4, sum(packet[..<20]) != 0xFFFF { seen.fault = "header checksum" }
        let hasNone = proto == 17 && isIPv4 && word(6) == 0
        if !hasNone, sum((proto == 1 ? [] : pseudo(source, destination, proto, transport.count)) + transport) != 0xFFFF {
            seen.fault = "transport checksum"
        }
        if proto == 17, !isIPv4, word(6) == 0 { seen.fault = "no checksum" }
        if isEcho, ![0, 8, 128, 129].contains(transport[0]) { seen.quoted = Array(transport[8...]) }
        return seen
    }

    // MARK: - The world

    static let sharers = (30..<34).map { IPAddress("10.1.0.\($0)")! } + (30..<34).map { IPAddress("fd00:1::\($0)")! }
    static let inside = ["10.1.0.11", "10.1.0.12", "fd00:1::11", "fd00:1::12"].map { IPAddress($0)! } + sharers
    static let outside = (1...3).map { IPAddress("198.51.100.\($0)")! } + (1...3).map { IPAddress("2001:db8:9::\($0)")! }
    static let external = (1...3).map { IPAddress("203.0.113.\($0)")! } + (1...3).map { IPAddress("2001:db8::\($0)")! }
    static let virtual = (1...2).map { IPAddress("10.96.0.\($0)")! } + (1...2).map { IPAddress("fd00:96::\($0)")! }
    static let ports: [UInt16] = [1000, 1001, 2000, 2003, 53, 80, 8080]

    private static func router() -> TestRouter {
        let test = TestRouter(flows: 1 << 14)
        var operations: [RouterOperation] = [
            .upsert(.nextHop(NextHopSpec(id: .init(7), kind: .vrf(.init(2), bridges: true)))),
            .upsert(.vni(VNISpec(vni: .init(5002), nextHop: .init(7)))),
        ]
        for prefix in ["198.51.100.0/24", "2001:db8:9::/64"] {
            operations.append(.upsert(.route(RouteSpec(vrf: .init(2), prefix: IPPrefix(prefix)!, nextHop: .init(1), label: 5002))))
        }
        for address in sharers { operations.append(.upsert(.route(RouteSpec(vrf: .init(1), prefix: IPPrefix(host: address), nextHop: .init(30))))) }
        // What comes out of a tunnel has flows while its VRF has a rule: this one, which no packet is about.
        let backend = NATRuleSpec.Backend(address: inside[0], vrf: .init(1))
        operations.append(
            .upsert(
                .natRule(
                    NATRuleSpec(
                        id: .init(99), name: "r", kind: .destination(.init(vrf: .init(2), address: IPAddress("192.0.2.99")!, backends: [backend]))))))
        #expect(test.router.apply(operations).allSatisfy { $0 == .ok })
        return test
    }

    private static func rule(_ random: inout RandomSource) -> NATRuleSpec.Kind {
        func one(_ list: [IPAddress], like address: IPAddress) -> IPAddress {
            let same = list.filter { $0.isIPv4 == address.isIPv4 }
            return same[random.below(same.count)]
        }
        switch random.below(4) {
        case 0:
            // A floating IP, seen from outside; or the same for some ports only.
            let address = external[random.below(external.count)], first = UInt16(1000 + random.below(1001))
            return .destination(
                .init(
                    vrf: .init(2), address: address, match: random.hits(3) ? .range(first...first + UInt16(random.below(1000))) : .all,
                    backends: [.init(address: one(inside, like: address), vrf: .init(1))]))
        case 1:
            let host = inside[random.below(inside.count)]
            let ports: ClosedRange<UInt16>? = random.hits(4) ? 2000...UInt16(2000 + random.below(6)) : nil
            return .source(.init(vrf: .init(1), prefix: IPPrefix(host: host), outside: .init(2), address: one(external, like: host), ports: ports))
        case 2:
            let prefix = IPPrefix(["10.1.0.0/24", "10.1.0.32/30", "10.0.0.0/8", "fd00:1::/64", "fd00:1::30/126", "::/0"][random.below(6)])!
            let first = UInt16(2000 + random.below(4))
            return .source(
                .init(
                    vrf: .init(1), prefix: prefix, outside: .init(2), address: one(external, like: prefix.address),
                    ports: first...first + UInt16(random.below(6))))
        default:
            let address = virtual[random.below(virtual.count)], port: UInt16? = random.hits(3) ? nil : 8080
            let backends = Set((0..<random.below(5)).map { _ in one(inside, like: address) }).map {
                NATRuleSpec.Backend(address: $0, port: port, vrf: .init(1), isDraining: random.hits(4))
            }
            return .destination(
                .init(
                    vrf: .init(1), address: address, match: .port(proto: random.hits(2) ? 6 : 17, random.hits(2) ? 80 : 53), backends: backends,
                    affinity: random.hits(2) ? .client : .connection))
        }
    }

    // MARK: - The trial

    private struct World {
        let test: TestRouter
        var slow = Slow()

        func send(_ packet: [UInt8], vrf: UInt32, from source: IPAddress) {
            if vrf == 2 {
                test.fabric.input.append(NATRuleTests.tunnelled(packet))
            } else {
                let isBlue2 = source == inside[1] || source == inside[3]
                (isBlue2 ? test.blue2 : test.blue1).input.append(
                    DropReasonTests.ethernet(.gateway, isBlue2 ? TestRouter.c : TestRouter.a, source.isIPv4 ? 0x0800 : 0x86DD, packet))
            }
            test.router.runUntilExhausted()
        }
        /// What left, and into which VRF.
        func take() -> [(vrf: UInt32, packet: [UInt8])] {
            NATRuleTests.inner(test.fabric.take()).map { (2, $0) } + (test.blue1.take() + test.blue2.take()).map { (1, Array($0.dropFirst(14))) }
        }
        /// Where a packet that becomes this arrives; nil: nowhere.
        static func arrives(_ tuple: Tuple) -> Bool { (tuple.vrf == 1 ? inside : outside).contains(tuple.destination) }
        var forwardKeys: Set<Tuple> {
            Set(
                test.router.flows(from: 0, limit: 1 << 14).flows.filter(\.isForward).map {
                    let key = $0.spec.key
                    return Tuple(
                        vrf: key.vrf.rawValue, proto: key.proto, source: key.source, destination: key.destination, sourcePort: key.sourcePort,
                        destinationPort: key.destinationPort)
                })
        }
    }

    private func expect(
        _ trial: Trial, _ world: World, _ sent: Tuple, isReply: Bool, payload: [UInt8], hasChecksum: Bool, becomes: Tuple
    ) throws(Trial.Disagreement) -> [UInt8]? {
        let out = world.take()
        guard World.arrives(becomes) else {
            try trial.check(out.isEmpty, "\(sent) became \(becomes) and arrived")
            return nil
        }
        try trial.check(out.count == 1, "\(sent) is to become \(becomes): \(out.count) packets, drops \(world.test.allDrops)")
        guard let seen = Self.seen(out[0].packet) else { throw Trial.Disagreement(text: "\(sent): no packet") }
        var tuple = seen.tuple
        tuple.vrf = out[0].vrf
        try trial.check(tuple == becomes, "\(sent) became \(tuple), not \(becomes)")
        try trial.check(seen.fault == nil, "\(sent) became \(tuple): \(seen.fault ?? "")")
        let scratch = Self.packet(becomes, isReply: isReply, ttl: seen.ttl, payload: payload, hasChecksum: hasChecksum)
        try trial.check(Self.isSame(out[0].packet, scratch), "\(sent) became \(out[0].packet), not \(scratch)")
        return out[0].packet
    }

    /// Octet by octet; a checksum may be either of the two zeros, which `seen` has checked.
    private static func isSame(_ a: [UInt8], _ b: [UInt8]) -> Bool {
        guard a != b else { return true }
        guard a.count == b.count, let first = a.indices.first(where: { a[$0] != b[$0] }), let last = a.indices.last(where: { a[$0] != b[$0] }),
            last == first + 1
        else { return false }
        return Set([a[first], a[last], b[first], b[last]]).isSubset(of: [0, 0xFF])
    }

    private func run(_ trial: inout Trial, steps: Int) throws(Trial.Disagreement) {
        var world = World(test: Self.router())
        func payload(_ random: inout RandomSource) -> [UInt8] {
            let count = random.below(20)
            return random.hits(4) ? [UInt8](repeating: random.hits(2) ? 0 : 0xFF, count: count) : random.octets(count)
        }
        while trial.operation < steps {
            trial.step()
            let random = trial.random.below(24)
            if random == 0 {
                // A rule comes, changes or goes, or two at once.
                var operations: [RouterOperation] = [], next = world.slow.rules
                for _ in 0...trial.random.below(2) {
                    let id = UInt32(1 + trial.random.below(16))
                    if next[id] != nil, trial.random.hits(3) {
                        next[id] = nil
                        operations.append(.delete(.natRule(.init(id))))
                    } else {
                        let kind = Self.rule(&trial.random)
                        next[id] = kind
                        operations.append(.upsert(.natRule(NATRuleSpec(id: .init(id), name: "r", kind: kind))))
                    }
                }
                // Two rules for one thing are refused, and so are more; what is refused is not there.
                for (operation, outcome) in zip(operations, world.test.router.apply(operations)) where outcome == .ok {
                    switch operation {
                    case .upsert(.natRule(let spec)): world.slow.rules[spec.id.rawValue] = spec.kind
                    case .delete(.natRule(let id)): world.slow.rules[id.rawValue] = nil
                    default: break
                    }
                }
                world.slow.changed()
                let keys = world.forwardKeys, right = Set(world.slow.flows.values.map(\.key))
                try trial.check(keys == right, "after \(operations): ended wrongly \(right.subtracting(keys)), left \(keys.subtracting(right))")
            } else if random == 1 || world.slow.flows.count > 400 {
                guard let number = world.slow.flows.keys.min(), let flow = world.slow.flows[number] else { continue }
                let key = FlowKeySpec(
                    vrf: .init(flow.key.vrf), source: flow.key.source, destination: flow.key.destination, proto: flow.key.proto,
                    sourcePort: flow.key.sourcePort, destinationPort: flow.key.destinationPort)
                try trial.check(world.test.router.apply([.delete(.flow(key))]) == [.ok], "\(flow.key) is not there to be deleted")
                world.slow.remove(number)
            } else if random < 8, !world.slow.flows.isEmpty {
                // A packet of a flow that is there, its reply or an error about it.
                let numbers = world.slow.flows.keys.sorted()
                guard let flow = world.slow.flows[numbers[trial.random.below(numbers.count)]] else { continue }
                let data = payload(&trial.random), hasChecksum = flow.key.proto != 17 || !flow.key.source.isIPv4 || !trial.random.hits(4)
                let request = Self.packet(flow.key, isReply: false, payload: data, hasChecksum: hasChecksum)
                world.send(request, vrf: flow.key.vrf, from: flow.key.source)
                guard let out = try expect(trial, world, flow.key, isReply: false, payload: data, hasChecksum: hasChecksum, becomes: flow.becomes)
                else { continue }
                let back = flow.becomes.reversed
                if random < 6 {
                    world.send(Self.packet(back, isReply: true, payload: data, hasChecksum: hasChecksum), vrf: back.vrf, from: back.source)
                    _ = try expect(trial, world, back, isReply: true, payload: data, hasChecksum: hasChecksum, becomes: flow.key.reversed)
                } else {
                    world.send(Self.error(back.source, back.destination, about: out), vrf: back.vrf, from: back.source)
                    let errors = world.take()
                    try trial.check(
                        errors.count == 1, "an error about \(flow.key), which became \(flow.becomes), did not arrive: \(world.test.allDrops)")
                    guard let seen = Self.seen(errors[0].packet), let quoted = seen.quoted else { throw Trial.Disagreement(text: "no error") }
                    try trial.check(
                        errors[0].vrf == flow.key.vrf && seen.tuple.destination == flow.key.source && seen.fault == nil,
                        "an error about \(flow.key) went to \(seen.tuple): \(seen.fault ?? "")")
                    let original = Self.packet(flow.key, isReply: false, ttl: out[out[0] >> 4 == 4 ? 8 : 7], payload: data, hasChecksum: hasChecksum)
                    try trial.check(Self.isSame(quoted, original), "an error quotes \(quoted), and sent was \(original)")
                }
            } else {
                // A first packet, mostly.
                let isOutside = trial.random.hits(3), sources = isOutside ? Self.outside : Self.inside
                let source = sources[trial.random.below(sources.count)]
                let all = isOutside ? Self.external : Self.inside + Self.outside + Self.outside + Self.external + Self.virtual + Self.virtual
                let ends = all.filter { $0.isIPv4 == source.isIPv4 && $0 != source }
                let proto: UInt8 = [6, 17, source.isIPv4 ? 1 : 58][trial.random.below(3)]
                var tuple = Tuple(
                    vrf: isOutside ? 2 : 1, proto: proto, source: source, destination: ends[trial.random.below(ends.count)],
                    sourcePort: Self.ports[trial.random.below(Self.ports.count)], destinationPort: Self.ports[trial.random.below(Self.ports.count)])
                if tuple.isEcho { tuple.destinationPort = tuple.sourcePort }
                let data = payload(&trial.random), hasChecksum = proto != 17 || !source.isIPv4 || !trial.random.hits(4)
                // What leads nowhere shows nothing of what it became.
                if world.slow.entries[tuple] == nil, case .either(let lists) = world.slow.right(tuple), !lists.joined().allSatisfy(World.arrives) {
                    continue
                }
                let isRequest = world.slow.entries[tuple]?.isForward ?? true
                world.send(Self.packet(tuple, isReply: !isRequest, payload: data, hasChecksum: hasChecksum), vrf: tuple.vrf, from: source)
                func arrived(_ becomes: Tuple) throws(Trial.Disagreement) {
                    _ = try expect(trial, world, tuple, isReply: !isRequest, payload: data, hasChecksum: hasChecksum, becomes: becomes)
                }
                if let (number, isForward) = world.slow.entries[tuple], let flow = world.slow.flows[number] {
                    try arrived(isForward ? flow.becomes : flow.key.reversed)
                    continue
                }
                switch world.slow.right(tuple) {
                case .plain:
                    // When its reverse key is that of something translated, it passes without an entry.
                    try arrived(tuple)
                    if world.slow.entries[tuple.reversed] == nil { world.slow.add(tuple, tuple) }
                case .refused: try trial.check(world.take().isEmpty, "\(tuple) passed, and nobody takes it")
                case .either(let lists):
                    let free = lists.map { $0.filter { world.slow.entries[$0.reversed] == nil } }
                    let out = world.take()
                    guard let first = out.first else {
                        try trial.check(free.contains { $0.isEmpty }, "\(tuple) did not pass, and may become \(free): \(world.test.allDrops)")
                        continue
                    }
                    guard out.count == 1, let seen = Self.seen(first.packet) else {
                        throw Trial.Disagreement(text: "\(tuple) is \(out.count) packets")
                    }
                    var becomes = seen.tuple
                    becomes.vrf = first.vrf
                    try trial.check(free.contains { $0.contains(becomes) }, "\(tuple) became \(becomes), which is not free or not right: \(lists)")
                    try trial.check(seen.fault == nil, "\(tuple) became \(becomes): \(seen.fault ?? "")")
                    let scratch = Self.packet(becomes, isReply: false, ttl: seen.ttl, payload: data, hasChecksum: hasChecksum)
                    try trial.check(Self.isSame(first.packet, scratch), "\(tuple) became \(first.packet), not \(scratch)")
                    world.slow.add(tuple, becomes)
                }
            }
        }
        let status = world.test.router.status()
        try trial.check(status.totals.isBalanced && status.buffersInUse == 0, "counters or buffers: \(status.totals)")
        try trial.check(world.forwardKeys == Set(world.slow.flows.values.map(\.key)), "not the same flows at the end")
    }

    @Test func translations() {
        trials("translations", count: 8, operations: 15_000, firstSeed: 9000) { trial, steps throws(Trial.Disagreement) in
            try run(&trial, steps: steps)
        }
    }
}
