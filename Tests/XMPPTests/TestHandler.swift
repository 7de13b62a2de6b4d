import Synchronization
import Testing
import XMPP

/// Keeps what it is told, in order, and lets a test wait for it.
final class TestHandler: SessionHandler {
    enum Event: Sendable, CustomStringConvertible {
        case started(Session), message(Message, Session), ended(Session, SessionEnd)
        var description: String {
            switch self {
            case .started(let session): "started \(session)"
            case .message(let message, _): "message \(message.id ?? "")"
            case .ended(let session, let end): "ended \(session): \(end)"
            }
        }
    }
    private let state = Mutex((events: [Event](), waiting: [CheckedContinuation<Void, Never>]()))
    private let answer: @Sendable (IQ, Session) async throws -> XMLElement?

    /// How long it takes to be told of an end.
    private let endDelay: Duration

    init(
        endDelay: Duration = .zero,
        answer: @escaping @Sendable (IQ, Session) async throws -> XMLElement? = { _, _ in throw StanzaError(.serviceUnavailable) }
    ) {
        self.endDelay = endDelay
        self.answer = answer
    }

    var events: [Event] { state.withLock { $0.events } }

    private func add(_ event: Event) {
        let waiting = state.withLock { state in
            state.events.append(event)
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    func sessionStarted(_ session: Session) async { add(.started(session)) }
    func received(_ request: IQ, on session: Session) async throws -> XMLElement? { try await answer(request, session) }
    func received(_ message: Message, on session: Session) async { add(.message(message, session)) }
    func sessionEnded(_ session: Session, _ reason: SessionEnd) async {
        try? await Task.sleep(for: endDelay)
        add(.ended(session, reason))
    }

    /// The first thing `pick` finds in the events, waiting until there is one.
    func wait<T: Sendable>(_ pick: @Sendable ([Event]) -> T?) async -> T {
        while true {
            let seen = state.withLock { $0.events.count }
            if let found = pick(events) { return found }
            await withCheckedContinuation { continuation in
                state.withLock { state in
                    if state.events.count > seen { continuation.resume() } else { state.waiting.append(continuation) }
                }
            }
        }
    }

    func started(_ number: Int = 1) async -> Session {
        await wait { events in
            let sessions = events.compactMap { if case .started(let session) = $0 { session } else { nil } }
            return sessions.count >= number ? sessions[number - 1] : nil
        }
    }

    func ended(_ session: Session) async -> SessionEnd {
        await wait { events in
            for case .ended(let ended, let end) in events where ended == session { return end }
            return nil
        }
    }
}

/// Serves on a free loopback port while `body` runs. Accounts a to z, password `pencil`.
func withServer(
    _ handler: some SessionHandler, configure: (inout XMPPServer.Configuration) -> Void = { _ in }, _ body: (XMPPServer) async throws -> Void
) async throws {
    let credential = try SCRAMCredential(password: "pencil", iterations: 4096)
    var configuration = XMPPServer.Configuration(host: "127.0.0.1", port: 0, domain: "vrouter.local") { $0.count == 1 ? credential : nil }
    // Tests share the machine.
    configuration.negotiationTimeout = .seconds(120)
    configure(&configuration)
    let server = try await XMPPServer.listen(configuration, handler: handler)
    let serving = Task { try? await server.run() }
    do {
        try await body(server)
    } catch {
        serving.cancel()
        await serving.value
        throw error
    }
    serving.cancel()
    await serving.value
}

/// A client that is logged in while `body` runs.
func withClient(
    _ jid: String, _ server: XMPPServer, _ handler: TestHandler = TestHandler(), configure: (inout XMPPClient.Configuration) -> Void = { _ in },
    _ body: (Session) async throws -> Void
) async throws {
    let address = try #require(JID(jid))
    var configuration = XMPPClient.Configuration(host: "127.0.0.1", port: server.port, jid: address, password: "pencil")
    configure(&configuration)
    let client = XMPPClient(configuration)
    let running = Task { await client.run(handler: handler) }
    let session = await handler.started()
    do {
        try await body(session)
    } catch {
        running.cancel()
        _ = await running.value
        throw error
    }
    running.cancel()
    _ = await running.value
}
