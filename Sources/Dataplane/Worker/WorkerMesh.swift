import CPlatform
import Synchronization

/// The rings between the workers of a router with more than one: for every ordered pair one for received packets that another worker is to process (`receive`), and one for
/// frames that leave by a transmit queue which another worker owns (`transmit`). Also who sleeps, so that whoever hands something over can wake the other.
///
/// A packet goes through at most one ring of each kind: received by one worker, processed by a second, sent by a third.
///
/// All workers use the one object: a worker goes through an unmanaged reference, as the count of references would be a cache line that all of them write to.
///
/// # Thread-safety
/// Worker w pushes to the rings from w and pops from the rings to w. `mark` and `hasPassed` are the control thread's.
final class WorkerMesh: @unchecked Sendable {
    enum Kind: Int, CaseIterable { case receive, transmit }

    /// Frames that can wait in one ring: 16 bursts. More would only be more delay.
    static let capacity = 512

    let workerCount: Int
    private let rings: UnsafeMutablePointer<FrameRing>
    private let ringCount: Int
    /// One flag per worker, a cache line pair apart.
    private let sleeping: UnsafeMutablePointer<Atomic<Bool>>
    private static let stride = 128
    private let mayEverSleep: Bool
    let hash = SpreadHash()
    /// By worker; set once, before a worker runs.
    var bells: [Doorbell] = []

    init(workerCount: Int, mayEverSleep: Bool, capacity: Int = WorkerMesh.capacity) {
        self.workerCount = workerCount
        self.mayEverSleep = mayEverSleep
        ringCount = Kind.allCases.count * workerCount * workerCount
        rings = .allocate(capacity: ringCount)
        for index in 0..<ringCount { (rings + index).initialize(to: FrameRing(capacity: capacity)) }
        sleeping = .allocate(capacity: workerCount * Self.stride)
        for index in 0..<workerCount * Self.stride { (sleeping + index).initialize(to: Atomic(false)) }
    }

    deinit {
        for index in 0..<ringCount { rings[index].free() }
        rings.deallocate()
        sleeping.deinitialize(count: workerCount * Self.stride)
        sleeping.deallocate()
    }

    @inline(__always) func ring(_ kind: Kind, from: Int, to: Int) -> FrameRing {
        rings[(kind.rawValue &* workerCount &+ from) &* workerCount &+ to]
    }

    // MARK: Sleep

    /// After a push to `worker`'s rings: rings its bell when it sleeps. Either the worker, about to sleep, sees the push, or this sees that it sleeps.
    @inline(__always) func wake(_ worker: Int) {
        guard mayEverSleep else { return }
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        if sleeping[worker &* Self.stride].load(ordering: .relaxed) { bells[worker].ring() }
    }

    /// False: something waits in the worker's rings, so it may not sleep.
    func beginSleep(_ worker: Int) -> Bool {
        sleeping[worker &* Self.stride].store(true, ordering: .relaxed)
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        if !hasWork(for: worker) { return true }
        endSleep(worker)
        return false
    }

    func endSleep(_ worker: Int) { sleeping[worker &* Self.stride].store(false, ordering: .relaxed) }

    func hasWork(for worker: Int) -> Bool {
        for kind in Kind.allCases {
            for from in 0..<workerCount where ring(kind, from: from, to: worker).pushed != ring(kind, from: from, to: worker).popped { return true }
        }
        return false
    }

    // MARK: Draining

    /// Where the producers of all rings of a kind are now.
    func mark(_ kind: Kind) -> [Int] { all(kind).map(\.pushed) }

    /// Everything that was in the rings at `mark` has been taken out.
    func hasPassed(_ mark: [Int], _ kind: Kind) -> Bool { zip(all(kind), mark).allSatisfy { $0.popped &- $1 >= 0 } }

    var isEmpty: Bool { UnsafeBufferPointer(start: rings, count: ringCount).allSatisfy { $0.pushed == $0.popped } }

    private func all(_ kind: Kind) -> UnsafeBufferPointer<FrameRing> {
        let count = workerCount * workerCount
        return UnsafeBufferPointer(start: rings + kind.rawValue * count, count: count)
    }
}
