public import NetTypes
import StrictYAML

/// What a policy by labels means for the ports of one node: the selectors are resolved. Made by the controller, for the agents whose ports a policy selects; operators
/// do not write it.
public struct FirewallPolicy: Hashable, Sendable {
    /// Where a rule comes from and what it lets pass.
    public struct Rule: Hashable, Sendable {
        public enum Peer: Hashable, Sendable {
            case any
            case prefixes([IPPrefix])
            /// Network by network, as addresses of one network say nothing in another.
            case members([SecurityGroupMembers.Network])
        }
        /// Index in the policy.
        public var index: Int
        /// IP protocol number; nil: any.
        public var proto: UInt8?
        /// Destination ports; empty: all.
        public var ports: [ClosedRange<UInt16>]
        /// Only for these of the selected ports' addresses; empty: for all.
        public var local: [IPAddress]
        public var peer: Peer
        public init(index: Int, proto: UInt8? = nil, ports: [ClosedRange<UInt16>] = [], local: [IPAddress] = [], peer: Peer = .any) {
            self.index = index
            self.proto = proto
            self.ports = ports
            self.local = local
            self.peer = peer
        }
    }
    public var metadata: ObjectMetadata
    /// The names of the node's ports that it selects.
    public var ports: [String]
    /// Nil: this direction is left open.
    public var ingress: [Rule]?
    public var egress: [Rule]?
    public var name: String { metadata.name }

    public init(metadata: ObjectMetadata, ports: [String], ingress: [Rule]? = nil, egress: [Rule]? = nil) {
        self.metadata = metadata
        self.ports = ports
        self.ingress = ingress
        self.egress = egress
    }

    init(metadata: ObjectMetadata, spec node: ConfigNode) throws(ConfigError) {
        let fields = try node.mapping(keys: ["ports", "directions", "ingress", "egress"])
        self.init(metadata: metadata, ports: [])
        for item in try fields["ports"]?.list() ?? [] { ports.append(try item.objectName(.port)) }
        var directions: [String] = []
        for item in try fields["directions"]?.list() ?? [] { directions.append(try item.string()) }
        func rules(_ key: String) throws(ConfigError) -> [Rule]? {
            guard directions.contains(key) else { return nil }
            var out: [Rule] = []
            for item in try fields[key]?.list() ?? [] { out.append(try Rule(item)) }
            return out
        }
        ingress = try rules("ingress")
        egress = try rules("egress")
    }

    var spec: ConfigValue {
        var fields: [ConfigValue.Field] = [
            .init("ports", .list(ports.map { .string($0) })),
            .init("directions", .list([ingress.map { _ in "ingress" }, egress.map { _ in "egress" }].compactMap(\.self).map { .string($0) })),
        ]
        if let ingress { fields.append(.init("ingress", .list(ingress.map(\.value)))) }
        if let egress { fields.append(.init("egress", .list(egress.map(\.value)))) }
        return .map(fields)
    }
}

extension FirewallPolicy.Rule {
    init(_ node: ConfigNode) throws(ConfigError) {
        let fields = try node.mapping(keys: ["index", "protocol", "ports", "local", "prefixes", "members"])
        self.init(
            index: try fields.required("index").integer(in: 0...KubernetesPolicy.ruleCapacity), proto: try fields["protocol"]?.ipProtocol(),
            ports: try fields["ports"]?.portRanges() ?? [])
        for item in try fields["local"]?.list() ?? [] { local.append(try item.address()) }
        if let given = fields["prefixes"] { peer = .prefixes(try given.prefixes()) }
        if let given = fields["members"] {
            var networks: [SecurityGroupMembers.Network] = []
            for item in try given.mapping(keys: ["networks"])["networks"]?.list() ?? [] { networks.append(try SecurityGroupMembers.Network(item)) }
            peer = .members(networks)
        }
    }

    var value: ConfigValue {
        var fields: [ConfigValue.Field] = [.init("index", .integer(index))]
        if let proto { fields.append(.init("protocol", ConfigValue(ipProtocol: proto))) }
        if !ports.isEmpty { fields.append(.init("ports", ConfigValue(ports: ports))) }
        if !local.isEmpty { fields.append(.init("local", .list(local.map { .string($0.description) }))) }
        switch peer {
        case .any: break
        case .prefixes(let list): fields.append(.init("prefixes", .list(list.map { .string($0.description) })))
        case .members(let networks): fields.append(.init("members", .map([.init("networks", .list(networks.map(\.value)))])))
        }
        return .map(fields)
    }
}
