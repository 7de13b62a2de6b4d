public import NetTypes
import StrictYAML

/// What the agents tell the workloads of a virtual network: DHCPv4 (RFC 2131), DHCPv6 (RFC 8415) and router advertisements (RFC 4861), and the names of its
/// ports (DNS). The `dhcp` section of a VirtualNetwork.
public struct NetworkServices: Hashable, Sendable {
    public struct HostRoute: Hashable, Sendable {
        public var prefix: IPPrefix
        public var nextHop: IPAddress
        public init(prefix: IPPrefix, nextHop: IPAddress) {
            self.prefix = prefix
            self.nextHop = nextHop
        }
    }

    /// Workloads get their addresses and more from the agent. False: DHCP and router solicitations are broadcasts like any other.
    public var enabled = true
    /// Nil: the gateway of the workload's subnet, where the agent answers. Empty (`none`): clients are told of none.
    public var dnsServers: [IPAddress]?
    /// Ports have the names `<port>.<network>.<domain>`.
    public var domain = NetworkServices.defaultDomain
    /// Seconds; 4294967295 is for ever.
    public var leaseSeconds: UInt32 = NetworkServices.defaultLease
    public var hostRoutes: [HostRoute] = []
    public var ntpServers: [IPAddress] = []

    public static let defaultDomain = "vrouter.local"
    public static let defaultLease: UInt32 = 86_400

    public init() {}

    init(_ node: ConfigNode) throws(ConfigError) {
        let fields = try node.mapping(keys: ["enabled", "dnsServers", "domain", "leaseSeconds", "hostRoutes", "ntpServers"])
        enabled = try fields["enabled"]?.boolean() ?? true
        // As XML an empty list cannot be told from no list, hence the word.
        dnsServers = try fields["dnsServers"].map { node throws(ConfigError) in node.isWord("none") ? [] : try Self.servers(node, most: 8) }
        domain = try fields["domain"].map { node throws(ConfigError) in try Self.domain(node) } ?? Self.defaultDomain
        leaseSeconds = try fields["leaseSeconds"]?.integer(in: 60...UInt32.max) ?? Self.defaultLease
        ntpServers = try fields["ntpServers"].map { node throws(ConfigError) in try Self.servers(node, most: 8) } ?? []
        guard let list = fields["hostRoutes"] else { return }
        let items = try list.list()
        // Option 121 of all routes has to fit a DHCP message of the size that every client takes.
        guard items.count <= 20 else { throw list.error("\(items.count) routes; DHCP carries at most 20") }
        for item in items {
            let route = try item.mapping(keys: ["prefix", "nextHop"])
            let at = try route.required("nextHop")
            let prefix = try route.required("prefix").prefix(acceptsHost: true), nextHop = try at.address()
            guard nextHop.isIPv4 == prefix.isIPv4 else { throw at.error("\(nextHop) is not of the same family as \(prefix)") }
            guard prefix.isIPv4 else { throw item.error("\(prefix) is IPv6; DHCPv6 carries no routes") }
            if hostRoutes.contains(where: { $0.prefix == prefix }) { throw item.error("\(prefix) is listed twice") }
            hostRoutes.append(HostRoute(prefix: prefix, nextHop: nextHop))
        }
    }

    private static func servers(_ node: ConfigNode, most: Int) throws(ConfigError) -> [IPAddress] {
        var out: [IPAddress] = []
        for item in try node.list() {
            let address = try item.address()
            if address.isMulticast || address == .v4(.any) || address == .v6(.any) || address == .v4(IPv4Address(rawValue: .max)) {
                throw item.error("\(address) is not an address a server can have")
            }
            if out.contains(address) { throw item.error("\(address) is listed twice") }
            out.append(address)
        }
        if out.count > most { throw node.error("\(out.count) servers; at most \(most)") }
        return out
    }

    /// A name of labels (RFC 1123 section 2.1), 150 octets at most, so that names in it have room.
    private static func domain(_ node: ConfigNode) throws(ConfigError) -> String {
        try node.value("a domain name such as cloud.example: labels of letters, digits and '-', 150 octets at most") { text in
            var name = text.lowercased()
            if name.hasSuffix(".") { name.removeLast() }
            let isName =
                !name.isEmpty && name.utf8.count <= 150
                && name.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
                    (1...63).contains(label.utf8.count) && label.first != "-" && label.last != "-"
                        && label.utf8.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2D }
                }
            return isName ? name : nil
        }
    }

    /// Nil when everything is as it is without the section.
    var value: ConfigValue? {
        var fields: [ConfigValue.Field] = []
        func texts(_ addresses: [IPAddress]) -> ConfigValue { .list(addresses.map { .string($0.description) }) }
        if !enabled { fields.append(.init("enabled", .boolean(false))) }
        if let dnsServers { fields.append(.init("dnsServers", dnsServers.isEmpty ? .string("none") : texts(dnsServers))) }
        if domain != Self.defaultDomain { fields.append(.init("domain", .string(domain))) }
        if leaseSeconds != Self.defaultLease { fields.append(.init("leaseSeconds", .integer(Int(leaseSeconds)))) }
        if !hostRoutes.isEmpty {
            fields.append(
                .init(
                    "hostRoutes",
                    .list(
                        hostRoutes.map {
                            .map([.init("prefix", .string($0.prefix.description)), .init("nextHop", .string($0.nextHop.description))])
                        })))
        }
        if !ntpServers.isEmpty { fields.append(.init("ntpServers", texts(ntpServers))) }
        return fields.isEmpty ? nil : .map(fields)
    }
}
