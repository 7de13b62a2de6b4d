import Dataplane
import NetTypes
import StrictYAML

// Address groups and policies of the file's `objects` section.
extension ConfiguredObject {
    static func addressGroup(_ value: ConfigNode) throws(ConfigError) -> RouterObject {
        let fields = try value.mapping(keys: ["id", "name", "prefixes", "cookie"])
        return .addressGroup(
            AddressGroupSpec(
                id: AddressGroupID(try number(fields.required("id"))), name: try fields.required("name").string(),
                prefixes: try prefixes(fields["prefixes"]), cookie: try cookie(fields)))
    }

    static func policy(_ value: ConfigNode) throws(ConfigError) -> RouterObject {
        let fields = try value.mapping(keys: ["id", "name", "origin", "default", "rules", "cookie"])
        var rules: [PolicyRule] = []
        for item in try fields["rules"]?.list() ?? [] { rules.append(try rule(item)) }
        return .policy(
            PolicySpec(
                id: PolicyID(try number(fields.required("id"))), name: try fields.required("name").string(),
                origin: try fields["origin"]?.choice([
                    "securityGroup": PolicyOrigin.securityGroup, "networkPolicy": .networkPolicy, "firewall": .firewall,
                ]) ?? .securityGroup,
                rules: rules, defaultAction: try fields["default"].map(action) ?? .deny, cookie: try cookie(fields)))
    }

    static func policyIDs(_ value: ConfigNode?) throws(ConfigError) -> [PolicyID] {
        var out: [PolicyID] = []
        for item in try value?.list() ?? [] { out.append(PolicyID(try number(item))) }
        return out
    }

    private static func action(_ value: ConfigNode) throws(ConfigError) -> PolicyAction {
        try value.choice(["pass": .pass, "deny": .deny, "trap": .trap])
    }

    private static func prefixes(_ value: ConfigNode?) throws(ConfigError) -> [IPPrefix] {
        var out: [IPPrefix] = []
        for item in try value?.list() ?? [] { out.append(try item.prefix(acceptsHost: true)) }
        return out
    }

    private static func rule(_ value: ConfigNode) throws(ConfigError) -> PolicyRule {
        let fields = try value.mapping(keys: [
            "name", "action", "remote", "local", "protocol", "ports", "sourcePorts", "icmpType", "icmpCode", "mirror", "log",
        ])
        return PolicyRule(
            name: try fields["name"]?.string() ?? "", action: try fields["action"].map(action) ?? .pass, remote: try addresses(fields["remote"]),
            local: try addresses(fields["local"]), service: try service(fields), mirror: try fields["mirror"]?.integer(in: 1...255) ?? 0,
            logs: try fields["log"]?.boolean() ?? false)
    }

    /// `{group: 1}` or `{prefixes: […]}`.
    private static func addresses(_ value: ConfigNode?) throws(ConfigError) -> PolicyAddresses {
        guard let value else { return .any }
        let (key, details) = try value.mapping(keys: ["group", "prefixes"]).one(of: ["group", "prefixes"])
        return key == "group" ? .group(AddressGroupID(try number(details))) : .prefixes(try prefixes(details))
    }

    private static func service(_ fields: ConfigMapping) throws(ConfigError) -> PolicyService {
        let details = ["ports", "sourcePorts", "icmpType", "icmpCode"]
        guard let given = fields["protocol"] else {
            for key in details { if let field = fields[key] { throw field.error("needs a protocol") } }
            return .any
        }
        let proto = try ipProtocol(given)
        let service: PolicyService
        if fields["ports"] != nil || fields["sourcePorts"] != nil {
            for key in ["icmpType", "icmpCode"] { if let field = fields[key] { throw field.error("a protocol has ports or ICMP types, not both") } }
            service = .ports(
                proto: proto, destination: try fields["ports"]?.portRanges() ?? [], source: try fields["sourcePorts"]?.portRanges() ?? [])
        } else if fields["icmpType"] != nil || fields["icmpCode"] != nil {
            service = .icmp(
                proto: proto, type: try fields["icmpType"]?.integer(in: 0...255), code: try fields["icmpCode"]?.integer(in: 0...255))
        } else {
            service = .proto(proto)
        }
        return service
    }

    /// A name or a number.
    private static func ipProtocol(_ value: ConfigNode) throws(ConfigError) -> UInt8 {
        if let name = try? value.string(), let known = ProtocolName.number(of: name) { return known }
        return try value.integer(in: 0...255)
    }

    /// `{protocol, port, ignoreAddress}`.
    static func fatFlow(_ value: ConfigNode) throws(ConfigError) -> FatFlowRule {
        let fields = try value.mapping(keys: ["protocol", "port", "ignoreAddress"])
        return FatFlowRule(
            proto: try ipProtocol(fields.required("protocol")), port: try fields["port"]?.integer(in: 0...65_535) ?? 0,
            ignoredAddress: try fields["ignoreAddress"]?.choice(["none": FatFlowRule.Address.none, "remote": .remote, "local": .local]) ?? .none)
    }

    /// `{protocol, port, seconds}`; without a protocol: of all that have no time of their own.
    static func flowAgeing(_ value: ConfigNode) throws(ConfigError) -> RouterObject {
        let fields = try value.mapping(keys: ["protocol", "port", "seconds", "cookie"])
        if fields["protocol"] == nil, let port = fields["port"] { throw port.error("a port is a protocol's: give the protocol too") }
        return .flowAgeing(
            FlowAgeingSpec(
                proto: try fields["protocol"].map(ipProtocol) ?? 0, port: try fields["port"]?.integer(in: 1...65_535) ?? 0,
                seconds: try fields.required("seconds").integer(in: 1...604_800), cookie: try cookie(fields)))
    }
}
