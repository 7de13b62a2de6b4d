import Dataplane
import NetTypes
import StrictYAML

// Translations of the file's `objects` section: `{id, name, destination: {…}}` or `{id, name, source: {…}}`.
extension ConfiguredObject {
    static func natRule(_ value: ConfigNode) throws(ConfigError) -> RouterObject {
        let fields = try value.mapping(keys: ["id", "name", "destination", "source", "cookie"])
        let (key, details) = try fields.one(of: ["destination", "source"])
        return .natRule(
            NATRuleSpec(
                id: NATRuleID(try number(fields.required("id"))), name: try fields.required("name").string(),
                kind: key == "source" ? .source(try natSource(details)) : .destination(try natDestination(details)), cookie: try cookie(fields)))
    }

    private static func natDestination(_ value: ConfigNode) throws(ConfigError) -> NATRuleSpec.Destination {
        let fields = try value.mapping(keys: ["vrf", "address", "protocol", "ports", "backends", "affinity"])
        let match: NATRuleSpec.Match
        let range = try fields["ports"].map { node throws(ConfigError) in try ports(node) }
        if let given = fields["protocol"] {
            guard let range, range.count == 1 else { throw given.error("a protocol goes with one port: give ports, one number") }
            match = .port(proto: try given.choice(["tcp": 6, "udp": 17]), range.lowerBound)
        } else {
            match = range.map { .range($0) } ?? .all
        }
        var backends: [NATRuleSpec.Backend] = []
        for item in try fields["backends"]?.list() ?? [] {
            let backend = try item.mapping(keys: ["address", "port", "vrf", "draining"])
            backends.append(
                NATRuleSpec.Backend(
                    address: try backend["address"]?.address(), port: try backend["port"]?.integer(in: 0...65_535),
                    vrf: VRFID(try number(backend.required("vrf"))), isDraining: try backend["draining"]?.boolean() ?? false))
        }
        return NATRuleSpec.Destination(
            vrf: VRFID(try number(fields.required("vrf"))), address: try fields.required("address").address(), match: match, backends: backends,
            affinity: try fields["affinity"]?.choice(["connection": .connection, "client": .client]) ?? .connection)
    }

    private static func natSource(_ value: ConfigNode) throws(ConfigError) -> NATRuleSpec.Source {
        let fields = try value.mapping(keys: ["vrf", "prefix", "outsideVRF", "address", "ports"])
        return NATRuleSpec.Source(
            vrf: VRFID(try number(fields.required("vrf"))), prefix: try fields.required("prefix").prefix(acceptsHost: true),
            outside: VRFID(try number(fields.required("outsideVRF"))), address: try fields.required("address").address(),
            ports: try fields["ports"].map { node throws(ConfigError) in try ports(node) })
    }

    /// A port, or a range such as `1024-2047`.
    private static func ports(_ value: ConfigNode) throws(ConfigError) -> ClosedRange<UInt16> {
        let parts = try value.string().split(separator: "-", omittingEmptySubsequences: false).map { UInt16($0) }
        guard (1...2).contains(parts.count), let first = parts[0], let last = parts[parts.count - 1], first <= last else {
            throw value.error("is neither a port nor a range such as 1024-2047")
        }
        return first...last
    }
}
