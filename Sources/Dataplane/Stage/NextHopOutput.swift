import CPlatform
import NetTypes
import Synchronization

/// Last stage: what the next hop does with the packet, and the packet's end: staged for a port, or counted and freed (`Settle`). In order, one after the other, so
/// that a flow's packets leave as they came, whatever each needs.
///
/// - Input: packets with `next` of `nextHop` or `crossConnect`, and those that are settled already.
/// - Output: nothing; the burst is done with.
/// - Drops: discards, invalidNextHop, packetLoop, ttlExceeded, push, packetTooBig, fragmentError, headAllocation, invalidInterface, nowhereToGo,
///   invalidSource, interfaceTransmitDiscard.
extension Worker {
    func nextHopOutput(_ packets: UnsafeMutablePointer<Packet>, _ count: Int) {
        let tables = tables, nextHops = tables.nextHops.reader, vifs = tables.vifs.reader
        // Read before the lookups: what they found is remembered as of then.
        let generation = tableGeneration
        var lane = TransmitLane()
        for index in 0..<count {
            let packet = packets + index
            guard packet.pointee.next == .nextHop, let found = nextHops.load(packet.pointee.nextHop) else {
                withoutNextHop(&packet.pointee)
                conclude(packet)
                continue
            }
            let flags = packet.pointee.flags
            if !flags.isDisjoint(with: [.learnsRoute, .mayBeSegmented, .prioritized]) {
                if flags.contains(.prioritized) { beginPriority(packet) }
                if !flags.contains(.learnsRoute) || remember(packet, generation) { run(&packet.pointee, found) }
                conclude(packet)
                if flags.contains(.prioritized) { endPriority() }
                continue
            }
            var nextHop = found
            if found.pointee.kind == .ecmp, let member = chooseMember(&packet.pointee, found) { nextHop = member }
            // What nearly every packet is, at once; everything else one by one in `run`.
            if let vif = vifs.load(nextHop.pointee.vif) {
                switch nextHop.pointee.kind {
                case .encap:
                    guard packet.pointee.networkLength <= Int(vif.pointee.mtu) else { break }
                    let frame = packet.pointee.data
                    if nextHop.pointee.rewrites {
                        // Routed, to a local workload.
                        if packet.pointee.family == .ipv4 {
                            if flags.contains(.lowersTTL) {
                                let ip = IPv4(frame + Ethernet.size)
                                guard ip.timeToLive > 1 else { break }
                                ip.decrementTimeToLive()
                            }
                        } else if flags.contains(.lowersTTL) {
                            let ip = IPv6(frame + Ethernet.size)
                            guard packet.pointee.family == .ipv6, ip.hopLimit > 1 else { break }
                            ip.hopLimit &-= 1
                        }
                        nextHop.pointee.writeHeader(frame)
                    } else {
                        // Bridged.
                        guard vif != packet.pointee.ingress, !flags.contains(.lowersTTL) else { break }
                    }
                    stage(packet, vif, &lane)
                    continue
                case .tunnel:
                    guard plainTunnelOutput(&packet.pointee, nextHop, vif) else { break }
                    stage(packet, vif, &lane)
                    continue
                default: break
                }
            }
            run(&packet.pointee, nextHop)
            conclude(packet)
        }
        flushReleased()
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
        if nextHop.pointee.kind.leadsOn {
            guard let end = followChain(&packet, nextHop) else { return }
            nextHop = end
        }
        switch nextHop.pointee.kind {
        case .discard: packet.settle(.drop(.discards))
        case .receive: receiveOutput(&packet, nextHop)
        case .resolve: packet.settle(.trap(.resolve))
        case .encap: workloadOutput(&packet, nextHop)
        case .tunnel: tunnelOutput(&packet, nextHop)
        case .tunnelIPv6: tunnelIPv6Output(&packet, nextHop)
        case .vrf, .ecmp, .indirect: packet.settle(.drop(.packetLoop))
        // Only group addresses lead to one, and those are flooded before they get here.
        case .multicast: packet.settle(.drop(.invalidNextHop))
        }
    }

    /// The member that acts on the packet at once, as nearly all do; nil: the chain is to be followed, and the packet is as it was.
    @inline(__always) private func chooseMember(_ packet: inout Packet, _ nextHop: UnsafePointer<NextHop>) -> UnsafePointer<NextHop>? {
        guard nextHop.pointee.hashFields == HashFields.all.rawValue, let buckets = nextHop.pointee.members else { return nil }
        let member = buckets[Int(flowHash(&packet) &>> UInt32(nextHop.pointee.bucketShift))]
        guard let record = tables.nextHops.load(member.nextHop), record.pointee.kind == .encap || record.pointee.kind == .tunnel else { return nil }
        packet.nextHop = member.nextHop
        if member.label != Packet.noLabel { packet.label = member.label }
        return record
    }

