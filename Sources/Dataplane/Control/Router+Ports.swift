import CPlatform
import NetTypes
import Synchronization

// Ports and vifs: opening, giving to the workers, taking away.
extension Router {
    func upsert(_ spec: PortSpec, _ state: inout State) -> RouterOutcome {
        guard !spec.name.isEmpty else { return .invalid("port: the name is empty") }
        if var entry = state.ports[spec.name] {
            guard entry.spec.driver == spec.driver, entry.spec.mtu == spec.mtu, entry.spec.queues == spec.queues else {
                return .invalid("port \(spec.name): exists with another driver, MTU or queue count; delete it first")
            }
            let isOther = entry.spec.spread != spec.spread
            entry.spec = spec
            state.ports[spec.name] = entry
            if isOther { publishPlans(&state) }
            return .ok
        }
        let index = state.portSlots.firstIndex { $0 == nil } ?? state.portSlots.count
        guard index < Worker.portCapacity else { return .tableFull("port table: \(Worker.portCapacity) ports are in use") }
        let port: Port
        do { port = try portFactory(spec) } catch { return .portFailed("port \(spec.name): \(error)") }
        if index == state.portSlots.count { state.portSlots.append(port) } else { state.portSlots[index] = port }
        let receiveWorkers = chooseWorkers(port.receiveQueueCount, state)
        state.ports[spec.name] = PortEntry(
            spec: spec, port: port, index: index, receiveWorkers: receiveWorkers,
            transmitOwners: chooseOwners(port, receiveWorkers: receiveWorkers, state), loads: QueueLoads(count: port.receiveQueueCount))
        publishPlans(&state)
        return .ok
    }

    func deletePort(_ name: String, _ state: inout State) -> RouterOutcome {
        guard let entry = state.ports[name] else { return .notFound("port \(name): does not exist") }
        if let vif = state.vifs.values.first(where: { $0.port == name }) {
            return .inUse("port \(name): vif \(vif.id.rawValue) (\(vif.name)) uses it; delete the vif first")
        }
        state.ports[name] = nil
        state.portSlots[entry.index] = nil
        publishPlans(&state)
        // No worker polls it or sends on it, and nothing is on the way to it, once all have passed; then the device, and its index, may go.
        settleWorkers()
        entry.port.close()
        return .ok
    }

    func upsert(_ spec: VifSpec, _ state: inout State) -> RouterOutcome {
        let what = "vif \(spec.id.rawValue) (\(spec.name))"
        if state.vifs[spec.id] == spec { return .ok }
        guard Int(spec.id.rawValue) < configuration.vifCapacity else {
            let ids = "(ids 0 to \(configuration.vifCapacity - 1))"
            return .tableFull("\(what): the vif table holds \(configuration.vifCapacity) vifs \(ids); raise capacities.vifs in vrouter.yaml")
        }
        let port: PortEntry
        switch place(spec, what, state) {
        case .success(let found): port = found
        case .failure(let refusal): return refusal.outcome
        }
        guard spec.vrf.rawValue == 0 || state.vrfs[spec.vrf] != nil else {
            return .notFound("\(what): VRF \(spec.vrf) does not exist; create it first")
        }
        guard spec.qosMap == 0 || state.qosMaps[spec.qosMap] != nil else {
            return .notFound("\(what): QoS map \(spec.qosMap) does not exist; create it first")
        }
        if let refusal = checkPolicies(spec, what, state) { return refusal }
        if let refusal = checkMonitoring(spec, what, state) { return refusal }
        if let refusal = checkAgent(spec, what, state) { return refusal }
        if let refusal = checkFatFlows(spec, what) { return refusal }
        if let refusal = checkPolicy(spec) { return .invalid("\(what): \(refusal)") }
        guard (0...65_535).contains(spec.mtu) else { return .invalid("\(what): MTU \(spec.mtu) is not within 0 to 65535") }
        let ipv4 = spec.addresses.compactMap { if case .v4(let a) = $0 { a } else { nil } }
        let ipv6 = spec.addresses.compactMap { if case .v6(let a) = $0 { a } else { nil } }
        guard ipv4.count <= 2, ipv6.count <= 2 else { return .invalid("\(what): at most two IPv4 and two IPv6 addresses of its own") }
        if spec.kind == .physical || spec.kind == .host {
            let current = spec.kind == .physical ? tables.fabricVif.load(ordering: .relaxed) : tables.hostVif.load(ordering: .relaxed)
            if current != ForwardingTables.noVif, current != spec.id.rawValue {
                return .inUse("\(what): vif \(current) is already the \(spec.kind) vif; one is supported")
            }
        }
        let old = state.vifs[spec.id]
        if let old, old.kind != spec.kind { return .invalid("\(what): exists as \(old.kind); delete it first") }
        if old == nil {
            claim(.vif(spec.id), &state)
            // What packets that were under way counted for the id's last owner.
            if state.vifBaseline[spec.id] != nil { state.vifBaseline[spec.id] = counters(of: spec.id) }
        }
        // First in, then out: a vif that changes nothing never leaves its VRF without.
        if spec.keepsFlows { tables.countFlowVif(vrf: spec.vrf.rawValue, by: 1) }
        if let old, old.keepsFlows { tables.countFlowVif(vrf: old.vrf.rawValue, by: -1) }
        preparePolicies(spec, old, &state)
        publish(spec, port, state)
        state.vifs[spec.id] = spec
        if !spec.fatFlows.isEmpty || old?.fatFlows.isEmpty == false { publishFatFlows(state) }
        tables.flows.vifQuotas.set(spec.id.rawValue, limit: spec.flowLimit, rate: spec.flowRate, tscHz: vr_tsc_hz())
        attachPolicies(spec, old, &state)
        bindTags(spec.id, old: old?.vlan, new: spec.vlan, state)
        for child in subInterfaces(of: spec.id, state) { publish(child, port, state) }
        if spec.kind == .physical { tables.fabricVif.store(spec.id.rawValue, ordering: .releasing) }
        if spec.kind == .host { tables.hostVif.store(spec.id.rawValue, ordering: .releasing) }
        publishPlans(&state)
        if spec.kind == .monitoring { monitor(spec, &state) }
        if spec.kind == .agent { useAgentVif(spec, port) }
        return .ok
    }

