import CPlatform
import NetTypes

// VRFs and next hops.
extension Router {
    func upsert(_ spec: VRFSpec, _ state: inout State) -> RouterOutcome {
        guard Int(spec.id.rawValue) < configuration.vrfCapacity else {
            return .tableFull(
                "VRF \(spec.id) (\(spec.name)): the VRF table holds \(configuration.vrfCapacity) (ids 0 to \(configuration.vrfCapacity - 1))")
        }
        if state.vrfs[spec.id] == nil {
            claim(.vrf(spec.id), &state)
            let ipv4 = tables.routes.createRoot(), ipv6 = tables.routes.createRoot()
            guard ipv4 != RouteTable.none, ipv6 != RouteTable.none else {
                for root in [ipv4, ipv6] where root != RouteTable.none { tables.routes.destroyRoot(root) { _ in } }
                return .tableFull("VRF \(spec.id) (\(spec.name)): the route table has no room for another VRF")
            }
            tables.setRoots(spec.id.rawValue, .init(ipv4: ipv4, ipv6: ipv6))
        }
        var flags: BroadcastDomains.Flags = []
        if spec.floodsUnknownUnicast { flags.insert(.floodsUnknownUnicast) }
        if spec.learnsMACs { flags.insert(.learns) }
        tables.domains[spec.id.rawValue] = flags
        tables.flows.vrfQuotas.set(spec.id.rawValue, limit: spec.flowLimit, rate: 0, tscHz: vr_tsc_hz())
        let old = state.vrfs[spec.id]
        state.vrfs[spec.id] = spec
        if old?.learnsMACs ?? false != spec.learnsMACs { learningChanged(spec.id, isOn: spec.learnsMACs, &state) }
        return .ok
    }

    func deleteVRF(_ id: VRFID, _ state: inout State) -> RouterOutcome {
        guard let spec = state.vrfs[id] else { return .notFound("VRF \(id): does not exist") }
        let what = "VRF \(id) (\(spec.name))"
        if let vif = state.vifs.values.first(where: { $0.vrf == id }) {
            return .inUse("\(what): vif \(vif.id.rawValue) (\(vif.name)) is in it; delete the vif first")
        }
        if let nextHop = state.nextHops.values.first(where: { $0.vrf == id }) {
            return .inUse("\(what): next hop \(nextHop.id) leads to it; delete the next hop first")
        }
        if let rule = natRule(using: id, state) {
            return .inUse("\(what): NAT rule \(rule.id) (\(rule.name)) translates for it; delete the rule first")
        }
        let roots = tables.roots(id.rawValue)
        guard tables.routes.routeCount(roots.ipv4) == 0, tables.routes.routeCount(roots.ipv6) == 0 else {
            return .inUse("\(what): it has routes; delete them first")
        }
        flushLearned(vrf: id.rawValue, &state)
        guard tables.bridge.count(vrf: id.rawValue) == 0 else { return .inUse("\(what): it has bridge entries; delete them first") }
        tables.setRoots(id.rawValue, .init(ipv4: RouteTable.none, ipv6: RouteTable.none))
        let routes = tables.routes
        tables.quiescence.retire {
            routes.destroyRoot(roots.ipv4) { _ in }
            routes.destroyRoot(roots.ipv6) { _ in }
        }
        tables.domains[id.rawValue] = []
        state.vrfs[id] = nil
        release(.vrf(id), &state)
        return .ok
    }

