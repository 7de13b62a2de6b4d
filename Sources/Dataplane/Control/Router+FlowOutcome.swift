public import NetTypes

/// What becomes of the first packet of a flow, as far as its ends are here.
public struct FlowOutcome: Hashable, Sendable {
    public enum Verdict: Hashable, Sendable { case forwarded, dropped, held }
    /// In the order in which they are asked.
    public enum Decider: Hashable, Sendable { case antispoof, translation, egress, ingress, route }
    public enum Exit: Hashable, Sendable { case workload, tunnel, router }
    public var verdict = Verdict.forwarded
    /// Of a verdict other than forwarded.
    public var decider: Decider?
    /// Whose workload sends it, and whose gets it; nil: none of this router's.
    public var sourceVif: VifID?
    public var destinationVif: VifID?
    /// Where its route leads; nil: there is none, or nobody knows where the packet comes in.
    public var nextHop: NextHopID?
    public var exit: Exit?
    /// As `FlowDropReason.label` of a policy, else as `DropReason.name`; empty: it is not dropped.
    public var dropReason = ""
    /// The policy that decides.
    public var opinion: PolicyExplanation.Opinion?
    public var isTranslated = false
}

// Asked with what the workers ask with: the same tables, the same functions, in their order. Holders of the lock: they are who would free any of it.
extension Router {
    /// Of a workload's vif that has the source or the destination; of any other vif as if the packet came in there.
    func outcome(_ question: PolicyQuestion, _ state: State) -> FlowOutcome {
        var outcome = FlowOutcome()
        guard let asked = tables.vifs.load(question.vif.rawValue) else { return outcome }
        var key = FlowKey(question, vrf: asked.pointee.vrf)
        var sender: UnsafePointer<Vif>? = asked, receiver: UnsafePointer<Vif>?
        if asked.pointee.isWorkloadAddress(question.destination.mapped), !asked.pointee.isWorkloadAddress(question.source.mapped) {
            // It comes to the workload: from whom the route back says.
            receiver = asked
            sender = tables.vifs.load(tables.vifAhead(key.reversed, vrf: key.vrf))
        }
        guard let sender else {
            (outcome.destinationVif, outcome.exit) = (question.vif, .workload)
            _ = decide(question.senderQuery, ingress: nil, egress: asked, &outcome, state)
            return outcome
        }
        key.vrf = sender.pointee.vrf
        if sender.pointee.isWorkload { outcome.sourceVif = VifID(sender.pointee.id) }
        guard sender.pointee.mayBeFrom(question.source) else {
            (outcome.verdict, outcome.decider, outcome.dropReason) = (.dropped, .antispoof, DropReason.invalidSource.name)
            return outcome
        }
        var new = key
        if sender.pointee.flags.contains(.keepsFlows), let nat = tables.nat.load() {
            var decision = NATDecision(key)
            tables.translation(nat, &key, hash: tables.flows.hash(&key), into: &decision)
            guard decision.status != .refused else {
                (outcome.verdict, outcome.decider, outcome.dropReason) = (.dropped, .translation, decision.reason.name)
                return outcome
            }
            if decision.status == .translated { (new, outcome.isTranslated) = (decision.key, true) }
        }
        receiver = tables.vifs.load(tables.vifAhead(new, vrf: new.vrf))
        if let receiver, receiver.pointee.isWorkload { outcome.destinationVif = VifID(receiver.pointee.id) }
        if sender.pointee.flags.contains(.keepsFlows) {
            if outcome.isTranslated {
                var query = TranslatedQuery(key, new, isKnown: tables.knows(new, from: key))
                if question.isICMP { query.setType(question.destinationPort) }
                guard
                    query.isToItself
                        || decide(query.sent, ingress: sender, egress: nil, &outcome, state)
                            && decide(query.received, ingress: nil, egress: receiver, &outcome, state)
                else { return outcome }
            } else if !decide(question.senderQuery, ingress: sender, egress: receiver, &outcome, state) {
                return outcome
            }
        }
        leave(new, &outcome)
        return outcome
    }

    /// False: it is dropped.
    private func decide(
        _ query: CompiledPolicy.Query, ingress: UnsafePointer<Vif>?, egress: UnsafePointer<Vif>?, _ outcome: inout FlowOutcome, _ state: State
    ) -> Bool {
        for (vif, decider) in [(ingress, FlowOutcome.Decider.egress), (egress, .ingress)] {
            guard let vif else { continue }
            var findings = policyLog.findings
            let reason = tables.denies(
                query, ingress: decider == .egress ? vif : nil, egress: decider == .ingress ? vif : nil, &findings)
            guard let reason else { continue }
            let isHeld = reason == .undecided
            if isHeld, outcome.verdict == .held { continue }
            outcome.verdict = isHeld ? .held : .dropped
            outcome.decider = decider
            outcome.dropReason = isHeld ? "" : reason.label
            var view = query
            if decider == .ingress { swap(&view.remote, &view.local) }
            outcome.opinion = opinions(of: VifID(vif.pointee.id), isIngress: decider == .ingress, view, state).first {
                $0.action == (isHeld ? .trap : .deny)
            }
            if !isHeld { return false }
        }
        return true
    }

