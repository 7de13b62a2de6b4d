public import NetTypes
import StrictYAML

/// What virtual networks may say to each other: ordered rules, attached to networks by their names (`VirtualNetwork.policies`). Networks know each other's routes
/// when a rule of both one's policies that does not deny names both; then the rules decide about each connection, and what no rule decides is denied.
public struct NetworkPolicy: Hashable, Sendable {
    public enum Action: String, CaseIterable, Hashable, Sendable {
        case pass, deny
        /// The agents of the nodes at which a connection begins and ends decide, each connection by itself.
        case trap
    }
    /// Of connections: `both` also from the destination to the source, each end with its ports.
    public enum Direction: String, CaseIterable, Hashable, Sendable { case both = "<>", forward = ">" }
    public enum End: Hashable, Sendable {
        /// Every network, and every address.
        case any
        case network(String)
        case prefixes([IPPrefix])

        /// Whether it stands for the whole of the network.
        public func covers(_ name: String) -> Bool {
            switch self {
            case .any: true
            case .network(let own): own == name
            case .prefixes: false
            }
        }
    }

    /// Where copies of packets go: an analyser on the fabric. Frames as the workloads send them, in VXLAN with this VNI, or in ERSPAN type II over GRE with this session.
    public struct Mirror: Hashable, Sendable {
        public enum Format: Hashable, Sendable {
            case vxlan(VNI)
            case erspan(session: UInt32)
        }
        public var analyser: IPv4Address
        public var format: Format
        public init(analyser: IPv4Address, _ format: Format) {
            self.analyser = analyser
            self.format = format
        }
    }

    public struct Rule: Hashable, Sendable {
        public var action: Action
        public var direction: Direction
        /// IP protocol number; nil: any.
        public var proto: UInt8?
        public var source: End
        public var destination: End
        /// Of protocols that have ports; empty: all.
        public var sourcePorts: [ClosedRange<UInt16>]
        public var ports: [ClosedRange<UInt16>]
        /// Of ICMP and ICMPv6; nil: all.
        public var icmpType: UInt8?
        public var icmpCode: UInt8?
        /// Of what the rule passes, both directions, the packets are copied there.
        public var mirror: Mirror?
        /// Each connection that the rule decides is told in the agent's log.
        public var log = false
        public init(
            _ action: Action = .pass, direction: Direction = .both, proto: UInt8? = nil, source: End = .any, destination: End = .any,
            sourcePorts: [ClosedRange<UInt16>] = [], ports: [ClosedRange<UInt16>] = [], icmpType: UInt8? = nil, icmpCode: UInt8? = nil
        ) {
            self.action = action
            self.direction = direction
            self.proto = proto
            self.source = source
            self.destination = destination
            self.sourcePorts = sourcePorts
            self.ports = ports
            self.icmpType = icmpType
            self.icmpCode = icmpCode
        }
    }

    public var metadata: ObjectMetadata
    public var rules: [Rule]
    public var name: String { metadata.name }
    /// The networks that rules name.
    public var networks: Set<String> {
        Set(rules.flatMap { [$0.source, $0.destination] }.compactMap { if case .network(let name) = $0 { name } else { nil } })
    }

    public init(metadata: ObjectMetadata, rules: [Rule]) {
        self.metadata = metadata
        self.rules = rules
    }

    /// Of one policy; a network has `VirtualNetwork.policyCapacity` policies. All rules of a network, each for two directions, fit one policy of the data plane.
    public static let ruleCapacity = 4000

    init(metadata: ObjectMetadata, spec node: ConfigNode) throws(ConfigError) {
        let list = try node.mapping(keys: ["rules"]).required("rules")
        let items = try list.list()
        guard items.count <= Self.ruleCapacity else { throw list.error("\(items.count) rules; a policy has \(Self.ruleCapacity) at most") }
        var rules: [Rule] = []
        for item in items { rules.append(try Rule(item)) }
        self.init(metadata: metadata, rules: rules)
    }

    var spec: ConfigValue { .map([.init("rules", .list(rules.map(\.value)))]) }

    /// The networks that rules join with this one, by letting a connection pass or having it decided, for its part; `any`: all.
    public func joins(_ network: String) -> (names: Set<String>, any: Bool) {
        var names: Set<String> = [], any = false
        for rule in rules where rule.action != .deny {
            for (near, far) in [(rule.source, rule.destination), (rule.destination, rule.source)] where near.covers(network) {
                switch far {
                case .any: any = true
                case .network(let name): names.insert(name)
                case .prefixes: break
                }
            }
        }
        return (names, any)
    }
}

extension NetworkPolicy.Rule {
    init(_ node: ConfigNode) throws(ConfigError) {
        let fields = try node.mapping(
            keys: ["action", "direction", "protocol", "source", "sourcePorts", "destination", "ports", "icmpType", "icmpCode", "mirror", "log"])
        self.init(
            try fields.required("action").choice(NetworkPolicy.Action.self),
            direction: try fields["direction"]?.choice(NetworkPolicy.Direction.self) ?? .both, proto: try fields["protocol"]?.ipProtocol(),
            source: try NetworkPolicy.End(fields["source"]), destination: try NetworkPolicy.End(fields["destination"]),
            sourcePorts: try fields["sourcePorts"]?.portRanges() ?? [], ports: try fields["ports"]?.portRanges() ?? [],
            icmpType: try fields["icmpType"]?.integer(in: 0...255), icmpCode: try fields["icmpCode"]?.integer(in: 0...255))
        for key in ["ports", "sourcePorts"] {
            if let given = fields[key], proto.map(ProtocolName.withPorts.contains) != true {
                throw given.error("ports are of tcp, udp, sctp and dccp: give the protocol")
            }
        }
        for key in ["icmpType", "icmpCode"] {
            if let given = fields[key], proto != 1, proto != 58 { throw given.error("is of icmp and icmpv6: give the protocol") }
        }
        if icmpType == nil, let code = fields["icmpCode"] { throw code.error("a code needs a type: give icmpType") }
        log = try fields["log"]?.boolean() ?? false
        guard let given = fields["mirror"] else { return }
        guard action == .pass else { throw given.error("only what passes is mirrored; give the rule the action pass") }
        mirror = try NetworkPolicy.Mirror(given)
    }

