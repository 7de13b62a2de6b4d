import Synchronization

/// Free entries of the flow table: a list per lane, a shared store of whole chunks between the lanes, and the entries never used yet.
///
/// A lane's next entries are in an array of its own, so that taking one touches nothing but the array; what is too much for it is a list linked through the entries
/// themselves. A lane that has many gives a chunk of 64 to the store, a lane that has none takes one, so flows
/// that one worker makes and another ages do not strand. The store has a lock that is tried, not waited for.
///
/// # Thread-safety
/// A lane's list and limbo belong to who runs that lane.
final class FlowEntryPool: @unchecked Sendable {
    private static let chunk = 64
    private static let keep = 256

    /// What one lane owns; padded, so that lanes share no cache line.
    private struct Lane: ~Copyable {
        /// The next free entry is the last of these.
        let free = UnsafeMutablePointer<UInt32>.allocate(capacity: FlowEntryPool.keep)
        var count = 0
        /// And the first of a list of more.
        var head: UInt32 = 0
        var listed = 0
        var limbo = Limbo()
        var cursor: UInt32 = 1
        var generation: UInt32 = 0
        // Statistics, read by others.
        let inserted = Atomic<UInt64>(0)
        let removed = Atomic<UInt64>(0)
        let full = Atomic<UInt64>(0)
        let busy = Atomic<UInt64>(0)
        let aged = Atomic<UInt64>(0)
        let closed = Atomic<UInt64>(0)
        let evicted = Atomic<UInt64>(0)
        let unanswered = Atomic<UInt64>(0)
        deinit { free.deallocate() }
        var padding: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0, 0, 0)
    }

    private let entries: UnsafeMutablePointer<FlowEntry>
    private let capacity: UInt32
    private let lanes: UnsafeMutablePointer<Lane>
    private let laneCount: Int
    private let quiescence: Quiescence
    /// First entry never used; goes up by chunks.
    private let untouched = Atomic<UInt32>(1)
    private let storeLock = Atomic<UInt32>(0)
    /// First entry of the first chunk in the store; written under the lock.
    private let store = Atomic<UInt32>(0)

    init(entries: UnsafeMutablePointer<FlowEntry>, capacity: Int, laneCount: Int, quiescence: Quiescence) {
        self.entries = entries
        self.capacity = UInt32(capacity)
        self.laneCount = laneCount
        self.quiescence = quiescence
        lanes = .allocate(capacity: laneCount)
        for lane in 0..<laneCount { (lanes + lane).initialize(to: Lane()) }
    }

    deinit {
        lanes.deinitialize(count: laneCount)
        lanes.deallocate()
    }

    /// A free entry, 0: none.
    @inline(__always) func take(_ lane: Int) -> UInt32 {
        let own = lanes + lane
        if own.pointee.count == 0, !refill(own) { return 0 }
        own.pointee.count &-= 1
        return own.pointee.free[own.pointee.count]
    }

    /// An entry that no reader can hold: never published, or past its grace period.
    func give(_ lane: Int, _ index: UInt32) {
        let own = lanes + lane
        if own.pointee.count < Self.keep {
            own.pointee.free[own.pointee.count] = index
            own.pointee.count &+= 1
            return
        }
        (entries + Int(index)).reverse = own.pointee.head
        own.pointee.head = index
        own.pointee.listed &+= 1
        if own.pointee.listed >= Self.chunk { share(own) }
    }

    /// An entry that was published: free after a grace period.
    func retire(_ lane: Int, _ index: UInt32) { lanes[lane].limbo.push(UInt64(index)) }

    /// Frees what has passed its grace period.
    func collect(_ lane: Int) {
        guard lanes[lane].limbo.count > 0 else { return }
        let entries = entries
        var limbo = Limbo()
        swap(&limbo, &lanes[lane].limbo)
        limbo.collect(quiescence) { item in
            let index = UInt32(truncatingIfNeeded: item)
            (entries + Int(index)).become(.free)
            give(lane, index)
        }
        swap(&limbo, &lanes[lane].limbo)
    }

    /// Puts up to a chunk of entries into the lane's empty array; false when there is none anywhere.
    @inline(never) private func refill(_ own: UnsafeMutablePointer<Lane>) -> Bool {
        if own.pointee.head != 0 {
            own.pointee.head = unlist(own, own.pointee.head)
            own.pointee.listed &-= own.pointee.count
            return true
        }
        if store.load(ordering: .relaxed) != 0, lockStore() {
            let head = store.load(ordering: .relaxed)
            if head != 0 { store.store((entries + Int(head)).tcpSequenceEnd, ordering: .relaxed) }
            storeLock.store(0, ordering: .releasing)
            if head != 0 {
                _ = unlist(own, head)
                return true
            }
        }
        if untouched.load(ordering: .relaxed) <= capacity {
            let first = untouched.add(UInt32(Self.chunk), ordering: .relaxed).oldValue
            if first <= capacity {
                // The lowest last, so that they are used in order.
                var index = min(first &+ UInt32(Self.chunk), capacity &+ 1)
                while index > first {
                    index &-= 1
                    own.pointee.free[own.pointee.count] = index
                    own.pointee.count &+= 1
                }
                return true
            }
        }
        collect(lanes.distance(to: own))
        return own.pointee.count != 0
    }

    /// Moves at most a chunk of a list into the lane's array; returns what is left of it.
    private func unlist(_ own: UnsafeMutablePointer<Lane>, _ head: UInt32) -> UInt32 {
        var index = head
        while index != 0, own.pointee.count < Self.chunk {
            own.pointee.free[own.pointee.count] = index
            own.pointee.count &+= 1
            index = (entries + Int(index)).reverse
        }
        return index
    }

    /// Gives the first chunk of a lane's list to the store.
    private func share(_ own: UnsafeMutablePointer<Lane>) {
        guard lockStore() else { return }
        let head = own.pointee.head
        var last = head
        for _ in 1..<Self.chunk { last = (entries + Int(last)).reverse }
        own.pointee.head = (entries + Int(last)).reverse
        own.pointee.listed &-= Self.chunk
        (entries + Int(last)).reverse = 0
        (entries + Int(head)).tcpSequenceEnd = store.load(ordering: .relaxed)
        store.store(head, ordering: .relaxed)
        storeLock.store(0, ordering: .releasing)
    }

    private func lockStore() -> Bool { storeLock.compareExchange(expected: 0, desired: 1, ordering: .acquiring).exchanged }

    // MARK: Ageing position and statistics

    /// One past the highest entry ever used.
    var end: UInt32 { min(untouched.load(ordering: .acquiring), capacity &+ 1) }
    func cursor(_ lane: Int) -> UInt32 { lanes[lane].cursor }
    func setCursor(_ lane: Int, _ index: UInt32) { lanes[lane].cursor = index }

    func countInserted(_ lane: Int, _ entries: Int) { Self.add(lanes[lane].inserted, entries) }
    func countRemoved(_ lane: Int, _ entries: Int) { Self.add(lanes[lane].removed, entries) }
    func countFull(_ lane: Int) { Self.add(lanes[lane].full, 1) }
    func countBusy(_ lane: Int) { Self.add(lanes[lane].busy, 1) }

    /// A number that no other flow has been given, by any lane, since a lane gave 2³² divided by the number of lanes.
    @inline(__always) func nextGeneration(_ lane: Int) -> UInt32 {
        lanes[lane].generation &+= UInt32(truncatingIfNeeded: laneCount)
        return lanes[lane].generation &+ UInt32(truncatingIfNeeded: lane)
    }

    func count(_ lane: Int, _ cause: FlowTable.RemovalCause) {
        switch cause {
        case .requested: break
        case .aged: Self.add(lanes[lane].aged, 1)
        case .closed: Self.add(lanes[lane].closed, 1)
        case .evicted: Self.add(lanes[lane].evicted, 1)
        case .unanswered: Self.add(lanes[lane].unanswered, 1)
        }
    }

    /// One writer each.
    private static func add(_ counter: borrowing Atomic<UInt64>, _ amount: Int) {
        counter.store(counter.load(ordering: .relaxed) &+ UInt64(truncatingIfNeeded: amount), ordering: .relaxed)
    }

    var inserted: UInt64 { (0..<laneCount).reduce(0) { $0 &+ lanes[$1].inserted.load(ordering: .relaxed) } }
    var removed: UInt64 { (0..<laneCount).reduce(0) { $0 &+ lanes[$1].removed.load(ordering: .relaxed) } }
    var full: UInt64 { (0..<laneCount).reduce(0) { $0 &+ lanes[$1].full.load(ordering: .relaxed) } }
    /// Flows, by why they were removed.
    var aged: UInt64 { (0..<laneCount).reduce(0) { $0 &+ lanes[$1].aged.load(ordering: .relaxed) } }
    var closed: UInt64 { (0..<laneCount).reduce(0) { $0 &+ lanes[$1].closed.load(ordering: .relaxed) } }
    var evicted: UInt64 { (0..<laneCount).reduce(0) { $0 &+ lanes[$1].evicted.load(ordering: .relaxed) } }
    var unanswered: UInt64 { (0..<laneCount).reduce(0) { $0 &+ lanes[$1].unanswered.load(ordering: .relaxed) } }
    var busy: UInt64 { (0..<laneCount).reduce(0) { $0 &+ lanes[$1].busy.load(ordering: .relaxed) } }
}
