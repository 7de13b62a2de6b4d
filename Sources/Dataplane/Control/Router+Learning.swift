import NetTypes
import Synchronization

/// Learning, on the control side: reports of the workers become bridge entries, those not seen for long are forgotten.
///
/// A learned address leads to the vif's own bridged next hop (`encap` without a destination), or to the VXLAN tunnel next hop of the far end it was seen
/// behind. A far end without one is not learned: only known peers are believed. Programmed entries are never changed, moved or evicted by learning, and a
/// learned entry does not keep its next hop from being deleted: it goes with it.
extension Router {
    struct Learning {
        /// Learned keys (`BridgeTable.key`), in no order; the walk of ageing goes round them.
        var keys: [UInt64] = []
        var positions: [UInt64: Int] = [:]
        var cursor = 0
        var perVRF: [UInt32: Int] = [:]
        /// What a place is reached by.
        var nextHops: [Place: NextHopID] = [:]
        var statistics = LearningStatistics()
    }

    enum Place: Hashable {
        case vif(VifID)
        case far(IPv6Address)
    }

    /// Seconds after which an address that was not seen is forgotten, where the VRF does not say.
    static let defaultAgeing: UInt32 = 300

    /// Turns the workers' reports into entries.
    func learn() {
        guard workers.contains(where: { !$0.learnQueue.isEmpty }) else { return }
        state.withLock { state in
            for worker in workers { while let report = worker.learnQueue.take() { learn(report, &state) } }
        }
    }

    private func learn(_ report: LearnQueue.Report, _ state: inout State) {
        let vrf = VRFID(report.vrf), now = tables.learnClock.load(ordering: .relaxed)
        guard let spec = state.vrfs[vrf], spec.learnsMACs else { return }
        let place: Place = report.isRemote ? .far(IPv6Address(high: report.farHigh, low: report.farLow)) : .vif(VifID(report.vif))
        if case .vif(let vif) = place, state.vifs[vif]?.vrf != vrf { return }
        guard let nextHop = state.learning.nextHops[place] else {
            state.learning.statistics.withoutNextHop += 1
            return
        }
        let known = tables.bridge.meta(vrf: report.vrf, mac: report.mac)
        var moves = 0
        if let known {
            guard known.meta.isLearned, known.meta.location != report.location else { return }
            moves = known.meta.moves + 1
        } else if spec.macLimit != 0, state.learning.perVRF[report.vrf] ?? 0 >= Int(spec.macLimit) {
            state.learning.statistics.overLimit += 1
            return
        } else if state.learning.keys.count >= configuration.learnedCapacity {
            state.learning.statistics.tableFull += 1
            return
        }
        guard
            tables.bridge.learn(
                vrf: report.vrf, mac: report.mac, nextHop: nextHop.rawValue, label: report.label, .init(location: report.location, moves: moves),
                now: now)
        else {
            state.learning.statistics.tableFull += 1
            return
        }
        if known != nil {
            state.learning.statistics.moved += 1
        } else {
            state.learning.note(BridgeTable.key(report.vrf, report.mac))
            state.learning.statistics.learned += 1
        }
    }

    /// Forgets what has not been seen for its VRF's time; looks at `budget` entries.
    func ageLearned(_ state: inout State, budget: Int = 8192) {
        let now = tables.learnClock.load(ordering: .relaxed)
        for _ in 0..<min(budget, state.learning.keys.count) {
            if state.learning.cursor >= state.learning.keys.count { state.learning.cursor = 0 }
            let key = state.learning.keys[state.learning.cursor]
            let vrf = UInt32(truncatingIfNeeded: key >> 48), mac = key & 0xFFFF_FFFF_FFFF
            let set = state.vrfs[VRFID(vrf)]?.macAgeing ?? 0, limit = set == 0 ? Router.defaultAgeing : set
            if let seen = tables.bridge.meta(vrf: vrf, mac: mac)?.seen, now &- seen < limit {
                state.learning.cursor += 1
            } else {
                _ = tables.bridge.remove(vrf: vrf, mac: mac)
                state.learning.forget(key)
                state.learning.statistics.aged += 1
            }
        }
    }

