import NetTypes
import Testing

@testable import Dataplane

@Suite("Policies: compiled rules decide as written ones") struct PolicyCompilerTests {
    /// A small generator of its own: the same cases on every machine.
    struct Random: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return (state >> 33) << 32 | (state &* 0x9E37_79B9_7F4A_7C15) >> 32
        }
    }

    static func ipv4(_ a: UInt32, _ length: Int) -> IPPrefix { IPPrefix(masking: .v4(IPv4Address(rawValue: a)), length: length)! }
    static func query(_ proto: UInt8, from remote: String, to local: String = "10.0.0.1", source: UInt16 = 40_000, port: UInt16)
        -> CompiledPolicy.Query
    {
        func number(_ text: String) -> UInt128 {
            switch IPAddress(text)! {
            case .v4(let a): UInt128(a.rawValue);
            case .v6(let a): a.number
            }
        }
        return CompiledPolicy.Query(
            isIPv4: IPAddress(remote)!.isIPv4, proto: proto, remote: number(remote), local: number(local), sourcePort: source, destinationPort: port)
    }

    static func action(_ spec: PolicySpec, _ query: CompiledPolicy.Query, groups: [AddressGroupID: [IPPrefix]] = [:]) throws -> PolicyAction {
        let policy = try PolicyCompiler.compile(spec) { groups[$0] ?? [] }
        defer { policy.deallocate() }
        return policy.evaluate(query)
    }

    @Test("Nothing matches an empty policy: the default action holds") func empty() throws {
        #expect(try Self.action(PolicySpec(id: PolicyID(1), name: "e"), Self.query(6, from: "10.1.1.1", port: 80)) == .deny)
        #expect(
            try Self.action(
                PolicySpec(id: PolicyID(1), name: "e", defaultAction: .pass), Self.query(6, from: "2001:db8::1", to: "2001:db8::2", port: 80))
                == .pass)
    }

    @Test("A group, a range of ports and both of their ends") func security() throws {
        let group = AddressGroupID(7)
        let spec = PolicySpec(
            id: PolicyID(1), name: "web",
            rules: [
                PolicyRule(remote: .group(group), service: .ports(proto: 6, destination: [80...89, 443...443], source: [])),
                PolicyRule(remote: .prefixes([Self.ipv4(0x0A02_0000, 16)]), service: .proto(17)),
                PolicyRule(remote: .prefixes([IPPrefix("2001:db8::/32")!]), service: .icmp(proto: 58, type: 128, code: nil)),
            ])
        let groups = [group: [Self.ipv4(0x0A01_0104, 32), IPPrefix("2001:db8:1::5")!]]
        func decide(_ query: CompiledPolicy.Query) throws -> PolicyAction { try Self.action(spec, query, groups: groups) }
        #expect(try decide(Self.query(6, from: "10.1.1.4", port: 80)) == .pass)
        #expect(try decide(Self.query(6, from: "10.1.1.4", port: 89)) == .pass)
        #expect(try decide(Self.query(6, from: "10.1.1.4", port: 90)) == .deny)
        #expect(try decide(Self.query(6, from: "10.1.1.4", port: 79)) == .deny)
        #expect(try decide(Self.query(6, from: "10.1.1.5", port: 80)) == .deny)
        #expect(try decide(Self.query(6, from: "10.1.1.3", port: 80)) == .deny)
        #expect(try decide(Self.query(17, from: "10.1.1.4", port: 80)) == .deny)
        #expect(try decide(Self.query(6, from: "2001:db8:1::5", to: "2001:db8::9", port: 443)) == .pass)
        #expect(try decide(Self.query(17, from: "10.2.255.255", port: 53)) == .pass)
        #expect(try decide(Self.query(17, from: "10.3.0.0", port: 53)) == .deny)
        // ICMPv6 echo request, code 0 and 3; then a redirect (137).
        #expect(try decide(Self.query(58, from: "2001:db8::7", to: "2001:db8::9", port: 128 << 8)) == .pass)
        #expect(try decide(Self.query(58, from: "2001:db8::7", to: "2001:db8::9", port: 128 << 8 | 3)) == .pass)
        #expect(try decide(Self.query(58, from: "2001:db8::7", to: "2001:db8::9", port: 137 << 8)) == .deny)
    }

    @Test("The first of an ordered list decides, whatever stands behind it") func order() throws {
        let web = PolicyService.ports(proto: 6, destination: [80...80], source: [])
        let spec = PolicySpec(
            id: PolicyID(1), name: "ordered", origin: .networkPolicy,
            rules: [
                PolicyRule(action: .deny, remote: .prefixes([Self.ipv4(0x0A01_0100, 24)]), service: web),
                PolicyRule(action: .pass, remote: .prefixes([Self.ipv4(0x0A01_0000, 16)]), service: web),
                PolicyRule(action: .deny, remote: .any, service: web),
            ], defaultAction: .pass)
        #expect(try Self.action(spec, Self.query(6, from: "10.1.1.200", port: 80)) == .deny)
        #expect(try Self.action(spec, Self.query(6, from: "10.1.2.200", port: 80)) == .pass)
        #expect(try Self.action(spec, Self.query(6, from: "10.2.2.200", port: 80)) == .deny)
        #expect(try Self.action(spec, Self.query(6, from: "10.2.2.200", port: 81)) == .pass)
    }

    @Test("Local addresses and source ports narrow a rule") func narrow() throws {
        let spec = PolicySpec(
            id: PolicyID(1), name: "narrow",
            rules: [
                PolicyRule(
                    remote: .any, local: .prefixes([Self.ipv4(0x0A00_0002, 32)]),
                    service: .ports(proto: 17, destination: [], source: [53...53, 1024...2047])),
                PolicyRule(service: .ports(proto: 6, destination: [22...22], source: [])),
            ])
        #expect(try Self.action(spec, Self.query(17, from: "10.1.1.1", to: "10.0.0.2", source: 53, port: 9)) == .pass)
        #expect(try Self.action(spec, Self.query(17, from: "10.1.1.1", to: "10.0.0.2", source: 2047, port: 9)) == .pass)
        #expect(try Self.action(spec, Self.query(17, from: "10.1.1.1", to: "10.0.0.2", source: 2048, port: 9)) == .deny)
        #expect(try Self.action(spec, Self.query(17, from: "10.1.1.1", to: "10.0.0.3", source: 53, port: 9)) == .deny)
        #expect(try Self.action(spec, Self.query(6, from: "10.1.1.1", to: "10.0.0.3", source: 53, port: 22)) == .pass)
    }

    /// Rules over few addresses and ports, so that they overlap in every way.
    static func randomPolicy(_ random: inout Random, rules: Int, groups: Int) -> PolicySpec {
        func addresses() -> PolicyAddresses {
            switch Int.random(in: 0..<6, using: &random) {
            case 0: return .any
            case 1, 2: return .group(AddressGroupID(UInt32.random(in: 0..<UInt32(groups), using: &random)))
            default:
                return .prefixes(
                    (0..<Int.random(in: 1...3, using: &random)).map { _ in
                        Bool.random(using: &random)
                            ? ipv4(0x0A00_0000 | UInt32.random(in: 0..<1024, using: &random), Int.random(in: 20...32, using: &random))
                            : IPPrefix(
                                masking: .v6(IPv6Address(high: 0x2001_0DB8_0000_0000, low: UInt64.random(in: 0..<1024, using: &random))),
                                length: Int.random(in: 110...128, using: &random))!
                    })
            }
        }
        func ports() -> [ClosedRange<UInt16>] {
            (0..<Int.random(in: 0...2, using: &random)).map { _ in
                let first = UInt16.random(in: 0..<64, using: &random)
                return first...(Bool.random(using: &random) ? first : UInt16.random(in: first...80, using: &random))
            }
        }
        return PolicySpec(
            id: PolicyID(1), name: "random",
            rules: (0..<rules).map { _ in
                let service: PolicyService =
                    switch Int.random(in: 0..<8, using: &random) {
                    case 0: .any
                    case 1: .proto(Bool.random(using: &random) ? 6 : 17)
                    case 2: .icmp(proto: 1, type: Bool.random(using: &random) ? 8 : nil, code: Bool.random(using: &random) ? 0 : nil)
                    case 3: .ports(proto: 17, destination: ports(), source: ports())
                    default: .ports(proto: 6, destination: ports(), source: [])
                    }
                return PolicyRule(
                    action: Int.random(in: 0..<4, using: &random) == 0 ? .deny : .pass, remote: addresses(),
                    local: Int.random(in: 0..<4, using: &random) == 0 ? addresses() : .any, service: service)
            }, defaultAction: Bool.random(using: &random) ? .pass : .deny)
    }

    static func randomQuery(_ random: inout Random) -> CompiledPolicy.Query {
        let isIPv4 = Bool.random(using: &random)
        func address() -> UInt128 {
            let low = UInt32.random(in: 0..<1100, using: &random)
            return isIPv4 ? UInt128(0x0A00_0000 | low) : UInt128(0x2001_0DB8_0000_0000) << 64 | UInt128(low)
        }
        let proto: UInt8 = [6, 17, 1, 47].randomElement(using: &random)!
        return CompiledPolicy.Query(
            isIPv4: isIPv4, proto: proto, remote: address(), local: address(), sourcePort: UInt16.random(in: 0..<82, using: &random),
            destinationPort: proto == 1
                ? UInt16.random(in: 0..<12, using: &random) << 8 | UInt16.random(in: 0..<2, using: &random)
                : UInt16.random(in: 0..<82, using: &random))
    }

    /// The third opinion: a rule's conditions written out once more, without prefix or range types.
    static func slow(_ spec: PolicySpec, _ q: CompiledPolicy.Query, _ groups: [AddressGroupID: [IPPrefix]]) -> PolicyAction {
        func isIn(_ prefix: IPPrefix, _ address: UInt128) -> Bool {
            switch prefix.address {
            case .v4(let a):
                return q.isIPv4
                    && (prefix.length == 0
                        || UInt32(a.rawValue) >> UInt32(32 - prefix.length) == UInt32(truncatingIfNeeded: address) >> UInt32(32 - prefix.length))
            case .v6(let a):
                return !q.isIPv4 && (prefix.length == 0 || a.number >> UInt128(128 - prefix.length) == address >> UInt128(128 - prefix.length))
            }
        }
        func holds(_ addresses: PolicyAddresses, _ address: UInt128) -> Bool {
            switch addresses {
            case .any: true
            case .prefixes(let list): list.contains { isIn($0, address) }
            case .group(let id): (groups[id] ?? []).contains { isIn($0, address) }
            }
        }
        func between(_ list: [ClosedRange<UInt16>], _ port: UInt16) -> Bool {
            list.isEmpty || list.contains { port >= $0.lowerBound && port <= $0.upperBound }
        }
        for rule in spec.rules where holds(rule.remote, q.remote) && holds(rule.local, q.local) {
            switch rule.service {
            case .any: return rule.action
            case .proto(let p): if p == q.proto { return rule.action }
            case .ports(let p, let d, let s): if p == q.proto, between(d, q.destinationPort), between(s, q.sourcePort) { return rule.action }
            case .icmp(let p, let type, let code):
                let isType = type == nil || UInt16(type!) == q.destinationPort / 256
                let isCode = type == nil || code == nil || UInt16(code!) == q.destinationPort % 256
                if p == q.proto, isType, isCode { return rule.action }
            }
        }
        return spec.defaultAction
    }

    @Test("Compiled, explained and slow agree on random policies and packets") func differential() throws {
        var random = Random(state: 20261121)
        var passed = 0, asked = 0
        for round in 0..<200 {
            let groups = Dictionary(
                uniqueKeysWithValues: (0..<8).map { id in
                    (
                        AddressGroupID(UInt32(id)),
                        (0..<Int.random(in: 0...6, using: &random)).map { _ in
                            Self.ipv4(0x0A00_0000 | UInt32.random(in: 0..<1024, using: &random), 32)
                        }
                    )
                })
            let spec = Self.randomPolicy(&random, rules: round < 190 ? round / 4 : 400, groups: 8)
            let policy = try PolicyCompiler.compile(spec) { groups[$0] ?? [] }
            defer { policy.deallocate() }
            for _ in 0..<500 {
                let query = Self.randomQuery(&random)
                let action = policy.evaluate(query)
                #expect(action == Self.slow(spec, query, groups))
                #expect(action == spec.decide(query, groups: { groups[$0] ?? [] }).action)
                passed += action == .pass ? 1 : 0
                asked += 1
            }
        }
        #expect(passed > asked / 5 && passed < asked * 4 / 5)
    }

    @Test("Ten thousand rules over a thousand groups take less than 10 MB") func size() throws {
        var random = Random(state: 7)
        let groups = Dictionary(
            uniqueKeysWithValues: (0..<1000).map { id in
                (AddressGroupID(UInt32(id)), (0..<20).map { _ in Self.ipv4(0x0A00_0000 | UInt32.random(in: 0..<20_000, using: &random), 32) })
            })
        func spec(ordered: Bool) -> PolicySpec {
            PolicySpec(
                id: PolicyID(1), name: "large",
                rules: (0..<10_000).map { index in
                    let port = UInt16.random(in: 1...60_000, using: &random)
                    let range = index % 10 == 0 ? port...min(port + 99, 65_535) : port...port
                    return PolicyRule(
                        action: ordered && index % 2 == 0 ? .deny : .pass, remote: .group(AddressGroupID(UInt32(index % 1000))),
                        service: .ports(proto: 6, destination: [range], source: []))
                })
        }
        for ordered in [false, true] {
            let policy = try PolicyCompiler.compile(spec(ordered: ordered)) { groups[$0] ?? [] }
            defer { policy.deallocate() }
            #expect(policy.clauseCount == (ordered ? 10_000 : 1000))
            #expect(policy.memoryBytes < 10_000_000, "\(policy.memoryBytes)")
        }
    }
}
