/// An error that answers one stanza and leaves the stream open (RFC 6120 section 8.3). Throw it from a handler to answer an IQ with it.
public struct StanzaError: Error, Hashable, Sendable, CustomStringConvertible {
    /// RFC 6120 section 8.3.3.
    public enum Condition: String, Sendable, CaseIterable {
        case badRequest = "bad-request", conflict, featureNotImplemented = "feature-not-implemented", forbidden, gone
        case internalServerError = "internal-server-error", itemNotFound = "item-not-found", jidMalformed = "jid-malformed"
        case notAcceptable = "not-acceptable", notAllowed = "not-allowed", notAuthorized = "not-authorized"
        case policyViolation = "policy-violation", recipientUnavailable = "recipient-unavailable", redirect
        case registrationRequired = "registration-required", remoteServerNotFound = "remote-server-not-found"
        case remoteServerTimeout = "remote-server-timeout", resourceConstraint = "resource-constraint"
        case serviceUnavailable = "service-unavailable", subscriptionRequired = "subscription-required"
        case undefinedCondition = "undefined-condition", unexpectedRequest = "unexpected-request"
    }

    /// What the sender may do about it (RFC 6120 section 8.3.2).
    public enum Kind: String, Sendable, CaseIterable { case auth, cancel, `continue`, modify, wait }

    public var condition: Condition
    public var kind: Kind
    /// For people; says what was wrong and where.
    public var text: String?
    /// An application's own condition beside the defined one, such as a pubsub error.
    public var application: XMLElement?

    /// - Parameter kind: nil takes the kind RFC 6120 recommends for the condition.
    public init(_ condition: Condition, kind: Kind? = nil, _ text: String? = nil, application: XMLElement? = nil) {
        self.condition = condition
        self.kind = kind ?? condition.usualKind
        self.text = text
        self.application = application
    }

    public var description: String { condition.rawValue + (text.map { ": " + $0 } ?? "") }
}

extension StanzaError.Condition {
    public var usualKind: StanzaError.Kind {
        switch self {
        case .badRequest, .jidMalformed, .notAcceptable, .policyViolation, .redirect: .modify
        case .forbidden, .notAuthorized, .registrationRequired, .subscriptionRequired: .auth
        case .recipientUnavailable, .remoteServerTimeout, .resourceConstraint, .unexpectedRequest: .wait
        case .conflict, .featureNotImplemented, .gone, .internalServerError, .itemNotFound, .notAllowed, .remoteServerNotFound,
            .serviceUnavailable, .undefinedCondition:
            .cancel
        }
    }
}

extension StanzaError {
    /// `<error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`
    public var element: XMLElement {
        XMLElement("error", namespace: Namespace.client, ["type": kind.rawValue]) {
            ErrorContent(condition, text, application).elements(namespace: Namespace.stanzaErrors)
        }
    }

    /// Reads any `<error/>`; one that is not understood becomes undefined-condition, for an error must not be answered with another.
    public init(element: XMLElement) {
        let content = ErrorContent<Condition>(element, namespace: Namespace.stanzaErrors)
        self.init(
            content.condition ?? .undefinedCondition, kind: element["type"].flatMap(Kind.init(rawValue:)), content.text,
            application: content.application)
    }
}
