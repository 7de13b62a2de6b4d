import CPlatform
import NetTypes

/// What workloads ask of the network itself: DHCP (RFC 2131), DHCPv6 (RFC 8415), router solicitations (RFC 4861), and DNS at the addresses of the router. The
/// control program answers; here it is only found out what is for it, and that no workload takes more than its share of it.
///
/// - Input: packets to groups, and packets that a receive next hop took: none of them is on the way of forwarded traffic.
/// - Verdicts: trap(dhcp, dhcpv6, routerSolicitation, dns, l3Protocol); flooded.
/// - Drops: trapRateLimited.
extension Worker {
    /// Which service the packet asks for; nil: none.
    @inline(never) func serviceReason(_ packet: Packet) -> TrapPacket.Reason? {
        guard packet.l4 != 0 else { return nil }
        switch packet.proto {
        case IPProtocol.udp.rawValue:
            switch UDP(packet.transport).destinationPort {
            case 67 where packet.family == .ipv4: return .dhcp
            case 547 where packet.family == .ipv6: return .dhcpv6
            case 53: return .dns
            default: return nil
            }
        case IPProtocol.tcp.rawValue: return TCP(packet.transport).destinationPort == 53 ? .dns : nil
        case IPProtocol.icmpv6.rawValue:
            return packet.family == .ipv6 && ICMPv6(packet.transport).type == .routerSolicitation ? .routerSolicitation : nil
        default: return nil
        }
    }

    /// DHCP and router solicitations to a group: the control program's where the vif has services. Where it has not, somebody else in the network may answer,
    /// if it floods. What is sent to one address (a lease renewed at its server) is traffic like any other, and trapped when the address is the router's.
    @inline(never) func forControlProgram(_ packet: inout Packet, _ reason: TrapPacket.Reason) {
        if packet.ingress.pointee.flags.contains(.services) { return packet.settle(.trap(reason)) }
        flood(&packet, otherwise: .trap(.l3Protocol))
    }

    /// A workload that has no address yet asks for one: the only packet that antispoofing lets pass from 0.0.0.0.
    @inline(never) func asksForAddress(_ packet: Packet) -> Bool {
        guard packet.family == .ipv4 else { return false }
        let ip = IPv4(packet.network)
        return ip.source == 0 && ip.destination == .max && serviceReason(packet) == .dhcp
    }

    /// TCP and UDP with a service of the network, at an address that is not the router's own: more packets than a mistake takes.
    private func isForService(_ packet: Packet) -> Bool {
        guard packet.proto == IPProtocol.tcp.rawValue || packet.proto == IPProtocol.udp.rawValue else { return false }
        if packet.family == .ipv4 { return IPv4(packet.network).destination &>> 16 == 0xA9FE }
        return packet.family == .ipv6 && !packet.ingress.pointee.owns(ipv6: IPv6(packet.network).destination)
    }

    /// Whether the workload's share of traps for this reason has room. What the fabric sends is not limited: tunnels depend on it.
    @inline(never) func mayTrap(_ packet: Packet, _ reason: UInt8) -> Bool {
        guard packet.ingress.pointee.isWorkload else { return true }
        let isService = reason == TrapPacket.Reason.receive.rawValue && isForService(packet)
        return trapLimits.allow(vif: packet.ingress.pointee.id, isService ? TrapPacket.Reason.dns.rawValue : reason, now: now)
    }
}

/// Each workload's share of what the control program takes, per reason: one that floods DNS queries keeps its DHCP, and everybody else's.
///
/// DHCP, DHCPv6, router solicitations: a client asks a few times in a minute. DNS: what a busy workload with a cache of its own asks. Flows to be decided: a thousand
/// a second. The rest is mostly
/// mistakes (packets to a port of the gateway at which nobody listens).
///
/// # Thread-safety
/// Owned by one worker; every worker gives each vif a share.
final class TrapLimits {
    private let queries: RateLimiter
    private let flows: RateLimiter
    private let others: RateLimiter
    /// Slots per vif, one per reason.
    private static let reasons: UInt32 = 16

    init(vifCapacity: Int, tscHz: UInt64) {
        queries = RateLimiter(slots: vifCapacity, perSecond: 2000, burst: 200, tscHz: tscHz)
        flows = RateLimiter(slots: vifCapacity, perSecond: 1000, burst: 200, tscHz: tscHz)
        others = RateLimiter(slots: vifCapacity * Int(Self.reasons), perSecond: 50, burst: 50, tscHz: tscHz)
    }

    func allow(vif: UInt32, _ reason: UInt8, now: UInt64) -> Bool {
        if reason == TrapPacket.Reason.dns.rawValue { return queries.allows(vif, now: now) }
        if reason == TrapPacket.Reason.flow.rawValue { return flows.allows(vif, now: now) }
        return others.allows(vif &* Self.reasons | UInt32(reason) & (Self.reasons &- 1), now: now)
    }
}
