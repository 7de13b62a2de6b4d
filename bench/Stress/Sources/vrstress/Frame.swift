import NetTypes

/// Frames for the run: built octet by octet, with right IPv4 header checksums.
enum Frame {
    static let fabricMAC = MACAddress(rawValue: 0x0200_0000_0F01), peerMAC = MACAddress(rawValue: 0x0200_0000_0F02)
    static let node = IPv4Address(10, 0, 0, 11), peer = IPv4Address(10, 0, 0, 12)

    static func word(_ value: UInt16) -> [UInt8] { [UInt8(value >> 8), UInt8(value & 0xFF)] }

    static func ethernet(to destination: MACAddress, from source: MACAddress, _ type: UInt16, _ payload: [UInt8]) -> [UInt8] {
        let frame = destination.bytes + source.bytes + word(type) + payload
        return frame + Array(repeating: 0, count: max(0, 60 - frame.count))
    }

    static func ipv4(_ source: IPv4Address, _ destination: IPv4Address, _ proto: UInt8, ttl: UInt8 = 64, fragment: UInt16 = 0, _ payload: [UInt8])
        -> [UInt8]
    {
        var header: [UInt8] = [0x45, 0] + word(UInt16(20 + payload.count)) + [0, 7] + word(fragment) + [ttl, proto, 0, 0]
        header += source.bytes + destination.bytes
        var sum: UInt32 = 0
        for at in stride(from: 0, to: 20, by: 2) { sum += UInt32(header[at]) << 8 | UInt32(header[at + 1]) }
        while sum > 0xFFFF { sum = sum & 0xFFFF + sum >> 16 }
        header.replaceSubrange(10..<12, with: word(~UInt16(sum)))
        return header + payload
    }

    static func ipv6(_ source: IPv6Address, _ destination: IPv6Address, _ proto: UInt8, _ payload: [UInt8]) -> [UInt8] {
        [0x60, 0, 0, 0] + word(UInt16(payload.count)) + [proto, 64] + source.bytes + destination.bytes + payload
    }

    static func udp(_ source: UInt16, _ destination: UInt16, size: Int = 26) -> [UInt8] {
        word(source) + word(destination) + word(UInt16(8 + size)) + [0, 0] + Array(repeating: 0x55, count: size)
    }

    static func tcp(_ source: UInt16, _ destination: UInt16, size: Int = 12) -> [UInt8] {
        word(source) + word(destination) + [0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 0x20, 0, 0, 0, 0, 0] + Array(repeating: 0x66, count: size)
    }

    static func echo(_ identifier: UInt16) -> [UInt8] { [8, 0, 0, 0] + word(identifier) + [0, 1] + Array(repeating: 0, count: 24) }

    static func vxlan(_ frame: [UInt8], vni: UInt32) -> [UInt8] {
        let header: [UInt8] = [8, 0, 0, 0, UInt8(vni >> 16 & 0xFF), UInt8(vni >> 8 & 0xFF), UInt8(vni & 0xFF), 0]
        let payload = word(50_000) + word(4789) + word(UInt16(16 + frame.count)) + [0, 0] + header + frame
        return ethernet(to: fabricMAC, from: peerMAC, 0x0800, ipv4(peer, node, 17, payload))
    }

    static func mpls(_ packet: [UInt8], label: UInt32, overUDP: Bool) -> [UInt8] {
        let entry: [UInt8] = [UInt8(label >> 12 & 0xFF), UInt8(label >> 4 & 0xFF), UInt8(label << 4 & 0xF0) | 1, 64]
        let payload =
            overUDP
            ? word(50_000) + word(6635) + word(UInt16(12 + packet.count)) + [0, 0] + entry + packet : [0, 0, 0x88, 0x47] + entry + packet
        return ethernet(to: fabricMAC, from: peerMAC, 0x0800, ipv4(peer, node, overUDP ? 17 : 47, payload))
    }

    static func arp(from mac: MACAddress, _ source: IPv4Address, asks target: IPv4Address) -> [UInt8] {
        let body: [UInt8] = [0, 1, 8, 0, 6, 4, 0, 1] + mac.bytes + source.bytes + [0, 0, 0, 0, 0, 0] + target.bytes
        return ethernet(to: MACAddress(rawValue: 0xFFFF_FFFF_FFFF), from: mac, 0x0806, body)
    }
}

/// A frame to be varied: its ports and TCP flags have no checksum over them (the router verifies none of UDP or TCP), so one template makes many flows.
struct Template {
    var octets: [UInt8]
    /// Offset of the innermost source port; 0: there is none.
    var ports = 0
    /// Of its flows the destination port is another each, else the source port: these are answers to those.
    var isAnswer = false
    var isTCP = false
}

