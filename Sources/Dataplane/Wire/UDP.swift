/// UDP header (RFC 768; IPv6 RFC 8200 section 8.1).
///
///      0                   1                   2                   3
///      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |          Source Port          |       Destination Port        |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |            Length             |           Checksum            |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///
/// `check` guarantees 8 ≤ length ≤ available. The first fragment of a larger datagram fails it, as its length counts the whole.
struct UDP {
    private enum Offset { static let sourcePort = 0, destinationPort = 2, length = 4, checksum = 6 }
    static let size = 8
    static let checksumOffset = Offset.checksum
    static let vxlanPort: UInt16 = 4789, mplsPort: UInt16 = 6635

    let p: UnsafeMutableRawPointer
    @inline(__always) init(_ p: UnsafeMutableRawPointer) { self.p = p }
    @inline(__always) init(reading p: UnsafeRawPointer) { self.p = UnsafeMutableRawPointer(mutating: p) }

    @inline(__always) static func check(_ p: UnsafeRawPointer, available: Int) -> Bool {
        guard available >= size else { return false }
        let length = Int(p.word16(Offset.length))
        return length >= size && length <= available
    }

    var sourcePort: UInt16 {
        get { p.word16(Offset.sourcePort) }
        nonmutating set { p.set(Offset.sourcePort, word16: newValue) }
    }
    var destinationPort: UInt16 {
        get { p.word16(Offset.destinationPort) }
        nonmutating set { p.set(Offset.destinationPort, word16: newValue) }
    }
    /// Octets of header and data.
    var length: Int {
        get { Int(p.word16(Offset.length)) }
        nonmutating set { p.set(Offset.length, word16: UInt16(truncatingIfNeeded: newValue)) }
    }
    /// 0 says there is none: allowed over IPv4, and over IPv6 for tunnels (RFC 6935). A computed 0 is sent as 0xffff.
    var checksum: UInt16 {
        get { p.word16(Offset.checksum) }
        nonmutating set { p.set(Offset.checksum, word16: newValue) }
    }
    var payload: UnsafeMutableRawPointer { p + UDP.size }

    struct Fields: Equatable {
        var sourcePort: UInt16, destinationPort: UInt16, length: Int
        var checksum: UInt16 = 0
        func emit(to p: UnsafeMutableRawPointer) {
            let header = UDP(p)
            header.sourcePort = sourcePort
            header.destinationPort = destinationPort
            header.length = length
            header.checksum = checksum
        }
    }
    var fields: Fields { Fields(sourcePort: sourcePort, destinationPort: destinationPort, length: length, checksum: checksum) }
}