    /// Gives the workers the vif's record. `isTrunk`: it has sub-interfaces; nil: as the VLAN table says.
    func publish(_ spec: VifSpec, _ port: PortEntry, _ state: State, isTrunk: Bool? = nil) {
        let ipv4 = spec.addresses.compactMap { if case .v4(let a) = $0 { a } else { nil } }
        let ipv6 = spec.addresses.compactMap { if case .v6(let a) = $0 { a } else { nil } }
        var flags: Vif.Flags = []
        if spec.keepsFlows { flags.insert(.keepsFlows) }
        if spec.bridges { flags.insert(.bridges) }
        if spec.antispoof { flags.insert(.antispoof) }
        if spec.checksTunnelSource { flags.insert(.checksTunnelSource) }
        if spec.sendsUnreachables { flags.insert(.sendsUnreachables) }
        if spec.qosMap != 0 { flags.insert(.marks) }
        if spec.qosMap != 0, spec.kind == .vlan { tables.qos.isAskedOfEach.store(true, ordering: .relaxed) }
        switch spec.reversePath {
        case .none: break
        case .loose: flags.insert(.looseReversePath)
        case .strict: flags.insert(.strictReversePath)
        }
        if spec.floodsUnknownUnicast { flags.insert(.floodsUnknownUnicast) }
        if spec.vlan != nil { flags.insert(.tagged) }
        // What a program hands in is of any vif, too.
        if isTrunk ?? (spec.kind == .agent || tables.vlans.isParent(spec.id.rawValue)) { flags.insert(.trunk) }
        if spec.bridges, spec.kind == .virtual || spec.kind == .vlan, state.vrfs[spec.vrf]?.learnsMACs == true { flags.insert(.learns) }
        if spec.trapsGroupReports { flags.insert(.trapsGroupReports) }
        if spec.services { flags.insert(.services) }
        if port.port.traits.contains(.unfinishedChecksums) { flags.insert(.unfinishedChecksums) }
        if port.port.traits.contains(.oversizedSegments) { flags.insert(.oversizedSegments) }
        if port.port.traits.contains(.cutsSegments) { flags.insert(.cutsSegments) }
        if port.port.traits.contains(.cutsDatagrams) { flags.insert(.cutsDatagrams) }
        var workload: UnsafeMutablePointer<IPv6Address>?
        if !spec.workloadAddresses.isEmpty {
            let list = UnsafeMutablePointer<IPv6Address>.allocate(capacity: spec.workloadAddresses.count)
            for (index, address) in spec.workloadAddresses.enumerated() {
                switch address {
                case .v4(let a): (list + index).initialize(to: Vif.mapped(a.rawValue))
                case .v6(let a): (list + index).initialize(to: a)
                }
            }
            workload = list
        }
        var record = Vif(
            id: spec.id.rawValue, kind: spec.kind, flags: flags, vrf: spec.vrf.rawValue, mac: spec.mac.rawValue,
            mtu: UInt32(spec.mtu == 0 ? port.port.mtu : min(spec.mtu, port.port.mtu)), port: UInt32(port.index),
            tags: spec.vlan.map { VLANTable.Tags($0) } ?? VLANTable.Tags(isService: false, outer: 0, inner: 0), ipv4: ipv4.first?.rawValue ?? 0,
            ipv6: ipv6.first ?? .any, ipv4Second: ipv4.dropFirst().first?.rawValue ?? 0, ipv6Second: ipv6.dropFirst().first ?? .any,
            workloadMAC: spec.workloadMAC?.rawValue ?? 0, workloadCount: UInt32(spec.workloadAddresses.count), workload: workload)
        if !spec.allowedPairs.isEmpty {
            let list = UnsafeMutablePointer<Vif.AllowedPair>.allocate(capacity: spec.allowedPairs.count)
            for (index, pair) in spec.allowedPairs.enumerated() { (list + index).initialize(to: Vif.AllowedPair(pair)) }
            record.allowed = list
            record.allowedCount = UInt32(spec.allowedPairs.count)
        }
        retireWorkload(of: spec.id)
        record.qosMap = spec.qosMap
        for (index, id) in spec.ingressPolicies.enumerated() { record.ingressPolicies[index] = id.rawValue }
        for (index, id) in spec.egressPolicies.enumerated() { record.egressPolicies[index] = id.rawValue }
        if let vlan = spec.vlan { record.parent = vlan.parent.rawValue }
        _ = tables.vifs.publish(spec.id.rawValue, record)
    }

