import NetTypes

/// Frames for the traces: built octet by octet, with right checksums.
enum Frames {
    /// Ethernet + IPv4 + UDP, padded to `size` octets (64-octet frames are 60 without the frame check sequence).
    static func udp(
        from source: IPv4Address, _ sourcePort: UInt16, to destination: IPv4Address, _ destinationPort: UInt16, size: Int = 60,
        destinationMAC: MACAddress = .gateway, sourceMAC: MACAddress = MACAddress(rawValue: 0x0200_0000_0111)
    ) -> [UInt8] {
        let payload = size - 14 - 20 - 8
        return destinationMAC.bytes + sourceMAC.bytes + [0x08, 0x00]
            + ipv4(
                source, destination, proto: 17,
                payload: word(sourcePort) + word(destinationPort) + word(UInt16(8 + payload)) + [0, 0] + Array(repeating: 0, count: payload))
    }

    static func ipv4(_ source: IPv4Address, _ destination: IPv4Address, proto: UInt8, payload: [UInt8]) -> [UInt8] {
        var header: [UInt8] = [0x45, 0] + word(UInt16(20 + payload.count)) + [0, 0, 0x40, 0, 64, proto, 0, 0] + source.bytes + destination.bytes
        var sum: UInt32 = 0
        for at in stride(from: 0, to: 20, by: 2) { sum += UInt32(header[at]) << 8 | UInt32(header[at + 1]) }
        while sum > 0xFFFF { sum = sum & 0xFFFF + sum >> 16 }
        header.replaceSubrange(10..<12, with: word(~UInt16(sum)))
        return header + payload
    }

    static func tunnel(_ payload: [UInt8], proto: UInt8, from source: IPv4Address, to destination: IPv4Address) -> [UInt8] {
        MACAddress(rawValue: 0x0200_0000_0F01).bytes + MACAddress(rawValue: 0x0200_0000_0F02).bytes + [0x08, 0x00]
            + ipv4(source, destination, proto: proto, payload: payload)
    }

    static func vxlan(_ frame: [UInt8], vni: UInt32, port: UInt16, from source: IPv4Address, to destination: IPv4Address) -> [UInt8] {
        let vxlan: [UInt8] = [8, 0, 0, 0] + [UInt8(vni >> 16 & 0xFF), UInt8(vni >> 8 & 0xFF), UInt8(vni & 0xFF), 0]
        return tunnel(word(port) + word(4789) + word(UInt16(16 + frame.count)) + [0, 0] + vxlan + frame, proto: 17, from: source, to: destination)
    }

    /// `packet` is an IP packet.
    static func mpls(_ packet: [UInt8], label: UInt32, port: UInt16?, from source: IPv4Address, to destination: IPv4Address) -> [UInt8] {
        let entry: [UInt8] = [UInt8(label >> 12 & 0xFF), UInt8(label >> 4 & 0xFF), UInt8(label << 4 & 0xF0) | 1, 64]
        if let port {
            return tunnel(
                word(port) + word(6635) + word(UInt16(12 + packet.count)) + [0, 0] + entry + packet, proto: 17, from: source, to: destination)
        }
        return tunnel([0, 0, 0x88, 0x47] + entry + packet, proto: 47, from: source, to: destination)
    }

    static func word(_ value: UInt16) -> [UInt8] { [UInt8(value >> 8), UInt8(value & 0xFF)] }
}

/// A repeatable sequence (xorshift64*).
struct Sequence64 {
    var state: UInt64
    mutating func next() -> UInt64 {
        state ^= state >> 12
        state ^= state << 25
        state ^= state >> 27
        return state &* 0x2545_F491_4F6C_DD1D
    }
}
