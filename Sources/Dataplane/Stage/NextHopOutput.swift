import CPlatform
import NetTypes
import Synchronization

/// Last stage before settling: what the next hop does with the packet.
///
/// - Input: packets with `next` of `nextHop` or `crossConnect`.
/// - Output: settled packets; their octets are ready for the wire.
/// - Drops: discards, invalidNextHop, packetLoop, ttlExceeded, push, packetTooBig, fragmentError, headAllocation, invalidInterface, nowhereToGo,
///   invalidSource, interfaceTransmitDiscard.
extension Worker {
    func nextHopOutput(_ packets: UnsafeMutablePointer<Packet>, _ count: Int) {
        let tables = tables, nextHops = tables.nextHops, vifs = tables.vifs
        let generation = tables.generation.load(ordering: .relaxed)
        for index in 0..<count {
            let packet = packets + index
            guard packet.pointee.next == .nextHop, let nextHop = nextHops.load(packet.pointee.nextHop) else {
                withoutNextHop(&packet.pointee)
                continue
            }
            if packet.pointee.flow != Packet.noFlow { remember(packet.pointee, generation) }
            // Routed IPv4 to a local workload, small enough, with hops left: what nearly every packet is that is not for a tunnel.
            let flags = packet.pointee.flags
            guard nextHop.pointee.kind == .encap, nextHop.pointee.rewrites, packet.pointee.family == .ipv4, !flags.contains(.mayBeSegmented),
                let vif = vifs.load(nextHop.pointee.vif), packet.pointee.networkLength <= Int(vif.pointee.mtu)
            else {
                run(&packet.pointee, nextHop)
                continue
            }
            let frame = packet.pointee.data
            if flags.contains(.lowersTTL) {
                let ip = IPv4(frame + Ethernet.size)
                guard ip.timeToLive > 1 else {
                    _ = expire(&packet.pointee)
                    continue
                }
                ip.decrementTimeToLive()
            }
            nextHop.pointee.writeHeader(frame)
            packet.pointee.nextHop = vif.pointee.id
            packet.pointee.next = .forward
        }
    }

    @inline(never) private func withoutNextHop(_ packet: inout Packet) {
        switch packet.next {
        case .forward, .drop, .trap, .consumed: return
        case .crossConnect: crossConnectOutput(&packet)
        case .nextHop: packet.settle(.drop(.invalidNextHop))
        case .route, .bridge: packet.settle(.drop(.misc))
        }
    }

    private func run(_ packet: inout Packet, _ nextHop: UnsafePointer<NextHop>) {
        var nextHop = nextHop
        if nextHop.pointee.kind == .ecmp {
            guard let member = chooseMember(&packet, nextHop) else { return packet.settle(.drop(.invalidNextHop)) }
            nextHop = member
        }
        switch nextHop.pointee.kind {
        case .discard: packet.settle(.drop(.discards))
        case .receive: receiveOutput(&packet, nextHop)
        case .resolve: packet.settle(.trap(.resolve))
        case .encap: workloadOutput(&packet, nextHop)
        case .tunnel: tunnelOutput(&packet, nextHop)
        case .tunnelIPv6: tunnelIPv6Output(&packet, nextHop)
        case .vrf:
            // A route that leads into another VRF: one more lookup, once.
            packet.vrf = nextHop.pointee.vrf
            let roots = tables.roots(packet.vrf)
            let leaf =
                switch packet.family {
                case .ipv4: tables.routes.lookupIPv4(roots.ipv4, IPv4(packet.network).destination)
                case .ipv6: tables.routes.lookupIPv6(roots.ipv6, IPv6(packet.network).destination.high, IPv6(packet.network).destination.low)
                case .none: UInt32(0)
                }
            guard leaf != 0 else { return packet.settle(.drop(.noRoute)) }
            guard let inner = tables.nextHops.load(tables.leaves.nextHop(leaf)), inner.pointee.kind != .vrf, inner.pointee.kind != .ecmp else {
                return packet.settle(.drop(.packetLoop))
            }
            packet.flow = Packet.noFlow
            packet.nextHop = tables.leaves.nextHop(leaf)
            packet.label = tables.leaves.label(leaf)
            packet.next = .nextHop
            run(&packet, inner)
        case .ecmp: packet.settle(.drop(.packetLoop))
        }
    }

