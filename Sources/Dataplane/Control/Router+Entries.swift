import NetTypes

// Bridge entries, labels, VNIs and flows.
extension Router {
    func upsert(_ spec: BridgeEntrySpec, _ state: inout State) -> RouterOutcome {
        let what = "bridge entry \(spec.mac)"
        guard state.vrfs[spec.vrf] != nil else { return .notFound("\(what): VRF \(spec.vrf) does not exist; create it first") }
        guard state.nextHops[spec.nextHop] != nil else { return .notFound("\(what): next hop \(spec.nextHop) does not exist; create it first") }
        guard spec.mac != .zero else { return .invalid("\(what): is not an address") }
        // A group leads to its members, or nowhere; a station never to a group's.
        let nextHop = state.nextHops[spec.nextHop]
        guard spec.mac.isMulticast ? nextHop?.isMulticast == true || nextHop?.kind == .discard : nextHop?.isMulticast == false else {
            return spec.mac.isMulticast
                ? .invalid("\(what): a group address leads to a multicast next hop or to discard; next hop \(spec.nextHop) is neither")
                : .invalid("\(what): next hop \(spec.nextHop) is a multicast next hop, and the address is not a group's")
        }
        if let label = spec.label, label > VNI.maximum { return .invalid("\(what): label \(label) is larger than 24 bits") }
        var old = tables.bridge.entry(vrf: spec.vrf.rawValue, mac: spec.mac.rawValue)
        if configuration.bridgeCapacity > 0, old == nil, tables.bridge.count >= configuration.bridgeCapacity {
            return full(what, "bridge", configuration.bridgeCapacity, "bridgeEntries")
        }
        guard
            tables.bridge.insert(
                vrf: spec.vrf.rawValue, mac: spec.mac.rawValue, nextHop: spec.nextHop.rawValue, label: spec.label ?? Packet.noLabel,
                cookie: spec.cookie)
        else { return .tableFull("\(what): the bridge table is full (\(tables.bridge.count) entries)") }
        // What was learned is a program's from now on; it referred to nothing.
        if state.learning.forget(spec.vrf, spec.mac) { old = nil }
        reference(spec.nextHop)
        if let old { dereference(NextHopID(old.nextHop)) }
        return .ok
    }

    func deleteBridgeEntry(_ vrf: VRFID, _ mac: MACAddress, _ state: inout State) -> RouterOutcome {
        guard let old = tables.bridge.entry(vrf: vrf.rawValue, mac: mac.rawValue), tables.bridge.remove(vrf: vrf.rawValue, mac: mac.rawValue) else {
            return .notFound("bridge entry \(mac) in VRF \(vrf): does not exist")
        }
        if !state.learning.forget(vrf, mac) { dereference(NextHopID(old.nextHop)) }
        return .ok
    }

    func upsert(_ spec: LabelSpec, _ state: inout State) -> RouterOutcome {
        guard (Label.firstUnreserved...Label.maximum).contains(spec.label.rawValue) else {
            return .invalid("label \(spec.label): is not within \(Label.firstUnreserved) to \(Label.maximum)")
        }
        return bind(
            tables.labels, spec.label.rawValue, spec.nextHop, spec.cookie, "label \(spec.label)", configuration.labelCapacity, "labels", &state)
    }

    func upsert(_ spec: VNISpec, _ state: inout State) -> RouterOutcome {
        guard (1...VNI.maximum).contains(spec.vni.rawValue) else { return .invalid("VNI \(spec.vni): is not within 1 to \(VNI.maximum)") }
        return bind(tables.vnis, spec.vni.rawValue, spec.nextHop, spec.cookie, "VNI \(spec.vni)", configuration.vniCapacity, "vnis", &state)
    }

    /// Names the limit, and what raises it.
    func full(_ what: String, _ table: String, _ capacity: Int, _ option: String) -> RouterOutcome {
        .tableFull("\(what): the \(table) table holds \(capacity) entries and is full; raise capacities.\(option) in vrouter.yaml")
    }

    private func bind(
        _ table: IndexTable, _ key: UInt32, _ nextHop: NextHopID, _ cookie: UInt64, _ what: String, _ capacity: Int, _ option: String,
        _ state: inout State
    ) -> RouterOutcome {
        guard state.nextHops[nextHop] != nil else { return .notFound("\(what): next hop \(nextHop) does not exist; create it first") }
        let old = table.lookup(key)
        if capacity > 0, old == IndexTable.none, table.count >= capacity { return full(what, option == "vnis" ? "VNI" : "label", capacity, option) }
        guard table.set(key, nextHop: nextHop.rawValue, cookie: cookie) else { return .invalid("\(what): is out of range") }
        reference(nextHop)
        if old != IndexTable.none { dereference(NextHopID(old)) }
        return .ok
    }

