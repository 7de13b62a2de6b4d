/// ICMPv6 message (RFC 4443). Neighbour discovery is in `NeighbourDiscovery.swift`.
///
///      0                   1                   2                   3
///      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |     Type      |     Code      |          Checksum             |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |        Identifier, sequence number; MTU; or unused            |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///
/// `check` guarantees 8 octets.
struct ICMPv6 {
    private enum Offset { static let type = 0, code = 1, checksum = 2, body = 4 }
    static let size = 8

    struct MessageType: Equatable {
        let rawValue: UInt8
        @inline(__always) init(_ rawValue: UInt8) { self.rawValue = rawValue }
        static let unreachable = MessageType(1), packetTooBig = MessageType(2), timeExceeded = MessageType(3), parameterProblem = MessageType(4)
        static let echoRequest = MessageType(128), echoReply = MessageType(129)
        static let listenerQuery = MessageType(130), listenerReport = MessageType(131), listenerDone = MessageType(132)
        static let routerSolicitation = MessageType(133), routerAdvertisement = MessageType(134)
        static let neighbourSolicitation = MessageType(135), neighbourAdvertisement = MessageType(136), redirect = MessageType(137)
        static let listenerReportV2 = MessageType(143)
        /// RFC 4443 section 2.1: the high bit tells.
        var isError: Bool { rawValue < 128 }
    }

    let p: UnsafeMutableRawPointer
    @inline(__always) init(_ p: UnsafeMutableRawPointer) { self.p = p }
    @inline(__always) init(reading p: UnsafeRawPointer) { self.p = UnsafeMutableRawPointer(mutating: p) }

    @inline(__always) static func check(_ p: UnsafeRawPointer, available: Int) -> Bool { available >= size }

    var type: MessageType {
        get { MessageType(p.octet(Offset.type)) }
        nonmutating set { p.set(Offset.type, octet: newValue.rawValue) }
    }
    var code: UInt8 {
        get { p.octet(Offset.code) }
        nonmutating set { p.set(Offset.code, octet: newValue) }
    }
    /// Type and code as one word, as a checksum update needs them.
    var typeAndCode: UInt16 { p.word16(Offset.type) }
    var checksum: UInt16 {
        get { p.word16(Offset.checksum) }
        nonmutating set { p.set(Offset.checksum, word16: newValue) }
    }
    /// The four octets after the checksum: MTU of packet too big, flags of a neighbour advertisement.
    var body: UInt32 {
        get { p.word32(Offset.body) }
        nonmutating set { p.set(Offset.body, word32: newValue) }
    }
    var identifier: UInt16 {
        get { p.word16(Offset.body) }
        nonmutating set { p.set(Offset.body, word16: newValue) }
    }
    var sequence: UInt16 {
        get { p.word16(Offset.body &+ 2) }
        nonmutating set { p.set(Offset.body &+ 2, word16: newValue) }
    }
    var payload: UnsafeMutableRawPointer { p + ICMPv6.size }

    /// Whether the checksum over pseudo-header and message, `length` octets, is right.
    func hasValidChecksum(ip: IPv6, length: Int) -> Bool {
        Checksum.finish(Checksum.pseudoHeader(ip, proto: .icmpv6, length: length) &+ Checksum.sum(p, length)) == 0
    }
    /// Computes the checksum anew.
    func updateChecksum(ip: IPv6, length: Int) {
        checksum = 0
        checksum = Checksum.finish(Checksum.pseudoHeader(ip, proto: .icmpv6, length: length) &+ Checksum.sum(p, length))
    }

    struct Fields: Equatable {
        var type: MessageType
        var code: UInt8 = 0
        var checksum: UInt16 = 0
        var body: UInt32 = 0
        func emit(to p: UnsafeMutableRawPointer) {
            let header = ICMPv6(p)
            header.type = type
            header.code = code
            header.checksum = checksum
            header.body = body
        }
    }
    var fields: Fields { Fields(type: type, code: code, checksum: checksum, body: body) }
}
