import NetTypes

// VLAN sub-interfaces: vifs without a port of their own.
extension Router {
    /// The port of a vif, and for a sub-interface the parent's; or why there is none.
    func place(_ spec: VifSpec, _ what: String, _ state: State) -> Result<PortEntry, Refusal> {
        guard spec.kind == .vlan else {
            if spec.vlan != nil { return .failure(.init(.invalid("\(what): VLAN tags are for vifs of kind vlan, not \(spec.kind)"))) }
            guard let port = state.ports[spec.port] else {
                return .failure(.init(.notFound("\(what): port \(spec.port) does not exist; create it first")))
            }
            if let other = state.vifs.values.first(where: { $0.port == spec.port && $0.id != spec.id }) {
                return .failure(.init(.inUse("\(what): vif \(other.id.rawValue) (\(other.name)) already sits on port \(spec.port)")))
            }
            return .success(port)
        }
        guard let vlan = spec.vlan else { return .failure(.init(.invalid("\(what): a vif of kind vlan needs a parent vif and a VLAN id"))) }
        guard spec.port.isEmpty else {
            return .failure(.init(.invalid("\(what): a vif of kind vlan has its parent's port; leave the port \(spec.port) out")))
        }
        guard let parent = state.vifs[vlan.parent] else {
            return .failure(.init(.notFound("\(what): parent vif \(vlan.parent.rawValue) does not exist; create it first")))
        }
        guard parent.kind == .virtual || parent.kind == .physical, let port = state.ports[parent.port] else {
            return .failure(.init(.invalid("\(what): parent vif \(vlan.parent.rawValue) is of kind \(parent.kind), not virtual or physical")))
        }
        for id in [vlan.id, vlan.innerID ?? 1] where !(1...4094).contains(id) {
            return .failure(.init(.invalid("\(what): VLAN id \(id) is not within 1 to 4094")))
        }
        if let owner = tables.vlans.owner(parent: vlan.parent.rawValue, VLANTable.Tags(vlan)), owner != spec.id.rawValue {
            return .failure(.init(.inUse("\(what): vif \(owner) already has these VLAN tags on vif \(vlan.parent.rawValue)")))
        }
        return .success(port)
    }

    /// An outcome that is not ok, as an error.
    struct Refusal: Error {
        let outcome: RouterOutcome
        init(_ outcome: RouterOutcome) { self.outcome = outcome }
    }

    /// Makes the tags of a sub-interface lead to it, and those it had before to nothing.
    func bindTags(_ id: VifID, old: VLANSpec?, new: VLANSpec?, _ state: State) {
        guard old != nil || new != nil else { return }
        // Before a frame can come in by the sub-interface, its parent's bursts are known to be of several vifs.
        if let new, !tables.vlans.isParent(new.parent.rawValue) { publishParent(new.parent, isTrunk: true, state) }
        tables.vlans.set(
            vif: id.rawValue, old: old.map { ($0.parent.rawValue, VLANTable.Tags($0)) }, new: new.map { ($0.parent.rawValue, VLANTable.Tags($0)) })
        if let old, !tables.vlans.isParent(old.parent.rawValue) { publishParent(old.parent, isTrunk: false, state) }
    }

    private func publishParent(_ id: VifID, isTrunk: Bool, _ state: State) {
        guard let parent = state.vifs[id], let port = state.ports[parent.port] else { return }
        publish(parent, port, state, isTrunk: isTrunk)
    }

    func subInterfaces(of parent: VifID, _ state: State) -> [VifSpec] {
        guard tables.vlans.count > 0 else { return [] }
        return state.vifs.values.filter { $0.vlan?.parent == parent }
    }
}

extension VLANTable.Tags {
    init(_ spec: VLANSpec) { self.init(isService: spec.tagProtocol == .service, outer: spec.id, inner: spec.innerID ?? 0) }
}
