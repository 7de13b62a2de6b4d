import NetTypes
import Yams

/// A value of the configuration file that knows its place and path, so that every error can name them.
/// Reading is strict: a value of another type is an error, not converted.
struct ConfigValue {
    private let node: Node
    let path: String
    private let source: String

    private init(_ node: Node, path: String, source: String) {
        self.node = node
        self.path = path
        self.source = source
    }

    /// The one document of `text`; an empty file is an empty mapping.
    static func parse(_ text: String, source: String) throws(ConfigError) -> ConfigValue {
        func error(_ mark: Mark?, _ reason: String) -> ConfigError {
            ConfigError(source: source, line: mark?.line ?? 0, column: mark?.column ?? 0, field: "", reason: reason)
        }
        do {
            return ConfigValue(try Yams.compose(yaml: text) ?? Node([(Node, Node)]()), path: "", source: source)
        } catch {
            switch error as? YamlError {
            case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _), .composer(_, let problem, let mark, _):
                throw ConfigError(source: source, line: mark.line, column: mark.column, field: "", reason: "not YAML: \(problem)")
            case .duplicatedKeysInMapping(let keys, let context):
                throw ConfigError(
                    source: source, line: context.mark.line, column: context.mark.column, field: "",
                    reason: "the key \(keys.first ?? "") is given twice in this mapping")
            case .reader(let problem, let offset, _, _):
                throw ConfigError(
                    source: source, line: 0, column: 0, field: "", reason: "not YAML: \(problem)\(offset.map { " at octet \($0)" } ?? "")")
            default: throw ConfigError(source: source, line: 0, column: 0, field: "", reason: "not YAML: \(error)")
            }
        }
    }

    var line: Int { node.mark?.line ?? 0 }
    var column: Int { node.mark?.column ?? 0 }

    func error(_ reason: String) -> ConfigError { ConfigError(source: source, line: line, column: column, field: path, reason: reason) }

    /// An error about a value that is there, showing it.
    private func mismatch(_ expected: String) -> ConfigError {
        switch node {
        case .scalar(let scalar): error(isNull ? "is empty; expected \(expected)" : "'\(scalar.string)': expected \(expected)")
        case .sequence: error("is a list; expected \(expected)")
        case .mapping: error("is a mapping; expected \(expected)")
        case .alias: error("is an alias; expected \(expected)")
        }
    }

    var isNull: Bool {
        guard case .scalar(let scalar) = node else { return false }
        return scalar.style == .plain && ["", "~", "null", "Null", "NULL"].contains(scalar.string)
    }

    // MARK: Collections

    /// The fields of a mapping, all of them among `keys`. A key without a value (`loopback:`) is an empty mapping.
    func mapping(_ keys: [String]) throws(ConfigError) -> ConfigMapping {
        if isNull { return ConfigMapping(owner: self, fields: [:]) }
        guard case .mapping(let mapping) = node else {
            throw mismatch(keys.isEmpty ? "nothing, or {}" : "a mapping with \(keys.joined(separator: ", "))")
        }
        var fields: [String: ConfigValue] = [:]
        for (key, value) in mapping {
            guard let name = key.scalar?.string else { throw ConfigValue(key, path: path, source: source).error("a key must be a word") }
            let field = path.isEmpty ? name : "\(path).\(name)"
            guard keys.contains(name) else {
                let known = keys.isEmpty ? "this mapping has no keys" : "known: \(keys.joined(separator: ", "))"
                let near = SpellingHint.nearest(name, keys).map { "did you mean '\($0)'?" } ?? known
                throw ConfigValue(key, path: field, source: source).error("unknown key; \(near)")
            }
            fields[name] = ConfigValue(value, path: field, source: source)
        }
        return ConfigMapping(owner: self, fields: fields)
    }

    /// The items of a list. A key without a value is an empty list.
    func list() throws(ConfigError) -> [ConfigValue] {
        if isNull { return [] }
        guard case .sequence(let sequence) = node else { throw mismatch("a list") }
        return sequence.enumerated().map { ConfigValue($1, path: "\(path)[\($0)]", source: source) }
    }

    var isList: Bool { if case .sequence = node { true } else { false } }

    // MARK: Scalars

    func text() throws(ConfigError) -> String {
        guard case .scalar(let scalar) = node, !isNull, !scalar.string.isEmpty else { throw mismatch("text") }
        return scalar.string
    }

    /// True when the value is this plain word.
    func isWord(_ word: String) -> Bool { node.scalar?.string == word }

    /// Decimal, or hexadecimal with 0x.
    func integer<Number: FixedWidthInteger>(_ range: ClosedRange<Number>) throws(ConfigError) -> Number {
        guard case .scalar(let scalar) = node, scalar.style == .plain else { throw mismatch("a number") }
        let text = scalar.string
        let value =
            text.hasPrefix("0x") && !text.dropFirst(2).hasPrefix("-") && !text.dropFirst(2).hasPrefix("+")
            ? Number(text.dropFirst(2), radix: 16) : text.hasPrefix("+") ? nil : Number(text)
        guard let value else { throw mismatch("a number from \(range.lowerBound) to \(range.upperBound)") }
        guard range.contains(value) else { throw error("\(value) is not within \(range.lowerBound) to \(range.upperBound)") }
        return value
    }

    func boolean() throws(ConfigError) -> Bool {
        if case .scalar(let scalar) = node, scalar.style == .plain {
            if scalar.string == "true" { return true }
            if scalar.string == "false" { return false }
        }
        throw mismatch("true or false")
    }

    func address() throws(ConfigError) -> IPAddress {
        guard let address = IPAddress(try text()) else { throw mismatch("an IPv4 or IPv6 address") }
        return address
    }

    func addresses() throws(ConfigError) -> [IPAddress] {
        var out: [IPAddress] = []
        for item in try list() { out.append(try item.address()) }
        return out
    }

    func mac() throws(ConfigError) -> MACAddress {
        guard let mac = MACAddress(try text()) else { throw mismatch("a MAC address such as 02:00:00:00:00:01") }
        return mac
    }

    func prefix() throws(ConfigError) -> IPPrefix {
        let text = try text()
        if let prefix = IPPrefix(text) { return prefix }
        // Most often host bits are set; then say which prefix that is.
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        if parts.count == 2, let address = IPAddress(String(parts[0])), let length = Int(parts[1]),
            let prefix = IPPrefix(masking: address, length: length)
        {
            throw error("'\(text)' has bits set after the first \(length); the prefix is \(prefix)")
        }
        throw mismatch("a prefix such as 10.1.0.0/24 or fd00:1::/64")
    }

    /// One of the words of `choices`.
    func choice<Choice>(_ choices: KeyValuePairs<String, Choice>) throws(ConfigError) -> Choice {
        let word = node.scalar?.string ?? ""
        if let found = choices.first(where: { $0.key == word }) { return found.value }
        throw mismatch(choices.map(\.key).joined(separator: ", "))
    }
}

/// A mapping whose keys are all known.
struct ConfigMapping {
    let owner: ConfigValue
    private let fields: [String: ConfigValue]
    fileprivate init(owner: ConfigValue, fields: [String: ConfigValue]) { self.owner = owner; self.fields = fields }

    subscript(_ key: String) -> ConfigValue? { fields[key] }
    func required(_ key: String) throws(ConfigError) -> ConfigValue {
        guard let value = fields[key] else { throw owner.error("'\(key)' is missing") }
        return value
    }
    /// The one key of `keys` that is given.
    func one(of keys: [String]) throws(ConfigError) -> (key: String, value: ConfigValue) {
        let given = keys.compactMap { key in fields[key].map { (key, $0) } }
        guard let first = given.first else { throw owner.error("give one of \(keys.joined(separator: ", "))") }
        guard given.count == 1 else { throw given[1].1.error("only one of \(given.map(\.0).joined(separator: ", ")) can be given") }
        return first
    }
}
