import CPlatform
import NetTypes
import Synchronization

/// Flows: every unicast IP packet of a vif that keeps flows, and of a tunnel to its VRF, belongs to a pair of flow entries. Later fragments follow their first (`Fragments`), ICMP
/// errors the flow they are about (`QuotedFlow`).
///
/// - Input: packets with `next` of `route`, `bridge` or `nextHop`.
/// - Output: `flow` and `hash` set, counters and TCP state of the entry advanced; a first packet inserts the pair, as policies say (`FirstPacket`). A routed packet whose entry has a valid
///   cached next hop skips the route lookup.
/// - Drops: flowActionDrop, flowTableFull, pull (a TCP or UDP header that is cut off). A bucket that another worker holds at this moment costs the packet its accounting, not its way.
extension Worker {
    func flowLookup(_ packets: UnsafeMutablePointer<Packet>, _ count: Int) {
        // The packets of a burst came in on one port, and mostly on one vif; where not, each says by itself whether its vif keeps flows.
        let vif = packets.pointee.ingress, flags = vif.pointee.flags, tables = tables
        let keeps = flags.intersection([.keepsFlows, .tagged, .trunk]) == .keepsFlows
        guard keeps || (vif.pointee.kind == .physical || !flags.isDisjoint(with: .sharesPort)) && tables.keepsFlows else { return }
        let flows = tables.flows.reader, keys = keys, hashes = lookup.hashes, positions = lookup.positions
        var selected = 0
        for index in 0..<count {
            let packet = packets + index
            guard packet.pointee.next.rawValue < Packet.Next.crossConnect.rawValue, packet.pointee.l4 != 0 || isPortless(packet),
                keeps || packet.pointee.flags.contains(.tunneled) && tables.keepsFlows(vrf: packet.pointee.vrf)
                    || packet.pointee.ingress.pointee.flags.contains(.keepsFlows)
            else { continue }
            let key = keys + selected
            let proto = packet.pointee.proto
            if packet.pointee.family == .ipv4, proto == IPProtocol.udp.rawValue || proto == IPProtocol.tcp.rawValue {
                key.initialize(
                    to: FlowKey(
                        vrf: packet.pointee.vrf, proto: proto, ipv4Addresses: packet.pointee.network.word64(12),
                        ports: packet.pointee.transport.word32(0)))
            } else if packet.pointee.family == .ipv6, proto == IPProtocol.udp.rawValue || proto == IPProtocol.tcp.rawValue {
                let p = packet.pointee.network, ports = packet.pointee.transport.word32(0)
                key.initialize(
                    to: FlowKey(
                        vrf: packet.pointee.vrf, proto: proto, family: 6, a0: p.word64(8), a1: p.word64(16), a2: p.word64(24), a3: p.word64(32),
                        sourcePort: UInt16(truncatingIfNeeded: ports &>> 16), destinationPort: UInt16(truncatingIfNeeded: ports)))
            } else {
                guard flowKey(packet, key) else { continue }
            }
            hashes[selected] = flows.begin(key)
            positions[selected] = index
            selected &+= 1
        }
        guard selected > 0 else { return }
        if let fat = tables.fat.load() { maskKeys(fat, selected) }
        let indices = lookup.results
        flows.continueLookups(hashes, indices, count: selected)
        let generation = tables.generation.load(ordering: .acquiring)
        tableGeneration = generation
        var missed = 0
        for slot in 0..<selected {
            let packet = packets + positions[slot]
            packet.pointee.hash = UInt32(truncatingIfNeeded: hashes[slot] >> 32) | 1
            let index = flows.finish(keys + slot, hashes[slot], candidate: indices[slot])
            if index != FlowTable.none {
                packet.pointee.flow = index
                if account(packet, index, generation, renews: true) { continue }
                packet.pointee.flow = Packet.noFlow
            }
            // The places of those before are not needed any more.
            if missed < slot { (keys[missed], hashes[missed], positions[missed]) = (keys[slot], hashes[slot], positions[slot]) }
            missed &+= 1
        }
        if missed > 0 { setUpFlows(packets, missed, generation) }
    }

    /// A packet without a transport header: whether it has a flow all the same. Protocols with ports have not: cut off before these they are no use to anybody.
    @inline(never) private func isPortless(_ packet: UnsafeMutablePointer<Packet>) -> Bool {
        if packet.pointee.flags.contains(.laterFragment) || packet.pointee.family == .none { return false }
        switch packet.pointee.proto {
        case IPProtocol.tcp.rawValue, IPProtocol.udp.rawValue, IPProtocol.icmp.rawValue, IPProtocol.icmpv6.rawValue:
            packet.pointee.settle(.drop(.pull))
            return false
        case let other where IPProtocol.leastHeader(other) != 0:
            packet.pointee.settle(.drop(.pull))
            return false
        default: return true
        }
    }

