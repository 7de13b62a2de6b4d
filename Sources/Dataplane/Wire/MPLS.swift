/// MPLS label stack entry (RFC 3032 section 2.1; traffic class RFC 5462).
///
///      0                   1                   2                   3
///      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |                Label                  | TC  |S|       TTL     |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///
/// `check` guarantees 4 octets.
struct MPLS {
    static let size = 4

    let p: UnsafeMutableRawPointer
    @inline(__always) init(_ p: UnsafeMutableRawPointer) { self.p = p }
    @inline(__always) init(reading p: UnsafeRawPointer) { self.p = UnsafeMutableRawPointer(mutating: p) }

    @inline(__always) static func check(_ p: UnsafeRawPointer, available: Int) -> Bool { available >= size }

    private var word: UInt32 {
        get { p.word32(0) }
        nonmutating set { p.set(0, word32: newValue) }
    }
    /// 20 bits.
    var label: UInt32 {
        get { word >> 12 }
        nonmutating set { word = word & 0xFFF | newValue << 12 }
    }
    /// 3 bits.
    var trafficClass: UInt8 {
        get { UInt8(truncatingIfNeeded: word >> 9) & 7 }
        nonmutating set { word = word & 0xFFFF_F1FF | UInt32(newValue & 7) << 9 }
    }
    /// S: the last entry of the stack.
    var isBottom: Bool {
        get { word & 0x100 != 0 }
        nonmutating set { word = word & 0xFFFF_FEFF | (newValue ? 0x100 : 0) }
    }
    var timeToLive: UInt8 {
        get { p.octet(3) }
        nonmutating set { p.set(3, octet: newValue) }
    }
    var payload: UnsafeMutableRawPointer { p + MPLS.size }

    struct Fields: Equatable {
        var label: UInt32
        var trafficClass: UInt8 = 0
        var isBottom = true
        var timeToLive: UInt8 = 64
        func emit(to p: UnsafeMutableRawPointer) {
            p.set(0, word32: label << 12 | UInt32(trafficClass & 7) << 9 | (isBottom ? 0x100 : 0) | UInt32(timeToLive))
        }
    }
    var fields: Fields { Fields(label: label, trafficClass: trafficClass, isBottom: isBottom, timeToLive: timeToLive) }
}
