import NetTypes

@testable import Dataplane

/// One header each, at the beginning of the input: whatever `check` lets through can be read, changed and written again within its bounds, and a header built from
/// what was read says the same.
@MainActor enum WireTargets {
    private static func built(_ size: Int, _ emit: (UnsafeMutableRawPointer) -> Void) -> Exact {
        let memory = Exact(zeroes: size)
        emit(memory.p)
        return memory
    }

    static func ethernet(_ input: UnsafeRawBufferPointer) {
        let frame = Exact(input)
        if let link = LinkHeader(frame.p, length: frame.count) { require(link.size <= frame.count, "link header of \(link.size) octets") }
        if VLAN.check(frame.p, available: frame.count) {
            let fields = VLAN(frame.p).fields
            // The view reaches from the tag's own type to the next one.
            require(VLAN(built(VLAN.size + 2) { fields.emit(to: $0) }.p).fields == fields, "VLAN \(fields)")
        }
        guard Ethernet.check(frame.p, available: frame.count) else { return }
        let ethernet = Ethernet(frame.p), fields = ethernet.fields
        require(ethernet.isMulticast == Ethernet.isMulticast(ethernet.destination), "multicast")
        require(Ethernet(built(Ethernet.size) { fields.emit(to: $0) }.p).fields == fields, "Ethernet \(fields)")
    }

    static func arp(_ input: UnsafeRawBufferPointer) {
        let message = Exact(input)
        if ARP.check(message.p, available: message.count) {
            let fields = ARP(message.p).fields
            let again = built(ARP.size) { fields.emit(to: $0) }
            require(ARP.check(again.p, available: ARP.size) && ARP(again.p).fields == fields, "ARP \(fields)")
        }
        let made = ARPReply.make(message.p, length: message.count, mac: 0x0200_0000_0001)
        require(made <= message.count, "an answer of \(made) octets")
        if made > 0, let link = LinkHeader(message.p, length: made) {
            require(ARP.check(message.p + link.size, available: made - link.size), "an answer that is no ARP")
        }
    }

    static func ipv4(_ input: UnsafeRawBufferPointer) {
        let packet = Exact(input)
        guard IPv4.check(packet.p, available: packet.count) else { return }
        let ip = IPv4(packet.p), fields = ip.fields
        require(ip.payloadLength >= 0 && ip.headerLength + ip.payloadLength <= packet.count, "payload of \(ip.payloadLength)")
        _ = Checksum.sum(ip.payload, ip.payloadLength)
        require(ip.hasValidChecksum == (WellFormed.sum(packet.prefix(ip.headerLength)[...]) == 0xFFFF), "checksum")
        _ = ip.hasSourceRoute
        let copied = ip.copiedHeaderLength
        require(copied == 0 || (20...ip.headerLength).contains(copied), "copied header of \(copied)")
        if copied != 0 {
            // The length and checksum are the caller's to write.
            let later = built(copied) { ip.emitCopied(to: $0) }
            require(IPv4(later.p).headerLength == copied, "copied header says \(IPv4(later.p).headerLength), not \(copied)")
        }
        let again = built(IPv4.size) { fields.emit(to: $0) }
        require(IPv4(again.p).fields == fields && IPv4(again.p).hasValidChecksum, "IPv4 \(fields)")
        ip.updateChecksum()
        if ip.timeToLive > 0 { ip.decrementTimeToLive() }
        require(ip.hasValidChecksum, "checksum after one hop")
    }

    static func ipv6(_ input: UnsafeRawBufferPointer) {
        let packet = Exact(input)
        guard IPv6.check(packet.p, available: packet.count) else { return }
        let ip = IPv6(packet.p), fields = ip.fields, headers = ip.headers()
        require(headers.outcome == .malformed || (40...ip.totalLength).contains(headers.offset), "headers \(headers)")
        if headers.outcome != .malformed { _ = Checksum.sum(packet.p + headers.offset, ip.totalLength - headers.offset) }
        require(headers.fragmentHeader == 0 || headers.fragmentHeader + 8 <= ip.totalLength, "fragment header \(headers)")
        let again = built(IPv6.size) { fields.emit(to: $0) }
        require(IPv6(again.p).fields == fields, "IPv6 \(fields)")
    }

