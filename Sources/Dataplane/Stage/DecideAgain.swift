import NetTypes

/// Flows that are decided again by a packet of theirs, because the tables may say something else than when they were decided.
///
/// A flow whose action is drop asks again with the first packet after the tables have changed, at most once a second: an address that has moved to a workload which takes the connection makes
/// it one that passes. Nothing that is dropped asks while the tables stand, so that a flood of such packets costs a worker no evaluation of policies.
///
/// The other direction of a denied flow is one of its own: nothing has passed that it could be the answer to. So its first packet asks, too, and where it may pass the flow begins anew from its
/// side. Of a connection that had been let through and is forbidden now that cannot be told, and it has to stop in both directions: there only what opens a connection asks, a SYN or an echo
/// request. A flow that stands for many connections (`FatFlows`) is one in both directions.
///
/// A flow to which the control thread has given the action ask (`Router.markMovedFlows`) is forwarded or dropped as its next packet finds: the packet shows one end's vif, the tables the other's.
///
/// - Input: a packet whose entry's action is odd, and packets of flows that look up their route again.
/// - Output: the flow's action.
/// - Drops: flowActionDrop, and those of `withhold`.
extension FlowTable {
    /// Forward or nat, once it has been asked. Odd, as all that does not simply pass.
    static let askAction: UInt8 = 9
    /// No action of an entry: the flow is gone, and the packet is the first of another.
    static let goneAction: UInt8 = 0xFF
}

extension Worker {
    /// What is to become of the packet: forward or nat; drop: it is settled; or `goneAction`.
    @inline(never) func decideOdd(_ packet: UnsafeMutablePointer<Packet>, _ index: UInt32, _ generation: UInt32, renews: Bool) -> UInt8 {
        let entry = flows.entry(index), action = entry.action
        if action == FlowTable.askAction { return ask(packet, index, renews: renews) }
        if action == FlowAction.drop.rawValue {
            // An earlier packet of the burst may have renewed it.
            if renews, !flows.isLive(index) { return FlowTable.goneAction }
            if !renews {
                if entry.packets == 1 { entry.noteAsked(generation, second: milliseconds &>> 10) }
            } else if !entry.flags.contains(.programmed), entry.isForward || opens(packet, entry),
                entry.mayAsk(generation, second: milliseconds &>> 10), renew(packet, index, generation)
            {
                return FlowTable.goneAction
            }
        }
        withhold(packet, index)
        return FlowAction.drop.rawValue
    }

    /// A packet of a denied flow's other direction: whether it may be the first of a flow of its own.
    private func opens(_ packet: UnsafePointer<Packet>, _ entry: UnsafeMutablePointer<FlowEntry>) -> Bool {
        let flags = entry.flags
        if flags.contains(.fat) { return false }
        if entry.isRefused { return true }
        guard packet.pointee.l4 != 0, packet.pointee.proto == IPProtocol.tcp.rawValue else { return isEchoRequest(packet) }
        let tcp = TCP(packet.pointee.transport).flags
        return tcp.contains(.syn) && !tcp.contains(.ack)
    }

    /// True: as a first packet it would not be denied, and the flow is gone for it.
    private func renew(_ packet: UnsafeMutablePointer<Packet>, _ index: UInt32, _ generation: UInt32) -> Bool {
        let entry = flows.entry(index), other = flows.entry(entry.reverse)
        var key = entry.copy().key
        // Of a masked key the policies are asked about the packet's own.
        if entry.flags.contains(.fat), !flowKey(packet, &key) { return false }
        var decision = NATDecision(key)
        if packet.pointee.next == .route, let nat = tables.nat.load() { tables.translation(nat, &key, hash: flows.hash(&key), into: &decision) }
        var reason: FlowDropReason?
        switch decision.status {
        case .refused: reason = FlowDropReason(rawValue: entry.dropReason) ?? .unknown
        case .plain, .translated:
            let admission = decision.status == .plain ? admit(packet, &key) : admitTranslated(packet, &key, decision.key)
            reason = admission.reason
            // What a control program has decided stands while the policies leave it to one.
            if reason == .undecided, entry.flags.contains(.decided) { reason = FlowDropReason(rawValue: entry.dropReason) ?? .unknown }
            if reason != nil, reason != .undecided, entry.isForward, entry != other {
                // Somebody else's policies may deny it now.
                for entry in [entry, other] { entry.decide(.drop, reason) }
                entry.ingressVif = packet.pointee.ingress.pointee.id
                other.ingressVif = admission.egressVif
            }
        }
        guard reason == nil || reason == .undecided else {
            entry.noteAsked(generation, second: milliseconds &>> 10)
            return false
        }
        return flows.remove(lane: id, index: index, generation: entry.generation)
    }

