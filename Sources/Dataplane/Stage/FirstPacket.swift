import NetTypes

/// First packets: whether a new flow may be, as the policies of the vif by which it enters and of the one by which it leaves say.
///
/// - Input: a packet whose key has no flow entry; its network header has been checked.
/// - Output: the action and the reason its pair of entries starts with, and the vif by which it leaves, where that is a workload's.
/// - Drops: none itself: a denied flow is an entry with the action drop.
extension Worker {
    struct Admission {
        var reason: FlowDropReason?
        /// `ForwardingTables.noVif`: a tunnel, or the router itself.
        var egressVif = ForwardingTables.noVif
        var findings: PolicyFindings
        /// As the policies were asked; ICMP: type << 8 | code.
        var destinationPort: UInt16 = 0
    }

    @inline(never) func admit(_ packet: UnsafePointer<Packet>, _ key: UnsafePointer<FlowKey>) -> Admission {
        var admission = Admission(findings: policyLog.findings)
        guard tables.policies.isInUse || !packet.pointee.ingress.pointee.isWorkload else { return admission }
        admission.egressVif = vifAhead(packet, key)
        guard tables.policies.isInUse else { return admission }
        var query = CompiledPolicy.Query(key.pointee, ingress: false)
        if packet.pointee.l4 != 0, packet.pointee.proto == IPProtocol.icmp.rawValue || packet.pointee.proto == IPProtocol.icmpv6.rawValue {
            query.destinationPort = packet.pointee.transport.word16(0)
        }
        admission.destinationPort = query.destinationPort
        admission.reason = tables.denies(
            query, ingress: packet.pointee.ingress, egress: tables.vifs.load(admission.egressVif), &admission.findings)
        return admission
    }

    func isEchoReply(_ packet: UnsafePointer<Packet>) -> Bool { isICMP(packet, .echoReply, .echoReply) }
    func isEchoRequest(_ packet: UnsafePointer<Packet>) -> Bool { isICMP(packet, .echoRequest, .echoRequest) }

    private func isICMP(_ packet: UnsafePointer<Packet>, _ type: ICMPv4.MessageType, _ type6: ICMPv6.MessageType) -> Bool {
        guard packet.pointee.l4 != 0 else { return false }
        switch packet.pointee.proto {
        case IPProtocol.icmp.rawValue: return packet.pointee.family == .ipv4 && ICMPv4(packet.pointee.transport).type == type
        case IPProtocol.icmpv6.rawValue: return packet.pointee.family == .ipv6 && ICMPv6(packet.pointee.transport).type == type6
        default: return false
        }
    }

    /// A flow into another network: its replies are looked up in the VRF of the vif that they come in by.
    func follow(_ pair: UnsafeMutablePointer<FlowPair>, to vif: UInt32) {
        guard let vif = tables.vifs.load(vif), vif.pointee.vrf != pair.pointee.reverse.vrf, !pair.pointee.isSelfReverse else { return }
        pair.pointee.reverse.vrf = vif.pointee.vrf
        pair.pointee.reverseHash = withUnsafePointer(to: &pair.pointee.reverse) { flows.hash($0) }
    }

    /// The workload's vif that the packet will leave by.
    func vifAhead(_ packet: UnsafePointer<Packet>, _ key: UnsafePointer<FlowKey>) -> UInt32 {
        switch packet.pointee.next {
        case .route: tables.vifAhead(key.pointee, vrf: packet.pointee.vrf)
        case .bridge:
            tables.vif(
                behind: tables.bridge.reader.lookup(vrf: packet.pointee.vrf, mac: Ethernet(packet.pointee.data).destination)?.nextHop ?? 0,
                key.pointee)
        default: tables.vif(behind: packet.pointee.nextHop, key.pointee)
        }
    }
}

extension UnsafeMutablePointer where Pointee == FlowEntry {
    /// What is to become of its packets; an entry that says so already is not written to.
    func decide(_ new: FlowAction, _ reason: FlowDropReason?) {
        guard action != new.rawValue || dropReason != reason?.rawValue ?? 0 else { return }
        dropReason = (reason?.rawValue ?? 0) | (new == .drop && isRefused ? FlowEntry.refused : 0)
        action = new.rawValue
    }
}

extension UnsafeMutablePointer where Pointee == FlowEntry {
    /// What policies are asked about a flow that is there, from the view of its sender. `key`: the entry's.
    func query(_ key: FlowKey) -> CompiledPolicy.Query {
        var query = CompiledPolicy.Query(key, ingress: false)
        if flags.contains(.answer) { query.destinationPort = query.echoReply }
        return query
    }
}