    /// An answer or an error, from a whole frame.
    private static func composed(_ input: UnsafeRawBufferPointer, isIPv4: Bool) {
        var steering = Steering(input)
        let capacity = steering.word() & 0x7FF, kind = steering.octet()
        let frame = Exact(steering.rest), before = frame.octets, target = Exact(zeroes: capacity)
        let kinds: [ICMPError.Kind] = [.timeExceeded, .packetTooBig(mtu: capacity), .noRoute, .hostUnreachable]
        let made =
            isIPv4
            ? ICMPError.makeIPv4(
                kinds[kind & 3], about: frame.p, length: frame.count, into: target.p, capacity: capacity, mac: 2, address: 0x0A01_0001)
            : ICMPError.makeIPv6(
                kinds[kind & 3], about: frame.p, length: frame.count, into: target.p, capacity: capacity, mac: 2,
                address: IPv6Address(high: 0xFD00_0001_0000_0000, low: 1))
        require(made >= 0 && made <= capacity && frame.octets == before, "an error of \(made) octets in \(capacity)")
        // A tag in front is not what this looks through.
        if made > 0 {
            let seen = WellFormed(target.prefix(made), tunnels: false)
            require(seen.problem == nil && seen.transport != .wrong, "an error that is malformed: \(seen)")
        }
        let wasRight = WellFormed(before, tunnels: false)
        let reply = EchoReply.make(frame.p, length: frame.count)
        require(reply <= frame.count, "a reply of \(reply) octets")
        if reply > 0 {
            let seen = WellFormed(frame.prefix(reply), tunnels: false)
            require(wasRight.problem != nil || seen.problem == nil, "a reply that is malformed: \(seen)")
            require(wasRight.problem != nil || wasRight.transport != .right || seen.transport != .wrong, "a reply with a wrong checksum")
        }
    }

    static func icmpv4(_ input: UnsafeRawBufferPointer) {
        let message = Exact(input)
        if ICMPv4.check(message.p, available: message.count) {
            let icmp = ICMPv4(message.p), fields = icmp.fields
            require(ICMPv4(built(ICMPv4.size) { fields.emit(to: $0) }.p).fields == fields, "ICMP \(fields)")
            icmp.updateChecksum(length: message.count)
            require(icmp.hasValidChecksum(length: message.count), "ICMP checksum")
        }
        composed(input, isIPv4: true)
    }

    static func icmpv6(_ input: UnsafeRawBufferPointer) {
        let message = Exact(input)
        if ICMPv6.check(message.p, available: message.count) {
            let fields = ICMPv6(message.p).fields
            require(ICMPv6(built(ICMPv6.size) { fields.emit(to: $0) }.p).fields == fields, "ICMPv6 \(fields)")
        }
        composed(input, isIPv4: false)
    }

    static func neighbourDiscovery(_ input: UnsafeRawBufferPointer) {
        var steering = Steering(input)
        let capacity = steering.octet()
        let frame = Exact(steering.rest), target = Exact(zeroes: capacity)
        if NeighbourMessage.check(frame.p, available: frame.count) {
            let fields = NeighbourMessage(frame.p).fields
            require(NeighbourMessage(built(NeighbourMessage.size) { fields.emit(to: $0) }.p).fields == fields, "\(fields)")
            _ = NeighbourOptions(frame.p + NeighbourMessage.size, length: frame.count - NeighbourMessage.size)
        }
        if RouterSolicitation.check(frame.p, available: frame.count) {
            _ = NeighbourOptions(frame.p + RouterSolicitation.size, length: frame.count - RouterSolicitation.size)
        }
        _ = NeighbourSolicitation(frame.p, length: frame.count)
        let made = NeighbourAdvertisement.make(
            from: frame.p, length: frame.count, into: target.p, capacity: capacity, mac: 0x0200_0000_0001, isRouter: true, overrides: true)
        require(made >= 0 && made <= capacity, "an advertisement of \(made) octets in \(capacity)")
        if made > 0 {
            let seen = WellFormed(target.prefix(made), tunnels: false)
            require(seen.problem == nil && seen.transport != .wrong, "an advertisement that is malformed: \(seen)")
        }
    }

