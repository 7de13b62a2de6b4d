public import NetTypes
public import StrictYAML

/// A workload's attachment to a virtual network, on one compute node.
public struct Port: Hashable, Sendable {
    public var metadata: ObjectMetadata
    public var network: String
    public var node: String
    public var mac: MACAddress
    public var addresses: [IPAddress]
    /// The interface on the node; nil when it is told to the node's agent instead.
    public var interface: String?
    /// The names of its security groups; without one, everything may reach it and it may reach everything.
    public var securityGroups: [String] = []
    /// What its workload listens at, by the names that policies of Kubernetes know.
    public var namedPorts: [NamedPort] = []
    public struct NamedPort: Hashable, Sendable {
        public var name: String
        /// IP protocol number: TCP, UDP or SCTP.
        public var proto: UInt8
        public var number: UInt16
        public init(name: String, proto: UInt8 = 6, number: UInt16) {
            self.name = name
            self.proto = proto
            self.number = number
        }
    }
    /// It may send from its own MAC and addresses only, and from these.
    public var antispoof = true
    public var allowedAddressPairs: [AllowedAddressPair] = []
    public struct AllowedAddressPair: Hashable, Sendable {
        public var prefix: IPPrefix
        /// Nil: the port's own.
        public var mac: MACAddress?
        public init(prefix: IPPrefix, mac: MACAddress? = nil) {
            self.prefix = prefix
            self.mac = mac
        }
    }
    public static let allowedAddressPairCapacity = 64
    public var namespace: String { metadata.namespace ?? Namespace.nameOfDefault }

    public var name: String { metadata.name }
    public var uid: String? { metadata.uid }
    public var generation: Int { metadata.generation }

    /// Connections it may have at most, and new ones per second; 0: no limit of its own.
    public var flowLimit: Int = 0, flowRate: Int = 0
    /// Connections that are one flow.
    public var fatFlows: [FatFlow] = []

    public init(metadata: ObjectMetadata, network: String, node: String, mac: MACAddress, addresses: [IPAddress], interface: String? = nil) {
        self.metadata = metadata
        self.network = network
        self.node = node
        self.mac = mac
        self.addresses = addresses
        self.interface = interface
    }

    init(metadata: ObjectMetadata, spec node: ConfigNode) throws(ConfigError) {
        let fields = try node.mapping(
            keys: [
                "network", "node", "mac", "addresses", "interface", "securityGroups", "namedPorts", "flowLimit", "flowRate", "fatFlows",
                "antispoof", "allowedAddressPairs",
            ])
        let network = try fields.required("network").objectName(.virtualNetwork)
        let computeNode = try fields.required("node").objectName(.computeNode)
        let mac = try fields.required("mac").workloadMAC()
        let list = try fields.required("addresses")
        var addresses: [IPAddress] = []
        for item in try list.list() {
            let address = try item.address()
            if address.isMulticast || address == .v4(.any) || address == .v6(.any) || address == .v4(IPv4Address(rawValue: .max)) {
                throw item.error("\(address) is not an address a workload can have")
            }
            if addresses.contains(address) { throw item.error("\(address) is listed twice") }
            addresses.append(address)
        }
        if addresses.isEmpty { throw list.error("at least one address is needed") }
        self.init(
            metadata: metadata, network: network, node: computeNode, mac: mac, addresses: addresses,
            interface: try fields["interface"]?.interfaceName())
        flowLimit = try fields["flowLimit"]?.integer(in: 1...1 << 28) ?? 0
        flowRate = try fields["flowRate"]?.integer(in: 1...1 << 24) ?? 0
        fatFlows = try fields["fatFlows"].map { node throws(ConfigError) in try FatFlow.list(node) } ?? []
        for item in try fields["securityGroups"]?.list() ?? [] {
            let name = try item.objectName(.securityGroup)
            if securityGroups.contains(name) { throw item.error("\(name) is listed twice") }
            securityGroups.append(name)
        }
        antispoof = try fields["antispoof"]?.boolean() ?? true
        if let given = fields["allowedAddressPairs"] {
            for item in try given.list() {
                let fields = try item.mapping(keys: ["prefix", "mac"])
                let pair = AllowedAddressPair(
                    prefix: try fields.required("prefix").prefix(acceptsHost: true),
                    mac: try fields["mac"].map { node throws(ConfigError) in try node.workloadMAC() })
                if allowedAddressPairs.contains(pair) { throw item.error("is listed twice") }
                allowedAddressPairs.append(pair)
            }
            let count = allowedAddressPairs.count
            if count > Self.allowedAddressPairCapacity { throw given.error("\(count) pairs; a port has \(Self.allowedAddressPairCapacity) at most") }
            if !antispoof, count > 0 { throw given.error("antispoof is false: everything is allowed; take one of the two out") }
        }
        if let given = fields["namedPorts"] { namedPorts = try NamedPort.list(given) }
    }

