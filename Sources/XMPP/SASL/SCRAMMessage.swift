/// A SCRAM message is a list of `a=value` separated by commas (RFC 5802 section 7).
struct SCRAMMessage {
    private var fields: [(name: Character, value: Substring)]

    init(_ text: some StringProtocol) throws(SCRAMError) {
        fields = []
        for part in String(text).split(separator: ",", omittingEmptySubsequences: false) {
            guard let name = part.first, name.isASCII, name.isLetter, part.dropFirst().first == "=" else {
                throw .malformed("a part of the message is not 'letter=value'")
            }
            fields.append((name, part.dropFirst(2)))
        }
        // RFC 5802 section 5.1: m= announces an extension that must be understood, wherever it stands first.
        if fields.first?.name == "m" { throw .unsupported("mandatory extension m=") }
    }

    /// The value of the field at a position that the grammar fixes.
    func value(_ name: Character, at index: Int) throws(SCRAMError) -> String {
        guard fields.indices.contains(index), fields[index].name == name else { throw .malformed("field \(index + 1) is not '\(name)='") }
        return String(fields[index].value)
    }

    var count: Int { fields.count }
    var firstName: Character? { fields.first?.name }
}

extension SCRAMMessage {
    /// RFC 5802 section 5.1: ',' and '=' in a name are written '=2C' and '=3D'.
    static func escape(_ name: String) -> String {
        name.reduce(into: "") { result, character in
            switch character {
            case ",": result += "=2C"
            case "=": result += "=3D"
            default: result.append(character)
            }
        }
    }

    static func unescape(_ text: String) throws(SCRAMError) -> String {
        var result = "", rest = text[...]
        while let character = rest.popFirst() {
            guard character == "=" else {
                result.append(character)
                continue
            }
            if rest.hasPrefix("2C") { result += "," } else if rest.hasPrefix("3D") { result += "=" } else { throw .malformed("'=' in the name") }
            rest = rest.dropFirst(2)
        }
        return result
    }

    /// RFC 5802 section 7: printable, no comma.
    static func isNonce(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { (0x21...0x7E).contains($0) && $0 != UInt8(ascii: ",") }
    }
}
