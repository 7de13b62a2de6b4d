/// Bridged packets of a flow: whether it may go where this frame's address leads.
///
/// A flow is asked about with its first packet, for the vif to which that one's MAC address led. The sender may write another on each frame: what was let through to one station, or into
/// a tunnel, is not therefore let through to another, whose policies have not been asked. So a flow remembers its next hop for frames, too, under a number of its own: one for routed
/// packets is of no use to them, nor the reverse.
///
/// - Input: the packets of a burst whose MAC address has just been looked up, in a router with policies.
/// - Output: as before; what the policies of the vif ahead deny is settled, and its flow is denied.
/// - Drops: those of `admitAgain`.
extension Worker {
    /// Set in the tables' generation, which does not come that far.
    private static let forFrames: UInt32 = 1 << 30

    /// `count`: the first so many of `lookup.positions`.
    @inline(never) func admitBridged(_ packets: UnsafeMutablePointer<Packet>, _ count: Int) {
        let flows = tables.flows.reader, generation = tableGeneration ^ Self.forFrames
        for slot in 0..<count {
            let packet = packets + lookup.positions[slot]
            guard packet.pointee.next == .nextHop, packet.pointee.flow != Packet.noFlow else { continue }
            let entry = flows.entry(packet.pointee.flow)
            if let known = entry.route(generation: generation), known.nextHop == packet.pointee.nextHop { continue }
            guard !entry.flags.contains(.wide), admitAgain(packet, entry) else { continue }
            entry.remember(nextHop: packet.pointee.nextHop, label: packet.pointee.label, generation: generation)
        }
    }
}
