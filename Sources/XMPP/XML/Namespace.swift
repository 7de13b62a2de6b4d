/// XML namespaces of the protocols this module speaks.
public enum Namespace {
    public static let xml = "http://www.w3.org/XML/1998/namespace"
    public static let streams = "http://etherx.jabber.org/streams"
    public static let client = "jabber:client"
    public static let streamErrors = "urn:ietf:params:xml:ns:xmpp-streams"
    public static let stanzaErrors = "urn:ietf:params:xml:ns:xmpp-stanzas"
    public static let sasl = "urn:ietf:params:xml:ns:xmpp-sasl"
    public static let tls = "urn:ietf:params:xml:ns:xmpp-tls"
    public static let bind = "urn:ietf:params:xml:ns:xmpp-bind"
    public static let ping = "urn:xmpp:ping"
}
