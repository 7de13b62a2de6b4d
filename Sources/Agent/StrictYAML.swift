import NetTypes
import Yams

/// A configuration file that cannot be used: where, which field, what is wrong and what to write instead.
public struct ConfigurationError: Error, Hashable, Sendable, CustomStringConvertible {
    public var source: String
    /// Both from 1; 0 when the file as a whole is meant.
    public var line: Int
    public var column: Int
    /// Path of the field: `fabric.address`, `controllers[1].port`; empty for the document itself.
    public var field: String
    public var message: String

    public init(source: String, line: Int = 0, column: Int = 0, field: String, message: String) {
        self.source = source
        self.line = line
        self.column = column
        self.field = field
        self.message = message
    }

    public var description: String {
        let place = line > 0 ? "\(source):\(line):\(column)" : source
        return field.isEmpty ? "\(place): \(message)" : "\(place): \(field): \(message)"
    }
}

/// A mapping of the file, read key by key; `finish` refuses the keys nobody asked for.
///
/// Every value is read by exactly one call, so a key that is parsed but not used cannot arise.
struct StrictMapping {
    private struct Entry { var name: String; var key: Node; var value: Node; var isRead = false }
    private var entries: [Entry] = []
    let source: String
    let path: String
    private let node: Node

    init(_ node: Node, source: String, path: String) throws(ConfigurationError) {
        self.source = source
        self.path = path
        self.node = node
        guard case .mapping(let mapping) = node else {
            throw Self.error(node, source: source, path: path, "must be a mapping of keys to values")
        }
        for (key, value) in mapping {
            guard let name = key.scalar?.string else { throw Self.error(key, source: source, path: path, "a key must be a plain word") }
            guard !entries.contains(where: { $0.name == name }) else { throw Self.error(key, source: source, path: join(name), "is given twice") }
            entries.append(Entry(name: name, key: key, value: value))
        }
    }

    private func join(_ name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }

    static func error(_ node: Node, source: String, path: String, _ message: String) -> ConfigurationError {
        ConfigurationError(source: source, line: node.mark?.line ?? 0, column: node.mark?.column ?? 0, field: path, message: message)
    }

    /// An error about a key of this mapping, at its value when it is there.
    func error(_ name: String, _ message: String) -> ConfigurationError {
        Self.error(entries.first { $0.name == name }?.value ?? node, source: source, path: join(name), message)
    }

    private mutating func take(_ name: String) -> Node? {
        guard let index = entries.firstIndex(where: { $0.name == name }) else { return nil }
        entries[index].isRead = true
        return entries[index].value
    }

    /// The text of a scalar; nil when the key is absent.
    mutating func string(_ name: String) throws(ConfigurationError) -> String? {
        guard let node = take(name) else { return nil }
        guard let text = node.scalar?.string, !text.isEmpty else { throw error(name, "must be text, and not empty") }
        return text
    }

    mutating func requiredString(_ name: String) throws(ConfigurationError) -> String {
        guard let text = try string(name) else { throw error(name, "is missing") }
        return text
    }

    mutating func integer(_ name: String, in range: ClosedRange<Int>) throws(ConfigurationError) -> Int? {
        guard let text = try string(name) else { return nil }
        guard let value = Int(text), range.contains(value) else {
            throw error(name, "\"\(text)\" must be a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    /// Text that `parse` understands; `form` names the expected form, with an example.
    mutating func value<T>(_ name: String, form: String, _ parse: (String) -> T?) throws(ConfigurationError) -> T? {
        guard let text = try string(name) else { return nil }
        guard let value = parse(text) else { throw error(name, "\"\(text)\" is not \(form)") }
        return value
    }

    mutating func mapping(_ name: String) throws(ConfigurationError) -> StrictMapping? {
        guard let node = take(name) else { return nil }
        return try StrictMapping(node, source: source, path: join(name))
    }

    mutating func mappings(_ name: String) throws(ConfigurationError) -> [StrictMapping] {
        guard let node = take(name) else { return [] }
        guard case .sequence(let sequence) = node else { throw error(name, "must be a list: [{…}, {…}]") }
        var list: [StrictMapping] = []
        for (index, element) in sequence.enumerated() {
            list.append(try StrictMapping(element, source: source, path: "\(join(name))[\(index)]"))
        }
        return list
    }

    /// Call last: a key that was not read is unknown.
    func finish() throws(ConfigurationError) {
        guard let unknown = entries.first(where: { !$0.isRead }) else { return }
        throw Self.error(unknown.key, source: source, path: join(unknown.name), "is not a known key")
    }
}
