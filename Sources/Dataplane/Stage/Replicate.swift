import CPlatform
import NetTypes

/// One copy of a frame for each member of a composite multicast next hop that its side of the split horizon allows:
///
///     from            local            fabric (tree)      EVPN
///     a workload      all but its own  all                all
///     an EVPN peer    all              none               none
///     the tree        all              all but the sender none
///
/// Copies are made here and now from the pool, with its headroom; the frame itself is the last copy. A member whose way out is too small gets fragments where
/// that is allowed. A copy for which there is no buffer is lost and counted; nothing waits.
///
/// - Input: a checked frame, offsets parsed when it is IP.
/// - Output: settled: forwarded as the last copy, or consumed.
/// - Drops, per copy: multicastClone, jumboMulticast, invalidNextHop, invalidInterface, push.
/// - Counters: each copy beyond the frame itself counts as generated, and then as forwarded or dropped.
extension Worker {
    enum FloodSource {
        case workload
        case evpn
        /// The tree, and who sent it there.
        case fabric(IPv6Address)
    }

    /// As below, by the next hop's id.
    func replicate(_ packet: inout Packet, _ id: UInt32, from source: FloodSource) {
        guard let nextHop = tables.nextHops.load(id) else { return packet.settle(.drop(.invalidNextHop)) }
        if nextHop.pointee.kind == .discard { return packet.settle(.drop(.discards)) }
        guard let set = nextHop.pointee.multicast else { return packet.settle(.drop(.invalidNextHop)) }
        replicate(&packet, set, from: source)
    }

    func replicate(_ packet: inout Packet, _ set: UnsafeMutablePointer<MulticastSet>, from source: FloodSource) {
        var copies = Copies()
        let own: UnsafePointer<Vif>? = if case .workload = source { packet.ingress } else { nil }
        for member in set.pointee.part(.local) {
            guard let nextHop = tables.nextHops.load(member.nextHop), nextHop.pointee.kind == .encap else {
                lose(packet, .invalidNextHop)
                continue
            }
            if let own, own.pointee.id == nextHop.pointee.vif { continue }
            guard let vif = tables.vifs.load(nextHop.pointee.vif) else {
                lose(packet, .invalidInterface)
                continue
            }
            add(&copies, Copy(vif: vif, nextHop: nil, label: 0, vni: 0, mtu: Int(vif.pointee.mtu)), packet)
        }
        switch source {
        case .evpn: break
        case .workload:
            for member in set.pointee.part(.fabric) { addTunnel(&copies, member, set, packet) }
            for member in set.pointee.part(.evpn) { addTunnel(&copies, member, set, packet) }
        case .fabric(let sender): for member in set.pointee.part(.fabric) where member.far != sender { addTunnel(&copies, member, set, packet) }
        }
        guard let last = copies.pending else { return packet.settle(.consumed) }
        // The frame itself is the last copy, when it need not be cut.
        if !send(&packet.frame, last) { return packet.settle(.drop(.push)) }
        packet.settle(.forward(last.vif.pointee.id))
    }

    /// A way out for one copy.
    private struct Copy {
        var vif: UnsafePointer<Vif>
        /// The tunnel; nil: the frame leaves as it is.
        var nextHop: UnsafePointer<NextHop>?
        var label: UInt32
        var vni: UInt32
        /// Largest IP packet that fits.
        var mtu: Int
    }

    /// The copy that waits for the next one to turn up, before it is known whether it is the last and may take the frame itself.
    private struct Copies { var pending: Copy? }

    private func addTunnel(_ copies: inout Copies, _ member: MulticastSet.Member, _ set: UnsafeMutablePointer<MulticastSet>, _ packet: Packet) {
        guard let nextHop = tables.nextHops.load(member.nextHop), nextHop.pointee.kind == .tunnel || nextHop.pointee.kind == .tunnelIPv6 else {
            return lose(packet, .invalidNextHop)
        }
        guard let fabric = tables.vifs.load(nextHop.pointee.vif) else { return lose(packet, .invalidInterface) }
        let encapsulation = nextHop.pointee.encapsulation
        var mtu = encapsulation.innerMTU(Int(fabric.pointee.mtu), isIPv6: nextHop.pointee.kind == .tunnelIPv6)
        if encapsulation != .vxlan { mtu &-= Worker.controlWordSize &+ VXLAN.size &+ Ethernet.size }
        add(&copies, Copy(vif: fabric, nextHop: nextHop, label: member.label, vni: set.pointee.vni, mtu: mtu), packet)
    }

