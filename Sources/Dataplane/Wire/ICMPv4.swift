/// ICMP message (RFC 792; next-hop MTU RFC 1191; error numbers RFC 1812 section 5.2.7).
///
///      0                   1                   2                   3
///      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |     Type      |     Code      |           Checksum            |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |   Identifier, or unused       |  Sequence number, or MTU      |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///
/// `check` guarantees 8 octets, the least of any message.
struct ICMPv4 {
    private enum Offset { static let type = 0, code = 1, checksum = 2, identifier = 4, sequence = 6 }
    static let size = 8

    struct MessageType: Equatable {
        let rawValue: UInt8
        @inline(__always) init(_ rawValue: UInt8) { self.rawValue = rawValue }
        static let echoReply = MessageType(0), unreachable = MessageType(3), sourceQuench = MessageType(4), redirect = MessageType(5)
        static let echoRequest = MessageType(8), timeExceeded = MessageType(11), parameterProblem = MessageType(12)
        /// Quotes a packet; never the cause of another error (RFC 1122 section 3.2.2).
        var isError: Bool {
            self == .unreachable || self == .sourceQuench || self == .redirect || self == .timeExceeded || self == .parameterProblem
        }
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
    /// Of echo messages.
    var identifier: UInt16 {
        get { p.word16(Offset.identifier) }
        nonmutating set { p.set(Offset.identifier, word16: newValue) }
    }
    var sequence: UInt16 {
        get { p.word16(Offset.sequence) }
        nonmutating set { p.set(Offset.sequence, word16: newValue) }
    }
    /// Of fragmentation needed, in octets.
    var nextHopMTU: UInt16 {
        get { p.word16(Offset.sequence) }
        nonmutating set { p.set(Offset.sequence, word16: newValue) }
    }
    var payload: UnsafeMutableRawPointer { p + ICMPv4.size }

    /// Whether the checksum over the whole message, `length` octets, is right.
    func hasValidChecksum(length: Int) -> Bool { Checksum.finish(Checksum.sum(p, length)) == 0 }
    /// Computes the checksum anew over the whole message.
    func updateChecksum(length: Int) {
        checksum = 0
        checksum = Checksum.finish(Checksum.sum(p, length))
    }

    struct Fields: Equatable {
        var type: MessageType
        var code: UInt8 = 0
        var checksum: UInt16 = 0
        var identifier: UInt16 = 0
        var sequence: UInt16 = 0
        func emit(to p: UnsafeMutableRawPointer) {
            let header = ICMPv4(p)
            header.type = type
            header.code = code
            header.checksum = checksum
            header.identifier = identifier
            header.sequence = sequence
        }
    }
    var fields: Fields { Fields(type: type, code: code, checksum: checksum, identifier: identifier, sequence: sequence) }
}
