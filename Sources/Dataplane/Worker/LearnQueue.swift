import Synchronization

/// Addresses that a worker saw and the bridge table does not know, on their way to the control thread.
///
/// # Why a queue and not an insert by the worker
/// The bridge table has one writer. That is what lets its readers do without locks and versions, lets it grow, and keeps limits and programmed entries in one
/// hand. Learning is rare next to forwarding: an address is learned once and seen a million times. So the worker only reports; the control thread is woken and
/// inserts within a fraction of a millisecond, and until then frames to the address are flooded, as they were before. The worker waits for nothing: a full
/// queue forgets the report, and a later frame makes another. The same address is reported once in 20 ms at most, so that a refusal costs little.
///
/// # Thread-safety
/// `report` belongs to the worker, `take` to the control thread; `lost` may be read by any.
final class LearnQueue: @unchecked Sendable {
    struct Report: Equatable {
        var mac: UInt64
        var vrf: UInt32
        /// VNI it came with; `Packet.noLabel` when it is local.
        var label: UInt32
        /// The vif it is behind, when it is local.
        var vif: UInt32
        /// The far end of the tunnel it came through, when it is not.
        var isRemote: Bool
        var farHigh: UInt64 = 0, farLow: UInt64 = 0
        var location: BridgeTable.Location { isRemote ? .init(farHigh: farHigh, farLow: farLow) : .init(vif: vif) }
    }

    static let capacity = 1024
    private static let recentCount = 256, interval: UInt32 = 20
    private let slots = UnsafeMutablePointer<Report>.allocate(capacity: capacity)
    private let recent = UnsafeMutablePointer<(key: UInt64, at: UInt32)>.allocate(capacity: recentCount)
    private let head = Atomic<Int>(0), tail = Atomic<Int>(0)
    let lost = Atomic<UInt64>(0)

    init() { recent.initialize(repeating: (0, 0), count: Self.recentCount) }
    deinit {
        slots.deallocate()
        recent.deallocate()
    }

    /// True when the reader had taken everything before it, and may sleep (`PacketRing.wasDrained`).
    func report(_ report: Report, milliseconds: UInt32) -> Bool {
        let key = foldedMultiply(report.mac &+ 0x9E37_79B9_7F4A_7C15, UInt64(report.vrf) << 32 | UInt64(report.location.rawValue) | 1)
        let slot = recent + (Int(truncatingIfNeeded: key) & (Self.recentCount - 1))
        if slot.pointee.key == key, milliseconds &- slot.pointee.at < Self.interval { return false }
        slot.pointee = (key, milliseconds)
        let at = head.load(ordering: .relaxed)
        guard at &- tail.load(ordering: .acquiring) < Self.capacity else {
            lost.wrappingAdd(1, ordering: .relaxed)
            return false
        }
        slots[at & (Self.capacity - 1)] = report
        head.store(at &+ 1, ordering: .releasing)
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        return tail.load(ordering: .relaxed) == at
    }

    var isEmpty: Bool { tail.load(ordering: .acquiring) == head.load(ordering: .acquiring) }

    func take() -> Report? {
        let at = tail.load(ordering: .relaxed)
        if at == head.load(ordering: .acquiring) {
            // Once more, after `tail` is sure to be seen.
            atomicMemoryFence(ordering: .sequentiallyConsistent)
            guard at != head.load(ordering: .acquiring) else { return nil }
        }
        let report = slots[at & (Self.capacity - 1)]
        tail.store(at &+ 1, ordering: .releasing)
        return report
    }
}
