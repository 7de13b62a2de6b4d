import CPlatform
import NetTypes
import Synchronization

/// ARP (RFC 826) and IPv6 neighbour discovery (RFC 4861), answered here for every address the VRF knows: the gateway's with the gateway MAC, another
/// workload's with its own MAC where the network bridges, with the gateway MAC where it only routes. What is not known is
/// asked of everybody, where the network floods.
///
/// - Input: ARP from a workload or the fabric; neighbour solicitations from a workload.
/// - Verdicts: consumed (answered, or no answer is due), crossConnect (the host answers), trap(arp).
/// - Drops: invalidARP, noRoute, invalidSource.
extension Worker {
    func workloadARP(_ packet: inout Packet) {
        guard ARP.check(packet.data + Ethernet.size, available: packet.length &- Ethernet.size) else { return packet.settle(.drop(.invalidARP)) }
        let arp = ARP(packet.data + Ethernet.size)
        let vif = packet.ingress
        if vif.pointee.flags.contains(.antispoof),
            !(arp.isProbe ? vif.pointee.allows(arp.senderMAC) : vif.pointee.allows(arp.senderMAC, Vif.mapped(arp.sender)))
        {
            return refuseSource(&packet)
        }
        // Replies and announcements teach us nothing: addresses come from the control plane. Stations that were asked by flooding answer each other.
        guard arp.operation == ARP.request, !arp.isAnnouncement else { return pass(&packet, otherwise: .consumed) }
        let mac: UInt64
        if vif.pointee.owns(ipv4: arp.target) {
            mac = vif.pointee.mac
        } else {
            let leaf = tables.routes.reader.lookupIPv4(tables.roots(packet.vrf).ipv4, arp.target)
            guard leaf != 0 else { return pass(&packet, otherwise: .drop(.noRoute)) }
            guard tables.leaves.flags(leaf) & RouteLeaf.proxies != 0 else { return pass(&packet, otherwise: .consumed) }
            guard let known = proxyMAC(leaf, vif) else { return packet.settle(.consumed) }
            mac = known
        }
        guard ARPReply.make(packet.data, length: packet.length, mac: mac) > 0 else { return packet.settle(.drop(.invalidARP)) }
        reply(&packet)
    }

    /// The MAC to answer with for an address under this route; nil: no answer is due (the asker's own address, or a route that does not proxy).
    private func proxyMAC(_ leaf: UInt32, _ vif: UnsafePointer<Vif>) -> UInt64? {
        guard tables.leaves.reader.flags(leaf) & RouteLeaf.proxies != 0 else { return nil }
        if let nextHop = tables.nextHops.load(tables.leaves.reader.nextHop(leaf)), nextHop.pointee.kind == .encap,
            nextHop.pointee.vif == vif.pointee.id
        {
            return nil
        }
        let mac = tables.leaves.reader.mac(leaf)
        return mac == 0 ? vif.pointee.mac : mac
    }

    /// What was received has been turned into its own answer: it goes back where it came from.
    func reply(_ packet: inout Packet) {
        counters.add(.consumed)
        counters.add(.generated)
        packet.settle(.forward(packet.ingress.pointee.id))
    }

    /// True when the packet was neighbour discovery and is settled.
    func neighbourReply(_ packet: inout Packet) -> Bool {
        let type = ICMPv6(packet.transport).type
        guard type == .neighbourSolicitation else {
            // Advertisements teach us nothing; a redirect from a workload is refused.
            if type == .neighbourAdvertisement {
                pass(&packet, otherwise: .consumed)
            } else if type == .redirect {
                packet.settle(.drop(.invalidSource))
            } else {
                return false
            }
            return true
        }
        guard let solicitation = NeighbourSolicitation(packet.data, length: packet.length) else {
            packet.settle(.drop(.invalidPacket))
            return true
        }
        let target = solicitation.target
        let vif = packet.ingress
        var mac = vif.pointee.mac
        if !vif.pointee.owns(ipv6: target) {
            if target.isLinkLocal, !isService(target, vrf: packet.vrf) {
                // Link-local addresses of other workloads are not known here.
                pass(&packet, otherwise: .consumed)
                return true
            }
            let leaf = tables.routes.reader.lookupIPv6(tables.roots(packet.vrf).ipv6, target.high, target.low)
            guard leaf != 0, tables.leaves.flags(leaf) & RouteLeaf.proxies != 0 else {
                pass(&packet, otherwise: leaf == 0 ? .drop(.noRoute) : .consumed)
                return true
            }
            guard let known = proxyMAC(leaf, vif) else {
                packet.settle(.consumed)
                return true
            }
            mac = known
        }
        guard let frame = allocate() else {
            packet.settle(.drop(.headAllocation))
            return true
        }
        var made = frame
        // Override is set although we answer for others: the control plane knows where an address is, a cache does not.
        let length = NeighbourAdvertisement.make(
            from: packet.data, length: packet.length, into: made.start, capacity: Int(made.tailroom), mac: mac,
            isRouter: vif.pointee.owns(ipv6: target), overrides: true)
        guard length > 0 else {
            release(made)
            packet.settle(.drop(.invalidPacket))
            return true
        }
        made.length = UInt32(truncatingIfNeeded: length)
        made.tailroom &-= made.length
        counters.add(.generated)
        stage(made, vif.pointee.id)
        packet.settle(.consumed)
        return true
    }

    /// A link-local address at which a service of the network is found: a route leads to the router itself.
    private func isService(_ target: IPv6Address, vrf: UInt32) -> Bool {
        let leaf = tables.routes.reader.lookupIPv6(tables.roots(vrf).ipv6, target.high, target.low)
        guard leaf != 0, tables.leaves.flags(leaf) & RouteLeaf.proxies != 0 else { return false }
        return tables.nextHops.load(tables.leaves.nextHop(leaf))?.pointee.kind == .receive
    }

    // MARK: - On the fabric

    /// The host answers for our address where there is one, else we do. Replies, and requests (which carry a neighbour's address), are also for the control
    /// program, which resolves tunnel endpoints.
    func fabricARP(_ packet: inout Packet) {
        guard ARP.check(packet.data + Ethernet.size, available: packet.length &- Ethernet.size) else { return packet.settle(.drop(.invalidARP)) }
        let arp = ARP(packet.data + Ethernet.size)
        let vif = packet.ingress
        let isForUs = vif.pointee.owns(ipv4: arp.target)
        let host = tables.hostVif.load(ordering: .relaxed)
        if isForUs || arp.isAnnouncement {
            if host == ForwardingTables.noVif, arp.operation == ARP.reply || arp.isAnnouncement { return packet.settle(.trap(.arp)) }
            // A copy: the packet itself goes on to the host, or becomes the answer.
            if trap(packet, TrapPacket.Reason.arp.rawValue) == nil {
                counters.add(.generated)
                counters.add(.trapped)
            }
        }
        if host != ForwardingTables.noVif { return crossConnect(&packet, to: host) }
        guard isForUs, arp.operation == ARP.request else { return packet.settle(.consumed) }
        guard ARPReply.make(packet.data, length: packet.length, mac: vif.pointee.mac) > 0 else { return packet.settle(.drop(.invalidARP)) }
        reply(&packet)
    }

    // MARK: - Echo

    /// Turns an echo request to one of the vif's own addresses into its reply, in place; false when it is not one.
    func answerEcho(_ packet: inout Packet, via vif: UnsafePointer<Vif>) -> Bool {
        guard packet.l4 != 0, !packet.flags.contains(.fragment) else { return false }
        guard EchoReply.make(packet.data, length: packet.length) > 0 else { return false }
        reply(&packet)
        return true
    }
}
