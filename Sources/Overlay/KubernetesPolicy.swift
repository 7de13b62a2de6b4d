public import NetTypes
import StrictYAML

/// A NetworkPolicy of Kubernetes (`networking.k8s.io/v1`): whom the ports that it selects may hear from and speak to. Documents are read as they are.
///
/// The semantics are those of Kubernetes. Ports stand for pods: `metadata.namespace` and `metadata.labels` of Port, `spec.namedPorts` for named ports of containers. A
/// port that no policy selects for a direction is open in it; of those that do, each adds what it allows, and the rest is denied. Both ends of a connection have to
/// allow it.
public struct KubernetesPolicy: Hashable, Sendable {
    public enum Peer: Hashable, Sendable {
        /// The prefix less the others.
        case prefix(IPPrefix, except: [IPPrefix])
        /// Ports by their labels; `namespaces` nil: in the policy's own namespace; `pods` nil: all of them.
        case ports(namespaces: LabelSelector?, pods: LabelSelector?)
    }
    public enum PortNumber: Hashable, Sendable {
        case all
        case range(ClosedRange<UInt16>)
        case name(String)
    }
    public struct Service: Hashable, Sendable {
        public var proto: UInt8
        public var port: PortNumber
        public init(_ proto: UInt8, _ port: PortNumber = .all) {
            self.proto = proto
            self.port = port
        }
    }
    public struct Rule: Hashable, Sendable {
        /// Empty: anybody.
        public var peers: [Peer]
        /// Empty: everything.
        public var services: [Service]
        public init(peers: [Peer] = [], services: [Service] = []) {
            self.peers = peers
            self.services = services
        }
    }

    /// The name is `<namespace>:<name>`.
    public var metadata: ObjectMetadata
    public var selector: LabelSelector
    /// Nil: the policy is not about this direction.
    public var ingress: [Rule]?
    public var egress: [Rule]?

    public var name: String { metadata.name }
    public var namespace: String { metadata.namespace ?? Namespace.nameOfDefault }
    public static let apiVersion = "networking.k8s.io/v1", kind = "NetworkPolicy"
    static let protocols: KeyValuePairs<String, UInt8> = ["TCP": 6, "UDP": 17, "SCTP": 132]
    public static let ruleCapacity = 1000

    init(metadata: ObjectMetadata, spec node: ConfigNode) throws(ConfigError) {
        let fields = try node.mapping(keys: ["podSelector", "ingress", "egress", "policyTypes"])
        self.metadata = metadata
        guard let given = fields["podSelector"] else { throw fields.error("podSelector", "is missing; {} selects every port of the namespace") }
        selector = try LabelSelector(given)
        ingress = try fields["ingress"].map { node throws(ConfigError) in try Rule.list(node, peers: "from") }
        egress = try fields["egress"].map { node throws(ConfigError) in try Rule.list(node, peers: "to") }
        var types: Set<String> = []
        if let given = fields["policyTypes"], !given.isNull {
            for item in try given.list() { types.insert(try item.choice(["Ingress": "Ingress", "Egress": "Egress"])) }
        }
        // An empty list is none (SetDefaults_NetworkPolicy of Kubernetes).
        if !types.isEmpty {
            ingress = types.contains("Ingress") ? ingress ?? [] : nil
            egress = types.contains("Egress") ? egress ?? [] : nil
        } else {
            ingress = ingress ?? []
            if egress?.isEmpty == true { egress = nil }
        }
    }

    var spec: ConfigValue {
        var fields: [ConfigValue.Field] = [.init("podSelector", selector.value)]
        if let ingress, !ingress.isEmpty { fields.append(.init("ingress", .list(ingress.map { $0.value(peers: "from") }))) }
        if let egress, !egress.isEmpty { fields.append(.init("egress", .list(egress.map { $0.value(peers: "to") }))) }
        let types = [ingress.map { _ in "Ingress" }, egress.map { _ in "Egress" }].compactMap(\.self)
        fields.append(.init("policyTypes", .list(types.map { .string($0) })))
        return .map(fields)
    }
}

extension KubernetesPolicy.Rule {
    static func list(_ node: ConfigNode, peers: String) throws(ConfigError) -> [Self] {
        let items = try node.list()
        guard items.count <= KubernetesPolicy.ruleCapacity else {
            throw node.error("\(items.count) rules; a policy has \(KubernetesPolicy.ruleCapacity) in each direction at most")
        }
        var out: [Self] = []
        for item in items { out.append(try Self(item, peers: peers)) }
        return out
    }