    func deleteLabel(_ label: Label, _ state: inout State) -> RouterOutcome { unbind(tables.labels, label.rawValue, "label \(label)", &state) }
    func deleteVNI(_ vni: VNI, _ state: inout State) -> RouterOutcome { unbind(tables.vnis, vni.rawValue, "VNI \(vni)", &state) }

    private func unbind(_ table: IndexTable, _ key: UInt32, _ what: String, _ state: inout State) -> RouterOutcome {
        let old = table.lookup(key)
        guard old != IndexTable.none, table.remove(key) else { return .notFound("\(what): does not exist") }
        dereference(NextHopID(old))
        return .ok
    }

    // MARK: - Flows

    /// Adds the pair, or changes action and cookie of the one that is there.
    func upsert(_ spec: FlowSpec, _ state: inout State) -> RouterOutcome {
        guard state.vrfs[spec.key.vrf] != nil else { return .notFound("flow: VRF \(spec.key.vrf) does not exist; create it first") }
        guard var forward = FlowKey(spec.key) else { return .invalid("flow: \(spec.key.source) and \(spec.key.destination) are not of one family") }
        let what = "flow \(spec.key.source) > \(spec.key.destination)"
        guard spec.action != .hold else { return .invalid("\(what): hold is the router's own action; program forward, drop or nat") }
        guard (spec.action == .nat) == (spec.translation != nil) else {
            return .invalid("\(what): a translation goes with action nat, and action nat with a translation")
        }
        var reverse = forward.reversed
        if let translation = spec.translation {
            if let vrf = translation.vrf, state.vrfs[vrf] == nil { return .notFound("\(what): VRF \(vrf) does not exist; create it first") }
            guard let translated = forward.translated(translation) else {
                return .invalid("\(what): the translation's addresses are not of the flow's family, or an echo is given two identifiers")
            }
            guard translated != forward else { return .invalid("\(what): the translation changes nothing; use action forward") }
            reverse = translated.reversed
        }
        let template = FlowTable.Template(
            action: spec.action.rawValue, cookie: spec.cookie, ingressVif: ForwardingTables.noVif, now: milliseconds, isProgrammed: true)
        tables.flows.pool.collect(workers.count)
        var isReleased = false
        // What waits on a worker that sleeps is to go on.
        defer { if isReleased { for worker in workers { worker.bell.ring() } } }
        return tables.readingFlows { flows in
            if let generation = spec.key.generation {
                let index = flows.lookup(&forward, hash: flows.hash(&forward))
                guard index != FlowTable.none, flows.entry(index).generation == generation else { return gone(what, generation) }
                // What is to be made anew goes, if it is still that one.
                if spec.action == .nat, !flows.stands(index, for: spec.action, reverse) {
                    switch remove(index, generation, from: flows) {
                    case .removed: break
                    case .gone: return gone(what, generation)
                    case .busy: return .tableFull("\(what): the bucket stayed busy; try again")
                    }
                }
            }
            // A worker holds a bucket for tens of instructions, unless its core was taken away meanwhile.
            var patience = Patience()
            for _ in 0..<2000 {
                let result = flows.insertPair(lane: workers.count, forward: &forward, reverse: &reverse, template)
                switch result.status {
                case .inserted: return .ok
                case .exists where !flows.stands(result.index, for: spec.action, reverse):
                    isReleased = true
                    if !flows.remove(lane: workers.count, index: result.index) { patience.wait() }
                case .exists:
                    let standing = flows.entry(result.index)
                    let isAnswer = spec.key.generation != nil && spec.action != .nat && (standing.isUndecided || standing.flags.contains(.decided))
                    for index in [result.index, flows.entry(result.index).reverse] {
                        let entry = flows.entry(index)
                        if entry.release(spec.action) { isReleased = true }
                        entry.dropReason = FlowDropReason.unknown.rawValue
                        entry.flags.insert(isAnswer ? .decided : .programmed)
                        entry.cookie = spec.cookie
                    }
                    return .ok
                case .conflict: return .inUse("flow: its reverse belongs to another flow")
                case .full: return .tableFull("flow table: holds \(flows.capacity) entries, all in use; raise flows.capacity in vrouter.yaml")
                case .busy: patience.wait()
                }
            }
            return .tableFull("flow: the bucket stayed busy; try again")
        }
    }

