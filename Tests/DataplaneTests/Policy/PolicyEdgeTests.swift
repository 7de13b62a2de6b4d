import NetTypes
import Testing

@testable import Dataplane

/// Packets at the edges of what rules name: where compiled intervals begin and end. They are decided right, and cost no more than others.
@Suite("Policies: the edges of ranges and prefixes") struct PolicyEdgeTests {
    /// What one evaluation does, counted as `CompiledPolicy.evaluate` goes about it: probes of binary searches, words of summaries, words of sets.
    private struct Work: Equatable {
        var probes = 0, summaries = 0, words = 0

        private func probes(_ count: Int) -> Int {
            var left = count, probes = 0
            while left > 1 {
                left -= left / 2
                probes += 1
            }
            return probes
        }

        init(_ policy: CompiledPolicy, _ query: CompiledPolicy.Query) {
            let remote = query.isIPv4 ? policy.remoteIPv4.lookup(UInt32(query.remote)) : policy.remoteIPv6.lookup(query.remote)
            probes = probes(query.isIPv4 ? policy.remoteIPv4.count : policy.remoteIPv6.count) + probes(policy.service.count)
            var sets = [remote, policy.service.lookup(UInt32(query.proto) << 16 | UInt32(query.destinationPort))]
            if policy.isNarrow {
                sets.append(query.isIPv4 ? policy.localIPv4.lookup(UInt32(query.local)) : policy.localIPv6.lookup(query.local))
                sets.append(policy.source.lookup(UInt32(query.proto) << 16 | UInt32(query.sourcePort)))
                probes += probes(query.isIPv4 ? policy.localIPv4.count : policy.localIPv6.count) + probes(policy.source.count)
            }
            for summary in 0..<policy.summaryWords {
                summaries += 1
                var common = sets.reduce(UInt64.max) { $0 & policy.words[Int($1) + summary] }
                while common != 0 {
                    words += 1
                    let bit = UInt64(common.trailingZeroBitCount)
                    let all = sets.reduce(UInt64.max) { all, set in
                        let start = Int(set), before = (0..<summary).reduce(0) { $0 + policy.words[start + $1].nonzeroBitCount }
                        let place = before + (policy.words[start + summary] & ((1 << bit) - 1)).nonzeroBitCount
                        return all & policy.words[start + policy.summaryWords + place]
                    }
                    if all != 0 { return }
                    common &= common - 1
                }
            }
        }
    }

    /// A port and a range's ends with what is beside them.
    private static func edges(_ ranges: [ClosedRange<UInt16>]) -> Set<UInt16> {
        Set(ranges.flatMap { [$0.lowerBound &- 1, $0.lowerBound, $0.upperBound, $0.upperBound &+ 1] })
    }

    private static func edges(_ prefixes: [IPPrefix]) -> Set<UInt32> {
        Set(
            prefixes.flatMap { prefix -> [UInt32] in
                guard case .v4(let address) = prefix.address else { return [] }
                let last = address.rawValue | (prefix.length == 0 ? .max : ~(UInt32.max << UInt32(32 - prefix.length)))
                return [address.rawValue &- 1, address.rawValue, last, last &+ 1]
            })
    }