    var spec: ConfigValue {
        var fields: [ConfigValue.Field] = [
            .init("network", .string(network)), .init("node", .string(node)), .init("mac", .string(mac.description)),
            .init("addresses", .list(addresses.map { .string($0.description) })),
        ]
        if let interface { fields.append(.init("interface", .string(interface))) }
        if !securityGroups.isEmpty { fields.append(.init("securityGroups", .list(securityGroups.map { .string($0) }))) }
        if !antispoof { fields.append(.init("antispoof", .boolean(false))) }
        if !allowedAddressPairs.isEmpty {
            let list = allowedAddressPairs.map { pair in
                ConfigValue.map(
                    [.init("prefix", .string(pair.prefix.description))] + (pair.mac.map { [.init("mac", .string($0.description))] } ?? []))
            }
            fields.append(.init("allowedAddressPairs", .list(list)))
        }
        if !namedPorts.isEmpty { fields.append(.init("namedPorts", .list(namedPorts.map(\.value)))) }
        if flowLimit > 0 { fields.append(.init("flowLimit", .integer(flowLimit))) }
        if !fatFlows.isEmpty { fields.append(.init("fatFlows", .list(fatFlows.map(\.value)))) }
        if flowRate > 0 { fields.append(.init("flowRate", .integer(flowRate))) }
        return .map(fields)
    }
}

extension Port.NamedPort {
    static func list(_ node: ConfigNode) throws(ConfigError) -> [Self] {
        var out: [Self] = []
        for item in try node.list() {
            let fields = try item.mapping(keys: ["name", "port", "protocol"])
            let named = Self(
                name: try fields.required("name").portName(), proto: try fields["protocol"]?.choice(KubernetesPolicy.protocols) ?? 6,
                number: try fields.required("port").integer(in: 1...65535))
            if out.contains(where: { $0.name == named.name && $0.proto == named.proto }) { throw item.error("\(named.name) is there already") }
            out.append(named)
        }
        return out
    }

    var value: ConfigValue {
        let proto = KubernetesPolicy.protocols.first { $0.value == self.proto }?.key ?? "\(self.proto)"
        return .map([.init("name", .string(name)), .init("port", .integer(Int(number))), .init("protocol", .string(proto))])
    }
}

extension ConfigNode {
    fileprivate func workloadMAC() throws(ConfigError) -> MACAddress {
        let mac = try macAddress()
        if mac.isMulticast { throw error("\(mac) is a multicast address; a workload has a unicast one") }
        if mac == .zero || mac == .gateway { throw error("\(mac) is \(mac == .zero ? "no address" : "the address of the gateway")") }
        return mac
    }

    /// The name of a network interface as Linux takes it: 15 octets at most, no space, no '/'.
    public func interfaceName() throws(ConfigError) -> String {
        let text = try string()
        guard text.utf8.count <= 15, text != ".", text != "..",
            text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: ":") })
        else {
            throw error("'\(text.prefix(64))' is not an interface name: 1 to 15 characters, without spaces, '/' and ':'")
        }
        return text
    }
}
