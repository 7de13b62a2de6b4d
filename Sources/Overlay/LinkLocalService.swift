public import NetTypes
import StrictYAML

/// A service that workloads find at a link-local address, such as the metadata of cloud images at 169.254.169.254 or a time server: the agent of their node takes the request and
/// passes it to the server; of HTTP it also says who asks.
public struct LinkLocalService: Hashable, Sendable {
    public enum Transport: String, CaseIterable, Hashable, Sendable {
        case http, udp
        /// Of IP.
        public var number: UInt8 { self == .udp ? 17 : 6 }
    }

    public var metadata: ObjectMetadata
    public var transport = Transport.http
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
        let fields = try node.mapping(keys: ["protocol", "address", "port", "networks", "target", "secret"])
        let target = try fields.required("target").mapping(keys: ["address", "port"])
        var networks: [String] = []
        for item in try fields["networks"]?.list() ?? [] {
            let name = try item.objectName(.virtualNetwork)
            if networks.contains(name) { throw item.error("\(name) is listed twice") }
            networks.append(name)
        }
        let transport = try fields["protocol"]?.choice(Transport.self) ?? .http
        let address = try transport == .http ? fields["address"]?.address() ?? Self.metadataAddress : fields.required("address").address()
        if let given = fields["address"], !Self.isPossible(address) {
            throw given.error("\(address) is not in 169.254.1.0 to 169.254.254.255, fe80::/64 or fc00::/7")
        }
        let port: UInt16 = try transport == .http ? fields["port"]?.integer(in: 1...65_535) ?? 80 : fields.required("port").integer(in: 1...65_535)
        if let given = fields["port"] {
            if port == 53 { throw given.error("53 is the name service's") }
            if transport == .udp, port == 67 || port == 547 { throw given.error("\(port) is DHCP's") }
        }
        self.init(
            metadata: metadata, address: address, port: port, networks: networks, targetAddress: try target.required("address").unicastAddress(),
            targetPort: try target.required("port").integer(in: 1...65_535), secret: try fields["secret"]?.string())
        self.transport = transport
        if transport != .http, let given = fields["secret"] { throw given.error("signs HTTP requests; it goes with protocol: http") }
    }

    /// Link-local (RFC 3927, whose first and last 256 are reserved; RFC 4291 section 2.5.6) or unique local (RFC 4193), and no router's anycast address.
    private static func isPossible(_ address: IPAddress) -> Bool {
        switch address {
        case .v4(let a): a.rawValue >> 16 == 0xA9FE && (1...254).contains(a.rawValue >> 8 & 0xFF)
        case .v6(let a): (a.high == 0xFE80_0000_0000_0000 || a.high >> 57 == 0x7E) && a.low != 0
        }
    }

    var spec: ConfigValue {
        var fields: [ConfigValue.Field] = transport == .http ? [] : [.init("protocol", .string(transport.rawValue))]
        fields += [.init("address", .string(address.description)), .init("port", .integer(Int(port)))]
        if !networks.isEmpty { fields.append(.init("networks", .list(networks.map { .string($0) }))) }
        fields.append(
            .init("target", .map([.init("address", .string(targetAddress.description)), .init("port", .integer(Int(targetPort)))])))
        if let secret { fields.append(.init("secret", .string(secret))) }
        return .map(fields)
    }
}
