import NetTypes

/// Tells the sender of a packet why it was not forwarded: ICMP (RFC 792, RFC 1812 section 5.2.7, RFC 1191) and ICMPv6 (RFC 4443).
///
/// The whole frame goes back to the Ethernet source of the offending one, and quotes as much of it as fits: up to 576 octets in all for IPv4
/// (RFC 1812 section 4.3.2.3), 1280 for IPv6 (RFC 4443 section 3.1). The offending frame is to be given as it was received, before
/// its TTL was lowered or an address translated, so that the sender recognises it.
///
/// Nothing is sent (RFC 1812 section 4.3.2.7, RFC 4443 section 2.4 e) about an ICMP error, about a fragment other than the
/// first, about a packet to a group address of either layer, and to a source that is not one host. Of directed broadcasts, and of how many errors
/// per second are decent (RFC 1812 section 4.3.2.8), the caller has to know.
enum ICMPError {
    enum Kind: Equatable {
        /// TTL or hop limit ran out on the way.
        case timeExceeded
        /// No route to the destination's network.
        case noRoute
        /// A route, but nobody answers there.
        case hostUnreachable
        /// Policy forbids it.
        case prohibited
        /// For the router itself, and nobody listens on the port.
        case portUnreachable
        /// Larger than the next link's MTU (octets) and not to be fragmented here.
        case packetTooBig(mtu: Int)
    }

    static let maximumLengthIPv4 = 576
    private static let timeToLive: UInt8 = 64
    /// Precedence 6, internetwork control (RFC 1812 section 4.3.2.5).
    private static let precedence: UInt8 = 0xC0

    // MARK: IPv4

    /// Writes the error about `frame` to `p`, which must not overlap it. `mac`, `address`: ours, on the interface it came in by.
    static func makeIPv4(
        _ kind: Kind, about frame: UnsafeRawPointer, length: Int, into p: UnsafeMutableRawPointer, capacity: Int, mac: UInt64, address: UInt32
    ) -> Int {
        guard let link = LinkHeader(frame, length: length), link.type == .ipv4, IPv4.check(frame + link.size, available: length &- link.size)
        else { return 0 }
        let offending = IPv4(reading: frame + link.size)
        guard isAnswerable(Ethernet(reading: frame)), isAnswerable(offending) else { return 0 }
        let header = IPv4.size &+ ICMPv4.size
        let quote = min(offending.totalLength, maximumLengthIPv4 &- header)
        let total = link.size &+ header &+ quote
        guard capacity >= total else { return 0 }

        emitLink(from: frame, size: link.size, mac: mac, to: p)
        IPv4.Fields(
            // The low bits are ECN: an error is not an ECN-capable transport (RFC 3168 section 5).
            typeOfService: precedence | offending.typeOfService & 0x1C, totalLength: header &+ quote, doNotFragment: true,
            timeToLive: timeToLive, proto: .icmp, source: address, destination: offending.source
        ).emit(to: p + link.size)
        let message = ICMPv4(p + (link.size &+ IPv4.size))
        messageIPv4(kind).emit(to: message.p)
        message.payload.copyMemory(from: offending.p, byteCount: quote)
        message.updateChecksum(length: ICMPv4.size &+ quote)
        return total
    }

    private static func messageIPv4(_ kind: Kind) -> ICMPv4.Fields {
        switch kind {
        case .timeExceeded: ICMPv4.Fields(type: .timeExceeded)
        case .noRoute: ICMPv4.Fields(type: .unreachable, code: 0)
        case .hostUnreachable: ICMPv4.Fields(type: .unreachable, code: 1)
        case .portUnreachable: ICMPv4.Fields(type: .unreachable, code: 3)
        case .prohibited: ICMPv4.Fields(type: .unreachable, code: 13)
        case .packetTooBig(let mtu): ICMPv4.Fields(type: .unreachable, code: 4, sequence: UInt16(clamping: mtu))
        }
    }

    private static func isAnswerable(_ ip: IPv4) -> Bool {
        guard isSingleHost(ip.source), !IPv4.isMulticast(ip.destination), ip.destination != .max, !ip.isLaterFragment else { return false }
        guard ip.proto == .icmp else { return true }
        // An ICMP packet without a type cannot be told from an error.
        return ip.payloadLength >= 1 && !ICMPv4.MessageType(ip.payload.octet(0)).isError
    }

