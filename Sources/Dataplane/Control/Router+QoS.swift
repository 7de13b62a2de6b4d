import NetTypes
import Synchronization

// Forwarding classes and QoS maps.
extension Router {
    func upsert(_ spec: ForwardingClassSpec, _ state: inout State) -> RouterOutcome {
        guard spec.dscp < 64 else { return .invalid("forwarding class \(spec.id): DSCP \(spec.dscp) is not within 0 to 63") }
        guard spec.trafficClass < 8 else { return .invalid("forwarding class \(spec.id): traffic class \(spec.trafficClass) is not within 0 to 7") }
        guard spec.vlanPriority < 8 else { return .invalid("forwarding class \(spec.id): VLAN priority \(spec.vlanPriority) is not within 0 to 7") }
        state.forwardingClasses[spec.id] = spec
        tables.qos.set(spec)
        return .ok
    }

    func deleteForwardingClass(_ id: UInt8, _ state: inout State) -> RouterOutcome {
        guard state.forwardingClasses[id] != nil else { return .notFound("forwarding class \(id): does not exist") }
        if let map = state.qosMaps.values.first(where: { $0.leadsTo.contains(id) }) {
            return .inUse("forwarding class \(id): QoS map \(map.id) leads to it; change the map first")
        }
        state.forwardingClasses[id] = nil
        tables.qos.removeClass(id)
        return .ok
    }

    func upsert(_ spec: QoSMapSpec, _ state: inout State) -> RouterOutcome {
        guard spec.id != 0 else { return .invalid("QoS map 0: stands for no map; ids are 1 to 255") }
        if let dscp = spec.dscp.keys.first(where: { $0 > 63 }) { return .invalid("QoS map \(spec.id): DSCP \(dscp) is not within 0 to 63") }
        if let value = spec.trafficClass.keys.first(where: { $0 > 7 }) {
            return .invalid("QoS map \(spec.id): traffic class \(value) is not within 0 to 7")
        }
        if let value = spec.vlanPriority.keys.first(where: { $0 > 7 }) {
            return .invalid("QoS map \(spec.id): VLAN priority \(value) is not within 0 to 7")
        }
        for id in spec.leadsTo where state.forwardingClasses[id] == nil {
            return .notFound("QoS map \(spec.id): forwarding class \(id) does not exist; create it first")
        }
        state.qosMaps[spec.id] = spec
        tables.qos.set(spec)
        return .ok
    }

    func deleteQoSMap(_ id: UInt8, _ state: inout State) -> RouterOutcome {
        guard state.qosMaps[id] != nil else { return .notFound("QoS map \(id): does not exist") }
        if let vif = state.vifs.values.first(where: { $0.qosMap == id }) {
            return .inUse("QoS map \(id): vif \(vif.id.rawValue) (\(vif.name)) names it; change the vif first")
        }
        // Flows that name it are left alone: the map is then empty, and marks nothing.
        state.qosMaps[id] = nil
        tables.qos.removeMap(id)
        return .ok
    }

    /// A flow, and the map that marks both of its directions.
    func upsertMarked(_ spec: FlowSpec, _ state: inout State) -> RouterOutcome {
        guard spec.qosMap == 0 || state.qosMaps[spec.qosMap] != nil else {
            return .notFound("flow \(spec.key.source) > \(spec.key.destination): QoS map \(spec.qosMap) does not exist; create it first")
        }
        guard spec.mirror == 0 || state.observers.mirrors[UInt32(spec.mirror)] != nil else {
            return .notFound("flow \(spec.key.source) > \(spec.key.destination): mirror \(spec.mirror) does not exist; create it first")
        }
        let outcome = upsert(spec, &state)
        if outcome == .ok { setMirror(spec, &state) }
        guard outcome == .ok, spec.qosMap != 0 || tables.qos.isAskedOfEach.load(ordering: .relaxed), var key = FlowKey(spec.key) else {
            return outcome
        }
        tables.readingFlows { flows in
            var hash: UInt64 = 0, index: UInt32 = 0
            flows.lookup(keys: &key, hashes: &hash, indices: &index, count: 1)
            guard index != FlowTable.none else { return }
            let entry = flows.entry(index)
            entry.qosMap = spec.qosMap
            flows.entry(entry.reverse).qosMap = spec.qosMap
        }
        if spec.qosMap != 0 { tables.qos.isAskedOfEach.store(true, ordering: .relaxed) }
        return .ok
    }

    public func forwardingClasses(after: UInt8?, limit: Int) -> [ForwardingClassSpec] {
        state.withLock { page($0.forwardingClasses, after, limit).map(\.1) }
    }

    public func qosMaps(after: UInt8?, limit: Int) -> [QoSMapSpec] { state.withLock { page($0.qosMaps, after, limit).map(\.1) } }
}

extension QoSMapSpec {
    /// The forwarding classes that it leads to.
    fileprivate var leadsTo: [UInt8] { Array(dscp.values) + trafficClass.values + vlanPriority.values }
}