    /// The hash of the flow lookup or of the port; else of addresses and ports, of addresses alone where there are no ports. Never 0.
    @inline(__always) func flowHash(_ packet: inout Packet) -> UInt32 {
        if packet.hash != 0 { return packet.hash }
        guard packet.family == .ipv4 else { return flowHashOfOthers(&packet) }
        // Source and destination lie side by side, and so do the ports. The pieces of a datagram, of which only the first has ports, must have one value.
        var mixed = (packet.network + 12).loadUnaligned(as: UInt64.self)
        if packet.l4 != 0, Worker.hasPorts(packet.proto), !packet.flags.contains(.fragment) {
            mixed ^= UInt64(packet.transport.loadUnaligned(as: UInt32.self)) &* 0xC2B2_AE3D_27D4_EB4F
        }
        return Worker.fold(mixed)
    }

    @inline(never) private func flowHashOfOthers(_ packet: inout Packet) -> UInt32 {
        var mixed: UInt64
        if packet.family == .ipv6 {
            let ip = IPv6(packet.network)
            let source = ip.source, destination = ip.destination
            mixed = source.high ^ source.low &* 0x9E37_79B9_7F4A_7C15 ^ destination.high &* 0xC2B2_AE3D_27D4_EB4F ^ destination.low
            if packet.l4 != 0, Worker.hasPorts(packet.proto), !packet.flags.contains(.fragment) {
                mixed ^= UInt64(packet.transport.loadUnaligned(as: UInt32.self)) &* 0xC2B2_AE3D_27D4_EB4F
            }
        } else {
            let ethernet = Ethernet(packet.data)
            mixed = ethernet.source << 16 ^ ethernet.destination
        }
        return Worker.fold(mixed)
    }

    @inline(__always) private static func fold(_ mixed: UInt64) -> UInt32 {
        UInt32(truncatingIfNeeded: foldedMultiply(mixed, 0x9E37_79B9_7F4A_7C15) >> 32) | 1
    }

    /// For an address of the router itself: echo is answered here, the rest is the agent's.
    private func receiveOutput(_ packet: inout Packet, _ nextHop: UnsafePointer<NextHop>) {
        guard let vif = tables.vifs.load(nextHop.pointee.vif) else { return packet.settle(.drop(.invalidInterface)) }
        guard packet.ingress.pointee.isWorkload else { return packet.settle(.drop(.nowhereToGo)) }
        if answerEcho(&packet, via: vif) { return }
        packet.settle(.trap(serviceReason(packet) ?? .receive))
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
        if fit == .segments, forwardUncut(&packet, mtu: mtu, out: vif) { return }
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
        let port = Worker.entropyPort(flowHash(&packet))
        let label = packet.label
        if fit == .fits {
            guard encapsulate(&packet.frame, nextHop, label: label, port: port) else { return packet.settle(.drop(.push)) }
            return packet.settle(.forward(fabric.pointee.id))
        }
        if fit == .segments, sendAsDatagrams(&packet, nextHop, fabric, mtu: mtu, port: port) { return }
        cut(&packet, fit, mtu: mtu) { worker, frame in
            var frame = frame
            if worker.encapsulate(&frame, nextHop, label: label, port: port) {
                worker.stage(frame, fabric.pointee.id)
            } else {
                worker.drop(frame, .push, vif: fabric.pointee.id)
            }
        }
    }

    /// The packet that a tunnel over IPv4 takes as it is: not from another tunnel, small enough, with hops left, no connection's first packet. False: nothing
    /// was done, `tunnelOutput` has to look closer.
    @inline(__always) private func plainTunnelOutput(
        _ packet: inout Packet, _ nextHop: UnsafePointer<NextHop>, _ fabric: UnsafePointer<Vif>
    ) -> Bool {
        let flags = packet.flags, isVXLAN = nextHop.pointee.encapsulation == .vxlan
        guard flags.isDisjoint(with: [.tunneled, .generated, .mayBeSegmented]), packet.label != Packet.noLabel, isVXLAN || flags.contains(.routed),
            packet.networkLength <= Int(fabric.pointee.mtu) &- Int(nextHop.pointee.payloadOverhead)
        else { return false }
        let frame = packet.data
        var typeOfService: UInt8 = 0
        guard Int(packet.frame.headroom) >= Int(nextHop.pointee.rewriteLength) else { return false }
        if packet.proto == IPProtocol.tcp.rawValue, packet.l4 != 0, TCP(packet.transport).flags.contains(.syn) { return false }
        if packet.family == .ipv4 {
            let ip = IPv4(frame + Ethernet.size)
            typeOfService = ip.typeOfService
            if flags.contains(.lowersTTL) {
                guard ip.timeToLive > 1 else { return false }
                ip.decrementTimeToLive()
            }
        } else if packet.family == .ipv6 {
            let ip = IPv6(frame + Ethernet.size)
            typeOfService = ip.trafficClass
            if flags.contains(.lowersTTL) {
                guard ip.hopLimit > 1 else { return false }
                ip.hopLimit &-= 1
            }
        }
        if isVXLAN, flags.contains(.routed) { nextHop.pointee.writeHeader(frame) }
        let port = Worker.entropyPort(flowHash(&packet))
        writeOuter(&packet.frame, nextHop, label: packet.label, port: port, typeOfService: typeOfService)
        return true
    }

