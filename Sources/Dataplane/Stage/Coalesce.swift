import CPlatform
import NetTypes

/// Joins TCP segments of one connection, which follow each other in what a port is about to be given, into one packet that the port may cut again
/// (`PortTraits.gainsByJoining`): towards a local workload it never is, and its kernel is called once for 44 segments. A NIC would have to cut at once.
///
/// Two segments are joined only if cutting the result gives exactly those two again: whole, unfragmented IPv4 packets without options and with Don't
/// Fragment (their identification then means nothing, RFC 6864), or IPv6 packets without extension headers; equal in every header field but length,
/// identification and checksums; TCP with ACK and nothing else, the same acknowledgment, window and options, timestamps included; the second's sequence
/// number where the first ends; data of the size of the first segment, or the last and shorter. PSH ends a packet, and stays. The checksum of each is
/// verified: a damaged segment must not get a right one.
struct Coalescer {
    private let frames: UnsafeMutablePointer<vr_frame>

    init(_ frames: UnsafeMutablePointer<vr_frame>) { self.frames = frames }

    /// A segment as far as it can be told without reading its data.
    private struct Segment {
        var tcp: Int
        var headers: Int
        var data: Int
        var isIPv6: Bool

        /// nil: not one that can be joined.
        init?(_ frame: vr_frame) {
            let p = frame.start, length = Int(frame.length)
            guard !frame.isSegmented, length >= Ethernet.size + IPv4.size + TCP.size else { return nil }
            let total: Int
            switch Ethernet(p).type {
            case .ipv4:
                let ip = IPv4(p + Ethernet.size)
                guard p.octet(Ethernet.size) == 0x45, ip.proto == .tcp, ip.doNotFragment, !ip.isFragment else { return nil }
                total = ip.totalLength
                tcp = Ethernet.size + IPv4.size
                isIPv6 = false
            case .ipv6:
                guard length >= Ethernet.size + IPv6.size + TCP.size else { return nil }
                let ip = IPv6(p + Ethernet.size)
                guard ip.nextHeader == .tcp else { return nil }
                total = ip.totalLength
                tcp = Ethernet.size + IPv6.size
                isIPv6 = true
            default: return nil
            }
            guard total &+ Ethernet.size == length, TCP.check(p + tcp, available: length &- tcp) else { return nil }
            let header = TCP(p + tcp)
            headers = tcp &+ header.headerLength
            data = length &- headers
            guard data > 0, header.flags.subtracting(.psh) == .ack else { return nil }
        }
    }

    /// Whether everything but lengths, identification, sequence number, PSH and checksums is the same.
    private static func isAlike(_ a: UnsafeMutableRawPointer, _ b: UnsafeMutableRawPointer, _ segment: Segment) -> Bool {
        guard a.word64(0) == b.word64(0), a.word48(8) == b.word48(8) else { return false }
        let x = a + Ethernet.size, y = b + Ethernet.size
        if segment.isIPv6 {
            guard x.word32(0) == y.word32(0), x.word16(6) == y.word16(6), x.word64(8) == y.word64(8), x.word64(16) == y.word64(16),
                x.word64(24) == y.word64(24), x.word64(32) == y.word64(32)
            else { return false }
        } else {
            // Version and type of service; flags, TTL and protocol; addresses.
            guard x.word16(0) == y.word16(0), x.word16(6) == y.word16(6), x.word16(8) == y.word16(8), x.word64(12) == y.word64(12) else {
                return false
            }
        }
        let s = a + segment.tcp, t = b + segment.tcp
        // Ports; acknowledgment; header length; window; urgent pointer.
        guard s.word32(0) == t.word32(0), s.word32(8) == t.word32(8), s.octet(12) == t.octet(12), s.word16(14) == t.word16(14),
            s.word16(18) == t.word16(18)
        else { return false }
        for offset in stride(from: TCP.size, to: segment.headers &- segment.tcp, by: 4) where s.word32(offset) != t.word32(offset) { return false }
        return true
    }

