/// An error that ends a stream (RFC 6120 section 4.9).
public struct StreamError: Error, Hashable, Sendable, CustomStringConvertible {
    /// RFC 6120 section 4.9.3.
    public enum Condition: String, Sendable, CaseIterable {
        case badFormat = "bad-format", badNamespacePrefix = "bad-namespace-prefix", conflict, connectionTimeout = "connection-timeout"
        case hostGone = "host-gone", hostUnknown = "host-unknown", improperAddressing = "improper-addressing"
        case internalServerError = "internal-server-error", invalidFrom = "invalid-from", invalidNamespace = "invalid-namespace"
        case invalidXML = "invalid-xml", notAuthorized = "not-authorized", notWellFormed = "not-well-formed"
        case policyViolation = "policy-violation", remoteConnectionFailed = "remote-connection-failed", reset
        case resourceConstraint = "resource-constraint", restrictedXML = "restricted-xml", seeOtherHost = "see-other-host"
        case systemShutdown = "system-shutdown", undefinedCondition = "undefined-condition"
        case unsupportedEncoding = "unsupported-encoding", unsupportedFeature = "unsupported-feature"
        case unsupportedStanzaType = "unsupported-stanza-type", unsupportedVersion = "unsupported-version"
    }

    public var condition: Condition
    public var text: String?
    /// An application's own condition beside the defined one, such as XEP-0205's `<stanza-too-big/>`.
    public var application: XMLElement?

    public init(_ condition: Condition, _ text: String? = nil, application: XMLElement? = nil) {
        self.condition = condition
        self.text = text
        self.application = application
    }

    public var description: String { condition.rawValue + (text.map { ": " + $0 } ?? "") }

    public var element: XMLElement {
        XMLElement("error", namespace: Namespace.streams) {
            ErrorContent(condition, text, application).elements(namespace: Namespace.streamErrors)
        }
    }

    /// Reads any `<stream:error/>`; a condition that is not known becomes undefined-condition.
    public init(element: XMLElement) {
        let content = ErrorContent<Condition>(element, namespace: Namespace.streamErrors)
        self.init(content.condition ?? .undefinedCondition, content.text, application: content.application)
    }
}
