/// EtherType of an Ethernet II frame (IEEE 802 numbers).
struct EtherType: Equatable {
    let rawValue: UInt16
    @inline(__always) init(_ rawValue: UInt16) { self.rawValue = rawValue }
    static let ipv4 = EtherType(0x0800), arp = EtherType(0x0806), vlan = EtherType(0x8100), ipv6 = EtherType(0x86DD)
    static let mpls = EtherType(0x8847), serviceVLAN = EtherType(0x88A8)
    /// Transparent Ethernet bridging: an Ethernet frame inside GRE (RFC 1701).
    static let ethernetBridging = EtherType(0x6558)
    /// 802.1Q or 802.1ad tag follows.
    @inline(__always) var isVLAN: Bool { self == .vlan || self == .serviceVLAN }
    /// Values up to 1500 are IEEE 802.3 lengths, not types.
    @inline(__always) var isLength: Bool { rawValue < 0x0600 }
}

/// Ethernet II header (IEEE 802.3; RFC 894).
///
///      0                   1                   2                   3
///      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |                      Destination Address                      |
///     +                               +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |                               |                               |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+        Source Address         +
///     |                                                               |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |           EtherType           |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///
/// `check` guarantees 14 octets. Any content is a valid header.
struct Ethernet {
    private enum Offset { static let destination = 0, source = 6, type = 12 }
    static let size = 14
    /// Octets of the smallest frame, check sequence not counted; shorter ones are padded.
    static let minimumLength = 60
    static let broadcast: UInt64 = 0xFFFF_FFFF_FFFF

    let p: UnsafeMutableRawPointer
    @inline(__always) init(_ p: UnsafeMutableRawPointer) { self.p = p }
    /// For reading only.
    @inline(__always) init(reading p: UnsafeRawPointer) { self.p = UnsafeMutableRawPointer(mutating: p) }

    @inline(__always) static func check(_ p: UnsafeRawPointer, available: Int) -> Bool { available >= size }

    var destination: UInt64 {
        get { p.word48(Offset.destination) }
        nonmutating set { p.set(Offset.destination, word48: newValue) }
    }
    var source: UInt64 {
        get { p.word48(Offset.source) }
        nonmutating set { p.set(Offset.source, word48: newValue) }
    }
    var type: EtherType {
        get { EtherType(p.word16(Offset.type)) }
        nonmutating set { p.set(Offset.type, word16: newValue.rawValue) }
    }
    var payload: UnsafeMutableRawPointer { p + Ethernet.size }
    /// The group bit of the destination: multicast or broadcast.
    var isMulticast: Bool { p.octet(Offset.destination) & 1 != 0 }

    /// Whether a 48-bit address is a group address.
    @inline(__always) static func isMulticast(_ mac: UInt64) -> Bool { mac & 0x0100_0000_0000 != 0 }

    struct Fields: Equatable {
        var destination: UInt64, source: UInt64, type: EtherType
        func emit(to p: UnsafeMutableRawPointer) {
            let header = Ethernet(p)
            header.destination = destination
            header.source = source
            header.type = type
        }
    }
    var fields: Fields { Fields(destination: destination, source: source, type: type) }
}
