import CPlatform
import Synchronization

/// A bounded single-producer, single-consumer ring of frames between two workers: the only way a packet gets from one worker to another. Bursts are moved, nobody waits:
/// a full ring takes fewer, an empty one gives none.
///
/// Each frame has a tag, which says what it is for (a vif, or a port and a vif). The two ends are on cache lines of their own, and each remembers the other's position, so
/// that the common burst touches the other end's line once per ring revolution rather than once per call. Slots are given back a burst at a time, or when the ring is empty: it
/// holds `capacity` less a burst at least.
///
/// A handful of pointers: two workers use it all the time, and counting references to an object would cost them more than the frames. Who made it frees it.
///
/// # Thread-safety
/// One worker pushes, one pops. `pushed` and `popped` may be read by anyone.
struct FrameRing: @unchecked Sendable {
    /// Where each end is and what it last saw of the other, one cache line pair each.
    private struct Ends: ~Copyable {
        let pushed = Atomic<Int>(0)
        var seenPopped = 0
        private let padding0 = SIMD16<UInt64>()
        let popped = Atomic<Int>(0)
        var seenPushed = 0
        /// Where the popping end is; `popped` follows.
        var taken = 0
        /// Up to where it has asked for what the frames refer to.
        var asked = 0
        private let padding1 = SIMD16<UInt64>()
    }

    private let frames: UnsafeMutablePointer<vr_frame>
    private let tags: UnsafeMutablePointer<UInt64>
    private let ends = UnsafeMutablePointer<Ends>.allocate(capacity: 1)
    private let mask: Int
    let capacity: Int

    /// `capacity` is a power of two.
    init(capacity: Int) {
        precondition(capacity > 0 && capacity & (capacity - 1) == 0, "a ring's capacity is a power of two")
        self.capacity = capacity
        mask = capacity - 1
        frames = .allocate(capacity: capacity)
        tags = .allocate(capacity: capacity)
        ends.initialize(to: Ends())
    }

    func free() {
        frames.deallocate()
        tags.deallocate()
        ends.deinitialize(count: 1)
        ends.deallocate()
    }

    /// Frames ever pushed and ever popped; the difference is what waits.
    var pushed: Int { ends.pointee.pushed.load(ordering: .acquiring) }
    var popped: Int { ends.pointee.popped.load(ordering: .acquiring) }

    /// Takes from the front as many of the frames as there is room for; returns how many.
    func push(_ source: UnsafePointer<vr_frame>, tag: UInt64, count: Int) -> Int {
        let at = ends.pointee.pushed.load(ordering: .relaxed), taken = room(at, count)
        for index in 0..<taken {
            let slot = (at &+ index) & mask
            frames[slot] = source[index]
            tags[slot] = tag
        }
        if taken > 0 { ends.pointee.pushed.store(at &+ taken, ordering: .releasing) }
        // The slots of the next burst, which the other end has read.
        var ahead = at &+ taken
        while ahead < at &+ taken &+ Int(VR_BURST) {
            vr_prefetch_write(frames + ahead & mask)
            vr_prefetch_write(frames + (ahead &+ 2) & mask)
            vr_prefetch_write(tags + ahead & mask)
            ahead &+= 4
        }
        return taken
    }

    /// The same with a tag for each frame: `tag` in the upper half, one of `lower` in the lower.
    func push(_ source: UnsafePointer<vr_frame>, tag: UInt32, lower: UnsafePointer<UInt32>, count: Int) -> Int {
        let at = ends.pointee.pushed.load(ordering: .relaxed), taken = room(at, count)
        for index in 0..<taken {
            let slot = (at &+ index) & mask
            frames[slot] = source[index]
            tags[slot] = UInt64(tag) &<< 32 | UInt64(lower[index])
        }
        if taken > 0 { ends.pointee.pushed.store(at &+ taken, ordering: .releasing) }
        return taken
    }

    @inline(__always) private func room(_ at: Int, _ count: Int) -> Int {
        if capacity &- (at &- ends.pointee.seenPopped) < count { ends.pointee.seenPopped = ends.pointee.popped.load(ordering: .acquiring) }
        return min(count, capacity &- (at &- ends.pointee.seenPopped))
    }

    /// Moves the oldest frames that have one tag to `target`, at most `limit`; returns how many, 0: the ring is empty.
    func pop(into target: UnsafeMutablePointer<vr_frame>, tag: inout UInt64, limit: Int) -> Int {
        let at = ends.pointee.taken
        if ends.pointee.seenPushed == at {
            if ends.pointee.popped.load(ordering: .relaxed) != at { ends.pointee.popped.store(at, ordering: .releasing) }
            ends.pointee.seenPushed = ends.pointee.pushed.load(ordering: .acquiring)
            if ends.pointee.seenPushed == at { return 0 }
        }
        let most = min(limit, ends.pointee.seenPushed &- at)
        tag = tags[at & mask]
        var count = 0
        while count < most, tags[(at &+ count) & mask] == tag {
            target[count] = frames[(at &+ count) & mask]
            count &+= 1
        }
        ask(from: at, to: at &+ count)
        ends.pointee.taken = at &+ count
        // Given back a burst at a time: a ring that is nearly full would otherwise be filled slot by slot, each on the line that is being read.
        if at &+ count &- ends.pointee.popped.load(ordering: .relaxed) >= min(Int(VR_BURST), capacity / 4) {
            ends.pointee.popped.store(at &+ count, ordering: .releasing)
        }
        return count
    }

    /// After `pop`: asks for what it will give next, at most `limit`, while what it gave is processed.
    @inline(__always) func ask(_ limit: Int) {
        let at = ends.pointee.taken
        ask(from: at, to: at &+ min(limit, ends.pointee.seenPushed &- at))
    }

    /// The octets and the head of each buffer lie in another core's cache, changed. They are asked for together, to be written, or each would be waited for by itself, twice.
    @inline(__always) private func ask(from: Int, to: Int) {
        var at = max(from, ends.pointee.asked)
        while at < to {
            let frame = frames + at & mask
            vr_prefetch_write(frame.pointee.data)
            vr_prefetch_write(frame.pointee.buffer)
            at &+= 1
        }
        ends.pointee.asked = max(ends.pointee.asked, to)
    }
}
