import NetTypes

/// Neighbour solicitation and advertisement (RFC 4861 sections 4.3 and 4.4), over the ICMPv6 header.
///
///      0                   1                   2                   3
///      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     | Type 135, 136 |     Code      |          Checksum             |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |R|S|O|                     Reserved                            |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |                  Target Address (16 octets)                   |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |   Options ...
///     +-+-+-+-+-+-+-+-+-+-+-+-
///
/// `check` guarantees 24 octets. R, S and O have a meaning in advertisements only.
struct NeighbourMessage {
    private enum Offset { static let flags = 4, target = 8, options = 24 }
    /// Without options.
    static let size = 24
    static let optionsOffset = Offset.options

    let p: UnsafeMutableRawPointer
    @inline(__always) init(_ p: UnsafeMutableRawPointer) { self.p = p }
    @inline(__always) init(reading p: UnsafeRawPointer) { self.p = UnsafeMutableRawPointer(mutating: p) }

    @inline(__always) static func check(_ p: UnsafeRawPointer, available: Int) -> Bool { available >= size }

    var header: ICMPv6 { ICMPv6(p) }
    var target: IPv6Address {
        get { p.ipv6(Offset.target) }
        nonmutating set { p.set(Offset.target, ipv6: newValue) }
    }
    /// R: the sender is a router.
    var isRouter: Bool { p.octet(Offset.flags) & 0x80 != 0 }
    /// S: in answer to a solicitation.
    var isSolicited: Bool { p.octet(Offset.flags) & 0x40 != 0 }
    /// O: replaces what the cache holds.
    var overrides: Bool { p.octet(Offset.flags) & 0x20 != 0 }

    struct Fields: Equatable {
        var type: ICMPv6.MessageType
        var isRouter = false
        var isSolicited = false
        var overrides = false
        var target: IPv6Address
        /// Writes 24 octets, checksum 0: it covers the options too.
        func emit(to p: UnsafeMutableRawPointer) {
            let flags: UInt32 = (isRouter ? 0x8000_0000 : 0) | (isSolicited ? 0x4000_0000 : 0) | (overrides ? 0x2000_0000 : 0)
            ICMPv6.Fields(type: type, body: flags).emit(to: p)
            NeighbourMessage(p).target = target
        }
    }
    var fields: Fields { Fields(type: header.type, isRouter: isRouter, isSolicited: isSolicited, overrides: overrides, target: target) }
}

/// Router solicitation (RFC 4861 section 4.1): the ICMPv6 header, four reserved octets, options. `check` guarantees 8 octets.
struct RouterSolicitation {
    static let size = 8
    static let optionsOffset = 8
    @inline(__always) static func check(_ p: UnsafeRawPointer, available: Int) -> Bool { available >= size }
}

/// Options of neighbour discovery (RFC 4861 section 4.6): type, length in units of 8 octets, value.
struct NeighbourOptions {
    static let sourceLinkLayer: UInt8 = 1, targetLinkLayer: UInt8 = 2
    /// Octets of a link-layer address option on Ethernet.
    static let linkLayerSize = 8

    /// False when an option has length 0 or runs past the message: then the whole message is to be dropped (section 4.6).
    private(set) var isValid = true
    /// Address in the first source link-layer address option.
    private(set) var source: UInt64 = 0
    private(set) var hasSource = false
    /// Address in the first target link-layer address option.
    private(set) var target: UInt64 = 0
    private(set) var hasTarget = false

    /// Walks `length` octets of options.
    init(_ p: UnsafeRawPointer, length: Int) {
        var offset = 0
        while offset < length {
            guard offset &+ 8 <= length else { isValid = false; return }
            let size = Int(p.octet(offset &+ 1)) &* 8
            guard size != 0, offset &+ size <= length else { isValid = false; return }
            let type = p.octet(offset)
            if type == NeighbourOptions.sourceLinkLayer, !hasSource {
                source = p.word48(offset &+ 2)
                hasSource = true
            } else if type == NeighbourOptions.targetLinkLayer, !hasTarget {
                target = p.word48(offset &+ 2)
                hasTarget = true
            }
            offset &+= size
        }
    }

    /// Writes a link-layer address option: 8 octets.
    static func emit(type: UInt8, mac: UInt64, to p: UnsafeMutableRawPointer) {
        p.set(0, octet: type)
        p.set(1, octet: 1)
        p.set(2, word48: mac)
    }
}