    /// An option that would have no effect on this kind of vif is refused; the text says why.
    private func checkPolicy(_ spec: VifSpec) -> String? {
        if spec.checksTunnelSource, spec.kind != .physical { return "the source of tunnel packets is checked on a physical vif" }
        if spec.sendsUnreachables, spec.kind == .physical || spec.kind == .host { return "unreachable destinations are reported to workloads" }
        if !spec.allowedPairs.isEmpty, !spec.antispoof { return "allowed address pairs are an exception to antispoofing; switch antispoof on" }
        guard spec.allowedPairs.count <= VifSpec.allowedPairCapacity else {
            return "\(spec.allowedPairs.count) allowed address pairs; a vif has \(VifSpec.allowedPairCapacity) at most"
        }
        if let pair = spec.allowedPairs.first(where: { $0.mac.map { $0.isMulticast || $0 == .zero || $0 == spec.mac } ?? false }) {
            return "\(pair.mac ?? .zero) is no MAC address that a workload can have"
        }
        if spec.services, spec.kind != .virtual, spec.kind != .vlan { return "services are for workloads" }
        if spec.reversePath != .none, spec.kind == .host { return "packets of a host vif are not routed, so there is no reverse path to check" }
        return nil
    }

    func deleteVif(_ id: VifID, _ state: inout State) -> RouterOutcome {
        guard let spec = state.vifs[id] else { return .notFound("vif \(id.rawValue): does not exist") }
        if let nextHop = state.nextHops.values.first(where: { $0.vif == id }) {
            return .inUse("vif \(id.rawValue) (\(spec.name)): next hop \(nextHop.id) uses it; delete the next hop first")
        }
        if let child = subInterfaces(of: id, state).min(by: { $0.id < $1.id }) {
            return .inUse("vif \(id.rawValue) (\(spec.name)): sub-interface \(child.id.rawValue) (\(child.name)) is on it; delete that first")
        }
        if let mirror = mirrorUse(of: id, state) {
            return .inUse("vif \(id.rawValue) (\(spec.name)): mirror \(mirror) copies from it or to it; delete the mirror first")
        }
        if let observer = monitoringVif(of: id, state) {
            let other = "monitoring vif \(observer.id.rawValue) (\(observer.name))"
            return .inUse("vif \(id.rawValue) (\(spec.name)): \(other) watches it; delete that first")
        }
        if spec.kind == .monitoring { stopMonitoring(id, &state) }
        if spec.kind == .agent { forgetAgentVif() }
        bindTags(id, old: spec.vlan, new: nil, state)
        if spec.kind == .physical { tables.fabricVif.store(ForwardingTables.noVif, ordering: .releasing) }
        if spec.kind == .host { tables.hostVif.store(ForwardingTables.noVif, ordering: .releasing) }
        if spec.keepsFlows { tables.countFlowVif(vrf: spec.vrf.rawValue, by: -1) }
        state.vifs[id] = nil
        if !spec.fatFlows.isEmpty { publishFatFlows(state) }
        tables.flows.vifQuotas.set(id.rawValue, limit: 0, rate: 0, tscHz: vr_tsc_hz())
        detachPolicies(spec, &state)
        state.vifBaseline[id] = counters(of: id)
        retireWorkload(of: id)
        _ = tables.vifs.remove(id.rawValue)
        release(.vif(id), &state)
        publishPlans(&state)
        return .ok
    }

    /// The address list of the vif's present record is freed when its readers are gone.
    private func retireWorkload(of id: VifID) {
        guard let vif = tables.vifs.load(id.rawValue), vif.pointee.workload != nil || vif.pointee.allowed != nil else { return }
        nonisolated(unsafe) let addresses = vif.pointee.workload
        nonisolated(unsafe) let pairs = vif.pointee.allowed
        tables.quiescence.retire {
            addresses?.deallocate()
            pairs?.deallocate()
        }
    }
}

extension NextHopSpec {
    /// The vif it leaves by, or means.
    var vif: VifID? {
        switch kind {
        case .receive(let vif), .resolve(let vif), .encap(let vif, _, _): vif
        case .tunnel(let tunnel): tunnel.vif
        case .discard, .vrf, .ecmp, .indirect, .multicast: nil
        }
    }

    /// The VRF it leads to.
    var vrf: VRFID? {
        switch kind {
        case .vrf(let vrf, _, _): vrf
        case .multicast(let composite): composite.vrf
        case .discard, .receive, .encap, .tunnel, .resolve, .ecmp, .indirect: nil
        }
    }
}