    private func add(_ copies: inout Copies, _ copy: Copy, _ packet: Packet) {
        switch fit(packet, copy.mtu) {
        case .fits:
            if let earlier = copies.pending { duplicate(packet, earlier) }
            copies.pending = copy
        case .refused: lose(packet, .jumboMulticast)
        case .segments, .fragments: pieces(packet, copy)
        }
    }

    private func duplicate(_ packet: Packet, _ copy: Copy) {
        guard var frame = clone(packet.frame) else { return lose(packet, .multicastClone) }
        counters.add(.generated)
        if send(&frame, copy) { stage(frame, copy.vif.pointee.id) } else { drop(frame, .push, vif: packet.ingress.pointee.id) }
    }

    /// The pieces of a packet that is too large for this way out. The packet itself stays as it is.
    private func pieces(_ packet: Packet, _ copy: Copy) {
        var scratch = packet
        cut(&scratch, fit(packet, copy.mtu), mtu: copy.mtu) { worker, frame in
            var frame = frame
            if worker.send(&frame, copy) {
                worker.stage(frame, copy.vif.pointee.id)
            } else {
                worker.drop(frame, .push, vif: copy.vif.pointee.id)
            }
        }
        guard scratch.next == .drop, let reason = DropReason(rawValue: scratch.reason) else { return }
        lose(packet, reason == .headAllocation ? .multicastClone : reason)
    }

    /// Makes the frame ready for its way out; false: no headroom.
    private func send(_ frame: inout vr_frame, _ copy: Copy) -> Bool {
        guard let nextHop = copy.nextHop else { return true }
        let hash = Worker.floodHash(frame)
        if nextHop.pointee.encapsulation != .vxlan {
            // The MPLS encapsulation takes an Ethernet header off: it is given one to take, behind it what a frame has after the label.
            let added = Ethernet.size &+ Worker.controlWordSize &+ VXLAN.size
            guard Int(frame.headroom) >= added else { return false }
            frame.data -= added
            frame.headroom &-= UInt32(truncatingIfNeeded: added)
            frame.length &+= UInt32(truncatingIfNeeded: added)
            frame.start.initializeMemory(as: UInt8.self, repeating: 0, count: Ethernet.size &+ Worker.controlWordSize)
            VXLAN.Fields(vni: copy.vni).emit(to: frame.start + (Ethernet.size &+ Worker.controlWordSize))
        }
        return nextHop.pointee.kind == .tunnelIPv6
            ? encapsulateIPv6(&frame, nextHop, label: copy.label, hash: hash)
            : encapsulate(&frame, nextHop, label: copy.label, port: Worker.entropyPort(hash))
    }

    /// A frame of its own with the same octets; nil when the pool is dry or its buffers are too small.
    private func clone(_ frame: vr_frame) -> vr_frame? {
        var copy = allocate()
        if copy == nil {
            flushReleased()
            copy = allocate()
        }
        guard var copy else { return nil }
        guard copy.tailroom >= frame.length else {
            release(copy)
            return nil
        }
        copy.start.copyMemory(from: frame.start, byteCount: Int(frame.length))
        copy.length = frame.length
        copy.tailroom &-= frame.length
        copy.hash = frame.hash
        return copy
    }

    /// A copy that was never made, accounted for.
    private func lose(_ packet: Packet, _ reason: DropReason) {
        counters.add(.generated)
        counters.drop(reason)
        vifCounters.add(packet.ingress.pointee.id, .drops, 1)
    }

    /// Entropy of a flooded frame: by its addresses; frames of one station to one group keep their order.
    private static func floodHash(_ frame: vr_frame) -> UInt32 {
        let ethernet = Ethernet(frame.start)
        let product = (ethernet.source << 16 ^ ethernet.destination).multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15)
        return UInt32(truncatingIfNeeded: (product.high ^ product.low) >> 32) | 1
    }
}
