import CPlatform
import Synchronization

/// Who has how many flows, and how many more they may have: one record per vif, or per VRF.
///
/// A flow belongs to the workload that sent its first packet, or, when that came out of a tunnel, to the one that gets it (`FlowEntry.owner`), and to the VRF of its forward key.
/// A record is one cache line: counting flows in or out is one atomic addition, asking whether there may be another is a comparison, without locks. A worker counts the new flows of a
/// burst together (`FlowTally`), so of two that ask at once both may be told yes: a limit is exceeded by a burst of each other worker, at most.
///
/// # Thread-safety
/// Counting and asking: any thread. Limits: written by the control thread.
final class FlowQuotas: @unchecked Sendable {
    /// Why there may not be another flow.
    enum Refusal { case limit, rate, share }

    /// One cache line each.
    private struct Record: ~Copyable {
        /// Pairs.
        let count = Atomic<Int32>(0)
        /// Pairs at most; 0: no limit.
        let limit = Atomic<UInt32>(0)
        /// TSC cycles per new flow; 0: no limit.
        let interval = Atomic<UInt64>(0)
        /// When the next new flow would be on schedule (the generic cell rate algorithm), and how far ahead of it they may be.
        let schedule = Atomic<UInt64>(0)
        let tolerance = Atomic<UInt64>(0)
        let overLimit = Atomic<UInt64>(0)
        let overRate = Atomic<UInt64>(0)
        let overShare = Atomic<UInt64>(0)
        let evicted = Atomic<UInt64>(0)
    }
    private static let stride = 64

    let capacity: Int
    private let memory: ReservedMemory
    /// One past the largest id that ever had a flow.
    private let end = Atomic<UInt32>(0)
    /// Records with flows.
    private let active = Atomic<Int32>(0)

    init(capacity: Int) {
        self.capacity = capacity
        // All-zero memory is a valid record.
        memory = ReservedMemory(size: max(capacity, 1) * Self.stride)
    }

    @inline(__always) private func record(_ id: UInt32) -> UnsafeMutablePointer<Record>? {
        Int(id) < capacity ? (memory.base + Int(id) &* Self.stride).assumingMemoryBound(to: Record.self) : nil
    }

    // MARK: Counting

    /// A flow may be counted out by another thread before it is counted in.
    @inline(__always) func add(_ id: UInt32, _ count: Int32 = 1) {
        guard let record = record(id) else { return }
        let (old, new) = record.pointee.count.wrappingAdd(count, ordering: .relaxed)
        if old <= 0, new > 0 { begin(id) }
    }

    @inline(never) private func begin(_ id: UInt32) {
        active.add(1, ordering: .relaxed)
        end.max(id &+ 1, ordering: .relaxed)
    }

    @inline(__always) func subtract(_ id: UInt32) {
        guard let record = record(id) else { return }
        if record.pointee.count.wrappingSubtract(1, ordering: .relaxed).oldValue == 1 { active.subtract(1, ordering: .relaxed) }
    }

    /// Pairs.
    func count(_ id: UInt32) -> Int { record(id).map { max(0, Int($0.pointee.count.load(ordering: .relaxed))) } ?? 0 }
    var activeCount: Int { Int(active.load(ordering: .relaxed)) }

    // MARK: Asking

    /// Whether there may be one more, besides `pending` that are not counted yet; of a rate, without using it up. `now`: TSC.
    func refuses(_ id: UInt32, now: UInt64, pending: Int32 = 0) -> Refusal? {
        guard let record = record(id) else { return nil }
        let limit = record.pointee.limit.load(ordering: .relaxed)
        if limit != 0, record.pointee.count.load(ordering: .relaxed) &+ pending >= Int32(clamping: limit) { return .limit }
        guard record.pointee.interval.load(ordering: .relaxed) != 0 else { return nil }
        return record.pointee.schedule.load(ordering: .relaxed) > now &+ record.pointee.tolerance.load(ordering: .relaxed) ? .rate : nil
    }

