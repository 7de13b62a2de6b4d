public import NetTypes
import StrictYAML

/// Virtual addresses in a network behind which ports of the network answer: each new connection goes to one of them.
///
/// The backends are given by name or by their labels. Agents are told neither: the controller tells them what these mean, as `members`, and in which networks the
/// addresses are to be.
public struct Service: Hashable, Sendable {
    public enum Transport: String, CaseIterable, Hashable, Sendable {
        case tcp, udp
        public var number: UInt8 { self == .tcp ? 6 : 17 }
    }
    /// Where backends listen.
    public enum Target: Hashable, Sendable {
        case number(UInt16)
        /// One of the `namedPorts` of each.
        case name(String)
    }
    public struct Port: Hashable, Sendable {
        public var name: String?
        public var transport: Transport
        public var port: UInt16
        public var target: Target
        public init(name: String? = nil, transport: Transport, port: UInt16, target: Target) {
            self.name = name
            self.transport = transport
            self.port = port
            self.target = target
        }
        public init(transport: Transport, port: UInt16, targetPort: UInt16) {
            self.init(transport: transport, port: port, target: .number(targetPort))
        }
    }
    public enum Backends: Hashable, Sendable {
        /// Ports of the network by name. One that is not there (any more) takes no connections.
        case names([String])
        /// Ports of the network, in the service's namespace, that have all of these labels.
        case labels([String: String])
    }
    /// What chooses the backend of a connection: all of it, or the client's address alone.
    public enum Affinity: String, CaseIterable, Hashable, Sendable { case connection, client }
    /// A backend as an agent is told it.
    public struct Member: Hashable, Sendable {
        public var name: String
        public var addresses: [IPAddress]
        public var ports: [Overlay.Port.NamedPort]
        public init(name: String, addresses: [IPAddress], ports: [Overlay.Port.NamedPort] = []) {
            self.name = name
            self.addresses = addresses
            self.ports = ports
        }

        /// Where it listens; nil: it has no such port.
        public func number(_ port: Service.Port) -> UInt16? {
            switch port.target {
            case .number(let number): number
            case .name(let name): ports.first { $0.name == name && $0.proto == port.transport.number }?.number
            }
        }
    }

    public var metadata: ObjectMetadata
    public var network: String
    public var addresses: [IPAddress]
    public var ports: [Port]
    public var backends: Backends
    public var affinity: Affinity
    /// The controller's: by name, and the networks with the addresses, its own first.
    public var members: [Member] = []
    public var networks: [String] = []

    public var name: String { metadata.name }
    public var namespace: String { metadata.namespace ?? Namespace.nameOfDefault }
    public static let backendCapacity = 256

    public init(
        metadata: ObjectMetadata, network: String, addresses: [IPAddress], ports: [Port], backends: Backends, affinity: Affinity = .connection
    ) {
        self.metadata = metadata
        self.network = network
        self.addresses = addresses
        self.ports = ports
        self.backends = backends
        self.affinity = affinity
    }

    /// Whether a port is one of its backends.
    public func includes(_ port: Overlay.Port) -> Bool {
        guard port.network == network else { return false }
        return switch backends {
        case .names(let names): names.contains(port.name)
        case .labels(let labels): port.namespace == namespace && LabelSelector(labels).matches(port.metadata.labels)
        }
    }

    init(metadata: ObjectMetadata, spec node: ConfigNode) throws(ConfigError) {
        let fields = try node.mapping(keys: [
            "network", "addresses", "ports", "backends", "selector", "affinity", "members", "networks",
        ])
        let network = try fields.required("network").objectName(.virtualNetwork)
        let addresses = try fields.required("addresses").unicastAddresses()
        let list = try fields.required("ports")
        var ports: [Port] = []
        for item in try list.list() {
            let port = try Port(item)
            if ports.contains(where: { $0.transport == port.transport && $0.port == port.port }) {
                throw item.error("\(port.transport.rawValue) \(port.port) is listed twice")
            }
            if let name = port.name, ports.contains(where: { $0.name == name }) { throw item.error("\(name) is listed twice") }
            ports.append(port)
        }
        if ports.isEmpty { throw list.error("at least one port is needed") }
        let backends: Backends
        if let given = fields["selector"], !given.isNull {
            if let other = fields["backends"] { throw other.error("cannot stand beside a selector: it says which ports are the backends") }
            let labels = try given.labels()
            if labels.isEmpty { throw given.error("selects nothing: give at least one label") }
            backends = .labels(labels)
        } else if node.hasKey("networks"), fields["backends"] == nil {
            // As the controller tells it.
            backends = .names([])
        } else {
            guard let given = fields["backends"] else {
                throw fields.error("backends", "is missing: give the names of ports, or a selector of their labels")
            }
            backends = .names(try given.backendNames())
        }
        self.init(
            metadata: metadata, network: network, addresses: addresses, ports: ports, backends: backends,
            affinity: try fields["affinity"]?.choice(Affinity.self) ?? .connection)
        for item in try fields["members"]?.list() ?? [] { members.append(try Member(item)) }
        for item in try fields["networks"]?.list() ?? [] { networks.append(try item.objectName(.virtualNetwork)) }
    }

