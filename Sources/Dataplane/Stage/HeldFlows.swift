import CPlatform
import NetTypes
import Synchronization

/// Flows that a rule wants decided elsewhere (`PolicyAction.trap`): a control program is told of the first packet, and up to three packets wait for what it says.
///
/// Bounded in every direction: a worker keeps 512 packets, of one vif half as many, of one flow three, each for 2 s at most; and a workload's new flows of this kind come no
/// faster than its share of traps (`TrapLimits`). What is kept is counted as generated and handed over, and as taken over when it goes on or is dropped; the packet that it came
/// as is consumed. So counters add up meanwhile.
///
/// - Input: first packets of flows for which a policy says *trap*, and packets of flows whose action is hold.
/// - Output: once the flow is decided its packets pass the stages from the flow lookup on, in the order in which they came, before anything that came later.
/// - Drops: trapNoListener, trapRateLimited, trapQueueFull: nobody could be told; flowQueueLimit: too many packets wait; flowUnusable: nobody decided in time, or the flow was
///   deleted; and those of the stages.
///
/// A decision is the control thread's to write and the worker's to carry out: between the two the action is *released*, and packets go on waiting behind those that wait already.
///
/// # Thread-safety
/// The worker's own.
struct HeldPacket {
    /// Its `ingress` is stale: the vif is looked up again.
    var packet: Packet
    var vif: UInt32
    var key: FlowKey
    /// The entry it waits for.
    var index: UInt32
    var generation: UInt32
    /// Milliseconds, wrapping.
    var since: UInt32
}

extension FlowTable {
    /// `FlowAction.hold.rawValue`, and what it becomes when it is decided: forward or drop, once what waits has gone on. All odd, as drop is: one bit says that a packet does not pass.
    static let holdAction: UInt8 = 3, releasedToForward: UInt8 = 5, releasedToDrop: UInt8 = 7
}

extension Worker {
    static let heldPacketCapacity = 512, heldPerFlow = 3
    /// Milliseconds.
    static let decisionTime: UInt32 = 2000

    // MARK: Holding

    /// Makes the pair of a flow that is to be decided, and tells the control program. `real`: what the policies were asked about. `none`: the packet is settled.
    @inline(never) func holdFlow(
        _ packet: UnsafeMutablePointer<Packet>, _ key: UnsafeMutablePointer<FlowKey>, _ pair: UnsafeMutablePointer<FlowPair>,
        _ template: FlowTable.Template, _ admission: Admission, _ real: FlowKey, _ tally: inout FlowTally
    ) -> UInt32 {
        // A packet before it in the burst, or on another worker, may have made the flow.
        let existing = flows.lookup(key, hash: pair.pointee.forwardHash)
        if existing != FlowTable.none {
            flows.discard(lane: id, pair)
            return existing
        }
        if let refusal = mayHold(packet) {
            flows.discard(lane: id, pair)
            packet.pointee.settle(.drop(refusal))
            return FlowTable.none
        }
        var template = template
        var result = flows.insert(lane: id, key, pair, &template)
        if result.status == .conflict, pair.pointee.translation == .ports {
            result = insertElsewhere(packet, key, pair, template, result.status)
            if result.index == FlowTable.none { return FlowTable.none }
        }
        switch result.status {
        case .inserted: tally.add(owner: template.owner, vrf: key.pointee.vrf, to: flows)
        case .exists: return result.index
        case .full, .conflict, .busy:
            packet.pointee.settle(.drop(result.status == .full ? .flowTableFull : .flowUnusable))
            return FlowTable.none
        }
        let header = PacketRing.Header(
            reason: TrapPacket.Reason.flow.rawValue, vif: packet.pointee.ingress.pointee.id, vrf: packet.pointee.vrf,
            nextHop: packet.pointee.nextHop, length: packet.pointee.frame.length, flow: result.index, generation: flows.entry(result.index).generation
        )
        guard traps.push(header, packet.pointee.data) else {
            _ = flows.remove(lane: id, index: result.index)
            packet.pointee.settle(.drop(.trapQueueFull))
            return FlowTable.none
        }
        if traps.wasDrained { trapBell.ring() }
        if admission.findings.logCount > 0 {
            policyLog.record(admission.findings, real, admission.destinationPort, .undecided, now: now)
        }
        return result.index
    }

    private func mayHold(_ packet: UnsafeMutablePointer<Packet>) -> DropReason? {
        guard trapsWanted.load(ordering: .relaxed) else { return .trapNoListener }
        guard hasRoom(packet.pointee.ingress.pointee.id) else { return .flowQueueLimit }
        return mayTrap(packet.pointee, TrapPacket.Reason.flow.rawValue) ? nil : .trapRateLimited
    }

    private func hasRoom(_ vif: UInt32) -> Bool {
        guard waitingCount < Worker.heldPacketCapacity else { return false }
        var own = 0
        for slot in 0..<waitingCount where waiting[slot].vif == vif { own &+= 1 }
        return own < Worker.heldPacketCapacity / 2
    }