    func upsert(_ spec: NextHopSpec, _ state: inout State) -> RouterOutcome {
        let what = "next hop \(spec.id)"
        guard spec.id != .discard else {
            return spec.kind == .discard ? .ok : .invalid("next hop 0: is the discard next hop and cannot be changed; use another id")
        }
        guard Int(spec.id.rawValue) < configuration.nextHopCapacity else {
            let ids = "(ids 0 to \(configuration.nextHopCapacity - 1))"
            return .tableFull("\(what): the next-hop table holds \(configuration.nextHopCapacity) \(ids); raise capacities.nextHops in vrouter.yaml")
        }
        if state.nextHops[spec.id] == spec { return .ok }
        if let vif = spec.vif, state.vifs[vif] == nil { return .notFound("\(what): vif \(vif.rawValue) does not exist; create it first") }

        var record: NextHop
        switch spec.kind {
        case .discard: record = NextHop(id: spec.id.rawValue, kind: .discard)
        case .receive(let vif):
            record = NextHop(id: spec.id.rawValue, kind: .receive)
            record.vif = vif.rawValue
        case .resolve(let vif):
            record = NextHop(id: spec.id.rawValue, kind: .resolve)
            record.vif = vif.rawValue
        case .encap(let vif, let destination, let source):
            record = NextHop(id: spec.id.rawValue, kind: .encap)
            record.vif = vif.rawValue
            record.rewrites = destination != nil
            record.setHeader(destination: destination?.rawValue ?? 0, source: source.rawValue)
        case .tunnel(let tunnel):
            guard state.vifs[tunnel.vif]?.kind == .physical else {
                return .invalid("\(what): a tunnel leaves by a physical vif; vif \(tunnel.vif.rawValue) is not one")
            }
            switch (tunnel.source, tunnel.destination) {
            case (.v4(let source), .v4(let destination)):
                record = NextHop(tunnel: tunnel, id: spec.id.rawValue, source: source, destination: destination)
            case (.v6(let source), .v6(let destination)):
                record = NextHop(tunnel: tunnel, id: spec.id.rawValue, source: source, destination: destination)
            default: return .invalid("\(what): source \(tunnel.source) and destination \(tunnel.destination) are not of one family")
            }
        case .vrf(let vrf, let bridges, let routerMAC):
            guard state.vrfs[vrf] != nil else { return .notFound("\(what): VRF \(vrf) does not exist; create it first") }
            if let routerMAC, routerMAC.isMulticast || routerMAC == .zero {
                return .invalid("\(what): router MAC \(routerMAC) is not a unicast address")
            }
            record = NextHop(id: spec.id.rawValue, kind: .vrf)
            record.vrf = vrf.rawValue
            record.bridges = bridges
            record.routerMAC = (routerMAC ?? .gateway).rawValue
            record.learns = state.vrfs[vrf]?.learnsMACs == true
        case .ecmp(let list, let fields):
            if let refusal = check(list, what, state) { return refusal }
            if fields.isEmpty || !HashFields.all.isSuperset(of: fields) {
                return .invalid("\(what): the hash needs at least one of the known fields")
            }
            record = NextHop(id: spec.id.rawValue, kind: .ecmp)
            record.hashFields = fields.rawValue
            let previous = tables.nextHops.load(spec.id.rawValue)?.pointee.ecmpBuckets ?? []
            record.setBuckets(
                ECMPBuckets.assign(
                    list.map { NextHop.Member(nextHop: $0.nextHop.rawValue, label: $0.label ?? Packet.noLabel) }, previous: previous))
        case .indirect(let target):
            guard state.nextHops[target] != nil else { return .notFound("\(what): next hop \(target) does not exist; create it first") }
            record = NextHop(id: spec.id.rawValue, kind: .indirect)
            record.target = target.rawValue
        case .multicast(let composite):
            if let refusal = refusal(composite, what, state) { return refusal }
            record = multicastRecord(composite, id: spec.id, state)
        }
        if let loop = spec.targets.first(where: { leads(from: $0, to: spec.id, state) }) {
            discard(record)
            return .invalid("\(what): next hop \(loop) leads back to it")
        }
        if let old = state.nextHops[spec.id], old.place != spec.place { flushLearned(nextHop: spec.id, &state) }
        if let old = state.nextHops[spec.id] { forgetMembers(old, &state) } else { claim(.nextHop(spec.id), &state) }
        retireMembers(of: spec.id)
        for target in spec.targets { reference(target) }
        if case .tunnel(let tunnel) = spec.kind { tables.endpoints.insert(tunnel.destination) }
        noteMembers(spec, &state)
        _ = tables.nextHops.publish(spec.id.rawValue, record)
        noteMove(of: state.nextHops[spec.id], to: spec, &state)
        state.nextHops[spec.id] = spec
        refreshComposites(of: spec.id, state)
        return .ok
    }

