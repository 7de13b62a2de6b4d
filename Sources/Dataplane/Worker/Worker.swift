import CPlatform
import Synchronization

/// A worker: one thread, usually pinned to a core, that takes bursts from its receive queues through the stages to the transmit queues.
///
/// It never waits for another worker or for the control thread and takes no lock on the way of a packet. Tables are read through
/// pointers that stay valid until it announces quiescence, once per loop turn; it holds none across.
///
/// The stages are extensions of `Worker` in `Stage/`, one file each, in this order:
/// `vifInput` (with `tunnelInput`, `neighbourReply`) → `flowLookup` → `tableLookup` → `nextHopOutput`, which ends every packet (`Settle`).
///
/// # Thread-safety
/// `run` and everything it calls belong to the worker's thread. The control side touches `plan`, `counters.read`, `vifCounters.read`,
/// `traps.pop`, `packetsOut.push`, `bell` and `stop`.
final class Worker: @unchecked Sendable {
    let id: Int
    let core: Int?
    let tables: ForwardingTables
    /// Two of the tables' own: a reference of one's own is called without being counted.
    let flows: FlowTable
    private let quiescence: Quiescence
    let pool: BufferPool
    let idle: RouterConfiguration.IdlePolicy
    let counters = WorkerCounters()
    let vifCounters: VifCounterTable
    let dropLog: DropLog
    let policyLog: PolicyLog
    let icmpLimit: RateLimiter
    let trapLimits: TrapLimits
    let fragments: FragmentTable
    let fragmentPolicy: FragmentPolicy
    /// A fragment was parsed since the fragments of a burst were tracked last.
    var fragmentsSeen = false
    /// … and a source that is of one link, since such sources were looked for last.
    var linkSourcesSeen = false
    /// Later fragments of this burst that have a flow.
    let followers = UnsafeMutablePointer<Follower>.allocate(capacity: Int(VR_BURST))
    var fragmentFollowers = 0
    /// Later fragments that wait for their first; how many, and how many of them need wait no longer.
    let held = UnsafeMutablePointer<HeldFragment>.allocate(capacity: Worker.heldCapacity)
    var heldCount = 0, heldReady = 0
    var heldChecked: UInt32 = 0
    /// Packets of flows that wait for a decision.
    let waiting = UnsafeMutablePointer<HeldPacket>.allocate(capacity: Worker.heldPacketCapacity)
    var waitingCount = 0
    /// Connections that are over.
    var closedFlows = ClosedFlows()
    /// The number of packets in `waiting`, for others to read.
    let heldPackets = Atomic<UInt32>(0)

    /// Packets for the control program. `trapBell` wakes its reader.
    let traps = PacketRing(count: 512)
    let trapBell: Doorbell
    /// Nobody listens to traps while this is false.
    let trapsWanted = Atomic<Bool>(false)
    /// Packets from the control program.
    let packetsOut = PacketRing(count: 512)
    let learnQueue = LearnQueue()
    /// Wakes the worker when it sleeps.
    let bell = Doorbell()
    let isStopping = Atomic<Bool>(false)
    /// What came of pinning the worker's thread: 0 or an error number; below 0: it has not been tried yet.
    let pinResult = Atomic<Int32>(-1)
    /// Unretained pointer to the `WorkerPlan` in force; the router keeps it alive.
    let plan: Atomic<UnsafeMutableRawPointer?>

