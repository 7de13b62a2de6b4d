public import Logging
import Synchronization

/// One negotiated stream with one peer: what the application holds to talk to it. Every function may be called from anywhere.
public final class Session: Sendable {
    /// Our address on this stream: on a client the full JID that was bound, on a server its domain.
    public let local: JID
    /// The other side: on a client the server's domain, on a server the full JID that the client bound.
    public let peer: JID
    public let logger: Logger

    let outbox: Outbox
    private let stampsAddresses: Bool
    private let requests = Mutex(Requests())

    private let overState = Mutex((isOver: false, waiting: [CheckedContinuation<Void, Never>]()))

    private struct Requests {
        struct Open {
            var to: JID?
            var answer: CheckedContinuation<IQ, any Error>
        }
        var lastID = 0
        var open: [String: Open] = [:]
        var end: SessionEnd?
    }

    init(local: JID, peer: JID, stampsAddresses: Bool, outbox: Outbox, logger: Logger) {
        self.local = local
        self.peer = peer
        self.stampsAddresses = stampsAddresses
        self.outbox = outbox
        self.logger = logger
    }

    /// Sends a stanza after all those before it, without waiting. Nothing happens when the session has ended. When more than
    /// `StreamLimits.outbound` bytes wait for the peer the session ends with policy-violation; one who sends much waits for `hasRoom`.
    public func send(_ stanza: Stanza) {
        var stanza = stanza
        if stampsAddresses {
            if stanza.from == nil { stanza.from = local }
            if stanza.to == nil { stanza.to = peer }
        }
        outbox.append(stanza.element.serialized(in: .stream))
    }

    /// Returns when at most a quarter of `StreamLimits.outbound` waits to be read by the peer, or the session has ended.
    public func hasRoom() async { await outbox.hasRoom() }

    /// Sends an IQ get or set under an id of our own and waits for its answer, a result.
    /// Throws `StanzaError` when the answer is an error (remote-server-timeout when none came in time), `SessionEnd` when the session
    /// ended first, `CancellationError` when the task was cancelled.
    public func request(_ iq: IQ, timeout: Duration = .seconds(30)) async throws -> IQ {
        var iq = iq
        let id = requests.withLock { requests in
            requests.lastID &+= 1
            return "q\(requests.lastID)"
        }
        iq.id = id
        let timer = Task { [weak self] in
            try await Task.sleep(for: timeout)
            self?.answer(id, .failure(StanzaError(.remoteServerTimeout, "no answer within \(timeout)")))
        }
        defer { timer.cancel() }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let end = requests.withLock { requests in
                    if requests.end == nil { requests.open[id] = .init(to: iq.to, answer: continuation) }
                    return requests.end
                }
                if let end { return continuation.resume(throwing: end) }
                if Task.isCancelled { return answer(id, .failure(CancellationError())) }
                send(.iq(iq))
            }
        } onCancel: {
            answer(id, .failure(CancellationError()))
        }
    }

    /// Ends the session, with an error or without. What was sent before still goes out, as far as the peer reads it.
    public func close(_ error: StreamError? = nil) { outbox.close(error.map { .failed($0) } ?? .closed) }

    public var isOpen: Bool { !outbox.isClosed }

    /// An answer from the peer. One to a request that is not open, or from somebody else than was asked, is ignored.
    func received(answer iq: IQ) {
        let expected = requests.withLock { $0.open[iq.id]?.to }
        if let expected, let from = iq.from, from != expected { return }
        answer(iq.id, iq.kind == .error ? .failure(iq.error ?? StanzaError(.undefinedCondition)) : .success(iq))
    }

    private func answer(_ id: String, _ result: Result<IQ, any Error>) {
        requests.withLock { $0.open.removeValue(forKey: id) }?.answer.resume(with: result)
    }

    /// Asks for a sign of life. The answer is for a request that is not open, and ignored: any byte is a sign.
    func ping() { send(.iq(IQ(.get, id: "ping", payload: Ping.element))) }

    /// Fails every open request and every later one.
    func failRequests(_ end: SessionEnd) {
        let open = requests.withLock { requests in
            requests.end = end
            defer { requests.open = [:] }
            return requests.open.values.map(\.answer)
        }
        for continuation in open { continuation.resume(throwing: end) }
    }

    /// The handler has been told of the end.
    func isOver() {
        let waiting = overState.withLock { state in
            state.isOver = true
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    /// Returns when the handler has been told of the end.
    func over() async {
        await withCheckedContinuation { continuation in
            overState.withLock { state in
                if state.isOver { continuation.resume() } else { state.waiting.append(continuation) }
            }
        }
    }
}

extension Session: Hashable, CustomStringConvertible {
    public static func == (a: Session, b: Session) -> Bool { a === b }
    public func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(self)) }
    public var description: String { peer.description }
}
