import CPlatform
import Glibc
import NetTypes
import Synchronization

/// The router: its tables, its ports and its workers, and the one way to change them.
///
/// A control program describes objects (`Objects.swift`) and gets an outcome for each; the router turns them into records that are ready
/// to run and publishes those to the workers. What was given is kept as values for read-back. Operations are idempotent: an upsert equal to
/// what is there changes nothing.
///
/// # Thread-safety
/// Every public method may be called from any thread; they are serialised by one lock, which no worker ever takes.
public final class Router: @unchecked Sendable {
    public typealias PortFactory = @Sendable (PortSpec) throws(PortError) -> Port

    let configuration: RouterConfiguration
    let pool: BufferPool
    let portFactory: PortFactory
    let tables: ForwardingTables
    let workers: [Worker]
    /// Nil with a single worker.
    let mesh: WorkerMesh?
    let trapBell = Doorbell()
    let startTSC = vr_tsc()
    private let startNanoseconds = vr_monotonic_ns()
    let state: Mutex<State>
    /// For each worker, how many records of its drop log `clearDropLog` hides.
    let dropLogStarts = Mutex<[Int: UInt64]>([:])
    /// Of flows that are decided again; written by the holder of the lock.
    let policyLog: PolicyLog
    let trapListeners = Mutex<TrapListeners>(TrapListeners())
    private let threads = Mutex<[pthread_t]>([])
    private let trapThread = Mutex<pthread_t?>(nil)
    let isStopping = Atomic<Bool>(false)

    /// What was programmed, as it was given, and what of it refers to what.
    struct State {
        var ports: [String: PortEntry] = [:]
        /// Port by index; nil: free.
        var portSlots: [Port?] = []
        var vifs: [VifID: VifSpec] = [:]
        var vrfs: [VRFID: VRFSpec] = [:]
        var nextHops: [NextHopID: NextHopSpec] = [:]
        /// The multicast next hops a next hop is a member of.
        var composites: [NextHopID: Set<NextHopID>] = [:]
        var forwardingClasses: [UInt8: ForwardingClassSpec] = [:]
        var qosMaps: [UInt8: QoSMapSpec] = [:]
        var policies = Policies()
        var nat = NATRules()
        /// What the batch has moved so far.
        var moves = Moves()
        var ageing: [FlowAgeingID: FlowAgeingSpec] = [:]
        var learning = Learning()
        var plans: [WorkerPlan] = []
        var balance = Balance()
        /// What `clearCounters` subtracts.
        var dropBaseline: [UInt64] = Array(repeating: 0, count: WorkerCounters.count)
        var observers = Observers()
        var vifBaseline: [VifID: VifCounters] = [:]
        var released = ReleasedIDs()
    }

    struct PortEntry {
        var spec: PortSpec
        var port: Port
        var index: Int
        /// The worker that each receive queue is to have.
        var receiveWorkers: [Int]
        /// Receive queues that stay with their worker because somebody said so.
        var fixedQueues: Set<Int> = []
        /// The way of each receive queue's packets in the plans in force; nil: nobody polls it while it changes hands.
        var ways: [QueueWay?] = []
        /// The worker that alone sends on each transmit queue; empty: each worker has its own.
        var transmitOwners: [Int]
        var loads: QueueLoads
    }

    struct TrapListeners {
        var next = 1
        var handlers: [Int: @Sendable (TrapPacket) -> Void] = [:]
        var agentVif: AgentVif?
    }

    /// Ports are opened by `portFactory` when a `PortSpec` is applied.
    public init(_ configuration: RouterConfiguration, pool: BufferPool, portFactory: @escaping PortFactory) {
        var configuration = configuration
        if configuration.cores.isEmpty { configuration.cores = [nil] }
        self.configuration = configuration
        self.pool = pool
        self.portFactory = portFactory
        let tables = ForwardingTables(configuration)
        self.tables = tables
        policyLog = PolicyLog(capacity: configuration.policyLogCapacity)
        var state = State()
        state.nextHops[.discard] = NextHopSpec(id: .discard, kind: .discard)
        _ = tables.nextHops.publish(0, NextHop.discard)
        let empty = WorkerPlan(receive: [], transmit: [], ports: [], loads: [])
        state.plans = configuration.cores.map { _ in empty }
        let bell = trapBell
        let start = startTSC
        let mesh = configuration.cores.count > 1 ? WorkerMesh(workerCount: configuration.cores.count, mayEverSleep: configuration.idle != .poll) : nil
        self.mesh = mesh
        workers = configuration.cores.enumerated().map { id, core in
            Worker(
                id: id, core: core, configuration: configuration, tables: tables, pool: pool, plan: empty, trapBell: bell, startTSC: start, mesh: mesh
            )
        }
        mesh?.bells = workers.map(\.bell)
        self.state = Mutex(state)
    }

