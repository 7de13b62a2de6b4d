import NetTypes

/// The answer to an echo request (RFC 792, RFC 4443 section 4.2), in place.
///
/// Checksums are updated, not computed (RFC 1624): a request that was damaged gives a reply that fails its receiver's check, so
/// there is no need to verify it here.
enum EchoReply {
    static let timeToLive: UInt8 = 64

    /// Turns the request in `frame` into its reply: addresses swapped, type, TTL. 0 for anything else, for a fragment, for a request to
    /// or from a group address, for an IPv4 source route (its reply would have to reverse it) and for IPv6 extension headers.
    static func make(_ frame: UnsafeMutableRawPointer, length: Int) -> Int {
        guard let link = LinkHeader(frame, length: length) else { return 0 }
        let ethernet = Ethernet(frame)
        let asker = ethernet.source, asked = ethernet.destination
        guard !Ethernet.isMulticast(asker), !Ethernet.isMulticast(asked) else { return 0 }
        let packet = frame + link.size
        let size: Int
        if link.type == .ipv4 {
            size = makeIPv4(packet, available: length &- link.size)
        } else if link.type == .ipv6 {
            size = makeIPv6(packet, available: length &- link.size)
        } else {
            return 0
        }
        guard size > 0 else { return 0 }
        ethernet.destination = asker
        ethernet.source = asked
        return max(link.size &+ size, min(length, Ethernet.minimumLength))
    }

    private static func makeIPv4(_ p: UnsafeMutableRawPointer, available: Int) -> Int {
        guard IPv4.check(p, available: available) else { return 0 }
        let ip = IPv4(p)
        let source = ip.source, destination = ip.destination
        guard ip.proto == .icmp, !ip.isFragment, ICMPv4.check(ip.payload, available: ip.payloadLength), !ip.hasSourceRoute,
            ICMPError.isSingleHost(source), ICMPError.isSingleHost(destination)
        else { return 0 }
        let message = ICMPv4(ip.payload)
        let old = message.typeAndCode
        guard message.type == .echoRequest, message.code == 0 else { return 0 }
        message.type = .echoReply
        message.checksum = Checksum.update(message.checksum, from: old, to: message.typeAndCode)
        let protocolOctet = UInt16(ip.proto.rawValue)
        ip.checksum = Checksum.update(
            ip.checksum, from: UInt16(ip.timeToLive) << 8 | protocolOctet, to: UInt16(timeToLive) << 8 | protocolOctet)
        ip.timeToLive = timeToLive
        // Two swapped words leave a sum as it is.
        ip.source = destination
        ip.destination = source
        return ip.totalLength
    }

    private static func makeIPv6(_ p: UnsafeMutableRawPointer, available: Int) -> Int {
        guard IPv6.check(p, available: available) else { return 0 }
        let ip = IPv6(p)
        let source = ip.source, destination = ip.destination
        guard ip.nextHeader == .icmpv6, ICMPv6.check(ip.payload, available: ip.payloadLength), !destination.isMulticast,
            ICMPError.isSingleHost(source)
        else { return 0 }
        let message = ICMPv6(ip.payload)
        let old = message.typeAndCode
        guard message.type == .echoRequest, message.code == 0 else { return 0 }
        message.type = .echoReply
        message.checksum = Checksum.update(message.checksum, from: old, to: message.typeAndCode)
        ip.hopLimit = timeToLive
        ip.source = destination
        ip.destination = source
        return ip.totalLength
    }
}
