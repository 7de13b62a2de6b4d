import NetTypes

// Composite multicast next hops.
extension Router {
    /// Nil when the composite may be published as it is; else why not.
    func refusal(_ composite: NextHopSpec.Multicast, _ what: String, _ state: State) -> RouterOutcome? {
        guard state.vrfs[composite.vrf] != nil else { return .notFound("\(what): VRF \(composite.vrf) does not exist; create it first") }
        let members = composite.members
        guard members.count <= NextHopSpec.Multicast.capacity else {
            return .invalid("\(what): a multicast next hop has at most \(NextHopSpec.Multicast.capacity) members, not \(members.count)")
        }
        guard composite.vni.rawValue <= VNI.maximum else { return .invalid("\(what): VNI \(composite.vni) is larger than 24 bits") }
        for id in composite.local {
            guard let target = state.nextHops[id] else { return .notFound("\(what): local member \(id) does not exist; create it first") }
            guard case .encap(_, nil, _) = target.kind else {
                return .invalid("\(what): local member \(id) is not an encap next hop without a destination; frames are flooded as they are")
            }
        }
        for member in composite.evpn + composite.fabric {
            guard let target = state.nextHops[member.nextHop] else {
                return .notFound("\(what): member \(member.nextHop) does not exist; create it first")
            }
            guard case .tunnel(let tunnel) = target.kind else { return .invalid("\(what): member \(member.nextHop) is not a tunnel next hop") }
            guard let label = member.label else { return .invalid("\(what): member \(member.nextHop) has no label or VNI") }
            let most = tunnel.encapsulation == .vxlan ? VNI.maximum : Label.maximum
            guard label <= most else { return .invalid("\(what): member label \(label) of next hop \(member.nextHop) is larger than \(most)") }
        }
        return nil
    }

    func multicastRecord(_ composite: NextHopSpec.Multicast, id: NextHopID, _ state: State) -> NextHop {
        func tunnel(_ member: NextHopSpec.Member) -> MulticastSet.Member {
            var far = IPv6Address.any, isVXLAN = true
            if case .tunnel(let tunnel)? = state.nextHops[member.nextHop]?.kind {
                far = tunnel.destination.mapped
                isVXLAN = tunnel.encapsulation == .vxlan
            }
            return .init(nextHop: member.nextHop.rawValue, label: member.label ?? Packet.noLabel, far: far, isVXLAN: isVXLAN)
        }
        var record = NextHop(id: id.rawValue, kind: .multicast)
        record.vrf = composite.vrf.rawValue
        let set = UnsafeMutablePointer<MulticastSet>.allocate(capacity: 1)
        set.initialize(
            to: MulticastSet(
                local: composite.local.map { .init(nextHop: $0.rawValue, label: Packet.noLabel, far: .any, isVXLAN: false) },
                evpn: composite.evpn.map(tunnel), fabric: composite.fabric.map(tunnel), vni: composite.vni.rawValue))
        record.multicast = set
        return record
    }

    /// A tunnel has changed: the composites that carry its far end are made anew.
    func refreshComposites(of member: NextHopID, _ state: State) {
        for id in state.composites[member] ?? [] {
            guard case .multicast(let composite)? = state.nextHops[id]?.kind else { continue }
            retireMembers(of: id)
            _ = tables.nextHops.publish(id.rawValue, multicastRecord(composite, id: id, state))
        }
    }

    func noteMembers(_ spec: NextHopSpec, _ state: inout State) {
        if let place = spec.place { state.learning.nextHops[place] = spec.id }
        guard case .multicast(let composite) = spec.kind else { return }
        for member in composite.members { state.composites[member, default: []].insert(spec.id) }
    }

    func forgetComposite(_ spec: NextHopSpec, _ state: inout State) {
        if let place = spec.place, state.learning.nextHops[place] == spec.id { state.learning.nextHops[place] = nil }
        guard case .multicast(let composite) = spec.kind else { return }
        for member in composite.members {
            state.composites[member]?.remove(spec.id)
            if state.composites[member]?.isEmpty == true { state.composites[member] = nil }
        }
    }
}

extension NextHopSpec {
    var isMulticast: Bool { if case .multicast = kind { true } else { false } }
}
