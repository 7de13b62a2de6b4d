public import CPlatform
import Synchronization

/// The process's buffers where DPDK is not in use: one reserved region, handed out from stacks.
///
/// Every free list is last in, first out, and never-used buffers are taken last, so that only as many buffers become resident
/// memory as were ever in use at once, and the one handed out next is the one most likely in cache. The distance between buffers is
/// an odd number of cache lines: the headers of consecutive packets fall into different cache sets.
///
/// Each lane keeps a small stack of its own (at most 256, at most an eighth of the pool); only when that runs empty or over does it
/// go to the shared stack, for many buffers at once. What lies in one lane's stack is out of reach of the others.
///
/// Releasing a buffer that is free, or that is not the pool's, stops the process in a debug build (`checksUse`).
///
/// Thread-safety: as `BufferPool`; a lane's stack is touched by the lane alone, the shared stack under a lock.
public final class HeapBufferPool: BufferPool, @unchecked Sendable {
    /// 64 KiB frames (GSO) with headroom, and the odd number of cache lines.
    public static let defaultBufferSize = 69824
    public static let defaultCapacity = 2048

    /// Where frames begin: `headroom`, up to the next cache line, so that the Ethernet and IP headers lie in one.
    private static let dataOffset = (BufferPool.headroom + cacheLine - 1) / cacheLine * cacheLine
    private static let cacheLine = 64
    private static let laneLimit = 256

    private typealias Stack = UnsafeMutablePointer<UnsafeMutableRawPointer>

    /// A lane's free buffers, in `laneStacks[lane * laneLimit...]`. One per cache line pair: lanes do not disturb each other.
    private struct Lane: ~Copyable {
        /// Written by the lane, read by `inUse`.
        let count = Atomic<Int>(0)
        let padding: (Int, Int, Int, Int, Int, Int, Int) = (0, 0, 0, 0, 0, 0, 0)
    }

    private struct Shared {
        /// Free buffers that have been in use, in `sharedStack`.
        var count = 0
        /// Buffers from this one on were never handed out.
        var untouched = 0
    }

    private let region: UnsafeMutableRawPointer
    private let regionSize: Int
    private let stride: Int
    private let laneCapacity: Int
    private let lanes: UnsafeMutablePointer<Lane>
    private let laneStacks: Stack
    /// Touched under the lock of `shared`.
    private let sharedStack: Stack
    private let shared = Mutex(Shared())
    private let checksUse: Bool
    /// One octet per buffer, 1 while it is handed out; only with `checksUse`.
    private let marks: UnsafeMutablePointer<UInt8>

    /// `bufferSize`: octets, headroom included; `checksUse`: stop on wrong releases, by default in debug builds.
    public init(bufferSize: Int = HeapBufferPool.defaultBufferSize, capacity: Int = HeapBufferPool.defaultCapacity, checksUse: Bool? = nil) throws(PortError) {
        // The upper bounds keep the products below in range; the region is only reserved, so they need not be frugal.
        guard (512...1 << 20).contains(bufferSize) else { throw PortError("a buffer size of \(bufferSize) octets is not within 512…\(1 << 20)") }
        guard (1...1 << 24).contains(capacity) else { throw PortError("a pool of \(capacity) buffers is not within 1…\(1 << 24)") }
        let lines = (bufferSize + Self.cacheLine - 1) / Self.cacheLine
        stride = (lines | 1) * Self.cacheLine
        regionSize = stride * capacity
        guard let region = vr_reserve(regionSize) else {
            throw PortError("\(regionSize >> 20) MiB of address space for \(capacity) buffers of \(bufferSize) octets cannot be reserved; lower `buffers.count`")
        }
        self.region = region
        var checks = false
        assert({ checks = true; return true }())
        self.checksUse = checksUse ?? checks
        laneCapacity = max(1, min(Self.laneLimit, capacity / 8))
        lanes = .allocate(capacity: BufferPool.laneCount)
        for lane in 0..<BufferPool.laneCount { (lanes + lane).initialize(to: Lane()) }
        laneStacks = .allocate(capacity: BufferPool.laneCount * Self.laneLimit)
        sharedStack = .allocate(capacity: capacity)
        marks = .allocate(capacity: capacity)
        marks.initialize(repeating: 0, count: capacity)
        super.init(bufferSize: stride, capacity: capacity)
    }