    // The worker's own memory.
    let burst = UnsafeMutablePointer<Packet>.allocate(capacity: Int(VR_BURST))
    let frames = UnsafeMutablePointer<vr_frame>.allocate(capacity: Int(VR_BURST))
    let keys = UnsafeMutablePointer<FlowKey>.allocate(capacity: Int(VR_BURST))
    /// First packets of a burst, on their way into the flow table.
    let newFlows = UnsafeMutablePointer<FlowPair>.allocate(capacity: Int(VR_BURST))
    /// Ports of external addresses that may still be tried for a burst's new flows.
    var portProbesLeft = 0
    let lookup = LookupScratch()
    let addressClasses = IPv4AddressClasses()
    /// Packets the router made during this burst that still have to pass the stages (ICMP errors).
    let made = UnsafeMutablePointer<Packet>.allocate(capacity: Int(VR_BURST))
    var madeCount = 0
    /// Copies of mirrored frames made in this loop turn; see `Mirror`.
    let copies = UnsafeMutablePointer<MirrorCopy>.allocate(capacity: Worker.copyCapacity)
    var copyCount = 0
    var isSendingCopies = false
    /// Of the packet that is being sent, where it has them: the priority of its VLAN tag, in the place where `TransmitBuffer` has it; the outer header's type of service.
    var outgoingPriority: UInt32 = 0
    var outgoingTypeOfService: UInt8 = 0
    let released = UnsafeMutablePointer<vr_frame>.allocate(capacity: Int(VR_BURST) * 4)
    var releasedCount = 0
    let transmitBuffers: UnsafeMutablePointer<TransmitBuffer>
    /// Ports with something in their transmit buffer.
    let pendingPorts = UnsafeMutablePointer<UInt32>.allocate(capacity: Worker.portCapacity)
    var pendingCount = 0
    /// TSC at the start of this loop turn, and the same in milliseconds since the router started.
    var now: UInt64 = 0
    var milliseconds: UInt32 = 0
    /// The tables' generation when the lookups of this burst began.
    var tableGeneration: UInt32 = 0
    /// The ways to the other workers; nil when there are none.
    let mesh: Unmanaged<WorkerMesh>?
    private let keptMesh: WorkerMesh?
    let outbound: OutboundFrames?
    let tscHz: UInt64
    let tscPerMillisecond: UInt64
    let startTSC: UInt64
    var ageingPace: AgeingPace

    static let portCapacity = 4352

    init(
        id: Int, core: Int?, configuration: RouterConfiguration, tables: ForwardingTables, pool: BufferPool, plan: WorkerPlan, trapBell: Doorbell,
        startTSC: UInt64, mesh: WorkerMesh? = nil
    ) {
        self.mesh = mesh.map { .passUnretained($0) }
        keptMesh = mesh
        outbound = mesh.map { OutboundFrames(workerCount: $0.workerCount) }
        self.id = id
        self.core = core
        self.tables = tables
        flows = tables.flows
        quiescence = tables.quiescence
        self.pool = pool
        self.trapBell = trapBell
        self.startTSC = startTSC
        idle = configuration.idle
        vifCounters = VifCounterTable(capacity: configuration.vifCapacity)
        dropLog = DropLog(capacity: configuration.dropLogCapacity)
        policyLog = PolicyLog(capacity: configuration.policyLogCapacity)
        tscHz = vr_tsc_hz()
        tscPerMillisecond = max(1, tscHz / 1000)
        ageingPace = AgeingPace(interval: tscPerMillisecond)
        fragments = FragmentTable(capacity: configuration.fragmentCapacity, vifCapacity: configuration.vifCapacity)
        fragmentPolicy = configuration.fragmentPolicy
        trapLimits = TrapLimits(vifCapacity: configuration.vifCapacity, tscHz: tscHz)
        icmpLimit = RateLimiter(slots: configuration.vifCapacity, perSecond: 100, burst: 50, tscHz: tscHz)
        self.plan = Atomic(Unmanaged.passUnretained(plan).toOpaque())
        transmitBuffers = .allocate(capacity: Worker.portCapacity)
        for port in 0..<Worker.portCapacity { (transmitBuffers + port).initialize(to: TransmitBuffer()) }
    }

    deinit {
        burst.deallocate()
        followers.deallocate()
        held.deallocate()
        waiting.deallocate()
        closedFlows.deallocate()
        frames.deallocate()
        keys.deallocate()
        newFlows.deallocate()
        made.deallocate()
        addressClasses.free()
        released.deallocate()
        outbound?.free()
        copies.deallocate()
        transmitBuffers.deinitialize(count: Worker.portCapacity)
        transmitBuffers.deallocate()
        pendingPorts.deallocate()
    }

    // MARK: - The loop

    /// Binds the calling thread to the worker's core, where it has one.
    func pin() { pinResult.store(core.map { vr_pin_thread(Int32(clamping: $0)) } ?? 0, ordering: .releasing) }

