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
            vr_prefetch(frames[index].data)
        }
        vifCounters.add(id, .receivedPackets, UInt64(truncatingIfNeeded: count))
        vifCounters.add(id, .receivedBytes, bytes)
        if let set = tables.observation.load(ordering: .acquiring) { observeReceived(set, count, vif: id) }
        input(count, vif)
        var count = count
        if linkSourcesSeen { refuseLinkSources(burst, count) }
        if fragmentsSeen { count = trackFragments(burst, count) }
        if !vif.pointee.flags.isDisjoint(with: .mayCheckReversePath) { checkReversePath(burst, count) }
        process(burst, count)
        // Packets that the router made on the way (ICMP errors into the overlay) take the same stages. They cause no further ones.
        while madeCount > 0 {
            let count = madeCount
            (burst).update(from: made, count: count)
            madeCount = 0
            process(burst, count)
        }
        if heldReady > 0 { releaseHeld() }
    }

    private func input(_ count: Int, _ vif: UnsafePointer<Vif>) {
        if vif.pointee.flags.contains(.learns) { learnSources(count, vif) }
        if vif.pointee.kind == .virtual { return workloadInput(count, vif) }
        if vif.pointee.kind == .physical { return fabricInput(count, vif) }
        for index in 0..<count { burst[index] = Packet(frame: frames[index], ingress: vif) }
        switch vif.pointee.kind {
        case .host: for index in 0..<count { hostInput(&burst[index]) }
        case .agent: for index in 0..<count { agentInput(&burst[index]) }
        case .virtual, .physical, .vlan, .monitoring: for index in 0..<count { burst[index].settle(.drop(.interfaceDrop)) }
        }
    }

    /// The stages after input, in order, over one burst.
    func process(_ packets: UnsafeMutablePointer<Packet>, _ count: Int) {
        flowLookup(packets, count)
        if fragmentFollowers > 0 { followFlows(packets) }
        if let set = tables.flowMirrors.load(ordering: .acquiring) { mirrorFlows(set, packets, count) }
        tableLookup(packets, count)
        if packets.pointee.ingress.pointee.flags.contains(.marks) || tables.qos.isAskedOfEach.load(ordering: .relaxed) {
            markQuality(packets, count)
        }
        nextHopOutput(packets, count)
    }

    // MARK: - From a workload

    /// Nearly every packet is plain IPv4 from one address to one address, and needs no second look; what else there is goes through `workloadPacket`.
    @inline(__always) private func workloadInput(_ count: Int, _ vif: UnsafePointer<Vif>) {
        let flags = vif.pointee.flags, packets = burst, frames = frames
        guard flags.isDisjoint(with: [.unfinishedChecksums, .oversizedSegments]) else {
            for index in 0..<count {
                packets[index] = Packet(frame: frames[index], ingress: vif)
                workloadPacket(&packets[index])
            }
            return
        }
        let bridges = flags.contains(.bridges), asksSource = flags.contains(.antispoof), source = vif.pointee.workloadMAC, vrf = vif.pointee.vrf
        // The first eight octets, as they lie in memory: the destination, and two of the source. The group bits are the lowest of each first octet.
        let router = (vif.pointee.mac &<< 16).bigEndian, routerMask = UInt64(0xFFFF_FFFF_FFFF_0100).bigEndian
        let groups = UInt64(0x0100_0000_0000_0100).bigEndian
        for index in 0..<count {
            let packet = packets + index
            packet.pointee.frame = frames[index]
            let p = packet.pointee.data
            if parsePlainIPv4(&packet.pointee) || parsePlainIPv6(&packet.pointee),
                !asksSource || p.word48(6) == source && isFromWorkload(packet.pointee.network, packet.pointee.family, vif)
            {
                let addresses = p.loadUnaligned(as: UInt64.self)
                if addresses & routerMask == router {
                    packet.pointee.begin(ingress: vif, vrf: vrf, next: .route, flags: [.routed, .lowersTTL])
                    continue
                }
                if bridges, addresses & groups == 0 {
                    packet.pointee.begin(ingress: vif, vrf: vrf, next: .bridge, flags: [])
                    continue
                }
            }
            workloadFrame(packet, vif)
        }
    }

    @inline(never) private func workloadFrame(_ packet: UnsafeMutablePointer<Packet>, _ vif: UnsafePointer<Vif>) {
        packet.initialize(to: Packet(frame: packet.pointee.frame, ingress: vif))
        workloadPacket(&packet.pointee)
    }

    @inline(never) func workloadPacket(_ packet: inout Packet) {
        guard Ethernet.check(packet.data, available: packet.length) else { return packet.settle(.drop(.pull)) }
        let vif = packet.ingress
        let ethernet = Ethernet(packet.data)
        // A tagged frame is its sub-interface's, which has its own say; one with a mere priority tag comes back here without it.
        if vif.pointee.flags.contains(.antispoof), !ethernet.type.isVLAN, !vif.pointee.allows(ethernet.source) { return refuseSource(&packet) }
        if Ethernet.isMulticast(ethernet.source) { return packet.settle(.drop(.invalidSource)) }
        switch ethernet.type {
        case .arp: return workloadARP(&packet)
        case .ipv4, .ipv6: break
        default:
            if ethernet.type.isVLAN { return vlanInput(&packet) }
            // Other protocols have no route; they are bridged by MAC.
            if !vif.pointee.flags.contains(.bridges) || ethernet.destination == vif.pointee.mac {
                return packet.settle(.drop(.invalidProtocol))
            }
            if ethernet.isMulticast { return flood(&packet) }
            packet.next = .bridge
            return
        }
        if let reason = parseNetwork(&packet) { return packet.settle(.drop(reason)) }
        let asksSource = vif.pointee.flags.contains(.antispoof)
        if asksSource, ethernet.source != vif.pointee.workloadMAC || !isFromWorkload(packet.network, packet.family, vif), !isFromAllowedPair(packet) {
            return refuseSource(&packet)
        }
        if packet.family == .ipv6, packet.proto == IPProtocol.icmpv6.rawValue, packet.l4 != 0 {
            if asksSource, !claimsItsOwn(packet) { return refuseSource(&packet) }
            if neighbourReply(&packet) { return }
        }
        if ethernet.isMulticast, let reason = serviceReason(packet), reason != .dns { return forControlProgram(&packet, reason) }
        if ethernet.destination == vif.pointee.mac {
            packet.flags.insert([.routed, .lowersTTL])
            packet.next = .route
        } else if ethernet.isMulticast {
            flood(&packet)
        } else if vif.pointee.flags.contains(.bridges) {
            packet.next = .bridge
        } else {
            packet.settle(.drop(.noL2Route))
        }
    }

    @inline(__always) private func isFromWorkload(_ network: UnsafeMutableRawPointer, _ family: Packet.Family, _ vif: UnsafePointer<Vif>) -> Bool {
        switch family {
        case .ipv4: return vif.pointee.isWorkloadAddress(Vif.mapped(IPv4(network).source))
        case .ipv6:
            let source = IPv6(network).source
            return source.isOfLink || vif.pointee.isWorkloadAddress(source)
        case .none: return false
        }
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
        if !parsePlainIPv4(&packet), !parsePlainIPv6(&packet), let reason = parseAny(&packet) { return reason }
        if !packet.ingress.pointee.flags.isDisjoint(with: [.unfinishedChecksums, .oversizedSegments]) { acceptOffloads(&packet) }
        return nil
    }

    /// The common packet, checked in one go: IPv4 without options, whole, no fragment, checksum right, from and to addresses that are forwarded; Ethernet padding is
    /// cut. Of the packet, `frame` is read, and `family`, `proto` and `l4` are written. False: something else, or wrong; `parseAny` finds out what.
    @inline(__always) private func parsePlainIPv4(_ packet: inout Packet) -> Bool {
        let length = packet.length, p = packet.data, ip = IPv4(p + Ethernet.size)
        guard length >= Ethernet.size + IPv4.size, Ethernet(p).type == .ipv4, ip.isPlain else { return false }
        let total = ip.totalLength
        guard UInt(bitPattern: total &- IPv4.size) <= UInt(bitPattern: length &- (Ethernet.size + IPv4.size)), ip.hasValidPlainChecksum,
            addressClasses.allows(source: p.octet(26), destination: p.octet(30))
        else { return false }
        let proto = ip.proto.rawValue, transport = Ethernet.size + IPv4.size
        packet.l4 = hasTransport(proto, p + transport, total &- IPv4.size) ? UInt16(transport) : 0
        packet.proto = proto
        packet.family = .ipv4
        if length != Ethernet.size &+ total { packet.trim(to: Ethernet.size &+ total) }
        return true
    }

    /// The same for IPv6: TCP or UDP right behind the fixed header, whole, from and to addresses that are forwarded.
    @inline(__always) private func parsePlainIPv6(_ packet: inout Packet) -> Bool {
        let length = packet.length, p = packet.data, transport = Ethernet.size + IPv6.size
        guard length >= transport + UDP.size, p.word32(12) & 0xFFFF_F000 == 0x86DD_6000 else { return false }
        let ip = IPv6(p + Ethernet.size)
        let available = ip.payloadLength, proto = ip.nextHeader.rawValue
        let isTCP = proto == IPProtocol.tcp.rawValue
        guard available <= length &- transport, isTCP ? TCP.check(p + transport, available: available) : available >= UDP.size,
            isTCP || proto == IPProtocol.udp.rawValue
        else { return false }
        // A multicast source (RFC 4291 section 2.7) or a link-local one, and :: and ::1, which lie in the first /64.
        guard p.octet(Ethernet.size + 8) < 0xFE, p.word64(Ethernet.size + 8) != 0, p.word64(Ethernet.size + 24) != 0 else { return false }
        packet.l4 = UInt16(transport)
        packet.proto = proto
        packet.family = .ipv6
        if length != transport &+ available { packet.trim(to: transport &+ available) }
        return true
    }

    @inline(never) private func parseAny(_ packet: inout Packet) -> DropReason? {
        packet.l4 = 0
        let available = packet.length &- Ethernet.size
        return Ethernet(packet.data).type == .ipv4 ? parseIPv4(&packet, available) : parseIPv6(&packet, available)
    }

    /// What the port leaves to the device that it is not.
    @inline(never) private func acceptOffloads(_ packet: inout Packet) {
        let flags = packet.ingress.pointee.flags
        // Whether a TCP packet is one segment of the sender's or several that its kernel left uncut cannot be told, not even by its size: the segment size
        // they agreed on may be far below the MTU. Cutting either where it does not fit is right: TCP is a stream of octets.
        if flags.contains(.oversizedSegments), packet.proto == IPProtocol.tcp.rawValue, !packet.flags.contains(.fragment) {
            packet.flags.insert(.mayBeSegmented)
            // One that is larger than its own link will be cut, here or by a port: the checksums of the pieces are computed then.
            if packet.networkLength > Int(packet.ingress.pointee.mtu), !packet.flags.contains(.tunneled) { return }
        }
        if flags.contains(.unfinishedChecksums) { _ = ChecksumOffload.finish(packet.data, length: packet.length) }
    }

    private func parseIPv4(_ packet: inout Packet, _ available: Int) -> DropReason? {
        guard IPv4.check(packet.network, available: available) else { return .invalidPacket }
        let ip = IPv4(packet.network)
        guard ip.hasValidChecksum else { return .checksumError }
        let source = ip.source, destination = ip.destination
        if IPv4.isMulticast(source) || source == .max || source >> 24 == 127 { return .invalidSource }
        if destination >> 24 == 127 || destination >> 24 == 0 { return .invalidDestination }
        if IPv4.isOfLink(source) { linkSourcesSeen = true }
        packet.family = .ipv4
        packet.proto = ip.proto.rawValue
        packet.trim(to: Ethernet.size &+ ip.totalLength)
        if ip.isFragment {
            packet.flags.insert(.fragment)
            fragmentsSeen = true
            if ip.isLaterFragment { packet.flags.insert(.laterFragment); return nil }
        }
        return locateTransport(&packet, Ethernet.size &+ ip.headerLength)
    }

    private func parseIPv6(_ packet: inout Packet, _ available: Int) -> DropReason? {
        guard IPv6.check(packet.network, available: available) else { return .invalidPacket }
        let ip = IPv6(packet.network)
        let source = ip.source
        if source.isMulticast || source.high == 0 && source.low == 1 { return .invalidSource }
        if source.isOfLink { linkSourcesSeen = true }
        if ip.destination.high == 0, ip.destination.low <= 1 { return .invalidDestination }
        packet.family = .ipv6
        packet.trim(to: Ethernet.size &+ ip.totalLength)
        let headers = ip.headers()
        packet.proto = headers.proto.rawValue
        switch headers.outcome {
        case .malformed: return .invalidPacket
        case .laterFragment:
            packet.flags.insert([.fragment, .laterFragment])
            fragmentsSeen = true
            return nil
        case .upperLayer:
            if headers.isFragment {
                packet.flags.insert(.fragment)
                fragmentsSeen = true
            }
            return locateTransport(&packet, Ethernet.size &+ headers.offset)
        }
    }

    /// A transport header that is cut off is no reason to drop an IP packet (it may be a tiny fragment or a short ICMP quote): it then simply has none.
    private func locateTransport(_ packet: inout Packet, _ offset: Int) -> DropReason? {
        if hasTransport(packet.proto, packet.data + offset, packet.length &- offset) { packet.l4 = UInt16(truncatingIfNeeded: offset) }
        return nil
    }

    @inline(__always) private func hasTransport(_ proto: UInt8, _ p: UnsafeMutableRawPointer, _ available: Int) -> Bool {
        if proto == IPProtocol.udp.rawValue { return available >= UDP.size }
        if proto == IPProtocol.tcp.rawValue { return TCP.check(p, available: available) }
        return hasOtherTransport(proto, available)
    }

    @inline(never) private func hasOtherTransport(_ proto: UInt8, _ available: Int) -> Bool {
        if proto == IPProtocol.icmp.rawValue || proto == IPProtocol.icmpv6.rawValue { return available >= ICMPv4.size }
        let least = IPProtocol.leastHeader(proto)
        return least != 0 && available >= least
    }
}