    deinit {
        sharedStack.deallocate()
        lanes.deinitialize(count: BufferPool.laneCount)
        lanes.deallocate()
        laneStacks.deallocate()
        marks.deallocate()
        vr_unreserve(region, regionSize)
    }

    public override func allocate(lane: Int, into frames: UnsafeMutablePointer<vr_frame>, count: Int) -> Int {
        precondition(lane >= 0 && lane < BufferPool.laneCount, "there is no lane of that number")
        let stack = laneStacks + lane * Self.laneLimit
        var free = lanes[lane].count.load(ordering: .relaxed)
        var filled = 0
        while filled < count {
            if free == 0 {
                // As many as are still wanted, and half a stack for the calls to come.
                free = refill(stack, count: min(count - filled + laneCapacity / 2, laneCapacity))
                if free == 0 { break }
            }
            free &-= 1
            frames[filled] = emptyFrame(stack[free])
            filled &+= 1
        }
        lanes[lane].count.store(free, ordering: .relaxed)
        if checksUse { for index in 0..<filled { mark(frames[index].buffer, used: true) } }
        return filled
    }

    public override func release(lane: Int, _ frames: UnsafeMutablePointer<vr_frame>, count: Int) {
        precondition(lane >= 0 && lane < BufferPool.laneCount, "there is no lane of that number")
        if checksUse { for index in 0..<max(count, 0) { mark(frames[index].buffer, used: false) } }
        let stack = laneStacks + lane * Self.laneLimit
        var free = lanes[lane].count.load(ordering: .relaxed)
        for index in 0..<max(count, 0) {
            guard let buffer = frames[index].buffer else { continue }
            if free == laneCapacity { free = spill(stack, count: free) }
            stack[free] = buffer
            free &+= 1
        }
        lanes[lane].count.store(free, ordering: .relaxed)
    }

    public override var inUse: Int {
        var free = shared.withLock { capacity - $0.untouched + $0.count }
        for lane in 0..<BufferPool.laneCount { free += lanes[lane].count.load(ordering: .relaxed) }
        return max(0, capacity - free)
    }

    private func emptyFrame(_ buffer: UnsafeMutableRawPointer) -> vr_frame {
        vr_frame(
            buffer: buffer, data: (buffer + Self.dataOffset).assumingMemoryBound(to: UInt8.self), length: 0,
            headroom: UInt32(truncatingIfNeeded: Self.dataOffset), tailroom: UInt32(truncatingIfNeeded: stride &- Self.dataOffset), hash: 0)
    }

    /// Moves up to `count` free buffers into an empty lane stack; returns how many.
    private func refill(_ stack: Stack, count: Int) -> Int {
        shared.withLock { shared in
            let used = min(count, shared.count)
            shared.count -= used
            // The most recently freed ends on top.
            stack.update(from: sharedStack + shared.count, count: used)
            let fresh = used == 0 ? min(count, capacity - shared.untouched) : 0
            for index in 0..<fresh { stack[fresh - 1 - index] = region + (shared.untouched + index) * stride }
            shared.untouched += fresh
            return used + fresh
        }
    }

    /// Moves the longest-free half of a full lane stack to the shared one; returns how many stay.
    private func spill(_ stack: Stack, count: Int) -> Int {
        let moved = (count + 1) / 2
        shared.withLock { shared in
            (sharedStack + shared.count).update(from: stack, count: moved)
            shared.count += moved
        }
        stack.update(from: stack + moved, count: count - moved)
        return count - moved
    }

    private func mark(_ buffer: UnsafeMutableRawPointer?, used: Bool) {
        guard let buffer else { preconditionFailure("a frame without a buffer was released") }
        let (index, rest) = (buffer - region).quotientAndRemainder(dividingBy: stride)
        precondition(rest == 0 && index >= 0 && index < capacity, "a buffer was released that is not this pool's")
        precondition(marks[index] == (used ? 0 : 1), used ? "a buffer was handed out twice" : "a buffer was released twice")
        marks[index] = used ? 1 : 0
    }
}
