import CPlatform
import NetTypes

/// ERSPAN type II over GRE: what carries a mirrored frame to an analyser (draft-foschiano-erspan-03, section 4.2).
///
///     GRE      |0001 0000 0000 0000|  0x88BE  |  sequence number (32)  |
///     ERSPAN   |ver 1 (4)| VLAN (12) |COS (3)|En (2)|T|session (10)| reserved (12) | index (20) |
///
/// `En` is 3 (the tag stays in the frame) for a tagged frame, else 0. `T`: the copy was cut. `index` tells the source: the vif.
struct ERSPAN {
    static let type = EtherType(0x88BE)
    static let size = 16
    var session: UInt32
    var index: UInt32
    var sequence: UInt32
    var isCut: Bool

    /// In front of an Ethernet frame, between the endpoints of a tunnel next hop. False: no headroom, or the next hop is no tunnel.
    func encapsulate(_ frame: inout vr_frame, _ nextHop: UnsafePointer<NextHop>) -> Bool {
        let type = Ethernet(frame.start).type
        var vlan: UInt16 = 0
        if type.isVLAN, frame.length >= 18 { vlan = UnsafeRawPointer(frame.start).word16(14) }
        let isIPv6 = nextHop.pointee.kind == .tunnelIPv6
        let added = Ethernet.size + (isIPv6 ? IPv6.size : IPv4.size) + Self.size
        guard isIPv6 || nextHop.pointee.kind == .tunnel, Int(frame.headroom) >= added else { return false }
        let inner = Int(frame.length)
        frame.data -= added
        frame.headroom &-= UInt32(truncatingIfNeeded: added)
        frame.length &+= UInt32(truncatingIfNeeded: added)
        let p = frame.start
        if isIPv6 {
            guard let outer = nextHop.pointee.outerIPv6 else { return false }
            p.copyMemory(from: outer, byteCount: Ethernet.size)
            IPv6.Fields(
                payloadLength: Self.size + inner, nextHeader: .gre, hopLimit: 64, source: outer.pointee.source, destination: outer.pointee.destination
            ).emit(to: p + Ethernet.size)
        } else {
            p.copyMemory(from: nextHop, byteCount: Ethernet.size)
            IPv4.Fields(
                totalLength: IPv4.size + Self.size + inner, doNotFragment: true, timeToLive: 64, proto: .gre, source: nextHop.pointee.outerSource,
                destination: nextHop.pointee.outerDestination
            ).emit(to: p + Ethernet.size)
        }
        let gre = p + (added - Self.size)
        gre.set(0, word16: 0x1000)
        gre.set(2, word16: Self.type.rawValue)
        gre.set(4, word32: sequence)
        gre.set(8, word16: 0x1000 | vlan & 0xFFF)
        gre.set(10, word16: (vlan >> 13) << 13 | (type.isVLAN ? 3 << 11 : 0) | (isCut ? 1 << 10 : 0) | UInt16(truncatingIfNeeded: session & 0x3FF))
        gre.set(12, word32: index & 0xFFFFF)
        return true
    }
}