    static func tcp(_ input: UnsafeRawBufferPointer) {
        let segment = Exact(input)
        guard TCP.check(segment.p, available: segment.count) else { return }
        let tcp = TCP(segment.p), fields = tcp.fields, offset = tcp.maximumSegmentSizeOffset
        require(tcp.headerLength >= 20 && tcp.headerLength <= segment.count, "header of \(tcp.headerLength)")
        require(offset == 0 || (22...tcp.headerLength - 2).contains(offset), "option at \(offset)")
        let again = built(TCP.size) { fields.emit(to: $0) }
        require(TCP.check(again.p, available: TCP.size) && TCP(again.p).fields == fields, "TCP \(fields)")
        // Both directions of a connection, as headers in a row.
        let entries = UnsafeMutablePointer<FlowEntry>.allocate(capacity: 2)
        defer { entries.deallocate() }
        UnsafeMutableRawPointer(entries).initializeMemory(as: UInt8.self, repeating: 0, count: 2 * MemoryLayout<FlowEntry>.stride)
        var at = 0
        while at + TCP.size <= segment.count {
            let tcp = TCP(segment.p + at)
            let own = entries + (at / TCP.size & 1), other = entries + (1 - at / TCP.size & 1)
            FlowTCP.track(
                own, reverse: other, flags: tcp.flags.rawValue, sequence: tcp.sequence, acknowledgement: tcp.acknowledgment,
                payload: UInt32(tcp.window))
            _ = FlowTCP.letters(own.pointee.tcpState, reverse: other.pointee.tcpState)
            at += TCP.size
        }
    }

    static func udp(_ input: UnsafeRawBufferPointer) {
        let datagram = Exact(input)
        guard UDP.check(datagram.p, available: datagram.count) else { return }
        let udp = UDP(datagram.p), fields = udp.fields
        require((8...datagram.count).contains(udp.length), "length \(udp.length)")
        _ = Checksum.sum(udp.payload, udp.length - UDP.size)
        require(UDP(built(UDP.size) { fields.emit(to: $0) }.p).fields == fields, "UDP \(fields)")
    }

    static func gre(_ input: UnsafeRawBufferPointer) {
        let packet = Exact(input)
        guard GRE.check(packet.p, available: packet.count) else { return }
        let gre = GRE(packet.p)
        require(gre.headerLength <= packet.count, "header of \(gre.headerLength)")
        if gre.hasKey { _ = gre.key }
        _ = Checksum.sum(gre.payload, packet.count - gre.headerLength)
        let fields = gre.fields
        require(GRE(built(GRE.size) { fields.emit(to: $0) }.p).fields == fields, "GRE \(fields)")
    }

    static func vxlan(_ input: UnsafeRawBufferPointer) {
        let packet = Exact(input)
        guard VXLAN.check(packet.p, available: packet.count) else { return }
        let fields = VXLAN(packet.p).fields
        let again = built(VXLAN.size) { fields.emit(to: $0) }
        require(VXLAN.check(again.p, available: VXLAN.size) && VXLAN(again.p).fields == fields, "VXLAN \(fields)")
    }

    static func mpls(_ input: UnsafeRawBufferPointer) {
        let packet = Exact(input)
        guard MPLS.check(packet.p, available: packet.count) else { return }
        let fields = MPLS(packet.p).fields
        require(MPLS(built(MPLS.size) { fields.emit(to: $0) }.p).fields == fields, "MPLS \(fields)")
    }

    static func agent(_ input: UnsafeRawBufferPointer) {
        let packet = Exact(input)
        guard AgentHeader.check(packet.p, available: packet.count) else { return }
        let fields = AgentHeader(packet.p).fields
        require(AgentHeader(built(AgentHeader.size) { fields.emit(to: $0) }.p).fields == fields, "agent header \(fields)")
    }
}
