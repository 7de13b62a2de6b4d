/// Cuts a TCP packet that a kernel left to the device to segment (GSO) into packets that fit the MTU, one per call, each a whole frame:
///
///     var segments = Segmenter(frame, length: length, mtu: mtu)
///     guard segments.isPossible else { … }
///     while !segments.isDone { let size = segments.next(into: buffer, capacity: capacity) … }
///
/// As a NIC does it: headers and options are repeated, the sequence number advances, the IPv4 identification counts up (also with
/// don't-fragment, as Linux does), FIN and PSH are on the last segment only, CWR on the first only (RFC 3168 section 6.1.2: once per
/// window reduction), an urgent pointer is counted from its own segment. Lengths, header checksum and TCP checksum are
/// computed anew, so an unfinished checksum in the original does not matter.
struct Segmenter {
    /// False: not TCP over IPv4 or IPv6, malformed, a fragment, a SYN or RST with data for several segments, a source route still to be followed
    /// (IPv6 routing header), or an MTU that leaves no room for data.
    private(set) var isPossible = false
    /// Frames that `next` gives in all; 0 when not possible.
    private(set) var count = 0

    private let frame: UnsafeRawPointer
    private var isIPv6 = false
    private var linkSize = 0
    /// Octets from the network header to the TCP header, and to the data.
    private var tcpOffset = 0
    private var headerLength = 0
    private var payloadLength = 0
    /// Octets of data in a full segment.
    private var room = 0
    private var given = 0

    /// `mtu`: largest IP packet, in octets. `frame` must outlive the value.
    init(_ frame: UnsafeRawPointer, length: Int, mtu: Int) {
        self.frame = frame
        guard let link = LinkHeader(frame, length: length) else { return }
        linkSize = link.size
        let packet = frame + link.size
        let end: Int
        if link.type == .ipv4 {
            guard IPv4.check(packet, available: length &- link.size) else { return }
            let ip = IPv4(reading: packet)
            guard ip.proto == .tcp, !ip.isFragment else { return }
            tcpOffset = ip.headerLength
            end = ip.totalLength
        } else if link.type == .ipv6 {
            guard IPv6.check(packet, available: length &- link.size) else { return }
            let ip = IPv6(reading: packet)
            let headers = ip.headers()
            guard headers.outcome == .upperLayer, headers.proto == .tcp, headers.fragmentHeader == 0, !headers.hasSegmentsLeft else { return }
            isIPv6 = true
            tcpOffset = headers.offset
            end = ip.totalLength
        } else {
            return
        }
        guard TCP.check(packet + tcpOffset, available: end &- tcpOffset) else { return }
        let tcp = TCP(reading: packet + tcpOffset)
        headerLength = tcpOffset &+ tcp.headerLength
        payloadLength = end &- headerLength
        guard mtu > headerLength || (payloadLength == 0 && mtu == headerLength), mtu <= 0xFFFF else { return }
        room = max(mtu &- headerLength, 1)
        let pieces = payloadLength == 0 ? 1 : (payloadLength &+ room &- 1) / room
        guard pieces == 1 || tcp.flags.isDisjoint(with: [.syn, .rst]) else { return }
        count = pieces
        isPossible = true
    }

    var isDone: Bool { given >= count }

    /// Before the first `next`: full segments have `size` octets of data, whatever the MTU. False when they cannot have.
    mutating func limit(toData size: Int) -> Bool {
        guard isPossible, size > 0, headerLength &+ size <= 0xFFFF else { return false }
        room = size
        count = payloadLength == 0 ? 1 : (payloadLength &+ room &- 1) / room
        return true
    }

    /// Writes the next segment's frame and returns its length; 0 when done, or when it does not fit (then a later call tries again).
    mutating func next(into p: UnsafeMutableRawPointer, capacity: Int) -> Int {
        guard given < count else { return 0 }
        let done = given &* room
        let size = min(room, payloadLength &- done)
        let total = linkSize &+ headerLength &+ size
        guard total <= capacity else { return 0 }

        p.copyMemory(from: frame, byteCount: linkSize &+ headerLength)
        (p + (linkSize &+ headerLength)).copyMemory(from: frame + (linkSize &+ headerLength &+ done), byteCount: size)
        let packet = p + linkSize
        let tcp = TCP(packet + tcpOffset)
        adjust(tcp, done: done)
        let tcpLength = headerLength &- tcpOffset &+ size
        tcp.checksum = 0
        let pseudoHeader: UInt32
        if isIPv6 {
            let ip = IPv6(packet)
            ip.payloadLength = headerLength &- IPv6.size &+ size
            pseudoHeader = Checksum.pseudoHeader(ip, proto: .tcp, length: tcpLength)
        } else {
            let ip = IPv4(packet)
            ip.totalLength = headerLength &+ size
            ip.identification = ip.identification &+ UInt16(truncatingIfNeeded: given)
            ip.updateChecksum()
            pseudoHeader = Checksum.pseudoHeader(ip, proto: .tcp, length: tcpLength)
        }
        tcp.checksum = Checksum.finish(pseudoHeader &+ Checksum.sum(tcp.p, tcpLength))
        given &+= 1
        return total
    }

    /// Sequence number and flags of the segment that starts `done` octets into the data.
    private func adjust(_ tcp: TCP, done: Int) {
        tcp.sequence = tcp.sequence &+ UInt32(truncatingIfNeeded: done)
        var flags = tcp.flags
        if given != 0 { flags.remove(.cwr) }
        if given &+ 1 != count { flags.subtract([.fin, .psh]) }
        if flags.contains(.urg) {
            // Urgent data that ended in an earlier segment is urgent no more.
            if Int(tcp.urgentPointer) > done {
                tcp.urgentPointer = UInt16(truncatingIfNeeded: Int(tcp.urgentPointer) &- done)
            } else if done != 0 {
                flags.remove(.urg)
                tcp.urgentPointer = 0
            }
        }
        tcp.flags = flags
    }
}
