import NetTypes

/// Unicast reverse path forwarding (RFC 3704): a routed packet whose source could not be reached that way did not come from there.
///
/// - Input: the packets of a burst after their input stage; each is judged by the vif it came in on, which on a port with sub-interfaces is not the same for all.
/// - Output: as before; routed packets that fail are settled. Bridged ones are not looked at (their sender is a neighbour: that is antispoofing's), nor are
///   those from a link-local or unspecified address, which go no further than this router (`LinkSources`).
/// - Drops: invalidSource.
///
/// *Loose*: the VRF has a route to the source, and not to the discard next hop. *Strict*: the route leads out by the vif the packet came in by, for a tunnel
/// packet: into a tunnel on that vif; of an ECMP next hop one member is enough.
extension Worker {
    @inline(never) func checkReversePath(_ packets: UnsafeMutablePointer<Packet>, _ count: Int) {
        for index in 0..<count {
            let packet = packets + index, vif = packet.pointee.ingress
            guard !vif.pointee.flags.isDisjoint(with: .checksReversePath), packet.pointee.flags.contains(.routed), !packet.pointee.isSettled,
                packet.pointee.next != .crossConnect
            else { continue }
            let isStrict = vif.pointee.flags.contains(.strictReversePath)
            if !hasReversePath(packet.pointee, isStrict ? vif.pointee.id : nil) { packet.pointee.settle(.drop(.invalidSource)) }
        }
    }

    private func hasReversePath(_ packet: Packet, _ vif: UInt32?) -> Bool {
        if isFromLink(packet) { return true }
        var vrf = packet.vrf
        for _ in 0..<Worker.maximumChain {
            let leaf: UInt32
            switch packet.family {
            case .ipv4:
                leaf = tables.routes.reader.lookupIPv4(tables.roots(vrf).ipv4, IPv4(packet.network).source)
            case .ipv6:
                let source = IPv6(packet.network).source
                leaf = tables.routes.reader.lookupIPv6(tables.roots(vrf).ipv6, source.high, source.low)
            case .none: return true
            }
            guard leaf != 0, let nextHop = tables.nextHops.load(tables.leaves.reader.nextHop(leaf)), let end = indirectTarget(nextHop) else {
                return false
            }
            if end.pointee.kind == .discard { return false }
            guard let vif else { return true }
            guard end.pointee.kind == .vrf else { return leads(end, outBy: vif) }
            vrf = end.pointee.vrf
        }
        return false
    }

    private func leads(_ nextHop: UnsafePointer<NextHop>, outBy vif: UInt32) -> Bool {
        guard nextHop.pointee.kind == .ecmp else { return nextHop.pointee.kind != .receive && nextHop.pointee.vif == vif }
        guard let buckets = nextHop.pointee.members else { return false }
        // Buckets of one member mostly lie side by side.
        var last = UInt32.max
        for index in 0..<Int(nextHop.pointee.memberCount) where buckets[index].nextHop != last {
            last = buckets[index].nextHop
            guard let member = tables.nextHops.load(last), let end = indirectTarget(member), end.pointee.kind != .ecmp, end.pointee.kind != .vrf
            else {
                continue
            }
            if end.pointee.vif == vif { return true }
        }
        return false
    }
}
