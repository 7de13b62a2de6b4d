import StrictYAML

/// A namespace of Ports, as in Kubernetes: there so that its labels can be selected. A namespace needs no such object; it then has one label only, its name.
public struct Namespace: Hashable, Sendable {
    public var metadata: ObjectMetadata
    public var name: String { metadata.name }
    /// With the label that every namespace has.
    public var labels: [String: String] { metadata.labels.merging(Self.labels(ofNamed: name)) { $1 } }

    public init(metadata: ObjectMetadata) { self.metadata = metadata }

    init(metadata: ObjectMetadata, spec node: ConfigNode?) throws(ConfigError) {
        // What Kubernetes answers has its own finalizers here.
        _ = try node?.mapping(keys: ["finalizers"])
        self.init(metadata: metadata)
    }

    var spec: ConfigValue { .map([]) }

    public static let nameOfDefault = "default"
    public static let apiVersion = "v1"
    public static func labels(ofNamed name: String) -> [String: String] { ["kubernetes.io/metadata.name": name] }
}
