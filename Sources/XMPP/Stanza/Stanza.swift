/// One of the three things a stream carries once it is negotiated (RFC 6120 section 8).
public enum Stanza: Hashable, Sendable {
    case iq(IQ)
    case message(Message)
    case presence(Presence)
}

/// A request or its one answer (RFC 6120 section 8.2.3).
public struct IQ: Hashable, Sendable {
    public enum Kind: String, Sendable, CaseIterable { case get, set, result, error }

    public var kind: Kind
    /// Chosen by the requester, unique among its open requests. `Session.request` sets it.
    public var id: String
    public var from: JID?
    public var to: JID?
    /// What is asked or answered: always there in a get and a set, perhaps in a result, the echoed request perhaps in an error.
    public var payload: XMLElement?
    /// There in an error and only in an error.
    public var error: StanzaError?

    public init(_ kind: Kind, id: String = "", from: JID? = nil, to: JID? = nil, payload: XMLElement? = nil, error: StanzaError? = nil) {
        self.kind = kind
        self.id = id
        self.from = from
        self.to = to
        self.payload = payload
        self.error = error
    }

    public var isRequest: Bool { kind == .get || kind == .set }

    /// The answer to this request, with the addresses turned round.
    public func result(_ payload: XMLElement? = nil) -> IQ { IQ(.result, id: id, from: to, to: from, payload: payload) }
    public func failure(_ error: StanzaError) -> IQ { IQ(.error, id: id, from: to, to: from, error: error) }
}

/// A one-way stanza: events travel in it (RFC 6120 section 8.2.1, RFC 6121 section 5).
public struct Message: Hashable, Sendable {
    public enum Kind: String, Sendable, CaseIterable { case normal, chat, groupchat, headline, error }

    public var kind: Kind
    public var id: String?
    public var from: JID?
    public var to: JID?
    public var payloads: [XMLElement]

    public init(_ kind: Kind = .normal, id: String? = nil, from: JID? = nil, to: JID? = nil, payloads: [XMLElement] = []) {
        self.kind = kind
        self.id = id
        self.from = from
        self.to = to
        self.payloads = payloads
    }

    /// The first payload of that name.
    public func payload(named name: String, namespace: String) -> XMLElement? { payloads.first { $0.isNamed(name, namespace: namespace) } }
}

/// Availability (RFC 6121 section 4). Carried and otherwise left alone: nothing here keeps a roster.
public struct Presence: Hashable, Sendable {
    /// The `type` attribute; nil is available.
    public var kind: String?
    public var id: String?
    public var from: JID?
    public var to: JID?
    public var payloads: [XMLElement]

    public init(kind: String? = nil, id: String? = nil, from: JID? = nil, to: JID? = nil, payloads: [XMLElement] = []) {
        self.kind = kind
        self.id = id
        self.from = from
        self.to = to
        self.payloads = payloads
    }
}
