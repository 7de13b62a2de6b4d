public import NetTypes
import StrictYAML

/// The way of networks into an external one: what their ports send to where their own network does not lead comes from an address of the router's, with a port of its own
/// for each connection. Each node has ports of its own, so that nodes need not agree about a connection.
public struct NetworkRouter: Hashable, Sendable {
    /// A node that has a block of ports: the `block`th of the router's. Given out by the controller, and kept while the node exists.
    public struct Node: Hashable, Sendable {
        public var name: String
        public var block: Int
        /// Where its tunnels end.
        public var address: IPAddress
        public init(name: String, block: Int, address: IPAddress) {
            self.name = name
            self.block = block
            self.address = address
        }
    }

    public var metadata: ObjectMetadata
    public var externalNetwork: String
    public var networks: [String]
    /// Of the external network; each node uses one of each family.
    public var addresses: [IPAddress]
    public var portsPerNode: Int
    public var nodes: [Node]

    public var name: String { metadata.name }

    /// Below are the ports of well-known servers.
    public static let firstPort = 1024
    public static let defaultPortsPerNode = 1024

    public init(
        metadata: ObjectMetadata, externalNetwork: String, networks: [String], addresses: [IPAddress], portsPerNode: Int = defaultPortsPerNode,
        nodes: [Node] = []
    ) {
        self.metadata = metadata
        self.externalNetwork = externalNetwork
        self.networks = networks
        self.addresses = addresses
        self.portsPerNode = portsPerNode
        self.nodes = nodes
    }

    public var blocksPerAddress: Int { (65_536 - Self.firstPort) / portsPerNode }
    /// For how many nodes there are ports.
    public var capacity: Int {
        [addresses.filter(\.isIPv4).count, addresses.filter { !$0.isIPv4 }.count].filter { $0 > 0 }.map { $0 * blocksPerAddress }.min() ?? 0
    }

    /// The address of a family and the ports that a block has of it; nil: there is none of the family, or not so many.
    public func share(_ block: Int, isIPv4: Bool) -> (address: IPAddress, ports: ClosedRange<UInt16>)? {
        let list = addresses.filter { $0.isIPv4 == isIPv4 }
        guard block >= 0, block < list.count * blocksPerAddress else { return nil }
        let first = Self.firstPort + block % blocksPerAddress * portsPerNode
        return (list[block / blocksPerAddress], UInt16(first)...UInt16(first + portsPerNode - 1))
    }

    init(metadata: ObjectMetadata, spec node: ConfigNode) throws(ConfigError) {
        let fields = try node.mapping(keys: ["externalNetwork", "networks", "snat", "nodes"])
        let external = try fields.required("externalNetwork").objectName(.virtualNetwork)
        let list = try fields.required("networks")
        var networks: [String] = []
        for item in try list.list() {
            let name = try item.objectName(.virtualNetwork)
            if networks.contains(name) { throw item.error("\(name) is listed twice") }
            if name == external { throw item.error("\(name) is the external network") }
            networks.append(name)
        }
        if networks.isEmpty { throw list.error("at least one network is needed") }
        let snat = try fields.required("snat").mapping(keys: ["addresses", "portsPerNode"])
        var nodes: [Node] = []
        for item in try fields["nodes"]?.list() ?? [] {
            let details = try item.mapping(keys: ["name", "block", "address"])
            nodes.append(
                Node(
                    name: try details.required("name").objectName(.computeNode), block: try details.required("block").integer(in: 0...1 << 20),
                    address: try details.required("address").unicastAddress()))
        }
        self.init(
            metadata: metadata, externalNetwork: external, networks: networks, addresses: try snat.required("addresses").unicastAddresses(),
            portsPerNode: try snat["portsPerNode"]?.integer(in: 16...65_536 - Self.firstPort) ?? Self.defaultPortsPerNode, nodes: nodes)
    }

    var spec: ConfigValue {
        .map([
            .init("externalNetwork", .string(externalNetwork)), .init("networks", .list(networks.map { .string($0) })),
            .init(
                "snat",
                .map([.init("addresses", .list(addresses.map { .string($0.description) })), .init("portsPerNode", .integer(portsPerNode))])),
            .init(
                "nodes",
                .list(
                    nodes.map {
                        .map([
                            .init("name", .string($0.name)), .init("block", .integer($0.block)), .init("address", .string($0.address.description)),
                        ])
                    })),
        ])
    }
}