    func deleteNextHop(_ id: NextHopID, _ state: inout State) -> RouterOutcome {
        guard id != .discard else { return .invalid("next hop 0: is the discard next hop and cannot be deleted") }
        guard let spec = state.nextHops[id] else { return .notFound("next hop \(id): does not exist") }
        let references = tables.references[id.rawValue]
        guard references == 0 else {
            return .inUse("next hop \(id): \(references) objects (routes, bridge entries, labels, VNIs or other next hops) use it; delete them first")
        }
        flushLearned(nextHop: id, &state)
        forgetMembers(spec, &state)
        retireMembers(of: id)
        _ = tables.nextHops.remove(id.rawValue)
        release(.nextHop(id), &state)
        state.nextHops[id] = nil
        tables.references.clear(id.rawValue)
        return .ok
    }

    /// Takes back what the next hop counted for.
    private func forgetMembers(_ spec: NextHopSpec, _ state: inout State) {
        forgetComposite(spec, &state)
        for target in spec.targets { dereference(target) }
        if case .tunnel(let tunnel) = spec.kind { tables.endpoints.remove(tunnel.destination) }
    }

    private func check(_ list: [NextHopSpec.Member], _ what: String, _ state: State) -> RouterOutcome? {
        guard (1...ECMPBuckets.maximumMembers).contains(list.count) else {
            return .invalid("\(what): an ECMP next hop has 1 to \(ECMPBuckets.maximumMembers) members, not \(list.count)")
        }
        for member in list {
            guard let target = state.nextHops[member.nextHop] else {
                return .notFound("\(what): member \(member.nextHop) does not exist; create it first")
            }
            if case .ecmp = target.kind { return .invalid("\(what): member \(member.nextHop) is an ECMP next hop itself") }
            if target.isMulticast { return .invalid("\(what): member \(member.nextHop) is a multicast next hop") }
            if let label = member.label, label > VNI.maximum { return .invalid("\(what): member label \(label) is larger than 24 bits") }
        }
        return nil
    }

    /// Whether a packet at next hop `start` may come to `end`, through indirect and ECMP next hops. (Through routes of other VRFs is for the packet to find out.)
    private func leads(from start: NextHopID, to end: NextHopID, _ state: State) -> Bool {
        var waiting = [start], seen: Set<NextHopID> = [start]
        while let id = waiting.popLast() {
            if id == end { return true }
            for target in state.nextHops[id]?.targets ?? [] where seen.insert(target).inserted { waiting.append(target) }
        }
        return false
    }

    /// A record that was made and not published.
    private func discard(_ record: NextHop) {
        record.members?.deallocate()
        record.outerIPv6?.deallocate()
        record.multicast?.pointee.free()
        record.multicast?.deallocate()
    }

    /// What hangs on the present record is freed with it.
    func retireMembers(of id: NextHopID) {
        guard let record = tables.nextHops.load(id.rawValue) else { return }
        nonisolated(unsafe) let members = record.pointee.members, outer = record.pointee.outerIPv6, multicast = record.pointee.multicast
        guard members != nil || outer != nil || multicast != nil else { return }
        tables.quiescence.retire {
            members?.deallocate()
            outer?.deallocate()
            multicast?.pointee.free()
            multicast?.deallocate()
        }
    }

    func reference(_ id: NextHopID) { tables.references.increment(id.rawValue) }
    func dereference(_ id: NextHopID) { tables.references.decrement(id.rawValue) }
}

extension NextHopSpec {
    /// The next hops it names.
    var targets: [NextHopID] {
        switch kind {
        case .ecmp(let members, _): members.map(\.nextHop)
        case .indirect(let target): [target]
        case .multicast(let composite): composite.members
        case .discard, .receive, .encap, .tunnel, .resolve, .vrf: []
        }
    }
}
