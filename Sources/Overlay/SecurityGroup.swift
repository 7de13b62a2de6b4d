public import NetTypes
import StrictYAML

/// What may reach the ports of a group, and what they may reach. A port that has groups is reached only by what one of them lets in, and reaches only what one of them
/// lets out; replies need no rule.
public struct SecurityGroup: Hashable, Sendable {
    /// The far end: an address is in it when it is in one of the prefixes or a member of the group; nil: any.
    public enum Peer: Hashable, Sendable {
        case prefixes([IPPrefix])
        case group(String)
    }

    public struct Rule: Hashable, Sendable {
        /// IP protocol number; nil: any.
        public var proto: UInt8?
        /// Destination ports, of protocols that have them; empty: all.
        public var ports: [ClosedRange<UInt16>]
        /// Of ICMP and ICMPv6; nil: all.
        public var icmpType: UInt8?
        public var icmpCode: UInt8?
        public var peer: Peer?
        public init(proto: UInt8? = nil, ports: [ClosedRange<UInt16>] = [], icmpType: UInt8? = nil, icmpCode: UInt8? = nil, peer: Peer? = nil) {
            self.proto = proto
            self.ports = ports
            self.icmpType = icmpType
            self.icmpCode = icmpCode
            self.peer = peer
        }
    }

    public var metadata: ObjectMetadata
    /// To the ports of the group, and from them.
    public var ingress: [Rule]
    public var egress: [Rule]

    public var name: String { metadata.name }
    /// The groups that rules name.
    public var peers: Set<String> {
        Set((ingress + egress).compactMap { if case .group(let name) = $0.peer { name } else { nil } })
    }

    public init(metadata: ObjectMetadata, ingress: [Rule] = [], egress: [Rule] = []) {
        self.metadata = metadata
        self.ingress = ingress
        self.egress = egress
    }

    public static let ruleCapacity = 10_000

    init(metadata: ObjectMetadata, spec node: ConfigNode) throws(ConfigError) {
        let fields = try node.mapping(keys: ["ingress", "egress"])
        self.init(
            metadata: metadata, ingress: try fields["ingress"].map { node throws(ConfigError) in try Rule.list(node, peer: "from") } ?? [],
            egress: try fields["egress"].map { node throws(ConfigError) in try Rule.list(node, peer: "to") } ?? [])
    }

    var spec: ConfigValue {
        .map([
            .init("ingress", .list(ingress.map { $0.value(peer: "from") })), .init("egress", .list(egress.map { $0.value(peer: "to") })),
        ])
    }
}

extension SecurityGroup.Rule {
    static func list(_ node: ConfigNode, peer: String) throws(ConfigError) -> [Self] {
        let items = try node.list()
        guard items.count <= SecurityGroup.ruleCapacity else {
            throw node.error("\(items.count) rules; a group has \(SecurityGroup.ruleCapacity) in each direction at most")
        }
        var out: [Self] = []
        for item in items { out.append(try Self(item, peer: peer)) }
        return out
    }

    init(_ node: ConfigNode, peer peerKey: String) throws(ConfigError) {
        let fields = try node.mapping(keys: ["protocol", "ports", "icmpType", "icmpCode", peerKey])
        self.init()
        proto = try fields["protocol"]?.ipProtocol()
        let isICMP = proto == 1 || proto == 58
        if let given = fields["ports"] {
            guard proto.map(ProtocolName.withPorts.contains) == true else {
                throw given.error("ports are of tcp, udp, sctp and dccp: give the protocol")
            }
            ports = try given.portRanges()
        }
        for key in ["icmpType", "icmpCode"] {
            if let given = fields[key], !isICMP { throw given.error("is of icmp and icmpv6: give the protocol") }
        }
        icmpType = try fields["icmpType"]?.integer(in: 0...255)
        icmpCode = try fields["icmpCode"]?.integer(in: 0...255)
        if icmpType == nil, let code = fields["icmpCode"] { throw code.error("a code needs a type: give icmpType") }
        if let given = fields[peerKey] {
            let (key, details) = try given.mapping(keys: ["group", "prefixes"]).one(of: ["group", "prefixes"])
            if key == "group" {
                peer = .group(try details.objectName(.securityGroup))
            } else {
                peer = .prefixes(try details.prefixes())
            }
        }
    }

