import NetTypes

/// The parts of a packet that an ECMP choice goes by. Values as in OpenSDN's hash key parameters.
public struct HashFields: OptionSet, Hashable, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    /// The IP protocol.
    public static let proto = HashFields(rawValue: 1 << 0)
    public static let source = HashFields(rawValue: 1 << 1)
    public static let sourcePort = HashFields(rawValue: 1 << 2)
    public static let destination = HashFields(rawValue: 1 << 3)
    public static let destinationPort = HashFields(rawValue: 1 << 4)
    public static let all: HashFields = [.proto, .source, .sourcePort, .destination, .destinationPort]
}

extension Worker {
    /// A keyed hash of the chosen fields; never 0. Ports count for TCP, UDP and SCTP packets that are whole: the pieces of a datagram, of which only the first has ports,
    /// have to give one value.
    @inline(never) func tupleHash(_ packet: Packet, _ fields: HashFields) -> UInt32 {
        var source: UInt64 = 0, destination: UInt64 = 0
        switch packet.family {
        case .ipv4:
            let ip = IPv4(packet.network)
            source = UInt64(ip.source)
            destination = UInt64(ip.destination)
        case .ipv6:
            let ip = IPv6(packet.network)
            let from = ip.source, to = ip.destination
            source = foldedMultiply(from.high ^ tables.hashSeed, from.low ^ 0x9E37_79B9_7F4A_7C15)
            destination = foldedMultiply(to.high ^ tables.hashSeed, to.low ^ 0xC2B2_AE3D_27D4_EB4F)
        case .none:
            let ethernet = Ethernet(packet.data)
            source = ethernet.source
            destination = ethernet.destination
        }
        var rest: UInt64 = 0
        if fields.contains(.proto) { rest = UInt64(packet.proto) }
        if packet.l4 != 0, !packet.flags.contains(.fragment), Worker.hasPorts(packet.proto) {
            let ports = packet.transport.word32(0)
            if fields.contains(.sourcePort) { rest |= UInt64(ports >> 16) << 16 }
            if fields.contains(.destinationPort) { rest |= UInt64(ports & 0xFFFF) << 32 }
        }
        if !fields.contains(.source) { source = 0 }
        if !fields.contains(.destination) { destination = 0 }
        let mixed = foldedMultiply(source ^ tables.hashSeed, destination &* 0x9E37_79B9_7F4A_7C15 ^ rest ^ 0xD6E8_FEB8_6659_FD93)
        return UInt32(truncatingIfNeeded: foldedMultiply(mixed ^ rest, tables.hashSeed | 1) >> 32) | 1
    }

    @inline(__always) static func hasPorts(_ proto: UInt8) -> Bool {
        proto == IPProtocol.tcp.rawValue || proto == IPProtocol.udp.rawValue || proto == IPProtocol.sctp.rawValue
    }
}
