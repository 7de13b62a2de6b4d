/// When a worker looks at the next entries of its slice of the flow table (`FlowTable.age`): 256 for each millisecond, so that 8 million flows of two workers are gone through in 16 s.
///
/// A turn takes one such step at most: no packet waits longer than for that. A worker that slept has not taken those of the time since; it takes them in the turns that follow, and before they
/// are done it does not sleep again. So whose packets come to others ages its slice as fast as any. A round that ends leaves nothing to be done: what is not due now is looked at in a millisecond.
///
/// # Thread-safety
/// The worker's own.
struct AgeingPace {
    static let entriesPerStep = 256
    /// A sleep takes 100 ms at most; who was away for longer than that does not make up for all of it.
    static let mostSteps: UInt64 = 128
    /// Ticks of the TSC.
    private let interval: UInt64
    private var next: UInt64 = 0

    init(interval: UInt64) { self.interval = max(1, interval) }

    @inline(__always) func isDue(_ now: UInt64) -> Bool { now > next }

    /// A step was taken. `isRoundOver`: with the last entry of the slice.
    mutating func step(_ now: UInt64, isRoundOver: Bool) {
        let earliest = now > Self.mostSteps &* interval ? now &- Self.mostSteps &* interval : 0
        next = isRoundOver ? now &+ interval : max(next, earliest) &+ interval
    }
}

extension Worker {
    @inline(never) func ageFlows() {
        _ = flows.age(lane: id, now: milliseconds, budget: AgeingPace.entriesPerStep)
        ageingPace.step(now, isRoundOver: flows.hasAgedAll(lane: id))
    }
}

extension FlowTable {
    /// The lane's last step ended with the last entry of its slice.
    func hasAgedAll(lane: Int) -> Bool { pool.cursor(lane) == 1 }
}
