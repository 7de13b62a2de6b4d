import CPlatform
import NetTypes

/// Fragments on their way through: a later fragment has no ports, so it is given its first one's; and what fragments are abused for is refused.
///
/// - Input: the packets of a burst in which there is a fragment, after their input stage.
/// - Output: fragments have the hash of their datagram's flow, so that they take one path of an ECMP next hop and of the fabric; later ones are counted in the flow's entry,
///   and share its fate. A later fragment that comes before the first waits for it, goes by its addresses, or does not go at all (`FragmentPolicy`).
/// - Drops: fragmentError: a first fragment too short for the transport header it should have (RFC 1858, RFC 7112), one that could overwrite it (RFC 3128), a piece but the last that is
///   not a multiple of 8 octets, octets past 65535, overlaps (RFC 5722), duplicates. noFragmentEntries: the table, or the vif's half of it, is full. flowActionDrop.
extension Worker {
    /// Returns how many packets are left in the burst: those that wait for their first fragment are not.
    @inline(never) func trackFragments(_ packets: UnsafeMutablePointer<Packet>, _ count: Int) -> Int {
        fragmentsSeen = false
        var kept = 0
        for index in 0..<count {
            let packet = packets + kept
            if kept != index { packet.update(from: packets + index, count: 1) }
            kept &+= 1
            guard packet.pointee.flags.contains(.fragment), packet.pointee.next.rawValue < Packet.Next.crossConnect.rawValue else { continue }
            switch trackFragment(packet, kept &- 1) {
            case .passes: break
            case .dropped(let reason): packet.pointee.settle(.drop(reason))
            case .held: kept &-= 1
            }
        }
        return kept
    }

    private enum FragmentOutcome {
        case passes, held
        case dropped(DropReason)
    }

    /// After the flow stage, in which a first fragment of the same burst may have made the flow: later fragments are counted in it, and share its fate.
    @inline(never) func followFlows(_ packets: UnsafeMutablePointer<Packet>) {
        let flows = tables.flows.reader
        for slot in 0..<fragmentFollowers {
            let packet = packets + followers[slot].position
            let index = flows.lookup(&followers[slot].key, hash: followers[slot].hash)
            guard !packet.pointee.isSettled, index != FlowTable.none else { continue }
            let entry = flows.entry(index)
            entry.count(bytes: packet.pointee.length, now: milliseconds)
            packet.pointee.flow = index
            switch entry.action {
            case FlowAction.forward.rawValue: break
            case FlowAction.nat.rawValue: translate(packet, entry)
            default: packet.pointee.settle(.drop(.flowActionDrop))
            }
        }
        fragmentFollowers = 0
    }

    private func trackFragment(_ packet: UnsafeMutablePointer<Packet>, _ index: Int) -> FragmentOutcome {
        let piece = FragmentPiece(packet.pointee)
        guard piece.isSound(packet.pointee) else { return .dropped(.fragmentError) }
        guard
            let entry = fragments.entry(
                piece.key, proto: packet.pointee.proto, vif: packet.pointee.ingress.pointee.id, now: milliseconds)
        else { return .dropped(.noFragmentEntries) }
        // Until the lifetime ends, what belongs to a refused datagram is recognised and dropped.
        if entry.pointee.state.contains(.refused) { return .dropped(.fragmentError) }
        guard fragments.mark(entry, offset: piece.offset, length: piece.length, isLast: !piece.moreFollow) == .fine else {
            return .dropped(.fragmentError)
        }
        if piece.offset == 0 {
            entry.pointee.state.insert(.hasFirst)
            // Of IPv6 only the first fragment shows what follows the extension headers.
            entry.pointee.proto = packet.pointee.proto
            if let ports = FragmentPiece.ports(packet.pointee) {
                entry.pointee.ports = ports
                entry.pointee.state.insert(.hasPorts)
            }
        } else if !entry.pointee.state.contains(.hasFirst) {
            switch fragmentPolicy {
            case .forward: break
            case .drop: return .dropped(.noFragmentEntries)
            case .hold: return hold(packet, piece.key, entry).map { FragmentOutcome.dropped($0) } ?? .held
            }
        }
        let known = entry.pointee
        if fragments.isComplete(entry) { fragments.release(entry) }
        if piece.offset == 0, known.state.contains(.holds) { wakeHeld(piece.key, known) }
        join(packet, known, index, isFirst: piece.offset == 0)
        return .passes
    }

    /// Gives a fragment what is known of its datagram. `index`: its place in the burst.
    func join(_ packet: UnsafeMutablePointer<Packet>, _ known: FragmentTable.Entry, _ index: Int, isFirst: Bool = false) {
        // Without ports and without flows the hash is that of whole packets.
        guard known.state.contains(.hasPorts), known.ports != 0 || mayHaveFlow(packet) else {
            packet.pointee.hash = tupleHash(packet.pointee, [.proto, .source, .destination])
            return
        }
        follow(packet, known, index, isFirst: isFirst)
    }