    /// Writes the outer headers in front of an Ethernet frame. False when there is no headroom.
    func encapsulate(_ frame: inout vr_frame, _ nextHop: UnsafePointer<NextHop>, label: UInt32, port: UInt16) -> Bool {
        guard Int(frame.headroom) >= Int(nextHop.pointee.rewriteLength) else { return false }
        let inner = frame.start
        let typeOfService: UInt8 =
            switch Ethernet(inner).type {
            case .ipv4: IPv4(inner + Ethernet.size).typeOfService
            case .ipv6: IPv6(inner + Ethernet.size).trafficClass
            default: outgoingTypeOfService
            }
        writeOuter(&frame, nextHop, label: label, port: port, typeOfService: typeOfService)
        return true
    }

    /// The next hop's prepared octets, with lengths, label, entropy, DSCP and ECN (RFC 6040 section 4.1, normal mode) filled in. There is headroom for
    /// `rewriteLength`. MPLS carries no Ethernet header: the outer one lies over part of it.
    @inline(__always) private func writeOuter(
        _ frame: inout vr_frame, _ nextHop: UnsafePointer<NextHop>, label: UInt32, port: UInt16, typeOfService: UInt8
    ) {
        let encapsulation = nextHop.pointee.encapsulation
        let grown = Int(nextHop.pointee.rewriteLength) &- (encapsulation == .vxlan ? 0 : Ethernet.size)
        let p = frame.start - grown
        frame.data -= grown
        frame.headroom &-= UInt32(truncatingIfNeeded: grown)
        frame.length &+= UInt32(truncatingIfNeeded: grown)
        // Ethernet and IPv4; then the words in which something changes, each written once and whole.
        p.copyMemory(from: UnsafeRawPointer(nextHop), byteCount: Ethernet.size + IPv4.size)
        let total = frame.length &- UInt32(Ethernet.size)
        p.set(Ethernet.size, word32: 0x4500_0000 | UInt32(typeOfService) &<< 16 | total & 0xFFFF)
        let sum = nextHop.pointee.outerSum &+ UInt32(typeOfService) &+ total
        IPv4(p + Ethernet.size).checksum = Checksum.finish(sum)
        let transport = p + (Ethernet.size + IPv4.size)
        switch encapsulation {
        case .vxlan:
            let length = UInt64(total &- UInt32(IPv4.size)) & 0xFFFF
            transport.set(0, word64: UInt64(port) &<< 48 | UInt64(UDP.vxlanPort) &<< 32 | length &<< 16)
            transport.set(UDP.size, word64: VXLAN.word(vni: label))
        case .mplsOverUDP:
            let length = UInt64(total &- UInt32(IPv4.size)) & 0xFFFF
            transport.set(0, word64: UInt64(port) &<< 48 | UInt64(UDP.mplsPort) &<< 32 | length &<< 16)
            MPLS.Fields(label: label, trafficClass: UInt8(truncatingIfNeeded: label &>> 24) & 7).emit(to: transport + UDP.size)
        case .mplsOverGRE:
            transport.set(0, word32: UInt32(EtherType.mpls.rawValue))
            MPLS.Fields(label: label, trafficClass: UInt8(truncatingIfNeeded: label &>> 24) & 7).emit(to: transport + GRE.size)
        }
    }

    // MARK: - Host and fabric

    private func crossConnectOutput(_ packet: inout Packet) {
        guard let vif = tables.vifs.load(packet.nextHop) else { return packet.settle(.drop(.invalidInterface)) }
        let mtu = Int(vif.pointee.mtu)
        // Nobody to tell: the host and the fabric know each other's MTU. Only what a kernel left uncut is cut.
        guard packet.family != .none, fit(packet, mtu) == .segments else { return packet.settle(.forward(vif.pointee.id)) }
        if forwardUncut(&packet, mtu: mtu, out: vif) { return }
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
