public import StrictYAML

/// Configuration objects in YAML: one document each, separated by `---`.
public enum YAMLDocuments {
    /// An object and where its fields were written.
    public struct Located: Sendable {
        public var object: ConfigObject
        let node: ConfigNode

        /// An error at a field of this object (`spec.addresses[1]`); at the nearest field above it when it was not written out.
        public func error(_ message: String, field: String) -> ConfigError {
            var best = node
            func descend(_ node: ConfigNode) {
                if field == node.path || field.hasPrefix(node.path + ".") || field.hasPrefix(node.path + "[") || node.path.isEmpty {
                    best = node
                } else {
                    return
                }
                switch node.content {
                case .null, .scalar: break
                case .sequence(let items): items.forEach(descend)
                case .mapping(let entries): entries.forEach { descend($0.value) }
                }
            }
            descend(node)
            var error = best.error(message)
            error.field = field
            return error
        }
    }

    /// The objects of a text, in its order. `source` is the file's name, for errors. An object given twice is an error.
    public static func parse(text: String, source: String) throws(ConfigError) -> [ConfigObject] {
        try located(text: text, source: source).map(\.object)
    }

    /// As `parse`, keeping the positions for errors found later.
    public static func located(text: String, source: String) throws(ConfigError) -> [Located] {
        var found: [Located] = []
        var seen: [ObjectKey: Int?] = [:]
        for node in try ConfigNode.documents(text: text, source: source) {
            let located = Located(object: try ConfigObject(node), node: node)
            if let earlier = seen[located.object.key] {
                throw located.error("\(located.object.key) is already in document \(earlier ?? 0) of this text", field: "metadata.name")
            }
            seen[located.object.key] = node.document
            found.append(located)
        }
        return found
    }

    /// Canonical YAML of several objects.
    public static func text(_ objects: [ConfigObject]) -> String { objects.map(\.yaml).joined(separator: "---\n") }
}
