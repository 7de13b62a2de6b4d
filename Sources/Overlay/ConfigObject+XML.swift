public import StrictYAML
public import XMPP

/// Configuration objects as XML, for the wire. The element is the object's kind, in our namespace; below it every key of the
/// YAML is an element, and each member of a list an `<item>`:
///
///     <ComputeNode xmlns="urn:swift-vrouter:config:1">
///       <metadata><name>node1</name></metadata>
///       <spec><address>10.0.0.11</address></spec>
///     </ComputeNode>
///
/// Elements that are not known are skipped, as XMPP asks of every reader (RFC 6120 section 8.4): an older agent can follow a
/// newer controller. A change that an old reader must not survive takes a new namespace.
public enum ConfigXML {
    public static let namespace = "urn:swift-vrouter:config:1"
    /// The pubsub node of a compute node's configuration.
    public static func node(forComputeNode name: String) -> String { "compute-node/\(name)" }
    /// Closes the initial dump: the item of this id carries `<end-of-config/>`.
    public static let endOfConfigID = "end-of-config"
    /// What an agent takes of a controller, which it has authenticated: one object alone, a SecurityGroup with all the rules it may have, is more elements than a
    /// stanza has otherwise.
    public static var limits: StreamLimits {
        var limits = StreamLimits()
        limits.stanza = 64 << 20
        limits.elements = 1 << 20
        return limits
    }
    public static var endOfConfig: XMLElement { XMLElement("end-of-config", namespace: namespace) }
}

extension ConfigObject {
    public var element: XMLElement {
        XMLElement(kind.rawValue, namespace: ConfigXML.namespace) {
            metadata.wireValue.element(named: "metadata")
            spec.element(named: "spec")
        }
    }

    public init(element: XMLElement) throws(ConfigError) {
        guard element.namespace == ConfigXML.namespace, let kind = ConfigKind(rawValue: element.name) else {
            throw ConfigError("<\(element.name.prefix(64)) xmlns='\(element.namespace.prefix(64))'> is not a configuration object", source: "XML")
        }
        var node = ConfigNode(element, path: "")
        if case .mapping(var entries) = node.content {
            let word = ConfigNode(content: .scalar(kind.rawValue, isPlain: false), path: "kind")
            entries.insert(ConfigNode.Entry(key: "kind", value: word), at: 0)
            node.content = .mapping(entries)
        }
        try self.init(node)
    }
}

extension ConfigValue {
    fileprivate func element(named name: String) -> XMLElement {
        switch self {
        case .string(let text): XMLElement(name, text: text)
        case .integer(let value): XMLElement(name, text: String(value))
        case .boolean(let value): XMLElement(name, text: String(value))
        case .list(let items): XMLElement(name) { items.map { $0.element(named: "item") } }
        case .map(let fields): XMLElement(name) { fields.map { $0.value.element(named: $0.key) } }
        }
    }
}

extension ConfigNode {
    /// Only `<item>` children: a list. Other children: a mapping. None: text. The parser bounds the depth.
    fileprivate init(_ element: XMLElement, path: String) {
        let children = element.elements.filter { $0.namespace == ConfigXML.namespace }
        let content: Content
        if children.isEmpty {
            content = element.text.isEmpty ? .null : .scalar(element.text, isPlain: true)
        } else if children.allSatisfy({ $0.name == "item" }) {
            content = .sequence(children.enumerated().map { ConfigNode($1, path: "\(path)[\($0)]") })
        } else {
            content = .mapping(
                children.map { Entry(key: $0.name, value: ConfigNode($0, path: Self.path(path, $0.name))) })
        }
        self.init(content: content, source: "XML", path: path, isStrict: false)
    }
}
