import NetTypes
import StrictYAML

/// Connections of a port that the data plane keeps as one: of this protocol, with this port at either end, from or to whatever port at the other.
public struct FatFlow: Hashable, Sendable {
    public enum Address: String, Hashable, Sendable, CaseIterable { case none, remote, local }
    /// IP protocol number.
    public var proto: UInt8
    /// 0: any, at both ends.
    public var port: UInt16
    /// The end whose address does not matter either.
    public var ignoredAddress: Address
    /// That one port may have, those of its network included.
    public static let capacity = 16

    static func list(_ node: ConfigNode) throws(ConfigError) -> [FatFlow] {
        var out: [FatFlow] = []
        for item in try node.list() { out.append(try FatFlow(item)) }
        guard out.count <= capacity else { throw node.error("\(out.count) rules; a port has \(capacity) at most, with those of its network") }
        return out
    }

    init(_ node: ConfigNode) throws(ConfigError) {
        let fields = try node.mapping(keys: ["protocol", "port", "ignoreAddress"])
        let given = try fields.required("protocol")
        if let name = try? given.string(), let known = ProtocolName.number(of: name) { proto = known } else { proto = try given.integer(in: 1...255) }
        port = try fields["port"]?.integer(in: 0...65_535) ?? 0
        if port != 0, ![6, 17, 33, 132, 136].contains(proto), let at = fields["port"] { throw at.error("protocol \(proto) has no ports") }
        ignoredAddress = try fields["ignoreAddress"]?.choice(Address.self) ?? .none
    }

    var value: ConfigValue {
        var fields: [ConfigValue.Field] = [.init("protocol", .integer(Int(proto)))]
        if port != 0 { fields.append(.init("port", .integer(Int(port)))) }
        if ignoredAddress != .none { fields.append(.init("ignoreAddress", .string(ignoredAddress.rawValue))) }
        return .map(fields)
    }
}
