/// What goes before a frame on the port of an agent vif, behind an Ethernet header of its own: where the frame came in and why it is handed over, or where it is to go.
/// The layout is that of the header on OpenSDN's `pkt0`; numbers are in network order.
///
///      0                   1                   2                   3
///      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |              vif              |              VRF              |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |            command            |   parameter 0 (32 bits)  …
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+   … parameters 1 to 4 (32 bits each), parameter 5 (8 bits), 24 bits of zero
///
/// `check` guarantees 30 octets. Any content is a valid header.
struct AgentHeader {
    private enum Offset { static let vif = 0, vrf = 2, command = 4, parameters = 6 }
    static let size = 30
    /// Of the frames on the port: IEEE's first one for local experiments (RFC 9542 section 3). What an operating system sends there by itself has others.
    static let type = EtherType(0x88B5)

    /// Those that are sent to the program, and the two that it sends, by OpenSDN's numbers.
    enum Command {
        static let transmit: UInt16 = 0, receive: UInt16 = 1
        static let arp: UInt16 = 2, nextHop: UInt16 = 4, resolve: UInt16 = 5, flow: UInt16 = 6, l3Protocol: UInt16 = 7
    }

    let p: UnsafeMutableRawPointer
    @inline(__always) init(_ p: UnsafeMutableRawPointer) { self.p = p }

    @inline(__always) static func check(_ p: UnsafeRawPointer, available: Int) -> Bool { available >= size }

    var vif: UInt16 { p.word16(Offset.vif) }
    var vrf: UInt16 { p.word16(Offset.vrf) }
    var command: UInt16 { p.word16(Offset.command) }

    struct Fields: Equatable {
        var vif: UInt16, vrf: UInt16, command: UInt16
        /// 0 to 4.
        var parameters: (UInt32, UInt32, UInt32, UInt32, UInt32) = (0, 0, 0, 0, 0)
        func emit(to p: UnsafeMutableRawPointer) {
            p.set(Offset.vif, word16: vif)
            p.set(Offset.vrf, word16: vrf)
            p.set(Offset.command, word16: command)
            let (first, second, third, fourth, fifth) = parameters
            for (index, value) in [first, second, third, fourth, fifth].enumerated() { p.set(Offset.parameters + 4 * index, word32: value) }
            p.set(Offset.parameters + 20, word32: 0)
        }
        static func == (a: Self, b: Self) -> Bool { (a.vif, a.vrf, a.command) == (b.vif, b.vrf, b.command) && a.parameters == b.parameters }
    }
    var fields: Fields {
        func parameter(_ index: Int) -> UInt32 { p.word32(Offset.parameters + 4 * index) }
        return Fields(
            vif: vif, vrf: vrf, command: command, parameters: (parameter(0), parameter(1), parameter(2), parameter(3), parameter(4)))
    }
}