    /// Where its route leads. What is held goes nowhere yet.
    private func leave(_ key: FlowKey, _ outcome: inout FlowOutcome) {
        func drop(_ reason: DropReason) {
            guard outcome.verdict != .held else { return }
            (outcome.verdict, outcome.decider, outcome.dropReason) = (.dropped, .route, reason.name)
        }
        let leaf = tables.leaf(vrf: key.vrf, key)
        guard leaf != 0 else { return drop(.noRoute) }
        var id = tables.leaves.reader.nextHop(leaf)
        outcome.nextHop = NextHopID(id)
        for _ in 0..<Worker.maximumChain {
            guard let nextHop = tables.nextHops.load(id) else { return drop(.invalidNextHop) }
            switch nextHop.pointee.kind {
            case .encap: return outcome.exit = outcome.destinationVif == nil ? .router : .workload
            case .discard: return drop(.discards)
            case .receive: return outcome.exit = .router
            case .tunnel, .tunnelIPv6, .resolve, .multicast: return outcome.exit = .tunnel
            case .indirect: id = nextHop.pointee.target
            case .vrf:
                let next = tables.leaf(vrf: nextHop.pointee.vrf, key)
                guard next != 0 else { return drop(.noRoute) }
                id = tables.leaves.reader.nextHop(next)
            case .ecmp: id = nextHop.pointee.members?.pointee.nextHop ?? 0
            }
        }
        drop(.packetLoop)
    }

    /// Of each policy of a vif, by its rules as they were given. `query`: from the view of the vif.
    func opinions(of vif: VifID, isIngress: Bool, _ query: CompiledPolicy.Query, _ state: State) -> [PolicyExplanation.Opinion] {
        let policies = state.policies
        return (isIngress ? state.vifs[vif]?.ingressPolicies : state.vifs[vif]?.egressPolicies)?.compactMap { id in
            guard let spec = policies.specs[id] else { return nil }
            let decision = spec.decide(query) { policies.prefixes($0) }
            return .init(
                policy: id, name: spec.name, origin: spec.origin, action: decision.action, rule: decision.rule,
                ruleName: decision.rule.map { spec.rules[$0].name } ?? "")
        } ?? []
    }
}

extension PolicyQuestion {
    fileprivate var isICMP: Bool { proto == IPProtocol.icmp.rawValue || proto == IPProtocol.icmpv6.rawValue }
    fileprivate var senderQuery: CompiledPolicy.Query {
        var question = self
        question.isIngress = false
        return question.query
    }
}

extension FlowKey {
    /// As `Worker.flowKey` makes it of the packet.
    fileprivate init(_ question: PolicyQuestion, vrf: UInt32) {
        let isIPv4 = question.source.isIPv4, type = question.destinationPort >> 8
        let isEcho =
            question.proto == IPProtocol.icmp.rawValue
            ? [ICMPv4.MessageType.echoRequest.rawValue, ICMPv4.MessageType.echoReply.rawValue].contains(UInt8(type))
            : question.proto == IPProtocol.icmpv6.rawValue
                && [ICMPv6.MessageType.echoRequest.rawValue, ICMPv6.MessageType.echoReply.rawValue].contains(UInt8(type))
        let query = question.senderQuery, ports = isEcho ? (UInt16(0), UInt16(0)) : (question.sourcePort, question.destinationPort)
        if isIPv4 {
            self.init(
                vrf: vrf, proto: question.proto, ipv4Source: UInt32(truncatingIfNeeded: query.local),
                ipv4Destination: UInt32(truncatingIfNeeded: query.remote), sourcePort: ports.0, destinationPort: ports.1)
        } else {
            func words(_ address: UInt128) -> IPv6Words {
                IPv6Words(high: UInt64(truncatingIfNeeded: address >> 64), low: UInt64(truncatingIfNeeded: address))
            }
            self.init(
                vrf: vrf, proto: question.proto, source: words(query.local), destination: words(query.remote), sourcePort: ports.0,
                destinationPort: ports.1)
        }
    }
}

extension Vif {
    /// Whether antispoofing lets the workload send from an address, with whichever MAC goes with it.
    fileprivate func mayBeFrom(_ address: IPAddress) -> Bool {
        guard flags.contains(.antispoof) else { return true }
        if case .v6(let address) = address, address.isOfLink { return true }
        if allows(workloadMAC, address.mapped) { return true }
        for index in 0..<Int(allowedCount) {
            let mac = allowed.unsafelyUnwrapped[index].mac
            if mac != 0, allows(mac, address.mapped) { return true }
        }
        return false
    }
}
