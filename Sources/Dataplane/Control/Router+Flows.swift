public import NetTypes
import Synchronization

// Ageing times, statistics and the reading of flows.
extension Router {
    // MARK: Ageing

    func upsert(_ spec: FlowAgeingSpec, _ state: inout State) -> RouterOutcome {
        guard (1...604_800).contains(spec.seconds) else {
            return .invalid("flow ageing \(spec.what): \(spec.seconds) seconds; 1 to 604800 (a week)")
        }
        guard tables.flows.ageing.set(spec.proto, spec.port, spec.seconds * 1000) else {
            return .invalid("flow ageing \(spec.what): the protocol has no ports; those of \(FlowAgeingTimes.withPorts) are known")
        }
        state.ageing[spec.id] = spec
        ageingChanged(state)
        return .ok
    }

    func deleteFlowAgeing(_ id: FlowAgeingID, _ state: inout State) -> RouterOutcome {
        guard let old = state.ageing.removeValue(forKey: id) else {
            return .notFound("flow ageing \(FlowAgeingSpec(proto: id.proto, port: id.port, seconds: 0).what): does not exist")
        }
        _ = tables.flows.ageing.set(old.proto, old.port, 0)
        ageingChanged(state)
        return .ok
    }

    private func ageingChanged(_ state: State) {
        tables.flows.ageing.shortest.store(state.ageing.values.map { $0.seconds * 1000 }.min() ?? .max, ordering: .relaxed)
    }

    public func flowAgeing(after: FlowAgeingID?, limit: Int) -> [FlowAgeingSpec] { state.withLock { page($0.ageing, after, limit).map(\.1) } }

    // MARK: Statistics

    func flowStatistics(_ state: State) -> FlowStatistics {
        let flows = tables.flows, pool = flows.pool
        var out = FlowStatistics()
        out.entries = flows.count
        out.capacity = flows.capacity
        (out.created, out.removed) = (pool.inserted, pool.removed)
        (out.aged, out.closed, out.evicted, out.unanswered) = (pool.aged, pool.closed, pool.evicted, pool.unanswered)
        (out.full, out.busy) = (pool.full, pool.busy)
        for id in state.vifs.keys {
            let reading = flows.vifQuotas.reading(id.rawValue)
            out.overLimit &+= reading.overLimit
            out.overRate &+= reading.overRate
            out.overShare &+= reading.overShare
        }
        for id in state.vrfs.keys { out.overLimit &+= flows.vrfQuotas.reading(id.rawValue).overLimit }
        out.pressure = Int(flows.pressure.level)
        out.heldPackets = workers.reduce(0) { $0 + Int($1.heldPackets.load(ordering: .relaxed)) }
        return out
    }

    // MARK: Reading

    /// Flow entries at table indices ≥ `from`; `next` is where to go on, nil at the end.
    public func flows(from: UInt32, limit: Int) -> (flows: [FlowReading], next: UInt32?) {
        var out: [FlowReading] = []
        let next = flows(from: from, limit: limit, scan: .max, matching: FlowFilter()) { out.append($0) }
        return (out, next)
    }

    /// Hands the entries that match, of at most `scan` table indices from `from` on, and at most `limit`, to `body`; returns where to go on, nil at the end. The router's lock is held meanwhile.
    public func flows(from: UInt32, limit: Int, scan: Int, matching filter: FlowFilter, _ body: (FlowReading) -> Void) -> UInt32? {
        state.withLock { _ in
            tables.readingFlows { flows in
                let end = flows.pool.end, now = milliseconds
                let last = min(UInt64(end), UInt64(max(from, 1)) + UInt64(clamping: scan))
                var index = max(from, 1), left = limit
                while UInt64(index) < last, left > 0 {
                    defer { index += 1 }
                    let isEvicted = !flows.isLive(index)
                    if isEvicted {
                        guard filter.showsEvicted, flows.isTraceOfEvicted(index) else { continue }
                    } else if !filter.isEverything, !filter.matches(flows.entry(index)) {
                        continue
                    }
                    guard let entry = isEvicted ? flows.entry(index).copy() : flows.snapshot(index) else { continue }
                    var reading = FlowReading(
                        index: index, entry, reverse: isEvicted ? flows.trace(entry.reverse, of: index) : flows.snapshot(entry.reverse),
                        hash: flows.hash, now: now)
                    reading.isEvicted = isEvicted
                    if filter.matches(reading) {
                        body(reading)
                        left -= 1
                    }
                }
                return index < end ? index : nil
            }
        }
    }
}