    /// Not 0/8, loopback, multicast, reserved or broadcast (RFC 1812 section 4.3.2.7: "does not define a single host").
    static func isSingleHost(_ address: UInt32) -> Bool { address >> 24 != 0 && address >> 24 != 127 && address < 0xE000_0000 }

    // MARK: IPv6

    /// As `makeIPv4`. Packet too big is also sent about packets to group addresses, so that path MTU discovery works for
    /// multicast (RFC 4443 section 2.4 e.3).
    static func makeIPv6(
        _ kind: Kind, about frame: UnsafeRawPointer, length: Int, into p: UnsafeMutableRawPointer, capacity: Int, mac: UInt64, address: IPv6Address
    ) -> Int {
        guard let link = LinkHeader(frame, length: length), link.type == .ipv6, IPv6.check(frame + link.size, available: length &- link.size)
        else { return 0 }
        let ethernet = Ethernet(reading: frame)
        let offending = IPv6(reading: frame + link.size)
        let body = messageIPv6(kind)
        if body.type == .packetTooBig {
            guard !Ethernet.isMulticast(ethernet.source) else { return 0 }
        } else {
            guard isAnswerable(ethernet), !offending.destination.isMulticast else { return 0 }
        }
        guard isAnswerable(offending) else { return 0 }
        let header = IPv6.size &+ ICMPv6.size
        let quote = min(offending.totalLength, IPv6.minimumMTU &- header)
        let total = link.size &+ header &+ quote
        guard capacity >= total else { return 0 }

        emitLink(from: frame, size: link.size, mac: mac, to: p)
        let ip = IPv6(p + link.size)
        IPv6.Fields(
            payloadLength: ICMPv6.size &+ quote, nextHeader: .icmpv6, hopLimit: timeToLive, source: address, destination: offending.source
        ).emit(to: ip.p)
        let message = ICMPv6(ip.payload)
        body.emit(to: message.p)
        message.payload.copyMemory(from: offending.p, byteCount: quote)
        message.updateChecksum(ip: ip, length: ICMPv6.size &+ quote)
        return total
    }

    private static func messageIPv6(_ kind: Kind) -> ICMPv6.Fields {
        switch kind {
        case .timeExceeded: ICMPv6.Fields(type: .timeExceeded)
        case .noRoute: ICMPv6.Fields(type: .unreachable, code: 0)
        case .prohibited: ICMPv6.Fields(type: .unreachable, code: 1)
        case .hostUnreachable: ICMPv6.Fields(type: .unreachable, code: 3)
        case .portUnreachable: ICMPv6.Fields(type: .unreachable, code: 4)
        case .packetTooBig(let mtu): ICMPv6.Fields(type: .packetTooBig, body: UInt32(clamping: mtu))
        }
    }

    private static func isAnswerable(_ ip: IPv6) -> Bool {
        guard isSingleHost(ip.source) else { return false }
        let headers = ip.headers()
        guard headers.outcome == .upperLayer else { return false }
        guard headers.proto == .icmpv6 else { return true }
        guard headers.offset < ip.totalLength else { return false }
        let type = ICMPv6.MessageType(ip.p.octet(headers.offset))
        return !type.isError && type != .redirect
    }

    /// Not `::`, loopback or multicast (RFC 4443 section 2.4 e.6). Anycast cannot be seen.
    static func isSingleHost(_ address: IPv6Address) -> Bool { !address.isMulticast && !(address.high == 0 && address.low <= 1) }

    // MARK: Link

    /// Sent to us alone, by one station.
    private static func isAnswerable(_ ethernet: Ethernet) -> Bool { !ethernet.isMulticast && !Ethernet.isMulticast(ethernet.source) }

    private static func emitLink(from frame: UnsafeRawPointer, size: Int, mac: UInt64, to p: UnsafeMutableRawPointer) {
        p.copyMemory(from: frame, byteCount: size)
        Ethernet(p).destination = Ethernet(reading: frame).source
        Ethernet(p).source = mac
    }
}
