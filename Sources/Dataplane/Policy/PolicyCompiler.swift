import NetTypes

/// Makes a `CompiledPolicy` of a `PolicySpec`.
///
/// Complexity: the number of intervals of all rules, times its logarithm. Equal sets of clauses are kept once, so memory goes with the number of *different* sets that
/// neighbouring intervals have.
struct PolicyCompiler {
    typealias Groups = (AddressGroupID) -> [IPPrefix]

    /// More memory than a policy may have: its rules overlap in too many ways.
    struct TooLarge: Error { var memoryBytes: Int }
    static let memoryLimit = 256 << 20

    private struct Clause: Hashable {
        var run: Int
        var remote: PolicyAddresses
        var local: PolicyAddresses
        /// Ranges of protocol << 16 | source port.
        var source: [ClosedRange<UInt32>]
    }

    private var clauses: [Clause] = []
    private var decisions: [CompiledPolicy.Decision] = []
    /// By clause: ranges of protocol << 16 | destination port.
    private var services: [[ClosedRange<UInt32>]] = []
    private let spec: PolicySpec
    private let groups: Groups
    private let memoryLimit: Int

    private init(_ spec: PolicySpec, _ memoryLimit: Int, _ groups: @escaping Groups) {
        self.spec = spec
        self.memoryLimit = memoryLimit
        self.groups = groups
        var numbers: [Clause: Int] = [:]
        var run = 0
        for (index, rule) in spec.rules.enumerated() {
            // Among neighbours of one action and mirror it does not matter which decides, unless somebody is told.
            if index > 0, !rule.isOneWith(spec.rules[index - 1]) { run += 1 }
            let clause = Clause(run: run, remote: rule.remote, local: rule.local, source: rule.service.sourceRanges)
            let number = numbers[clause] ?? clauses.count
            if number == clauses.count {
                numbers[clause] = number
                clauses.append(clause)
                decisions.append(.init(action: rule.action, mirror: rule.mirror, logs: rule.logs, rule: UInt32(clamping: index)))
                services.append([])
            }
            services[number] += rule.service.destinationRanges
        }
    }

    /// Owned by the caller, who calls `deallocate`.
    static func compile(
        _ spec: PolicySpec, generation: UInt32 = 0, memoryLimit: Int = memoryLimit, groups: @escaping Groups
    ) throws(TooLarge) -> CompiledPolicy {
        let compiler = PolicyCompiler(spec, memoryLimit, groups)
        return try compiler.compile(generation)
    }

    private func compile(_ generation: UInt32) throws(TooLarge) -> CompiledPolicy {
        var sets = ClauseSets(clauseCount: clauses.count)
        let remote = clauses.map { prefixes($0.remote) }, local = clauses.map { prefixes($0.local) }
        let isNarrow = clauses.contains { $0.local != .any || $0.source != [0...UInt32.max] }
        let remoteIPv4 = try sweep(remote.map { $0.compactMap(\.ipv4Range) }, &sets),
            remoteIPv6 = try sweep(remote.map { $0.compactMap(\.ipv6Range) }, &sets)
        let service = try sweep(services, &sets)
        let nothing: [[ClosedRange<UInt32>]] = [], nothing6: [[ClosedRange<UInt128>]] = []
        let localIPv4 = try sweep(isNarrow ? local.map { $0.compactMap(\.ipv4Range) } : nothing, &sets)
        let localIPv6 = try sweep(isNarrow ? local.map { $0.compactMap(\.ipv6Range) } : nothing6, &sets)
        let source = try sweep(isNarrow ? clauses.map(\.source) : nothing, &sets)
        let words = UnsafeMutablePointer<UInt64>.allocate(capacity: max(sets.words.count, 1))
        words.initialize(from: sets.words, count: sets.words.count)
        let clauseDecisions = UnsafeMutablePointer<CompiledPolicy.Decision>.allocate(capacity: max(decisions.count, 1))
        clauseDecisions.initialize(from: decisions, count: decisions.count)
        return CompiledPolicy(
            id: spec.id.rawValue, origin: spec.origin, generation: generation, byDefault: .init(action: spec.defaultAction), isNarrow: isNarrow,
            summaryWords: sets.summaryWords, clauseCount: clauses.count, wordCount: sets.words.count, decisions: clauseDecisions,
            mirrors: decisions.contains { $0.mirror != 0 }, words: words, remoteIPv4: IntervalMap(remoteIPv4),
            remoteIPv6: IntervalMap(remoteIPv6), localIPv4: IntervalMap(localIPv4), localIPv6: IntervalMap(localIPv6), service: IntervalMap(service),
            source: IntervalMap(source))
    }

    private func prefixes(_ addresses: PolicyAddresses) -> [IPPrefix] {
        switch addresses {
        case .any: [.everyIPv4, .everyIPv6]
        case .prefixes(let prefixes): prefixes
        case .group(let id): groups(id)
        }
    }