    /// Forgets the learned entries of a VRF, or those that lead to a next hop.
    func flushLearned(vrf: UInt32? = nil, nextHop: NextHopID? = nil, _ state: inout State) {
        for key in state.learning.keys {
            let owner = UInt32(truncatingIfNeeded: key >> 48), mac = key & 0xFFFF_FFFF_FFFF
            if let vrf, owner != vrf { continue }
            if let nextHop, tables.bridge.entry(vrf: owner, mac: mac)?.nextHop != nextHop.rawValue { continue }
            _ = tables.bridge.remove(vrf: owner, mac: mac)
            state.learning.forget(key)
        }
    }

    /// Where learning is switched on or off: the records that carry it are made anew.
    func learningChanged(_ vrf: VRFID, isOn: Bool, _ state: inout State) {
        for vif in state.vifs.values where vif.vrf == vrf {
            if case .success(let port) = place(vif, "", state) { publish(vif, port, state) }
        }
        for spec in state.nextHops.values {
            guard case .vrf(vrf, _, _) = spec.kind, var record = tables.nextHops.load(spec.id.rawValue)?.pointee else { continue }
            record.learns = isOn
            _ = tables.nextHops.publish(spec.id.rawValue, record)
        }
        if !isOn { flushLearned(vrf: vrf.rawValue, &state) }
    }

    func learningStatistics(_ state: State) -> LearningStatistics {
        var statistics = state.learning.statistics
        statistics.lost = workers.reduce(0) { $0 + $1.learnQueue.lost.load(ordering: .relaxed) }
        return statistics
    }
}

/// What became of source addresses that were not known, since the start.
public struct LearningStatistics: Hashable, Sendable {
    public var learned: UInt64 = 0, moved: UInt64 = 0, aged: UInt64 = 0
    /// Refused: the VRF's limit; the router's; no bridged next hop leads to the vif, or no VXLAN tunnel to the far end.
    public var overLimit: UInt64 = 0, tableFull: UInt64 = 0, withoutNextHop: UInt64 = 0
    /// Reports that found their queue full.
    public var lost: UInt64 = 0
}

/// A bridge entry and, when it was learned, what is known about that.
public struct BridgeEntryReading: Hashable, Sendable {
    public struct Learned: Hashable, Sendable {
        /// How often the address appeared in another place.
        public var moves: Int
        /// Since it was last seen.
        public var idleSeconds: Int
    }
    public var spec: BridgeEntrySpec
    /// Nil: it was programmed.
    public var learned: Learned?
}

extension Router.Learning {
    mutating func note(_ key: UInt64) {
        guard positions[key] == nil else { return }
        positions[key] = keys.count
        keys.append(key)
        perVRF[UInt32(truncatingIfNeeded: key >> 48), default: 0] += 1
    }

    @discardableResult mutating func forget(_ key: UInt64) -> Bool {
        guard let at = positions.removeValue(forKey: key), let last = keys.popLast() else { return false }
        if last != key {
            keys[at] = last
            positions[last] = at
        }
        let vrf = UInt32(truncatingIfNeeded: key >> 48), rest = (perVRF[vrf] ?? 1) - 1
        perVRF[vrf] = rest > 0 ? rest : nil
        return true
    }

    /// True when the entry was learned: nothing refers to its next hop on its account.
    mutating func forget(_ vrf: VRFID, _ mac: MACAddress) -> Bool { forget(BridgeTable.key(vrf.rawValue, mac.rawValue)) }
}

extension NextHopSpec {
    /// The place that learned addresses reach through it.
    var place: Router.Place? {
        switch kind {
        case .encap(let vif, nil, _): .vif(vif)
        case .tunnel(let tunnel) where tunnel.encapsulation == .vxlan: .far(tunnel.destination.mapped)
        default: nil
        }
    }
}
