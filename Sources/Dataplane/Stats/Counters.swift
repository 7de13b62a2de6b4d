import CPlatform
import Synchronization

/// A worker's counters. Written by the worker alone, read by the control thread at any time.
///
/// The worker adds to plain private numbers while it works on a burst and publishes them at the end of each loop turn, between two
/// increments of `sequence`; a reader that sees the sequence change, or odd, reads again. So a reading always adds up:
/// received + generated = forwarded + dropped + trapped + consumed.
///
/// # Thread-safety
/// One writer; any number of readers through `read`.
final class WorkerCounters: @unchecked Sendable {
    enum Field: Int, CaseIterable {
        case received, forwarded, trapped, consumed, generated, handedOver, takenOver, spread, polls, idlePolls, sleeps, busyCycles, bursts
    }
    static let dropBase = Field.allCases.count
    static let count = dropBase + 64

    /// The worker's own numbers.
    let own = UnsafeMutablePointer<UInt64>.allocate(capacity: WorkerCounters.count)
    /// The published copy.
    private let published = UnsafeMutablePointer<Atomic<UInt64>>.allocate(capacity: WorkerCounters.count)
    private let sequence = Atomic<UInt64>(0)

    init() {
        own.initialize(repeating: 0, count: WorkerCounters.count)
        for index in 0..<WorkerCounters.count { (published + index).initialize(to: Atomic(0)) }
    }

    deinit {
        own.deallocate()
        published.deinitialize(count: WorkerCounters.count)
        published.deallocate()
    }

    @inline(__always) func add(_ field: Field, _ amount: Int = 1) { own[field.rawValue] &+= UInt64(truncatingIfNeeded: amount) }
    @inline(__always) func drop(_ reason: DropReason, _ amount: Int = 1) {
        own[WorkerCounters.dropBase &+ Int(reason.rawValue)] &+= UInt64(truncatingIfNeeded: amount)
    }

    /// Called by the worker when no packet is in its hands.
    func publish() {
        let turn = sequence.load(ordering: .relaxed)
        sequence.store(turn &+ 1, ordering: .relaxed)
        atomicMemoryFence(ordering: .releasing)
        for index in 0..<WorkerCounters.count { published[index].store(own[index], ordering: .relaxed) }
        sequence.store(turn &+ 2, ordering: .releasing)
    }

    /// A reading that adds up, indexed as `own`.
    func read() -> [UInt64] {
        while true {
            let before = sequence.load(ordering: .acquiring)
            if before & 1 == 0 {
                let values = (0..<WorkerCounters.count).map { published[$0].load(ordering: .relaxed) }
                atomicMemoryFence(ordering: .acquiring)
                if sequence.load(ordering: .relaxed) == before { return values }
            }
            vr_pause()
        }
    }
}

/// Per-vif counters of one worker: 64 octets per vif in reserved memory, so only vifs in use cost anything.
///
/// # Thread-safety
/// One writer (the worker, plain relaxed stores), any number of readers; each number is exact, a set of them is not a snapshot.
final class VifCounterTable: @unchecked Sendable {
    enum Field: Int { case receivedPackets, receivedBytes, transmittedPackets, transmittedBytes, drops, transmitErrors, spoofed }
    private static let stride = 8
    private let cells: UnsafeMutablePointer<Atomic<UInt64>>
    private let memory: ReservedMemory
    let capacity: Int

    init(capacity: Int) {
        self.capacity = capacity
        // All-zero memory is a valid array of Atomic<UInt64>(0).
        memory = ReservedMemory(size: capacity * VifCounterTable.stride * 8)
        cells = memory.base.bindMemory(to: Atomic<UInt64>.self, capacity: capacity * VifCounterTable.stride)
    }

    @inline(__always) func add(_ vif: UInt32, _ field: Field, _ amount: UInt64) {
        let cell = cells + (Int(vif) &* VifCounterTable.stride &+ field.rawValue)
        cell.pointee.store(cell.pointee.load(ordering: .relaxed) &+ amount, ordering: .relaxed)
    }

    func read(_ vif: UInt32, _ field: Field) -> UInt64 { cells[Int(vif) * VifCounterTable.stride + field.rawValue].load(ordering: .relaxed) }
}