    /// The same, and the rate is used up by one.
    func takes(_ id: UInt32, now: UInt64, pending: Int32) -> Refusal? {
        if let refusal = refuses(id, now: now, pending: pending) { return refusal }
        guard let record = record(id) else { return nil }
        let interval = record.pointee.interval.load(ordering: .relaxed)
        guard interval != 0 else { return nil }
        var due = record.pointee.schedule.load(ordering: .relaxed)
        // Another worker may be at the same vif: after a few attempts the flow goes uncounted.
        for _ in 0..<4 {
            if due > now &+ record.pointee.tolerance.load(ordering: .relaxed) { return .rate }
            let (exchanged, original) = record.pointee.schedule.compareExchange(
                expected: due, desired: Swift.max(due, now) &+ interval, ordering: .relaxed)
            if exchanged { return nil }
            due = original
        }
        return nil
    }

    func note(_ refusal: Refusal, _ id: UInt32) {
        guard let record = record(id) else { return }
        switch refusal {
        case .limit: record.pointee.overLimit.add(1, ordering: .relaxed)
        case .rate: record.pointee.overRate.add(1, ordering: .relaxed)
        case .share: record.pointee.overShare.add(1, ordering: .relaxed)
        }
    }

    func noteEviction(_ id: UInt32) { record(id)?.pointee.evicted.add(1, ordering: .relaxed) }

    // MARK: Limits

    /// `limit`: pairs, 0: none. `rate`: new pairs per second, 0: none; as many at once as in one second.
    func set(_ id: UInt32, limit: UInt32, rate: UInt32, tscHz: UInt64) {
        guard let record = record(id) else { return }
        let interval = rate == 0 ? 0 : Swift.max(1, tscHz / UInt64(rate))
        record.pointee.limit.store(limit, ordering: .relaxed)
        record.pointee.tolerance.store(interval &* UInt64(rate == 0 ? 0 : rate &- 1), ordering: .relaxed)
        record.pointee.interval.store(interval, ordering: .relaxed)
    }

    /// The number of flows above which an owner takes more than its share of `budget`: who has fewer keeps all of them, and what is left over is shared alike among the others
    /// (max-min fairness).
    func fairShare(of budget: Int) -> Int {
        let end = end.load(ordering: .relaxed)
        var share = budget / Swift.max(1, activeCount)
        // Each pass settles at least one owner; a handful is close enough.
        for _ in 0..<8 {
            var small = 0, large = 0
            var id: UInt32 = 0
            while id < end {
                let count = count(id)
                if count > share { large += 1 } else { small += count }
                id += 1
            }
            guard large > 0 else { return Swift.max(share, 1) }
            let next = (budget - small) / large
            if next <= share { break }
            share = next
        }
        return Swift.max(share, 1)
    }

    func reading(_ id: UInt32) -> FlowQuotaReading {
        var reading = FlowQuotaReading()
        guard let record = record(id) else { return reading }
        reading.flows = max(0, Int(record.pointee.count.load(ordering: .relaxed)))
        reading.overLimit = record.pointee.overLimit.load(ordering: .relaxed)
        reading.overRate = record.pointee.overRate.load(ordering: .relaxed)
        reading.overShare = record.pointee.overShare.load(ordering: .relaxed)
        reading.evicted = record.pointee.evicted.load(ordering: .relaxed)
        return reading
    }
}

/// What became of the flows of a vif or a VRF, since the start.
public struct FlowQuotaReading: Hashable, Sendable {
    /// Pairs that are there.
    public var flows = 0
    /// Packets that wanted a new flow and were dropped: the limit was reached; they came too fast; the table was nearly full and this owner had more than its share.
    public var overLimit: UInt64 = 0, overRate: UInt64 = 0, overShare: UInt64 = 0
    /// Flows removed to make room.
    public var evicted: UInt64 = 0
    public init() {}
}