extension FlowAgeingSpec {
    var id: FlowAgeingID { FlowAgeingID(proto: proto, port: port) }
    var what: String { port == 0 ? "of protocol \(proto)" : "of protocol \(proto) port \(port)" }
}

extension FlowTable {
    /// A free entry whose last flow was evicted and that has not been used again.
    /// It may be taken for a new flow meanwhile, so it is read as it is written: by whole words.
    func isTraceOfEvicted(_ index: UInt32) -> Bool { entry(index).flags.contains(.evicted) && entry(index).copy().family != 0 }

    /// The other half of such a flow. Once free the index is a link of the free list, so it is believed only when it leads back.
    func trace(_ reverse: UInt32, of index: UInt32) -> FlowEntry? {
        guard reverse != FlowTable.none, Int(reverse) <= capacity, isTraceOfEvicted(reverse), entry(reverse).reverse == index else { return nil }
        return entry(reverse).copy()
    }
}

/// Which flow entries are wanted; nil and empty: any.
public struct FlowFilter: Hashable, Sendable {
    public struct Endpoint: Hashable, Sendable {
        public var address: IPAddress?
        public var port: UInt16?
        public init(address: IPAddress? = nil, port: UInt16? = nil) {
            self.address = address
            self.port = port
        }
    }
    /// One: either end of the flow; two: the flow is between them, in either direction.
    public var endpoints: [Endpoint] = []
    public var vrf: VRFID?
    public var proto: UInt8?
    public var action: FlowAction?
    public var dropReason: FlowDropReason?
    /// The vif by which its packets come in.
    public var vif: VifID?
    /// Only entries of the direction of the first packet.
    public var forwardOnly = false
    /// Also entries whose flow was evicted, while they have not been used again.
    public var showsEvicted = false
    public init() {}

    var isEverything: Bool {
        endpoints.isEmpty && vrf == nil && proto == nil && action == nil && dropReason == nil && vif == nil && !forwardOnly
    }

    /// What is cheap to ask without a copy.
    func matches(_ entry: UnsafeMutablePointer<FlowEntry>) -> Bool {
        if let proto, proto != entry.pointee.proto { return false }
        if let vrf, vrf.rawValue != entry.pointee.vrf { return false }
        if let vif, vif.rawValue != entry.ingressVif { return false }
        return !forwardOnly || entry.isForward
    }

    func matches(_ flow: FlowReading) -> Bool {
        if isEverything { return true }
        let key = flow.spec.key
        if let proto, proto != key.proto { return false }
        if let vrf, vrf != key.vrf { return false }
        if let vif, vif != flow.ingressVif { return false }
        if let action, action != flow.spec.action { return false }
        if let dropReason, dropReason != flow.dropReason { return false }
        if forwardOnly, !flow.isForward { return false }
        guard let first = endpoints.first else { return true }
        let source = Endpoint(address: key.source, port: key.sourcePort), destination = Endpoint(address: key.destination, port: key.destinationPort)
        guard endpoints.count > 1 else { return first.accepts(source) || first.accepts(destination) }
        let second = endpoints[1]
        return first.accepts(source) && second.accepts(destination) || first.accepts(destination) && second.accepts(source)
    }
}

extension FlowFilter.Endpoint {
    fileprivate func accepts(_ end: Self) -> Bool { (address == nil || address == end.address) && (port == nil || port == end.port) }
}
