import CPlatform
import NetTypes

/// Into a tunnel whose endpoints are IPv6 addresses: what `tunnelOutput` does, with the larger header.
///
/// - Input: a packet with its next hop, a record of kind `tunnelIPv6`.
/// - Output: settled; forwarded in its outer headers, or cut, or refused.
/// - Drops: invalidSource, invalidInterface, invalidNextHop, packetTooBig, fragmentError, ttlExceeded, push, headAllocation.
///
/// A stage of its own and not a branch in the other: the IPv4 fabric is the common one, and its packets pay nothing for this.
extension Worker {
    @inline(never) func tunnelIPv6Output(_ packet: inout Packet, _ nextHop: UnsafePointer<NextHop>) {
        // Split horizon: what came out of a tunnel does not go into another.
        if packet.flags.contains(.tunneled), !packet.flags.contains(.generated) { return packet.settle(.drop(.invalidSource)) }
        guard let fabric = tables.vifs.load(nextHop.pointee.vif) else { return packet.settle(.drop(.invalidInterface)) }
        guard packet.label != Packet.noLabel else { return packet.settle(.drop(.invalidNextHop)) }
        let isVXLAN = nextHop.pointee.encapsulation == .vxlan
        if !isVXLAN, !packet.flags.contains(.routed) { return packet.settle(.drop(.invalidNextHop)) }
        let mtu = nextHop.pointee.encapsulation.innerMTU(Int(fabric.pointee.mtu), isIPv6: true)
        let fit = fit(packet, mtu)
        if fit == .refused { return refuse(&packet, mtu: mtu, out: fabric) }
        guard lowerTTL(&packet) else { return }
        if packet.flags.contains(.routed), isVXLAN { nextHop.pointee.writeHeader(packet.data) }
        if packet.proto == IPProtocol.tcp.rawValue, packet.l4 != 0, TCP(packet.transport).flags.contains(.syn) {
            MSSClamp.apply(packet.network, length: packet.networkLength, maximum: MSSClamp.maximum(mtu: mtu, isIPv6: packet.family == .ipv6))
        }
        let hash = flowHash(&packet)
        let label = packet.label
        if fit == .fits {
            guard encapsulateIPv6(&packet.frame, nextHop, label: label, hash: hash) else { return packet.settle(.drop(.push)) }
            return packet.settle(.forward(fabric.pointee.id))
        }
        cut(&packet, fit, mtu: mtu) { worker, frame in
            var frame = frame
            if worker.encapsulateIPv6(&frame, nextHop, label: label, hash: hash) {
                worker.stage(frame, fabric.pointee.id)
            } else {
                worker.drop(frame, .push, vif: fabric.pointee.id)
            }
        }
    }

    /// As `encapsulate`, for a record of kind `tunnelIPv6`. `hash` gives the UDP source port and the flow label. False when there is no headroom, or the
    /// record is of another kind.
    func encapsulateIPv6(_ frame: inout vr_frame, _ nextHop: UnsafePointer<NextHop>, label: UInt32, hash: UInt32) -> Bool {
        guard let outer = nextHop.pointee.outerIPv6 else { return false }
        let trafficClass = outerTrafficClass(UnsafeRawPointer(frame.start))
        let added = Int(nextHop.pointee.rewriteLength)
        let removed = nextHop.pointee.encapsulation == .vxlan ? 0 : Ethernet.size
        guard Int(frame.headroom) &+ removed >= added else { return false }
        let grown = added &- removed
        frame.data -= grown
        frame.headroom = UInt32(truncatingIfNeeded: Int(frame.headroom) &- grown)
        frame.length = UInt32(truncatingIfNeeded: Int(frame.length) &+ grown)
        let p = frame.start
        let header = IPv6(p + Ethernet.size)
        let payload = Int(frame.length) &- Ethernet.size &- IPv6.size
        let transport = p + (Ethernet.size + IPv6.size)
        switch nextHop.pointee.encapsulation {
        case .vxlan:
            p.copyMemory(from: outer, byteCount: Ethernet.size + IPv6.size + UDP.size + VXLAN.size)
            UDP(transport).sourcePort = Worker.entropyPort(hash)
            UDP(transport).length = payload
            VXLAN(transport + UDP.size).vni = label
        case .mplsOverUDP:
            p.copyMemory(from: outer, byteCount: Ethernet.size + IPv6.size + UDP.size)
            UDP(transport).sourcePort = Worker.entropyPort(hash)
            UDP(transport).length = payload
            MPLS.Fields(label: label, trafficClass: UInt8(truncatingIfNeeded: label &>> 24) & 7).emit(to: transport + UDP.size)
        case .mplsOverGRE:
            p.copyMemory(from: outer, byteCount: Ethernet.size + IPv6.size + GRE.size)
            MPLS.Fields(label: label, trafficClass: UInt8(truncatingIfNeeded: label &>> 24) & 7).emit(to: transport + GRE.size)
        }
        header.payloadLength = payload
        header.trafficClass = trafficClass
        header.flowLabel = Worker.flowLabel(hash)
        return true
    }

    /// The outer flow label: the inner flow's, so that the fabric's ECMP may do without ports (RFC 6438 section 3). Never 0, which means none (RFC 6437).
    static func flowLabel(_ hash: UInt32) -> UInt32 {
        let label = (hash ^ hash >> 20) >> 1 & 0xF_FFFF
        return label == 0 ? 1 : label
    }

    /// DSCP and ECN of the outer header: the inner ones (RFC 2983 section 3.1 for the DSCP; RFC 6040 section 4.1, normal mode, for ECN); for what is not IP that of its
    /// class.
    func outerTrafficClass(_ frame: UnsafeRawPointer) -> UInt8 {
        switch Ethernet(reading: frame).type {
        case .ipv4: IPv4(reading: frame + Ethernet.size).typeOfService
        case .ipv6: IPv6(reading: frame + Ethernet.size).trafficClass
        default: outgoingTypeOfService
        }
    }
}
