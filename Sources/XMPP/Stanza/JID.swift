/// An XMPP address `local@domain/resource` (RFC 7622), already normalized: local part and domain in lower case, no trailing dot.
///
/// A subset of RFC 7622: the PRECIS classes are not consulted beyond what is written here (sizes, forbidden and control characters,
/// white space, case). Swift compares strings by canonical equivalence, which stands for the NFC step. Domains are host names or IP
/// address literals and are not looked up.
public struct JID: Hashable, Sendable, LosslessStringConvertible {
    public let local: String?
    public let domain: String
    public let resource: String?

    /// nil when the text is not an address.
    public init?(_ text: String) {
        // RFC 7622 section 3.2: the resource starts at the first '/', the domain at the first '@' before that.
        var rest = text[...]
        var local: String?, resource: String?
        if let slash = rest.firstIndex(of: "/") {
            resource = String(rest[rest.index(after: slash)...])
            rest = rest[..<slash]
        }
        if let at = rest.firstIndex(of: "@") {
            local = String(rest[..<at])
            rest = rest[rest.index(after: at)...]
        }
        self.init(local: local, domain: String(rest), resource: resource)
    }

    public init?(local: String? = nil, domain: String, resource: String? = nil) {
        var domain = domain.lowercased()
        if domain.hasSuffix(".") { domain.removeLast() }
        guard Self.fits(domain), domain.unicodeScalars.allSatisfy(Self.isDomainScalar) else { return nil }
        // A label has an octet at least (RFC 1035 section 2.3.1).
        guard domain.split(separator: ".", omittingEmptySubsequences: false).allSatisfy({ !$0.isEmpty }) else { return nil }
        if let local { guard Self.fits(local), local.unicodeScalars.allSatisfy(Self.isLocalScalar) else { return nil } }
        if let resource { guard Self.fits(resource), resource.unicodeScalars.allSatisfy(Self.isResourceScalar) else { return nil } }
        self.local = local?.lowercased()
        self.domain = domain
        self.resource = resource
    }

    private init(bareOf jid: JID) { (local, domain, resource) = (jid.local, jid.domain, nil) }

    /// Without the resource.
    public var bare: JID { JID(bareOf: self) }
    public var isBare: Bool { resource == nil }
    /// The same account with another resource; nil when the resource is not valid.
    public func with(resource: String) -> JID? { JID(local: local, domain: domain, resource: resource) }

    public var description: String { (local.map { $0 + "@" } ?? "") + domain + (resource.map { "/" + $0 } ?? "") }

    /// Each part is 1 to 1023 octets (RFC 7622 section 3).
    private static func fits(_ part: String) -> Bool { (1...1023).contains(part.utf8.count) }

    private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: false
        default: true
        }
    }
    private static func isLocalScalar(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "\"", "&", "'", "/", ":", "<", ">", "@": false  // RFC 7622 section 3.3.1
        default: isPrintable(scalar) && !scalar.properties.isWhitespace
        }
    }
    private static func isDomainScalar(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "a"..."z", "0"..."9", "-", ".", "_", ":", "[", "]": true
        default: scalar.value > 0x7F && isPrintable(scalar) && !scalar.properties.isWhitespace
        }
    }
    private static func isResourceScalar(_ scalar: Unicode.Scalar) -> Bool { isPrintable(scalar) }
}