    @Test("A thousand rules over a hundred groups: right at every edge, within the bound, and no dearer than anywhere") func bounded() throws {
        var random = PolicyCompilerTests.Random(state: 4)
        let groups = Dictionary(
            uniqueKeysWithValues: (0..<100).map { id in
                (
                    AddressGroupID(UInt32(id)),
                    (0..<20).map { _ in
                        PolicyCompilerTests.ipv4(
                            0x0A00_0000 | UInt32.random(in: 0..<65_536, using: &random), [32, 32, 31, 28, 24].randomElement(using: &random)!)
                    }
                )
            })
        func range() -> ClosedRange<UInt16> {
            // Some at the ends of all ports.
            let choices: [UInt16] = [0, 65_535, UInt16.random(in: 0...65_535, using: &random), UInt16.random(in: 0...65_535, using: &random)]
            let first = choices[Int.random(in: 0..<4, using: &random)], length = UInt16.random(in: 0...300, using: &random)
            return first...(first + min(UInt16.max - first, length))
        }
        var rules: [PolicyRule] = []
        for number in 0..<1000 {
            let sources: [ClosedRange<UInt16>] = number % 40 == 3 ? [range()] : []
            let service = PolicyService.ports(proto: number % 2 == 0 ? 6 : 17, destination: [range()], source: sources)
            let local: PolicyAddresses = number % 50 == 7 ? .prefixes([PolicyCompilerTests.ipv4(0x0A63_0000, 24)]) : .any
            let action: PolicyAction = number % 3 == 0 ? .deny : .pass
            rules.append(PolicyRule(action: action, remote: .group(AddressGroupID(UInt32(number % 100))), local: local, service: service))
        }
        for narrow in [false, true] {
            let rules: [PolicyRule] =
                narrow ? rules : rules.map { PolicyRule(action: $0.action, remote: $0.remote, service: destinations($0.service)) }
            let spec = PolicySpec(id: PolicyID(1), name: "edges", rules: rules)
            let policy = try PolicyCompiler.compile(spec) { groups[$0] ?? [] }
            defer { policy.deallocate() }
            var ports: Set<UInt16> = [], sources: Set<UInt16> = [40_000]
            for case .ports(_, let destination, let source) in rules.map(\.service) {
                ports.formUnion(Self.edges(destination))
                sources.formUnion(Self.edges(source))
            }
            let clients = groups.values.map(Self.edges).reduce(into: Set<UInt32>()) { $0.formUnion($1) }
            let locals = Self.edges([PolicyCompilerTests.ipv4(0x0A63_0000, 24)])
            let some = (ports.sorted(), sources.sorted(), clients.sorted(), locals.sorted())
            // As many words as clauses need, each looked at once at most, and the probes of a binary search: whatever comes.
            let bound = (policy.clauseCount + 63) / 64
            let depth = { (count: Int) in Int.bitWidth - max(count - 1, 0).leadingZeroBitCount }
            var probeBound = depth(policy.remoteIPv4.count) + depth(policy.service.count)
            if narrow { probeBound += depth(policy.localIPv4.count) + depth(policy.source.count) }
            var worst = (edges: Work(policy, PolicyCompilerTests.query(6, from: "10.0.0.1", port: 1)), random: 0), passed = 0
            for number in 0..<20_000 {
                let query = CompiledPolicy.Query(
                    isIPv4: true, proto: number % 2 == 0 ? 6 : 17, remote: UInt128(some.2.randomElement(using: &random)!),
                    local: UInt128(some.3.randomElement(using: &random)!), sourcePort: some.1.randomElement(using: &random)!,
                    destinationPort: some.0.randomElement(using: &random)!)
                let action = policy.evaluate(query), work = Work(policy, query)
                if number % 20 == 0 { #expect(action == PolicyCompilerTests.slow(spec, query, groups)) }
                passed += action == .pass ? 1 : 0
                #expect(work.words <= bound && work.summaries == policy.summaryWords && work.probes <= probeBound)
                worst.edges.words = max(worst.edges.words, work.words)
                worst.edges.probes = max(worst.edges.probes, work.probes)
                var other = query
                other.remote = UInt128(0x0A00_0000 | UInt32.random(in: 0..<65_536, using: &random))
                other.destinationPort = UInt16.random(in: 0...65_535, using: &random)
                worst.random = max(worst.random, Work(policy, other).probes)
            }
            #expect(worst.edges.probes == worst.random, "edges are searched for as anything else is")
            #expect(passed > 0)
        }
    }

    private func destinations(_ service: PolicyService) -> PolicyService {
        if case .ports(let proto, let destination, _) = service { .ports(proto: proto, destination: destination, source: []) } else { service }
    }
}
