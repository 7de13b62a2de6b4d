import CPlatform
import Synchronization

/// When memory that was taken out of a table may be freed: quiescent-state-based reclamation, as in Open vSwitch (`ovs-rcu`) and
/// liburcu's `qsbr` flavour.
///
/// Tables are changed by one writer while workers read them without locks. A writer first makes the old thing unreachable
/// (one release store), then *retires* it here. Each worker announces, once per loop, that it holds nothing from before:
/// it *quiesces*. What was retired before a grace period began is freed when every online worker has quiesced since.
///
/// Grace periods are numbered by one counter. `advance` begins the next; a worker quiesces by copying the counter into its
/// own slot; a number has *passed* when no online worker's slot is below it. A worker that sleeps is offline (slot 0) and holds up nobody.
///
/// # Thread-safety
/// - Worker w calls `online`, `offline` and `quiesce` for its own slot only. **A worker holds no table pointer and no table index
///   across `quiesce`, nor while offline.**
/// - `advance` and `passed` may be called from any thread; a thread that is itself an online worker never waits for a number, it looks again next loop.
/// - `retire`, `reclaim` and `synchronize` belong to the control thread (the holder of the router's lock). It may have a slot of its own, to read what workers recycle
///   (flows), but is offline whenever it calls one of these.
///
/// # Memory ordering
/// `quiesce` needs no full fence: the acquiring load of the counter orders every later table load after the writer's unlinking, which
/// precedes `advance`; the releasing store of the slot orders every earlier table load before it. `online` does need one: its store must be visible
/// before the first table load, or the writer could see the worker offline and free what it is about to read.
final class Quiescence: @unchecked Sendable {
    private static let slotStride = 128  // two lines: the adjacent-line prefetcher pairs them
    private let memory: ReservedMemory
    let workerCount: Int
    private var open: [() -> Void] = []
    private var sealed: [() -> Void] = []
    private var sealedAt: UInt64 = 0

    /// Every worker starts offline.
    init(workerCount: Int) {
        self.workerCount = workerCount
        memory = ReservedMemory(size: Self.slotStride * (workerCount + 1))
        counter.pointee.store(1, ordering: .releasing)
    }

    /// The number of the newest grace period; starts at 1, so that a slot value of 0 can mean offline.
    @inline(__always) private var counter: UnsafeMutablePointer<Atomic<UInt64>> { memory.base.atomic64() }
    @inline(__always) private func slot(_ worker: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
        memory.base.atomic64(Self.slotStride &* (worker &+ 1))
    }

    // MARK: Workers

    func online(_ worker: Int) {
        slot(worker).pointee.store(counter.pointee.load(ordering: .acquiring), ordering: .sequentiallyConsistent)
        atomicMemoryFence(ordering: .sequentiallyConsistent)
    }

    func offline(_ worker: Int) { slot(worker).pointee.store(0, ordering: .releasing) }

    /// Two loads, and one store when a grace period has begun since the last call.
    @inline(__always) func quiesce(_ worker: Int) {
        let now = counter.pointee.load(ordering: .acquiring)
        if slot(worker).pointee.load(ordering: .relaxed) != now { slot(worker).pointee.store(now, ordering: .releasing) }
    }

    // MARK: Grace periods

    /// Begins a grace period: what was made unreachable before this call may be freed once the number returned has passed.
    func advance() -> UInt64 { counter.pointee.add(1, ordering: .sequentiallyConsistent).newValue }

    /// The highest number that every online worker has announced.
    func passed() -> UInt64 {
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        var lowest = counter.pointee.load(ordering: .acquiring)
        for worker in 0..<workerCount {
            let announced = slot(worker).pointee.load(ordering: .acquiring)
            if announced != 0, announced < lowest { lowest = announced }
        }
        return lowest
    }

    // MARK: Control thread

    /// Runs `reclaim` after a grace period. Call after the thing has become unreachable.
    func retire(_ reclaim: @escaping () -> Void) { open.append(reclaim) }

    /// Runs what may be run, and begins the grace period of the rest.
    func reclaim() {
        // Twice: with no worker online, what was only just sealed has passed already.
        for _ in 0..<2 {
            if !sealed.isEmpty {
                guard passed() >= sealedAt else { return }
                let due = sealed
                sealed = []
                for reclaim in due { reclaim() }
            }
            guard !open.isEmpty else { return }
            swap(&open, &sealed)
            sealedAt = advance()
        }
        if !sealed.isEmpty, passed() >= sealedAt {
            let due = sealed
            sealed = []
            for reclaim in due { reclaim() }
        }
    }

    /// Waits until every online worker has quiesced, then reclaims everything retired before the call.
    func synchronize() {
        let number = advance()
        var patience = Patience()
        while passed() < number { patience.wait() }
        reclaim()
        if !sealed.isEmpty || !open.isEmpty {
            while passed() < sealedAt { patience.wait() }
            reclaim()
        }
    }

    /// Retired and not yet reclaimed.
    var pendingCount: Int { open.count + sealed.count }
}

/// How the control thread waits for workers: they take microseconds, so it looks on; if one is not running at the moment, its core is better used otherwise.
struct Patience {
    private var turns = 0
    mutating func wait() {
        turns &+= 1
        if turns < 1000 { vr_pause() } else { vr_nap(20_000) }
    }
}

/// Indices that wait for a grace period before they are used again: one per table and thread that retires. Two generations are kept,
/// so a retirement costs one append and a grace period is begun once per batch, not once per index.
struct Limbo {
    private var open: [UInt64] = []
    private var sealed: [UInt64] = []
    private var sealedAt: UInt64 = 0

    mutating func push(_ item: UInt64) { open.append(item) }
    var count: Int { open.count + sealed.count }
    var openCount: Int { open.count }

    /// Hands every item whose grace period has passed to `body`, and begins the next grace period if items wait for one.
    @inline(__always) mutating func collect(_ quiescence: Quiescence, _ body: (UInt64) -> Void) {
        if !sealed.isEmpty {
            guard quiescence.passed() >= sealedAt else { return }
            for item in sealed { body(item) }
            sealed.removeAll(keepingCapacity: true)
        }
        guard !open.isEmpty else { return }
        swap(&open, &sealed)
        sealedAt = quiescence.advance()
        // Nobody online: no need to wait for the next call.
        guard quiescence.passed() >= sealedAt else { return }
        for item in sealed { body(item) }
        sealed.removeAll(keepingCapacity: true)
    }
}
