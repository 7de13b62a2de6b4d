/// VXLAN header (RFC 7348 section 5), behind UDP port 4789.
///
///      0                   1                   2                   3
///      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |R|R|R|R|I|R|R|R|            Reserved                           |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |                VXLAN Network Identifier (VNI) |   Reserved    |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///
/// `check` guarantees 8 octets and the I flag, without which there is no VNI. Reserved fields are ignored on receipt, as the RFC says.
struct VXLAN {
    private enum Offset { static let flags = 0, vni = 4 }
    static let size = 8

    let p: UnsafeMutableRawPointer
    @inline(__always) init(_ p: UnsafeMutableRawPointer) { self.p = p }
    @inline(__always) init(reading p: UnsafeRawPointer) { self.p = UnsafeMutableRawPointer(mutating: p) }

    @inline(__always) static func check(_ p: UnsafeRawPointer, available: Int) -> Bool { available >= size && p.octet(Offset.flags) & 0x08 != 0 }

    /// 24 bits.
    var vni: UInt32 {
        get { p.word32(Offset.vni) >> 8 }
        nonmutating set { p.set(Offset.vni, word32: newValue << 8) }
    }
    /// The inner Ethernet frame.
    var payload: UnsafeMutableRawPointer { p + VXLAN.size }

    /// The whole header: flag I, VNI, nothing reserved set.
    @inline(__always) static func word(vni: UInt32) -> UInt64 { 0x0800_0000_0000_0000 | UInt64(vni & 0xFF_FFFF) << 8 }

    struct Fields: Equatable {
        var vni: UInt32
        func emit(to p: UnsafeMutableRawPointer) {
            p.set(Offset.flags, word32: 0x0800_0000)
            p.set(Offset.vni, word32: vni << 8)
        }
    }
    var fields: Fields { Fields(vni: vni) }
}
