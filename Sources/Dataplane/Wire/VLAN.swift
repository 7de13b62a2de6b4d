/// VLAN tag (IEEE 802.1Q, 802.1ad): the four octets between the source address and the EtherType. The view starts at the TPID,
/// where the EtherType would be: offset 12 of the frame for the first tag.
///
///      0                   1                   2                   3
///      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |        TPID (0x8100)          | PCP |D|          VID          |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |           EtherType           |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///
/// `check` guarantees the four octets of the tag, the EtherType behind it, and a TPID of 0x8100 or 0x88a8.
struct VLAN {
    private enum Offset { static let protocolID = 0, control = 2, type = 4 }
    /// Octets a tag adds to a frame.
    static let size = 4
    /// Tags a router looks behind: one service and one customer tag (802.1ad).
    static let maximumDepth = 2

    let p: UnsafeMutableRawPointer
    @inline(__always) init(_ p: UnsafeMutableRawPointer) { self.p = p }
    @inline(__always) init(reading p: UnsafeRawPointer) { self.p = UnsafeMutableRawPointer(mutating: p) }

    @inline(__always) static func check(_ p: UnsafeRawPointer, available: Int) -> Bool {
        available >= size &+ 2 && EtherType(p.word16(Offset.protocolID)).isVLAN
    }

    var protocolID: EtherType {
        get { EtherType(p.word16(Offset.protocolID)) }
        nonmutating set { p.set(Offset.protocolID, word16: newValue.rawValue) }
    }
    private var control: UInt16 {
        get { p.word16(Offset.control) }
        nonmutating set { p.set(Offset.control, word16: newValue) }
    }
    /// 0 …< 4096; 0 is a priority tag without a VLAN, 4095 is reserved.
    var id: UInt16 {
        get { control & 0x0FFF }
        nonmutating set { control = control & 0xF000 | newValue & 0x0FFF }
    }
    var dropEligible: Bool {
        get { control & 0x1000 != 0 }
        nonmutating set { control = control & 0xEFFF | (newValue ? 0x1000 : 0) }
    }
    /// 0…7.
    var priority: UInt8 {
        get { UInt8(truncatingIfNeeded: control >> 13) }
        nonmutating set { control = control & 0x1FFF | UInt16(newValue & 7) << 13 }
    }
    /// What follows the tag.
    var type: EtherType {
        get { EtherType(p.word16(Offset.type)) }
        nonmutating set { p.set(Offset.type, word16: newValue.rawValue) }
    }

    struct Fields: Equatable {
        var protocolID: EtherType = .vlan
        var id: UInt16
        var priority: UInt8 = 0
        var dropEligible = false
        var type: EtherType
        /// Writes the tag and the EtherType behind it: six octets.
        func emit(to p: UnsafeMutableRawPointer) {
            let tag = VLAN(p)
            tag.protocolID = protocolID
            tag.control = UInt16(priority & 7) << 13 | (dropEligible ? 0x1000 : 0) | id & 0x0FFF
            tag.type = type
        }
    }
    var fields: Fields { Fields(protocolID: protocolID, id: id, priority: priority, dropEligible: dropEligible, type: type) }
}

/// The link-layer header of a frame with its VLAN tags: how long it is, and what follows.
struct LinkHeader: Equatable {
    /// Octets before the network header: 14, 18 or 22.
    let size: Int
    /// What follows. A third tag is not looked behind: then this is still a VLAN type.
    let type: EtherType

    /// Nil when the frame ends inside the header.
    @inline(__always) init?(_ frame: UnsafeRawPointer, length: Int) {
        guard Ethernet.check(frame, available: length) else { return nil }
        var size = Ethernet.size
        var type = EtherType(frame.word16(size &- 2))
        while type.isVLAN, size < Ethernet.size &+ VLAN.maximumDepth &* VLAN.size {
            guard length >= size &+ VLAN.size else { return nil }
            size &+= VLAN.size
            type = EtherType(frame.word16(size &- 2))
        }
        self.size = size
        self.type = type
    }
}
