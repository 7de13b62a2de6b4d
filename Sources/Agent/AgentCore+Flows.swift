import DataplaneAPI
import Logging
import NetTypes
import Overlay

/// Flows that a policy says to trap: the data plane holds each until somebody says what becomes of it.
///
/// What this agent knows is who has an address: a flow passes when it comes from a port of this node, or off the fabric, and goes to an address that there is a way to
/// (`DesiredState.knows`). Others are dropped, until there is one. Who wants to decide by more than that sets `flows.trapped: ignore` and answers the traps with a client of
/// their own.
///
/// An answer holds as long as the policies leave the flow to whoever answers: the data plane asks them again when they change, and drops what they deny then. So nothing has to be
/// remembered of flows that pass. Of those that do not, the agent keeps a list, and takes back what it would not say any more.
extension AgentCore {
    func decide(_ trap: Dataplane_V1_Trap, _ client: DataplaneClient) async {
        guard configuration.trappedFlows == .decide, trap.hasFlowKey, let question = TrappedFlow(trap) else { return }
        let isKnown = desired.knows(question)
        // A way may yet be told of: what is not answered is asked again.
        guard isKnown || sweeps else { return }
        var flow = Dataplane_V1_Flow()
        flow.key = trap.flowKey
        flow.action = isKnown ? .forward : .drop
        flow.cookie = agentCookie
        // Before the answer, so that a change which comes meanwhile finds it.
        if !isKnown { refusedFlows.append(question) }
        do {
            let results = try await client.apply([.upsert(.flow(flow))])
            let metadata: Logger.Metadata = [
                "flow": "\(question)", "protocol": "\(question.proto)", "vrf": "\(question.vrf)", "vif": "\(question.vif)",
                "result": "\(results.first.map { $0.code == .ok ? "" : $0.message } ?? "")",
            ]
            logger.debug(isKnown ? "a trapped flow passes" : "a trapped flow is dropped", metadata: metadata)
        } catch {
            logger.debug("a trapped flow could not be decided", metadata: ["flow": "\(question)", "reason": "\(error)"])
        }
    }

    /// After the tables have changed: deletes the flows that were dropped for want of a way which is there now. Their next packets are asked about.
    func reconsiderFlows(_ client: DataplaneClient) async throws {
        guard areRefusalsDirty else { return }
        areRefusalsDirty = false
        let known = refusedFlows.removeAll { desired.knows($0) }
        guard !known.isEmpty else { return }
        _ = try await client.apply(known.map { .delete(.flow($0.key)) })
        logger.debug("flows that were dropped are decided again", metadata: ["flows": "\(known.count)"])
    }
}

/// The first packet of a flow that somebody is to decide about.
struct TrappedFlow: Hashable, Sendable, CustomStringConvertible {
    var key: Dataplane_V1_FlowKey
    var vif: VifID
    var vrf: VRFID
    var proto: UInt8
    var source: IPAddress
    var destination: IPAddress

    /// Nil: it makes no sense.
    init?(_ trap: Dataplane_V1_Trap) {
        guard let source = IPAddress(bytes: trap.flowKey.source), let destination = IPAddress(bytes: trap.flowKey.destination),
            source.isIPv4 == destination.isIPv4, let proto = UInt8(exactly: trap.flowKey.protocol)
        else { return nil }
        key = trap.flowKey
        vif = VifID(trap.vif)
        vrf = VRFID(trap.flowKey.vrf)
        self.proto = proto
        (self.source, self.destination) = (source, destination)
    }

    var description: String { "\(source):\(key.sourcePort) > \(destination):\(key.destinationPort)" }
}

/// The flows that were refused last, as many as are worth remembering: one that nobody sends on is forgotten by the data plane after ten seconds.
struct RefusedFlows: Sendable {
    static let capacity = 4096
    private var flows: [TrappedFlow] = []
    private var oldest = 0

    var count: Int { flows.count }

    mutating func append(_ flow: TrappedFlow) {
        if flows.count < Self.capacity { return flows.append(flow) }
        flows[oldest] = flow
        oldest = (oldest + 1) % Self.capacity
    }

    /// Removes and returns those for which `isGone` holds.
    mutating func removeAll(where isGone: (TrappedFlow) -> Bool) -> [TrappedFlow] {
        let split = flows.indices.map { flows[(oldest + $0) % flows.count] }
        let gone = split.filter(isGone)
        if !gone.isEmpty {
            flows = split.filter { !gone.contains($0) }
            oldest = 0
        }
        return gone
    }
}

extension DesiredState {
    /// Whether a flow comes from a port of this node, or off the fabric, and there is a way to where it goes.
    ///
    /// What a port may send from is asked by antispoofing, its allowed address pairs among it, before there is a flow: here it counts that it is one of ours.
    func knows(_ flow: TrappedFlow) -> Bool {
        guard flow.vif == Self.fabricVif || ports.contains(where: { $0.vif == flow.vif && $0.reason == nil }) else { return false }
        return leads(flow, flow.destination, flow.vrf)
    }

    /// As the data plane does it: an address that stands for others goes to one of them; else the longest route decides; what has none may leave by a router.
    private func leads(_ flow: TrappedFlow, _ destination: IPAddress, _ vrf: VRFID) -> Bool {
        if natRules.contains(where: { $0.translates(flow, to: destination, in: vrf) }) { return true }
        if hasRoute(to: destination, in: vrf) { return true }
        return natRules.contains { rule in
            guard case .source(let source)? = rule.kind, source.vrf == vrf.rawValue, source.outsideVrf != source.vrf,
                let address = IPAddress(bytes: source.prefix.address), let prefix = IPPrefix(masking: address, length: Int(source.prefix.length)),
                prefix.contains(flow.source)
            else { return false }
            let outside = VRFID(source.outsideVrf)
            return hasRoute(to: destination, in: outside) || natRules.contains { $0.translates(flow, to: destination, in: outside) }
        }
    }

    /// The longest route for it does not end in discard.
    private func hasRoute(to address: IPAddress, in vrf: VRFID) -> Bool {
        for length in stride(from: address.bitWidth, through: 0, by: -1) {
            guard let prefix = IPPrefix(masking: address, length: length), case .route(let route)? = objects[.route(vrf, prefix)]?.object
            else {
                continue
            }
            return route.nextHop != NextHopID.discard.rawValue
        }
        return false
    }
}

extension Dataplane_V1_NatRule {
    /// Whether what is sent there is sent on to one of its backends.
    fileprivate func translates(_ flow: TrappedFlow, to address: IPAddress, in vrf: VRFID) -> Bool {
        guard case .destination(let rule)? = kind, rule.vrf == vrf.rawValue, rule.address == address.octets, !rule.backends.isEmpty else {
            return false
        }
        if rule.protocol != 0, rule.protocol != UInt32(flow.proto) { return false }
        return !rule.hasPorts || (rule.ports.first...max(rule.ports.first, rule.ports.last)).contains(flow.key.destinationPort)
    }
}

extension FatFlow {
    var rule: Dataplane_V1_FatFlowRule {
        var rule = Dataplane_V1_FatFlowRule()
        rule.protocol = UInt32(proto)
        rule.port = UInt32(port)
        rule.ignoredAddress =
            switch ignoredAddress {
            case .none: .none
            case .remote: .remote
            case .local: .local
            }
        return rule
    }
}
