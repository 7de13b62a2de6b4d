import DataplaneAPI
import Logging
import NetTypes

/// How many decisions are written to the log: a hundred a second, and as many at once. What is more is counted, and the count is written when there is room again.
///
/// Thread-safety: a value.
struct PolicyLogGate: Sendable {
    static let perSecond = 100.0
    private var tokens = perSecond
    private var last: Duration = .zero
    private var suppressed = 0

    /// Whether one may be written now, and how many were not since the last that was.
    mutating func open(now: Duration) -> (isOpen: Bool, suppressed: Int) {
        tokens = min(Self.perSecond, tokens + (now - last).seconds * Self.perSecond)
        last = now
        guard tokens >= 1 else {
            suppressed += 1
            return (false, 0)
        }
        tokens -= 1
        defer { suppressed = 0 }
        return (true, suppressed)
    }
}

/// What rules with `log` decide, in the agent's log.
extension AgentCore {
    /// As long as the connection lasts.
    func followPolicyLog(_ client: DataplaneClient) async throws {
        do throws(DataplaneError) { try await client.policyLog(follow: true) { await self.tell($0) } } catch {
            guard error.kind == .protocolError else { throw error }
            // A data plane that goes on running while programs around it are newer.
            logger.warning("this data plane does not tell what rules decide", metadata: ["reason": "\(error)"])
            while true { try await Task.sleep(for: .seconds(3600)) }
        }
    }

    func tell(_ decisions: [Dataplane_V1_LoggedDecision]) {
        for decision in decisions {
            let gate = policyLog.open(now: now)
            if gate.suppressed > 0 {
                logger.warning("rules decided more connections than the log takes", metadata: ["not written": "\(gate.suppressed)"])
            }
            guard gate.isOpen else { continue }
            logger.info(decision.message, metadata: metadata(decision))
        }
    }

    private func metadata(_ decision: Dataplane_V1_LoggedDecision) -> Logger.Metadata {
        let vif = VifID(decision.vif)
        let port = desired.ports.first { $0.vif == vif }?.binding.name ?? vif.description
        return [
            "rule": "\(decision.ruleName)", "policy": "\(decision.policyName)", "port": "\(port)",
            "direction": decision.ingress ? "ingress" : "egress",
            "flow": "\(decision.flowText)", "verdict": "\(decision.verdict)",
        ]
    }
}

extension Dataplane_V1_LoggedDecision {
    var message: Logger.Message {
        switch action {
        case .pass: "a rule passes a connection"
        case .trap: "a rule has a connection decided"
        case .deny, .unspecified, .UNRECOGNIZED: "a rule denies a connection"
        }
    }

    /// `tcp 10.1.0.11:4321 > 10.2.0.11:80`.
    var flowText: String {
        func end(_ octets: [UInt8], _ port: UInt32) -> String {
            let address = IPAddress(bytes: octets)
            guard let number = UInt8(exactly: self.protocol), ProtocolName.withPorts.contains(number), let address else {
                return address?.description ?? "?"
            }
            return address.isIPv4 ? "\(address):\(port)" : "[\(address)]:\(port)"
        }
        let name = UInt8(exactly: self.protocol).flatMap { ProtocolName.name(of: $0) } ?? "\(self.protocol)"
        let type = self.protocol == 1 || self.protocol == 58 ? " \(icmpType)/\(icmpCode)" : ""
        return "\(name) \(end(Array(source), sourcePort)) > \(end(Array(destination), destinationPort))\(type)"
    }
}
