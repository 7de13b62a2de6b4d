public import NetTypes

/// A local port as `POST /port` tells it: OpenSDN's JSON, checked.
public struct PortRequest: Hashable, Sendable {
    /// A UUID (the configured Port's uid) or the Port's name.
    public var id: String
    /// `system-name`: the interface on this node.
    public var interface: String
    /// Absent fields are not compared with the configuration.
    public var mac: MACAddress?
    public var addresses: [IPAddress]
    /// `vn-id`: a UUID or a name.
    public var network: String?
    /// The request as it was sent, to be kept and given back.
    public var fields: JSONValue
}

/// Why a request is refused: the field and what it should be.
public struct PortRequestError: Error, Hashable, Sendable, CustomStringConvertible {
    public var field: String
    public var message: String
    public var description: String { field.isEmpty ? message : "\(field): \(message)" }
}

extension PortRequest {
    /// Accepted and kept, without a meaning here.
    static let informative: Set<String> = ["instance-id", "vm-project-id", "display-name", "author", "time"]

    /// Reads one object. What cannot be honoured is refused: a port that is half of what was asked for is a trap for its owner.
    public init(_ json: JSONValue) throws(PortRequestError) {
        guard case .object(let object) = json else { throw PortRequestError(field: "", message: "a port must be a JSON object") }
        func text(_ name: String) throws(PortRequestError) -> String? {
            switch object[name] {
            case nil, .null: return nil
            case .string(let text): return text.isEmpty ? nil : text
            default: throw PortRequestError(field: name, message: "must be text")
            }
        }
        func integer(_ name: String) throws(PortRequestError) -> Int? {
            switch object[name] {
            case nil, .null: return nil
            case .number(let value):
                guard let whole = Int(exactly: value) else { throw PortRequestError(field: name, message: "must be a whole number") }
                return whole
            case .string(let text):
                guard let whole = Int(text) else { throw PortRequestError(field: name, message: "\"\(text.prefix(32))\" is not a whole number") }
                return whole
            default: throw PortRequestError(field: name, message: "must be a whole number")
            }
        }
        func required(_ name: String) throws(PortRequestError) -> String {
            guard let value = try text(name) else { throw PortRequestError(field: name, message: "is missing") }
            return value
        }
        id = try required("id")
        guard id.utf8.count <= 200, id.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "/") }), !id.hasPrefix(".") else {
            throw PortRequestError(
                field: "id", message: "must be a UUID or a port name: 1 to 200 printable characters without spaces and '/', not beginning with '.'")
        }
        interface = try required("system-name")
        guard interface.utf8.count <= 15, interface.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: ":") }),
            interface != ".", interface != ".."
        else { throw PortRequestError(field: "system-name", message: "\"\(interface.prefix(64))\" is not an interface name (1 to 15 characters)") }
        mac = nil
        if let value = try text("mac-address") {
            guard let parsed = MACAddress(value), !parsed.isMulticast, parsed != .zero else {
                throw PortRequestError(field: "mac-address", message: "\"\(value.prefix(32))\" is not a unicast MAC address, as in 02:00:00:00:01:0a")
            }
            mac = parsed
        }
        addresses = []
        for (name, isIPv4) in [("ip-address", true), ("ip6-address", false)] {
            guard let value = try text(name) else { continue }
            guard let address = IPAddress(value), address.isIPv4 == isIPv4 else {
                throw PortRequestError(field: name, message: "\"\(value.prefix(64))\" is not an \(isIPv4 ? "IPv4" : "IPv6") address")
            }
            // OpenSDN's clients send the unspecified address for "none".
            if address != .v4(.any), address != .v6(.any) { addresses.append(address) }
        }
        network = try text("vn-id")
        if let type = try integer("type"), type != 0, type != 1 {
            throw PortRequestError(field: "type", message: "\(type) is not supported; use 0 (virtual machine) or 1 (namespace)")
        }
        for name in ["rx-vlan-id", "tx-vlan-id"] {
            if let vlan = try integer(name), vlan != -1, vlan != 0 {
                throw PortRequestError(
                    field: name, message: "\(vlan) asks for VLAN sub-interfaces, which this agent does not offer; leave it out, or -1")
            }
        }
        if let mode = try integer("vhostuser-mode"), mode != 0 {
            throw PortRequestError(
                field: "vhostuser-mode", message: "\(mode) asks for a vhost-user socket, which this agent does not offer; leave it out, or 0")
        }
        switch object["link-state"] {
        case nil, .null, .bool(true): break
        case .number(let value) where value == 1: break
        default: throw PortRequestError(field: "link-state", message: "only true: a port that is to be down is not posted, or deleted")
        }
        let known = Self.informative.union([
            "id", "system-name", "vn-id", "mac-address", "ip-address", "ip6-address", "type", "rx-vlan-id", "tx-vlan-id", "vhostuser-mode",
            "link-state",
        ])
        if let unknown = object.keys.filter({ !known.contains($0) }).min() {
            throw PortRequestError(field: String(unknown.prefix(64)), message: "is not a known field")
        }
        fields = json
    }
}