    /// Until `isStopping`: take bursts, announce quiescence, rest when there is nothing to do.
    func run() {
        var idleTurns = 0
        quiescence.online(id)
        while !isStopping.load(ordering: .relaxed) {
            let worked = turn()
            quiescence.quiesce(id)
            counters.add(.polls)
            if worked {
                idleTurns = 0
                counters.add(.busyCycles, Int(truncatingIfNeeded: vr_tsc() &- now))
                counters.publish()
            } else {
                counters.add(.idlePolls)
                idleTurns &+= 1
                rest(idleTurns)
            }
        }
        quiescence.offline(id)
        counters.publish()
    }

    /// One loop turn. True when a packet moved.
    func turn() -> Bool {
        now = vr_tsc()
        milliseconds = UInt32(truncatingIfNeeded: (now &- startTSC) / tscPerMillisecond)
        guard let current = plan.load(ordering: .acquiring) else { return false }
        let queues = Unmanaged<WorkerPlan>.fromOpaque(current)._withUnsafeGuaranteedRef { $0.receiveQueues }
        var worked = sendPacketsOut()
        if waitingCount > 0 { releaseWaiting() }
        if let mesh, mesh._withUnsafeGuaranteedRef({ takeFromWorkers($0) }) { worked = true }
        var mark = now
        for index in 0..<queues.count {
            let queue = queues[index]
            let count = queue.port._withUnsafeGuaranteedRef {
                $0.receive(queue: queue.queue, pool: pool, lane: id, into: frames, capacity: Int(VR_BURST))
            }
            if count > 0 {
                worked = true
                if queue.isSpread {
                    let kept = spread(count, queue)
                    _ = queue.load.pointee.count(count, since: mark)
                    if kept > 0 { receive(kept, vif: queue.vif) }
                    mark = vr_tsc()
                } else {
                    receive(count, vif: queue.vif)
                    if mesh != nil { mark = queue.load.pointee.count(count, since: mark) } else { queue.load.pointee.count(count) }
                }
            }
        }
        if heldCount > 0 { expireHeld() }
        if closedFlows.count > 0 { removeClosed() }
        if pendingCount > 0 { transmitPending() }
        if copyCount > 0 { sendCopies() }
        if ageingPace.isDue(now) { ageFlows() }
        return worked
    }

    /// Adaptive: polls on for some turns, then sleeps on the ports' descriptors. A port without a descriptor (DPDK) bounds the sleep.
    private func rest(_ idleTurns: Int) {
        switch idle {
        case .poll: vr_pause()
        case .adaptive where idleTurns < 512: vr_pause()
        // It slept, and its part of the flow table has not been looked at meanwhile.
        case .adaptive where ageingPace.isDue(now), .sleep where ageingPace.isDue(now): break
        case .adaptive, .sleep:
            counters.add(.sleeps)
            counters.publish()
            sleep(idleTurns)
        }
        if idleTurns & 0xFFF == 1 { counters.publish() }
    }

    private func sleep(_ idleTurns: Int) {
        guard let current = plan.load(ordering: .acquiring) else { return }
        let plan = Unmanaged<WorkerPlan>.fromOpaque(current)._withUnsafeGuaranteedRef { $0 }
        if let keptMesh, !keptMesh.beginSleep(id) { return }
        defer { keptMesh?.endSleep(id) }
        withUnsafeTemporaryAllocation(of: Int32.self, capacity: 64) { descriptors in
            descriptors[0] = bell.descriptor
            var count = 1
            for queue in plan.receiveQueues where queue.descriptor >= 0 && count < 64 {
                descriptors[count] = queue.descriptor
                count += 1
            }
            let bounded = plan.mustPoll || plan.descriptorCount > 63
            let timeout: UInt64 = bounded ? (idleTurns < 2048 ? 50_000 : 250_000) : 100_000_000
            quiescence.offline(id)
            _ = vr_wait_readable(descriptors.baseAddress, Int32(count), timeout)
            quiescence.online(id)
        }
        bell.answer()
    }
}
