/// Completes the TCP or UDP checksum that a kernel left to the device (Linux CHECKSUM_PARTIAL), as seen on tap, veth and AF_PACKET.
///
/// The kernel then stores in the field the folded, not complemented sum of the pseudo-header, and expects the device to add the rest. That
/// value is what `finish` looks for: with the segment's length, as Linux writes it for single and GSO frames alike, or with
/// length 0, as the TSO convention of some guests and drivers has it. The answer comes from the packet alone; nobody has to say whether it
/// was offloaded.
///
/// A finished checksum has one of these two values by chance in 2 of 65536 packets. This is harmless: the checksum is then computed from the whole
/// segment, which gives the same value that was there, if the packet was undamaged. Only a damaged packet could be given a right
/// checksum, and that with the odds at which the checksum overlooks damage anyway.
enum ChecksumOffload {
    /// True when the checksum was unfinished and now is right. Leaves alone: finished checksums, UDP without one (0 over IPv4),
    /// fragments (a kernel finishes those), other protocols, malformed packets, tunnels' inner packets.
    @discardableResult
    static func finish(_ frame: UnsafeMutableRawPointer, length: Int) -> Bool {
        guard let link = LinkHeader(frame, length: length) else { return false }
        let packet = frame + link.size
        if link.type == .ipv4 {
            guard IPv4.check(packet, available: length &- link.size) else { return false }
            let ip = IPv4(packet)
            guard !ip.isFragment else { return false }
            let base = Checksum.pseudoHeader(ip, proto: ip.proto, length: 0)
            return finish(ip.payload, available: ip.payloadLength, proto: ip.proto, base: base)
        }
        if link.type == .ipv6 {
            guard IPv6.check(packet, available: length &- link.size) else { return false }
            let ip = IPv6(packet)
            let headers = ip.headers()
            guard headers.outcome == .upperLayer, headers.fragmentHeader == 0, !headers.hasSegmentsLeft else { return false }
            let base = Checksum.pseudoHeader(ip, proto: headers.proto, length: 0)
            return finish(packet + headers.offset, available: ip.totalLength &- headers.offset, proto: headers.proto, base: base)
        }
        return false
    }

    /// `base`: sum of the pseudo-header with length 0.
    @inline(__always) private static func finish(_ p: UnsafeMutableRawPointer, available: Int, proto: IPProtocol, base: UInt32) -> Bool {
        if proto == .tcp {
            guard TCP.check(p, available: available) else { return false }
            let tcp = TCP(p)
            let total = base &+ UInt32(truncatingIfNeeded: available)
            guard isUnfinished(tcp.checksum, base: base, total: total) else { return false }
            tcp.checksum = 0
            tcp.checksum = Checksum.finish(total &+ Checksum.sum(p, available))
            return true
        }
        if proto == .udp {
            guard UDP.check(p, available: available) else { return false }
            let udp = UDP(p)
            let total = base &+ UInt32(truncatingIfNeeded: udp.length)
            // A field of 0, "no checksum", is never taken for one: a sum that has a protocol number in it does not fold to 0.
            guard isUnfinished(udp.checksum, base: base, total: total) else { return false }
            udp.checksum = 0
            udp.checksum = Checksum.finishUDP(total &+ Checksum.sum(p, udp.length))
            return true
        }
        return false
    }

    @inline(__always) private static func isUnfinished(_ field: UInt16, base: UInt32, total: UInt32) -> Bool {
        field == Checksum.fold(total) || field == Checksum.fold(base)
    }
}
