import CPlatform
import NetTypes
import Synchronization

/// What comes in from the fabric: tunnel packets for us are decapsulated, the rest is the host's.
///
/// Supported: VXLAN (RFC 7348), MPLS over UDP (RFC 7510), MPLS over GRE (RFC 4023), here over IPv4 and in `TunnelInputIPv6` over IPv6. The outer header must be whole, unfragmented,
/// with a right checksum and our address; the outer UDP checksum is not verified (RFC 7348 section 5 sends zero). ECN follows RFC 6040.
///
/// A vif may ask that the outer source is the far end of a tunnel that is programmed here.
///
/// - Drops: invalidPacket, checksumError, invalidLabel, invalidVNI, invalidNextHop, invalidSource, noL2Route, fragmentError, nowhereToGo.
extension Worker {
    func fabricInput(_ count: Int, _ vif: UnsafePointer<Vif>) {
        let packets = burst, frames = frames
        // Address 0 is nobody's: every packet then takes the way that looks at its source.
        let address = vif.pointee.flags.contains(.checksTunnelSource) ? 0 : vif.pointee.ipv4
        for index in 0..<count {
            let packet = packets + index
            packet.initialize(to: Packet(frame: frames[index], ingress: vif))
            if !plainTunnelInput(&packet.pointee, address) { fabricPacket(&packet.pointee) }
        }
    }

    /// VXLAN, or MPLS over UDP or GRE, for our address in a plain IPv4 header: whole, no options, no fragment, checksum right. False: something else, or wrong;
    /// nothing was done.
    @inline(__always) private func plainTunnelInput(_ packet: inout Packet, _ address: UInt32) -> Bool {
        let length = packet.length, p = packet.data
        guard length >= Ethernet.size + IPv4.size + UDP.size + MPLS.size, p.word32(12) &>> 8 == 0x080045 else { return false }
        let ip = IPv4(p + Ethernet.size)
        let total = ip.totalLength
        guard
            UInt(bitPattern: total &- (IPv4.size + UDP.size + MPLS.size))
                <= UInt(bitPattern: length &- (Ethernet.size + IPv4.size + UDP.size + MPLS.size)),
            !ip.isFragment, ip.destination == address, address != 0, ip.hasValidPlainChecksum
        else { return false }
        let transport = p + (Ethernet.size + IPv4.size)
        if ip.proto == .udp {
            let port = UDP(transport).destinationPort
            guard port == UDP.vxlanPort || port == UDP.mplsPort, UDP(transport).length == total &- IPv4.size else { return false }
            packet.trim(to: Ethernet.size &+ total)
            let payload = Ethernet.size + IPv4.size + UDP.size
            if port == UDP.vxlanPort {
                decapsulateVXLAN(&packet, at: payload, ecn: ip.ecn)
            } else {
                decapsulateMPLS(&packet, at: payload, ecn: ip.ecn)
            }
        } else {
            // GRE with neither checksum, key nor sequence number.
            guard ip.proto == .gre, transport.word32(0) == UInt32(EtherType.mpls.rawValue) else { return false }
            packet.trim(to: Ethernet.size &+ total)
            decapsulateMPLS(&packet, at: Ethernet.size + IPv4.size + GRE.size, ecn: ip.ecn)
        }
        return true
    }

