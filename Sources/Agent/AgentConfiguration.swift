public import Logging
public import NetTypes
import Yams

/// What `agent.yaml` says. Strict: an unknown key, a wrong type and a value that cannot be honoured are errors that name the
/// line, the column and the field.
public struct AgentConfiguration: Hashable, Sendable {
    public struct Controller: Hashable, Sendable {
        public var host: String
        public var port: Int
        public init(host: String, port: Int = 5269) {
            self.host = host
            self.port = port
        }
        public var description: String { "\(host):\(port)" }
    }

    public struct XMPP: Hashable, Sendable {
        public enum PlaintextScope: String, Hashable, Sendable, CaseIterable {
            /// Plaintext only to 127.0.0.0/8, ::1 and localhost.
            case loopback
            case any
        }
        public var domain: String
        public var password: String
        public var plaintextScope: PlaintextScope
    }

    /// How an interface becomes a data-plane port.
    public enum Driver: Hashable, Sendable {
        case pcap
        /// vdev arguments with `{interface}` and `{index}` to fill in; `index` is the vif's number, so it is unique and stable.
        case dpdk(template: String)
    }

    public struct Fabric: Hashable, Sendable {
        public var interface: String
        public var driver: Driver
        /// This node's tunnel endpoint (VTEP).
        public var address: IPv4Address
        /// The subnet that is on the link.
        public var subnet: IPPrefix
        public var gateway: IPv4Address?
        /// Octets of IP packet; 0: what the device says.
        public var mtu: Int
        /// nil: the interface's own, from the kernel.
        public var mac: MACAddress?
    }

    public struct Host: Hashable, Sendable {
        public var interface: String
        public var driver: Driver
    }

    public static let defaultPath = "/etc/vrouter/agent.yaml"

    public var node: String
    public var controllers: [Controller]
    public var xmpp: XMPP
    public var dataplaneSocket: String
    public var apiPort: Int
    public var fabric: Fabric
    public var host: Host?
    public var workloadDriver: Driver
    /// Workload vifs check source MAC and address.
    public var antispoof: Bool
    /// Directory of the POSTed ports.
    public var stateDirectory: String
    public var logLevel: Logger.Level
}

/// Printed, logged or dumped, the password does not show.
extension AgentConfiguration.XMPP: CustomStringConvertible, CustomReflectable {
    public var description: String { "XMPP(domain: \(domain), password: …, plaintextScope: \(plaintextScope))" }
    public var customMirror: Mirror { Mirror(self, children: ["domain": domain, "plaintextScope": plaintextScope]) }
}

extension AgentConfiguration {
    /// Reads the text of a configuration file. `source` is its name in error messages.
    public init(yaml text: String, source: String) throws(ConfigurationError) {
        let root: Node?
        do {
            root = try Yams.compose(yaml: text)
        } catch let error as YamlError {
            throw Self.syntaxError(error, source: source)
        } catch {
            throw ConfigurationError(source: source, field: "", message: "not YAML: \(error)")
        }
        guard let root else { throw ConfigurationError(source: source, field: "", message: "is empty; `node`, `xmpp` and `fabric` are needed") }
        var top = try StrictMapping(root, source: source, path: "")
        guard let name = try top.value("node", form: "a node name: letters, digits, '-', '_' and '.'", Self.name) else {
            throw Self.missingError(top, "node")
        }
        node = name
        controllers = []
        for var entry in try top.mappings("controllers") {
            controllers.append(Controller(host: try entry.requiredString("host"), port: try entry.integer("port", in: 1...65535) ?? 5269))
            try entry.finish()
        }
        guard Set(controllers).count == controllers.count else { throw top.error("controllers", "names the same controller twice") }
        guard controllers.count <= 2 else { throw top.error("controllers", "has \(controllers.count) entries; an agent connects to at most two") }
        xmpp = try Self.readXMPP(&top)
        if xmpp.plaintextScope == .loopback, let far = controllers.first(where: { !Self.isLoopback($0.host) }) {
            throw top.error(
                "controllers", "\(far.host) is not a loopback address and the transport is plaintext; set xmpp.plaintextScope: any to allow it")
        }
        dataplaneSocket = "/run/vrouter/dataplane.sock"
        if var section = try top.mapping("dataplane") {
            dataplaneSocket = try section.string("socket") ?? dataplaneSocket
            try section.finish()
        }
        apiPort = 9091
        if var section = try top.mapping("api") {
            apiPort = try section.integer("port", in: 0...65535) ?? apiPort
            try section.finish()
        }
        guard var fabricSection = try top.mapping("fabric") else { throw Self.missingError(top, "fabric") }
        fabric = try Self.readFabric(&fabricSection)
        if var section = try top.mapping("host") {
            host = Host(interface: try section.requiredString("interface"), driver: try Self.driver(&section))
            try section.finish()
            guard host?.interface != fabric.interface else { throw section.error("interface", "is the fabric's own interface") }
        }
        workloadDriver = .pcap
        antispoof = false
        if var section = try top.mapping("workloads") {
            workloadDriver = try Self.driver(&section)
            if case .dpdk(let template) = workloadDriver {
                // Every workload has the same template: without these the second device would collide with the first.
                for part in ["{interface}", "{index}"] where !template.contains(part) {
                    throw section.error("driver", "\"\(template)\" lacks \(part), so two workloads would name one device")
                }
            }
            antispoof = try section.value("antispoof", form: "true or false") { Bool($0) } ?? false
            try section.finish()
        }
        stateDirectory = try top.string("state") ?? "/var/lib/vrouter/ports"
        let levels = Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")
        logLevel = try top.value("log", form: "one of \(levels)") { Logger.Level(rawValue: $0) } ?? .info
        try top.finish()
    }

