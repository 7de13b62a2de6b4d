/// Lowers the maximum segment size that two TCP endpoints agree on, so that their packets fit a path that is narrower than their links
/// (RFC 9293 section 3.7.1 for the option; RFC 6691 for what it counts).
enum MSSClamp {
    /// The largest segment that fits packets of `mtu` octets: fixed IP and TCP headers are subtracted, options are not (RFC 6691 section 2).
    @inline(__always) static func maximum(mtu: Int, isIPv6: Bool) -> UInt16 {
        UInt16(clamping: mtu &- (isIPv6 ? IPv6.size : IPv4.size) &- TCP.size)
    }

    /// On a SYN or SYN-ACK whose MSS option is larger than `maximum` octets, writes `maximum` there and updates the checksum, which
    /// must be finished. Adds no option: without one the peer assumes 536 or 1220. True when something changed.
    /// `packet` starts at the IP header.
    @discardableResult
    static func apply(_ packet: UnsafeMutableRawPointer, length: Int, maximum: UInt16) -> Bool {
        guard length >= IPv4.size else { return false }
        if packet.octet(0) >> 4 == 4 {
            guard IPv4.check(packet, available: length) else { return false }
            let ip = IPv4(packet)
            guard ip.proto == .tcp, !ip.isLaterFragment else { return false }
            return clamp(ip.payload, available: ip.payloadLength, maximum: maximum)
        }
        guard IPv6.check(packet, available: length) else { return false }
        let ip = IPv6(packet)
        let headers = ip.headers()
        guard headers.outcome == .upperLayer, headers.proto == .tcp else { return false }
        return clamp(packet + headers.offset, available: ip.totalLength &- headers.offset, maximum: maximum)
    }

    @inline(__always) private static func clamp(_ p: UnsafeMutableRawPointer, available: Int, maximum: UInt16) -> Bool {
        guard TCP.check(p, available: available) else { return false }
        let tcp = TCP(p)
        guard tcp.flags.contains(.syn) else { return false }
        let offset = tcp.maximumSegmentSizeOffset
        guard offset != 0 else { return false }
        let old = p.word16(offset)
        guard old > maximum else { return false }
        p.set(offset, word16: maximum)
        // NOPs before the option may leave its value across two words of the checksum.
        tcp.checksum =
            offset & 1 == 0
            ? Checksum.update(tcp.checksum, from: old, to: maximum) : Checksum.updateOdd(tcp.checksum, from: old, to: maximum)
        return true
    }
}