    @inline(never) func fabricPacket(_ packet: inout Packet) {
        guard Ethernet.check(packet.data, available: packet.length) else { return packet.settle(.drop(.pull)) }
        let ethernet = Ethernet(packet.data)
        let type = ethernet.type
        if type == .arp { return fabricARP(&packet) }
        if type == .ipv6 { return fabricInputIPv6(&packet) }
        guard type == .ipv4, IPv4.check(packet.data + Ethernet.size, available: packet.length &- Ethernet.size) else {
            return type.isVLAN ? vlanInput(&packet) : toHost(&packet)
        }
        let ip = IPv4(packet.data + Ethernet.size)
        let vif = packet.ingress
        guard vif.pointee.owns(ipv4: ip.destination) else { return toHost(&packet) }
        let transport = Ethernet.size &+ ip.headerLength
        let available = ip.totalLength &- ip.headerLength
        switch ip.proto {
        case .udp:
            guard available >= UDP.size else { return toHost(&packet) }
            let port = UDP(packet.data + transport).destinationPort
            guard port == UDP.vxlanPort || port == UDP.mplsPort else { return toHost(&packet) }
            if let reason = checkOuter(ip, vif) { return packet.settle(.drop(reason)) }
            // What the datagram does not cover is no part of what was encapsulated (RFC 768).
            let length = UDP(packet.data + transport).length
            guard (UDP.size...available).contains(length) else { return packet.settle(.drop(.invalidPacket)) }
            let payload = transport &+ UDP.size
            packet.trim(to: transport &+ length)
            if port == UDP.vxlanPort {
                decapsulateVXLAN(&packet, at: payload, ecn: ip.ecn)
            } else {
                decapsulateMPLS(&packet, at: payload, ecn: ip.ecn)
            }
        case .gre:
            guard available >= GRE.size, GRE.check(packet.data + transport, available: available) else { return packet.settle(.drop(.invalidPacket)) }
            let gre = GRE(packet.data + transport)
            guard gre.type == .mpls else { return toHost(&packet) }
            if let reason = checkOuter(ip, vif) { return packet.settle(.drop(reason)) }
            let payload = transport &+ gre.headerLength
            packet.trim(to: Ethernet.size &+ ip.totalLength)
            decapsulateMPLS(&packet, at: payload, ecn: ip.ecn)
        default: toHost(&packet)
        }
    }

    private func checkOuter(_ ip: IPv4, _ vif: UnsafePointer<Vif>) -> DropReason? {
        if ip.isFragment { return .fragmentError }
        guard ip.hasValidChecksum else { return .checksumError }
        return vif.pointee.flags.contains(.checksTunnelSource) && !tables.endpoints.contains(Vif.mapped(ip.source)) ? .invalidSource : nil
    }

    func decapsulateVXLAN(_ packet: inout Packet, at offset: Int, ecn: UInt8) {
        guard VXLAN.check(packet.data + offset, available: packet.length &- offset) else { return packet.settle(.drop(.invalidPacket)) }
        let vni = VXLAN(packet.data + offset).vni
        let id = tables.vnis.lookup(vni)
        guard id != IndexTable.none, var nextHop = tables.nextHops.load(id) else { return packet.settle(.drop(.invalidVNI)) }
        if nextHop.pointee.kind != .vrf {
            guard let target = indirectTarget(nextHop), target.pointee.kind == .vrf else { return packet.settle(.drop(.invalidNextHop)) }
            nextHop = target
        }
        let outer = packet.data
        packet.pull(offset &+ VXLAN.size)
        guard Ethernet.check(packet.data, available: packet.length) else { return packet.settle(.drop(.pull)) }
        packet.flags.insert(.tunneled)
        packet.vrf = nextHop.pointee.vrf
        let ethernet = Ethernet(packet.data)
        let isIP = ethernet.type == .ipv4 || ethernet.type == .ipv6
        if isIP {
            if let reason = parseNetwork(&packet) { return packet.settle(.drop(reason)) }
        } else if ethernet.type.isVLAN {
            // RFC 7348 section 6.1: a tag has no meaning in the overlay, but it would have one on a port with sub-interfaces.
            return packet.settle(.drop(.unknownVLAN))
        } else if ethernet.type == .arp, !ARP.check(packet.data + Ethernet.size, available: packet.length &- Ethernet.size) {
            return packet.settle(.drop(.invalidARP))
        }
        if !mark(&packet, outerECN: ecn) { return packet.settle(.drop(.invalidPacket)) }
        if nextHop.pointee.learns { learnFar(packet, outer: outer, vni: vni) }
        if isIP, ethernet.destination == nextHop.pointee.routerMAC {
            packet.flags.insert(.routed)
            packet.next = .route
        } else if nextHop.pointee.bridges {
            if ethernet.isMulticast { return floodFromTunnel(&packet, outer: outer) }
            packet.next = .bridge
        } else {
            packet.settle(.drop(.noL2Route))
        }
    }

