public import NetTypes
import StrictYAML

/// Virtual addresses in a network behind which ports of the network answer: each new connection goes to one of them.
public struct Service: Hashable, Sendable {
    public struct Port: Hashable, Sendable {
        public enum Transport: String, CaseIterable, Hashable, Sendable {
            case tcp, udp
            public var number: UInt8 { self == .tcp ? 6 : 17 }
        }
        public var transport: Transport
        public var port: UInt16
        /// At the backends.
        public var targetPort: UInt16
        public init(transport: Transport, port: UInt16, targetPort: UInt16) {
            self.transport = transport
            self.port = port
            self.targetPort = targetPort
        }
    }
    /// What chooses the backend of a connection: all of it, or the client's address alone.
    public enum Affinity: String, CaseIterable, Hashable, Sendable { case connection, client }

    public var metadata: ObjectMetadata
    public var network: String
    public var addresses: [IPAddress]
    public var ports: [Port]
    /// The names of Ports of the network. One that is not there (any more) takes no connections.
    public var backends: [String]
    public var affinity: Affinity

    public var name: String { metadata.name }
    public static let backendCapacity = 256

    public init(
        metadata: ObjectMetadata, network: String, addresses: [IPAddress], ports: [Port], backends: [String], affinity: Affinity = .connection
    ) {
        self.metadata = metadata
        self.network = network
        self.addresses = addresses
        self.ports = ports
        self.backends = backends
        self.affinity = affinity
    }

    init(metadata: ObjectMetadata, spec node: ConfigNode) throws(ConfigError) {
        let fields = try node.mapping(keys: ["network", "addresses", "ports", "backends", "affinity"])
        let network = try fields.required("network").objectName(.virtualNetwork)
        let addresses = try fields.required("addresses").unicastAddresses()
        let list = try fields.required("ports")
        var ports: [Port] = []
        for item in try list.list() {
            let details = try item.mapping(keys: ["protocol", "port", "targetPort"])
            let port: UInt16 = try details.required("port").integer(in: 1...65_535)
            let transport = try details["protocol"]?.choice(Port.Transport.self) ?? .tcp
            if ports.contains(where: { $0.transport == transport && $0.port == port }) {
                throw item.error("\(transport.rawValue) \(port) is listed twice")
            }
            ports.append(Port(transport: transport, port: port, targetPort: try details["targetPort"]?.integer(in: 1...65_535) ?? port))
        }
        if ports.isEmpty { throw list.error("at least one port is needed") }
        let given = try fields.required("backends")
        var backends: [String] = []
        for item in try given.list() {
            let name = try item.objectName(.port)
            if backends.contains(name) { throw item.error("\(name) is listed twice") }
            backends.append(name)
        }
        if backends.count > Self.backendCapacity { throw given.error("\(backends.count) backends; a service has \(Self.backendCapacity) at most") }
        self.init(
            metadata: metadata, network: network, addresses: addresses, ports: ports, backends: backends,
            affinity: try fields["affinity"]?.choice(Affinity.self) ?? .connection)
    }

    var spec: ConfigValue {
        .map([
            .init("network", .string(network)), .init("addresses", .list(addresses.map { .string($0.description) })),
            .init(
                "ports",
                .list(
                    ports.map {
                        .map([
                            .init("protocol", .string($0.transport.rawValue)), .init("port", .integer(Int($0.port))),
                            .init("targetPort", .integer(Int($0.targetPort))),
                        ])
                    })), .init("backends", .list(backends.map { .string($0) })), .init("affinity", .string(affinity.rawValue)),
        ])
    }
}
