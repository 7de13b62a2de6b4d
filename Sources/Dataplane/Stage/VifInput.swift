import CPlatform
import NetTypes
import Synchronization

/// First stage: what came in on a vif, and where it goes next.
///
/// - Input: a burst of frames received on one vif. Nothing about their octets is trusted.
/// - Output: each packet has a next stage (`route`, `bridge`, `nextHop`, `crossConnect`) and parsed offsets, or is settled.
/// - Drops: invalidInterface, invalidPacket, pull, checksumError, invalidSource, invalidDestination, invalidProtocol, interfaceDrop, invalidARP, and what
///   `tunnelInput` and `neighbourReply` say.
extension Worker {
    func receive(_ count: Int, vif id: UInt32) {
        counters.add(.received, count)
        counters.add(.bursts)
        guard let vif = tables.vifs.load(id) else {
            for index in 0..<count { drop(frames[index], .invalidInterface, vif: 0) }
            flushReleased()
            return
        }
        var bytes: UInt64 = 0
        for index in 0..<count {
            bytes &+= UInt64(frames[index].length)
            burst[index] = Packet(frame: frames[index], ingress: vif)
            vr_prefetch(frames[index].data)
        }
        vifCounters.add(id, .receivedPackets, UInt64(truncatingIfNeeded: count))
        vifCounters.add(id, .receivedBytes, bytes)
        input(burst, count, vif.pointee.kind)
        process(burst, count)
        // Packets that the router made on the way (ICMP errors into the overlay) take the same stages. They cause no further ones.
        while madeCount > 0 {
            let count = madeCount
            (burst).update(from: made, count: count)
            madeCount = 0
            process(burst, count)
        }
    }

    private func input(_ packets: UnsafeMutablePointer<Packet>, _ count: Int, _ kind: VifSpec.Kind) {
        switch kind {
        case .virtual: for index in 0..<count { workloadInput(&packets[index]) }
        case .physical: for index in 0..<count { fabricInput(&packets[index]) }
        case .host: for index in 0..<count { hostInput(&packets[index]) }
        case .agent, .vlan, .monitoring: for index in 0..<count { packets[index].settle(.drop(.interfaceDrop)) }
        }
    }

    /// The stages after input, in order, over one burst.
    func process(_ packets: UnsafeMutablePointer<Packet>, _ count: Int) {
        flowLookup(packets, count)
        tableLookup(packets, count)
        for index in 0..<count { nextHopOutput(&packets[index]) }
        settle(packets, count)
    }

    // MARK: - From a workload

    @inline(__always) private func workloadInput(_ packet: inout Packet) {
        guard Ethernet.check(packet.data, available: packet.length) else { return packet.settle(.drop(.pull)) }
        let vif = packet.ingress
        let ethernet = Ethernet(packet.data)
        if vif.pointee.flags.contains(.antispoof), ethernet.source != vif.pointee.workloadMAC { return packet.settle(.drop(.invalidSource)) }
        if Ethernet.isMulticast(ethernet.source) { return packet.settle(.drop(.invalidSource)) }
        switch ethernet.type {
        case .arp: return workloadARP(&packet)
        case .ipv4, .ipv6: break
        default:
            // Other protocols have no route; they are bridged by MAC. Tagged frames are not: a VLAN has no meaning in the overlay.
            if ethernet.type.isVLAN || !vif.pointee.flags.contains(.bridges) || ethernet.destination == vif.pointee.mac {
                return packet.settle(.drop(.invalidProtocol))
            }
            packet.next = .bridge
            return
        }
        if let reason = parseNetwork(&packet) { return packet.settle(.drop(reason)) }
        if vif.pointee.flags.contains(.antispoof), !isFromWorkload(packet) { return packet.settle(.drop(.invalidSource)) }
        if packet.family == .ipv6, packet.proto == IPProtocol.icmpv6.rawValue, packet.l4 != 0, neighbourReply(&packet) { return }
        if ethernet.isMulticast, isForControlProgram(packet) { return packet.settle(.trap(.l3Protocol)) }
        if ethernet.destination == vif.pointee.mac {
            packet.flags.insert([.routed, .lowersTTL])
            packet.next = .route
        } else if ethernet.isMulticast {
            packet.settle(.drop(.noL2Route))
        } else if vif.pointee.flags.contains(.bridges) {
            packet.next = .bridge
        } else {
            packet.settle(.drop(.noL2Route))
        }
    }

    private func isFromWorkload(_ packet: Packet) -> Bool {
        switch packet.family {
        case .ipv4: return packet.ingress.pointee.isWorkloadAddress(Vif.mapped(IPv4(packet.network).source))
        case .ipv6:
            let source = IPv6(packet.network).source
            return source.isLinkLocal || source.isUnspecified || packet.ingress.pointee.isWorkloadAddress(source)
        case .none: return false
        }
    }