    func value(peer peerKey: String) -> ConfigValue {
        var fields: [ConfigValue.Field] = []
        if let proto {
            fields.append(.init("protocol", ConfigValue(ipProtocol: proto)))
        }
        if !ports.isEmpty {
            fields.append(.init("ports", ConfigValue(ports: ports)))
        }
        if let icmpType { fields.append(.init("icmpType", .integer(Int(icmpType)))) }
        if let icmpCode { fields.append(.init("icmpCode", .integer(Int(icmpCode)))) }
        switch peer {
        case .group(let name)?: fields.append(.init(peerKey, .map([.init("group", .string(name))])))
        case .prefixes(let list)?: fields.append(.init(peerKey, .map([.init("prefixes", .list(list.map { .string($0.description) }))])))
        case nil: break
        }
        return .map(fields)
    }
}

extension ConfigNode {
    /// A list of prefixes and addresses.
    func prefixes() throws(ConfigError) -> [IPPrefix] {
        var out: [IPPrefix] = []
        for item in try list() { out.append(try item.prefix(acceptsHost: true)) }
        return out
    }

    /// A protocol by name, in any case, or number.
    func ipProtocol() throws(ConfigError) -> UInt8 {
        let text = try string().lowercased()
        guard let number = ProtocolName.number(of: text) ?? UInt8(text) else {
            throw error("'\(text.prefix(64))' is no protocol: \(ProtocolName.all.map(\.name).joined(separator: ", ")) or a number up to 255")
        }
        return number
    }
}

extension ConfigValue {
    init(ipProtocol number: UInt8) { self = ProtocolName.name(of: number).map { .string($0) } ?? .integer(Int(number)) }
    init(ports: [ClosedRange<UInt16>]) {
        self = .list(ports.map { $0.count == 1 ? .integer(Int($0.lowerBound)) : .string("\($0.lowerBound)-\($0.upperBound)") })
    }
}

/// The addresses of a security group's ports, network by network. Made by the controller for the agents whose rules name the group; operators do not write it.
public struct SecurityGroupMembers: Hashable, Sendable {
    public struct Network: Hashable, Sendable {
        public var name: String
        public var addresses: [IPAddress]
        public init(name: String, addresses: [IPAddress]) {
            self.name = name
            self.addresses = addresses
        }
    }
    /// The group's name is its own.
    public var metadata: ObjectMetadata
    public var networks: [Network]
    public var name: String { metadata.name }

    public init(metadata: ObjectMetadata, networks: [Network]) {
        self.metadata = metadata
        self.networks = networks
    }

    init(metadata: ObjectMetadata, spec node: ConfigNode) throws(ConfigError) {
        var networks: [Network] = []
        for item in try node.mapping(keys: ["networks"])["networks"]?.list() ?? [] { networks.append(try Network(item)) }
        self.init(metadata: metadata, networks: networks)
    }

    var spec: ConfigValue { .map([.init("networks", .list(networks.map(\.value)))]) }
}

extension SecurityGroupMembers.Network {
    init(_ node: ConfigNode) throws(ConfigError) {
        let fields = try node.mapping(keys: ["name", "addresses"])
        var addresses: [IPAddress] = []
        for address in try fields["addresses"]?.list() ?? [] { addresses.append(try address.address()) }
        self.init(name: try fields.required("name").objectName(.virtualNetwork), addresses: addresses)
    }

    var value: ConfigValue { .map([.init("name", .string(name)), .init("addresses", .list(addresses.map { .string($0.description) }))]) }
}
