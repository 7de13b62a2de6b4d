import DataplaneAPI
import NetTypes

/// How policies, groups and explanations look.
enum PolicyLayout {
    static func text(_ action: Dataplane_V1_PolicyAction) -> String {
        switch action {
        case .pass: "pass"
        case .deny: "deny"
        case .trap: "trap"
        case .unspecified, .UNRECOGNIZED: "?"
        }
    }

    static func text(_ origin: Dataplane_V1_PolicyOrigin) -> String {
        switch origin {
        case .unspecified, .securityGroup: "securityGroup"
        case .networkPolicy: "networkPolicy"
        case .firewall: "firewall"
        case .UNRECOGNIZED(let number): "?\(number)"
        }
    }

    static func text(_ prefix: Dataplane_V1_Prefix) -> String { "\(addressText(prefix.address))/\(prefix.length)" }

    static func text(_ addresses: Dataplane_V1_PolicyAddresses) -> String {
        switch addresses.addresses {
        case nil: "any"
        case .group(let id): "group \(id)"
        case .prefixes(let list): list.prefixes.map(text).joined(separator: ",")
        }
    }

    static func text(_ service: Dataplane_V1_PolicyService) -> String {
        guard service.hasProtocol else { return "any" }
        var out = UInt8(exactly: service.protocol).flatMap(ProtocolName.name) ?? "\(service.protocol)"
        func ports(_ ranges: [Dataplane_V1_PortRange]) -> String {
            ranges.map { $0.first == $0.last ? "\($0.first)" : "\($0.first)-\($0.last)" }.joined(separator: ",")
        }
        if !service.destinationPorts.isEmpty { out += " port " + ports(service.destinationPorts) }
        if !service.sourcePorts.isEmpty { out += " source port " + ports(service.sourcePorts) }
        if service.hasIcmpType { out += " type \(service.icmpType)" }
        if service.hasIcmpCode { out += " code \(service.icmpCode)" }
        return out
    }

    static func text(_ rule: Dataplane_V1_PolicyRule) -> String {
        let local = rule.local.addresses == nil ? "" : " local " + text(rule.local)
        let more = (rule.mirror == 0 ? "" : "  mirror \(rule.mirror)") + (rule.log ? "  log" : "")
        return text(rule.action) + "  " + text(rule.service) + "  remote " + text(rule.remote) + local + more
            + (rule.name.isEmpty ? "" : "  (\(printable(rule.name)))")
    }

    static func text(_ title: String, _ explanation: Dataplane_V1_ExplainPolicyResponse) -> String {
        let none = explanation.opinions.isEmpty ? " (the vif has no policy in this direction)" : ""
        return "\(title): \(text(explanation.action))\(none)\n"
            + explanation.opinions.map { "  \(text($0.action))  \(text($0))\n" }.joined()
    }

    static func text(_ opinion: Dataplane_V1_PolicyOpinion) -> String {
        let why =
            opinion.hasRule ? "rule \(opinion.rule)" + (opinion.ruleName.isEmpty ? "" : " (\(printable(opinion.ruleName)))") : "no rule matches"
        return "policy \(opinion.policy) \(printable(opinion.name)) (\(text(opinion.origin))): \(why)"
    }

    /// One line. `vifs`: names by number.
    static func verdict(_ outcome: Dataplane_V1_FlowOutcome, source: String, vifs: [UInt32: String]) -> String {
        func name(_ vif: UInt32) -> String { "\(printable(vifs[vif] ?? "")) (vif0/\(vif))" }
        let sender = outcome.hasSourceVif ? name(outcome.sourceVif) : "", receiver = outcome.hasDestinationVif ? name(outcome.destinationVif) : ""
        var line = "verdict: "
        switch outcome.verdict {
        case .forwarded:
            switch outcome.exit {
            case .workload: line += "forwarded to \(receiver)"
            case .tunnel: line += "forwarded into the tunnel of next hop \(outcome.nextHop); what the policies of its far end say is not known here"
            case .router, .unspecified, .UNRECOGNIZED: line += "delivered to this router"
            }
        case .held: line += "held until a control program decides, by \(text(outcome.opinion))"
        case .dropped: line += "dropped " + because(outcome, source: source, sender: sender, receiver: receiver)
        case .unspecified, .UNRECOGNIZED: return "verdict: not told by this vrouter\n"
        }
        if !outcome.hasSourceVif, outcome.hasDestinationVif {
            line += outcome.verdict == .dropped ? "" : "; its sender is not on this node: what the policies there say is not known here"
        }
        if outcome.translated { line += "; its addresses are translated on the way" }
        return line + "\n"
    }

