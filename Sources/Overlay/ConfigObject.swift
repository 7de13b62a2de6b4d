public import StrictYAML

/// The configuration objects of the overlay, as typed values: what an operator writes, the controller stores, and an agent receives.
///
/// One shape, three spellings. An object is read from a `ConfigNode` (from YAML, JSON or XML) and renders as a `ConfigValue` (to the
/// same three); nothing else in the project knows field names. Reading checks everything that one object can tell by itself;
/// what needs other objects (a network that exists, an address not taken) is the controller's to check.
///
/// Thread-safety: values.
public enum ConfigObject: Hashable, Sendable {
    case virtualNetwork(VirtualNetwork)
    case port(Port)
    case computeNode(ComputeNode)
    case securityGroup(SecurityGroup)
    case securityGroupMembers(SecurityGroupMembers)
    case networkPolicy(NetworkPolicy)
    case networkPeers(NetworkPeers)
    case namespace(Namespace)
    case kubernetesPolicy(KubernetesPolicy)
    case firewallPolicy(FirewallPolicy)
    case floatingIP(FloatingIP)
    case service(Service)
    case router(NetworkRouter)
    case linkLocalService(LinkLocalService)

    public var kind: ConfigKind {
        switch self {
        case .virtualNetwork: .virtualNetwork
        case .port: .port
        case .computeNode: .computeNode
        case .securityGroup: .securityGroup
        case .securityGroupMembers: .securityGroupMembers
        case .networkPolicy: .networkPolicy
        case .networkPeers: .networkPeers
        case .namespace: .namespace
        case .kubernetesPolicy: .kubernetesPolicy
        case .firewallPolicy: .firewallPolicy
        case .floatingIP: .floatingIP
        case .service: .service
        case .router: .router
        case .linkLocalService: .linkLocalService
        }
    }
    public var metadata: ObjectMetadata {
        get {
            switch self {
            case .virtualNetwork(let object): object.metadata
            case .port(let object): object.metadata
            case .computeNode(let object): object.metadata
            case .securityGroup(let object): object.metadata
            case .securityGroupMembers(let object): object.metadata
            case .networkPolicy(let object): object.metadata
            case .networkPeers(let object): object.metadata
            case .namespace(let object): object.metadata
            case .kubernetesPolicy(let object): object.metadata
            case .firewallPolicy(let object): object.metadata
            case .floatingIP(let object): object.metadata
            case .service(let object): object.metadata
            case .router(let object): object.metadata
            case .linkLocalService(let object): object.metadata
            }
        }
        set {
            switch self {
            case .virtualNetwork(var object): object.metadata = newValue; self = .virtualNetwork(object)
            case .port(var object): object.metadata = newValue; self = .port(object)
            case .computeNode(var object): object.metadata = newValue; self = .computeNode(object)
            case .securityGroup(var object): object.metadata = newValue; self = .securityGroup(object)
            case .securityGroupMembers(var object): object.metadata = newValue; self = .securityGroupMembers(object)
            case .networkPolicy(var object): object.metadata = newValue; self = .networkPolicy(object)
            case .networkPeers(var object): object.metadata = newValue; self = .networkPeers(object)
            case .namespace(var object): object.metadata = newValue; self = .namespace(object)
            case .kubernetesPolicy(var object): object.metadata = newValue; self = .kubernetesPolicy(object)
            case .firewallPolicy(var object): object.metadata = newValue; self = .firewallPolicy(object)
            case .floatingIP(var object): object.metadata = newValue; self = .floatingIP(object)
            case .service(var object): object.metadata = newValue; self = .service(object)
            case .router(var object): object.metadata = newValue; self = .router(object)
            case .linkLocalService(var object): object.metadata = newValue; self = .linkLocalService(object)
            }
        }
    }
    public var name: String { metadata.name }
    public var key: ObjectKey { ObjectKey(kind, name) }

    /// The `spec` alone: what the operator decides.
    public var spec: ConfigValue {
        switch self {
        case .virtualNetwork(let object): object.spec
        case .port(let object): object.spec
        case .computeNode(let object): object.spec
        case .securityGroup(let object): object.spec
        case .securityGroupMembers(let object): object.spec
        case .networkPolicy(let object): object.spec
        case .networkPeers(let object): object.spec
        case .namespace(let object): object.spec
        case .kubernetesPolicy(let object): object.spec
        case .firewallPolicy(let object): object.spec
        case .floatingIP(let object): object.spec
        case .service(let object): object.spec
        case .router(let object): object.spec
        case .linkLocalService(let object): object.spec
        }
    }