    init(_ node: ConfigNode, peers key: String) throws(ConfigError) {
        let fields = try node.mapping(keys: [key, "ports"])
        self.init()
        for item in try fields[key]?.list() ?? [] { peers.append(try KubernetesPolicy.Peer(item)) }
        for item in try fields["ports"]?.list() ?? [] { services.append(try KubernetesPolicy.Service(item)) }
    }

    func value(peers key: String) -> ConfigValue {
        var fields: [ConfigValue.Field] = []
        if !peers.isEmpty { fields.append(.init(key, .list(peers.map(\.value)))) }
        if !services.isEmpty { fields.append(.init("ports", .list(services.map(\.value)))) }
        return .map(fields)
    }
}

extension KubernetesPolicy.Peer {
    init(_ node: ConfigNode) throws(ConfigError) {
        let fields = try node.mapping(keys: ["podSelector", "namespaceSelector", "ipBlock"])
        func given(_ key: String) -> ConfigNode? { fields[key].flatMap { $0.isNull ? nil : $0 } }
        if let block = given("ipBlock") {
            for key in ["podSelector", "namespaceSelector"] { if let other = given(key) { throw other.error("cannot stand beside ipBlock") } }
            let inner = try block.mapping(keys: ["cidr", "except"])
            let prefix = try inner.required("cidr").maskedPrefix()
            var holes: [IPPrefix] = []
            for item in try inner["except"]?.list() ?? [] {
                let hole = try item.maskedPrefix()
                guard prefix.contains(hole), hole != prefix else { throw item.error("\(hole) is not a part of \(prefix)") }
                holes.append(hole)
            }
            self = .prefix(prefix, except: holes)
            return
        }
        guard given("podSelector") != nil || given("namespaceSelector") != nil else {
            throw node.error("a peer has a podSelector, a namespaceSelector or an ipBlock")
        }
        self = .ports(
            namespaces: try given("namespaceSelector").map { node throws(ConfigError) in try LabelSelector(node) },
            pods: try given("podSelector").map { node throws(ConfigError) in try LabelSelector(node) })
    }

    var value: ConfigValue {
        var fields: [ConfigValue.Field] = []
        switch self {
        case .prefix(let prefix, let holes):
            fields.append(.init("cidr", .string(prefix.description)))
            if !holes.isEmpty { fields.append(.init("except", .list(holes.map { .string($0.description) }))) }
            return .map([.init("ipBlock", .map(fields))])
        case .ports(let namespaces, let pods):
            if let namespaces { fields.append(.init("namespaceSelector", namespaces.value)) }
            if let pods { fields.append(.init("podSelector", pods.value)) }
            return .map(fields)
        }
    }
}

extension KubernetesPolicy.Service {
    init(_ node: ConfigNode) throws(ConfigError) {
        let fields = try node.mapping(keys: ["protocol", "port", "endPort"])
        self.init(try fields["protocol"]?.choice(KubernetesPolicy.protocols) ?? 6)
        if let given = fields["port"] {
            if let number: UInt16 = try? given.integer(in: 1...65535) {
                port = .range(number...number)
            } else {
                guard case .scalar(let text, _) = given.content, KubernetesName.isPort(text) else {
                    throw given.error("is neither a port (1-65535) nor the name of one")
                }
                port = .name(text)
            }
        }
        guard let given = fields["endPort"] else { return }
        guard case .range(let first) = port else { throw given.error("needs a port by number to begin with") }
        let last: UInt16 = try given.integer(in: 1...65535)
        guard last >= first.lowerBound else { throw given.error("is below the port, \(first.lowerBound)") }
        port = .range(first.lowerBound...last)
    }

    var value: ConfigValue {
        var fields: [ConfigValue.Field] = [
            .init("protocol", .string(KubernetesPolicy.protocols.first { $0.value == proto }?.key ?? "\(proto)"))
        ]
        switch port {
        case .all: break
        case .name(let name): fields.append(.init("port", .string(name)))
        case .range(let range):
            fields.append(.init("port", .integer(Int(range.lowerBound))))
            if range.count > 1 { fields.append(.init("endPort", .integer(Int(range.upperBound)))) }
        }
        return .map(fields)
    }
}

extension ConfigNode {
    /// Host bits do not matter, as in Kubernetes.
    fileprivate func maskedPrefix() throws(ConfigError) -> IPPrefix {
        try value("a prefix such as 10.1.0.0/24 or fd00:1::/64") { text in
            let parts = text.split(separator: "/", omittingEmptySubsequences: false)
            guard parts.count == 2, parts[1].allSatisfy({ $0.isASCII && $0.isNumber }), let length = Int(parts[1]),
                let address = IPAddress(String(parts[0]))
            else { return nil }
            return IPPrefix(masking: address, length: length)
        }
    }
}
