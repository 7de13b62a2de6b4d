/// How many flows a workload and a virtual network may have, how fast new ones may come, and who goes without when the table is nearly full (`FlowQuotas`, `FlowTable.pressure`).
///
/// - Input: first packets, before anything is done for their flow.
/// - Drops: newFlowDrop: a limit or a rate; flowTableFull: the share.
///
/// A flood is refused before it costs a hash, an entry or a policy's evaluation.
extension Worker {
    /// Whom a new flow counts for: the workload that sends the packet; of one that came out of a tunnel the workload that gets it.
    @inline(__always) func owner(_ packet: UnsafePointer<Packet>, egress: UInt32) -> UInt32 {
        packet.pointee.ingress.pointee.isWorkload || egress == ForwardingTables.noVif ? packet.pointee.ingress.pointee.id : egress
    }

    /// Takes those of a burst's first packets that may not have a flow out of the first `count` places of keys, hashes and positions, and settles them. Returns how many are left.
    @inline(never) func refuseFlows(_ packets: UnsafeMutablePointer<Packet>, _ count: Int) -> Int {
        let vif = packets.pointee.ingress, flows = flows
        if flows.capacity < 1 << 16 { flows.updatePressure() }
        // Of a port with sub-interfaces the packets are of several workloads: `refusesFlow` asks for each.
        guard vif.pointee.isWorkload, vif.pointee.flags.isDisjoint(with: .sharesPort) else { return count }
        let hashes = lookup.hashes, positions = lookup.positions, owner = vif.pointee.id
        let refusal: FlowQuotas.Refusal? = flows.isOverShare(owner) ? .share : flows.vifQuotas.refuses(owner, now: now)
        var kept = 0
        for slot in 0..<count {
            let packet = packets + positions[slot]
            if let refusal {
                flows.vifQuotas.note(refusal, owner)
                packet.pointee.settle(.drop(refusal.reason))
            } else if let refusal = flows.vrfQuotas.refuses(packet.pointee.vrf, now: now) {
                flows.vrfQuotas.note(refusal, packet.pointee.vrf)
                packet.pointee.settle(.drop(refusal.reason))
            } else {
                if kept != slot { (keys[kept], hashes[kept], positions[kept]) = (keys[slot], hashes[slot], positions[slot]) }
                kept &+= 1
            }
        }
        return kept
    }

    /// The same for one packet, whose flow is about to be made; its share of a rate is used up.
    @inline(__always) func refusesFlow(_ owner: UInt32, vrf: UInt32, _ tally: FlowTally) -> FlowQuotas.Refusal? {
        let flows = flows, pending = tally.pending(owner, vrf)
        if let refusal = flows.isOverShare(owner, pending: pending.owner) ? .share : flows.vifQuotas.takes(owner, now: now, pending: pending.owner) {
            flows.vifQuotas.note(refusal, owner)
            return refusal
        }
        if let refusal = flows.vrfQuotas.refuses(vrf, now: now, pending: pending.vrf) {
            flows.vrfQuotas.note(refusal, vrf)
            return refusal
        }
        return nil
    }
}

/// Flows that a worker has inserted and not counted yet. Of a burst they mostly belong to one vif and one VRF: an atomic addition for each would wait, each time, for all that was
/// written into the flow's entries before it.
struct FlowTally {
    private var owner = ForwardingTables.noVif, vrf = ForwardingTables.noVRF, count: Int32 = 0

    @inline(__always) mutating func add(owner: UInt32, vrf: UInt32, to flows: FlowTable) {
        if owner != self.owner || vrf != self.vrf {
            flush(to: flows)
            (self.owner, self.vrf) = (owner, vrf)
        }
        count &+= 1
    }

    @inline(__always) mutating func flush(to flows: FlowTable) {
        if count > 0 { flows.countFlows(count, owner: owner, vrf: vrf) }
        count = 0
    }

    @inline(__always) func pending(_ owner: UInt32, _ vrf: UInt32) -> (owner: Int32, vrf: Int32) {
        (owner == self.owner ? count : 0, vrf == self.vrf ? count : 0)
    }
}

extension FlowQuotas.Refusal {
    var reason: DropReason { self == .share ? .flowTableFull : .newFlowDrop }
}