    /// One label (RFC 3032); its next hop says what is under it: a workload, or a VRF. The payload is an IP packet; it is given an Ethernet header in
    /// the octets that the outer headers leave free, so that every stage sees frames.
    func decapsulateMPLS(_ packet: inout Packet, at offset: Int, ecn: UInt8) {
        guard MPLS.check(packet.data + offset, available: packet.length &- offset) else { return packet.settle(.drop(.invalidLabel)) }
        let entry = MPLS(packet.data + offset)
        guard entry.isBottom else { return packet.settle(.drop(.invalidLabel)) }
        guard entry.timeToLive > 0 else { return packet.settle(.drop(.ttlExceeded)) }
        let id = tables.labels.lookup(entry.label)
        guard id != IndexTable.none, let nextHop = tables.nextHops.load(id) else { return packet.settle(.drop(.invalidLabel)) }
        let payload = offset &+ MPLS.size, trafficClass = entry.trafficClass
        if nextHop.pointee.kind == .multicast { return floodFromLabel(&packet, nextHop, at: payload, ecn: ecn) }
        guard packet.length > payload else { return packet.settle(.drop(.pull)) }
        let version = (packet.data + payload).load(as: UInt8.self) >> 4
        guard version == 4 || version == 6 else { return packet.settle(.drop(.invalidProtocol)) }
        packet.pull(payload &- Ethernet.size)
        // The gateway's address twice, and the type.
        packet.data.set(0, word64: 0x0000_5E00_0100_0000)
        packet.data.set(8, word32: 0x5E00_0100)
        packet.data.set(12, word16: version == 4 ? EtherType.ipv4.rawValue : EtherType.ipv6.rawValue)
        packet.flags.insert([.tunneled, .routed])
        if nextHop.pointee.kind == .vrf {
            packet.vrf = nextHop.pointee.vrf
            packet.next = .route
        } else {
            packet.vrf = nextHop.pointee.kind.leadsOn ? vrfBehind(nextHop) : tables.vifs.load(nextHop.pointee.vif)?.pointee.vrf ?? packet.vrf
            packet.nextHop = id
            packet.next = .nextHop
        }
        if let reason = parseNetwork(&packet) { return packet.settle(.drop(reason)) }
        if !mark(&packet, outerECN: ecn) { return packet.settle(.drop(.invalidPacket)) }
        if packet.ingress.pointee.flags.contains(.marks) { markQuality(&packet, trafficClass: trafficClass) }
    }

    /// Brings the congestion mark that the fabric set to the inner header (RFC 6040 section 4.2); false: the packet is to be dropped.
    @inline(__always) func mark(_ packet: inout Packet, outerECN: UInt8) -> Bool { outerECN & 1 == 0 || applyMark(&packet, outerECN) }

    @inline(never) private func applyMark(_ packet: inout Packet, _ outerECN: UInt8) -> Bool {
        switch packet.family {
        case .ipv4:
            let ip = IPv4(packet.network)
            let inner = ip.ecn
            guard let ecn = ECN.decapsulated(inner: inner, outer: outerECN) else { return false }
            guard ecn != inner else { return true }
            ip.ecn = ecn
            ip.updateChecksum()
        case .ipv6:
            let ip = IPv6(packet.network)
            guard let ecn = ECN.decapsulated(inner: ip.trafficClass & 3, outer: outerECN) else { return false }
            ip.trafficClass = ip.trafficClass & 0xFC | ecn
        case .none: return ECN.decapsulated(inner: ECN.notCapable, outer: outerECN) != nil
        }
        return true
    }

    /// Not for the overlay: the host behind the fabric vif gets it. Without a host vif the router answers echo itself.
    func toHost(_ packet: inout Packet) {
        let host = tables.hostVif.load(ordering: .relaxed)
        if host != ForwardingTables.noVif { return crossConnect(&packet, to: host) }
        let type = Ethernet(packet.data).type
        guard type == .ipv4 || type == .ipv6 else { return packet.settle(.drop(.nowhereToGo)) }
        if let reason = parseNetwork(&packet) { return packet.settle(.drop(reason)) }
        let isOurs =
            packet.family == .ipv4
            ? packet.ingress.pointee.owns(ipv4: IPv4(packet.network).destination)
            : packet.ingress.pointee.owns(ipv6: IPv6(packet.network).destination)
        guard isOurs, answerEcho(&packet, via: packet.ingress) else { return packet.settle(.drop(.nowhereToGo)) }
    }
}
