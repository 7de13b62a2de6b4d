public import NetTypes

/// Frames for the traces, and frames as they ought to leave: built octet by octet here, with none of the router's own code, so that they can prove it.
public enum Frames {
    /// Ethernet + IP + UDP, padded to `size` octets (64-octet frames are 60 without the frame check sequence; with IPv6 the least is 62).
    public static func udp(
        from source: IPAddress, _ sourcePort: UInt16, to destination: IPAddress, _ destinationPort: UInt16, size: Int = 60,
        destinationMAC: MACAddress = .gateway, sourceMAC: MACAddress = MACAddress(rawValue: 0x0200_0000_0111), checksum withChecksum: Bool = false
    ) -> [UInt8] {
        let header = 14 + (source.isIPv4 ? 20 : 40) + 8
        let payload = max(0, size - header)
        var datagram = word(sourcePort) + word(destinationPort) + word(UInt16(8 + payload)) + [0, 0] + Array(repeating: 0, count: payload)
        switch (source, destination) {
        case (.v4(let source), .v4(let destination)):
            if withChecksum {
                let sum = checksum(source.bytes + destination.bytes + [0, 17] + word(UInt16(datagram.count)) + datagram)
                datagram.replaceSubrange(6..<8, with: word(sum == 0 ? 0xFFFF : sum))
            }
            return ethernet(destinationMAC, sourceMAC, 0x0800) + ipv4(source, destination, proto: 17, payload: datagram)
        case (.v6(let source), .v6(let destination)):
            // Over IPv6 a UDP checksum is required (RFC 8200 section 8.1).
            let pseudo = source.bytes + destination.bytes + [0, 0] + word(UInt16(datagram.count)) + [0, 0, 0, 17]
            let sum = checksum(pseudo + datagram)
            datagram.replaceSubrange(6..<8, with: word(sum == 0 ? 0xFFFF : sum))
            return ethernet(destinationMAC, sourceMAC, 0x86DD) + ipv6(source, destination, proto: 17, payload: datagram)
        default: return []
        }
    }

    public static func ethernet(_ destination: MACAddress, _ source: MACAddress, _ type: UInt16) -> [UInt8] {
        destination.bytes + source.bytes + word(type)
    }

    public static func ipv4(_ source: IPv4Address, _ destination: IPv4Address, proto: UInt8, ttl: UInt8 = 64, payload: [UInt8]) -> [UInt8] {
        var header: [UInt8] = [0x45, 0] + word(UInt16(20 + payload.count)) + [0, 0, 0x40, 0, ttl, proto, 0, 0] + source.bytes + destination.bytes
        header.replaceSubrange(10..<12, with: word(checksum(header)))
        return header + payload
    }

    public static func ipv6(_ source: IPv6Address, _ destination: IPv6Address, proto: UInt8, hopLimit: UInt8 = 64, payload: [UInt8]) -> [UInt8] {
        [0x60, 0, 0, 0] + word(UInt16(payload.count)) + [proto, hopLimit] + source.bytes + destination.bytes + payload
    }

    /// RFC 1071, as it goes into a header.
    static func checksum(_ octets: [UInt8]) -> UInt16 {
        var sum: UInt32 = 0
        for at in stride(from: 0, to: octets.count - 1, by: 2) { sum += UInt32(octets[at]) << 8 | UInt32(octets[at + 1]) }
        if octets.count % 2 == 1 { sum += UInt32(octets[octets.count - 1]) << 8 }
        while sum > 0xFFFF { sum = sum & 0xFFFF + sum >> 16 }
        return ~UInt16(sum)
    }

    static let fabricMAC = MACAddress(rawValue: 0x0200_0000_0F01), peerMAC = MACAddress(rawValue: 0x0200_0000_0F02)

    /// An outer packet on the fabric; `outward`: as the router under test sends it, else as its peer does.
    static func tunnel(_ payload: [UInt8], proto: UInt8, outward: Bool) -> [UInt8] {
        let (source, destination) = outward ? (Program.node, Program.peer) : (Program.peer, Program.node)
        return (outward ? ethernet(peerMAC, fabricMAC, 0x0800) : ethernet(fabricMAC, peerMAC, 0x0800))
            + ipv4(source, destination, proto: proto, payload: payload)
    }

    /// RFC 7348.
    static func vxlan(_ frame: [UInt8], vni: UInt32, port: UInt16, outward: Bool) -> [UInt8] {
        let vxlan: [UInt8] = [8, 0, 0, 0] + [UInt8(vni >> 16 & 0xFF), UInt8(vni >> 8 & 0xFF), UInt8(vni & 0xFF), 0]
        return tunnel(word(port) + word(4789) + word(UInt16(16 + frame.count)) + [0, 0] + vxlan + frame, proto: 17, outward: outward)
    }

    /// `packet` is an IP packet. `port`: over UDP from that port (RFC 7510); nil: over GRE (RFC 4023).
    static func mpls(_ packet: [UInt8], label: UInt32, ttl: UInt8 = 64, port: UInt16?, outward: Bool) -> [UInt8] {
        let entry: [UInt8] = [UInt8(label >> 12 & 0xFF), UInt8(label >> 4 & 0xFF), UInt8(label << 4 & 0xF0) | 1, ttl]
        if let port {
            return tunnel(word(port) + word(6635) + word(UInt16(12 + packet.count)) + [0, 0] + entry + packet, proto: 17, outward: outward)
        }
        return tunnel([0, 0, 0x88, 0x47] + entry + packet, proto: 47, outward: outward)
    }

    /// The IP packet of a frame with its TTL or hop limit lowered by one.
    public static func lowered(_ frame: [UInt8]) -> [UInt8] {
        var packet = Array(frame.dropFirst(14))
        guard packet.count >= 20 else { return packet }
        if packet[0] >> 4 == 6 {
            packet[7] -= 1
            return packet
        }
        packet[8] -= 1
        packet.replaceSubrange(10..<12, with: [0, 0])
        packet.replaceSubrange(10..<12, with: word(checksum(Array(packet.prefix(20)))))
        return packet
    }

    /// An IPv4 packet with another source address and UDP source port, every checksum computed from nothing.
    public static func translated(_ packet: [UInt8], source: [UInt8], port: UInt16) -> [UInt8] {
        var packet = packet
        guard packet.count >= 28 else { return packet }
        packet.replaceSubrange(12..<16, with: source)
        packet.replaceSubrange(20..<22, with: word(port))
        packet.replaceSubrange(10..<12, with: [0, 0])
        packet.replaceSubrange(10..<12, with: word(checksum(Array(packet.prefix(20)))))
        packet.replaceSubrange(26..<28, with: [0, 0])
        let datagram = Array(packet[20...])
        let sum = checksum(Array(packet[12..<20]) + [0, 17] + word(UInt16(datagram.count)) + datagram)
        packet.replaceSubrange(26..<28, with: word(sum == 0 ? 0xFFFF : sum))
        return packet
    }

    static func word(_ value: UInt16) -> [UInt8] { [UInt8(value >> 8), UInt8(value & 0xFF)] }
}
