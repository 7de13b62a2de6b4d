public import NetTypes
import Synchronization

// Translations, and the flows that a change of them ends.
extension Router {
    struct NATRules {
        var specs: [NATRuleID: NATRuleSpec] = [:]
        /// What is translated, and by which rule: no two rules speak for one thing.
        var owners: [Subject: NATRuleID] = [:]
        /// Which backend, by its place in the rule's list, has which bucket, and the number that each backend has had since it came.
        var shares: [NATRuleID: Shares] = [:]
        /// VRFs whose flows are to be looked at again.
        var touched: Set<VRFID> = []
        var isStale = false

        enum Subject: Hashable {
            case all(VRFID, IPAddress)
            case port(VRFID, IPAddress, UInt8, UInt16)
            /// By the first port; ranges are checked against each other besides.
            case range(VRFID, IPAddress, UInt16)
            case source(VRFID, IPPrefix)
        }
        struct Shares {
            var buckets: [NextHop.Member] = []
            var numbers: [NATRuleSpec.Backend: UInt32] = [:]
            var next: UInt32 = 0
        }
        /// Port ranges of an address.
        var ranges: [VRFID: [IPAddress: [NATRuleID: ClosedRange<UInt16>]]] = [:]
    }

    // MARK: Objects

    func upsert(_ spec: NATRuleSpec, _ state: inout State) -> RouterOutcome {
        let what = "NAT rule \(spec.id) (\(spec.name))"
        let old = state.nat.specs[spec.id]
        if old == spec { return .ok }
        guard old != nil || state.nat.specs.count < Self.natCapacity else { return .tableFull("\(what): the table holds \(Self.natCapacity) rules") }
        if let refusal = refusal(spec, what, state) { return refusal }
        if let owner = state.nat.owners[spec.subject], owner != spec.id {
            return .inUse("\(what): rule \(owner) (\(state.nat.specs[owner]?.name ?? "")) translates the same already; change or delete that one")
        }
        if case .destination(let rule) = spec.kind, case .range(let range) = rule.match,
            let other = state.nat.ranges[rule.vrf]?[rule.address]?.first(where: { $0.key != spec.id && $0.value.overlaps(range) })
        {
            return .inUse("\(what): ports \(range.lowerBound)-\(range.upperBound) overlap those of rule \(other.key)")
        }
        unlink(old, &state)
        link(spec, &state)
        return .ok
    }

    /// A rule is a few hundred octets here and some dozens in the workers' table.
    static var natCapacity: Int { 1 << 18 }

    func deleteNATRule(_ id: NATRuleID, _ state: inout State) -> RouterOutcome {
        guard let spec = state.nat.specs[id] else { return .notFound("NAT rule \(id): does not exist") }
        unlink(spec, &state)
        state.nat.shares[id] = nil
        return .ok
    }

    private func refusal(_ spec: NATRuleSpec, _ what: String, _ state: State) -> RouterOutcome? {
        if let missing = spec.vrfs.first(where: { state.vrfs[$0] == nil }) {
            return .notFound("\(what): VRF \(missing) does not exist; create it first")
        }
        switch spec.kind {
        case .destination(let rule):
            guard rule.backends.count <= NATRuleSpec.Destination.backendCapacity else {
                return .tableFull("\(what): \(rule.backends.count) backends; a rule has \(NATRuleSpec.Destination.backendCapacity) at most")
            }
            guard Set(rule.backends).count == rule.backends.count else { return .invalid("\(what): a backend is listed twice") }
            if rule.address.isMulticast { return .invalid("\(what): \(rule.address) is a group's address, and those are not translated") }
            if case .port(let proto, _) = rule.match, proto != IPProtocol.tcp.rawValue, proto != IPProtocol.udp.rawValue {
                return .invalid("\(what): ports of protocol \(proto) are not translated; those of TCP (6) and UDP (17) are")
            }
            for backend in rule.backends {
                if let address = backend.address, address.isIPv4 != rule.address.isIPv4 {
                    return .invalid("\(what): backend \(address) is of another family than \(rule.address)")
                }
                if backend.port != nil {
                    guard case .port = rule.match else { return .invalid("\(what): a backend's port goes with one port that is translated") }
                }
                if backend.vrf == rule.vrf, (backend.address ?? rule.address) == rule.address, backend.port == nil {
                    return .invalid("\(what): a backend is where the packet is already; give another address, port or VRF")
                }
            }
        case .source(let rule):
            guard rule.address.isIPv4 == rule.prefix.isIPv4 else {
                return .invalid("\(what): \(rule.address) is of another family than \(rule.prefix)")
            }
            if rule.address.isMulticast { return .invalid("\(what): \(rule.address) is a group's address, and nobody's source") }
            guard rule.vrf != rule.outside else { return .invalid("\(what): the outside VRF is the VRF itself") }
            guard rule.ports != nil || rule.prefix.isHost else {
                return .invalid("\(what): hosts of \(rule.prefix) can share \(rule.address) only by its ports; give ports, or a host's prefix")
            }
        }
        return nil
    }

    private func unlink(_ spec: NATRuleSpec?, _ state: inout State) {
        guard let spec else { return }
        state.nat.specs[spec.id] = nil
        state.nat.owners[spec.subject] = nil
        if case .destination(let rule) = spec.kind { state.nat.ranges[rule.vrf]?[rule.address]?[spec.id] = nil }
        touch(spec, &state)
        for vrf in Set(spec.vrfs) { tables.countFlowVif(vrf: vrf.rawValue, by: -1) }
    }