extension ForwardingTables {
    /// The workload's vif that a routed flow leaves by; `noVif`: it goes into a tunnel, to the router, or nowhere.
    func vifAhead(_ key: FlowKey, vrf: UInt32) -> UInt32 { vif(behind: leaves.reader.nextHop(leaf(vrf: vrf, key)), key) }

    /// The workload's vif that a next hop leads to.
    func vif(behind first: UInt32, _ key: FlowKey) -> UInt32 {
        var id = first
        for _ in 0..<Worker.maximumChain {
            guard let nextHop = nextHops.load(id) else { return Self.noVif }
            switch nextHop.pointee.kind {
            case .encap: return nextHop.pointee.vif
            case .discard, .receive, .tunnel, .tunnelIPv6, .resolve, .multicast: return Self.noVif
            case .indirect: id = nextHop.pointee.target
            case .vrf: id = leaves.reader.nextHop(leaf(vrf: nextHop.pointee.vrf, key))
            // Of several members any speaks for all: they are one service.
            case .ecmp: id = nextHop.pointee.members?.pointee.nextHop ?? 0
            }
        }
        return Self.noVif
    }

    /// The route of a key's destination; 0: none.
    func leaf(vrf: UInt32, _ key: FlowKey) -> UInt32 {
        let roots = roots(vrf)
        return key.family == 4
            ? routes.reader.lookupIPv4(roots.ipv4, UInt32(truncatingIfNeeded: key.a0)) : routes.reader.lookupIPv6(roots.ipv6, key.a2, key.a3)
    }

    /// The route of a packet's destination; 0: none. `network`: its IP header.
    @inline(__always) func leaf(vrf: UInt32, destinationOf network: UnsafeMutableRawPointer, _ family: Packet.Family) -> UInt32 {
        let roots = roots(vrf)
        switch family {
        case .ipv4: return routes.reader.lookupIPv4(roots.ipv4, IPv4(network).destination)
        case .ipv6:
            let destination = IPv6(network).destination
            return routes.reader.lookupIPv6(roots.ipv6, destination.high, destination.low)
        case .none: return 0
        }
    }

    /// Nil: a flow may be. `query` is from the view of the sender's vif. `ingress`: the vif by which it enters the router, `egress`: by which it leaves.
    func denies(
        _ query: CompiledPolicy.Query, ingress: UnsafePointer<Vif>?, egress: UnsafePointer<Vif>?, _ findings: inout PolicyFindings
    ) -> FlowDropReason? {
        if let ingress, let origin = policies.denies(ingress.pointee.egressPolicies, query, vif: ingress.pointee.id, isIngress: false, &findings) {
            return FlowDropReason(origin, isLeaving: false)
        }
        guard let egress, egress.pointee.ingressPolicies[0] != 0 else { return findings.traps ? .undecided : nil }
        var query = query
        swap(&query.remote, &query.local)
        if let origin = policies.denies(egress.pointee.ingressPolicies, query, vif: egress.pointee.id, isIngress: true, &findings) {
            return FlowDropReason(origin, isLeaving: true)
        }
        return findings.traps ? .undecided : nil
    }
}

extension CompiledPolicy.Query {
    /// What a flow's key says. `ingress`: asked for the vif of its destination, else for that of its source. An echo's identifier is not its type: it counts as a request, unless the entry says `answer`.
    init(_ key: FlowKey, ingress: Bool) {
        let isIPv4 = key.family == 4
        let source = isIPv4 ? UInt128(key.a0 >> 32) : UInt128(key.a0) << 64 | UInt128(key.a1)
        let destination = isIPv4 ? UInt128(key.a0 & 0xFFFF_FFFF) : UInt128(key.a2) << 64 | UInt128(key.a3)
        self.init(
            isIPv4: isIPv4, proto: key.proto, remote: ingress ? source : destination, local: ingress ? destination : source,
            sourcePort: key.sourcePort,
            destinationPort: key.destinationPort)
        guard key.proto == IPProtocol.icmp.rawValue || key.proto == IPProtocol.icmpv6.rawValue else { return }
        if key.sourcePort == key.destinationPort {
            destinationPort = UInt16(isIPv4 ? ICMPv4.MessageType.echoRequest.rawValue : ICMPv6.MessageType.echoRequest.rawValue) << 8
        }
    }

    /// Type and code of the answer to an echo request.
    var echoReply: UInt16 { UInt16(isIPv4 ? ICMPv4.MessageType.echoReply.rawValue : ICMPv6.MessageType.echoReply.rawValue) << 8 }
}
