public import NetTypes

/// A configuration text as a tree that remembers where each part stood, so that every complaint can name its line.
///
/// The tree is what YAML, JSON and XML have in common; the typed objects are read from it and know no syntax. Reading is strict:
/// a scalar that does not fit its field, a key nobody asked for and a missing key are errors of type `ConfigError`.
///
/// Thread-safety: values.
public struct ConfigNode: Sendable {
    public indirect enum Content: Sendable {
        case null
        /// `isPlain`: written without quotes, so that a number or a boolean may be meant.
        case scalar(String, isPlain: Bool)
        case sequence([ConfigNode])
        case mapping([Entry])
    }
    public struct Entry: Sendable {
        public var key: String
        public var line: Int?
        public var column: Int?
        public var value: ConfigNode
    }

    public var content: Content
    public var source: String?
    public var document: Int?
    public var line: Int?
    public var column: Int?
    /// The path from the document's root; empty at the root.
    public var path: String
    /// False where a key that is not known is skipped instead of refused: XML from a newer peer.
    public var isStrict: Bool = true

    public func error(_ message: String) -> ConfigError {
        ConfigError(message, source: source, line: line, column: column, document: document, field: path.isEmpty ? nil : path)
    }

    public var isNull: Bool { if case .null = content { true } else { false } }

    var contentDescription: String {
        switch content {
        case .null: "nothing"
        case .scalar(let text, _): "'\(text.prefix(64))'"
        case .sequence: "a list"
        case .mapping: "a mapping"
        }
    }
}

// MARK: - Scalars

extension ConfigNode {
    /// The text of a scalar, quoted or not; never empty.
    public func string() throws(ConfigError) -> String {
        guard case .scalar(let text, _) = content, !text.isEmpty else { throw error("expected a string, found \(contentDescription)") }
        return text
    }

    public func integer(in range: ClosedRange<Int>) throws(ConfigError) -> Int {
        guard case .scalar(let text, let isPlain) = content, isPlain, let value = Int(text), range.contains(value) else {
            throw error("expected a number from \(range.lowerBound) to \(range.upperBound), found \(contentDescription)")
        }
        return value
    }

    public func boolean() throws(ConfigError) -> Bool {
        guard case .scalar(let text, let isPlain) = content, isPlain, let value = Bool(text) else {
            throw error("expected true or false, found \(contentDescription)")
        }
        return value
    }

    /// One of the raw values of an enumeration.
    public func choice<T: RawRepresentable & CaseIterable>(_ type: T.Type = T.self) throws(ConfigError) -> T where T.RawValue == String {
        let names = T.allCases.map(\.rawValue)
        guard case .scalar(let text, _) = content else {
            throw error("expected one of \(names.joined(separator: ", ")), found \(contentDescription)")
        }
        guard let value = T(rawValue: text) else {
            throw error("'\(text.prefix(64))' is not one of \(names.joined(separator: ", "))" + Suggestion.text(for: text, among: names))
        }
        return value
    }

    public func address() throws(ConfigError) -> IPAddress {
        guard case .scalar(let text, _) = content, let value = IPAddress(text) else {
            throw error("expected an IPv4 or IPv6 address, found \(contentDescription)")
        }
        return value
    }

    public func prefix() throws(ConfigError) -> IPPrefix {
        guard case .scalar(let text, _) = content, text.contains("/") else {
            throw error("expected a prefix such as 10.1.0.0/24, found \(contentDescription)")
        }
        if let value = IPPrefix(text) { return value }
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        if parts.count == 2, let address = IPAddress(String(parts[0])), let length = Int(parts[1]),
            let network = IPPrefix(masking: address, length: length)
        {
            throw error("'\(text)' has host bits set; the prefix is \(network)")
        }
        throw error("expected a prefix such as 10.1.0.0/24, found \(contentDescription)")
    }

    public func macAddress() throws(ConfigError) -> MACAddress {
        guard case .scalar(let text, _) = content, let value = MACAddress(text) else {
            throw error("expected a MAC address such as 02:00:00:00:01:0a, found \(contentDescription)")
        }
        return value
    }

    public func list() throws(ConfigError) -> [ConfigNode] {
        guard case .sequence(let items) = content else { throw error("expected a list, found \(contentDescription)") }
        return items
    }
}

// MARK: - Mappings

/// A mapping whose keys are all known ones.
public struct ConfigMapping: Sendable {
    public let node: ConfigNode
    let entries: [ConfigNode.Entry]

    /// Nil when the key is absent or has no value.
    public func optional(_ key: String) -> ConfigNode? {
        guard let value = entries.first(where: { $0.key == key })?.value, !value.isNull else { return nil }
        return value
    }

    public func required(_ key: String) throws(ConfigError) -> ConfigNode {
        if let value = optional(key) { return value }
        var error = node.error("is missing")
        error.field = node.path.isEmpty ? key : "\(node.path).\(key)"
        if let entry = entries.first(where: { $0.key == key }) {
            (error.line, error.column, error.message) = (entry.line, entry.column, "has no value")
        }
        throw error
    }

    /// Present at all, with or without a value.
    public func contains(_ key: String) -> Bool { entries.contains { $0.key == key } }
}

extension ConfigNode {
    /// The node as a mapping of these keys only.
    public func mapping(keys: [String]) throws(ConfigError) -> ConfigMapping {
        guard case .mapping(let entries) = content else {
            throw error("expected a mapping of \(keys.joined(separator: ", ")), found \(contentDescription)")
        }
        for entry in entries where isStrict && !keys.contains(entry.key) {
            var error = error("unknown field '\(entry.key.prefix(64))'" + Suggestion.text(for: entry.key, among: keys))
            if error.message.last != "?" { error.message += "; known here: \(keys.joined(separator: ", "))" }
            (error.line, error.column, error.field) = (entry.line, entry.column, entry.value.path)
            throw error
        }
        return ConfigMapping(node: self, entries: entries)
    }

    /// The node as a mapping from names of the operator's own choice, in the order written.
    public func entries() throws(ConfigError) -> [Entry] {
        guard case .mapping(let entries) = content else { throw error("expected a mapping, found \(contentDescription)") }
        return entries
    }
}

/// "did you mean" for a word that is nearly one of a few known ones.
enum Suggestion {
    static func text(for word: String, among known: [String]) -> String {
        let scored = known.map { (name: $0, distance: distance(word.lowercased(), $0.lowercased())) }
        guard let best = scored.min(by: { $0.distance < $1.distance }), best.distance <= max(1, best.name.count / 3) else { return "" }
        return "; did you mean '\(best.name)'?"
    }

    /// Edit distance (insert, delete, replace, swap neighbours); words past 64 characters are far from everything.
    static func distance(_ a: String, _ b: String) -> Int {
        let a = Array(a.unicodeScalars), b = Array(b.unicodeScalars)
        guard a.count <= 64, b.count <= 64 else { return .max }
        var rows = [Array(0...b.count)]
        for i in a.indices {
            var row = [i + 1]
            for j in b.indices {
                var best = min(rows[i][j] + (a[i] == b[j] ? 0 : 1), row[j] + 1, rows[i][j + 1] + 1)
                if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { best = min(best, rows[i - 1][j - 1] + 1) }
                row.append(best)
            }
            rows.append(row)
        }
        return rows[a.count][b.count]
    }
}
