extension Stanza {
    public var from: JID? {
        get {
            switch self {
            case .iq(let iq): iq.from
            case .message(let message): message.from
            case .presence(let presence): presence.from
            }
        }
        set {
            switch self {
            case .iq(var iq): iq.from = newValue; self = .iq(iq)
            case .message(var message): message.from = newValue; self = .message(message)
            case .presence(var presence): presence.from = newValue; self = .presence(presence)
            }
        }
    }

    public var to: JID? {
        get {
            switch self {
            case .iq(let iq): iq.to
            case .message(let message): message.to
            case .presence(let presence): presence.to
            }
        }
        set {
            switch self {
            case .iq(var iq): iq.to = newValue; self = .iq(iq)
            case .message(var message): message.to = newValue; self = .message(message)
            case .presence(var presence): presence.to = newValue; self = .presence(presence)
            }
        }
    }

    public var element: XMLElement {
        switch self {
        case .iq(let iq): iq.element
        case .message(let message):
            XMLElement("message", namespace: Namespace.client, addresses(message.kind == .normal ? nil : message.kind.rawValue, message.id)) {
                message.payloads
            }
        case .presence(let presence):
            XMLElement("presence", namespace: Namespace.client, addresses(presence.kind, presence.id)) { presence.payloads }
        }
    }

    private func addresses(_ kind: String?, _ id: String?) -> [String: String] { stanzaAttributes(kind: kind, id: id, from: from, to: to) }
}

extension IQ {
    public var element: XMLElement {
        XMLElement("iq", namespace: Namespace.client, stanzaAttributes(kind: kind.rawValue, id: id, from: from, to: to)) {
            payload
            error?.element
        }
    }
}

private func stanzaAttributes(kind: String?, id: String?, from: JID?, to: JID?) -> [String: String] {
    var attributes: [String: String] = [:]
    attributes["type"] = kind
    attributes["id"] = id
    attributes["from"] = from?.description
    attributes["to"] = to?.description
    return attributes
}

/// Why an element could not be read as a stanza.
public enum StanzaDecodingError: Error, Hashable, Sendable {
    /// Not an iq, message or presence: the stream ends with unsupported-stanza-type.
    case unsupported
    /// Its sender is told, and the stream goes on.
    case invalid(StanzaError)
    /// Wrong, but nobody must be told: it was itself an answer (RFC 6120 section 8.3.1).
    case ignored
}

extension Stanza {
    public init(element: XMLElement) throws(StanzaDecodingError) {
        guard element.namespace == Namespace.client else { throw .unsupported }
        let isAnswer = element["type"] == "error" || (element.name == "iq" && element["type"] == "result")
        func refuse(_ condition: StanzaError.Condition, _ text: String) -> StanzaDecodingError {
            isAnswer ? .ignored : .invalid(StanzaError(condition, text))
        }
        func address(_ name: String) throws(StanzaDecodingError) -> JID? {
            guard let text = element[name] else { return nil }
            guard let jid = JID(text) else { throw refuse(.jidMalformed, "the '\(name)' attribute is not an address") }
            return jid
        }
        switch element.name {
        case "iq":
            let (from, to) = (try address("from"), try address("to"))
            guard let kind = element["type"].flatMap(IQ.Kind.init(rawValue:)) else {
                throw refuse(.badRequest, "an iq needs a type: get, set, result or error")
            }
            guard let id = element["id"], !id.isEmpty else { throw refuse(.badRequest, "an iq needs an id") }
            var payloads = element.elements
            var error: StanzaError?
            if kind == .error {
                guard let index = payloads.firstIndex(where: { $0.isNamed("error", namespace: Namespace.client) }) else { throw .ignored }
                error = StanzaError(element: payloads.remove(at: index))
                // One of them (RFC 6120 section 8.3.1): which of two is meant nobody can say.
                if payloads.contains(where: { $0.isNamed("error", namespace: Namespace.client) }) { throw .ignored }
            }
            if kind == .get || kind == .set {
                guard payloads.count == 1 else { throw refuse(.badRequest, "an iq get or set has exactly one child element") }
            } else if payloads.count > 1 {
                throw .ignored
            }
            self = .iq(IQ(kind, id: id, from: from, to: to, payload: payloads.first, error: error))
        case "message":
            // RFC 6121 section 5.2.2: a type that is not known is normal.
            let kind = element["type"].flatMap(Message.Kind.init(rawValue:)) ?? .normal
            self = .message(Message(kind, id: element["id"], from: try address("from"), to: try address("to"), payloads: element.elements))
        case "presence":
            self = .presence(
                Presence(
                    kind: element["type"], id: element["id"], from: try address("from"), to: try address("to"), payloads: element.elements))
        default: throw .unsupported
        }
    }
}