    private static func readXMPP(_ top: inout StrictMapping) throws(ConfigurationError) -> XMPP {
        guard var section = try top.mapping("xmpp") else { throw missingError(top, "xmpp") }
        let domain = try section.value("domain", form: "a domain name", name) ?? "vrouter.local"
        let password = try section.requiredString("password")
        // TLS is the default to be: until this build has it, plaintext must be asked for by name.
        guard let transport = try section.string("transport") else {
            throw section.error("transport", "is missing; this build speaks plaintext only and wants that said: transport: plaintext")
        }
        guard transport == "plaintext" else { throw section.error("transport", "\"\(transport)\" is not supported by this build; use plaintext") }
        let scope = try section.value("plaintextScope", form: "loopback or any") { XMPP.PlaintextScope(rawValue: $0) } ?? .loopback
        try section.finish()
        return XMPP(domain: domain, password: password, plaintextScope: scope)
    }

    private static func readFabric(_ section: inout StrictMapping) throws(ConfigurationError) -> Fabric {
        let interface = try section.requiredString("interface")
        let driver = try driver(&section)
        guard let text = try section.string("address") else { throw missingError(section, "address") }
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let parsed = IPAddress(String(parts[0])), let length = Int(parts[1]),
            let subnet = IPPrefix(masking: parsed, length: length)
        else { throw section.error("address", "\"\(text)\" is not an address with its prefix length, as in 10.0.0.11/24") }
        guard case .v4(let address) = parsed else {
            throw section.error("address", "\"\(text)\" is IPv6; the underlay of this build is IPv4 (overlay networks may be IPv6)")
        }
        guard !address.isMulticast, !address.isBroadcast, address != .any else { throw section.error("address", "\"\(text)\" is not a host address") }
        let gateway = try section.value("gateway", form: "an IPv4 address, as in 10.0.0.1") { IPv4Address($0) }
        if let gateway {
            guard subnet.contains(.v4(gateway)) else { throw section.error("gateway", "\(gateway) is not in \(subnet)") }
            guard gateway != address else { throw section.error("gateway", "is this node's own address") }
        }
        let mtu = try section.integer("mtu", in: 576...65535) ?? 0
        let mac = try section.value("mac", form: "a unicast MAC address, as in 02:00:00:00:00:11") { text in
            MACAddress(text).flatMap { $0.isMulticast || $0 == .zero ? nil : $0 }
        }
        try section.finish()
        return Fabric(interface: interface, driver: driver, address: address, subnet: subnet, gateway: gateway, mtu: mtu, mac: mac)
    }

    private static func driver(_ section: inout StrictMapping) throws(ConfigurationError) -> Driver {
        guard let text = try section.string("driver") else { return .pcap }
        if text == "pcap" { return .pcap }
        guard text.hasPrefix("net_") || text.contains(":") else {
            throw section.error("driver", "\"\(text)\" is neither pcap nor a DPDK device such as \"net_af_packet{index},iface={interface}\"")
        }
        return .dpdk(template: text)
    }

    private static func name(_ text: String) -> String? {
        text.utf8.count <= 253
            && text.utf8.allSatisfy { ($0 | 0x20 >= 0x61 && $0 | 0x20 <= 0x7A) || (0x30...0x39).contains($0) || [0x2D, 0x2E, 0x5F].contains($0) }
            ? text : nil
    }

    private static func isLoopback(_ host: String) -> Bool {
        switch IPAddress(host) {
        case .v4(let address): address.rawValue >> 24 == 127
        case .v6(let address): address == IPv6Address(high: 0, low: 1)
        case nil: host == "localhost"
        }
    }

    private static func missingError(_ mapping: StrictMapping, _ name: String) -> ConfigurationError { mapping.error(name, "is missing") }

    private static func syntaxError(_ error: YamlError, source: String) -> ConfigurationError {
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _), .composer(_, let problem, let mark, _):
            ConfigurationError(source: source, line: mark.line, column: mark.column, field: "", message: "not YAML: \(problem)")
        case .duplicatedKeysInMapping(let keys, let context):
            ConfigurationError(
                source: source, line: context.mark.line, column: context.mark.column, field: "",
                message: "the same key is given twice: \(keys.joined(separator: ", "))")
        default: ConfigurationError(source: source, field: "", message: "not YAML: \(error)")
        }
    }
}
