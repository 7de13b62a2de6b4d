import StrictYAML

/// The one shape of a configuration object, whatever it is written in: keys in the order they are documented. Canonical YAML,
/// JSON and XML are renderings of this tree.
public indirect enum ConfigValue: Hashable, Sendable {
    case string(String)
    case integer(Int)
    case boolean(Bool)
    case list([ConfigValue])
    case map([Field])

    public struct Field: Hashable, Sendable {
        public var key: String
        public var value: ConfigValue
        public init(_ key: String, _ value: ConfigValue) { self.key = key; self.value = value }
    }

    /// The tree without positions, to be read as an object. Numbers and booleans are plain scalars.
    func node(path: String = "") -> ConfigNode {
        let content: ConfigNode.Content =
            switch self {
            case .string(let text): .scalar(text, isPlain: false)
            case .integer(let value): .scalar(String(value), isPlain: true)
            case .boolean(let value): .scalar(String(value), isPlain: true)
            case .list(let items): .sequence(items.enumerated().map { $1.node(path: "\(path)[\($0)]") })
            case .map(let fields):
                .mapping(fields.map { ConfigNode.Entry(key: $0.key, value: $0.value.node(path: ConfigNode.path(path, $0.key))) })
            }
        return ConfigNode(content: content, path: path)
    }

    /// Every leaf with its path, in order: what `diff` compares.
    public func leaves(path: String = "") -> [(path: String, value: String)] {
        switch self {
        case .string(let text): [(path, text)]
        case .integer(let value): [(path, String(value))]
        case .boolean(let value): [(path, String(value))]
        case .list(let items): items.enumerated().flatMap { $1.leaves(path: "\(path)[\($0)]") }
        case .map(let fields): fields.flatMap { $0.value.leaves(path: ConfigNode.path(path, $0.key)) }
        }
    }
}

// MARK: - JSON

extension ConfigValue {
    /// JSON (RFC 8259) on one line.
    public var json: String {
        switch self {
        case .string(let text): text.doubleQuoted
        case .integer(let value): String(value)
        case .boolean(let value): String(value)
        case .list(let items): "[" + items.map(\.json).joined(separator: ",") + "]"
        case .map(let fields): "{" + fields.map { $0.key.doubleQuoted + ":" + $0.value.json }.joined(separator: ",") + "}"
        }
    }
}

// MARK: - YAML

extension ConfigValue {
    /// Block-style YAML, two spaces a level, ending with a newline.
    public var yaml: String {
        var out = ""
        writeYAML(into: &out, indent: 0)
        return out
    }

    private func writeYAML(into out: inout String, indent: Int) {
        let margin = String(repeating: " ", count: indent)
        switch self {
        case .map(let fields):
            for field in fields {
                out += margin + Self.yamlScalar(field.key) + ":"
                field.value.writeYAMLValue(into: &out, indent: indent)
            }
        case .list(let items):
            for item in items {
                var lines = ""
                switch item {
                case .map(let fields) where fields.isEmpty: lines = margin + "  {}\n"
                case .list(let items) where items.isEmpty: lines = margin + "  []\n"
                default: item.writeYAML(into: &lines, indent: indent + 2)
                }
                out += margin + "- " + lines.dropFirst(min(indent + 2, lines.count))
            }
        default: out += margin + yamlLeaf + "\n"
        }
    }

    private func writeYAMLValue(into out: inout String, indent: Int) {
        switch self {
        case .map(let fields) where !fields.isEmpty:
            out += "\n"
            writeYAML(into: &out, indent: indent + 2)
        case .list(let items) where !items.isEmpty:
            out += "\n"
            writeYAML(into: &out, indent: indent + 2)
        default: out += " " + yamlLeaf + "\n"
        }
    }

    private var yamlLeaf: String {
        switch self {
        case .string(let text): Self.yamlScalar(text)
        case .integer(let value): String(value)
        case .boolean(let value): String(value)
        case .list: "[]"
        case .map: "{}"
        }
    }

    /// Plain where nobody could read it as anything but a string, else quoted.
    static func yamlScalar(_ text: String) -> String {
        let isPlain =
            text.first.map { $0.isASCII && $0.isLetter } == true
            && text.unicodeScalars.allSatisfy {
                $0.isASCII && ($0.properties.isAlphabetic || ("0"..."9").contains($0) || "-_./".unicodeScalars.contains($0))
            }
            && !["true", "false", "yes", "no", "on", "off", "null", "y", "n"].contains(text.lowercased())
        let isAddress =
            !text.contains(":") && text.split(separator: ".").count == 4
            && text.unicodeScalars.allSatisfy { ("0"..."9").contains($0) || $0 == "." || $0 == "/" }
        return isPlain || isAddress ? text : text.doubleQuoted
    }
}

// MARK: - Codable

extension ConfigValue: Codable {
    private struct Key: CodingKey {
        var stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    public init(from decoder: any Decoder) throws {
        if let container = try? decoder.container(keyedBy: Key.self) {
            self = .map(
                try container.allKeys.sorted { $0.stringValue < $1.stringValue }.compactMap { key in
                    try container.decodeNil(forKey: key) ? nil : Field(key.stringValue, try container.decode(ConfigValue.self, forKey: key))
                })
        } else if var container = try? decoder.unkeyedContainer() {
            var items: [ConfigValue] = []
            while !container.isAtEnd { items.append(try container.decode(ConfigValue.self)) }
            self = .list(items)
        } else {
            let container = try decoder.singleValueContainer()
            if let value = try? container.decode(Bool.self) {
                self = .boolean(value)
            } else if let value = try? container.decode(Int.self) {
                self = .integer(value)
            } else {
                self = .string(try container.decode(String.self))
            }
        }
    }

    public func encode(to encoder: any Encoder) throws {
        switch self {
        case .string(let text):
            var container = encoder.singleValueContainer()
            try container.encode(text)
        case .integer(let value):
            var container = encoder.singleValueContainer()
            try container.encode(value)
        case .boolean(let value):
            var container = encoder.singleValueContainer()
            try container.encode(value)
        case .list(let items):
            var container = encoder.unkeyedContainer()
            for item in items { try container.encode(item) }
        case .map(let fields):
            var container = encoder.container(keyedBy: Key.self)
            for field in fields { try container.encode(field.value, forKey: Key(stringValue: field.key)) }
        }
    }
}
