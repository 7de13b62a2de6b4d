import ArgumentParser
import DataplaneAPI
import Foundation
import NetTypes

struct PolicyLogCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log", abstract: "Shows what rules with `log` have decided.",
        discussion: """
            EXAMPLES
              vrctl policy log
              vrctl policy log --follow -o json
            """)
    @Flag(name: .shortAndLong, help: "Goes on with what is decided from now on, until Ctrl-C.") var follow = false
    @OptionGroup var outputOptions: OutputOptions
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        let isJSON = outputOptions.output == .json, follow = follow
        try await connection.withRouter { router in
            let output = Context.current.output
            let collected = Collected()
            try await router.policyLog(follow: follow) { decisions in
                if !isJSON {
                    output.write(decisions.map(PolicyLayout.line).joined())
                } else if follow {
                    output.write(decisions.map { PolicyLayout.json($0).compact + "\n" }.joined())
                } else {
                    await collected.add(decisions)
                }
            }
            if isJSON, !follow {
                let all = await collected.decisions
                output.write((["decisions": .array(all.map { PolicyLayout.json($0) })] as JSON).pretty + "\n")
            }
        }
    }

    private actor Collected {
        var decisions: [Dataplane_V1_LoggedDecision] = []
        func add(_ more: [Dataplane_V1_LoggedDecision]) { decisions += more }
    }
}

extension PolicyLayout {
    /// `09:09:04.123456 pass tcp 10.1.0.11:4321 > 10.2.0.11:80 egress of vif0/3: shop/rules[0] (networkPolicies/blue:egress); forwarded`
    static func line(_ decision: Dataplane_V1_LoggedDecision) -> String {
        let rule = decision.ruleName.isEmpty ? "rule \(decision.rule)" : printable(decision.ruleName)
        let policy = decision.policyName.isEmpty ? "policy \(decision.policy)" : printable(decision.policyName)
        return
            "\(clockTime(decision.timeNs)) \(text(decision.action)) \(flow(decision)) \(decision.ingress ? "ingress" : "egress") of vif0/\(decision.vif): "
            + "\(rule) (\(policy)); \(decision.verdict)\n"
    }

    private static func flow(_ decision: Dataplane_V1_LoggedDecision) -> String {
        let number = UInt8(exactly: decision.protocol), hasPorts = number.map(ProtocolName.withPorts.contains) == true
        func end(_ octets: Data, _ port: UInt32) -> String {
            guard hasPorts else { return addressText(octets) }
            return octets.count == 4 ? "\(addressText(octets)):\(port)" : "[\(addressText(octets))]:\(port)"
        }
        let type = number == 1 || number == 58 ? " \(decision.icmpType)/\(decision.icmpCode)" : ""
        return "\(number.flatMap { ProtocolName.name(of: $0) } ?? "\(decision.protocol)") \(end(decision.source, decision.sourcePort)) > "
            + end(decision.destination, decision.destinationPort) + type
    }

    static func json(_ decision: Dataplane_V1_LoggedDecision) -> JSON {
        let number = UInt8(exactly: decision.protocol), hasPorts = number.map(ProtocolName.withPorts.contains) == true
        let isICMP = number == 1 || number == 58
        return [
            "time": JSON(isoTime(decision.timeNs)), "timeNanoseconds": JSON(decision.timeNs), "worker": JSON(decision.worker),
            "number": JSON(decision.number), "policy": JSON(decision.policy), "policyName": JSON(decision.policyName), "rule": JSON(decision.rule),
            "ruleName": JSON(decision.ruleName), "action": JSON(text(decision.action)),
            "verdict": JSON(decision.isHeld ? "held" : decision.dropReason.isEmpty ? "forwarded" : "dropped"),
            "dropReason": decision.dropReason.isEmpty || decision.isHeld ? .null : JSON(decision.dropReason), "vif": JSON(decision.vif),
            "direction": JSON(decision.ingress ? "ingress" : "egress"), "vrf": JSON(decision.vrf), "source": JSON(addressText(decision.source)),
            "destination": JSON(addressText(decision.destination)), "protocol": JSON(decision.protocol),
            "sourcePort": hasPorts ? JSON(decision.sourcePort) : .null, "destinationPort": hasPorts ? JSON(decision.destinationPort) : .null,
            "icmpType": isICMP ? JSON(decision.icmpType) : .null, "icmpCode": isICMP ? JSON(decision.icmpCode) : .null,
        ]
    }
}