    /// By a packet of either direction.
    private func ask(_ packet: UnsafeMutablePointer<Packet>, _ index: UInt32, renews: Bool) -> UInt8 {
        let entry = flows.entry(index), other = flows.entry(entry.reverse)
        let isForward = entry.isForward, forward = isForward ? entry : other, key = entry.copy().key
        let near = packet.pointee.ingress.pointee.id
        let far: UInt32
        if entry.flags.contains(.translates) {
            let new = other.copy().key.reversed
            far = tables.vifAhead(new, vrf: isForward ? new.vrf : entry.translation.vrf)
        } else {
            far = withUnsafePointer(to: key) { vifAhead(packet, $0) }
        }
        let reason = decideAgain(forward, flows.entry(forward.reverse), sender: isForward ? near : far, receiver: isForward ? far : near)
        if reason == .undecided {
            // Its next packet is the first of a flow that waits.
            if flows.remove(lane: id, index: index, generation: entry.generation), renews { return FlowTable.goneAction }
        } else {
            let action = entry.action
            if action & 1 == 0 { return action }
        }
        packet.pointee.settle(.drop(.flowActionDrop))
        return FlowAction.drop.rawValue
    }

    /// Asks the policies of a flow's two ends, which may be others than before. Nil: it passes. What waits, and what policies want decided elsewhere (`undecided`), stays as it is.
    func decideAgain(
        _ entry: UnsafeMutablePointer<FlowEntry>, _ other: UnsafeMutablePointer<FlowEntry>, sender: UInt32, receiver: UInt32
    ) -> FlowDropReason? {
        let key = entry.copy().key, isSelfReverse = entry == other
        var findings = policyLog.findings
        var reason = tables.denies(
            entry, key, other, ingress: tables.vifs.load(sender), egress: isSelfReverse ? nil : tables.vifs.load(receiver), &findings)
        // What a control program has decided stands while the policies leave it to one.
        if reason == .undecided, entry.flags.contains(.decided) { reason = nil }
        if findings.logCount > 0 { policyLog.record(findings, key, entry.query(key).destinationPort, reason, now: now) }
        entry.ingressVif = sender
        if !isSelfReverse { other.ingressVif = receiver }
        if reason == .undecided { return reason }
        for entry in [entry, other] {
            if reason != nil {
                entry.decide(.drop, reason)
            } else {
                if entry.mirror != findings.mirror { entry.mirror = findings.mirror }
                _ = entry.exchangeAction(FlowTable.askAction, (entry.flags.contains(.translates) ? FlowAction.nat : .forward).rawValue)
            }
        }
        return reason
    }

    /// A flow's route has been looked up again: when an end of it is another workload's vif now, that one's policies are asked too. False: they deny it, and the packet is settled.
    @inline(never) func admitAgain(_ packet: UnsafeMutablePointer<Packet>, _ entry: UnsafeMutablePointer<FlowEntry>) -> Bool {
        let other = tables.flows.reader.entry(entry.reverse), isForward = entry.isForward
        let near = packet.pointee.ingress.pointee.id
        var ahead = entry.copy().key
        if entry.flags.contains(.translates) { ahead = other.copy().key.reversed }
        let vif = tables.vif(behind: packet.pointee.nextHop, ahead)
        if entry.flags.contains(.fat) {
            // Which of its connections this packet is does not show in its key: the next one asks.
            if vif == ForwardingTables.noVif || other.ingressVif == vif { return true }
            _ = flows.remove(lane: id, index: packet.pointee.flow)
            packet.pointee.settle(.drop(.flowUnusable))
            return false
        }
        guard !entry.flags.contains(.programmed), entry != other else { return true }
        // Who answers may be one of several members that speak for one another.
        let isFarMoved =
            vif != ForwardingTables.noVif && other.ingressVif != vif
            && (isForward || tables.nextHops.load(packet.pointee.nextHop)?.pointee.kind == .encap)
        guard isFarMoved || isForward && entry.ingressVif != near else { return true }
        let far = isFarMoved ? vif : other.ingressVif
        let reason = isForward ? decideAgain(entry, other, sender: near, receiver: far) : decideAgain(other, entry, sender: far, receiver: near)
        guard let reason else { return true }
        // The next packet asks.
        if reason == .undecided { _ = flows.remove(lane: id, index: packet.pointee.flow) }
        packet.pointee.settle(.drop(.flowActionDrop))
        return false
    }
}

/// When a denied flow was asked about last lies where the other flows remember a route.
extension UnsafeMutablePointer where Pointee == FlowEntry {
    /// No route is remembered under such a number: the tables' generation does not come to the highest bit.
    private func asked(_ generation: UInt32, _ second: UInt32) -> UInt32 { 1 &<< 31 | (generation & 0x1FF_FFFF) &<< 6 | second & 63 }

    /// Whether the tables have changed since, and it is another second.
    func mayAsk(_ generation: UInt32, second: UInt32) -> Bool {
        let last = rememberedGeneration, this = asked(generation, second)
        return last &>> 31 == 0 || last &>> 6 != this &>> 6 && last & 63 != this & 63
    }

    func noteAsked(_ generation: UInt32, second: UInt32) { rememberedGeneration = asked(generation, second) }
}
