import NetTypes

/// Tells workloads whose vif asks for it that their packets lead nowhere: no route (net unreachable, RFC 1812 section 5.2.7.1; no route to destination, RFC 4443
/// section 3.1), or a route to the discard next hop (host unreachable; address unreachable).
///
/// - Input: a dropped packet, as it was received (no hop taken off), from a virtual vif.
/// - Output: an ICMP error, when it was routed and that is why; within the vif's rate and the rules of `ICMPError`.
extension Worker {
    @inline(never) func reportUnreachable(_ packet: Packet) {
        guard packet.flags.contains(.routed) else { return }
        switch DropReason(rawValue: packet.reason) {
        case .noRoute: sendError(packet, .noRoute)
        case .discards: sendError(packet, .hostUnreachable)
        default: return
        }
    }
}