    /// Gives the fragment its flow's hash, and notes a later one for `followFlows`.
    private func follow(_ packet: UnsafeMutablePointer<Packet>, _ known: FragmentTable.Entry, _ index: Int, isFirst: Bool) {
        var key = FlowKey(
            vrf: packet.pointee.vrf, proto: known.proto, isIPv4: packet.pointee.family == .ipv4, header: packet.pointee.network,
            sourcePort: UInt16(truncatingIfNeeded: known.ports &>> 16), destinationPort: UInt16(truncatingIfNeeded: known.ports))
        if let fat = tables.fat.load() { _ = fat.pointee.mask(&key) }
        let hash = tables.flows.reader.begin(&key)
        packet.pointee.hash = UInt32(truncatingIfNeeded: hash &>> 32) | 1
        // The first fragment has its ports, and passes the flow stage like any packet.
        guard !isFirst, mayHaveFlow(packet) else { return }
        followers[fragmentFollowers] = Follower(key: key, hash: hash, position: index)
        fragmentFollowers &+= 1
    }

    private func mayHaveFlow(_ packet: UnsafePointer<Packet>) -> Bool {
        packet.pointee.ingress.pointee.flags.contains(.keepsFlows) || packet.pointee.flags.contains(.tunneled)
    }

    /// A later fragment whose flow is to be looked up.
    struct Follower {
        var key: FlowKey
        var hash: UInt64
        var position: Int
    }
}

/// What becomes of a later fragment that comes before its datagram's first.
public enum FragmentPolicy: UInt8, Hashable, Sendable, CaseIterable {
    /// It waits for the first, 2 s at most, in bounded numbers (`HeldFragment`), and follows it.
    case hold
    /// It goes the way of its addresses; its flow does not see it.
    case forward
    case drop
}

/// Where a fragment lies in its datagram.
struct FragmentPiece {
    let key: FragmentTable.Key
    /// Octets, of and in the fragmented part.
    let offset: Int
    let length: Int
    let moreFollow: Bool

    /// Of a packet with the `fragment` flag: its headers have been checked.
    init(_ packet: Packet) {
        if packet.family == .ipv4 {
            let ip = IPv4(packet.network)
            key = .init(
                sourceHigh: 0, sourceLow: UInt64(ip.source), destinationHigh: 0, destinationLow: UInt64(ip.destination),
                identification: UInt32(ip.identification), vrf: packet.vrf, kind: UInt16(packet.proto) | 4 << 8)
            offset = ip.fragmentOffset
            length = ip.payloadLength
            moreFollow = ip.moreFragments
        } else {
            let ip = IPv6(packet.network)
            let headers = ip.headers(), source = ip.source, destination = ip.destination
            key = .init(
                sourceHigh: source.high, sourceLow: source.low, destinationHigh: destination.high, destinationLow: destination.low,
                identification: headers.identification, vrf: packet.vrf, kind: 6 << 8)
            offset = headers.fragmentOffset
            length = max(0, ip.totalLength &- headers.fragmentHeader &- 8)
            moreFollow = headers.moreFragments
        }
    }

    func isSound(_ packet: Packet) -> Bool {
        guard length > 0, offset &+ length <= 0xFFFF, !moreFollow || length & 7 == 0 else { return false }
        guard offset <= 8 else { return true }
        switch packet.proto {
        // At offset 8 a fragment could overwrite the flags of the TCP header (RFC 3128).
        case IPProtocol.tcp.rawValue: return offset == 0 && packet.l4 != 0
        case IPProtocol.udp.rawValue, IPProtocol.icmp.rawValue, IPProtocol.icmpv6.rawValue: return offset != 0 || packet.l4 != 0
        case IPProtocol.sctp.rawValue, IPProtocol.dccp.rawValue, IPProtocol.udpLite.rawValue: return offset != 0 || packet.l4 != 0
        default: return true
        }
    }

    /// The ports of a first fragment as the key of its flow has them (`Worker.flowKey`), the source's in the high half: 0 of a protocol without ports. Nil when they are cut off.
    static func ports(_ packet: Packet) -> UInt32? {
        switch packet.proto {
        case IPProtocol.tcp.rawValue, IPProtocol.udp.rawValue, IPProtocol.icmp.rawValue, IPProtocol.icmpv6.rawValue:
            if packet.l4 == 0 { return nil }
        case let other: if packet.l4 == 0, IPProtocol.leastHeader(other) != 0 { return nil }
        }
        switch packet.proto {
        case IPProtocol.tcp.rawValue, IPProtocol.udp.rawValue, IPProtocol.sctp.rawValue, IPProtocol.dccp.rawValue, IPProtocol.udpLite.rawValue:
            return packet.transport.word32(0)
        case IPProtocol.icmp.rawValue where packet.family == .ipv4, IPProtocol.icmpv6.rawValue where packet.family == .ipv6:
            let message = ICMPv4(packet.transport)
            let isEcho =
                packet.family == .ipv4
                ? message.type == .echoRequest || message.type == .echoReply
                : ICMPv6(packet.transport).type == .echoRequest || ICMPv6(packet.transport).type == .echoReply
            guard isEcho else { return UInt32(packet.transport.word16(0)) }
            let identifier = UInt32(packet.transport.word16(4))
            return identifier &<< 16 | identifier
        default: return 0
        }
    }
}
