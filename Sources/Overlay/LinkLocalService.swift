public import NetTypes
import StrictYAML

/// An HTTP service that workloads find at a link-local address, such as the metadata of cloud images at 169.254.169.254: the agent of their node takes the request, says who asks, and
/// passes it to the server.
public struct LinkLocalService: Hashable, Sendable {
    public var metadata: ObjectMetadata
    /// Where workloads ask.
    public var address: IPAddress
    public var port: UInt16
    /// The networks whose workloads may; empty: all.
    public var networks: [String]
    /// The server, reached from the nodes themselves.
    public var targetAddress: IPAddress
    public var targetPort: UInt16
    /// Shared with the server, which knows by it that the agent said who asks; nil: nothing is signed.
    public var secret: String?

    public var name: String { metadata.name }
    public static let metadataAddress = IPAddress.v4(IPv4Address(169, 254, 169, 254))

    public init(
        metadata: ObjectMetadata, address: IPAddress = metadataAddress, port: UInt16 = 80, networks: [String] = [], targetAddress: IPAddress,
        targetPort: UInt16, secret: String? = nil
    ) {
        self.metadata = metadata
        self.address = address
        self.port = port
        self.networks = networks
        self.targetAddress = targetAddress
        self.targetPort = targetPort
        self.secret = secret
    }

    /// Whether the workloads of a network may ask.
    public func serves(_ network: String) -> Bool { networks.isEmpty || networks.contains(network) }

    init(metadata: ObjectMetadata, spec node: ConfigNode) throws(ConfigError) {
        let fields = try node.mapping(keys: ["address", "port", "networks", "target", "secret"])
        let target = try fields.required("target").mapping(keys: ["address", "port"])
        var networks: [String] = []
        for item in try fields["networks"]?.list() ?? [] {
            let name = try item.objectName(.virtualNetwork)
            if networks.contains(name) { throw item.error("\(name) is listed twice") }
            networks.append(name)
        }
        let address = try fields["address"]?.address() ?? Self.metadataAddress
        if let given = fields["address"] {
            // RFC 3927: the first and last 256 are reserved.
            guard case .v4(let ipv4) = address, ipv4.rawValue >> 16 == 0xA9FE, (1...254).contains(ipv4.rawValue >> 8 & 0xFF) else {
                throw given.error("\(address) is not in 169.254.1.0 to 169.254.254.255")
            }
        }
        let port: UInt16 = try fields["port"]?.integer(in: 1...65_535) ?? 80
        if port == 53, let given = fields["port"] { throw given.error("53 is the name service's") }
        self.init(
            metadata: metadata, address: address, port: port, networks: networks, targetAddress: try target.required("address").unicastAddress(),
            targetPort: try target.required("port").integer(in: 1...65_535), secret: try fields["secret"]?.string())
    }

    var spec: ConfigValue {
        var fields: [ConfigValue.Field] = [.init("address", .string(address.description)), .init("port", .integer(Int(port)))]
        if !networks.isEmpty { fields.append(.init("networks", .list(networks.map { .string($0) }))) }
        fields.append(
            .init("target", .map([.init("address", .string(targetAddress.description)), .init("port", .integer(Int(targetPort)))])))
        if let secret { fields.append(.init("secret", .string(secret))) }
        return .map(fields)
    }
}
