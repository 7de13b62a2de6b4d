/// A refused authentication, which leaves the stream open for another try (RFC 6120 section 6.5).
public struct SASLFailure: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Condition: String, Sendable, CaseIterable {
        case aborted, accountDisabled = "account-disabled", credentialsExpired = "credentials-expired"
        case encryptionRequired = "encryption-required", incorrectEncoding = "incorrect-encoding", invalidAuthzid = "invalid-authzid"
        case invalidMechanism = "invalid-mechanism", malformedRequest = "malformed-request", mechanismTooWeak = "mechanism-too-weak"
        case notAuthorized = "not-authorized", temporaryAuthFailure = "temporary-auth-failure"
    }
    public var condition: Condition
    public var text: String?

    public init(_ condition: Condition, _ text: String? = nil) {
        self.condition = condition
        self.text = text
    }

    /// What a peer learns of a SCRAM exchange that failed; why a proof was wrong it does not learn.
    init(_ error: SCRAMError) {
        switch error {
        case .malformed(let what): self.init(.malformedRequest, what)
        case .unsupported(let what): self.init(.malformedRequest, "not supported: \(what)")
        case .notAuthorized: self.init(.notAuthorized)
        }
    }

    public var description: String { condition.rawValue + (text.map { ": " + $0 } ?? "") }

    public var element: XMLElement {
        XMLElement("failure", namespace: Namespace.sasl) {
            XMLElement(condition.rawValue)
            if let text { XMLElement("text", text: text) }
        }
    }

    /// Reads any `<failure/>`; a condition that is not known counts as not-authorized.
    init(element: XMLElement) {
        let condition = element.elements.lazy.compactMap { Condition(rawValue: $0.name) }.first
        self.init(condition ?? .notAuthorized, element.child(named: "text")?.text)
    }
}
