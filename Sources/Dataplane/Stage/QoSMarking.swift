import NetTypes
import Synchronization

/// Marks packets by their forwarding class (`QoSTables`): the DSCP of the IP header, which the outer header copies, the traffic class of the MPLS label, and the
/// priority of the VLAN tag it leaves with (`Priority`).
///
/// - Input: the packets of a burst after the lookups, when their vif has a QoS map or flows name maps.
/// - Output: IP packets with a class carry its DSCP, ECN untouched, checksum right; into MPLS, bits 24 to 26 of `label` are the traffic class.
/// - Drops: none.
///
/// The map is the flow's, else the vif's. A packet that came under an MPLS label is classified by the label's traffic class where the map speaks of that, else by its
/// DSCP. For what is not IP see `Priority`.
extension Worker {
    @inline(never) func markQuality(_ packets: UnsafeMutablePointer<Packet>, _ count: Int) {
        for index in 0..<count {
            let packet = packets + index
            guard packet.pointee.next == .nextHop, packet.pointee.family != .none, !packet.pointee.flags.contains(.marked) else { continue }
            var map = packet.pointee.ingress.pointee.qosMap
            if packet.pointee.flow != Packet.noFlow {
                let named = tables.flows.reader.entry(packet.pointee.flow).qosMap
                if named != 0 { map = named }
            }
            guard map != 0, let marks = tables.qos.marks(map: map, dscp: dscp(packet.pointee)) else { continue }
            setDSCP(packet.pointee, marks.dscp)
            setTrafficClass(packet, marks.trafficClass)
            setPriority(packet, marks.vlanPriority)
        }
    }

    /// At decapsulation: by the traffic class of the label, where the fabric vif's map speaks of it.
    @inline(never) func markQuality(_ packet: inout Packet, trafficClass: UInt8) {
        guard packet.family != .none, let marks = tables.qos.marks(map: packet.ingress.pointee.qosMap, trafficClass: trafficClass) else { return }
        packet.flags.insert(.marked)
        setDSCP(packet, marks.dscp)
        // Where it leaves is not known yet.
        if marks.vlanPriority != 0 { packet.flags.prioritize(marks.vlanPriority) }
    }

    private func dscp(_ packet: Packet) -> UInt8 {
        packet.family == .ipv4 ? IPv4(packet.network).dscp : IPv6(packet.network).trafficClass >> 2
    }

    private func setDSCP(_ packet: Packet, _ dscp: UInt8) {
        if packet.family == .ipv4 {
            let ip = IPv4(packet.network)
            guard ip.dscp != dscp else { return }
            ip.dscp = dscp
            ip.updateChecksum()
        } else {
            let ip = IPv6(packet.network)
            ip.trafficClass = dscp << 2 | ip.trafficClass & 3
        }
    }

    /// Where the packet goes into MPLS. A chain of next hops is followed here already, as its end decides what a label is.
    private func setTrafficClass(_ packet: UnsafeMutablePointer<Packet>, _ trafficClass: UInt8) {
        guard var nextHop = tables.nextHops.load(packet.pointee.nextHop) else { return }
        if nextHop.pointee.kind.leadsOn {
            // The flow is to remember the chain, not where this packet came to.
            packet.pointee.flags.remove(.learnsRoute)
            guard let end = followChain(&packet.pointee, nextHop) else { return }
            nextHop = end
        }
        guard nextHop.pointee.kind == .tunnel || nextHop.pointee.kind == .tunnelIPv6, nextHop.pointee.encapsulation != .vxlan,
            packet.pointee.label != Packet.noLabel
        else { return }
        packet.pointee.flags.remove(.learnsRoute)
        packet.pointee.label = packet.pointee.label & 0xF_FFFF | UInt32(trafficClass) << 24
    }
}
