/// An XML element as XMPP uses them: a qualified name, attributes, and children that are elements or text.
///
/// A value; comparing two elements compares what they mean, so neither attribute order nor the prefixes that were used on the wire take
/// part. Attributes without a prefix are keyed by their name, the others by `{namespace}name`.
///
///     XMLElement("ping", namespace: "urn:xmpp:ping")
///     XMLElement("pubsub", namespace: PubSub.namespace) {
///         XMLElement("subscribe", ["node": "blue"])        // takes the namespace of <pubsub>
///     }
///
/// Names and namespaces come from program text or from a parsed element and are written as they are; text and attribute values may be
/// anything and are escaped.
public struct XMLElement: Hashable, Sendable {
    public enum Node: Hashable, Sendable {
        case element(XMLElement)
        case text(String)
    }

    public var name: String
    /// Empty for an element in no namespace.
    public var namespace: String
    public var attributes: [String: String]
    public var children: [Node]

    /// - Parameter namespace: nil leaves it to the parent: the element takes the parent's namespace when the builder or `append` adds it.
    public init(
        _ name: String, namespace: String? = nil, _ attributes: [String: String] = [:], @XMLBuilder content: () -> [Node] = { [] }
    ) {
        self.name = name
        self.namespace = namespace ?? ""
        self.attributes = attributes
        children = []
        for node in content() { append(node) }
    }

    /// An element that holds only text: `XMLElement("label", text: "16")`.
    public init(_ name: String, namespace: String? = nil, _ attributes: [String: String] = [:], text: String) {
        self.init(name, namespace: namespace, attributes)
        if !text.isEmpty { children = [.text(text)] }
    }

    /// Adds a child; an element without a namespace takes this element's, and so do its own children without one.
    public mutating func append(_ child: XMLElement) { children.append(.element(child.inheriting(namespace))) }

    public mutating func append(_ node: Node) {
        switch node {
        case .element(let child): append(child)
        case .text(let text): children.append(.text(text))
        }
    }

    private func inheriting(_ parent: String) -> XMLElement {
        guard namespace.isEmpty, !parent.isEmpty else { return self }
        var copy = self
        copy.namespace = parent
        for index in copy.children.indices {
            if case .element(let child) = copy.children[index] { copy.children[index] = .element(child.inheriting(parent)) }
        }
        return copy
    }
}

extension XMLElement {
    /// The child elements, in order, without the text between them.
    public var elements: [XMLElement] {
        children.compactMap { node in
            if case .element(let element) = node { element } else { nil }
        }
    }

    /// The first child element of that name; in this element's own namespace when none is given.
    public func child(named name: String, namespace: String? = nil) -> XMLElement? {
        for case .element(let element) in children where element.isNamed(name, namespace: namespace ?? self.namespace) { return element }
        return nil
    }

    /// Every child element of that name, in order; in this element's own namespace when none is given.
    public func children(named name: String, namespace: String? = nil) -> [XMLElement] {
        elements.filter { $0.isNamed(name, namespace: namespace ?? self.namespace) }
    }

    public func isNamed(_ name: String, namespace: String) -> Bool { self.name == name && self.namespace == namespace }

    /// How much an element is with all that is in it.
    public struct Size: Hashable, Sendable {
        public var elements = 0
        /// Of tags, attributes and text in UTF-8: about what it is on the wire, before escapes.
        public var octets = 0
        public init() {}
    }
    public var size: Size {
        var size = Size()
        add(to: &size)
        return size
    }
    private func add(to size: inout Size) {
        size.elements += 1
        size.octets += 2 * name.utf8.count + 5
        for (key, value) in attributes { size.octets += key.utf8.count + value.utf8.count + 4 }
        for child in children {
            switch child {
            case .element(let element): element.add(to: &size)
            case .text(let text): size.octets += text.utf8.count
            }
        }
    }

    /// The element's own text, in order, without that of its children.
    public var text: String {
        var result = ""
        for case .text(let text) in children { result += text }
        return result
    }

    /// The value of an attribute: `element["node"]`; `{namespace}name` for one with a prefix, `xml:lang` as `{http://www.w3.org/XML/1998/namespace}lang`.
    public subscript(attribute: String) -> String? {
        get { attributes[attribute] }
        set { attributes[attribute] = newValue }
    }
}

/// Elements, text, `if`, `for` and optional values, in the order in which they are written.
@resultBuilder
public enum XMLBuilder {
    public static func buildExpression(_ element: XMLElement) -> [XMLElement.Node] { [.element(element)] }
    public static func buildExpression(_ element: XMLElement?) -> [XMLElement.Node] { element.map { [.element($0)] } ?? [] }
    public static func buildExpression(_ elements: [XMLElement]) -> [XMLElement.Node] { elements.map { .element($0) } }
    public static func buildExpression(_ nodes: [XMLElement.Node]) -> [XMLElement.Node] { nodes }
    public static func buildExpression(_ text: String) -> [XMLElement.Node] { text.isEmpty ? [] : [.text(text)] }
    public static func buildBlock(_ parts: [XMLElement.Node]...) -> [XMLElement.Node] { parts.flatMap { $0 } }
    public static func buildOptional(_ part: [XMLElement.Node]?) -> [XMLElement.Node] { part ?? [] }
    public static func buildEither(first: [XMLElement.Node]) -> [XMLElement.Node] { first }
    public static func buildEither(second: [XMLElement.Node]) -> [XMLElement.Node] { second }
    public static func buildArray(_ parts: [[XMLElement.Node]]) -> [XMLElement.Node] { parts.flatMap { $0 } }
}