    var spec: ConfigValue {
        var fields: [ConfigValue.Field] = [
            .init("network", .string(network)), .init("addresses", .list(addresses.map { .string($0.description) })),
            .init("ports", .list(ports.map(\.value))),
        ]
        switch backends {
        case .names(let names): fields.append(.init("backends", .list(names.map { .string($0) })))
        case .labels(let labels): fields.append(.init("selector", ConfigValue(labels: labels)))
        }
        fields.append(.init("affinity", .string(affinity.rawValue)))
        if !members.isEmpty { fields.append(.init("members", .list(members.map(\.value)))) }
        if !networks.isEmpty { fields.append(.init("networks", .list(networks.map { .string($0) }))) }
        return .map(fields)
    }
}

extension ConfigNode {
    fileprivate func backendNames() throws(ConfigError) -> [String] {
        var names: [String] = []
        for item in try list() {
            let name = try item.objectName(.port)
            if names.contains(name) { throw item.error("\(name) is listed twice") }
            names.append(name)
        }
        if names.count > Service.backendCapacity { throw error("\(names.count) backends; a service has \(Service.backendCapacity) at most") }
        return names
    }
}

extension Service.Port {
    init(_ node: ConfigNode) throws(ConfigError) {
        let fields = try node.mapping(keys: ["name", "protocol", "port", "targetPort"])
        let port: UInt16 = try fields.required("port").integer(in: 1...65_535)
        self.init(
            name: try fields["name"].map { node throws(ConfigError) in try node.portName() },
            transport: try fields["protocol"]?.choice(["tcp": .tcp, "udp": .udp, "TCP": .tcp, "UDP": .udp]) ?? .tcp, port: port,
            target: try fields["targetPort"].map { node throws(ConfigError) in try Service.Target(node) } ?? .number(port))
    }

    var value: ConfigValue {
        var fields: [ConfigValue.Field] = []
        if let name { fields.append(.init("name", .string(name))) }
        fields += [.init("protocol", .string(transport.rawValue)), .init("port", .integer(Int(port))), .init("targetPort", target.value)]
        return .map(fields)
    }
}

extension Service.Target {
    init(_ node: ConfigNode) throws(ConfigError) {
        if let number: UInt16 = try? node.integer(in: 1...65_535) {
            self = .number(number)
        } else {
            guard case .scalar(let text, _) = node.content, KubernetesName.isPort(text) else {
                throw node.error("is neither a port (1 to 65535) nor the name of one")
            }
            self = .name(text)
        }
    }

    var value: ConfigValue {
        switch self {
        case .number(let number): .integer(Int(number))
        case .name(let name): .string(name)
        }
    }
}

extension Service.Member {
    init(_ node: ConfigNode) throws(ConfigError) {
        let fields = try node.mapping(keys: ["name", "addresses", "namedPorts"])
        self.init(
            name: try fields.required("name").objectName(.port), addresses: try fields.required("addresses").unicastAddresses(),
            ports: try fields["namedPorts"].map { node throws(ConfigError) in try Overlay.Port.NamedPort.list(node) } ?? [])
    }

    var value: ConfigValue {
        var fields: [ConfigValue.Field] = [.init("name", .string(name)), .init("addresses", .list(addresses.map { .string($0.description) }))]
        if !ports.isEmpty { fields.append(.init("namedPorts", .list(ports.map(\.value)))) }
        return .map(fields)
    }
}
