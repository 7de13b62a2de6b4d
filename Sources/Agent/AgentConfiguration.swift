public import Logging
public import NetTypes
public import StrictYAML

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

    /// How a port's packets come to the workers of the data plane.
    public struct Receive: Hashable, Sendable {
        /// Receive queues to ask for; 0: one.
        public var queues = 0
        /// Whether packets are spread over the workers; nil: where there are fewer queues than workers, as the data plane sees fit.
        public var spread: Bool?
        public init() {}
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
        public var receive = Receive()
        /// Tunnel packets are taken only from where this node's own tunnels go.
        public var checksTunnelSource = false
    }

    public struct Host: Hashable, Sendable {
        public var interface: String
        public var driver: Driver
    }

    /// How long idle flows are kept.
    public struct FlowAgeing: Hashable, Sendable {
        /// IP protocol number; 0: of every protocol that has no time of its own.
        public var proto: UInt8
        /// 0: all.
        public var port: UInt16
        public var seconds: UInt32
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
    public var workloadReceive = Receive()
    /// Workload vifs check source MAC and address.
    public var antispoof: Bool
    public var flowAgeing: [FlowAgeing] = []
    /// Flows that a policy says to trap: decided here, or left to another client of the data plane.
    public var trappedFlows = TrappedFlows.decide
    public enum TrappedFlows: String, Hashable, Sendable, CaseIterable { case decide, ignore }
    /// Name servers for what the networks do not know themselves.
    var dns = DNSService.Settings()
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
    public init(yaml text: String, source: String) throws(ConfigError) {
        let top = try ConfigNode.document(text: text, source: source).mapping(keys: [
            "node", "controllers", "xmpp", "dataplane", "api", "fabric", "host", "workloads", "flows", "dns", "state", "log",
        ])
        node = try top.required("node").value("a node name: letters, digits, '-', '_' and '.'", Self.name)
        controllers = []
        for item in try top["controllers"]?.list() ?? [] {
            let entry = try item.mapping(keys: ["host", "port"])
            controllers.append(Controller(host: try entry.required("host").string(), port: try entry["port"]?.integer(in: 1...65535) ?? 5269))
        }
        guard Set(controllers).count == controllers.count else { throw top.error("controllers", "names the same controller twice") }
        guard controllers.count <= 2 else { throw top.error("controllers", "has \(controllers.count) entries; an agent connects to at most two") }
        xmpp = try XMPP(top.required("xmpp"))
        if xmpp.plaintextScope == .loopback, let far = controllers.first(where: { !Self.isLoopback($0.host) }) {
            throw top.error(
                "controllers", "\(far.host) is not a loopback address and the transport is plaintext; set xmpp.plaintextScope: any to allow it")
        }
        dataplaneSocket = try top["dataplane"]?.mapping(keys: ["socket"])["socket"]?.string() ?? "/run/vrouter/dataplane.sock"
        apiPort = try top["api"]?.mapping(keys: ["port"])["port"]?.integer(in: 0...65535) ?? 9091
        fabric = try Fabric(top.required("fabric"))
        if let section = try top["host"]?.mapping(keys: ["interface", "driver"]) {
            host = Host(interface: try section.required("interface").string(), driver: try Driver(section["driver"]))
            guard host?.interface != fabric.interface else { throw section.error("interface", "is the fabric's own interface") }
        }
        let workloads = try top["workloads"]?.mapping(keys: ["driver", "antispoof", "queues", "spread"])
        workloadDriver = try Driver(workloads?["driver"])
        workloadReceive = try Receive(workloads, workloadDriver)
        if let at = workloads?["driver"], case .dpdk(let template) = workloadDriver {
            // Every workload has the same template: without these the second device would collide with the first.
            for part in ["{interface}", "{index}"] where !template.contains(part) {
                throw at.error("'\(template)' lacks \(part), so two workloads would name one device")
            }
        }
        antispoof = try workloads?["antispoof"]?.boolean() ?? true
        let flows = try top["flows"]?.mapping(keys: ["ageing", "trapped"])
        trappedFlows = try flows?["trapped"]?.choice() ?? .decide
        for item in try flows?["ageing"]?.list() ?? [] {
            let ageing = try FlowAgeing(item)
            guard !flowAgeing.contains(where: { $0.proto == ageing.proto && $0.port == ageing.port }) else {
                throw item.error("names a protocol and port that are named before")
            }
            flowAgeing.append(ageing)
        }
        dns = try DNSService.Settings(top["dns"])
        stateDirectory = try top["state"]?.string() ?? "/var/lib/vrouter/ports"
        logLevel = try top["log"]?.choice(Logger.Level.self) ?? .info
    }

    fileprivate static func name(_ text: String) -> String? {
        (1...253).contains(text.utf8.count)
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
}

extension AgentConfiguration.XMPP {
    fileprivate init(_ node: ConfigNode) throws(ConfigError) {
        let section = try node.mapping(keys: ["domain", "password", "transport", "plaintextScope"])
        domain = try section["domain"]?.value("a domain name", AgentConfiguration.name) ?? "vrouter.local"
        password = try section.required("password").string()
        // TLS is the default to be: until this build has it, plaintext must be asked for by name.
        guard let transport = section["transport"] else {
            throw section.error("transport", "is missing; this build speaks plaintext only and wants that said: transport: plaintext")
        }
        guard transport.isWord("plaintext") else {
            throw transport.error("'\(try transport.string())' is not supported by this build; use plaintext")
        }
        plaintextScope = try section["plaintextScope"]?.choice() ?? .loopback
    }
}

extension AgentConfiguration.Driver {
    /// libpcap when nothing is said.
    fileprivate init(_ node: ConfigNode?) throws(ConfigError) {
        guard let node, !node.isWord("pcap") else { self = .pcap; return }
        let template = try node.string()
        guard template.hasPrefix("net_") || template.contains(":") else {
            throw node.error("'\(template)' is neither pcap nor a DPDK device such as \"net_af_packet{index},iface={interface}\"")
        }
        self = .dpdk(template: template)
    }
}

extension AgentConfiguration.FlowAgeing {
    /// `{protocol, port, seconds}`.
    fileprivate init(_ node: ConfigNode) throws(ConfigError) {
        let section = try node.mapping(keys: ["protocol", "port", "seconds"])
        if let given = section["protocol"] {
            if let name = try? given.string(), let known = ProtocolName.number(of: name) {
                proto = known
            } else {
                proto = try given.integer(in: 1...255)
            }
        } else {
            proto = 0
        }
        port = try section["port"]?.integer(in: 1...65_535) ?? 0
        if port != 0, ![6, 17, 33, 132, 136].contains(proto), let at = section["port"] {
            throw at.error("a port needs a protocol that has ports: tcp, udp, dccp, sctp or 136")
        }
        seconds = try section.required("seconds").integer(in: 1...604_800)
    }
}

extension AgentConfiguration.Receive {
    fileprivate init(_ section: ConfigMapping?, _ driver: AgentConfiguration.Driver) throws(ConfigError) {
        queues = try section?["queues"]?.integer(in: 1...64) ?? 0
        if let at = section?["queues"], queues > 1, driver == .pcap {
            throw at.error("a pcap port has one receive queue; use a DPDK driver, or `spread: true`")
        }
        spread = try section?["spread"]?.boolean()
    }
}

extension AgentConfiguration.Fabric {
    fileprivate init(_ node: ConfigNode) throws(ConfigError) {
        let section = try node.mapping(keys: ["interface", "driver", "address", "gateway", "mtu", "mac", "queues", "spread", "checkTunnelSource"])
        interface = try section.required("interface").string()
        driver = try AgentConfiguration.Driver(section["driver"])
        let at = try section.required("address")
        let (given, length) = try at.value("an address with its prefix length, as in 10.0.0.11/24", Self.interfaceAddress)
        guard case .v4(let address) = given, let subnet = IPPrefix(masking: given, length: length) else {
            throw at.error("\(given) is IPv6; the underlay of this build is IPv4 (overlay networks may be IPv6)")
        }
        guard !address.isMulticast, !address.isBroadcast, address != .any else { throw at.error("\(address) is not a host address") }
        (self.address, self.subnet) = (address, subnet)
        gateway = try section["gateway"]?.value("an IPv4 address, as in 10.0.0.1") { IPv4Address($0) }
        if let gateway {
            guard subnet.contains(.v4(gateway)) else { throw section.error("gateway", "\(gateway) is not in \(subnet)") }
            guard gateway != address else { throw section.error("gateway", "is this node's own address") }
        }
        mtu = try section["mtu"]?.integer(in: 576...65535) ?? 0
        mac = try section["mac"]?.value("a unicast MAC address, as in 02:00:00:00:00:11") { text in
            MACAddress(text).flatMap { $0.isMulticast || $0 == .zero ? nil : $0 }
        }
        receive = try AgentConfiguration.Receive(section, driver)
        checksTunnelSource = try section["checkTunnelSource"]?.boolean() ?? false
    }

    private static func interfaceAddress(_ text: String) -> (IPAddress, length: Int)? {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let address = IPAddress(String(parts[0])), let length = Int(parts[1]),
            IPPrefix(masking: address, length: length) != nil
        else { return nil }
        return (address, length)
    }
}
