import CPlatform
import Synchronization

/// What a receive queue has brought and what it has cost: what would move with it if it were given to another worker.
///
/// The time of a queue is that of receiving its packets and taking them through the stages, up to the transmit buffers. Of a queue whose packets are spread it
/// is that of receiving and distributing them alone: the rest stays where the hash puts it, whoever polls the queue. It is measured where there are several workers; a
/// single one has nobody to give a queue to, and looks at no clock.
struct QueueLoad: ~Copyable {
    let packets = Atomic<UInt64>(0)
    /// TSC cycles.
    let cycles = Atomic<UInt64>(0)

    /// By the worker that polls the queue alone.
    @inline(__always) func count(_ received: Int) {
        packets.store(packets.load(ordering: .relaxed) &+ UInt64(truncatingIfNeeded: received), ordering: .relaxed)
    }

    /// Adds what was spent since `mark` (TSC) too; returns the time.
    @inline(__always) func count(_ received: Int, since mark: UInt64) -> UInt64 {
        let now = vr_tsc()
        count(received)
        cycles.store(cycles.load(ordering: .relaxed) &+ (now &- mark), ordering: .relaxed)
        return now
    }
}

/// The loads of a port's receive queues, written by the workers that poll them, each on a cache line pair of its own.
///
/// # Thread-safety
/// A queue's load has one writer at a time; anyone may read.
final class QueueLoads: @unchecked Sendable {
    private static let stride = 128 / MemoryLayout<QueueLoad>.stride
    private let loads: UnsafeMutablePointer<QueueLoad>
    private let size: Int
    let count: Int

    init(count: Int) {
        self.count = count
        size = max(count, 1) * Self.stride
        loads = .allocate(capacity: size)
        for index in 0..<size { (loads + index).initialize(to: QueueLoad()) }
    }

    deinit {
        loads.deinitialize(count: size)
        loads.deallocate()
    }

    func load(_ queue: Int) -> UnsafeMutablePointer<QueueLoad> { loads + queue * Self.stride }
}
