/// What the owner of a connection does for a stream's state machine, in order.
public enum StreamAction: Hashable, Sendable {
    /// Write this.
    case send(String)
    /// The peer is who it says, and a new stream begins on the same connection (RFC 6120 section 4.3.3): later bytes go to a new parser,
    /// with the limits of an authenticated peer.
    case restart
    /// Negotiation is over: our address and the peer's.
    case established(local: JID, peer: JID)
    /// A stanza for the application.
    case deliver(Stanza)
    /// Write the stream error when the end is one of ours, close the stream element, and then the connection.
    case end(SessionEnd)
}

/// One side of an RFC 6120 stream as a pure state machine: events of the parser in, actions out. No socket, no clock: deadlines and pings
/// belong to whoever owns the connection.
public protocol StreamMachine: Sendable {
    /// What to do when the connection is there.
    mutating func start() -> [StreamAction]
    mutating func receive(_ event: StreamParser.Event) -> [StreamAction]
}

/// What both sides write and check alike.
enum StreamHeader {
    /// The opening of a stream in one direction (RFC 6120 section 4.2).
    static func text(from: String?, to: String?, id: String?) -> String {
        var attributes = ""
        for (name, value) in [("from", from), ("to", to), ("id", id)] {
            guard let value else { continue }
            attributes += " \(name)=\""
            attributes.appendEscaped(value, inAttribute: true)
            attributes += "\""
        }
        return
            "<?xml version='1.0'?><stream:stream\(attributes) version='1.0' xml:lang='en' xmlns='\(Namespace.client)' xmlns:stream='\(Namespace.streams)'>"
    }

    /// The checks that do not depend on the side (RFC 6120 sections 4.7.5 and 4.8).
    static func check(_ header: StreamParser.Header) -> StreamError? {
        guard header.namespace == Namespace.streams else {
            return StreamError(.invalidNamespace, "the stream element's namespace is not \(Namespace.streams)")
        }
        guard header.name == "stream" else { return StreamError(.badFormat, "the root element is not 'stream'") }
        guard header.contentNamespace == Namespace.client else {
            return StreamError(.invalidNamespace, "the content namespace is not \(Namespace.client)")
        }
        guard header.attributes["version"]?.split(separator: ".").first == "1" else {
            return StreamError(.unsupportedVersion, "streams are version 1.0")
        }
        return nil
    }
}

extension [StreamAction] {
    static func send(_ element: XMLElement) -> [StreamAction] { [.send(element.serialized(in: .stream))] }
}
