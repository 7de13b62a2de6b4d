import NetTypes

// Policies of flows that are translated: each workload's are asked about the packet as that workload sends or gets it, with its own address.
//
// The sender's see the destination that it named, and the backend in its place where that is one that its own network knows, as one of it or of a network connected with it: a
// rule about a group counts for the members behind a service, too. The receiver's see the source as it arrives. A workload that reaches itself through a service needs nobody's leave.
extension Worker {
    @inline(never) func admitTranslated(_ packet: UnsafePointer<Packet>, _ key: UnsafePointer<FlowKey>, _ new: FlowKey) -> Admission {
        var admission = Admission(findings: policyLog.findings)
        // Without policies: for whom the flow counts (`owner`).
        guard tables.policies.isInUse || !packet.pointee.ingress.pointee.isWorkload else { return admission }
        admission.egressVif = tables.vifAhead(new, vrf: new.vrf)
        guard tables.policies.isInUse else { return admission }
        var query = TranslatedQuery(key.pointee, new, isKnown: tables.knows(new, from: key.pointee))
        if packet.pointee.l4 != 0, packet.pointee.proto == IPProtocol.icmp.rawValue || packet.pointee.proto == IPProtocol.icmpv6.rawValue {
            query.setType(packet.pointee.transport.word16(0))
        }
        admission.destinationPort = query.sent.destinationPort
        admission.reason = tables.denies(
            query, ingress: packet.pointee.ingress, egress: tables.vifs.load(admission.egressVif), &admission.findings)
        return admission
    }
}

struct TranslatedQuery {
    /// Both from the sender's view: `remote` is the destination.
    var sent: CompiledPolicy.Query
    var received: CompiledPolicy.Query
    var isToItself: Bool

    /// - Parameter isKnown: the new destination is an address of the sender's network, or of one connected with it.
    init(_ old: FlowKey, _ new: FlowKey, isKnown: Bool) {
        received = CompiledPolicy.Query(new, ingress: false)
        isToItself = old.vrf == new.vrf && new.destinationWords == old.sourceWords
        var view = old
        if isKnown, old.sourceWords == new.sourceWords {
            view.destinationWords = new.destinationWords
            view.destinationPort = new.destinationPort
        }
        sent = CompiledPolicy.Query(view, ingress: false)
    }

    mutating func setType(_ type: UInt16) {
        sent.destinationPort = type
        received.destinationPort = type
    }
}

extension ForwardingTables {
    /// Whether the sender's VRF is the destination's, or has a route to the same workload.
    func knows(_ new: FlowKey, from old: FlowKey) -> Bool {
        if old.vrf == new.vrf { return true }
        let vif = vifAhead(new, vrf: old.vrf)
        return vif != ForwardingTables.noVif && vif == vifAhead(new, vrf: new.vrf)
    }

    func denies(
        _ query: TranslatedQuery, ingress: UnsafePointer<Vif>?, egress: UnsafePointer<Vif>?, _ findings: inout PolicyFindings
    ) -> FlowDropReason? {
        if query.isToItself { return nil }
        let sent = denies(query.sent, ingress: ingress, egress: nil, &findings)
        if let sent, sent != .undecided { return sent }
        return denies(query.received, ingress: nil, egress: egress, &findings) ?? sent
    }

    /// The same of a flow that is there, translated or not. `key`: the entry's.
    func denies(
        _ entry: UnsafeMutablePointer<FlowEntry>, _ key: FlowKey, _ other: UnsafeMutablePointer<FlowEntry>, ingress: UnsafePointer<Vif>?,
        egress: UnsafePointer<Vif>?, _ findings: inout PolicyFindings
    ) -> FlowDropReason? {
        guard entry.flags.contains(.translates) else {
            return denies(entry.query(key), ingress: ingress, egress: egress, &findings)
        }
        let new = other.copy().key.reversed
        var query = TranslatedQuery(key, new, isKnown: knows(new, from: key))
        if entry.flags.contains(.answer) { query.setType(query.sent.echoReply) }
        return denies(query, ingress: ingress, egress: egress, &findings)
    }
}
