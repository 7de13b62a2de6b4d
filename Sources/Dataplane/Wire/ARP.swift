/// ARP packet for IPv4 over Ethernet (RFC 826).
///
///      0                   1                   2                   3
///      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |     Hardware type (1)         |    Protocol type (0x0800)     |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     | HW length (6) | Pr length (4) |          Operation            |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |                 Sender hardware address                       |
///     +                               +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |                               |  Sender protocol address      |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |                               |                               |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+  Target hardware address      +
///     |                                                               |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |                 Target protocol address                       |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///
/// `check` guarantees 28 octets and the types and lengths of IPv4 over Ethernet; not the operation, not the addresses.
struct ARP {
    private enum Offset {
        static let hardwareType = 0, protocolType = 2, hardwareLength = 4, protocolLength = 5, operation = 6
        static let senderMAC = 8, sender = 14, targetMAC = 18, target = 24
    }
    static let size = 28
    static let request: UInt16 = 1, reply: UInt16 = 2

    let p: UnsafeMutableRawPointer
    @inline(__always) init(_ p: UnsafeMutableRawPointer) { self.p = p }
    @inline(__always) init(reading p: UnsafeRawPointer) { self.p = UnsafeMutableRawPointer(mutating: p) }

    @inline(__always) static func check(_ p: UnsafeRawPointer, available: Int) -> Bool {
        available >= size && p.word32(Offset.hardwareType) == 0x0001_0800 && p.word16(Offset.hardwareLength) == 0x0604
    }

    var operation: UInt16 {
        get { p.word16(Offset.operation) }
        nonmutating set { p.set(Offset.operation, word16: newValue) }
    }
    var senderMAC: UInt64 {
        get { p.word48(Offset.senderMAC) }
        nonmutating set { p.set(Offset.senderMAC, word48: newValue) }
    }
    var sender: UInt32 {
        get { p.word32(Offset.sender) }
        nonmutating set { p.set(Offset.sender, word32: newValue) }
    }
    var targetMAC: UInt64 {
        get { p.word48(Offset.targetMAC) }
        nonmutating set { p.set(Offset.targetMAC, word48: newValue) }
    }
    var target: UInt32 {
        get { p.word32(Offset.target) }
        nonmutating set { p.set(Offset.target, word32: newValue) }
    }
    /// A probe asks whether an address is free: sender 0.0.0.0 (RFC 5227 section 1.1).
    var isProbe: Bool { sender == 0 }
    /// An announcement (gratuitous ARP) says its own address; it is no question (RFC 5227 section 3).
    var isAnnouncement: Bool { sender == target }

    struct Fields: Equatable {
        var operation: UInt16, senderMAC: UInt64, sender: UInt32, targetMAC: UInt64, target: UInt32
        func emit(to p: UnsafeMutableRawPointer) {
            p.set(Offset.hardwareType, word32: 0x0001_0800)
            p.set(Offset.hardwareLength, word16: 0x0604)
            let packet = ARP(p)
            packet.operation = operation
            packet.senderMAC = senderMAC
            packet.sender = sender
            packet.targetMAC = targetMAC
            packet.target = target
        }
    }
    var fields: Fields { Fields(operation: operation, senderMAC: senderMAC, sender: sender, targetMAC: targetMAC, target: target) }
}