    // MARK: - Running

    /// Starts one thread per worker, pinned where a core was given, and the thread that hands traps on. A worker that could not be pinned runs all the same, on any core;
    /// `status()` says why (`WorkerReading.pinError`).
    public func start() {
        threads.withLock { threads in
            for worker in workers {
                threads.append(
                    startThread { [worker] in
                        vr_name_thread("worker-\(worker.id)")
                        worker.pin()
                        worker.run()
                    })
            }
            var patience = Patience()
            for worker in workers { while worker.pinResult.load(ordering: .acquiring) < 0 { patience.wait() } }
        }
        trapThread.withLock {
            $0 = startThread { [self] in
                vr_name_thread("traps")
                while !isStopping.load(ordering: .relaxed) {
                    withUnsafeTemporaryAllocation(of: Int32.self, capacity: 1) { descriptors in
                        descriptors[0] = trapBell.descriptor
                        _ = vr_wait_readable(descriptors.baseAddress, 1, 200_000_000)
                    }
                    trapBell.answer()
                    deliverTraps()
                    learn()
                    tidy()
                }
            }
        }
    }

    /// Stops and joins the workers, closes the ports. The tables stay readable.
    public func stop() {
        for worker in workers {
            worker.isStopping.store(true, ordering: .relaxed)
            worker.bell.ring()
        }
        threads.withLock { threads in
            for thread in threads { pthread_join(thread, nil) }
            threads = []
        }
        drainMesh()
        for worker in workers { worker.expireHeld(all: true) }
        isStopping.store(true, ordering: .relaxed)
        trapBell.ring()
        trapThread.withLock {
            if let thread = $0 { pthread_join(thread, nil) }; $0 = nil
        }
        closeMirrors()
        state.withLock { state in
            for port in state.portSlots { port?.close() }
            state.portSlots = state.portSlots.map { _ in nil }
        }
    }

    /// Without `start`: runs one worker in the calling thread until every port is exhausted and all is transmitted, then closes the ports.
    public func runUntilExhausted() {
        while true {
            let worked = run(turns: 1)
            deliverTraps()
            learn()
            if !worked, state.withLock({ state in state.portSlots.allSatisfy { $0?.isExhausted ?? true } }) { break }
        }
        for worker in workers { worker.expireHeld(all: true) }
        state.withLock { state in for port in state.portSlots { port?.close() } }
    }

    /// Without `start`: the workers take this many loop turns each, one after the other, in the calling thread. True when a packet moved. One thread at a time.
    @discardableResult public func run(turns: Int) -> Bool {
        var worked = false
        for worker in workers { tables.quiescence.online(worker.id) }
        // Not counted in the loop: what is measured with this is what a worker costs by itself.
        let hands = workers.map { Unmanaged.passUnretained($0) }, quiescence = tables.quiescence
        hands.withUnsafeBufferPointer { hands in
            for _ in 0..<turns {
                for hand in hands {
                    let (moved, id) = hand._withUnsafeGuaranteedRef { ($0.turn(), $0.id) }
                    if moved { worked = true }
                    quiescence.quiesce(id)
                }
            }
        }
        for worker in workers { tables.quiescence.offline(worker.id) }
        drainMesh()
        for worker in workers { worker.counters.publish() }
        return worked
    }

    /// While no worker runs: what they had handed to one another goes its way.
    private func drainMesh() {
        guard let mesh else { return }
        while !mesh.isEmpty {
            for worker in workers {
                tables.quiescence.online(worker.id)
                worker.drain(mesh)
                tables.quiescence.offline(worker.id)
            }
        }
    }

    /// Frees what workers have let go of, and gives flow entries that were deleted by request back to the free list.
    private func tidy() {
        state.withLock { state in
            tables.learnClock.store(milliseconds / 1000, ordering: .relaxed)
            ageLearned(&state)
            rebalanceIfDue(&state)
            tables.quiescence.reclaim()
            _ = tables.flows.age(lane: workers.count, now: milliseconds, budget: 0)
        }
    }

    // MARK: - Writing