    private func link(_ spec: NATRuleSpec, _ state: inout State) {
        state.nat.specs[spec.id] = spec
        state.nat.owners[spec.subject] = spec.id
        if case .destination(let rule) = spec.kind {
            if case .range(let range) = rule.match { state.nat.ranges[rule.vrf, default: [:]][rule.address, default: [:]][spec.id] = range }
            share(rule, spec.id, &state)
        }
        touch(spec, &state)
        // Packets of these VRFs that come out of tunnels are looked up too.
        for vrf in Set(spec.vrfs) { tables.countFlowVif(vrf: vrf.rawValue, by: 1) }
    }

    private func touch(_ spec: NATRuleSpec, _ state: inout State) {
        state.nat.isStale = true
        switch spec.kind {
        case .destination(let rule): state.nat.touched.insert(rule.vrf)
        case .source(let rule): state.nat.touched.insert(rule.vrf)
        }
    }

    /// Gives the backends that take new flows their buckets, with as little change as can be.
    private func share(_ rule: NATRuleSpec.Destination, _ id: NATRuleID, _ state: inout State) {
        var shares = state.nat.shares[id] ?? NATRules.Shares()
        func identity(_ backend: NATRuleSpec.Backend) -> NATRuleSpec.Backend {
            var backend = backend
            backend.isDraining = false
            return backend
        }
        let listed = Set(rule.backends.map(identity))
        shares.numbers = shares.numbers.filter { listed.contains($0.key) }
        for backend in rule.backends.map(identity) where shares.numbers[backend] == nil {
            shares.numbers[backend] = shares.next
            shares.next &+= 1
        }
        let members = rule.backends.filter { !$0.isDraining }.map {
            NextHop.Member(nextHop: shares.numbers[identity($0)] ?? 0, label: Packet.noLabel)
        }
        shares.buckets =
            members.count > 1 ? ECMPBuckets.assign(members, previous: shares.buckets.count > 1 ? shares.buckets : []) : members
        state.nat.shares[id] = shares
    }

    // MARK: At the end of a batch

    func compileNAT(_ state: inout State) {
        guard state.nat.isStale else { return }
        state.nat.isStale = false
        let rules = state.nat.specs.values.sorted { $0.id < $1.id }
        guard !rules.isEmpty else { return tables.nat.publish(nil) }
        let known = state.nat
        tables.nat.publish(
            NATCompiler.compile(
                rules,
                buckets: { id in
                    guard case .destination(let rule)? = known.specs[id]?.kind, let shares = known.shares[id] else { return [] }
                    // From numbers to places in the list.
                    var places: [UInt32: UInt32] = [:]
                    for (place, backend) in rule.backends.enumerated() {
                        var backend = backend
                        backend.isDraining = false
                        if let number = shares.numbers[backend] { places[number] = UInt32(place) }
                    }
                    return shares.buckets.map { NextHop.Member(nextHop: places[$0.nextHop] ?? 0, label: $0.label) }
                }, seed: tables.nat.seed))
    }

    /// Ends the flows that would not be made as they are any more, and no others: their next packets make new ones.
    func endUntranslatable(_ state: inout State) {
        guard !state.nat.touched.isEmpty else { return }
        var touched = state.nat.touched
        state.nat.touched.removeAll()
        // Who leaves by a VRF in which destinations are translated.
        for case .source(let rule) in state.nat.specs.values.map(\.kind) where touched.contains(rule.outside) { touched.insert(rule.vrf) }
        tables.quiescence.synchronize()
        let touchedVRFs = MarkedNumbers(touched.map(\.rawValue), capacity: tables.vrfCapacity)
        let nat = tables.nat.load()
        tables.readingFlows { flows in
            var next = flows.firstLive(from: 1)
            while let index = next {
                next = flows.firstLive(from: index + 1)
                let entry = flows.entry(index)
                guard entry.isForward, !entry.flags.contains(.programmed) else { continue }
                let key = entry.copy().key
                guard touchedVRFs.contains(key.vrf) else { continue }
                let current = entry.flags.contains(.translates) ? flows.entry(entry.reverse).copy().key.reversed : key
                let back = nat.flatMap { key == current && entry.reverse != index ? tables.returnVRF($0, key) : nil } ?? current.vrf
                let isBack = !entry.flags.contains(.translates) || key != current || flows.entry(entry.reverse).translation.vrf == back
                if tables.stillHolds(nat, key, current), isBack { continue }
                _ = remove(index, nil, from: flows)
            }
        }
    }

    func natRule(using vrf: VRFID, _ state: State) -> NATRuleSpec? { state.nat.specs.values.filter { $0.vrfs.contains(vrf) }.min { $0.id < $1.id } }

    // MARK: Reading

    public func natRules(after: NATRuleID?, limit: Int) -> [NATRuleSpec] { state.withLock { page($0.nat.specs, after, limit).map(\.1) } }
}

extension NATRuleSpec {
    var vrfs: [VRFID] {
        switch kind {
        case .destination(let rule): [rule.vrf] + rule.backends.map(\.vrf)
        case .source(let rule): [rule.vrf, rule.outside]
        }
    }

    var subject: Router.NATRules.Subject {
        switch kind {
        case .destination(let rule):
            switch rule.match {
            case .all: .all(rule.vrf, rule.address)
            case .port(let proto, let port): .port(rule.vrf, rule.address, proto, port)
            case .range(let range): .range(rule.vrf, rule.address, range.lowerBound)
            }
        case .source(let rule): .source(rule.vrf, rule.prefix)
        }
    }
}