    /// `kind`, `metadata`, `spec`; those of Kubernetes as it writes them.
    public var value: ConfigValue {
        switch self {
        case .kubernetesPolicy:
            .map([
                .init("apiVersion", .string(KubernetesPolicy.apiVersion)), .init("kind", .string(KubernetesPolicy.kind)),
                .init("metadata", metadata.kubernetesValue), .init("spec", spec),
            ])
        case .namespace:
            .map([.init("apiVersion", .string(Namespace.apiVersion)), .init("kind", .string(kind.rawValue)), .init("metadata", metadata.value)])
        default: .map([.init("kind", .string(kind.rawValue)), .init("metadata", metadata.value), .init("spec", spec)])
        }
    }

    /// All that an operator decides: labels and namespace, and the spec.
    public var declared: ConfigValue { .map([.init("metadata", .map(metadata.declared)), .init("spec", spec)]) }

    static let keys = ["kind", "metadata", "spec"], kubernetesKeys = ["apiVersion", "kind", "metadata", "spec", "status"]

    /// Reads a whole object.
    public init(_ node: ConfigNode) throws(ConfigError) {
        if node.hasKey("apiVersion") {
            let fields = try node.mapping(keys: Self.kubernetesKeys)
            let version = try fields.required("apiVersion").string(), kind = try fields.required("kind").string()
            let metadata = try fields.required("metadata")
            switch (version, kind) {
            case (KubernetesPolicy.apiVersion, KubernetesPolicy.kind):
                self = .kubernetesPolicy(
                    try KubernetesPolicy(metadata: ObjectMetadata(kubernetes: metadata, isNamespaced: true), spec: fields.required("spec")))
            case (Namespace.apiVersion, "Namespace"):
                self = .namespace(try Namespace(metadata: ObjectMetadata(kubernetes: metadata, isNamespaced: false), spec: fields["spec"]))
            default:
                throw fields.error(
                    "kind",
                    "\(kind.prefix(64)) of \(version.prefix(64)) has no meaning here; of Kubernetes there are NetworkPolicy (networking.k8s.io/v1) and Namespace (v1)"
                )
            }
            return
        }
        let fields = try node.mapping(keys: Self.keys)
        let kind = try fields.required("kind").choice(ConfigKind.self)
        func asKubernetes() -> ConfigError {
            fields.error("kind", "is read as a document of Kubernetes only: write apiVersion: networking.k8s.io/v1 and kind: NetworkPolicy")
        }
        if kind == .kubernetesPolicy { throw asKubernetes() }
        let metadata = try ObjectMetadata(fields.required("metadata"), kind: kind)
        if kind == .namespace {
            self = .namespace(try Namespace(metadata: metadata, spec: fields["spec"]))
            return
        }
        let spec = try fields.required("spec")
        switch kind {
        case .virtualNetwork: self = .virtualNetwork(try VirtualNetwork(metadata: metadata, spec: spec))
        case .port: self = .port(try Port(metadata: metadata, spec: spec))
        case .computeNode: self = .computeNode(try ComputeNode(metadata: metadata, spec: spec))
        case .securityGroup: self = .securityGroup(try SecurityGroup(metadata: metadata, spec: spec))
        case .securityGroupMembers: self = .securityGroupMembers(try SecurityGroupMembers(metadata: metadata, spec: spec))
        case .networkPolicy: self = .networkPolicy(try NetworkPolicy(metadata: metadata, spec: spec))
        case .networkPeers: self = .networkPeers(try NetworkPeers(metadata: metadata, spec: spec))
        case .namespace: self = .namespace(try Namespace(metadata: metadata, spec: spec))
        case .kubernetesPolicy: throw asKubernetes()
        case .firewallPolicy: self = .firewallPolicy(try FirewallPolicy(metadata: metadata, spec: spec))
        case .floatingIP: self = .floatingIP(try FloatingIP(metadata: metadata, spec: spec))
        case .service: self = .service(try Service(metadata: metadata, spec: spec))
        case .router: self = .router(try NetworkRouter(metadata: metadata, spec: spec))
        case .linkLocalService: self = .linkLocalService(try LinkLocalService(metadata: metadata, spec: spec))
        }
    }
}

