/// GRE header (RFC 2784; key and sequence number RFC 2890; MPLS in GRE RFC 4023).
///
///      0                   1                   2                   3
///      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |C| |K|S|   Reserved0   | Ver |         Protocol Type           |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |      Checksum (optional)      |       Reserved1 (optional)    |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |                         Key (optional)                        |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |                 Sequence Number (optional)                    |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///
/// `check` guarantees version 0, no routing (bit 1) and none of bits 4 and 5 (RFC 2784 section 2.3: discard), and all optional fields
/// that the flags announce. The checksum, if any, is not verified: what is inside has its own.
struct GRE {
    private enum Offset { static let flags = 0, type = 2, optional = 4 }
    /// Without optional fields.
    static let size = 4
    private static let hasChecksumBit: UInt16 = 0x8000, hasKeyBit: UInt16 = 0x2000, hasSequenceBit: UInt16 = 0x1000
    private static let refusedBits: UInt16 = 0x4C07

    let p: UnsafeMutableRawPointer
    @inline(__always) init(_ p: UnsafeMutableRawPointer) { self.p = p }
    @inline(__always) init(reading p: UnsafeRawPointer) { self.p = UnsafeMutableRawPointer(mutating: p) }

    @inline(__always) static func check(_ p: UnsafeRawPointer, available: Int) -> Bool {
        guard available >= size else { return false }
        let flags = p.word16(Offset.flags)
        return flags & refusedBits == 0 && headerLength(flags) <= available
    }
    @inline(__always) private static func headerLength(_ flags: UInt16) -> Int {
        size &+ (flags & hasChecksumBit != 0 ? 4 : 0) &+ (flags & hasKeyBit != 0 ? 4 : 0) &+ (flags & hasSequenceBit != 0 ? 4 : 0)
    }

    private var flags: UInt16 { p.word16(Offset.flags) }
    /// Octets, optional fields included: 4 to 16.
    var headerLength: Int { GRE.headerLength(flags) }
    var hasChecksum: Bool { flags & GRE.hasChecksumBit != 0 }
    var hasKey: Bool { flags & GRE.hasKeyBit != 0 }
    var hasSequence: Bool { flags & GRE.hasSequenceBit != 0 }
    /// Only when `hasKey`.
    var key: UInt32 { p.word32(Offset.optional &+ (hasChecksum ? 4 : 0)) }
    var type: EtherType {
        get { EtherType(p.word16(Offset.type)) }
        nonmutating set { p.set(Offset.type, word16: newValue.rawValue) }
    }
    var payload: UnsafeMutableRawPointer { p + headerLength }

    struct Fields: Equatable {
        var type: EtherType
        /// Writes 4 octets: no optional field.
        func emit(to p: UnsafeMutableRawPointer) { p.set(0, word32: UInt32(type.rawValue)) }
    }
    var fields: Fields { Fields(type: type) }
}
