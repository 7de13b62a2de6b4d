public import NetTypes

/// A configuration text as a tree that remembers where each part stood, so that every complaint can name its line.
///
/// Who reads with it: the three daemons their own files, and the controller and `vrctl` the objects of the overlay, which come as YAML,
/// JSON (a subset of YAML 1.2) and XML. The tree is what the three have in common; typed values are read from it and know no syntax.
///
/// Reading is strict, so that nothing written is ever silently without effect: a scalar that does not fit its field, a key nobody asked
/// for, a key given twice and a missing key are errors of type `ConfigError`, which prints as `file:line:column: field: reason`.
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

    /// A key and its value. The position is the key's.
    public struct Entry: Sendable {
        public var key: String
        public var line: Int?
        public var column: Int?
        public var value: ConfigNode

        public init(key: String, line: Int? = nil, column: Int? = nil, value: ConfigNode) {
            self.key = key
            self.line = line
            self.column = column
            self.value = value
        }
    }

    public var content: Content
    public var source: String?
    /// Which document of the text, from 1; nil where there can be one only.
    public var document: Int?
    public var line: Int?
    public var column: Int?
    /// The path from the document's root; empty at the root.
    public var path: String
    /// False where a key that is not known, or has no value, is skipped instead of refused: XML from a newer peer.
    public var isStrict: Bool

    public init(
        content: Content, source: String? = nil, document: Int? = nil, line: Int? = nil, column: Int? = nil, path: String, isStrict: Bool = true
    ) {
        self.content = content
        self.source = source
        self.document = document
        self.line = line
        self.column = column
        self.path = path
        self.isStrict = isStrict
    }

    /// The path of a key of the mapping at `path`.
    public static func path(_ path: String, _ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

    /// An error about this node.
    public func error(_ message: String) -> ConfigError {
        ConfigError(message, source: source, line: line, column: column, document: document, field: path.isEmpty ? nil : path)
    }

    /// An error about a value that is not what it should be.
    func mismatch(_ expected: String) -> ConfigError {
        let found =
            switch content {
            case .null: "nothing"
            case .scalar(let text, _): "'\(text.prefix(64))'"
            case .sequence: "a list"
            case .mapping: "a mapping"
            }
        return error("expected \(expected), found \(found)")
    }

    public var isNull: Bool { if case .null = content { true } else { false } }
    public var isMapping: Bool { if case .mapping = content { true } else { false } }
    public var isList: Bool { if case .sequence = content { true } else { false } }
    /// True when the value is this word, quoted or not.
    public func isWord(_ word: String) -> Bool { if case .scalar(word, _) = content { true } else { false } }
}

// MARK: - Scalars

extension ConfigNode {
    /// A scalar, quoted or not, that `parse` understands; `expected` names the form, with an article.
    public func value<T>(_ expected: String, _ parse: (String) -> T?) throws(ConfigError) -> T {
        guard case .scalar(let text, _) = content, let value = parse(text) else { throw mismatch(expected) }
        return value
    }

    /// The text of a scalar, quoted or not; never empty.
    public func string() throws(ConfigError) -> String { try value("a string") { $0.isEmpty ? nil : $0 } }

    /// Decimal, or hexadecimal with 0x; not quoted.
    public func integer<Number: FixedWidthInteger>(in range: ClosedRange<Number>) throws(ConfigError) -> Number {
        guard case .scalar(let text, isPlain: true) = content, let value = Self.integer(text, Number.self), range.contains(value) else {
            throw mismatch("a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    private static func integer<Number: FixedWidthInteger>(_ text: String, _: Number.Type) -> Number? {
        let isHexadecimal = text.hasPrefix("0x")
        let digits = isHexadecimal ? text.dropFirst(2) : text[...]
        guard digits.first != "+", !(isHexadecimal && digits.first == "-") else { return nil }
        return Number(digits, radix: isHexadecimal ? 16 : 10)
    }

    /// `true` or `false`, not quoted.
    public func boolean() throws(ConfigError) -> Bool {
        guard case .scalar(let text, isPlain: true) = content, let value = Bool(text) else { throw mismatch("true or false") }
        return value
    }

    /// What one of a few words stands for.
    public func choice<T>(_ choices: KeyValuePairs<String, T>) throws(ConfigError) -> T {
        let names = choices.map(\.key)
        guard case .scalar(let text, _) = content else { throw mismatch("one of \(names.joined(separator: ", "))") }
        if let found = choices.first(where: { $0.key == text }) { return found.value }
        throw error("'\(text.prefix(64))' is not one of \(names.joined(separator: ", "))" + SpellingHint.text(for: text, among: names))
    }

    /// One of the raw values of an enumeration.
    public func choice<T: RawRepresentable & CaseIterable>(_ type: T.Type = T.self) throws(ConfigError) -> T where T.RawValue == String {
        let names = T.allCases.map(\.rawValue)
        guard case .scalar(let text, _) = content else { throw mismatch("one of \(names.joined(separator: ", "))") }
        if let value = T(rawValue: text) { return value }
        throw error("'\(text.prefix(64))' is not one of \(names.joined(separator: ", "))" + SpellingHint.text(for: text, among: names))
    }

    /// A list of ports and of ranges such as `8000-8999`.
    public func portRanges() throws(ConfigError) -> [ClosedRange<UInt16>] {
        var out: [ClosedRange<UInt16>] = []
        for item in try list() { out.append(try item.portRange()) }
        return out
    }

    /// A port, or a range such as `8000-8999`.
    public func portRange() throws(ConfigError) -> ClosedRange<UInt16> {
        let parts = try string().split(separator: "-", omittingEmptySubsequences: false).map { UInt16($0) }
        guard (1...2).contains(parts.count), let first = parts[0], let last = parts[parts.count - 1], first <= last else {
            throw error("is neither a port nor a range such as 8000-8999")
        }
        return first...last
    }

    public func address() throws(ConfigError) -> IPAddress { try value("an IPv4 or IPv6 address") { IPAddress($0) } }

    public func macAddress() throws(ConfigError) -> MACAddress { try value("a MAC address such as 02:00:00:00:01:0a") { MACAddress($0) } }

    /// `acceptsHost`: an address without a length is the prefix of that one address.
    public func prefix(acceptsHost: Bool = false) throws(ConfigError) -> IPPrefix {
        let expected = "a prefix such as 10.1.0.0/24 or fd00:1::/64"
        guard case .scalar(let text, _) = content else { throw mismatch(expected) }
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2 || acceptsHost else { throw mismatch(expected) }
        if let value = IPPrefix(text) { return value }
        if parts.count == 2, let address = IPAddress(String(parts[0])), let length = Int(parts[1]),
            let network = IPPrefix(masking: address, length: length)
        {
            throw error("'\(text)' has host bits set; the prefix is \(network)")
        }
        throw mismatch(expected)
    }
}
