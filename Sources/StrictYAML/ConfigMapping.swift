/// A mapping whose keys are all known ones.
public struct ConfigMapping: Sendable {
    public let node: ConfigNode
    private let entries: [ConfigNode.Entry]

    init(node: ConfigNode, entries: [ConfigNode.Entry]) {
        self.node = node
        self.entries = entries
    }

    /// The value of a key. Nil when the key is absent; a key without a value is there, as a node that is null.
    public subscript(_ key: String) -> ConfigNode? {
        guard let value = entry(key)?.value, !value.isNull || value.isStrict else { return nil }
        return value
    }

    public func required(_ key: String) throws(ConfigError) -> ConfigNode {
        guard let entry = entry(key) else { throw error(key, "is missing") }
        guard !entry.value.isNull else { throw error(key, "has no value") }
        return entry.value
    }

    /// The one key of `keys` that is given.
    public func one(of keys: [String]) throws(ConfigError) -> (key: String, value: ConfigNode) {
        let given = keys.compactMap { key in self[key].map { (key: key, value: $0) } }
        guard let first = given.first else { throw node.error("give one of \(keys.joined(separator: ", "))") }
        guard given.count == 1 else { throw given[1].value.error("only one of \(given.map(\.key).joined(separator: ", ")) can be given") }
        return first
    }

    /// An error about a key of this mapping: at its value; at the key when that has none; at the mapping when the key is absent.
    public func error(_ key: String, _ message: String) -> ConfigError {
        if let entry = entry(key) { return entry.value.isNull ? node.error(message, at: entry) : entry.value.error(message) }
        var error = node.error(message)
        error.field = ConfigNode.path(node.path, key)
        return error
    }

    private func entry(_ key: String) -> ConfigNode.Entry? { entries.first { $0.key == key } }
}

extension ConfigNode {
    /// The node as a mapping of these keys only. No value at all is an empty mapping.
    public func mapping(keys: [String]) throws(ConfigError) -> ConfigMapping {
        let entries: [Entry]
        switch content {
        case .null: entries = []
        case .mapping(let found): entries = found
        case .scalar, .sequence: throw mismatch(keys.isEmpty ? "nothing, or {}" : "a mapping of \(keys.joined(separator: ", "))")
        }
        for entry in entries where isStrict && !keys.contains(entry.key) {
            let hint = SpellingHint.text(for: entry.key, among: keys)
            let known = keys.isEmpty ? "; there are none here" : "; known here: \(keys.joined(separator: ", "))"
            throw error("unknown field '\(entry.key.prefix(64))'" + (hint.isEmpty ? known : hint), at: entry)
        }
        return ConfigMapping(node: self, entries: entries)
    }

    /// Whether the node is a mapping with this key.
    public func hasKey(_ key: String) -> Bool {
        if case .mapping(let entries) = content { entries.contains { $0.key == key } } else { false }
    }

    /// The node as a mapping from names of the operator's own choice, in the order written.
    public func entries() throws(ConfigError) -> [Entry] {
        guard case .mapping(let entries) = content else { throw mismatch("a mapping") }
        return entries
    }

    /// The members of a list. No value at all is an empty list.
    public func list() throws(ConfigError) -> [ConfigNode] {
        switch content {
        case .null: return []
        case .sequence(let items): return items
        case .scalar, .mapping: throw mismatch("a list")
        }
    }

    /// An error about a key of this mapping.
    public func error(_ message: String, at entry: Entry) -> ConfigError {
        ConfigError(message, source: source, line: entry.line, column: entry.column, document: document, field: entry.value.path)
    }
}