extension Template {
    static let workloads: [(mac: MACAddress, ipv4: IPv4Address, ipv6: IPv6Address)] = (0..<4).map {
        (
            MACAddress(rawValue: 0x0200_0000_0110 | UInt64($0)), IPv4Address(10, 1, 0, UInt8(10 + $0)),
            IPv6Address(high: 0xFD00_0001_0000_0000, low: UInt64(0x10 + $0))
        )
    }

    /// What workload `index` sends: to its neighbours, to remote ones, to the gateway, to nowhere; routed, bridged, fragments, expired, too large.
    static func workload(_ index: Int) -> [Template] {
        let own = workloads[index]
        var out = translated(index)
        func add(
            _ mac: MACAddress, _ target: IPv4Address, _ proto: UInt8, _ payload: [UInt8], ttl: UInt8 = 64, fragment: UInt16 = 0,
            isAnswer: Bool = false
        ) {
            out.append(
                Template(
                    octets: Frame.ethernet(
                        to: mac, from: own.mac, 0x0800, Frame.ipv4(own.ipv4, target, proto, ttl: ttl, fragment: fragment, payload)),
                    ports: proto == 1 || fragment & 0x1FFF != 0 ? 0 : 34, isAnswer: isAnswer, isTCP: proto == 6))
        }
        for (other, target) in workloads.enumerated() where other != index {
            add(.gateway, target.ipv4, 17, Frame.udp(1024, UInt16(2000 + other)))
            add(.gateway, target.ipv4, 6, Frame.tcp(1024, 80))
            add(.gateway, target.ipv4, 6, Frame.tcp(80, 1024), isAnswer: true)
            add(target.mac, target.ipv4, 6, Frame.tcp(1024, 443))
            out.append(
                Template(
                    octets: Frame.ethernet(to: .gateway, from: own.mac, 0x86DD, Frame.ipv6(own.ipv6, target.ipv6, 17, Frame.udp(1024, 53))),
                    ports: 54))
            out.append(Template(octets: Frame.arp(from: own.mac, own.ipv4, asks: target.ipv4)))
        }
        for subnet: UInt8 in 2...6 { add(.gateway, IPv4Address(10, subnet, 0, UInt8(20 + index)), 17, Frame.udp(1024, 4000)) }
        add(.gateway, IPv4Address(10, 2, 0, 9), 6, Frame.tcp(1024, 22, size: 1440))
        add(.gateway, IPv4Address(10, 2, 0, 9), 17, Frame.udp(1024, 23), ttl: 1)
        add(.gateway, IPv4Address(10, 2, 0, 9), 17, Frame.udp(1024, 23), fragment: 0x2000)
        add(.gateway, IPv4Address(10, 2, 0, 9), 17, Frame.udp(1024, 23), fragment: 0x0004)
        add(.gateway, IPv4Address(10, 1, 0, 1), 1, Frame.echo(77))
        out.append(Template(octets: Frame.ethernet(to: workloads[(index + 1) % 4].mac, from: own.mac, 0x88B5, [1, 2, 3])))
        return out
    }

    /// What arrives from the fabric: the same conversations from the other end.
    static func fabric() -> [Template] {
        var out: [Template] = []
        let remote = MACAddress(rawValue: 0x0200_0000_0200)
        for (index, target) in workloads.enumerated() {
            for (proto, transport): (UInt8, [UInt8]) in [(17, Frame.udp(4000, 1024)), (6, Frame.tcp(80, 1024))] {
                let packet = Frame.ipv4(IPv4Address(10, 2, 0, UInt8(20 + index)), target.ipv4, proto, transport)
                let isTCP = proto == 6
                out.append(
                    Template(octets: Frame.vxlan(Frame.ethernet(to: target.mac, from: remote, 0x0800, packet), vni: 5001), ports: 84, isTCP: isTCP))
                out.append(Template(octets: Frame.mpls(packet, label: 16, overUDP: true), ports: 66, isTCP: isTCP))
                out.append(Template(octets: Frame.mpls(packet, label: 16, overUDP: false), ports: 62, isTCP: isTCP))
                out.append(Template(octets: Frame.mpls(packet, label: UInt32(1000 + index), overUDP: true), ports: 66, isTCP: isTCP))
                out.append(
                    Template(octets: Frame.vxlan(Frame.ethernet(to: target.mac, from: remote, 0x0800, packet), vni: UInt32(6000 + index)), ports: 84))
            }
        }
        out.append(
            Template(octets: Frame.ethernet(to: Frame.fabricMAC, from: Frame.peerMAC, 0x0800, Frame.ipv4(Frame.peer, Frame.node, 1, Frame.echo(5)))))
        return out
    }
}
