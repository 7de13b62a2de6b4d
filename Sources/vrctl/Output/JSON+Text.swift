import StrictYAML

extension JSON {
    /// Indented by two spaces; keys in the order of the value.
    var pretty: String {
        var out = ""
        write(to: &out, indent: "")
        return out
    }

    /// On one line, for output that goes on and on.
    var compact: String {
        switch self {
        case .array(let values): return "[" + values.map(\.compact).joined(separator: ", ") + "]"
        case .object(let members):
            return "{" + members.map { member in member.key.doubleQuoted + ": " + member.value.compact }.joined(separator: ", ") + "}"
        default: return pretty
        }
    }

    func write(to out: inout String, indent: String) {
        switch self {
        case .null: out += "null"
        case .bool(let value): out += value ? "true" : "false"
        case .integer(let value): out += "\(value)"
        case .unsigned(let value): out += "\(value)"
        case .number(let value): out += value.isFinite ? "\(value)" : "null"
        case .string(let value): out += value.doubleQuoted
        case .array(let values):
            guard !values.isEmpty else { out += "[]"; return }
            out += "[\n"
            for (index, value) in values.enumerated() {
                out += indent + "  "
                value.write(to: &out, indent: indent + "  ")
                out += index + 1 < values.count ? ",\n" : "\n"
            }
            out += indent + "]"
        case .object(let members):
            guard !members.isEmpty else { out += "{}"; return }
            out += "{\n"
            for (index, member) in members.enumerated() {
                out += indent + "  "
                out += member.key.doubleQuoted + ": "
                member.value.write(to: &out, indent: indent + "  ")
                out += index + 1 < members.count ? ",\n" : "\n"
            }
            out += indent + "}"
        }
    }
}

/// Writes `{"key": [ … ]}` element by element, so that a large table is never held in memory.
struct JSONArrayStream {
    private let output: any TextOutput
    private var isEmpty = true
    private let key: String
    init(key: String, output: any TextOutput) {
        self.output = output
        self.key = key
    }
    mutating func write(_ values: some Sequence<JSON>) {
        var text = ""
        for value in values {
            text += isEmpty ? "{\n  \"\(key)\": [\n    " : ",\n    "
            value.write(to: &text, indent: "    ")
            isEmpty = false
        }
        output.write(text)
    }
    /// The same of values that write themselves, by the million: each as at an indentation of four.
    mutating func write<Value>(_ values: some Sequence<Value>, _ buffer: inout TextBuffer, _ put: (Value, inout TextBuffer) -> Void) {
        buffer.clear()
        for value in values {
            buffer.put(text: isEmpty ? "{\n  \"\(key)\": [\n    " : ",\n    ")
            put(value, &buffer)
            isEmpty = false
        }
        output.write(buffer.text)
    }
    func end() { output.write(isEmpty ? "{\n  \"\(key)\": []\n}\n" : "\n  ]\n}\n") }
}
