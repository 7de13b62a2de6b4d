import CPlatform
import Synchronization

/// A single-producer single-consumer ring of copied packets between a worker and the control side: traps one way, packets out the other.
/// Slots are fixed; a full ring refuses. Longer packets are cut (`PacketRing.snap`), as a trap needs headers, not payload.
///
/// # Thread-safety
/// One thread pushes, one pops.
final class PacketRing: @unchecked Sendable {
    struct Header {
        var reason: UInt8 = 0
        var vif: UInt32 = 0
        var vrf: UInt32 = 0
        var nextHop: UInt32 = 0
        var length: UInt32 = 0
        /// Of a flow that is held: its entry.
        var flow: UInt32 = 0
        var generation: UInt32 = 0
    }
    static let snap = 2048 - 32
    private static let slotSize = 2048
    private let slots: UnsafeMutableRawPointer
    private let count: Int
    private let head = Atomic<Int>(0)
    private let tail = Atomic<Int>(0)

    /// `count` is a power of two.
    init(count: Int) {
        self.count = count
        slots = .allocate(byteCount: count * PacketRing.slotSize, alignment: 64)
    }

    deinit { slots.deallocate() }

    /// For the consumer: there is nothing at the moment. Looks once, without the fence of `pop`.
    @inline(__always) var isEmpty: Bool { tail.load(ordering: .relaxed) == head.load(ordering: .acquiring) }

    /// False when the ring is full.
    func push(_ header: Header, _ bytes: UnsafeRawPointer) -> Bool {
        let at = head.load(ordering: .relaxed)
        guard at &- tail.load(ordering: .acquiring) < count else { return false }
        let slot = slots + (at & (count &- 1)) &* PacketRing.slotSize
        var header = header
        header.length = min(header.length, UInt32(PacketRing.snap))
        slot.storeBytes(of: header, as: Header.self)
        (slot + 32).copyMemory(from: bytes, byteCount: Int(header.length))
        head.store(at &+ 1, ordering: .releasing)
        return true
    }

    /// Hands the oldest packet to `body`, whose pointer is valid during the call; false when there is none.
    func pop(_ body: (Header, UnsafeRawPointer) -> Void) -> Bool {
        let at = tail.load(ordering: .relaxed)
        if at == head.load(ordering: .acquiring) {
            // Once more, after `tail` is sure to be seen; see `wasDrained`.
            atomicMemoryFence(ordering: .sequentiallyConsistent)
            guard at != head.load(ordering: .acquiring) else { return false }
        }
        let slot = slots + (at & (count &- 1)) &* PacketRing.slotSize
        body(slot.load(as: Header.self), slot + 32)
        tail.store(at &+ 1, ordering: .releasing)
        return true
    }

    /// For the producer, after a push: the consumer had taken everything before it and may have gone to sleep. Either the consumer sees the push when it looks again, or this
    /// sees that it had drained the ring: looking before the push instead would miss a consumer that drains in between.
    var wasDrained: Bool {
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        return tail.load(ordering: .relaxed) == head.load(ordering: .relaxed) &- 1
    }
}

/// An eventfd: what a sleeping thread waits on, and another signals.
final class Doorbell: @unchecked Sendable {
    let descriptor: Int32 = vr_doorbell_open()
    deinit { vr_doorbell_close(descriptor) }
    func ring() { vr_doorbell_ring(descriptor) }
    /// Forgets past rings.
    func answer() { vr_doorbell_answer(descriptor) }
}
