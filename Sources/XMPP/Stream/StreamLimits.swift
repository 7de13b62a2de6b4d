/// What one peer may take of us.
public struct StreamLimits: Hashable, Sendable {
    /// Bytes of one stanza before the peer is authenticated.
    public var unauthenticatedStanza = 10_000
    /// Bytes of one stanza afterwards.
    public var stanza = 4 << 20
    /// Bytes of one tag with its attributes.
    public var token = 64 << 10
    /// Levels of nesting, the stream element included.
    public var depth = 32
    /// Elements in one stanza.
    public var elements = 65_536
    /// Bytes waiting to be read by the peer, before it is too slow for us and the stream ends with policy-violation. A stanza that comes while at most a quarter
    /// waits is sent whatever its size.
    public var outbound = 16 << 20
    /// Stanzas waiting for the handler before no more are read.
    public var inbound = 64

    public init() {}
}
