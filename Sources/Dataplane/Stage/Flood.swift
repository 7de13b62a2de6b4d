import CPlatform
import NetTypes
import Synchronization

/// Broadcast, unknown unicast and multicast (BUM): which composite next hop takes a frame, and on which side of the split horizon it stands.
///
/// A group address is looked up in the VRF's bridge table, then ff:ff:ff:ff:ff:ff; no entry means that nothing is flooded there. A unicast address that is
/// not in the table takes the broadcast entry where the vif or the VRF says so. IGMP (RFC 9776) and MLD (RFC 9777) are multicast like any other, unless
/// the vif traps them.
///
/// In a network that keeps flows a packet for one station does not go to a group: nobody would have asked a policy about it, here or where it arrives. That is also what
/// RFC 1812 section 5.3.4 and RFC 1122 section 3.3.6 have of a link-layer broadcast that is none to the layer above.
///
/// - Input: a frame with a group destination from a workload or a tunnel; a bridged frame whose destination is unknown; ARP and ND that is not answered here.
/// - Output: settled; `Replicate` makes the copies.
/// - Drops: noL2Route, invalidNextHop, invalidMulticastSource, invalidDestination, invalidLabel, invalidPacket, invalidARP, pull, unknownVLAN, and those of
///   `replicate`.
extension Worker {
    // MARK: - From a workload

    /// A frame to a group from a workload that bridges. `otherwise`: its verdict where nothing is flooded.
    @inline(never) func flood(_ packet: inout Packet, otherwise: Verdict = .drop(.noL2Route)) {
        guard packet.ingress.pointee.flags.contains(.bridges) else { return packet.settle(otherwise) }
        if packet.ingress.pointee.flags.contains(.trapsGroupReports), isGroupReport(packet) { return packet.settle(.trap(.l3Protocol)) }
        guard let entry = floodEntry(packet.vrf, Ethernet(packet.data).destination) else { return packet.settle(otherwise) }
        if isForOneStation(packet) { return packet.settle(.drop(.invalidDestination)) }
        replicate(&packet, entry.nextHop, from: .workload)
    }

    /// ARP and neighbour discovery that the router has no answer to: to everybody when it asks everybody, to one station when it is addressed to one.
    @inline(never) func pass(_ packet: inout Packet, otherwise: Verdict) {
        let destination = Ethernet(packet.data).destination
        if Ethernet.isMulticast(destination) { return flood(&packet, otherwise: otherwise) }
        guard packet.ingress.pointee.flags.contains(.bridges), destination != packet.ingress.pointee.mac,
            tables.bridge.lookup(vrf: packet.vrf, mac: Ethernet.broadcast) != nil
        else { return packet.settle(otherwise) }
        packet.next = .bridge
    }

    /// The group's own entry, else the one for broadcast.
    private func floodEntry(_ vrf: UInt32, _ mac: UInt64) -> BridgeTable.Value? {
        if mac != Ethernet.broadcast, let own = tables.bridge.lookup(vrf: vrf, mac: mac) { return own }
        return tables.bridge.lookup(vrf: vrf, mac: Ethernet.broadcast)
    }

    /// A bridged frame whose destination the table does not know.
    @inline(never) func unknownUnicast(_ packet: inout Packet) {
        let isTunneled = packet.flags.contains(.tunneled)
        guard
            tables.domains[packet.vrf].contains(.floodsUnknownUnicast)
                || (!isTunneled && packet.ingress.pointee.flags.contains(.floodsUnknownUnicast)),
            let entry = tables.bridge.lookup(vrf: packet.vrf, mac: Ethernet.broadcast)
        else { return packet.settle(.drop(.noL2Route)) }
        // What came out of a tunnel goes to no other, whoever sent it: the outer source need not be looked at.
        replicate(&packet, entry.nextHop, from: isTunneled ? .evpn : .workload)
    }

    /// Membership reports and queries.
    private func isGroupReport(_ packet: Packet) -> Bool {
        switch packet.family {
        case .ipv4: return packet.proto == 2
        case .ipv6:
            guard packet.proto == IPProtocol.icmpv6.rawValue, packet.l4 != 0 else { return false }
            let type = packet.transport.load(as: UInt8.self)
            return (130...132).contains(type) || type == 143
        case .none: return false
        }
    }