/// The kinds of object. The order is the order of dependence: a Port needs the others.
public enum ConfigKind: String, CaseIterable, Hashable, Sendable, Comparable {
    case computeNode = "ComputeNode"
    case networkPolicy = "NetworkPolicy"
    /// Made by the controller, for agents.
    case networkPeers = "NetworkPeers"
    case namespace = "Namespace"
    /// In documents a NetworkPolicy with the `apiVersion` of Kubernetes.
    case kubernetesPolicy = "KubernetesNetworkPolicy"
    /// Made by the controller, for agents.
    case firewallPolicy = "FirewallPolicy"
    case virtualNetwork = "VirtualNetwork"
    case securityGroup = "SecurityGroup"
    /// Made by the controller, for agents.
    case securityGroupMembers = "SecurityGroupMembers"
    case port = "Port"
    case router = "Router"
    case service = "Service"
    case floatingIP = "FloatingIP"
    case linkLocalService = "LinkLocalService"

    /// What operators write.
    public static let allCases: [ConfigKind] = [
        .computeNode, .networkPolicy, .virtualNetwork, .securityGroup, .namespace, .kubernetesPolicy, .port, .router, .service, .floatingIP,
        .linkLocalService,
    ]

    private var rank: Int {
        switch self {
        case .computeNode: 0;
        case .networkPolicy: 1;
        case .networkPeers: 2;
        case .virtualNetwork: 3;
        case .securityGroup: 4;
        case .securityGroupMembers: 5;
        case .namespace: 6;
        case .kubernetesPolicy: 7;
        case .firewallPolicy: 8;
        case .port: 9;
        case .router: 10;
        case .service: 11;
        case .floatingIP: 12;
        case .linkLocalService: 13
        }
    }
    public static func < (a: ConfigKind, b: ConfigKind) -> Bool { a.rank < b.rank }
}

/// What names an object: kind and name. As text `Port/blue-a`, which is also its item id on the wire.
public struct ObjectKey: Hashable, Sendable, Comparable, CustomStringConvertible, LosslessStringConvertible {
    public var kind: ConfigKind
    public var name: String
    public init(_ kind: ConfigKind, _ name: String) { self.kind = kind; self.name = name }
    public init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, let kind = ConfigKind(rawValue: String(parts[0])), !parts[1].isEmpty else { return nil }
        self.init(kind, String(parts[1]))
    }
    public var description: String { "\(kind.rawValue)/\(name)" }
    public static func < (a: ObjectKey, b: ObjectKey) -> Bool { a.kind != b.kind ? a.kind < b.kind : a.name < b.name }
}

/// `metadata` of every object. `uid` and `generation` are the controller's; in an operator's text they are accepted and ignored, so
/// that what was read back can be applied again.
public struct ObjectMetadata: Hashable, Sendable {
    public var name: String
    /// A UUID, given once, at creation.
    public var uid: String?
    /// Counts the changes of the spec from 1; 0 for an object that was never stored.
    public var generation: Int
    /// Of Ports, Services and policies of Kubernetes; nil: `default`.
    public var namespace: String?
    /// Of Ports and Namespaces. They are for the controller, who tells agents what follows from them.
    public var labels: [String: String]

    public init(name: String, uid: String? = nil, generation: Int = 0, namespace: String? = nil, labels: [String: String] = [:]) {
        self.name = name
        self.uid = uid
        self.generation = generation
        self.namespace = namespace
        self.labels = labels
    }

    init(_ node: ConfigNode, kind: ConfigKind) throws(ConfigError) {
        var keys = ["name", "uid", "generation"]
        if kind == .port || kind == .service { keys.append("namespace") }
        if kind == .port || kind == .namespace { keys.append("labels") }
        let fields = try node.mapping(keys: keys)
        let name = try fields.required("name")
        self.init(
            name: kind == .namespace ? try name.namespaceName() : try name.objectName(kind), uid: try fields["uid"]?.string(),
            generation: try fields["generation"]?.integer(in: 0...Int(Int32.max)) ?? 0,
            namespace: keys.contains("namespace") ? try fields["namespace"]?.namespaceName() : nil,
            labels: keys.contains("labels") ? try fields["labels"]?.labels() ?? [:] : [:])
    }