    /// False: the packet has been dealt with: it is an ICMP error, and `follows` the flow it is about.
    @inline(never) func flowKey(_ packet: UnsafeMutablePointer<Packet>, _ key: UnsafeMutablePointer<FlowKey>, follows: Bool = true) -> Bool {
        let source: UInt16, destination: UInt16
        switch packet.pointee.proto {
        case IPProtocol.tcp.rawValue, IPProtocol.udp.rawValue, IPProtocol.sctp.rawValue, IPProtocol.dccp.rawValue, IPProtocol.udpLite.rawValue:
            source = UDP(packet.pointee.transport).sourcePort
            destination = UDP(packet.pointee.transport).destinationPort
        case IPProtocol.icmp.rawValue where packet.pointee.family == .ipv4 && packet.pointee.l4 != 0:
            let type = ICMPv4(packet.pointee.transport).type
            if type == .echoRequest || type == .echoReply {
                // The identifier stands for both ports, so that a reply finds the reverse entry.
                source = ICMPv4(packet.pointee.transport).identifier
                destination = source
            } else {
                if type.isError, follows, followQuoted(packet) { return false }
                (source, destination) = (0, packet.pointee.transport.word16(0))
            }
        case IPProtocol.icmpv6.rawValue where packet.pointee.family == .ipv6 && packet.pointee.l4 != 0:
            let type = ICMPv6(packet.pointee.transport).type
            if type == .echoRequest || type == .echoReply {
                source = ICMPv6(packet.pointee.transport).identifier
                destination = source
            } else {
                if type.isError, follows, followQuoted(packet) { return false }
                (source, destination) = (0, packet.pointee.transport.word16(0))
            }
        // Others have no ports: all of a protocol's packets between two addresses are one flow.
        default: (source, destination) = (0, 0)
        }
        key.initialize(
            to: FlowKey(
                vrf: packet.pointee.vrf, proto: packet.pointee.proto, isIPv4: packet.pointee.family == .ipv4, header: packet.pointee.network,
                sourcePort: source, destinationPort: destination))
        return true
    }

    /// False, where that may be (`renews`): the flow is gone, and the packet is the first of a new one.
    @discardableResult @inline(__always) func account(
        _ packet: UnsafeMutablePointer<Packet>, _ index: UInt32, _ generation: UInt32, renews: Bool = false
    ) -> Bool {
        let entry = tables.flows.reader.entry(index)
        // The reverse entry was made by a packet of the other direction.
        if entry.ingressVif == ForwardingTables.noVif { entry.ingressVif = packet.pointee.ingress.pointee.id }
        entry.count(bytes: packet.pointee.length, now: milliseconds)
        var action = entry.action
        // Drop, and what waits for a decision: all that is odd.
        if action & 1 != 0 {
            action = decideOdd(packet, index, generation, renews: renews)
            if action & 1 != 0 { return action != FlowTable.goneAction }
        }
        if packet.pointee.proto == IPProtocol.tcp.rawValue {
            let change = track(packet, entry)
            if change != .none, note(change, packet, index, renews: renews) { return false }
        }
        if action == FlowAction.nat.rawValue { translate(packet, entry) }
        guard packet.pointee.next == .route else { return true }
        if let route = entry.route(generation: generation) {
            packet.pointee.nextHop = route.nextHop
            packet.pointee.label = route.label
            packet.pointee.next = .nextHop
        } else {
            packet.pointee.flags.insert(.learnsRoute)
        }
        return true
    }

    private func track(_ packet: UnsafePointer<Packet>, _ entry: UnsafeMutablePointer<FlowEntry>) -> FlowTCP.Change {
        let tcp = TCP(packet.pointee.transport)
        if tcp.flags.contains(.syn), tcp.maximumSegmentSizeOffset != 0 {
            entry.maximumSegmentSize = packet.pointee.transport.word16(tcp.maximumSegmentSizeOffset)
        }
        let payload = packet.pointee.length &- Int(packet.pointee.l4) &- tcp.headerLength
        return FlowTCP.track(
            entry, reverse: tables.flows.reader.entry(entry.reverse), flags: tcp.flags.rawValue, sequence: tcp.sequence,
            acknowledgement: tcp.acknowledgment, payload: UInt32(truncatingIfNeeded: max(0, payload)))
    }

    /// After the lookups: what a routed flow's next packets will find in its entry.
    /// False: the flow may not go there, and the packet is settled.
    func remember(_ packet: UnsafeMutablePointer<Packet>, _ generation: UInt32) -> Bool {
        let entry = tables.flows.reader.entry(packet.pointee.flow)
        if entry.flags.contains(.wide) { return true }
        entry.remember(nextHop: packet.pointee.nextHop, label: packet.pointee.label, generation: generation)
        return !tables.policies.isInUse || admitAgain(packet, entry)
    }

    /// The UDP source port of a tunnel packet: entropy for the fabric's ECMP, 49152–65535 (RFC 7510 section 3, RFC 7348 section 5).
    static func entropyPort(_ hash: UInt32) -> UInt16 { 0xC000 | UInt16(truncatingIfNeeded: (hash ^ hash >> 16) & 0x3FFF) }
}
