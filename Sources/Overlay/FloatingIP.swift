public import NetTypes
import StrictYAML

/// An address of an external network that stands for a port of another network, one to one: what comes for it goes to the port, and what the port sends out of its network
/// comes from it.
public struct FloatingIP: Hashable, Sendable {
    public var metadata: ObjectMetadata
    /// The external network, and the address there.
    public var network: String
    public var address: IPAddress
    public var port: String
    /// Which of the port's addresses; nil: its first of the same family.
    public var fixedAddress: IPAddress?

    public var name: String { metadata.name }

    public init(metadata: ObjectMetadata, network: String, address: IPAddress, port: String, fixedAddress: IPAddress? = nil) {
        self.metadata = metadata
        self.network = network
        self.address = address
        self.port = port
        self.fixedAddress = fixedAddress
    }

    /// The port's address that it stands for; nil: the port has none of the family.
    public func inside(_ port: Port) -> IPAddress? {
        if let fixedAddress { return port.addresses.contains(fixedAddress) ? fixedAddress : nil }
        return port.addresses.first { $0.isIPv4 == address.isIPv4 }
    }

    init(metadata: ObjectMetadata, spec node: ConfigNode) throws(ConfigError) {
        let fields = try node.mapping(keys: ["network", "address", "port", "fixedAddress"])
        let fixed = fields["fixedAddress"]
        self.init(
            metadata: metadata, network: try fields.required("network").objectName(.virtualNetwork),
            address: try fields.required("address").unicastAddress(), port: try fields.required("port").objectName(.port),
            fixedAddress: try fixed?.unicastAddress())
        if let fixed, let fixedAddress, fixedAddress.isIPv4 != address.isIPv4 {
            throw fixed.error("\(fixedAddress) is of another family than \(address)")
        }
    }

    var spec: ConfigValue {
        var fields: [ConfigValue.Field] = [
            .init("network", .string(network)), .init("address", .string(address.description)), .init("port", .string(port)),
        ]
        if let fixedAddress { fields.append(.init("fixedAddress", .string(fixedAddress.description))) }
        return .map(fields)
    }
}

extension ConfigNode {
    /// One host's address.
    func unicastAddress() throws(ConfigError) -> IPAddress {
        let address = try address()
        if address.isMulticast || address == .v4(.any) || address == .v6(.any) || address == .v4(IPv4Address(rawValue: .max)) {
            throw error("\(address) is not an address of one host")
        }
        return address
    }

    /// A list of them, none twice.
    func unicastAddresses() throws(ConfigError) -> [IPAddress] {
        var out: [IPAddress] = []
        for item in try list() {
            let address = try item.unicastAddress()
            if out.contains(address) { throw item.error("\(address) is listed twice") }
            out.append(address)
        }
        if out.isEmpty { throw error("at least one address is needed") }
        return out
    }
}
