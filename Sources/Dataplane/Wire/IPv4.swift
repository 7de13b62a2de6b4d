/// Protocol number of IPv4 and next header of IPv6 (IANA protocol numbers).
struct IPProtocol: Equatable {
    let rawValue: UInt8
    @inline(__always) init(_ rawValue: UInt8) { self.rawValue = rawValue }
    static let hopByHop = IPProtocol(0), icmp = IPProtocol(1), tcp = IPProtocol(6), udp = IPProtocol(17), routing = IPProtocol(43)
    static let fragment = IPProtocol(44), gre = IPProtocol(47), esp = IPProtocol(50), ah = IPProtocol(51), icmpv6 = IPProtocol(58)
    static let noNextHeader = IPProtocol(59), destinationOptions = IPProtocol(60), sctp = IPProtocol(132), dccp = IPProtocol(33)
    static let udpLite = IPProtocol(136)
    static let mobility = IPProtocol(135), mplsInIP = IPProtocol(137), hip = IPProtocol(139), shim6 = IPProtocol(140)

    /// Of protocols other than TCP and UDP whose header begins with a source and a destination port, the octets of the shortest header: SCTP (RFC 9260 section 3), DCCP (RFC 4340
    /// section 5.1), UDP-Lite (RFC 3828). 0: no such protocol.
    static func leastHeader(_ proto: UInt8) -> Int {
        switch proto {
        case sctp.rawValue, dccp.rawValue: 12
        case udpLite.rawValue: 8
        default: 0
        }
    }
}

/// IPv4 header (RFC 791; DSCP RFC 2474, ECN RFC 3168).
///
///      0                   1                   2                   3
///      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |Version|  IHL  |    DSCP   |ECN|          Total Length         |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |         Identification        |0|D|M|     Fragment Offset     |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |  Time to Live |    Protocol   |         Header Checksum       |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |                         Source Address                        |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |                      Destination Address                      |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |                    Options                    |    Padding    |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///
/// `check` guarantees version 4, 20 ≤ header length ≤ total length ≤ available; not the checksum (`hasValidChecksum`).
struct IPv4 {
    private enum Offset {
        static let version = 0, typeOfService = 1, totalLength = 2, identification = 4, fragment = 6
        static let timeToLive = 8, proto = 9, checksum = 10, source = 12, destination = 16
    }
    /// Without options.
    static let size = 20
    static let maximumHeaderLength = 60

    let p: UnsafeMutableRawPointer
    @inline(__always) init(_ p: UnsafeMutableRawPointer) { self.p = p }
    @inline(__always) init(reading p: UnsafeRawPointer) { self.p = UnsafeMutableRawPointer(mutating: p) }

    @inline(__always) static func check(_ p: UnsafeRawPointer, available: Int) -> Bool {
        guard available >= size else { return false }
        let first = p.octet(Offset.version)
        let headerLength = Int(first & 0x0F) &* 4
        let totalLength = Int(p.word16(Offset.totalLength))
        return first >> 4 == 4 && headerLength >= size && headerLength <= totalLength && totalLength <= available
    }

    /// Octets, options included.
    var headerLength: Int {
        get { Int(p.octet(Offset.version) & 0x0F) &* 4 }
        nonmutating set { p.set(Offset.version, octet: 0x40 | UInt8(truncatingIfNeeded: newValue >> 2) & 0x0F) }
    }
    /// DSCP and ECN together.
    var typeOfService: UInt8 {
        get { p.octet(Offset.typeOfService) }
        nonmutating set { p.set(Offset.typeOfService, octet: newValue) }
    }
    var dscp: UInt8 {
        get { typeOfService >> 2 }
        nonmutating set { typeOfService = newValue << 2 | typeOfService & 3 }
    }
    var ecn: UInt8 {
        get { typeOfService & 3 }
        nonmutating set { typeOfService = typeOfService & 0xFC | newValue & 3 }
    }
    /// Octets of header and payload.
    var totalLength: Int {
        get { Int(p.word16(Offset.totalLength)) }
        nonmutating set { p.set(Offset.totalLength, word16: UInt16(truncatingIfNeeded: newValue)) }
    }
    var identification: UInt16 {
        get { p.word16(Offset.identification) }
        nonmutating set { p.set(Offset.identification, word16: newValue) }
    }
    /// Flags and offset as one word.
    var fragmentField: UInt16 {
        get { p.word16(Offset.fragment) }
        nonmutating set { p.set(Offset.fragment, word16: newValue) }
    }
    var doNotFragment: Bool {
        get { fragmentField & 0x4000 != 0 }
        nonmutating set { fragmentField = fragmentField & 0xBFFF | (newValue ? 0x4000 : 0) }
    }
    var moreFragments: Bool {
        get { fragmentField & 0x2000 != 0 }
        nonmutating set { fragmentField = fragmentField & 0xDFFF | (newValue ? 0x2000 : 0) }
    }
    /// Octets, a multiple of 8.
    var fragmentOffset: Int {
        get { Int(fragmentField & 0x1FFF) &* 8 }
        nonmutating set { fragmentField = fragmentField & 0xE000 | UInt16(truncatingIfNeeded: newValue >> 3) & 0x1FFF }
    }
    /// One of several pieces.
    var isFragment: Bool { fragmentField & 0x3FFF != 0 }
    /// A piece without the transport header.
    var isLaterFragment: Bool { fragmentField & 0x1FFF != 0 }
    var timeToLive: UInt8 {
        get { p.octet(Offset.timeToLive) }
        nonmutating set { p.set(Offset.timeToLive, octet: newValue) }
    }
    var proto: IPProtocol {
        get { IPProtocol(p.octet(Offset.proto)) }
        nonmutating set { p.set(Offset.proto, octet: newValue.rawValue) }
    }
    var checksum: UInt16 {
        get { p.word16(Offset.checksum) }
        nonmutating set { p.set(Offset.checksum, word16: newValue) }
    }
    var source: UInt32 {
        get { p.word32(Offset.source) }
        nonmutating set { p.set(Offset.source, word32: newValue) }
    }
    var destination: UInt32 {
        get { p.word32(Offset.destination) }
        nonmutating set { p.set(Offset.destination, word32: newValue) }
    }
    /// The transport header, after the options.
    var payload: UnsafeMutableRawPointer { p + headerLength }
    var payloadLength: Int { totalLength &- headerLength }

