public import CPlatform
import Synchronization

/// A port that receives what it transmits: for tests, benchmarks and configurations without hardware.
///
/// Frames go round in their buffers, in order; a full ring takes fewer. A frame that comes back with less than
/// `BufferPool.headroom` before it is moved within its buffer.
///
/// Thread-safety: one thread may receive while another transmits (a single-producer, single-consumer ring).
public final class LoopbackPort: Port, @unchecked Sendable {
    private let ring: UnsafeMutablePointer<vr_frame>
    private let mask: Int
    /// Frames ever transmitted and ever received; the difference is what waits. Each has one writer.
    private let transmitted = Atomic<Int>(0)
    private let received = Atomic<Int>(0)
    private let transmittedBytes = Atomic<UInt64>(0)
    private let receivedBytes = Atomic<UInt64>(0)
    /// Where frames that wait at close go.
    private let pool = Mutex<BufferPool?>(nil)
    private let knowsPool = Atomic<Bool>(false)

    /// `capacity`: frames that can wait, rounded up to a power of two. `mtu` 0: 1500.
    public init(name: String, mtu: Int = 0, capacity: Int = 1024) {
        var size = 1
        while size < min(max(capacity, 1), 1 << 20) { size *= 2 }
        mask = size - 1
        ring = .allocate(capacity: size)
        super.init(name: name, driver: "loopback", device: "loopback", mtu: mtu > 0 ? min(mtu, 65535) : 1500)
    }

    deinit { ring.deallocate() }

    public override func receive(queue: Int, pool: BufferPool, lane: Int, into frames: UnsafeMutablePointer<vr_frame>, capacity: Int) -> Int {
        let first = received.load(ordering: .relaxed)
        let count = min(max(capacity, 0), transmitted.load(ordering: .acquiring) &- first)
        var bytes: UInt64 = 0
        for index in 0..<count {
            var frame = ring[(first &+ index) & mask]
            makeHeadroom(&frame)
            bytes &+= UInt64(frame.length)
            frames[index] = frame
        }
        receivedBytes.store(receivedBytes.load(ordering: .relaxed) &+ bytes, ordering: .relaxed)
        received.store(first &+ count, ordering: .releasing)
        return count
    }

    public override func transmit(queue: Int, pool: BufferPool, lane: Int, _ frames: UnsafeMutablePointer<vr_frame>, count: Int) -> Int {
        if !knowsPool.load(ordering: .relaxed) {
            self.pool.withLock { $0 = pool }
            knowsPool.store(true, ordering: .relaxed)
        }
        let next = transmitted.load(ordering: .relaxed)
        let taken = min(max(count, 0), mask &+ 1 &- (next &- received.load(ordering: .acquiring)))
        var bytes: UInt64 = 0
        for index in 0..<taken {
            ring[(next &+ index) & mask] = frames[index]
            bytes &+= UInt64(frames[index].length)
        }
        transmittedBytes.store(transmittedBytes.load(ordering: .relaxed) &+ bytes, ordering: .relaxed)
        transmitted.store(next &+ taken, ordering: .releasing)
        return taken
    }

    private func makeHeadroom(_ frame: inout vr_frame) {
        let wanted = UInt32(BufferPool.headroom)
        guard frame.headroom < wanted, let data = frame.data else { return }
        let shift = wanted &- frame.headroom
        guard frame.tailroom >= shift else { return }
        (data + Int(shift)).update(from: data, count: Int(frame.length))
        frame.data = data + Int(shift)
        frame.headroom = wanted
        frame.tailroom &-= shift
    }

    /// Nothing waits: what is still to come, another port has to give.
    public override var isExhausted: Bool { transmitted.load(ordering: .acquiring) == received.load(ordering: .acquiring) }

    public override func statistics() -> PortStatistics {
        var statistics = PortStatistics()
        statistics.receivedPackets = UInt64(truncatingIfNeeded: received.load(ordering: .relaxed))
        statistics.receivedBytes = receivedBytes.load(ordering: .relaxed)
        statistics.transmittedPackets = UInt64(truncatingIfNeeded: transmitted.load(ordering: .relaxed))
        statistics.transmittedBytes = transmittedBytes.load(ordering: .relaxed)
        return statistics
    }

    /// Gives the frames that wait back to the pool, on the control thread's lane.
    public override func close() {
        let first = received.load(ordering: .relaxed), last = transmitted.load(ordering: .acquiring)
        pool.withLock { pool in
            guard let pool else { return }
            for index in first..<last { pool.release(lane: BufferPool.laneCount - 1, ring + (index & mask), count: 1) }
        }
        received.store(last, ordering: .releasing)
    }
}
