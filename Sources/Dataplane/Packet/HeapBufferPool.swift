public import CPlatform
import Synchronization

/// The process's buffers where DPDK is not in use: one reserved region, handed out from stacks.
///
/// Every free list is last in, first out, and never-used buffers are taken last, so that only as many buffers become resident
/// memory as were ever in use at once, and the one handed out next is the one most likely in cache. The distance between buffers is
/// an odd number of cache lines: the headers of consecutive packets fall into different cache sets.
///
/// Each lane keeps a small stack of its own (at most 256, at most an eighth of the pool); only when that runs empty or over does it
/// go to the depot that all share, for many buffers at once. What lies in one lane's stack is out of reach of the others.
///
/// A buffer's first word says whether it is handed out. Releasing one that is free or is not the pool's, and writing before the
/// headroom, stop the process, in release builds too: two owners of a buffer would be worse.
///
/// Thread-safety: as `BufferPool`; a lane's stack is touched by the lane alone. No lane ever waits for another (`BufferDepot`).
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
        /// Of the lowest in the stack, how many at most came from the depot and have not been asked for: the lane's alone.
        var foreign = 0
        let padding: (Int, Int, Int, Int, Int, Int) = (0, 0, 0, 0, 0, 0)
    }

    private let region: UnsafeMutableRawPointer
    private let regionSize: Int
    private let stride: Int
    private let laneCapacity: Int
    private let lanes: UnsafeMutablePointer<Lane>
    private let laneStacks: Stack
    private let depot: BufferDepot
    /// Buffers from this one on were never handed out.
    private let untouched = Atomic<Int>(0)

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
        depot = BufferDepot(crateSize: max(1, laneCapacity / 2), capacity: capacity, laneCount: BufferPool.laneCount)
        super.init(bufferSize: stride, capacity: capacity)
    }

    deinit {
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
        let tailroom = UInt32(truncatingIfNeeded: stride &- Self.dataOffset)
        while filled < count {
            if free == 0 {
                free = refill(stack)
                if free == 0 { break }
                lanes[lane].foreign = free
                lanes[lane].foreign = ask(stack, free)
            }
            let end = filled &+ min(count &- filled, free)
            while filled < end {
                free &-= 1
                frames[filled] = Self.handOut(stack[free], tailroom: tailroom)
                filled &+= 1
            }
        }
        lanes[lane].count.store(free, ordering: .relaxed)
        if lanes[lane].foreign > 0 { lanes[lane].foreign = ask(stack, min(lanes[lane].foreign, free)) }
        return filled
    }

    /// Buffers that another lane used last lie in another core's cache, changed. Those of the next burst are asked for while this one is used, to be written, or each would be
    /// waited for by itself, twice. Returns how many of `left` have not been asked for.
    @inline(never) private func ask(_ stack: Stack, _ left: Int) -> Int {
        let rest = max(0, left &- Int(VR_BURST))
        for index in rest..<left {
            vr_prefetch_write(stack[index])
            vr_prefetch_write(stack[index] + Self.dataOffset)
        }
        return rest
    }

    public override func release(lane: Int, _ frames: UnsafeMutablePointer<vr_frame>, count: Int) {
        precondition(lane >= 0 && lane < BufferPool.laneCount, "there is no lane of that number")
        let stack = laneStacks + lane * Self.laneLimit
        var free = lanes[lane].count.load(ordering: .relaxed)
        let region = UInt(bitPattern: region), size = UInt(bitPattern: regionSize)
        var taken = 0
        while taken < count {
            if free == laneCapacity { free = spill(stack) }
            let end = taken &+ min(count &- taken, laneCapacity &- free)
            while taken < end {
                stack[free] = takeBack(frames[taken].buffer, region, size)
                taken &+= 1
                free &+= 1
            }
        }
        lanes[lane].count.store(free, ordering: .relaxed)
    }

    public override var inUse: Int {
        var free = capacity - untouched.load(ordering: .relaxed) + depot.count
        for lane in 0..<BufferPool.laneCount { free += lanes[lane].count.load(ordering: .relaxed) }
        return max(0, capacity - free)
    }

    /// The empty frame of a free buffer.
    @inline(__always) private static func handOut(_ buffer: UnsafeMutableRawPointer, tailroom: UInt32) -> vr_frame {
        let mark = buffer.assumingMemoryBound(to: UInt.self)
        precondition(mark.pointee == 0, "a free packet buffer was written to")
        mark.pointee = UInt(bitPattern: buffer)
        return vr_frame(
            buffer: buffer, data: (buffer + dataOffset).assumingMemoryBound(to: UInt8.self), length: 0,
            headroom: UInt32(truncatingIfNeeded: dataOffset &- markSize), tailroom: tailroom, hash: 0)
    }

    @inline(__always) private func takeBack(_ buffer: UnsafeMutableRawPointer?, _ region: UInt, _ size: UInt) -> UnsafeMutableRawPointer {
        // The mark is the buffer's own address: what is not a buffer of this pool, or is a free one, does not bear it. Null is no address of the region.
        let address = unsafeBitCast(buffer, to: UInt.self)
        guard address &- region < size, buffer.unsafelyUnwrapped.loadUnaligned(as: UInt.self) == address else { refuse(buffer) }
        buffer.unsafelyUnwrapped.storeBytes(of: 0, as: UInt.self)
        return buffer.unsafelyUnwrapped
    }

    @inline(never) private func refuse(_ buffer: UnsafeMutableRawPointer?) -> Never {
        guard let buffer, buffer >= region, buffer < region + regionSize else {
            preconditionFailure("a packet buffer was released that is not of this pool")
        }
        preconditionFailure("a packet buffer was released twice, or written to before its headroom")
    }

    /// Moves half a stack of free buffers into an empty lane stack, fewer when they are running out; returns how many.
    @inline(never) private func refill(_ stack: Stack) -> Int {
        if depot.take(stack) { return depot.crateSize }
        var first = untouched.load(ordering: .relaxed)
        while first < capacity {
            let count = min(depot.crateSize, capacity - first)
            let (exchanged, seen) = untouched.weakCompareExchange(expected: first, desired: first + count, ordering: .relaxed)
            if exchanged {
                for index in 0..<count { stack[count - 1 - index] = region + (first + index) * stride }
                return count
            }
            first = seen
        }
        return 0
    }

    /// Moves the longest-free half of a full lane stack to the depot; returns how many stay.
    @inline(never) private func spill(_ stack: Stack) -> Int {
        let kept = laneCapacity - depot.crateSize
        depot.put(stack)
        stack.update(from: stack + depot.crateSize, count: kept)
        return kept
    }
}
