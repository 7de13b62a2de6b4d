import StrictYAML

/// Kind and name of the objects in YAML text; all that deleting them needs. What else an object says is not looked at.
enum Documents {
    static func names(_ text: String, source: String) throws -> [(kind: Kind, name: String)] {
        do throws(ConfigError) {
            var out: [(Kind, String)] = []
            for document in try ConfigNode.documents(text: text, source: source) {
                let object = try document.mapping(keys: ["kind", "metadata", "spec"])
                let kind = try object.required("kind")
                guard let known = Kind(name: try kind.string()) else {
                    throw kind.error("'\(try kind.string())' is unknown; there are \(Kind.allCases.map(\.rawValue).joined(separator: ", "))")
                }
                let metadata = try object.required("metadata").mapping(keys: ["name", "uid", "generation"])
                out.append((known, try metadata.required("name").string()))
            }
            return out
        } catch { throw Failure.refused("\(error)") }
    }
}
