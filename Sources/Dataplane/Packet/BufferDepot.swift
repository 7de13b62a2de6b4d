import Synchronization

/// The free buffers of a pool that no lane keeps: crates of a fixed number of buffers, put down by lanes that have too many and taken by lanes that have none.
///
/// Nobody waits here. Full crates and empty ones lie on two stacks (Treiber's), each with one word that says which crate is on top and how often the stack was changed: a lane takes or puts down
/// a crate with one compare-and-exchange, and tries again only when another lane has succeeded meanwhile. The count of changes lets a lane that was delayed between looking and
/// exchanging see that the stack is another one, even with the same crate on top. A crate is filled and emptied by whoever holds it, beyond anybody's sight.
///
/// The stack's order is last in, first out: what was freed last, and may still be cached, is handed out first.
///
/// # Thread-safety
/// Any thread, any time. `count` is a statistic.
final class BufferDepot: @unchecked Sendable {
    /// Buffers in a crate.
    let crateSize: Int
    private let crateCount: Int
    /// The buffers of crate n, from `crates + n * crateSize` on.
    private let crates: UnsafeMutablePointer<UnsafeMutableRawPointer>
    /// For each crate that lies on a stack the one below it, numbered from 1; 0: none.
    private let below: UnsafeMutablePointer<Atomic<UInt32>>
    /// The tops of the two stacks: changes so far in the upper half, the crate's number in the lower, 0: the stack is empty. A cache line pair each.
    private let tops: UnsafeMutablePointer<Atomic<UInt64>>
    private static let full = 0, empty = 16
    private let fullCrates = Atomic<Int>(0)

    /// For a pool of `capacity` buffers, used by at most `laneCount` threads at a time, each of which may hold a crate in its hands.
    init(crateSize: Int, capacity: Int, laneCount: Int) {
        self.crateSize = crateSize
        crateCount = capacity / crateSize + laneCount
        crates = .allocate(capacity: crateCount * crateSize)
        below = .allocate(capacity: crateCount + 1)
        for crate in 0...crateCount { (below + crate).initialize(to: Atomic(crate < 2 ? 0 : UInt32(crate - 1))) }
        tops = .allocate(capacity: 32)
        for index in 0..<32 { (tops + index).initialize(to: Atomic(0)) }
        tops[Self.empty].store(UInt64(crateCount), ordering: .relaxed)
    }

    deinit {
        crates.deallocate()
        below.deinitialize(count: crateCount + 1)
        below.deallocate()
        tops.deinitialize(count: 32)
        tops.deallocate()
    }

    /// Copies `crateSize` free buffers out, the one freed last at the end; false: there are none.
    func take(_ buffers: UnsafeMutablePointer<UnsafeMutableRawPointer>) -> Bool {
        guard let crate = pop(Self.full) else { return false }
        fullCrates.subtract(1, ordering: .relaxed)
        buffers.update(from: crates + (crate - 1) * crateSize, count: crateSize)
        push(crate, on: Self.empty)
        return true
    }

    /// Takes `crateSize` free buffers.
    func put(_ buffers: UnsafeMutablePointer<UnsafeMutableRawPointer>) {
        // There is always one: all the pool's buffers do not fill the crates that no lane has in its hands.
        guard let crate = pop(Self.empty) else { preconditionFailure("more buffers were released than the pool has") }
        (crates + (crate - 1) * crateSize).update(from: buffers, count: crateSize)
        push(crate, on: Self.full)
        fullCrates.add(1, ordering: .relaxed)
    }

    /// Free buffers that lie here, give or take what lanes have in their hands.
    var count: Int { max(0, fullCrates.load(ordering: .relaxed)) * crateSize }

    private func pop(_ stack: Int) -> Int? {
        var top = tops[stack].load(ordering: .acquiring)
        while true {
            let crate = Int(top & 0xFFFF_FFFF)
            if crate == 0 { return nil }
            // Of another stack, perhaps, by now: then the exchange fails.
            let next = UInt64(below[crate].load(ordering: .relaxed))
            let (exchanged, seen) = tops[stack].weakCompareExchange(
                expected: top, desired: (top & ~0xFFFF_FFFF) &+ 1 << 32 | next, successOrdering: .acquiringAndReleasing, failureOrdering: .acquiring)
            if exchanged { return crate }
            top = seen
        }
    }

    private func push(_ crate: Int, on stack: Int) {
        var top = tops[stack].load(ordering: .relaxed)
        while true {
            below[crate].store(UInt32(truncatingIfNeeded: top), ordering: .relaxed)
            let (exchanged, seen) = tops[stack].weakCompareExchange(
                expected: top, desired: (top & ~0xFFFF_FFFF) &+ 1 << 32 | UInt64(crate), successOrdering: .acquiringAndReleasing,
                failureOrdering: .relaxed)
            if exchanged { return }
            top = seen
        }
    }
}
