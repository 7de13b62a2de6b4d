import Yams

/// Kind and name of the objects in YAML text; all that deleting them needs.
enum Documents {
    static func names(_ text: String, source: String) throws -> [(kind: Kind, name: String)] {
        var out: [(Kind, String)] = []
        do {
            var documents = try Yams.compose_all(yaml: text)
            var nodes: [Node] = []
            // `for` would iterate over a copy; the sequence ends at an error as it ends at the end.
            while let node = documents.next() { nodes.append(node) }
            if let error = documents.error { throw error }
            for (index, node) in nodes.enumerated() {
                if node.scalar?.string.isEmpty == true || node.null != nil { continue }
                let place = "\(source):\(node.mark?.line ?? 1): document \(index + 1)"
                guard let kind = node["kind"]?.string else { throw Failure.refused("\(place): kind: missing; name the kind of the object") }
                guard let known = Kind(name: kind) else {
                    throw Failure.refused("\(place): kind: '\(kind)' is unknown; there are \(Kind.allCases.map(\.rawValue).joined(separator: ", "))")
                }
                guard let name = node["metadata"]?["name"]?.string, !name.isEmpty else { throw Failure.refused("\(place): metadata.name: missing") }
                out.append((known, name))
            }
        } catch let error as YamlError { throw Failure.refused("\(source): \(error)") }
        return out
    }
}