    private static func because(_ outcome: Dataplane_V1_FlowOutcome, source: String, sender: String, receiver: String) -> String {
        switch outcome.decider {
        case .antispoof: "by antispoofing at \(sender): its workload may not send from \(source)"
        case .translation: "as it cannot be translated (\(printable(outcome.dropReason)))"
        case .egress: "on its way out of \(sender), by \(text(outcome.opinion))"
        case .ingress: "on its way to \(receiver), by \(text(outcome.opinion))"
        case .route: outcome.hasNextHop ? "by its route (\(printable(outcome.dropReason)), next hop \(outcome.nextHop))" : "as there is no route"
        case .unspecified, .UNRECOGNIZED: "(\(printable(outcome.dropReason)))"
        }
    }

    static func json(_ outcome: Dataplane_V1_FlowOutcome) -> JSON {
        let verdict: JSON =
            switch outcome.verdict {
            case .forwarded: "forwarded"
            case .dropped: "dropped"
            case .held: "held"
            case .unspecified, .UNRECOGNIZED: .null
            }
        let decider: JSON =
            switch outcome.decider {
            case .antispoof: "antispoof"
            case .translation: "translation"
            case .egress: "egress"
            case .ingress: "ingress"
            case .route: "route"
            case .unspecified, .UNRECOGNIZED: .null
            }
        let exit: JSON =
            switch outcome.exit {
            case .workload: "workload"
            case .tunnel: "tunnel"
            case .router: "router"
            case .unspecified, .UNRECOGNIZED: .null
            }
        return [
            "verdict": verdict, "by": decider, "policy": outcome.hasOpinion ? json(outcome.opinion) : .null,
            "dropReason": outcome.dropReason.isEmpty ? .null : JSON(outcome.dropReason),
            "sourceVif": outcome.hasSourceVif ? JSON(outcome.sourceVif) : .null,
            "destinationVif": outcome.hasDestinationVif ? JSON(outcome.destinationVif) : .null,
            "nextHop": outcome.hasNextHop ? JSON(outcome.nextHop) : .null, "exit": exit, "translated": .bool(outcome.translated),
            // Both ends' policies were asked.
            "complete": .bool(outcome.hasSourceVif && outcome.exit != .tunnel),
        ]
    }

    private static func json(_ opinion: Dataplane_V1_PolicyOpinion) -> JSON {
        [
            "policy": JSON(opinion.policy), "name": JSON(opinion.name), "origin": JSON(text(opinion.origin)), "action": JSON(text(opinion.action)),
            "rule": opinion.hasRule ? JSON(opinion.rule) : .null, "ruleName": JSON(opinion.ruleName),
        ]
    }

    static func json(_ rule: Dataplane_V1_PolicyRule) -> JSON {
        [
            "name": JSON(rule.name), "action": JSON(text(rule.action)), "remote": JSON(text(rule.remote)), "local": JSON(text(rule.local)),
            "service": JSON(text(rule.service)), "mirror": rule.mirror == 0 ? .null : JSON(rule.mirror), "log": .bool(rule.log),
        ]
    }

    static func json(_ policy: Dataplane_V1_Policy) -> JSON {
        [
            "id": JSON(policy.id), "name": JSON(policy.name), "origin": JSON(text(policy.origin)), "default": JSON(text(policy.defaultAction)),
            "rules": .array(policy.rules.map(json)), "cookie": JSON(cookieText(policy.cookie)),
        ]
    }

    static func json(_ group: Dataplane_V1_AddressGroup) -> JSON {
        [
            "id": JSON(group.id), "name": JSON(group.name), "prefixes": .array(group.prefixes.map { JSON(text($0)) }),
            "cookie": JSON(cookieText(group.cookie)),
        ]
    }

    static func json(_ explanation: Dataplane_V1_ExplainPolicyResponse) -> JSON {
        [
            "action": JSON(text(explanation.action)),
            "policies": .array(explanation.opinions.map { json($0) }),
        ]
    }
}
