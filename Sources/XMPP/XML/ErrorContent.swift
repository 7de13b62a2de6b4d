/// What an `<error/>` holds, of a stanza (RFC 6120 section 8.3.2) and of a stream (section 4.9.2) alike: one defined condition, a text
/// for people, and at the most one condition of an application.
struct ErrorContent<Condition: RawRepresentable> where Condition.RawValue == String {
    /// Nil when no condition is one that we know.
    var condition: Condition?
    var text: String?
    var application: XMLElement?

    init(_ condition: Condition, _ text: String?, _ application: XMLElement?) {
        self.condition = condition
        self.text = text
        self.application = application
    }

    /// `namespace`: of the defined conditions. Everything else is the application's.
    init(_ element: XMLElement, namespace: String) {
        for child in element.elements {
            if child.namespace != namespace {
                application = child
            } else if child.name == "text" {
                text = child.text
            } else if let known = Condition(rawValue: child.name) {
                condition = known
            }
        }
    }

    func elements(namespace: String) -> [XMLElement] {
        [
            condition.map { XMLElement($0.rawValue, namespace: namespace) }, text.map { XMLElement("text", namespace: namespace, text: $0) },
            application,
        ].compactMap { $0 }
    }
}