    /// Applies the operations in order; one outcome each. A refused operation changes nothing and does not stop those after it.
    public func apply(_ operations: [RouterOperation]) -> [RouterOutcome] {
        let outcomes = state.withLock { state in
            defer { tables.endpoints.publish() }
            var outcomes: [RouterOutcome] = []
            outcomes.reserveCapacity(operations.count)
            operations.withUnsafeBufferPointer { operations in
                var index = 0
                while index < operations.count {
                    if case .upsert(.route) = operations[index] {
                        index = upsertRoutes(operations, from: index, &outcomes)
                    } else {
                        outcomes.append(apply(operations[index], &state))
                        index += 1
                    }
                }
            }
            compilePolicies(operations, &outcomes, &state)
            compileNAT(&state)
            noteMoves(operations, outcomes, &state)
            return outcomes
        }
        tables.bumpGeneration()
        state.withLock { state in
            markMovedFlows(&state)
            reevaluateFlows(&state)
            endUntranslatable(&state)
            tables.quiescence.reclaim()
        }
        return outcomes
    }

    private func apply(_ operation: RouterOperation, _ state: inout State) -> RouterOutcome {
        switch operation {
        case .upsert(.port(let spec)): upsert(spec, &state)
        case .upsert(.vif(let spec)): upsert(spec, &state)
        case .upsert(.vrf(let spec)): upsert(spec, &state)
        case .upsert(.nextHop(let spec)): upsert(spec, &state)
        case .upsert(.route(let spec)): upsert(spec)
        case .upsert(.bridgeEntry(let spec)): upsert(spec, &state)
        case .upsert(.label(let spec)): upsert(spec, &state)
        case .upsert(.vni(let spec)): upsert(spec, &state)
        case .upsert(.flow(let spec)): upsertMarked(spec, &state)
        case .upsert(.forwardingClass(let spec)): upsert(spec, &state)
        case .upsert(.qosMap(let spec)): upsert(spec, &state)
        case .upsert(.mirror(let spec)): upsert(spec, &state)
        case .upsert(.policy(let spec)): upsert(spec, &state)
        case .upsert(.addressGroup(let spec)): upsert(spec, &state)
        case .upsert(.natRule(let spec)): upsert(spec, &state)
        case .upsert(.flowAgeing(let spec)): upsert(spec, &state)
        case .delete(.port(let name)): deletePort(name, &state)
        case .delete(.vif(let id)): deleteVif(id, &state)
        case .delete(.vrf(let id)): deleteVRF(id, &state)
        case .delete(.nextHop(let id)): deleteNextHop(id, &state)
        case .delete(.route(let vrf, let prefix)): deleteRoute(vrf, prefix)
        case .delete(.bridgeEntry(let vrf, let mac)): deleteBridgeEntry(vrf, mac, &state)
        case .delete(.label(let label)): deleteLabel(label, &state)
        case .delete(.vni(let vni)): deleteVNI(vni, &state)
        case .delete(.forwardingClass(let id)): deleteForwardingClass(id, &state)
        case .delete(.qosMap(let id)): deleteQoSMap(id, &state)
        case .delete(.flow(let key)): deleteFlow(key)
        case .delete(.mirror(let id)): deleteMirror(id, &state)
        case .delete(.policy(let id)): deletePolicy(id, &state)
        case .delete(.addressGroup(let id)): deleteAddressGroup(id, &state)
        case .delete(.natRule(let id)): deleteNATRule(id, &state)
        case .delete(.flowAgeing(let id)): deleteFlowAgeing(id, &state)
        }
    }

    var uptimeNanoseconds: UInt64 { vr_monotonic_ns() &- startNanoseconds }
    /// Milliseconds since start, the clock of flow entries.
    var milliseconds: UInt32 { UInt32(truncatingIfNeeded: (vr_tsc() &- startTSC) / max(1, vr_tsc_hz() / 1000)) }
}

/// Runs `body` on a new thread. The thread must be joined.
func startThread(_ body: @escaping @Sendable () -> Void) -> pthread_t {
    final class Box: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    var thread = pthread_t()
    let result = pthread_create(
        &thread, nil,
        { argument in
            guard let argument else { return nil }
            Unmanaged<Box>.fromOpaque(argument).takeRetainedValue().body()
            return nil
        }, Unmanaged.passRetained(Box(body)).toOpaque())
    precondition(result == 0, "no thread could be started: error \(result)")
    return thread
}
