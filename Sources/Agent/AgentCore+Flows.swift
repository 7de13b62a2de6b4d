import DataplaneAPI
import Logging
import NetTypes
import Overlay

/// Flows that a policy says to trap: the data plane holds each until somebody says what becomes of it.
///
/// What this agent knows is who has an address: a flow passes when its source is behind the vif it came in by, or that is the fabric, and its destination has a route here that leads
/// somewhere. Others are dropped. Who wants to decide by more than that sets `flows.trapped: ignore` and answers the traps with a client of their own.
extension AgentCore {
    func decide(_ trap: Dataplane_V1_Trap, _ client: DataplaneClient) async {
        guard configuration.trappedFlows == .decide, trap.hasFlowKey else { return }
        let key = trap.flowKey, source = IPAddress(bytes: key.source), destination = IPAddress(bytes: key.destination)
        guard let source, let destination else { return }
        let isKnown = isAt(source, vif: VifID(trap.vif)) && leadsSomewhere(destination, VRFID(key.vrf))
        var flow = Dataplane_V1_Flow()
        flow.key = key
        flow.action = isKnown ? .forward : .drop
        flow.cookie = agentCookie
        let end = "\(source):\(key.sourcePort) > \(destination):\(key.destinationPort)"
        do {
            let results = try await client.apply([.upsert(.flow(flow))])
            let metadata: Logger.Metadata = [
                "flow": "\(end)", "protocol": "\(key.protocol)", "vrf": "\(key.vrf)", "vif": "\(trap.vif)",
                "result": "\(results.first.map { $0.code == .ok ? "" : $0.message } ?? "")",
            ]
            logger.debug(isKnown ? "a trapped flow passes" : "a trapped flow is dropped", metadata: metadata)
        } catch {
            logger.debug("a trapped flow could not be decided", metadata: ["flow": "\(end)", "reason": "\(error)"])
        }
    }

    private func isAt(_ address: IPAddress, vif: VifID) -> Bool {
        if vif == DesiredState.fabricVif { return true }
        return desired.ports.contains { $0.vif == vif && $0.reason == nil && $0.binding.port?.addresses.contains(address) == true }
    }

    /// The longest route for it does not end in discard.
    private func leadsSomewhere(_ address: IPAddress, _ vrf: VRFID) -> Bool {
        for length in stride(from: address.bitWidth, through: 0, by: -1) {
            guard let prefix = IPPrefix(masking: address, length: length), case .route(let route)? = desired.objects[.route(vrf, prefix)]?.object
            else {
                continue
            }
            return route.nextHop != NextHopID.discard.rawValue
        }
        return false
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
