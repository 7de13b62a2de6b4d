import StrictYAML

/// Kind and name of the objects in YAML text; all that deleting them needs. What else an object says is not looked at.
enum Documents {
    static func names(_ text: String, source: String) throws -> [(kind: Kind, name: String)] {
        do throws(ConfigError) {
            var out: [(Kind, String)] = []
            for document in try ConfigNode.documents(text: text, source: source) { out.append(try name(document)) }
            return out
        } catch { throw Failure.refused("\(error)") }
    }

    private static func name(_ document: ConfigNode) throws(ConfigError) -> (kind: Kind, name: String) {
        // Those of Kubernetes have more in them, which has no meaning here.
        guard document.hasKey("apiVersion") else {
            let object = try document.mapping(keys: ["kind", "metadata", "spec"])
            let kind = try kind(object.required("kind"))
            let metadata = try object.required("metadata").mapping(keys: ["name", "uid", "generation", "namespace", "labels"])
            return (kind, try metadata.required("name").string())
        }
        let kind = try member("kind", of: document), metadata = try member("metadata", of: document), name = try member("name", of: metadata).string()
        guard kind.isWord("NetworkPolicy") else { return (try self.kind(kind), name) }
        let namespace = try metadata.hasKey("namespace") ? member("namespace", of: metadata).string() : "default"
        return (.kubernetesPolicy, "\(namespace):\(name)")
    }

    private static func kind(_ node: ConfigNode) throws(ConfigError) -> Kind {
        let text = try node.string()
        if let kind = Kind(name: text) { return kind }
        throw node.error("'\(text)' is unknown; there are \(Kind.allCases.map(\.rawValue).joined(separator: ", "))")
    }

    private static func member(_ key: String, of node: ConfigNode) throws(ConfigError) -> ConfigNode {
        guard let found = try node.entries().first(where: { $0.key == key }) else { throw node.error("\(key) is missing") }
        return found.value
    }
}
