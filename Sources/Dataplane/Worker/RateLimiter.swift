import CPlatform

/// A rate per slot (per vif), by the generic cell rate algorithm: one number per slot, the time at which the next packet would be on schedule.
/// Owned by one worker.
final class RateLimiter {
    private let schedule: UnsafeMutablePointer<UInt64>
    private let size: Int
    private let interval: UInt64
    private let tolerance: UInt64

    init(slots: Int, perSecond: Int, burst: Int, tscHz: UInt64) {
        size = slots * 8
        guard let memory = vr_reserve(size) else { fatalError("no address space for \(slots) rate limits") }
        schedule = memory.bindMemory(to: UInt64.self, capacity: slots)
        interval = tscHz / UInt64(perSecond)
        tolerance = interval * UInt64(burst)
    }

    deinit { vr_unreserve(schedule, size) }

    func allows(_ slot: UInt32, now: UInt64) -> Bool {
        let due = schedule[Int(slot)]
        guard due <= now &+ tolerance else { return false }
        schedule[Int(slot)] = max(due, now) &+ interval
        return true
    }
}
