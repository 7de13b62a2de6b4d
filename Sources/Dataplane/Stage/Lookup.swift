import CPlatform
import NetTypes

/// Memory for burst lookups: the packets of a burst that take part, their keys and results, side by side.
final class LookupScratch {
    let positions = UnsafeMutablePointer<Int>.allocate(capacity: Int(VR_BURST))
    let roots = UnsafeMutablePointer<UInt32>.allocate(capacity: Int(VR_BURST))
    let steps = UnsafeMutablePointer<RouteReader.Step>.allocate(capacity: Int(VR_BURST))
    /// Where the lookups of the VRF that was last asked about begin.
    let start = UnsafeMutablePointer<RouteReader.Start>.allocate(capacity: 1)
    let startIPv6 = UnsafeMutablePointer<RouteReader.StartIPv6>.allocate(capacity: 1)
    let stepsIPv6 = UnsafeMutablePointer<RouteReader.StepIPv6>.allocate(capacity: Int(VR_BURST))
    let macs = UnsafeMutablePointer<UInt64>.allocate(capacity: Int(VR_BURST))
    let results = UnsafeMutablePointer<UInt32>.allocate(capacity: Int(VR_BURST))
    let labels = UnsafeMutablePointer<UInt32>.allocate(capacity: Int(VR_BURST))
    let hashes = UnsafeMutablePointer<UInt64>.allocate(capacity: Int(VR_BURST))

    deinit {
        positions.deallocate()
        roots.deallocate()
        steps.deallocate()
        start.deallocate()
        startIPv6.deallocate()
        stepsIPv6.deallocate()
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
/// - Drops: noRoute, noL2Route, and those of `admitBridged`.
extension Worker {
    func tableLookup(_ packets: UnsafeMutablePointer<Packet>, _ count: Int) {
        let tables = tables, routes = tables.routes.reader, leaves = tables.leaves.reader, steps = lookup.steps
        // Packets of one burst mostly are of one VRF.
        var vrf = packets.pointee.vrf
        let start = lookup.start
        begin(vrf, start)
        var step = steps
        /// One bit for each `next` of the others.
        var others: UInt32 = 0
        for index in 0..<count {
            let packet = packets + index
            guard packet.pointee.next == .route, packet.pointee.family == .ipv4 else {
                others |= 1 &<< UInt32(packet.pointee.next.rawValue)
                continue
            }
            if packet.pointee.vrf != vrf {
                vrf = packet.pointee.vrf
                begin(vrf, start)
            }
            let leaf = routes.begin(start.pointee, IPv4(packet.pointee.network).destination, packet: index, step)
            if leaf != 0 { assign(packet, leaf, leaves) } else { step += 1 }
        }
        if step > steps {
            routes.walk(
                steps, step - steps, restart: { (tables.roots(packets[$0].vrf).ipv4, IPv4(packets[$0].network).destination) },
                finish: { assign(packets + $0, $1, leaves) })
        }
        if others & 1 &<< UInt32(Packet.Next.route.rawValue) != 0 { routeIPv6(packets, count) }
        if others & 1 &<< UInt32(Packet.Next.bridge.rawValue) != 0 { bridge(packets, count) }
    }

    // In memory, and out of the loops, which have no register to spare.
    @inline(never) private func begin(_ vrf: UInt32, _ start: UnsafeMutablePointer<RouteReader.Start>) {
        start.initialize(to: tables.routes.reader.start(tables.roots(vrf).ipv4))
    }
    @inline(never) private func begin(_ vrf: UInt32, _ start: UnsafeMutablePointer<RouteReader.StartIPv6>) {
        start.initialize(to: tables.routes.reader.startIPv6(tables.roots(vrf).ipv6))
    }

    @inline(__always) private func assign(_ packet: UnsafeMutablePointer<Packet>, _ leaf: UInt32, _ leaves: RouteLeaves.Reader) {
        guard leaf != 0 else { return packet.pointee.settle(.drop(.noRoute)) }
        packet.pointee.target = leaves.target(leaf)
        packet.pointee.next = .nextHop
    }

    private func routeIPv6(_ packets: UnsafeMutablePointer<Packet>, _ count: Int) {
        let tables = tables, routes = tables.routes.reader, leaves = tables.leaves.reader, steps = lookup.stepsIPv6
        var vrf = packets.pointee.vrf
        let start = lookup.startIPv6
        begin(vrf, start)
        var left = 0
        for index in 0..<count {
            let packet = packets + index
            guard packet.pointee.next == .route, packet.pointee.family == .ipv6 else { continue }
            if packet.pointee.vrf != vrf {
                vrf = packet.pointee.vrf
                begin(vrf, start)
            }
            let destination = IPv6(packet.pointee.network).destination
            let leaf = routes.begin(start.pointee, destination.high, destination.low, packet: index, steps + left)
            if leaf != 0 { assign(packet, leaf, leaves) } else { left &+= 1 }
        }
        guard left > 0 else { return }
        routes.walk(
            steps, left,
            restart: {
                let destination = IPv6(packets[$0].network).destination
                return (tables.roots(packets[$0].vrf).ipv6, (destination.high, destination.low))
            }, finish: { assign(packets + $0, $1, leaves) })
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
            packet.pointee.target = UInt64(lookup.labels[slot]) &<< 32 | UInt64(lookup.results[slot])
            packet.pointee.next = .nextHop
        }
        if tables.policies.isInUse { admitBridged(packets, selected) }
    }
}
