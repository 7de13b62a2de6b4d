import CPlatform
import NetTypes

/// Memory for burst lookups: the packets of a burst that take part, their keys and results, side by side.
final class LookupScratch {
    let positions = UnsafeMutablePointer<Int>.allocate(capacity: Int(VR_BURST))
    let roots = UnsafeMutablePointer<UInt32>.allocate(capacity: Int(VR_BURST))
    let steps = UnsafeMutablePointer<RouteReader.Step>.allocate(capacity: Int(VR_BURST))
    let ipv6 = UnsafeMutablePointer<IPv6Words>.allocate(capacity: Int(VR_BURST))
    let macs = UnsafeMutablePointer<UInt64>.allocate(capacity: Int(VR_BURST))
    let results = UnsafeMutablePointer<UInt32>.allocate(capacity: Int(VR_BURST))
    let labels = UnsafeMutablePointer<UInt32>.allocate(capacity: Int(VR_BURST))
    let hashes = UnsafeMutablePointer<UInt64>.allocate(capacity: Int(VR_BURST))

    deinit {
        positions.deallocate()
        roots.deallocate()
        steps.deallocate()
        ipv6.deallocate()
        macs.deallocate()
        results.deallocate()
        labels.deallocate()
        hashes.deallocate()
    }
}

/// Longest-prefix match for the packets of a burst that are routed, MAC lookup for those that are bridged; each kind all at once, so that their cache
/// misses overlap.
///
/// - Input: packets with `next` of `route` (`vrf` and a checked network header) or `bridge` (`vrf` and a unicast destination MAC).
/// - Output: `nextHop`, `label`, `next == .nextHop`.
/// - Drops: noRoute, noL2Route.
extension Worker {
    func tableLookup(_ packets: UnsafeMutablePointer<Packet>, _ count: Int) {
        let tables = tables, routes = tables.routes.reader, leaves = tables.leaves.reader, steps = lookup.steps
        // Packets of one burst mostly are of one VRF.
        var vrf = packets.pointee.vrf, start = routes.start(tables.roots(vrf).ipv4)
        var left = 0, others = 0
        for index in 0..<count {
            let packet = packets + index
            guard packet.pointee.next == .route, packet.pointee.family == .ipv4 else {
                if packet.pointee.next.rawValue <= Packet.Next.bridge.rawValue { others &+= 1 }
                continue
            }
            if packet.pointee.vrf != vrf {
                vrf = packet.pointee.vrf
                start = routes.start(tables.roots(vrf).ipv4)
            }
            let leaf = routes.begin(start, IPv4(packet.pointee.network).destination, packet: index, steps + left)
            if leaf != 0 { assign(packet, leaf, leaves) } else { left &+= 1 }
        }
        if left > 0 {
            routes.walk(
                steps, left, restart: { (tables.roots(packets[$0].vrf).ipv4, IPv4(packets[$0].network).destination) },
                finish: { assign(packets + $0, $1, leaves) })
        }
        if others > 0 {
            routeIPv6(packets, count)
            bridge(packets, count)
        }
    }

    @inline(__always) private func assign(_ packet: UnsafeMutablePointer<Packet>, _ leaf: UInt32, _ leaves: RouteLeaves.Reader) {
        guard leaf != 0 else { return packet.pointee.settle(.drop(.noRoute)) }
        let target = leaves.target(leaf)
        packet.pointee.nextHop = target.nextHop
        packet.pointee.label = target.label
        packet.pointee.next = .nextHop
    }

    private func routeIPv6(_ packets: UnsafeMutablePointer<Packet>, _ count: Int) {
        var selected = 0
        for index in 0..<count where packets[index].next == .route && packets[index].family == .ipv6 {
            let destination = IPv6(packets[index].network).destination
            lookup.positions[selected] = index
            lookup.roots[selected] = tables.roots(packets[index].vrf).ipv6
            lookup.ipv6[selected] = IPv6Words(high: destination.high, low: destination.low)
            selected &+= 1
        }
        guard selected > 0 else { return }
        tables.routes.reader.lookupIPv6(roots: lookup.roots, addresses: lookup.ipv6, leaves: lookup.results, count: selected)
        for slot in 0..<selected { assign(packets + lookup.positions[slot], lookup.results[slot], tables.leaves.reader) }
    }

    private func bridge(_ packets: UnsafeMutablePointer<Packet>, _ count: Int) {
        var selected = 0
        for index in 0..<count where packets[index].next == .bridge {
            lookup.positions[selected] = index
            lookup.roots[selected] = packets[index].vrf
            lookup.macs[selected] = Ethernet(packets[index].data).destination
            selected &+= 1
        }
        guard selected > 0 else { return }
        tables.bridge.reader.lookup(vrfs: lookup.roots, macs: lookup.macs, nextHops: lookup.results, labels: lookup.labels, count: selected)
        for slot in 0..<selected {
            let packet = packets + lookup.positions[slot]
            guard lookup.results[slot] != .max else {
                unknownUnicast(&packet.pointee)
                continue
            }
            packet.pointee.nextHop = lookup.results[slot]
            packet.pointee.label = lookup.labels[slot]
            packet.pointee.next = .nextHop
        }
    }
}
