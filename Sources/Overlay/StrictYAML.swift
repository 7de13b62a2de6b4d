import Yams

/// YAML text as positioned trees. Any program of the suite reads its own configuration file with this.
///
/// Anchors with aliases are refused: no configuration here needs them, and they let a short text unfold into a huge one. A key
/// given twice is refused. Nesting is bounded by libyaml (1000 levels).
public enum StrictYAML {
    /// Every document of a text that is not empty; `document` of each node is its place in the text, counted from 1.
    public static func documents(text: String, source: String) throws(ConfigError) -> [ConfigNode] {
        if let name = aliasName(in: text) {
            throw ConfigError("'*\(name)': anchors and aliases are not accepted; write the value out", source: source)
        }
        var documents: [ConfigNode] = []
        var count = 0
        do {
            var nodes = try Yams.compose_all(yaml: text)
            while let node = nodes.next() {
                count += 1
                let root = convert(node, path: "", source: source, document: count)
                if !root.isNull { documents.append(root) }
            }
            if let error = nodes.error { throw error }
        } catch let error as YamlError {
            throw configError(error, source: source, document: count + 1)
        } catch {
            throw ConfigError("\(error)", source: source, document: count + 1)
        }
        return documents
    }

    /// A text that holds exactly one document, as a program's own configuration file does.
    public static func document(text: String, source: String) throws(ConfigError) -> ConfigNode {
        let all = try documents(text: text, source: source)
        guard let first = all.first else { throw ConfigError("the file is empty", source: source, line: 1, column: 1) }
        if all.count > 1 { throw all[1].error("one document is expected; remove this one and the '---' before it") }
        var node = first
        forgetDocument(&node)
        return node
    }

    /// With one document only, its number says nothing.
    private static func forgetDocument(_ node: inout ConfigNode) {
        node.document = nil
        switch node.content {
        case .null, .scalar: break
        case .sequence(var items):
            for index in items.indices { forgetDocument(&items[index]) }
            node.content = .sequence(items)
        case .mapping(var entries):
            for index in entries.indices { forgetDocument(&entries[index].value) }
            node.content = .mapping(entries)
        }
    }

    private static func convert(_ node: Node, path: String, source: String, document: Int) -> ConfigNode {
        let content: ConfigNode.Content
        switch node {
        case .scalar(let scalar):
            let isPlain = scalar.style == .plain || scalar.style == .any
            let isNull = isPlain && ["", "~", "null", "Null", "NULL"].contains(scalar.string)
            content = isNull ? .null : .scalar(scalar.string, isPlain: isPlain)
        case .sequence(let sequence):
            content = .sequence(sequence.enumerated().map { convert($1, path: "\(path)[\($0)]", source: source, document: document) })
        case .mapping(let mapping):
            content = .mapping(
                mapping.map { key, value in
                    let name = key.scalar?.string ?? "?"
                    return ConfigNode.Entry(
                        key: name, line: key.mark?.line, column: key.mark?.column,
                        value: convert(value, path: path.isEmpty ? name : "\(path).\(name)", source: source, document: document))
                })
        case .alias: content = .null  // never met: aliases were refused before
        }
        return ConfigNode(content: content, source: source, document: document, line: node.mark?.line, column: node.mark?.column, path: path)
    }

    private static func configError(_ error: YamlError, source: String, document: Int) -> ConfigError {
        func at(_ mark: Mark?, _ problem: String, _ context: YamlError.Context? = nil) -> ConfigError {
            ConfigError(
                context.map { "not YAML: \(problem) \($0.text.hasPrefix("while") ? "(\($0.text))" : "")" }.map(trimmed) ?? "not YAML: \(problem)",
                source: source, line: mark?.line, column: mark?.column, document: document)
        }
        switch error {
        case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _),
            .composer(let context, let problem, let mark, _):
            return at(mark, problem, context)
        case .reader(let problem, let offset, _, _): return at(nil, problem + (offset.map { " at byte \($0)" } ?? ""))
        case .duplicatedKeysInMapping(let duplicates, let context):
            var found = at(context.mark, "")
            found.message = "the key '\(duplicates.first ?? "")' is given twice"
            return found
        default: return at(nil, "\(error)")
        }
    }

    private static func trimmed(_ text: String) -> String {
        var text = text[...]
        while text.last == " " { text.removeLast() }
        return String(text)
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
