import CPlatform

/// First packets: those of a burst whose flow is not known, made flows together.
///
/// - Input: the first places of the worker's keys, hashes and positions, in the order of the burst.
/// - Output: as of `flowLookup`.
/// - Drops: flowTableFull, newFlowDrop (`FlowLimits`), and what a policy says (`admit`).
///
/// A new flow touches two buckets and the four lines of two entries, all of them likely misses, and takes two locks, which wait for every store before them. So
/// all of a burst's are asked for first, and the flows are made when they have come.
extension Worker {
    @inline(never) func setUpFlows(_ packets: UnsafeMutablePointer<Packet>, _ missed: Int, _ generation: UInt32) {
        let count = refuseFlows(packets, missed)
        let pairs = newFlows, flows = flows, keys = keys, hashes = lookup.hashes, positions = lookup.positions
        let nat = tables.nat.load()
        portProbesLeft = Self.burstProbes
        for slot in 0..<count {
            (pairs + slot).initialize(to: FlowPair(reverse: keys[slot].reversed, forwardHash: hashes[slot]))
            if let nat {
                translateFirst(nat, keys + slot, pairs + slot, isRouted: packets[positions[slot]].next == .route)
                if pairs[slot].translation == .refused {
                    packets[positions[slot]].settle(.drop(DropReason(rawValue: pairs[slot].refusal) ?? .noTranslation))
                    continue
                }
            }
            flows.prepare(lane: id, keys + slot, pairs + slot)
        }
        var tally = FlowTally()
        for slot in 0..<count {
            let packet = packets + positions[slot]
            if pairs[slot].translation == .refused { continue }
            let index = insertFlow(packet, keys + slot, pairs + slot, &tally)
            if index == FlowTable.none { continue }
            packet.pointee.flow = index
            account(packet, index, generation)
        }
        tally.flush(to: flows)
    }

    /// The first packet's pair; `none` when there is no entry for this packet (it is settled, or goes on without).
    private func insertFlow(
        _ packet: UnsafeMutablePointer<Packet>, _ key: UnsafeMutablePointer<FlowKey>, _ pair: UnsafeMutablePointer<FlowPair>,
        _ tally: inout FlowTally
    ) -> UInt32 {
        let translates = pair.pointee.translation != .none
        // Of a masked key the policies are asked about the packet's own.
        var real = key.pointee
        let fatness = fatness(packet, key, &real)
        if translates, !fatness.isEmpty {
            flows.discard(lane: id, pair)
            packet.pointee.settle(.drop(.noTranslation))
            return FlowTable.none
        }
        let admission = translates ? admitTranslated(packet, key, pair.pointee.reverse.reversed) : admit(packet, &real)
        let owner = owner(packet, egress: admission.egressVif)
        if let refusal = refusesFlow(owner, vrf: key.pointee.vrf, tally) {
            // A packet before it in the burst, or on another worker, may have made the flow.
            let existing = flows.lookup(key, hash: pair.pointee.forwardHash)
            flows.discard(lane: id, pair)
            if existing == FlowTable.none { packet.pointee.settle(.drop(refusal.reason)) }
            return existing
        }
        if !translates, admission.egressVif != ForwardingTables.noVif { follow(pair, to: admission.egressVif) }
        var template = FlowTable.Template(
            action: admission.reason == nil ? (translates ? FlowAction.nat : .forward).rawValue : FlowAction.drop.rawValue, cookie: 0,
            ingressVif: packet.pointee.ingress.pointee.id, egressVif: admission.egressVif, dropReason: admission.reason?.rawValue ?? 0,
            now: milliseconds, translates: translates, returnVRF: pair.pointee.returnVRF, owner: owner)
        template.flags = isEchoReply(packet) ? fatness.union(.answer) : fatness
        if admission.reason != nil { template.dropReason |= FlowEntry.refused }
        template.mirror = admission.findings.mirror
        if admission.reason == .undecided {
            (template.action, template.dropReason) = (FlowTable.holdAction, 0)
            return holdFlow(packet, key, pair, template, admission, real, &tally)
        }
        let result = flows.insert(lane: id, key, pair, &template)
        if admission.findings.logCount > 0, result.status != .exists {
            policyLog.record(admission.findings, real, admission.destinationPort, admission.reason, now: now)
        }
        switch result.status {
        case .inserted:
            tally.add(owner: owner, vrf: key.pointee.vrf, to: flows)
            return result.index
        case .exists: return result.index
        case .full:
            packet.pointee.settle(.drop(.flowTableFull))
            return FlowTable.none
        case .conflict, .busy:
            if translates {
                let other = insertElsewhere(packet, key, pair, template, result.status)
                if other.status == .inserted { tally.add(owner: owner, vrf: key.pointee.vrf, to: flows) }
                return other.index
            }
            // It goes on without an entry, if it may.
            if admission.reason != nil { packet.pointee.settle(.drop(.flowActionDrop)) }
            return FlowTable.none
        }
    }
}