    /// Cuts the value space where the set of clauses changes. `ranges`: by clause.
    private func sweep<Key: FixedWidthInteger & UnsignedInteger>(
        _ ranges: [[ClosedRange<Key>]], _ sets: inout ClauseSets
    ) throws(TooLarge) -> [(start: Key, value: UInt32)] {
        var turns: [(at: Key, clause: Int)] = []
        for (clause, ranges) in ranges.enumerated() {
            for range in Self.merged(ranges) {
                turns.append((range.lowerBound, clause))
                if range.upperBound < .max { turns.append((range.upperBound + 1, clause)) }
            }
        }
        turns.sort { $0.at < $1.at }
        var bits = [UInt64](repeating: 0, count: (clauses.count + 63) / 64), hash: UInt64 = 0
        var out: [(start: Key, value: UInt32)] = []
        var next = 0
        if turns.first?.at != 0 { out.append((0, sets.intern(bits, hash: hash))) }
        while next < turns.count {
            let at = turns[next].at
            // Ranges of one clause do not touch: at every turn it comes in or goes out.
            while next < turns.count, turns[next].at == at {
                let clause = turns[next].clause
                bits[clause / 64] ^= 1 << UInt64(clause % 64)
                hash ^= Self.mix(clause)
                next += 1
            }
            let set = sets.intern(bits, hash: hash)
            if out.last?.value != set { out.append((at, set)) }
            if sets.words.count * 8 > memoryLimit { throw TooLarge(memoryBytes: sets.words.count * 8) }
        }
        return out
    }

    /// Sorted, without overlaps, and neighbours joined.
    private static func merged<Key: FixedWidthInteger & UnsignedInteger>(_ ranges: [ClosedRange<Key>]) -> [ClosedRange<Key>] {
        var out: [ClosedRange<Key>] = []
        for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if let last = out.last, last.upperBound == .max || range.lowerBound <= last.upperBound + 1 {
                out[out.count - 1] = last.lowerBound...max(last.upperBound, range.upperBound)
            } else {
                out.append(range)
            }
        }
        return out
    }

    /// A word for each clause, so that a set's hash is the sum of its elements' (Zobrist).
    private static func mix(_ clause: Int) -> UInt64 {
        var z = UInt64(clause &+ 1) &* 0x9E37_79B9_7F4A_7C15
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }
}

extension PolicyRule {
    fileprivate func isOneWith(_ other: PolicyRule) -> Bool { action == other.action && mirror == other.mirror && !logs && !other.logs }
}

extension PolicyService {
    private static func all(of proto: UInt8) -> ClosedRange<UInt32> { UInt32(proto) << 16...UInt32(proto) << 16 | 0xFFFF }

    /// Ranges of protocol << 16 | destination port, or type << 8 | code.
    var destinationRanges: [ClosedRange<UInt32>] {
        switch self {
        case .any: [0...UInt32.max]
        case .proto(let proto): [Self.all(of: proto)]
        case .ports(let proto, let destination, _): Self.ranges(proto, destination)
        case .icmp(let proto, let type?, let code?): [Self.one(proto, UInt16(type) << 8 | UInt16(code))]
        case .icmp(let proto, let type?, nil): Self.ranges(proto, [UInt16(type) << 8...UInt16(type) << 8 | 0xFF])
        case .icmp(let proto, nil, _): [Self.all(of: proto)]
        }
    }

    /// Ranges of protocol << 16 | source port; where source ports do not matter, everything, so that rules of several protocols can be one clause.
    var sourceRanges: [ClosedRange<UInt32>] {
        guard case .ports(let proto, _, let source) = self, !source.isEmpty else { return [0...UInt32.max] }
        return Self.ranges(proto, source)
    }

    private static func ranges(_ proto: UInt8, _ ports: [ClosedRange<UInt16>]) -> [ClosedRange<UInt32>] {
        ports.isEmpty ? [all(of: proto)] : ports.map { UInt32(proto) << 16 | UInt32($0.lowerBound)...UInt32(proto) << 16 | UInt32($0.upperBound) }
    }
    private static func one(_ proto: UInt8, _ port: UInt16) -> ClosedRange<UInt32> {
        UInt32(proto) << 16 | UInt32(port)...UInt32(proto) << 16 | UInt32(port)
    }
}

extension IPPrefix {
    static let everyIPv4 = IPPrefix(masking: .v4(IPv4Address(rawValue: 0)), length: 0).unsafelyUnwrapped
    static let everyIPv6 = IPPrefix(masking: .v6(.any), length: 0).unsafelyUnwrapped

    /// Nil: of the other family.
    var ipv4Range: ClosedRange<UInt32>? {
        guard case .v4(let address) = address else { return nil }
        return address.rawValue...address.rawValue | (length == 32 ? 0 : UInt32.max >> UInt32(length))
    }
    var ipv6Range: ClosedRange<UInt128>? {
        guard case .v6(let address) = address else { return nil }
        let first = address.number
        return first...first | (length == 128 ? 0 : UInt128.max >> UInt128(length))
    }
}

extension IPv6Address {
    var number: UInt128 { UInt128(high) << 64 | UInt128(low) }
}
