import NetTypes
import Overlay

/// Router advertisements (RFC 4861 section 4.2) for one workload: the gateway is the default router, by its link-local address; prefixes are on the link, and
/// addresses come by DHCPv6 (M and O flags, no autonomous configuration: no other address than the port's gets anywhere); MTU, DNS servers and search list
/// (RFC 8106).
enum RouterAdvertiser {
    /// Seconds that routers and servers are kept without a new advertisement, which comes every `interval`.
    static let lifetime: UInt16 = 1800
    static let interval = 60...120

    /// To whoever asked; `solicitation` nil: to all, unasked. Nil: not a solicitation (section 6.1.1), or the port has no IPv6 address.
    static func advertisement(for port: ServicePort, solicitation: ServicePacket? = nil) -> ServicePacket? {
        guard !port.ipv6.isEmpty, port.services.enabled else { return nil }
        var destination = (mac: MACAddress(rawValue: 0x3333_0000_0001), address: IPv6Address(high: 0xFF02_0000_0000_0000, low: 1))
        if let solicitation {
            guard isSolicitation(solicitation), solicitation.sourceMAC == port.mac, case .v6(let asker) = solicitation.source else { return nil }
            if asker != .any { destination = (port.mac, asker) }
        }
        // Type, code, checksum, hop limit, M and O, router lifetime, reachable and retransmission times: the host's own.
        var message: [UInt8] = [134, 0, 0, 0, 64, 0xC0]
        message.append(word16: lifetime)
        message += Array(repeating: 0, count: 8)
        message += [1, 1] + MACAddress.gateway.bytes
        // RFC 8200 section 5: no link of IPv6 has less than 1280.
        if let mtu = port.mtu, mtu >= 1280 {
            message += [5, 1, 0, 0]
            message.append(word32: UInt32(clamping: mtu))
        }
        var prefixes: [IPPrefix] = []
        for (_, subnet) in port.ipv6 where !prefixes.contains(subnet.prefix) { prefixes.append(subnet.prefix) }
        for prefix in prefixes {
            // On the link, not for autonomous configuration; a day, and four hours to be preferred.
            message += [3, 4, UInt8(prefix.length), 0x80]
            message.append(word32: 86_400)
            message.append(word32: 14_400)
            message += [0, 0, 0, 0] + prefix.address.bytes
        }
        let servers = port.dnsServers(isIPv4: false)
        if !servers.isEmpty {
            message += [25, UInt8(1 + 2 * servers.count), 0, 0]
            message.append(word32: UInt32(lifetime))
            message += servers.flatMap(\.bytes)
        }
        if let name = DNSName(port.zone)?.wire {
            let padded = name + Array(repeating: 0, count: (8 - name.count % 8) % 8)
            message += [31, UInt8(1 + padded.count / 8), 0, 0]
            message.append(word32: UInt32(lifetime))
            message += padded
        }
        return ServicePacket(
            destinationMAC: destination.mac, sourceMAC: .gateway, source: .v6(MACAddress.gateway.linkLocal), destination: .v6(destination.address),
            hopLimit: 255, content: .icmpv6(message))
    }

    private static func isSolicitation(_ packet: ServicePacket) -> Bool {
        guard case .icmpv6(let message) = packet.content, packet.hopLimit == 255, message[0] == 133, message[1] == 0 else { return false }
        var at = 8
        while at < message.count {
            guard at + 1 < message.count, message[at + 1] > 0, at + Int(message[at + 1]) * 8 <= message.count else { return false }
            // Who has no address yet says nothing of its MAC.
            if message[at] == 1, packet.source == .v6(.any) { return false }
            at += Int(message[at + 1]) * 8
        }
        return true
    }
}
