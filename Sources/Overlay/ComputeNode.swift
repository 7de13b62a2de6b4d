public import NetTypes
import StrictYAML

/// A machine that runs an agent and a virtual router.
public struct ComputeNode: Hashable, Sendable {
    public var metadata: ObjectMetadata
    /// Where its tunnels end (VTEP).
    public var address: IPAddress

    public var name: String { metadata.name }
    public var uid: String? { metadata.uid }
    public var generation: Int { metadata.generation }

    public init(metadata: ObjectMetadata, address: IPAddress) {
        self.metadata = metadata
        self.address = address
    }

    /// Whether a compute node can have this name.
    public static func isName(_ text: String) -> Bool { ConfigKind.computeNode.isName(text) }

    init(metadata: ObjectMetadata, spec node: ConfigNode) throws(ConfigError) {
        let fields = try node.mapping(keys: ["address"])
        let at = try fields.required("address")
        let address = try at.address()
        if address.isMulticast || address == .v4(.any) || address == .v6(.any) || address == .v4(IPv4Address(rawValue: .max)) {
            throw at.error("\(address) is not an address a node can have")
        }
        self.init(metadata: metadata, address: address)
    }

    var spec: ConfigValue { .map([.init("address", .string(address.description))]) }
}
