/// What is wrong with a configuration text, and where. Reads as a compiler error does: `net.yaml:4:9: document 2: spec.mac: …`.
public struct ConfigError: Error, Hashable, Sendable, Codable, CustomStringConvertible {
    public var message: String
    /// The name of the file or of whatever else the text came from.
    public var source: String?
    /// Counted from 1.
    public var line: Int?
    /// Counted from 1, in Unicode scalars.
    public var column: Int?
    /// Which YAML document of the text, counted from 1.
    public var document: Int?
    /// The path of the field: `spec.subnets[0].prefix`.
    public var field: String?

    public init(_ message: String, source: String? = nil, line: Int? = nil, column: Int? = nil, document: Int? = nil, field: String? = nil) {
        self.message = message
        self.source = source
        self.line = line
        self.column = column
        self.document = document
        self.field = field
    }

    public var description: String {
        var text = source ?? "input"
        if let line { text += ":\(line)" }
        if line != nil, let column { text += ":\(column)" }
        text += ": "
        if let document { text += "document \(document): " }
        if let field, !field.isEmpty { text += "\(field): " }
        return text + message
    }
}
