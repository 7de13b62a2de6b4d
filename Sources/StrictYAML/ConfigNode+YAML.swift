import Yams

// YAML text as positioned trees.
//
// Anchors with aliases are refused: no configuration here needs them, and they let a short text unfold into a huge one. A key given twice is
// refused. Nesting is bounded by libyaml (1000 levels).

extension ConfigNode {
    /// Every document of a text that is not empty; `document` of each node is its place in the text, counted from 1. `source` is the
    /// name of the file in errors.
    public static func documents(text: String, source: String) throws(ConfigError) -> [ConfigNode] {
        var documents: [ConfigNode] = []
        for (index, node) in try compose(text, source: source, counts: true).enumerated() {
            let root = ConfigNode(node, path: "", source: source, document: index + 1)
            if !root.isNull { documents.append(root) }
        }
        return documents
    }

    /// A text that holds exactly one document, as a program's own configuration file does; nil when it is empty.
    public static func documentIfAny(text: String, source: String) throws(ConfigError) -> ConfigNode? {
        let documents = try compose(text, source: source, counts: false)
            .map { ConfigNode($0, path: "", source: source, document: nil) }.filter { !$0.isNull }
        if documents.count > 1 { throw documents[1].error("one document is expected; remove this one and the '---' before it") }
        return documents.first
    }

    /// A text that holds exactly one document.
    public static func document(text: String, source: String) throws(ConfigError) -> ConfigNode {
        guard let document = try documentIfAny(text: text, source: source) else {
            throw ConfigError("the file is empty", source: source, line: 1, column: 1)
        }
        return document
    }

    /// `counts`: errors name the document.
    private static func compose(_ text: String, source: String, counts: Bool) throws(ConfigError) -> [Node] {
        if let name = aliasName(in: text) {
            throw ConfigError("'*\(name)': anchors and aliases are not accepted; write the value out", source: source)
        }
        var found: [Node] = []
        do {
            var nodes = try Yams.compose_all(yaml: text)
            // `for` would iterate over a copy; the sequence ends at an error as it ends at the end.
            while let node = nodes.next() { found.append(node) }
            if let error = nodes.error { throw error }
        } catch let error as YamlError {
            throw ConfigError(error, source: source, document: counts ? found.count + 1 : nil)
        } catch {
            throw ConfigError("not YAML: \(error)", source: source)
        }
        return found
    }

    private init(_ node: Node, path: String, source: String, document: Int?) {
        let content: Content
        switch node {
        case .scalar(let scalar):
            let isPlain = scalar.style == .plain || scalar.style == .any
            let isNull = isPlain && ["", "~", "null", "Null", "NULL"].contains(scalar.string)
            content = isNull ? .null : .scalar(scalar.string, isPlain: isPlain)
        case .sequence(let sequence):
            content = .sequence(
                sequence.enumerated().map { ConfigNode($1, path: "\(path)[\($0)]", source: source, document: document) })
        case .mapping(let mapping):
            content = .mapping(
                mapping.map { key, value in
                    // A key that is itself a list or a mapping is no name: nobody knows this one.
                    let name = key.scalar?.string ?? "?"
                    return Entry(
                        key: name, line: key.mark?.line, column: key.mark?.column,
                        value: ConfigNode(value, path: Self.path(path, name), source: source, document: document))
                })
        case .alias: content = .null  // never met: aliases were refused before
        }
        self.init(content: content, source: source, document: document, line: node.mark?.line, column: node.mark?.column, path: path)
    }

    /// The name of an alias whose anchor the text also declares. Names inside quotes or comments count too: a pair of both is
    /// no accident, and refusing before parsing is what keeps an unfolding text from ever being unfolded.
    private static func aliasName(in text: String) -> String? {
        guard text.utf8.contains(UInt8(ascii: "&")), text.utf8.contains(UInt8(ascii: "*")) else { return nil }
        var anchors: Set<Substring> = [], aliases: Set<Substring> = []
        var previous: Unicode.Scalar = " "
        let scalars = text.unicodeScalars
        var index = scalars.startIndex
        func ends(_ scalar: Unicode.Scalar) -> Bool { scalar.properties.isWhitespace || ",[]{}:\"'".unicodeScalars.contains(scalar) }
        while index < scalars.endIndex {
            let scalar = scalars[index]
            let start = scalars.index(after: index)
            if scalar == "&" || scalar == "*", ends(previous) || previous == "-" {
                let end = scalars[start...].firstIndex(where: ends) ?? scalars.endIndex
                if end > start {
                    let name = Substring(scalars[start..<end])
                    if scalar == "&" { anchors.insert(name) } else { aliases.insert(name) }
                }
            }
            previous = scalar
            index = start
        }
        return anchors.intersection(aliases).min().map(String.init)
    }
}

extension ConfigError {
    /// What libyaml says of a text, in our form.
    fileprivate init(_ error: YamlError, source: String, document: Int?) {
        self.init("", source: source, document: document)
        switch error {
        case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _),
            .composer(let context, let problem, let mark, _):
            let meanwhile = context.map(\.text).flatMap { $0.hasPrefix("while") ? " (\($0.split(separator: " ").joined(separator: " ")))" : nil }
            message = "not YAML: \(problem)\(meanwhile ?? "")"
            (line, column) = (mark.line, mark.column)
        case .reader(let problem, let offset, _, _): message = "not YAML: \(problem)\(offset.map { " at octet \($0)" } ?? "")"
        case .duplicatedKeysInMapping(let duplicates, let context):
            message = "the key '\(duplicates.first ?? "")' is given twice"
            (line, column) = (context.mark.line, context.mark.column)
        default: message = "not YAML: \(error)"
        }
    }
}