    enum Removal { case removed, gone, busy }

    /// Removes the flow of this generation, nil: of any, with patience: a worker that is at its bucket is no reason to say that it is gone.
    func remove(_ index: UInt32, _ generation: UInt32?, from flows: FlowTable) -> Removal {
        var patience = Patience()
        for _ in 0..<2000 {
            guard flows.isLive(index), generation == nil || flows.entry(index).generation == generation else { return .gone }
            if flows.remove(lane: workers.count, index: index, generation: generation) { return .removed }
            patience.wait()
        }
        return .busy
    }

    private func gone(_ what: String, _ generation: UInt32) -> RouterOutcome {
        .notFound("\(what): the one of generation \(generation) is gone; what is there now, if anything, is another")
    }

    func deleteFlow(_ key: FlowKeySpec) -> RouterOutcome {
        guard var words = FlowKey(key) else { return .invalid("flow: \(key.source) and \(key.destination) are not of one family") }
        return tables.readingFlows { flows in
            let index = flows.lookup(&words, hash: flows.hash(&words))
            guard index != FlowTable.none else { return .notFound("flow: does not exist") }
            if let generation = key.generation, flows.entry(index).generation != generation {
                return gone("flow \(key.source) > \(key.destination)", generation)
            }
            return remove(index, key.generation, from: flows) == .busy ? .tableFull("flow: the bucket stayed busy; try again") : .ok
        }
    }
}

extension FlowTable {
    /// What packets become is part of the entries, whatever their action is. So a flow that is dropped, or waits, may be let go as it was made; one that is to become something else is
    /// made anew.
    fileprivate func stands(_ index: UInt32, for action: FlowAction, _ reverse: FlowKey) -> Bool {
        let entry = entry(index)
        switch action {
        case .drop, .hold: return true
        case .forward: return entry.action != FlowAction.nat.rawValue
        case .nat: return entry.flags.contains(.translates) && self.entry(entry.reverse).copy().key == reverse
        }
    }
}

extension FlowKey {
    /// Nil when the addresses are not of one family.
    init?(_ spec: FlowKeySpec) {
        switch (spec.source, spec.destination) {
        case (.v4(let source), .v4(let destination)):
            self.init(
                vrf: spec.vrf.rawValue, proto: spec.proto, ipv4Source: source.rawValue, ipv4Destination: destination.rawValue,
                sourcePort: spec.sourcePort, destinationPort: spec.destinationPort)
        case (.v6(let source), .v6(let destination)):
            self.init(
                vrf: spec.vrf.rawValue, proto: spec.proto, source: IPv6Words(high: source.high, low: source.low),
                destination: IPv6Words(high: destination.high, low: destination.low), sourcePort: spec.sourcePort,
                destinationPort: spec.destinationPort)
        default: return nil
        }
    }

    /// The key of the packets that a translation makes of this key's; nil when it does not fit.
    func translated(_ translation: FlowTranslation) -> FlowKey? {
        var spec = spec
        if let source = translation.source { spec.source = source }
        if let destination = translation.destination { spec.destination = destination }
        if let vrf = translation.vrf { spec.vrf = vrf }
        let isEcho = proto == IPProtocol.icmp.rawValue || proto == IPProtocol.icmpv6.rawValue
        if isEcho {
            let identifier = translation.sourcePort ?? translation.destinationPort ?? sourcePort
            guard (translation.destinationPort ?? identifier) == identifier else { return nil }
            (spec.sourcePort, spec.destinationPort) = (identifier, identifier)
        } else {
            spec.sourcePort = translation.sourcePort ?? sourcePort
            spec.destinationPort = translation.destinationPort ?? destinationPort
        }
        guard let key = FlowKey(spec), key.family == family else { return nil }
        return key
    }

    var spec: FlowKeySpec {
        let source: IPAddress, destination: IPAddress
        if family == 4 {
            source = .v4(IPv4Address(rawValue: UInt32(truncatingIfNeeded: a0 >> 32)))
            destination = .v4(IPv4Address(rawValue: UInt32(truncatingIfNeeded: a0)))
        } else {
            source = .v6(IPv6Address(high: a0, low: a1))
            destination = .v6(IPv6Address(high: a2, low: a3))
        }
        return FlowKeySpec(
            vrf: VRFID(vrf), source: source, destination: destination, proto: proto, sourcePort: sourcePort, destinationPort: destinationPort)
    }
}
