/// What an application does with a session. The functions of one session are called one after another, in the order in which the stanzas
/// arrived; while one runs, later stanzas wait, and then the peer does. Sessions do not wait for each other.
///
/// Answers to `Session.request` and pings do not pass through here and are not held up by a slow function.
public protocol SessionHandler: Sendable {
    /// The peer is authenticated and bound. Called first, and before anything is read from it.
    func sessionStarted(_ session: Session) async

    /// An IQ get or set: the payload returned goes back in the result (nil: an empty result). Throw a `StanzaError` to answer with that
    /// error; any other error is logged and answered with internal-server-error. The IQ is answered exactly once in every case.
    func received(_ request: IQ, on session: Session) async throws -> XMLElement?

    func received(_ message: Message, on session: Session) async

    /// Called last. On a server, when a login replaced this session, the new session's `sessionStarted` comes after this.
    func sessionEnded(_ session: Session, _ reason: SessionEnd) async
}

extension SessionHandler {
    public func sessionStarted(_ session: Session) async {}
    /// The one answer to a request nobody handles (RFC 6120 section 8.4).
    public func received(_ request: IQ, on session: Session) async throws -> XMLElement? { throw StanzaError(.serviceUnavailable) }
    public func received(_ message: Message, on session: Session) async {}
    public func sessionEnded(_ session: Session, _ reason: SessionEnd) async {}
}

/// Why a stream is over.
public enum SessionEnd: Error, Hashable, Sendable, CustomStringConvertible {
    /// We closed it and nothing was wrong.
    case closed
    /// The peer closed it and nothing was wrong.
    case closedByPeer
    /// We ended it with this error: what the peer did wrong, or what `Session.close` was given.
    case failed(StreamError)
    /// The peer ended it with this error.
    case failedByPeer(StreamError)
    /// The connection could not be made, or broke: what the system says.
    case disconnected(String)
    /// The server refused the name and password, or did not prove that it knows them.
    case authenticationFailed(String)
    /// The peer does not offer what is needed, or answered in a way that makes no sense.
    case negotiationFailed(String)

    public var description: String {
        switch self {
        case .closed: "closed"
        case .closedByPeer: "closed by the peer"
        case .failed(let error): "ended with stream error \(error)"
        case .failedByPeer(let error): "the peer ended it with stream error \(error)"
        case .disconnected(let what): "disconnected: \(what)"
        case .authenticationFailed(let what): "authentication failed: \(what)"
        case .negotiationFailed(let what): "negotiation failed: \(what)"
        }
    }
}

/// How long a silent peer is believed in: after `interval` without a byte from it a ping is sent, and after `missed` pings without an
/// answer the stream ends with connection-timeout.
public struct Keepalive: Hashable, Sendable {
    public var interval: Duration
    public var missed: Int
    public init(interval: Duration = .seconds(10), missed: Int = 3) {
        self.interval = interval
        self.missed = missed
    }
}