    /// Whether a frame to a group carries an IP packet that is to one station and that policies have a say in.
    ///
    /// Multicast and the limited broadcast are not. Which IPv4 address is a subnet's broadcast the route says: it leads to the discard next hop, as do those that nobody
    /// has; of these the last two bits tell most apart (no subnet with a broadcast is longer than /30, RFC 3021). IPv6 has none.
    private func isForOneStation(_ packet: Packet) -> Bool {
        guard tables.keepsFlows(vrf: packet.vrf) else { return false }
        switch packet.family {
        case .ipv4:
            let destination = IPv4(packet.network).destination
            if IPv4.isMulticast(destination) || destination == .max { return false }
            if destination & 3 != 3 { return true }
            let leaf = tables.leaf(vrf: packet.vrf, destinationOf: packet.network, .ipv4)
            guard leaf != 0, let nextHop = tables.nextHops.load(tables.leaves.reader.nextHop(leaf)) else { return false }
            return indirectTarget(nextHop)?.pointee.kind != .discard
        case .ipv6: return !IPv6(packet.network).destination.isMulticast
        case .none: return false
        }
    }

    // MARK: - From a tunnel

    /// A frame to a group out of VXLAN. `outer`: the outer frame's first octet, still there in front of the inner one.
    @inline(never) func floodFromTunnel(_ packet: inout Packet, outer: UnsafeMutableRawPointer) {
        guard let entry = floodEntry(packet.vrf, Ethernet(packet.data).destination) else { return packet.settle(.drop(.noL2Route)) }
        if isForOneStation(packet) { return packet.settle(.drop(.invalidDestination)) }
        guard let nextHop = tables.nextHops.load(entry.nextHop) else { return packet.settle(.drop(.invalidNextHop)) }
        if nextHop.pointee.kind == .discard { return packet.settle(.drop(.discards)) }
        guard let set = nextHop.pointee.multicast else { return packet.settle(.drop(.invalidNextHop)) }
        let source = Worker.outerSource(outer)
        guard let part = set.pointee.part(from: source, isVXLAN: true) else { return packet.settle(.drop(.invalidMulticastSource)) }
        replicate(&packet, set, from: part == .evpn ? .evpn : .fabric(source))
    }

    /// A frame behind an MPLS label that is bound to a composite: a control word of zero (RFC 4385 section 3), a VXLAN header, the Ethernet frame. `offset`: of
    /// the octet behind the label. `ecn`: of the outer header.
    @inline(never) func floodFromLabel(_ packet: inout Packet, _ nextHop: UnsafePointer<NextHop>, at offset: Int, ecn: UInt8) {
        guard let set = nextHop.pointee.multicast else { return packet.settle(.drop(.invalidLabel)) }
        let outer = packet.data
        let header = offset &+ Worker.controlWordSize
        guard packet.length >= header, (packet.data + offset).word32(0) == 0,
            VXLAN.check(packet.data + header, available: packet.length &- header)
        else { return packet.settle(.drop(.invalidPacket)) }
        packet.pull(header &+ VXLAN.size)
        guard Ethernet.check(packet.data, available: packet.length) else { return packet.settle(.drop(.pull)) }
        packet.flags.insert(.tunneled)
        packet.vrf = nextHop.pointee.vrf
        let source = Worker.outerSource(outer)
        guard let part = set.pointee.part(from: source, isVXLAN: false) else { return packet.settle(.drop(.invalidMulticastSource)) }
        let type = Ethernet(packet.data).type
        if type.isVLAN { return packet.settle(.drop(.unknownVLAN)) }
        if type == .arp, !ARP.check(packet.data + Ethernet.size, available: packet.length &- Ethernet.size) {
            return packet.settle(.drop(.invalidARP))
        }
        if type == .ipv4 || type == .ipv6, let reason = parseNetwork(&packet) { return packet.settle(.drop(reason)) }
        if !mark(&packet, outerECN: ecn) { return packet.settle(.drop(.invalidPacket)) }
        if isForOneStation(packet) { return packet.settle(.drop(.invalidDestination)) }
        replicate(&packet, set, from: part == .evpn ? .evpn : .fabric(source))
    }

    static let controlWordSize = 4

    /// The source address of the packet that carried a tunnel; its headers have been checked.
    static func outerSource(_ outer: UnsafeMutableRawPointer) -> IPv6Address {
        let network = outer + Ethernet.size
        return Ethernet(outer).type == .ipv6 ? IPv6(network).source : Vif.mapped(IPv4(network).source)
    }
}
