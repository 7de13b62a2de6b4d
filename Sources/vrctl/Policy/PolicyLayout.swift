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
        return text(rule.action) + "  " + text(rule.service) + "  remote " + text(rule.remote) + local
            + (rule.name.isEmpty ? "" : "  (\(printable(rule.name)))")
    }

    static func text(_ title: String, _ explanation: Dataplane_V1_ExplainPolicyResponse) -> String {
        let none = explanation.opinions.isEmpty ? " (the vif has no policy in this direction)" : ""
        return "\(title): \(text(explanation.action))\(none)\n"
            + explanation.opinions.map { opinion in
                let why =
                    opinion.hasRule
                    ? "rule \(opinion.rule)" + (opinion.ruleName.isEmpty ? "" : " (\(printable(opinion.ruleName)))") : "no rule matches"
                return "  \(text(opinion.action))  policy \(opinion.policy) \(printable(opinion.name)) (\(text(opinion.origin))): \(why)\n"
            }.joined()
    }

    static func json(_ rule: Dataplane_V1_PolicyRule) -> JSON {
        [
            "name": JSON(rule.name), "action": JSON(text(rule.action)), "remote": JSON(text(rule.remote)), "local": JSON(text(rule.local)),
            "service": JSON(text(rule.service)),
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
            "policies": .array(
                explanation.opinions.map { opinion in
                    [
                        "policy": JSON(opinion.policy), "name": JSON(opinion.name), "origin": JSON(text(opinion.origin)),
                        "action": JSON(text(opinion.action)),
                        "rule": opinion.hasRule ? JSON(opinion.rule) : .null, "ruleName": JSON(opinion.ruleName),
                    ]
                }),
        ]
    }
}
