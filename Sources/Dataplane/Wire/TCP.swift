/// TCP header (RFC 9293; ECE and CWR RFC 3168).
///
///      0                   1                   2                   3
///      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |          Source Port          |       Destination Port        |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |                        Sequence Number                        |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |                    Acknowledgment Number                      |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |  Data |       |C|E|U|A|P|R|S|F|                               |
///     | Offset| Rsrvd |W|C|R|C|S|S|Y|I|            Window             |
///     |       |       |R|E|G|K|H|T|N|N|                               |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |           Checksum            |         Urgent Pointer        |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |                           [Options]                           |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///
/// `check` guarantees 20 ≤ header length ≤ available; not that the options are well formed (the walk is bounded by itself).
struct TCP {
    private enum Offset {
        static let sourcePort = 0, destinationPort = 2, sequence = 4, acknowledgment = 8, dataOffset = 12, flags = 13, window = 14
        static let checksum = 16, urgentPointer = 18, options = 20
    }
    /// Without options.
    static let size = 20
    static let checksumOffset = Offset.checksum

    struct Flags: OptionSet {
        let rawValue: UInt8
        @inline(__always) init(rawValue: UInt8) { self.rawValue = rawValue }
        static let fin = Flags(rawValue: 0x01), syn = Flags(rawValue: 0x02), rst = Flags(rawValue: 0x04), psh = Flags(rawValue: 0x08)
        static let ack = Flags(rawValue: 0x10), urg = Flags(rawValue: 0x20), ece = Flags(rawValue: 0x40), cwr = Flags(rawValue: 0x80)
    }

    let p: UnsafeMutableRawPointer
    @inline(__always) init(_ p: UnsafeMutableRawPointer) { self.p = p }
    @inline(__always) init(reading p: UnsafeRawPointer) { self.p = UnsafeMutableRawPointer(mutating: p) }

    @inline(__always) static func check(_ p: UnsafeRawPointer, available: Int) -> Bool {
        guard available >= size else { return false }
        let headerLength = Int(p.octet(Offset.dataOffset) >> 4) &* 4
        return headerLength >= size && headerLength <= available
    }

    var sourcePort: UInt16 {
        get { p.word16(Offset.sourcePort) }
        nonmutating set { p.set(Offset.sourcePort, word16: newValue) }
    }
    var destinationPort: UInt16 {
        get { p.word16(Offset.destinationPort) }
        nonmutating set { p.set(Offset.destinationPort, word16: newValue) }
    }
    var sequence: UInt32 {
        get { p.word32(Offset.sequence) }
        nonmutating set { p.set(Offset.sequence, word32: newValue) }
    }
    var acknowledgment: UInt32 {
        get { p.word32(Offset.acknowledgment) }
        nonmutating set { p.set(Offset.acknowledgment, word32: newValue) }
    }
    /// Octets, options included.
    var headerLength: Int {
        get { Int(p.octet(Offset.dataOffset) >> 4) &* 4 }
        nonmutating set { p.set(Offset.dataOffset, octet: UInt8(truncatingIfNeeded: newValue << 2) & 0xF0 | p.octet(Offset.dataOffset) & 0x0F) }
    }
    var flags: Flags {
        get { Flags(rawValue: p.octet(Offset.flags)) }
        nonmutating set { p.set(Offset.flags, octet: newValue.rawValue) }
    }
    var window: UInt16 {
        get { p.word16(Offset.window) }
        nonmutating set { p.set(Offset.window, word16: newValue) }
    }
    var checksum: UInt16 {
        get { p.word16(Offset.checksum) }
        nonmutating set { p.set(Offset.checksum, word16: newValue) }
    }
    var urgentPointer: UInt16 {
        get { p.word16(Offset.urgentPointer) }
        nonmutating set { p.set(Offset.urgentPointer, word16: newValue) }
    }
    var payload: UnsafeMutableRawPointer { p + headerLength }

    /// Octets from the TCP header to the *value* of the maximum segment size option (kind 2, length 4; RFC 9293 section 3.7.1); 0: none, or
    /// the options before it are malformed. A length of 0 or 1, or one past the header, ends the walk.
    var maximumSegmentSizeOffset: Int {
        let end = headerLength
        var offset = Offset.options
        while offset < end {
            let kind = p.octet(offset)
            if kind == 0 { return 0 }
            if kind == 1 {
                offset &+= 1
                continue
            }
            guard offset &+ 2 <= end else { return 0 }
            let length = Int(p.octet(offset &+ 1))
            guard length >= 2, offset &+ length <= end else { return 0 }
            if kind == 2, length == 4 { return offset &+ 2 }
            offset &+= length
        }
        return 0
    }

    struct Fields: Equatable {
        var sourcePort: UInt16, destinationPort: UInt16, sequence: UInt32
        var acknowledgment: UInt32 = 0
        var flags: Flags
        var window: UInt16
        var checksum: UInt16 = 0
        var urgentPointer: UInt16 = 0
        /// Writes 20 octets: no options.
        func emit(to p: UnsafeMutableRawPointer) {
            let header = TCP(p)
            header.sourcePort = sourcePort
            header.destinationPort = destinationPort
            header.sequence = sequence
            header.acknowledgment = acknowledgment
            p.set(Offset.dataOffset, octet: UInt8(TCP.size / 4) << 4)
            header.flags = flags
            header.window = window
            header.checksum = checksum
            header.urgentPointer = urgentPointer
        }
    }
    /// The header without options.
    var fields: Fields {
        Fields(
            sourcePort: sourcePort, destinationPort: destinationPort, sequence: sequence, acknowledgment: acknowledgment, flags: flags,
            window: window, checksum: checksum, urgentPointer: urgentPointer)
    }
}
