import NetTypes

/// IPv6 header (RFC 8200). The walk over extension headers is in `IPv6+Extensions.swift`.
///
///      0                   1                   2                   3
///      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |Version| Traffic Class |           Flow Label                  |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |         Payload Length        |  Next Header  |   Hop Limit   |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |                  Source Address (16 octets)                   |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |                Destination Address (16 octets)                |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///
/// `check` guarantees version 6 and 40 + payload length ≤ available. Jumbograms (RFC 2675) are not known: their payload length
/// of 0 is taken as it stands.
struct IPv6 {
    private enum Offset {
        static let version = 0, payloadLength = 4, nextHeader = 6, hopLimit = 7, source = 8, destination = 24
    }
    static let size = 40
    /// Every link carries packets of this size (RFC 8200 section 5).
    static let minimumMTU = 1280

    let p: UnsafeMutableRawPointer
    @inline(__always) init(_ p: UnsafeMutableRawPointer) { self.p = p }
    @inline(__always) init(reading p: UnsafeRawPointer) { self.p = UnsafeMutableRawPointer(mutating: p) }

    @inline(__always) static func check(_ p: UnsafeRawPointer, available: Int) -> Bool {
        available >= size && p.octet(Offset.version) >> 4 == 6 && size &+ Int(p.word16(Offset.payloadLength)) <= available
    }

    private var first: UInt32 {
        get { p.word32(Offset.version) }
        nonmutating set { p.set(Offset.version, word32: newValue) }
    }
    /// DSCP and ECN together.
    var trafficClass: UInt8 {
        get { UInt8(truncatingIfNeeded: first >> 20) }
        nonmutating set { first = first & 0xF00F_FFFF | UInt32(newValue) << 20 }
    }
    /// 20 bits.
    var flowLabel: UInt32 {
        get { first & 0xF_FFFF }
        nonmutating set { first = first & 0xFFF0_0000 | newValue & 0xF_FFFF }
    }
    /// Octets after the 40 of this header, extension headers included.
    var payloadLength: Int {
        get { Int(p.word16(Offset.payloadLength)) }
        nonmutating set { p.set(Offset.payloadLength, word16: UInt16(truncatingIfNeeded: newValue)) }
    }
    /// Octets of the whole packet.
    var totalLength: Int { IPv6.size &+ payloadLength }
    var nextHeader: IPProtocol {
        get { IPProtocol(p.octet(Offset.nextHeader)) }
        nonmutating set { p.set(Offset.nextHeader, octet: newValue.rawValue) }
    }
    var hopLimit: UInt8 {
        get { p.octet(Offset.hopLimit) }
        nonmutating set { p.set(Offset.hopLimit, octet: newValue) }
    }
    var source: IPv6Address {
        get { p.ipv6(Offset.source) }
        nonmutating set { p.set(Offset.source, ipv6: newValue) }
    }
    var destination: IPv6Address {
        get { p.ipv6(Offset.destination) }
        nonmutating set { p.set(Offset.destination, ipv6: newValue) }
    }
    var payload: UnsafeMutableRawPointer { p + IPv6.size }

    struct Fields: Equatable {
        var trafficClass: UInt8 = 0
        var flowLabel: UInt32 = 0
        var payloadLength: Int, nextHeader: IPProtocol
        var hopLimit: UInt8 = 64
        var source: IPv6Address, destination: IPv6Address
        func emit(to p: UnsafeMutableRawPointer) {
            let header = IPv6(p)
            header.first = 0x6000_0000 | UInt32(trafficClass) << 20 | flowLabel & 0xF_FFFF
            header.payloadLength = payloadLength
            header.nextHeader = nextHeader
            header.hopLimit = hopLimit
            header.source = source
            header.destination = destination
        }
    }
    var fields: Fields {
        Fields(
            trafficClass: trafficClass, flowLabel: flowLabel, payloadLength: payloadLength, nextHeader: nextHeader, hopLimit: hopLimit,
            source: source, destination: destination)
    }
}
