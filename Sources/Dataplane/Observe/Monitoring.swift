import NetTypes

/// Monitoring vifs: each gets a copy of every frame that another vif receives and sends, as a span port of a switch does; a program that knows nothing of the router
/// reads them from the interface behind it. What comes in there is dropped.
///
/// It is a mirror that needs no object of its own. Copies are never watched again, so two of them may stand behind each other's ports.
extension Router {
    /// Why the vif cannot be one that watches another, or is not to be; nil when all is well.
    func checkMonitoring(_ spec: VifSpec, _ what: String, _ state: State) -> RouterOutcome? {
        guard spec.kind == .monitoring else {
            return spec.monitors == nil ? nil : .invalid("\(what): a vif of kind \(spec.kind) watches no other; that is for monitoring vifs")
        }
        guard let watched = spec.monitors else { return .invalid("\(what): a monitoring vif needs a vif to watch") }
        guard let other = state.vifs[watched] else { return .notFound("\(what): vif \(watched.rawValue) does not exist; create it first") }
        guard other.kind != .monitoring else { return .invalid("\(what): vif \(watched.rawValue) is a monitoring vif; its frames are copies") }
        let isPlain = spec.addresses.isEmpty && spec.workloadMAC == nil && spec.workloadAddresses.isEmpty && !spec.keepsFlows && !spec.antispoof
        let isChecked = spec.reversePath != .none || !spec.ingressPolicies.isEmpty || !spec.egressPolicies.isEmpty
        guard isPlain, !isChecked, spec.qosMap == 0, !spec.floodsUnknownUnicast, !spec.trapsGroupReports else {
            return .invalid("\(what): nothing is taken from a monitoring vif: it has no addresses, flows, checks, marks or floods")
        }
        return nil
    }

    /// Begins to copy, or goes on with another vif's frames.
    func monitor(_ spec: VifSpec, _ state: inout State) {
        guard let watched = spec.monitors else { return }
        let mirror = state.observers.monitors[spec.id]?.mirror ?? Mirror(.vif(spec.id.rawValue), snapLength: 0)
        state.observers.monitors[spec.id] = (watched, mirror)
        publishObservers(&state)
    }

    func stopMonitoring(_ id: VifID, _ state: inout State) {
        guard state.observers.monitors.removeValue(forKey: id) != nil else { return }
        publishObservers(&state)
    }

    /// The lowest of those that watch a vif.
    func monitoringVif(of id: VifID, _ state: State) -> VifSpec? {
        guard !state.observers.monitors.isEmpty else { return nil }
        return state.vifs.values.filter { $0.monitors == id }.min { $0.id < $1.id }
    }
}