    /// A packet of a flow whose action is odd: it is dropped, or kept.
    @inline(never) func withhold(_ packet: UnsafeMutablePointer<Packet>, _ index: UInt32) {
        let entry = flows.entry(index), action = entry.action
        if action == FlowAction.drop.rawValue { return packet.pointee.settle(.drop(.flowActionDrop)) }
        entry.retract(bytes: packet.pointee.length)
        var own = 0
        for slot in 0..<waitingCount where waiting[slot].index == index || waiting[slot].index == entry.reverse { own &+= 1 }
        // What comes after the decision, and before it is carried out, waits behind the others.
        guard own < Worker.heldPerFlow || action != FlowTable.holdAction, hasRoom(packet.pointee.ingress.pointee.id) else {
            return packet.pointee.settle(.drop(.flowQueueLimit))
        }
        // The burst's slot gets another buffer to give back.
        guard let other = allocate() else { return packet.pointee.settle(.drop(.headAllocation)) }
        (waiting + waitingCount).initialize(
            to: HeldPacket(
                packet: packet.pointee, vif: packet.pointee.ingress.pointee.id, key: entry.copy().key, index: index, generation: entry.generation,
                since: milliseconds))
        waitingCount &+= 1
        heldPackets.store(UInt32(truncatingIfNeeded: waitingCount), ordering: .relaxed)
        counters.add(.generated)
        counters.add(.handedOver)
        packet.pointee.frame = other
        packet.pointee.settle(.consumed)
    }

    // MARK: Releasing

    private enum Fate {
        case waits, goes
        case dropped(DropReason)
    }

    /// At the beginning of a loop turn while something waits. `all`: the router stops.
    @inline(never) func releaseWaiting(all: Bool = false) {
        var again = true
        while again {
            again = false
            var count = 0, kept = 0
            var vif: UnsafePointer<Vif>?
            for slot in 0..<waitingCount {
                let fate: Fate = all ? .dropped(.flowUnusable) : fate(waiting + slot)
                switch fate {
                case .dropped(let reason):
                    counters.add(.takenOver)
                    drop(waiting[slot].packet.frame, reason, vif: waiting[slot].vif)
                    continue
                case .goes where count < Int(VR_BURST) && (count == 0 || waiting[slot].vif == vif?.pointee.id):
                    counters.add(.takenOver)
                    if count == 0 { vif = tables.vifs.load(waiting[slot].vif) }
                    guard let vif else {
                        drop(waiting[slot].packet.frame, .invalidInterface, vif: waiting[slot].vif)
                        continue
                    }
                    (burst + count).initialize(to: waiting[slot].packet)
                    burst[count].ingress = vif
                    count &+= 1
                    continue
                case .goes: again = true
                case .waits: break
                }
                if kept != slot { waiting[kept] = waiting[slot] }
                kept &+= 1
            }
            waitingCount = kept
            heldPackets.store(UInt32(truncatingIfNeeded: kept), ordering: .relaxed)
            guard count > 0 else { continue }
            process(burst, count)
            while madeCount > 0 {
                let count = madeCount
                burst.update(from: made, count: count)
                madeCount = 0
                process(burst, count)
            }
        }
        flushReleased()
        if all { counters.publish() }
    }

    private func fate(_ held: UnsafeMutablePointer<HeldPacket>) -> Fate {
        let index = held.pointee.index, entry = flows.entry(index)
        if flows.isLive(index), entry.generation == held.pointee.generation {
            entry.carryOut()
            flows.entry(entry.reverse).carryOut()
            guard entry.action == FlowTable.holdAction else { return .goes }
            guard milliseconds &- held.pointee.since >= Worker.decisionTime else { return .waits }
            // Its bucket may be busy: then it is tried again in the next turn.
            guard flows.remove(lane: id, index: index, generation: held.pointee.generation, cause: .unanswered) else { return .waits }
            return .dropped(.flowUnusable)
        }
        // It is gone; or another has its key, made in its place: one that translates is.
        let found = flows.lookup(&held.pointee.key, hash: flows.hash(&held.pointee.key))
        guard found != FlowTable.none, flows.entry(found).action != FlowTable.holdAction else { return .dropped(.flowUnusable) }
        return .goes
    }
}

extension UnsafeMutablePointer where Pointee == FlowEntry {
    /// The control thread's part: what is to become of a flow. One that is held lets its packets go first. True: workers have to be told.
    func release(_ new: FlowAction) -> Bool {
        let released = new == .drop ? FlowTable.releasedToDrop : FlowTable.releasedToForward
        for before in [FlowTable.holdAction, FlowTable.releasedToForward, FlowTable.releasedToDrop] where exchangeAction(before, released) {
            return true
        }
        action = (new == .forward && flags.contains(.translates) ? .nat : new).rawValue
        return false
    }

    /// It is held, or its packets still wait for what has been decided.
    var isUndecided: Bool { action >= FlowTable.holdAction && action != FlowTable.askAction }

    /// The worker's part.
    func carryOut() {
        if action < FlowTable.releasedToForward { return }
        let forward = flags.contains(.translates) ? FlowAction.nat : .forward
        if !exchangeAction(FlowTable.releasedToForward, forward.rawValue) {
            _ = exchangeAction(FlowTable.releasedToDrop, FlowAction.drop.rawValue)
        }
    }
}
