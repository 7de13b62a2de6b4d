import CPlatform
import NetTypes

/// Memory for burst lookups: the packets of a burst that take part, their keys and results, side by side.
final class LookupScratch {
    let positions = UnsafeMutablePointer<Int>.allocate(capacity: Int(VR_BURST))
    let roots = UnsafeMutablePointer<UInt32>.allocate(capacity: Int(VR_BURST))
    let ipv4 = UnsafeMutablePointer<UInt32>.allocate(capacity: Int(VR_BURST))
    let ipv6 = UnsafeMutablePointer<IPv6Words>.allocate(capacity: Int(VR_BURST))
    let macs = UnsafeMutablePointer<UInt64>.allocate(capacity: Int(VR_BURST))
    let results = UnsafeMutablePointer<UInt32>.allocate(capacity: Int(VR_BURST))
    let labels = UnsafeMutablePointer<UInt32>.allocate(capacity: Int(VR_BURST))
    let hashes = UnsafeMutablePointer<UInt64>.allocate(capacity: Int(VR_BURST))

    deinit {
        positions.deallocate()
        roots.deallocate()
        ipv4.deallocate()
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
        var ipv4 = 0, ipv6 = 0, bridged = 0
        for index in 0..<count {
            let packet = packets + index
            switch packet.pointee.next {
            case .route where packet.pointee.family == .ipv4:
                lookup.positions[ipv4] = index
                lookup.roots[ipv4] = tables.roots(packet.pointee.vrf).ipv4
                lookup.ipv4[ipv4] = IPv4(packet.pointee.network).destination
                ipv4 &+= 1
            case .route: ipv6 &+= 1
            case .bridge: bridged &+= 1
            case .nextHop, .crossConnect, .settled: break
            }
        }
        if ipv4 > 0 {
            tables.routes.lookupIPv4(roots: lookup.roots, addresses: lookup.ipv4, leaves: lookup.results, count: ipv4)
            assignRoutes(packets, ipv4)
        }
        if ipv6 > 0 { routeIPv6(packets, count) }
        if bridged > 0 { bridge(packets, count) }
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
        tables.routes.lookupIPv6(roots: lookup.roots, addresses: lookup.ipv6, leaves: lookup.results, count: selected)
        assignRoutes(packets, selected)
    }

    private func assignRoutes(_ packets: UnsafeMutablePointer<Packet>, _ selected: Int) {
        for slot in 0..<selected {
            let packet = packets + lookup.positions[slot]
            let leaf = lookup.results[slot]
            guard leaf != 0 else {
                packet.pointee.settle(.drop(.noRoute))
                continue
            }
            packet.pointee.nextHop = tables.leaves.nextHop(leaf)
            packet.pointee.label = tables.leaves.label(leaf)
            packet.pointee.next = .nextHop
        }
    }

    private func bridge(_ packets: UnsafeMutablePointer<Packet>, _ count: Int) {
        var selected = 0
        for index in 0..<count where packets[index].next == .bridge {
            lookup.positions[selected] = index
            lookup.roots[selected] = packets[index].vrf
            lookup.macs[selected] = Ethernet(packets[index].data).destination
            selected &+= 1
        }
        tables.bridge.lookup(vrfs: lookup.roots, macs: lookup.macs, nextHops: lookup.results, labels: lookup.labels, count: selected)
        for slot in 0..<selected {
            let packet = packets + lookup.positions[slot]
            guard lookup.results[slot] != .max else {
                packet.pointee.settle(.drop(.noL2Route))
                continue
            }
            packet.pointee.nextHop = lookup.results[slot]
            packet.pointee.label = lookup.labels[slot]
            packet.pointee.next = .nextHop
        }
    }
}
