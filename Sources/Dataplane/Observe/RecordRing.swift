import CPlatform
import Synchronization

/// A ring of fixed slots that one thread overwrites and anybody reads: what a worker notes of single packets and flows, at the price of the words it copies.
///
/// The first word of a slot is its sequence; the rest is whose ring it is.
///
/// # Thread-safety
/// One writer. Any thread reads: each slot is a sequence lock. The sequence is odd while the slot is written and else says which record, counted from 1, is in it, so a reader
/// neither mixes two records nor takes a slot for one that was meanwhile overwritten.
class RecordRing: @unchecked Sendable {
    final let capacity: Int
    private final let slotSize: Int
    private final let memory: ReservedMemory
    /// Records ever written, and the slot of the next; the writer's own.
    @exclusivity(unchecked) private final var recorded: UInt64 = 0
    @exclusivity(unchecked) private final var at = 0
    private final let published = Atomic<UInt64>(0)

    /// `capacity` 0: nothing is recorded. `slotSize`: octets, a multiple of 8.
    init(capacity: Int, slotSize: Int) {
        self.capacity = capacity
        self.slotSize = slotSize
        memory = ReservedMemory(size: max(1, capacity) * slotSize)
    }

    /// `fill` writes all words of the slot but the first. There has to be a slot.
    @inline(__always) final func write(_ fill: (UnsafeMutableRawPointer) -> Void) {
        let slot = memory.base + at &* slotSize
        at = at &+ 1 == capacity ? 0 : at &+ 1
        slot.store64(0, recorded &* 2 &+ 1)
        atomicMemoryFence(ordering: .releasing)
        fill(slot)
        recorded &+= 1
        slot.release64(0, recorded &* 2)
        published.store(recorded, ordering: .releasing)
    }

    /// Records written since the start.
    final var count: UInt64 { published.load(ordering: .acquiring) }

    /// Those written after the first `after` that are still there, oldest first: the number of each, counted from 1, and its words. Never waits: what is overwritten
    /// meanwhile is left out.
    final func records<Record>(after: UInt64, _ read: (UInt64, [UInt64]) -> Record) -> [Record] {
        let newest = count
        guard capacity > 0, newest > after else { return [] }
        let oldest = newest > UInt64(capacity) ? newest - UInt64(capacity) : 0
        return (max(after, oldest)..<newest).compactMap { index in words(index).map { read(index + 1, $0) } }
    }

    private final func words(_ index: UInt64) -> [UInt64]? {
        let slot = memory.base + Int(index % UInt64(capacity)) * slotSize
        let sequence = slot.acquire64(0)
        guard sequence == (index + 1) * 2 else { return nil }
        let words = (0..<slotSize / 8).map { slot.load64($0 * 8) }
        atomicMemoryFence(ordering: .acquiring)
        return slot.load64(0) == sequence ? words : nil
    }
}
