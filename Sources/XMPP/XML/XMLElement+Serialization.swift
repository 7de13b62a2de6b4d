/// Namespaces that are declared around an element, so that the element need not declare them again.
public struct XMLScope: Hashable, Sendable {
    public var defaultNamespace: String
    /// Prefix by namespace.
    public var prefixes: [String: String]

    public init(defaultNamespace: String = "", prefixes: [String: String] = [:]) {
        self.defaultNamespace = defaultNamespace
        self.prefixes = prefixes
    }

    /// Nothing is declared: the element stands alone.
    public static let document = XMLScope()
    /// Inside `<stream:stream xmlns='jabber:client' xmlns:stream='…'>`.
    public static let stream = XMLScope(defaultNamespace: Namespace.client, prefixes: [Namespace.streams: "stream"])
}

extension XMLElement: CustomStringConvertible {
    /// The element as a document of its own.
    public var description: String { serialized() }

    /// The element as XML text. Attributes are written in the order of their names, so equal elements give equal text (as far as their
    /// text is split the same way). Characters that XML 1.0 cannot carry become U+FFFD.
    public func serialized(in scope: XMLScope = .document) -> String {
        var output = ""
        write(to: &output, in: scope)
        return output
    }

    public func write(to output: inout String, in scope: XMLScope) {
        let prefix = scope.prefixes[namespace]
        let qualified = prefix.map { "\($0):\(name)" } ?? name
        var inner = scope
        output += "<"
        output += qualified
        if prefix == nil, namespace != scope.defaultNamespace {
            output += " xmlns=\""
            output.appendEscaped(namespace, inAttribute: true)
            output += "\""
            inner.defaultNamespace = namespace
        }
        writeAttributes(to: &output)
        guard !children.isEmpty else {
            output += "/>"
            return
        }
        output += ">"
        for child in children {
            switch child {
            case .element(let element): element.write(to: &output, in: inner)
            case .text(let text): output.appendEscaped(text, inAttribute: false)
            }
        }
        output += "</\(qualified)>"
    }

    private func writeAttributes(to output: inout String) {
        guard !attributes.isEmpty else { return }
        var declared = 0
        for (key, value) in attributes.sorted(by: { $0.key < $1.key }) {
            var key = key
            if key.hasPrefix("{"), let end = key.lastIndex(of: "}") {
                let namespace = key[key.index(after: key.startIndex)..<end]
                let local = key[key.index(after: end)...]
                if namespace == Namespace.xml {
                    key = "xml:\(local)"
                } else {
                    key = "ns\(declared):\(local)"
                    output += " xmlns:ns\(declared)=\""
                    output.appendEscaped(String(namespace), inAttribute: true)
                    output += "\""
                    declared += 1
                }
            }
            output += " \(key)=\""
            output.appendEscaped(value, inAttribute: true)
            output += "\""
        }
    }
}

extension String {
    /// Appends text as character data or as an attribute value in double quotes (XML 1.0 sections 2.2, 2.4, 3.3.3: white space in an
    /// attribute, and a carriage return anywhere, would otherwise be changed by the reader).
    mutating func appendEscaped(_ text: String, inAttribute: Bool) {
        if text.utf8.allSatisfy(isPlainXML) {
            self += text
            return
        }
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": self += "&amp;"
            case "<": self += "&lt;"
            case ">": self += "&gt;"
            case "\"": self += "&quot;"
            case "'": self += "&apos;"
            case "\r": self += "&#13;"
            case "\t", "\n": if inAttribute { self += scalar == "\t" ? "&#9;" : "&#10;" } else { unicodeScalars.append(scalar) }
            case "\u{0}"..."\u{1F}", "\u{FFFE}", "\u{FFFF}": self += "\u{FFFD}"
            default: unicodeScalars.append(scalar)
            }
        }
    }
}

/// Printable ASCII without the five characters that have an entity: most text, and it can be appended as it is.
private func isPlainXML(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x22, 0x26, 0x27, 0x3C, 0x3E: false
    case 0x20...0x7E: true
    default: false
    }
}
