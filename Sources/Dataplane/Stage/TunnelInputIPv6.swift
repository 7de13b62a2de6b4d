import CPlatform
import NetTypes
import Synchronization

/// What comes in from an IPv6 fabric: tunnel packets for us are decapsulated, neighbour discovery is answered or handed on, the rest is the host's.
///
/// VXLAN (RFC 7348) and MPLS over UDP (RFC 7510) with a UDP checksum of zero (RFC 6935) or a right one; MPLS over GRE (RFC 4023, RFC 7676).
///
/// - Input: a frame with EtherType 0x86dd from a physical vif.
/// - Drops: checksumError, fragmentError, invalidPacket, invalidSource, and what the decapsulation and `toHost` say.
extension Worker {
    @inline(never) func fabricInputIPv6(_ packet: inout Packet) {
        guard IPv6.check(packet.data + Ethernet.size, available: packet.length &- Ethernet.size) else { return toHost(&packet) }
        let ip = IPv6(packet.data + Ethernet.size)
        let headers = ip.headers()
        if headers.proto == .icmpv6, headers.outcome == .upperLayer, fabricNeighbour(&packet, ip, headers) { return }
        let vif = packet.ingress
        guard vif.pointee.owns(ipv6: ip.destination), headers.outcome == .upperLayer else { return toHost(&packet) }
        let transport = Ethernet.size &+ headers.offset
        let available = ip.totalLength &- headers.offset
        switch headers.proto {
        case .udp:
            guard available >= UDP.size else { return toHost(&packet) }
            let udp = UDP(packet.data + transport)
            let port = udp.destinationPort
            guard port == UDP.vxlanPort || port == UDP.mplsPort else { return toHost(&packet) }
            if headers.isFragment { return packet.settle(.drop(.fragmentError)) }
            guard isSourceKnown(ip, vif) else { return packet.settle(.drop(.invalidSource)) }
            guard UDP.check(udp.p, available: available) else { return packet.settle(.drop(.invalidPacket)) }
            packet.trim(to: transport &+ udp.length)
            guard udp.checksum == 0 || isOuterChecksumRight(packet, ip, udp) else { return packet.settle(.drop(.checksumError)) }
            let ecn = ip.trafficClass & 3
            if port == UDP.vxlanPort {
                decapsulateVXLAN(&packet, at: transport &+ UDP.size, ecn: ecn)
            } else {
                decapsulateMPLS(&packet, at: transport &+ UDP.size, ecn: ecn)
            }
        case .gre:
            guard GRE.check(packet.data + transport, available: available) else { return packet.settle(.drop(.invalidPacket)) }
            let gre = GRE(packet.data + transport)
            guard gre.type == .mpls else { return toHost(&packet) }
            if headers.isFragment { return packet.settle(.drop(.fragmentError)) }
            guard isSourceKnown(ip, vif) else { return packet.settle(.drop(.invalidSource)) }
            packet.trim(to: Ethernet.size &+ ip.totalLength)
            decapsulateMPLS(&packet, at: transport &+ gre.headerLength, ecn: ip.trafficClass & 3)
        default: toHost(&packet)
        }
    }

    private func isSourceKnown(_ ip: IPv6, _ vif: UnsafePointer<Vif>) -> Bool {
        !vif.pointee.flags.contains(.checksTunnelSource) || tables.endpoints.contains(ip.source)
    }

    /// A kernel on the other end of a veth leaves checksums to the device. Then the outer one may be unfinished (it is as good as none: the packet was never on a wire),
    /// or finished for an inner packet whose own is not: that one is completed first.
    private func isOuterChecksumRight(_ packet: Packet, _ ip: IPv6, _ udp: UDP) -> Bool {
        let length = udp.length
        let base = Checksum.pseudoHeader(ip, proto: .udp, length: 0)
        let total = base &+ UInt32(truncatingIfNeeded: length)
        if packet.ingress.pointee.flags.contains(.unfinishedChecksums) {
            let checksum = udp.checksum
            if checksum == Checksum.fold(base) || checksum == Checksum.fold(total) { return true }
            if udp.destinationPort == UDP.vxlanPort, length > UDP.size &+ VXLAN.size {
                ChecksumOffload.finish(udp.payload + VXLAN.size, length: length &- UDP.size &- VXLAN.size)
            }
        }
        return Checksum.finish(total &+ Checksum.sum(udp.p, length)) == 0
    }

    /// Neighbour discovery on the fabric (RFC 4861). The host answers for our address where there is one, else we do; advertisements, and solicitations (which
    /// carry a neighbour's address), are also for the control program, which resolves tunnel endpoints. True when the packet is settled or on its way.
    private func fabricNeighbour(_ packet: inout Packet, _ ip: IPv6, _ headers: IPv6.Headers) -> Bool {
        let size = ip.totalLength &- headers.offset
        let message = NeighbourMessage(ip.p + headers.offset)
        guard NeighbourMessage.check(message.p, available: size), ip.hopLimit == 255 else { return false }
        let vif = packet.ingress
        let host = tables.hostVif.load(ordering: .relaxed)
        switch message.header.type {
        case .neighbourAdvertisement:
            // From a workload nothing is learnt; on the fabric it is the control program that judges.
            if host == ForwardingTables.noVif {
                packet.settle(.trap(.neighbour))
                return true
            }
            copyToControlProgram(packet)
            return false
        case .neighbourSolicitation where vif.pointee.owns(ipv6: message.target):
            copyToControlProgram(packet)
            if host != ForwardingTables.noVif { return false }
            if let refusal = advertise(packet, via: vif) { packet.settle(.drop(refusal)) } else { packet.settle(.consumed) }
            return true
        case .neighbourSolicitation where host == ForwardingTables.noVif:
            packet.settle(.consumed)
            return true
        default: return false
        }
    }

    private func copyToControlProgram(_ packet: Packet) {
        guard trap(packet, TrapPacket.Reason.neighbour.rawValue) == nil else { return }
        counters.add(.generated)
        counters.add(.trapped)
    }

    /// Sends the answer to a solicitation for our address on the fabric; the reason why not, when it cannot.
    private func advertise(_ packet: Packet, via vif: UnsafePointer<Vif>) -> DropReason? {
        guard var frame = allocate() else { return .headAllocation }
        let length = NeighbourAdvertisement.make(
            from: packet.data, length: packet.length, into: frame.start, capacity: Int(frame.tailroom), mac: vif.pointee.mac, isRouter: false,
            overrides: true)
        guard length > 0 else {
            release(frame)
            return .invalidPacket
        }
        frame.length = UInt32(truncatingIfNeeded: length)
        frame.tailroom &-= frame.length
        counters.add(.generated)
        stage(frame, vif.pointee.id)
        return nil
    }
}