    private static func hasRightChecksum(_ p: UnsafeMutableRawPointer, _ segment: Segment) -> Bool {
        let length = segment.headers &- segment.tcp &+ segment.data
        let pseudoHeader =
            segment.isIPv6
            ? Checksum.pseudoHeader(IPv6(p + Ethernet.size), proto: .tcp, length: length)
            : Checksum.pseudoHeader(IPv4(p + Ethernet.size), proto: .tcp, length: length)
        return Checksum.finish(pseudoHeader &+ Checksum.sum(p + segment.tcp, length)) == 0
    }

    /// Joins what can be joined among `count` frames, of which `vifs` tells the way out; `absorbed` gets the frames whose data is in another now. Returns how
    /// many are left, at the front, in order.
    func join(_ count: Int, _ vifs: UnsafeMutablePointer<UInt32>, absorbed: (vr_frame) -> Void) -> Int {
        var kept = 0
        /// The packet that the next segment may go into: the last kept.
        var head: Segment?
        var isOpen = false, parts = 0, size = 0
        func finish() {
            if let head, parts > 1 { Self.seal(&frames[kept &- 1], head, size: size) }
            head = nil
        }
        for index in 0..<count {
            let frame = frames[index], segment = Segment(frame)
            if let segment, let first = head, isOpen, vifs[index] == vifs[kept &- 1], extend(kept &- 1, first, parts, size, by: frame, segment) {
                let isLast = segment.data < size || TCP(frame.start + segment.tcp).flags.contains(.psh)
                head?.data &+= segment.data
                parts &+= 1
                isOpen = !isLast
                absorbed(frame)
                continue
            }
            finish()
            if kept != index {
                frames[kept] = frame
                vifs[kept] = vifs[index]
            }
            kept &+= 1
            guard let segment else { continue }
            head = segment
            parts = 1
            size = segment.data
            isOpen = !TCP(frame.start + segment.tcp).flags.contains(.psh)
        }
        finish()
        return kept
    }

    /// Appends the data of `next` to the packet at `at`; false when they do not belong together.
    private func extend(_ at: Int, _ first: Segment, _ parts: Int, _ size: Int, by next: vr_frame, _ segment: Segment) -> Bool {
        let target = frames[at], p = target.start, q = next.start
        guard segment.tcp == first.tcp, segment.headers == first.headers, segment.data <= size, Int(target.tailroom) >= segment.data,
            first.headers &- Ethernet.size &+ first.data &+ segment.data <= Int(UInt16.max)
        else { return false }
        guard TCP(q + segment.tcp).sequence == TCP(p + first.tcp).sequence &+ UInt32(truncatingIfNeeded: first.data), Self.isAlike(p, q, first),
            Self.hasRightChecksum(q, segment), parts > 1 || Self.hasRightChecksum(p, first)
        else { return false }
        (p + Int(target.length)).copyMemory(from: q + segment.headers, byteCount: segment.data)
        frames[at].length &+= UInt32(truncatingIfNeeded: segment.data)
        frames[at].tailroom &-= UInt32(truncatingIfNeeded: segment.data)
        let tcp = TCP(p + first.tcp)
        tcp.flags = tcp.flags.union(TCP(q + segment.tcp).flags)
        return true
    }

    /// Lengths of the whole, and what is left to the port: to cut it, and the TCP checksum.
    private static func seal(_ frame: inout vr_frame, _ segment: Segment, size: Int) {
        let length = Int(frame.length) &- Ethernet.size
        if segment.isIPv6 {
            IPv6(frame.start + Ethernet.size).payloadLength = length &- IPv6.size
        } else {
            let ip = IPv4(frame.start + Ethernet.size)
            ip.totalLength = length
            ip.updateChecksum()
        }
        frame.markSegmented(size)
    }
}

extension Worker {
    /// Before a port that gains by it is given `count` frames: how many it is to be given.
    @inline(never) func coalesce(_ buffer: UnsafeMutablePointer<TransmitBuffer>, _ count: Int) -> Int {
        let left = Coalescer(buffer.pointee.frames).join(count, buffer.pointee.vifs) { release($0) }
        if left < count { counters.add(.consumed, count &- left) }
        return left
    }
}
