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
/// A buffer's first word says whether it is handed out. Releasing one that is free or is not the pool's, and writing before the
/// headroom, stop the process, in release builds too: two owners of a buffer would be worse.
///
/// Thread-safety: as `BufferPool`; a lane's stack is touched by the lane alone, the shared stack under a lock.
public final class HeapBufferPool: BufferPool, @unchecked Sendable {
    /// 64 KiB frames (GSO) with headroom, and the odd number of cache lines.
    public static let defaultBufferSize = 69824
    public static let defaultCapacity = 2048

    /// The word that says whether the buffer is handed out: its own address, else 0.
    private static let markSize = MemoryLayout<UInt>.size
    /// Where frames begin: after the mark and `headroom`, up to the next cache line, so that the Ethernet and IP headers lie in one.
    private static let dataOffset = (markSize + BufferPool.headroom + cacheLine - 1) / cacheLine * cacheLine
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

    /// `bufferSize`: octets, headroom included; `laneLimit`: free buffers that a lane keeps at most, up to 256 and an eighth of the pool.
    public init(
        bufferSize: Int = HeapBufferPool.defaultBufferSize, capacity: Int = HeapBufferPool.defaultCapacity, laneLimit: Int = 256
    ) throws(PortError) {
        // The upper bounds keep the products below in range; the region is only reserved, so they need not be frugal.
        guard (512...1 << 20).contains(bufferSize) else { throw PortError("a buffer size of \(bufferSize) octets is not within 512…\(1 << 20)") }
        guard (1...1 << 24).contains(capacity) else { throw PortError("a pool of \(capacity) buffers is not within 1…\(1 << 24)") }
        let lines = (bufferSize + Self.cacheLine - 1) / Self.cacheLine
        stride = (lines | 1) * Self.cacheLine
        regionSize = stride * capacity
        guard let region = vr_reserve(regionSize) else {
            let wanted = "\(regionSize >> 20) MiB of address space for \(capacity) buffers of \(bufferSize) octets"
            throw PortError("\(wanted) cannot be reserved; lower `buffers.count`")
        }
        self.region = region
        laneCapacity = max(1, min(laneLimit, Self.laneLimit, capacity / 8))
        lanes = .allocate(capacity: BufferPool.laneCount)
        for lane in 0..<BufferPool.laneCount { (lanes + lane).initialize(to: Lane()) }
        laneStacks = .allocate(capacity: BufferPool.laneCount * Self.laneLimit)
        sharedStack = .allocate(capacity: capacity)
        super.init(bufferSize: stride, capacity: capacity)
    }

    deinit {
        sharedStack.deallocate()
        lanes.deinitialize(count: BufferPool.laneCount)
        lanes.deallocate()
        laneStacks.deallocate()
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
            frames[filled] = handOut(stack[free])
            filled &+= 1
        }
        lanes[lane].count.store(free, ordering: .relaxed)
        return filled
    }

    public override func release(lane: Int, _ frames: UnsafeMutablePointer<vr_frame>, count: Int) {
        precondition(lane >= 0 && lane < BufferPool.laneCount, "there is no lane of that number")
        let stack = laneStacks + lane * Self.laneLimit
        var free = lanes[lane].count.load(ordering: .relaxed)
        for index in 0..<max(count, 0) {
            let buffer = takeBack(frames[index].buffer)
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

    /// The empty frame of a free buffer.
    private func handOut(_ buffer: UnsafeMutableRawPointer) -> vr_frame {
        let mark = buffer.assumingMemoryBound(to: UInt.self)
        precondition(mark.pointee == 0, "a free packet buffer was written to")
        mark.pointee = UInt(bitPattern: buffer)
        return vr_frame(
            buffer: buffer, data: (buffer + Self.dataOffset).assumingMemoryBound(to: UInt8.self), length: 0,
            headroom: UInt32(truncatingIfNeeded: Self.dataOffset &- Self.markSize), tailroom: UInt32(truncatingIfNeeded: stride &- Self.dataOffset),
            hash: 0)
    }

    @inline(__always) private func takeBack(_ buffer: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer {
        // The mark is the buffer's own address: what is not a buffer of this pool, or is a free one, does not bear it.
        guard let buffer, UInt(bitPattern: buffer) &- UInt(bitPattern: region) < UInt(bitPattern: regionSize),
            buffer.loadUnaligned(as: UInt.self) == UInt(bitPattern: buffer)
        else { refuse(buffer) }
        buffer.storeBytes(of: 0, as: UInt.self)
        return buffer
    }

    @inline(never) private func refuse(_ buffer: UnsafeMutableRawPointer?) -> Never {
        guard let buffer, buffer >= region, buffer < region + regionSize else {
            preconditionFailure("a packet buffer was released that is not of this pool")
        }
        preconditionFailure("a packet buffer was released twice, or written to before its headroom")
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
}
