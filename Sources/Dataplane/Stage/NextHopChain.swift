import NetTypes

/// Next hops that lead to others: *indirect* (shared by many routes and switched as one), *vrf* (the lookup goes on in another VRF) and *ecmp* (one of several), in any
/// order, until one that acts on the packet.
///
/// - Input: a packet with `next` of `nextHop`, and the record of such a next hop.
/// - Output: the record that acts; `nextHop`, `label` and `vrf` of the packet are those it was reached with.
/// - Drops: invalidNextHop, noRoute, packetLoop, invalidSource (a bridged packet from a link-local address that would be routed).
extension Worker {
    /// Steps after which a chain is taken for a loop. The control side refuses loops of next hops; those through routes of two VRFs only the packet finds.
    static let maximumChain = 16

    /// The end of the chain; nil when there is none and the packet is settled.
    @inline(never) func followChain(_ packet: inout Packet, _ first: UnsafePointer<NextHop>) -> UnsafePointer<NextHop>? {
        var nextHop = first
        for step in 0..<Worker.maximumChain {
            switch nextHop.pointee.kind {
            case .discard, .receive, .encap, .tunnel, .tunnelIPv6, .resolve, .multicast: return nextHop
            case .indirect: packet.nextHop = nextHop.pointee.target
            case .ecmp: choose(&packet, nextHop, step)
            case .vrf: guard routeAgain(&packet, nextHop.pointee.vrf) else { return nil }
            }
            guard let target = tables.nextHops.load(packet.nextHop) else {
                packet.settle(.drop(.invalidNextHop))
                return nil
            }
            nextHop = target
        }
        packet.settle(.drop(.packetLoop))
        return nil
    }

    /// A member by the flow's hash, so that a flow keeps its path. A member without a label takes the packet's own.
    @inline(__always) private func choose(_ packet: inout Packet, _ nextHop: UnsafePointer<NextHop>, _ step: Int) {
        guard let buckets = nextHop.pointee.members else {
            packet.nextHop = 0
            return
        }
        var hash =
            nextHop.pointee.hashFields == HashFields.all.rawValue
            ? flowHash(&packet) : tupleHash(packet, HashFields(rawValue: nextHop.pointee.hashFields))
        // A choice within a choice must not be the same choice.
        if step > 0 { hash = (hash ^ hash >> 15) &* (0x9E37_79B1 &+ UInt32(truncatingIfNeeded: step) &* 2) }
        let member = buckets[Int(hash &>> UInt32(nextHop.pointee.bucketShift))]
        packet.nextHop = member.nextHop
        if member.label != Packet.noLabel { packet.label = member.label }
    }

    /// Longest-prefix match in another VRF; false when there is no route and the packet is settled. A bridged packet becomes a routed one.
    private func routeAgain(_ packet: inout Packet, _ vrf: UInt32) -> Bool {
        packet.vrf = vrf
        let leaf = tables.leaf(vrf: vrf, destinationOf: packet.network, packet.family)
        guard leaf != 0 else {
            packet.settle(.drop(.noRoute))
            return false
        }
        packet.nextHop = tables.leaves.reader.nextHop(leaf)
        if !packet.flags.contains(.routed) {
            if isFromLink(packet), tables.nextHops.load(packet.nextHop)?.pointee.kind != .receive {
                packet.settle(.drop(.invalidSource))
                return false
            }
            packet.flags.insert(.routed)
            if !packet.flags.contains(.tunneled) { packet.flags.insert(.lowersTTL) }
        }
        packet.label = tables.leaves.reader.label(leaf)
        return true
    }

    // MARK: - Before a packet is there

    /// What an indirect next hop stands for in the end; nil when that is nothing. Others stand for themselves.
    @inline(never) func indirectTarget(_ first: UnsafePointer<NextHop>) -> UnsafePointer<NextHop>? {
        var nextHop = first
        for _ in 0..<Worker.maximumChain {
            guard nextHop.pointee.kind == .indirect else { return nextHop }
            guard let target = tables.nextHops.load(nextHop.pointee.target) else { return nil }
            nextHop = target
        }
        return nil
    }

    /// The VRF that what a label leads to is in, for the flow's key: of an ECMP next hop that of its first member, as the choice is yet to come.
    @inline(never) func vrfBehind(_ first: UnsafePointer<NextHop>) -> UInt32 {
        guard var nextHop = indirectTarget(first) else { return 0 }
        if nextHop.pointee.kind == .ecmp {
            guard let member = nextHop.pointee.members, let record = tables.nextHops.load(member.pointee.nextHop),
                let target = indirectTarget(record)
            else { return 0 }
            nextHop = target
        }
        if nextHop.pointee.kind == .vrf { return nextHop.pointee.vrf }
        return tables.vifs.load(nextHop.pointee.vif)?.pointee.vrf ?? 0
    }
}
