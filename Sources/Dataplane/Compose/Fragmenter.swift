/// Cuts an IPv4 packet into fragments (RFC 791 section 3.2), one per call, each a whole frame:
///
///     var fragments = Fragmenter(frame, length: length, mtu: mtu)
///     guard fragments.isPossible else { … }
///     while !fragments.isDone { let size = fragments.next(into: buffer, capacity: capacity) … }
///
/// The first fragment has all options, the others those with the copied flag. A packet that is a fragment itself is cut further: offsets
/// add up, and the last piece keeps its more-fragments flag. One that fits is given as it is, in one piece. The transport
/// checksum covers the whole datagram, so it has to be finished before.
struct Fragmenter {
    /// False: not IPv4, malformed, larger than the MTU with don't-fragment set, past offset 65535 at its end, or an MTU that
    /// leaves no 8 octets of data.
    private(set) var isPossible = false
    /// Frames that `next` gives in all; 0 when not possible.
    private(set) var count = 0

    private let frame: UnsafeRawPointer
    private let mtu: Int
    private var linkSize = 0
    private var headerLength = 0
    private var laterHeaderLength = 0
    private var payloadLength = 0
    /// Octets of the payload already given.
    private var done = 0
    private var given = 0

    /// `mtu`: largest IP packet, in octets. `frame` must outlive the value.
    init(_ frame: UnsafeRawPointer, length: Int, mtu: Int) {
        self.frame = frame
        self.mtu = mtu
        guard let link = LinkHeader(frame, length: length), link.type == .ipv4, IPv4.check(frame + link.size, available: length &- link.size)
        else { return }
        let ip = IPv4(reading: frame + link.size)
        linkSize = link.size
        headerLength = ip.headerLength
        payloadLength = ip.payloadLength
        if ip.totalLength <= mtu {
            count = 1
            isPossible = true
            return
        }
        laterHeaderLength = ip.copiedHeaderLength
        guard !ip.doNotFragment, laterHeaderLength != 0, mtu &- headerLength >= 8, mtu <= 0xFFFF, ip.fragmentOffset &+ payloadLength <= 0xFFFF,
            // All but the last fragment of a datagram are multiples of 8.
            !ip.moreFragments || payloadLength & 7 == 0
        else { return }
        let first = (mtu &- headerLength) & ~7
        let rest = payloadLength &- first
        let largest = mtu &- laterHeaderLength
        count = 1
        if rest > 0 {
            let most = largest & ~7
            count &+= 1 &+ (rest > largest ? (rest &- largest &+ most &- 1) / most : 0)
        }
        isPossible = true
    }

    var isDone: Bool { given >= count }

    /// Writes the next fragment's frame and returns its length; 0 when done, or when it does not fit (then a later call tries again).
    mutating func next(into p: UnsafeMutableRawPointer, capacity: Int) -> Int {
        guard given < count else { return 0 }
        let isFirst = given == 0
        let header = isFirst ? headerLength : laterHeaderLength
        let left = payloadLength &- done
        let isLast = given &+ 1 == count
        let size = isLast ? left : min(left, (mtu &- header) & ~7)
        let total = linkSize &+ header &+ size
        guard total <= capacity else { return 0 }

        let original = IPv4(reading: frame + linkSize)
        let ip = IPv4(p + linkSize)
        p.copyMemory(from: frame, byteCount: linkSize)
        if isFirst { ip.p.copyMemory(from: original.p, byteCount: header) } else { original.emitCopied(to: ip.p) }
        (ip.p + header).copyMemory(from: original.payload + done, byteCount: size)
        if count > 1 {
            ip.totalLength = header &+ size
            ip.fragmentOffset = original.fragmentOffset &+ done
            ip.moreFragments = !isLast || original.moreFragments
            ip.updateChecksum()
        }
        done &+= size
        given &+= 1
        return total
    }
}