    /// Of a document of Kubernetes; what the API server adds to it has no meaning here.
    init(kubernetes node: ConfigNode, isNamespaced: Bool) throws(ConfigError) {
        let fields = try node.mapping(keys: [
            "name", "namespace", "labels", "annotations", "uid", "generation", "creationTimestamp", "resourceVersion", "managedFields", "selfLink",
            "ownerReferences", "finalizers",
        ])
        let given = try fields.required("name")
        if !isNamespaced {
            self.init(name: try given.namespaceName(), labels: try fields["labels"]?.labels() ?? [:])
        } else {
            let name = try given.value("a name: at most 253 lower-case letters, digits, '-' and '.'") { KubernetesName.isSubdomain($0) ? $0 : nil }
            let namespace = try fields["namespace"]?.namespaceName() ?? Namespace.nameOfDefault
            self.init(name: "\(namespace):\(name)", namespace: namespace)
        }
        uid = try fields["uid"]?.string()
        generation = try fields["generation"]?.integer(in: 0...Int(Int32.max)) ?? 0
    }

    /// With the name inside its namespace.
    var kubernetesValue: ConfigValue {
        var inner = self
        inner.name = String(name.dropFirst((namespace ?? "").utf8.count + 1))
        return inner.value
    }

    /// What an operator decides of it beside the name.
    var declared: [ConfigValue.Field] {
        var fields: [ConfigValue.Field] = []
        if let namespace { fields.append(.init("namespace", .string(namespace))) }
        if !labels.isEmpty { fields.append(.init("labels", ConfigValue(labels: labels))) }
        return fields
    }

    /// Without the labels, whose names need not be those of elements.
    var wireValue: ConfigValue {
        var told = self
        told.labels = [:]
        return told.value
    }

    var value: ConfigValue {
        var fields = [ConfigValue.Field("name", .string(name))] + declared
        if let uid { fields.append(.init("uid", .string(uid))) }
        if generation > 0 { fields.append(.init("generation", .integer(generation))) }
        return .map(fields)
    }
}

extension ConfigNode {
    /// The name of an object: letters, digits, `-`, `_`, `.`, and `:` (as in names made of several parts), beginning with a letter or
    /// a digit, 253 characters at most. A compute node's name is the localpart of its agent's JID (RFC 7622), which is why it has
    /// neither capitals nor `:`.
    func objectName(_ kind: ConfigKind) throws(ConfigError) -> String {
        let text = try string()
        guard kind.isName(text) else {
            let isNode = kind == .computeNode
            throw error(
                "'\(text.prefix(64))' is not a name for a \(kind.rawValue): use \(isNode ? "lower-case letters" : "letters"), digits, '-', '_', '.'"
                    + (isNode ? "" : ", ':'") + "; begin with a letter or a digit; 253 characters at most")
        }
        return text
    }
}

extension ConfigKind {
    func isName(_ text: String) -> Bool {
        let isNode = self == .computeNode
        func isWord(_ scalar: Unicode.Scalar) -> Bool {
            switch scalar {
            case "a"..."z", "0"..."9": true
            case "A"..."Z": !isNode
            default: false
            }
        }
        // Those made of a policy's name and its namespace are longer.
        return text.utf8.count <= (self == .kubernetesPolicy || self == .firewallPolicy ? 317 : 253) && text.unicodeScalars.first.map(isWord) == true
            && text.unicodeScalars.allSatisfy { isWord($0) || $0 == "-" || $0 == "_" || $0 == "." || ($0 == ":" && !isNode) }
    }
}

// MARK: - JSON and Codable

extension ConfigObject: Codable {
    public init(from decoder: any Decoder) throws { try self.init(ConfigValue(from: decoder).node()) }
    public func encode(to encoder: any Encoder) throws { try value.encode(to: encoder) }

    /// JSON text in the shape of the YAML. Throws `ConfigError`.
    public init(json: String) throws(ConfigError) { try self.init(ConfigNode.document(text: json, source: "JSON")) }
    public var json: String { value.json }
    public var yaml: String { value.yaml }
}
