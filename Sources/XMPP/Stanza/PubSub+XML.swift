extension PubSub.Request {
    public var node: String {
        switch self {
        case .subscribe(let node, _, _), .unsubscribe(let node, _), .publish(let node, _), .retract(let node, _): node
        }
    }

    /// The `<pubsub/>` payload of an IQ set.
    public var element: XMLElement {
        XMLElement("pubsub", namespace: PubSub.namespace) {
            switch self {
            case .subscribe(let node, let jid, let instanceID):
                XMLElement("subscribe", attributes(node, jid))
                if let instanceID { XMLElement("options") { XMLElement("instance-id", text: String(instanceID)) } }
            case .unsubscribe(let node, let jid): XMLElement("unsubscribe", attributes(node, jid))
            case .publish(let node, let items): XMLElement("publish", ["node": node]) { items.map(\.element) }
            case .retract(let node, let ids): XMLElement("retract", ["node": node]) { ids.map { XMLElement("item", ["id": $0]) } }
            }
        }
    }

    private func attributes(_ node: String, _ jid: JID?) -> [String: String] {
        jid.map { ["node": node, "jid": $0.description] } ?? ["node": node]
    }

    /// True for a payload that belongs to this protocol, well formed or not.
    public static func matches(_ iq: IQ) -> Bool { iq.payload?.isNamed("pubsub", namespace: PubSub.namespace) ?? false }

    /// Reads an IQ set. Throws the error to answer it with: bad-request and XEP-0060's own condition for what is missing,
    /// feature-not-implemented for another use of pubsub, service-unavailable for a payload that is none.
    public init(_ iq: IQ) throws(StanzaError) {
        guard let payload = iq.payload, Self.matches(iq) else { throw StanzaError(.serviceUnavailable) }
        guard iq.kind == .set else { throw StanzaError(.featureNotImplemented, "pubsub requests other than set are not offered") }
        guard let verb = payload.elements.first(where: { $0.namespace == PubSub.namespace && $0.name != "options" }) else {
            throw StanzaError(.badRequest, "pubsub without a request")
        }
        guard let node = verb["node"], !node.isEmpty else { throw .pubsub(.badRequest, "nodeid-required", "<\(verb.name)/> needs a node") }
        switch verb.name {
        case "subscribe":
            self = .subscribe(node: node, jid: try Self.jid(of: verb), instanceID: try Self.instanceID(in: payload))
        case "unsubscribe": self = .unsubscribe(node: node, jid: try Self.jid(of: verb))
        case "publish":
            self = .publish(node: node, items: verb.children(named: "item").map(PubSub.Item.init(element:)))
        case "retract":
            var ids: [String] = []
            for item in verb.children(named: "item") {
                guard let id = item["id"] else { throw .pubsub(.badRequest, "item-required", "an item to retract needs an id") }
                ids.append(id)
            }
            guard !ids.isEmpty else { throw .pubsub(.badRequest, "item-required", "<retract/> needs an item") }
            self = .retract(node: node, ids: ids)
        default: throw .pubsub(.featureNotImplemented, "unsupported", "pubsub <\(verb.name)/> is not offered")
        }
    }

    private static func jid(of verb: XMLElement) throws(StanzaError) -> JID? {
        guard let text = verb["jid"] else { return nil }
        guard let jid = JID(text) else { throw StanzaError(.jidMalformed, "the subscriber's 'jid' is not an address") }
        return jid
    }

    private static func instanceID(in payload: XMLElement) throws(StanzaError) -> UInt32? {
        guard let text = payload.child(named: "options")?.child(named: "instance-id")?.text else { return nil }
        guard let value = UInt32(text) else { throw .pubsub(.badRequest, "invalid-options", "instance-id is not a 32-bit number") }
        return value
    }
}

extension StanzaError {
    /// An error with one of XEP-0060's own conditions beside the defined one, for example `nodeid-required`.
    public static func pubsub(_ condition: Condition, _ name: String, _ text: String) -> StanzaError {
        StanzaError(condition, text, application: XMLElement(name, namespace: PubSub.errorNamespace))
    }
}

extension PubSub.Item {
    /// `<item id='…'>payload</item>`, without a namespace until it is put into its list.
    var element: XMLElement {
        XMLElement("item", id.map { ["id": $0] } ?? [:]) { payload }
    }

    init(element: XMLElement) { self.init(id: element["id"], payload: element.elements.first) }
}

extension PubSub.Subscription {
    /// The payload of the result of a subscribe.
    public var element: XMLElement {
        XMLElement("pubsub", namespace: PubSub.namespace) {
            XMLElement("subscription", ["node": node, "jid": jid.description, "subscription": "subscribed"])
        }
    }
}

extension PubSub.Event {
    /// The `<event/>` payload of a message.
    public var element: XMLElement {
        XMLElement("event", namespace: PubSub.eventNamespace) {
            XMLElement("items", ["node": node]) {
                changes.map { change in
                    switch change {
                    case .item(let item): item.element
                    case .retract(let id): XMLElement("retract", ["id": id])
                    }
                }
            }
        }
    }

    /// The event a message carries; nil when it carries none. The event namespace of XEP-0060 and, as OpenSDN's controllers write it,
    /// the plain pubsub namespace are both read.
    public init?(_ message: Message) {
        guard
            let event = message.payloads.first(where: {
                $0.name == "event" && ($0.namespace == PubSub.eventNamespace || $0.namespace == PubSub.namespace)
            }), let items = event.child(named: "items"), let node = items["node"]
        else { return nil }
        var changes: [Change] = []
        for child in items.elements where child.namespace == event.namespace {
            switch child.name {
            case "item": changes.append(.item(PubSub.Item(element: child)))
            case "retract": if let id = child["id"] { changes.append(.retract(id: id)) }
            default: break
            }
        }
        self.init(node: node, changes: changes)
    }
}

/// Are you there (XEP-0199)? A session answers and sends these by itself.
public enum Ping {
    public static let element = XMLElement("ping", namespace: Namespace.ping)
    public static func matches(_ iq: IQ) -> Bool { iq.kind == .get && iq.payload?.isNamed("ping", namespace: Namespace.ping) == true }
}