    /// Of the packets to a group: DHCP (RFC 2131), DHCPv6 (RFC 8415) and router solicitations (RFC 4861) are the agent's to answer. What is sent to one
    /// address (a lease renewed at its server) is traffic like any other.
    @inline(__always) private func isForControlProgram(_ packet: Packet) -> Bool {
        guard packet.l4 != 0 else { return false }
        if packet.proto == IPProtocol.udp.rawValue {
            let port = UDP(packet.transport).destinationPort
            return packet.family == .ipv4 ? port == 67 : port == 547
        }
        return packet.family == .ipv6 && packet.proto == IPProtocol.icmpv6.rawValue && ICMPv6(packet.transport).type == .routerSolicitation
    }

    // MARK: - From the host

    /// What the node's own network stack sends leaves on the fabric as it is.
    private func hostInput(_ packet: inout Packet) {
        guard Ethernet.check(packet.data, available: packet.length) else { return packet.settle(.drop(.pull)) }
        let fabric = tables.fabricVif.load(ordering: .relaxed)
        guard fabric != ForwardingTables.noVif else { return packet.settle(.drop(.nowhereToGo)) }
        crossConnect(&packet, to: fabric)
    }

    func crossConnect(_ packet: inout Packet, to vif: UInt32) {
        let type = Ethernet(packet.data).type
        if type == .ipv4 || type == .ipv6 { _ = parseNetwork(&packet) }
        packet.nextHop = vif
        packet.next = .crossConnect
    }

    // MARK: - Parsing

    /// Checks the network header at offset 14, cuts Ethernet padding, finds the transport header, and deals with what a software port leaves
    /// undone (unfinished checksums). The reason to drop the packet, or nil.
    @inline(__always) func parseNetwork(_ packet: inout Packet) -> DropReason? {
        packet.l3 = UInt16(Ethernet.size)
        packet.l4 = 0
        let available = packet.length &- Ethernet.size
        let reason = Ethernet(packet.data).type == .ipv4 ? parseIPv4(&packet, available) : parseIPv6(&packet, available)
        guard reason == nil else { return reason }
        let vif = packet.ingress
        if vif.pointee.flags.contains(.unfinishedChecksums) { _ = ChecksumOffload.finish(packet.data, length: packet.length) }
        // Whether a TCP packet is one segment of the sender's or several that its kernel left uncut cannot be told, not even by its size: the segment size
        // they agreed on may be far below the MTU. Cutting either where it does not fit is right: TCP is a stream of octets.
        if vif.pointee.flags.contains(.oversizedSegments), packet.proto == IPProtocol.tcp.rawValue, !packet.flags.contains(.fragment) {
            packet.flags.insert(.mayBeSegmented)
        }
        return nil
    }

    @inline(__always) private func parseIPv4(_ packet: inout Packet, _ available: Int) -> DropReason? {
        guard IPv4.check(packet.network, available: available) else { return .invalidPacket }
        let ip = IPv4(packet.network)
        guard ip.hasValidChecksum else { return .checksumError }
        let source = ip.source, destination = ip.destination
        if IPv4.isMulticast(source) || source == .max || source >> 24 == 127 { return .invalidSource }
        if destination >> 24 == 127 || destination >> 24 == 0 { return .invalidDestination }
        packet.family = .ipv4
        packet.proto = ip.proto.rawValue
        packet.trim(to: Ethernet.size &+ ip.totalLength)
        if ip.isFragment {
            packet.flags.insert(.fragment)
            if ip.isLaterFragment { packet.flags.insert(.laterFragment); return nil }
        }
        return locateTransport(&packet, Ethernet.size &+ ip.headerLength)
    }

    private func parseIPv6(_ packet: inout Packet, _ available: Int) -> DropReason? {
        guard IPv6.check(packet.network, available: available) else { return .invalidPacket }
        let ip = IPv6(packet.network)
        if ip.source.isMulticast { return .invalidSource }
        if ip.destination.high == 0, ip.destination.low <= 1 { return .invalidDestination }
        packet.family = .ipv6
        packet.trim(to: Ethernet.size &+ ip.totalLength)
        let headers = ip.headers()
        packet.proto = headers.proto.rawValue
        switch headers.outcome {
        case .malformed: return .invalidPacket
        case .laterFragment:
            packet.flags.insert([.fragment, .laterFragment])
            return nil
        case .upperLayer:
            if headers.isFragment { packet.flags.insert(.fragment) }
            return locateTransport(&packet, Ethernet.size &+ headers.offset)
        }
    }

    /// A transport header that is cut off is no reason to drop an IP packet (it may be a tiny fragment or a short ICMP quote): it then simply has none.
    @inline(__always) private func locateTransport(_ packet: inout Packet, _ offset: Int) -> DropReason? {
        let available = packet.length &- offset
        let p = packet.data + offset
        let isComplete =
            switch packet.proto {
            case IPProtocol.tcp.rawValue: TCP.check(p, available: available)
            case IPProtocol.udp.rawValue: available >= UDP.size
            case IPProtocol.icmp.rawValue, IPProtocol.icmpv6.rawValue: available >= ICMPv4.size
            default: false
            }
        if isComplete { packet.l4 = UInt16(truncatingIfNeeded: offset) }
        return nil
    }
}