    var value: ConfigValue {
        var fields: [ConfigValue.Field] = [
            .init("action", .string(action.rawValue)), .init("direction", .string(direction.rawValue)),
        ]
        if let proto { fields.append(.init("protocol", ConfigValue(ipProtocol: proto))) }
        if let end = source.value { fields.append(.init("source", end)) }
        if !sourcePorts.isEmpty { fields.append(.init("sourcePorts", ConfigValue(ports: sourcePorts))) }
        if let end = destination.value { fields.append(.init("destination", end)) }
        if !ports.isEmpty { fields.append(.init("ports", ConfigValue(ports: ports))) }
        if let icmpType { fields.append(.init("icmpType", .integer(Int(icmpType)))) }
        if let icmpCode { fields.append(.init("icmpCode", .integer(Int(icmpCode)))) }
        if let mirror { fields.append(.init("mirror", mirror.value)) }
        if log { fields.append(.init("log", .boolean(true))) }
        return .map(fields)
    }
}

extension NetworkPolicy.Mirror {
    init(_ node: ConfigNode) throws(ConfigError) {
        let fields = try node.mapping(keys: ["analyser", "vni", "session"])
        let given = try fields.required("analyser")
        guard case .v4(let address) = try given.address() else { throw given.error("an analyser has an IPv4 address: tunnels are over IPv4") }
        guard address != .any, !address.isMulticast, address.rawValue != .max else { throw given.error("\(address) is no address of a host") }
        let (key, details) = try fields.one(of: ["vni", "session"])
        self.init(
            analyser: address,
            key == "vni"
                ? .vxlan(VNI(UInt32(try details.integer(in: 1...Int(VNI.maximum)) as Int))) : .erspan(session: try details.integer(in: 0...1023)))
    }

    var value: ConfigValue {
        let format: ConfigValue.Field =
            switch format {
            case .vxlan(let vni): .init("vni", .integer(Int(vni.rawValue)))
            case .erspan(let session): .init("session", .integer(Int(session)))
            }
        return .map([.init("analyser", .string(analyser.description)), format])
    }
}

extension NetworkPolicy.End {
    init(_ node: ConfigNode?) throws(ConfigError) {
        guard let node else { self = .any; return }
        let (key, details) = try node.mapping(keys: ["network", "prefixes"]).one(of: ["network", "prefixes"])
        self = key == "network" ? .network(try details.objectName(.virtualNetwork)) : .prefixes(try details.prefixes())
    }

    var value: ConfigValue? {
        switch self {
        case .any: nil
        case .network(let name): .map([.init("network", .string(name))])
        case .prefixes(let list): .map([.init("prefixes", .list(list.map { .string($0.description) }))])
        }
    }
}

/// What an agent has to know of other networks because of the policies of one that it has ports in: their prefixes, and which are connected with it. Made by the
/// controller; operators do not write it.
public struct NetworkPeers: Hashable, Sendable {
    public struct Network: Hashable, Sendable {
        public var name: String
        public var prefixes: [IPPrefix]
        /// They know each other's routes.
        public var isConnected: Bool
        /// Those of the network's policies that it has, too.
        public var policies: [String]
        public init(name: String, prefixes: [IPPrefix], isConnected: Bool, policies: [String] = []) {
            self.name = name
            self.prefixes = prefixes
            self.isConnected = isConnected
            self.policies = policies
        }
    }
    /// The name is the network's whose peers they are.
    public var metadata: ObjectMetadata
    public var networks: [Network]
    public var name: String { metadata.name }
    public var connected: [Network] { networks.filter(\.isConnected) }

    public init(metadata: ObjectMetadata, networks: [Network]) {
        self.metadata = metadata
        self.networks = networks
    }

    init(metadata: ObjectMetadata, spec node: ConfigNode) throws(ConfigError) {
        var networks: [Network] = []
        for item in try node.mapping(keys: ["networks"])["networks"]?.list() ?? [] {
            let fields = try item.mapping(keys: ["name", "prefixes", "connected", "policies"])
            var policies: [String] = []
            for policy in try fields["policies"]?.list() ?? [] { policies.append(try policy.objectName(.networkPolicy)) }
            networks.append(
                Network(
                    name: try fields.required("name").objectName(.virtualNetwork), prefixes: try fields["prefixes"]?.prefixes() ?? [],
                    isConnected: try fields["connected"]?.boolean() ?? false, policies: policies))
        }
        self.init(metadata: metadata, networks: networks)
    }

    var spec: ConfigValue {
        .map([
            .init(
                "networks",
                .list(
                    networks.map {
                        .map([
                            .init("name", .string($0.name)), .init("prefixes", .list($0.prefixes.map { .string($0.description) })),
                            .init("connected", .boolean($0.isConnected)), .init("policies", .list($0.policies.map { .string($0) })),
                        ])
                    }))
        ])
    }
}