    /// Version 4, without options, and no fragment. 8 octets are read.
    @inline(__always) var isPlain: Bool {
        p.loadUnaligned(as: UInt64.self) & UInt64(0xFF00_0000_0000_3FFF).bigEndian == UInt64(0x4500_0000_0000_0000).bigEndian
    }

    @inline(__always) var hasValidChecksum: Bool {
        headerLength == IPv4.size ? hasValidPlainChecksum : Checksum.finish(Checksum.sum(p, headerLength)) == 0
    }
    /// Of a header without options.
    ///
    /// The words are added as they lie in memory, with end-around carry: a sum of all ones is all ones in either byte order (RFC 1071 section 2 B), and a
    /// 64-bit one folds to 16 bits of all ones when 65535 divides it. Whether an odd number divides another takes one multiplication by its inverse modulo 2^64.
    @inline(__always) var hasValidPlainChecksum: Bool {
        let (first, carry) = p.loadUnaligned(fromByteOffset: 0, as: UInt64.self).addingReportingOverflow(
            p.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
        let (second, carry2) = first.addingReportingOverflow(UInt64(p.loadUnaligned(fromByteOffset: 16, as: UInt32.self)) &+ (carry ? 1 : 0))
        let sum = second &+ (carry2 ? 1 : 0)
        return sum &* 0xFFFE_FFFE_FFFE_FFFF <= 0x0001_0001_0001_0001
    }
    /// Computes the header checksum anew.
    func updateChecksum() {
        checksum = 0
        checksum = Checksum.finish(Checksum.sum(p, headerLength))
    }
    /// One hop less, checksum kept right (RFC 1624). The TTL must not be 0.
    ///
    /// TTL, protocol and checksum are one word, read with its octets in reverse, which a sum with end-around carry does not notice (RFC 1071 section 2 B): 1 less in
    /// its lowest octet, the TTL, is 1 more in its upper half, the checksum.
    @inline(__always) func decrementTimeToLive() {
        let word = UInt32(littleEndian: p.loadUnaligned(fromByteOffset: Offset.timeToLive, as: UInt32.self))
        var lowered = word &+ 0xFFFF
        if _slowPath(word >= 0xFFFE_0000) { lowered &+= 0x1_0000 }
        p.storeBytes(of: lowered.littleEndian, toByteOffset: Offset.timeToLive, as: UInt32.self)
    }
    /// Multicast (224/4).
    @inline(__always) static func isMulticast(_ address: UInt32) -> Bool { address >> 28 == 0xE }
    /// "This network" (0/8) and link-local (169.254/16): as a source, not to be forwarded.
    static func isOfLink(_ address: UInt32) -> Bool { address >> 24 == 0 || address >> 16 == 0xA9FE }

    struct Fields: Equatable {
        var typeOfService: UInt8 = 0
        var totalLength: Int
        var identification: UInt16 = 0
        var doNotFragment = false
        var timeToLive: UInt8 = 64
        var proto: IPProtocol, source: UInt32, destination: UInt32
        /// Writes 20 octets, checksum included.
        func emit(to p: UnsafeMutableRawPointer) {
            let header = IPv4(p)
            header.headerLength = IPv4.size
            header.typeOfService = typeOfService
            header.totalLength = totalLength
            header.identification = identification
            header.fragmentField = doNotFragment ? 0x4000 : 0
            header.timeToLive = timeToLive
            header.proto = proto
            header.source = source
            header.destination = destination
            header.updateChecksum()
        }
    }
    /// The header without options and fragment position.
    var fields: Fields {
        Fields(
            typeOfService: typeOfService, totalLength: totalLength, identification: identification, doNotFragment: doNotFragment,
            timeToLive: timeToLive, proto: proto, source: source, destination: destination)
    }
}

/// What the first octet of an IPv4 address says about it, by table: one load where several comparisons would be. 512 octets; trivial.
struct IPv4AddressClasses {
    /// Not 0: no source, then, for each octet, no destination.
    private let classes: UnsafeMutablePointer<UInt8>

    /// The owner calls `free` at its end.
    init() {
        classes = .allocate(capacity: 512)
        for first in 0..<256 {
            // Loopback never is on a wire (RFC 1122 section 3.2.1.3); "this network" is no destination, and neither multicast nor class E is a source. Sources that may
            // be of a link alone (`isOfLink`) are looked at more closely.
            classes[first] = first >= 224 || first == 127 || first == 0 || first == 169 ? 1 : 0
            classes[256 + first] = first == 127 || first == 0 ? 1 : 0
        }
    }

    func free() { classes.deallocate() }

    /// Whether packets from and to addresses with these first octets may be forwarded without a closer look.
    @inline(__always) func allows(source: UInt8, destination: UInt8) -> Bool { classes[Int(source)] | classes[256 &+ Int(destination)] == 0 }
}
