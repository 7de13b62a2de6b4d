import CPlatform
import NetTypes

/// Network address translation of a packet whose flow says so (RFC 3022, RFC 6296 for IPv6 without its checksum neutrality): addresses and ports are replaced, checksums
/// updated, and the packet goes on in the VRF of the translation.
///
/// - Input: a packet with its flow entry, of action `nat`; checksums right, or absent (UDP over IPv4).
/// - Output: the same packet, translated. A fragment's later pieces, which have no transport header, get the addresses alone.
/// - Drops: none.
extension Worker {
    @inline(__always) func translate(_ packet: UnsafeMutablePointer<Packet>, _ entry: UnsafeMutablePointer<FlowEntry>) {
        let rewrite = entry.translation
        // Routed anew, in another VRF perhaps: what came out of a tunnel may go into another, and this router counts as a hop.
        if packet.pointee.flags.contains(.tunneled) { leaveTunnel(packet, rewrite.vrf) }
        packet.pointee.vrf = rewrite.vrf
        guard packet.pointee.family == .ipv4 else { return translateIPv6(packet, entry, rewrite) }
        let ip = IPv4(packet.pointee.network)
        packet.pointee.network.set(12, word64: rewrite.addresses)
        ip.checksum = FlowRewrite.update(ip.checksum, by: rewrite.networkSum)
        guard packet.pointee.l4 != 0 else { return }
        translateTransport(packet.pointee.transport, packet.pointee.proto, rewrite.ports, rewrite.transportSum)
    }

    @inline(never) func leaveTunnel(_ packet: UnsafeMutablePointer<Packet>, _ vrf: UInt32) {
        guard packet.pointee.vrf != vrf else { return }
        packet.pointee.flags.remove(.tunneled)
        packet.pointee.flags.insert(.lowersTTL)
    }

    @inline(never) private func translateIPv6(
        _ packet: UnsafeMutablePointer<Packet>, _ entry: UnsafeMutablePointer<FlowEntry>, _ rewrite: FlowRewrite
    ) {
        guard packet.pointee.family == .ipv6 else { return }
        let key = entry.copy().key, new = tables.flows.reader.entry(entry.reverse).copy().key.reversed
        let ip = IPv6(packet.pointee.network)
        ip.source = IPv6Address(high: new.a0, low: new.a1)
        ip.destination = IPv6Address(high: new.a2, low: new.a3)
        guard packet.pointee.l4 != 0 else { return }
        let whole = FlowRewrite(key, becomes: new)
        translateTransport(packet.pointee.transport, packet.pointee.proto, whole.ports, whole.transportSum)
    }

    @inline(__always) func translateTransport(_ transport: UnsafeMutableRawPointer, _ proto: UInt8, _ ports: UInt32, _ sum: UInt16) {
        switch proto {
        case IPProtocol.udp.rawValue:
            let udp = UDP(transport)
            transport.set(0, word32: ports)
            // 0 means that there is none; a computed 0 is sent as 0xffff (RFC 768).
            if udp.checksum != 0 {
                let checksum = FlowRewrite.update(udp.checksum, by: sum)
                udp.checksum = checksum == 0 ? 0xFFFF : checksum
            }
        case IPProtocol.tcp.rawValue:
            transport.set(0, word32: ports)
            let tcp = TCP(transport)
            tcp.checksum = FlowRewrite.update(tcp.checksum, by: sum)
        case IPProtocol.icmp.rawValue, IPProtocol.icmpv6.rawValue:
            // Echo: type and code, checksum, identifier (RFC 792, RFC 4443 section 4.1). Other messages have none.
            let type = transport.octet(0)
            if type == (proto == IPProtocol.icmp.rawValue ? 8 : 128) || type == (proto == IPProtocol.icmp.rawValue ? 0 : 129) {
                transport.set(4, word16: UInt16(truncatingIfNeeded: ports))
            }
            transport.set(2, word16: FlowRewrite.update(transport.word16(2), by: sum))
        default: translateRare(transport, proto, ports, sum)
        }
    }

    /// Others whose checksum covers the addresses. That of SCTP does not (RFC 9260 section 6.8).
    @inline(never) func translateRare(_ transport: UnsafeMutableRawPointer, _ proto: UInt8, _ ports: UInt32, _ sum: UInt16) {
        switch proto {
        case IPProtocol.dccp.rawValue:
            // RFC 4340 sections 5.1 and 9.1.
            transport.set(0, word32: ports)
            transport.set(6, word16: FlowRewrite.update(transport.word16(6), by: sum))
        case IPProtocol.udpLite.rawValue:
            // Whatever its checksum covers, the pseudo-header is among it. 0 is none that anybody takes; a computed 0 is sent as 0xffff (RFC 3828 section 3.1).
            transport.set(0, word32: ports)
            guard transport.word16(6) != 0 else { return }
            let checksum = FlowRewrite.update(transport.word16(6), by: sum)
            transport.set(6, word16: checksum == 0 ? 0xFFFF : checksum)
        default: break
        }
    }
}