    /// A member by the flow's hash, so that a flow keeps its path; packets without ports go by their addresses.
    private func chooseMember(_ packet: inout Packet, _ nextHop: UnsafePointer<NextHop>) -> UnsafePointer<NextHop>? {
        guard let members = nextHop.pointee.members, nextHop.pointee.memberCount > 0 else { return nil }
        let member = members[Int(UInt64(flowHash(packet)) &* UInt64(nextHop.pointee.memberCount) >> 32)]
        packet.nextHop = member.nextHop
        packet.label = member.label
        return tables.nextHops.load(member.nextHop)
    }

    /// The hash of the flow lookup, or of the addresses where there was none. Never 0.
    func flowHash(_ packet: Packet) -> UInt32 {
        if packet.hash != 0 { return packet.hash }
        var mixed: UInt64
        switch packet.family {
        case .ipv4:
            let ip = IPv4(packet.network)
            mixed = UInt64(ip.source) << 32 | UInt64(ip.destination)
        case .ipv6:
            let ip = IPv6(packet.network)
            let source = ip.source, destination = ip.destination
            mixed = source.high ^ source.low &* 0x9E37_79B9_7F4A_7C15 ^ destination.high &* 0xC2B2_AE3D_27D4_EB4F ^ destination.low
        case .none:
            let ethernet = Ethernet(packet.data)
            mixed = ethernet.source << 16 ^ ethernet.destination
        }
        let product = mixed.multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15)
        return UInt32(truncatingIfNeeded: (product.high ^ product.low) >> 32) | 1
    }

    /// For an address of the router itself: echo is answered here, the rest is the agent's.
    private func receiveOutput(_ packet: inout Packet, _ nextHop: UnsafePointer<NextHop>) {
        guard let vif = tables.vifs.load(nextHop.pointee.vif) else { return packet.settle(.drop(.invalidInterface)) }
        guard packet.ingress.pointee.kind == .virtual else { return packet.settle(.drop(.nowhereToGo)) }
        if answerEcho(&packet, via: vif) { return }
        packet.settle(.trap(.receive))
    }

    // MARK: - To a local workload

    @inline(__always) private func workloadOutput(_ packet: inout Packet, _ nextHop: UnsafePointer<NextHop>) {
        guard let vif = tables.vifs.load(nextHop.pointee.vif) else { return packet.settle(.drop(.invalidInterface)) }
        // A bridged frame never leaves by the vif it came from.
        if !nextHop.pointee.rewrites, vif == packet.ingress { return packet.settle(.drop(.noL2Route)) }
        let mtu = Int(vif.pointee.mtu)
        let fit = fit(packet, mtu)
        if fit == .refused { return refuse(&packet, mtu: mtu, out: vif) }
        guard lowerTTL(&packet) else { return }
        if nextHop.pointee.rewrites { nextHop.pointee.writeHeader(packet.data) }
        if fit == .fits { return packet.settle(.forward(vif.pointee.id)) }
        cut(&packet, fit, mtu: mtu) { worker, frame in worker.stage(frame, vif.pointee.id) }
    }

    // MARK: - Into a tunnel

    private func tunnelOutput(_ packet: inout Packet, _ nextHop: UnsafePointer<NextHop>) {
        // Split horizon: what came out of a tunnel does not go into another.
        if packet.flags.contains(.tunneled), !packet.flags.contains(.generated) { return packet.settle(.drop(.invalidSource)) }
        guard let fabric = tables.vifs.load(nextHop.pointee.vif) else { return packet.settle(.drop(.invalidInterface)) }
        guard packet.label != Packet.noLabel else { return packet.settle(.drop(.invalidNextHop)) }
        let isVXLAN = nextHop.pointee.encapsulation == .vxlan
        if !isVXLAN, !packet.flags.contains(.routed) { return packet.settle(.drop(.invalidNextHop)) }
        let mtu = nextHop.pointee.encapsulation.innerMTU(Int(fabric.pointee.mtu))
        let fit = fit(packet, mtu)
        if fit == .refused { return refuse(&packet, mtu: mtu, out: fabric) }
        guard lowerTTL(&packet) else { return }
        if packet.flags.contains(.routed), isVXLAN { nextHop.pointee.writeHeader(packet.data) }
        if packet.proto == IPProtocol.tcp.rawValue, packet.l4 != 0, TCP(packet.transport).flags.contains(.syn) {
            MSSClamp.apply(packet.network, length: packet.networkLength, maximum: MSSClamp.maximum(mtu: mtu, isIPv6: packet.family == .ipv6))
        }
        let port = Worker.entropyPort(flowHash(packet))
        let label = packet.label
        if fit == .fits {
            guard encapsulate(&packet.frame, nextHop, label: label, port: port) else { return packet.settle(.drop(.push)) }
            return packet.settle(.forward(fabric.pointee.id))
        }
        cut(&packet, fit, mtu: mtu) { worker, frame in
            var frame = frame
            if worker.encapsulate(&frame, nextHop, label: label, port: port) {
                worker.stage(frame, fabric.pointee.id)
            } else {
                worker.drop(frame, .push, vif: fabric.pointee.id)
            }
        }
    }

    /// Writes the outer headers in front of an Ethernet frame: from the next hop's prepared octets, with lengths, label, entropy, DSCP and ECN (RFC 6040
    /// section 4.1, normal mode) filled in. False when there is no headroom.
    func encapsulate(_ frame: inout vr_frame, _ nextHop: UnsafePointer<NextHop>, label: UInt32, port: UInt16) -> Bool {
        var typeOfService: UInt8 = 0
        let inner = frame.start
        switch Ethernet(inner).type {
        case .ipv4: typeOfService = IPv4(inner + Ethernet.size).typeOfService
        case .ipv6: typeOfService = IPv6(inner + Ethernet.size).trafficClass
        default: break
        }
        let isVXLAN = nextHop.pointee.encapsulation == .vxlan
        let removed = isVXLAN ? 0 : Ethernet.size
        let added = Int(nextHop.pointee.rewriteLength)
        guard Int(frame.headroom) &+ removed >= added else { return false }
        let grown = added &- removed
        frame.data -= grown
        frame.headroom = UInt32(truncatingIfNeeded: Int(frame.headroom) &- grown)
        frame.length = UInt32(truncatingIfNeeded: Int(frame.length) &+ grown)
        let p = frame.start
        let template = UnsafeRawPointer(nextHop)
        let ip = IPv4(p + Ethernet.size)
        let total = Int(frame.length) &- Ethernet.size
        let transport = p + (Ethernet.size + IPv4.size)
        switch nextHop.pointee.encapsulation {
        case .vxlan:
            p.copyMemory(from: template, byteCount: 50)
            UDP(transport).sourcePort = port
            UDP(transport).length = total &- IPv4.size
            VXLAN(transport + UDP.size).vni = label
        case .mplsOverUDP:
            p.copyMemory(from: template, byteCount: 42)
            UDP(transport).sourcePort = port
            UDP(transport).length = total &- IPv4.size
            MPLS.Fields(label: label).emit(to: transport + UDP.size)
        case .mplsOverGRE:
            p.copyMemory(from: template, byteCount: 38)
            MPLS.Fields(label: label).emit(to: transport + GRE.size)
        }
        ip.typeOfService = typeOfService
        ip.totalLength = total
        ip.checksum = Checksum.finish(nextHop.pointee.outerSum &+ UInt32(typeOfService) &+ UInt32(truncatingIfNeeded: total))
        return true
    }

    // MARK: - Host and fabric

    private func crossConnectOutput(_ packet: inout Packet) {
        guard let vif = tables.vifs.load(packet.nextHop) else { return packet.settle(.drop(.invalidInterface)) }
        let mtu = Int(vif.pointee.mtu)
        // Nobody to tell: the host and the fabric know each other's MTU. Only what a kernel left uncut is cut.
        guard packet.family != .none, fit(packet, mtu) == .segments else { return packet.settle(.forward(vif.pointee.id)) }
        cut(&packet, .segments, mtu: mtu) { worker, frame in worker.stage(frame, vif.pointee.id) }
    }

    // MARK: - TTL

    /// Lowers the TTL or hop limit where this router counts as a hop; false when it has run out and the packet is settled (RFC 1812 section 5.3.1).
    @inline(__always) func lowerTTL(_ packet: inout Packet) -> Bool {
        guard packet.flags.contains(.lowersTTL) else { return true }
        packet.flags.remove(.lowersTTL)
        switch packet.family {
        case .ipv4:
            let ip = IPv4(packet.network)
            guard ip.timeToLive > 1 else { return expire(&packet) }
            ip.decrementTimeToLive()
        case .ipv6:
            let ip = IPv6(packet.network)
            guard ip.hopLimit > 1 else { return expire(&packet) }
            ip.hopLimit &-= 1
        case .none: break
        }
        return true
    }

    @inline(never) private func expire(_ packet: inout Packet) -> Bool {
        sendError(packet, .timeExceeded)
        packet.settle(.drop(.ttlExceeded))
        return false
    }
}
