import NetTypes

/// Packets from addresses that mean something on one link only: link-local (RFC 3927 section 7, RFC 4291 section 2.5.6), or none yet (0.0.0.0/8, RFC 1122 section 3.2.1.3; ::,
/// RFC 4291 section 2.5.2). What such a packet asks of this router it gets: the gateway's address, DNS, the services of the network. It goes no further: who has it would not
/// know whom to answer, and no check of sources could tell whose it is.
///
/// - Input: a burst in which such a source was parsed, after its input stage.
/// - Output: as before; routed packets that would be forwarded are settled. Bridged ones stay on their link.
/// - Drops: invalidSource.
extension Worker {
    @inline(never) func refuseLinkSources(_ packets: UnsafeMutablePointer<Packet>, _ count: Int) {
        linkSourcesSeen = false
        for index in 0..<count {
            let packet = packets + index
            guard packet.pointee.flags.contains(.routed), packet.pointee.next.rawValue < Packet.Next.crossConnect.rawValue,
                isFromLink(packet.pointee), !isForRouter(packet.pointee)
            else { continue }
            packet.pointee.settle(.drop(.invalidSource))
        }
    }

    func isFromLink(_ packet: Packet) -> Bool {
        switch packet.family {
        case .ipv4: return IPv4.isOfLink(IPv4(packet.network).source)
        case .ipv6: return IPv6(packet.network).source.isOfLink
        case .none: return false
        }
    }

    /// Its route, or its label, leads to the router itself.
    private func isForRouter(_ packet: Packet) -> Bool {
        var vrf = packet.vrf, id = packet.nextHop
        var isKnown = packet.next == .nextHop
        for _ in 0..<Worker.maximumChain {
            if !isKnown {
                let leaf = tables.leaf(vrf: vrf, destinationOf: packet.network, packet.family)
                guard leaf != 0 else { return false }
                id = tables.leaves.reader.nextHop(leaf)
            }
            guard let nextHop = tables.nextHops.load(id), let end = indirectTarget(nextHop) else { return false }
            guard end.pointee.kind == .vrf else { return end.pointee.kind == .receive }
            vrf = end.pointee.vrf
            isKnown = false
        }
        return false
    }
}
