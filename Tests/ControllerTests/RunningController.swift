import Controller
import Dispatch
import Foundation
import Logging
import Overlay
import Synchronization
import XMPP

/// A whole controller on free loopback ports, for the time of the body.
struct RunningController: Sendable {
    let xmppPort: Int
    let httpPort: Int

    static func with(store: String, _ body: @escaping @Sendable (RunningController) async throws -> Void) async throws {
        var configuration = ControllerConfiguration()
        configuration.xmppListen.port = 0
        configuration.httpListen.port = 0
        configuration.store = store
        configuration.credentials = ["node1": "one", "node2": "two"]
        configuration.timing = .init(restart: .seconds(300), deferral: .milliseconds(50), quiet: .milliseconds(50))
        let (ports, continuation) = AsyncStream.makeStream(of: RunningController.self)
        let service = ControllerService(
            configuration: configuration, version: "test", logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        ) {
            continuation.yield(RunningController(xmppPort: $0, httpPort: $1))
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                defer { continuation.finish() }
                do { try await service.run() } catch is CancellationError {}
            }
            group.addTask { for await running in ports { return try await body(running) } }
            _ = try await group.next()
            group.cancelAll()
            while let result = await group.nextResult() {
                if case .failure(let error) = result, !(error is CancellationError) { throw error }
            }
        }
    }

    // MARK: - HTTP

    /// One HTTP/1.1 request: status and body.
    func http(_ method: String, _ path: String, body: String = "", headers: [String: String] = [:]) async throws -> (status: Int, body: String) {
        let lines =
            ["\(method) \(path) HTTP/1.1", "Host: localhost", "Connection: close", "Content-Length: \(body.utf8.count)"]
            + headers.map { "\($0.key): \($0.value)" }
        let request = lines.joined(separator: "\r\n") + "\r\n\r\n" + body
        // It blocks: not on a thread that the controller needs to answer.
        let reply = try await withCheckedThrowingContinuation { continuation in
            DispatchQueue.global().async { [httpPort] in continuation.resume(with: Result { try Self.exchange(request, port: httpPort) }) }
        }
        let parts = reply.split(separator: "\r\n\r\n", maxSplits: 1, omittingEmptySubsequences: false)
        return (Int(reply.split(separator: " ").dropFirst().first ?? "") ?? 0, parts.count == 2 ? String(parts[1]) : "")
    }

    func json(_ method: String, _ path: String, body: String = "") async throws -> (status: Int, value: ConfigValue) {
        let reply = try await http(method, path, body: body, headers: ["X-Source-Name": "net.yaml"])
        return (reply.status, try JSONDecoder().decode(ConfigValue.self, from: Data(reply.body.utf8)))
    }

    private static func exchange(_ request: String, port: Int) throws -> String {
        #if canImport(Darwin)
        let (stream, flags) = (SOCK_STREAM, Int32(0))
        #else
        let (stream, flags) = (Int32(SOCK_STREAM.rawValue), Int32(MSG_NOSIGNAL))
        #endif
        let descriptor = socket(AF_INET, stream, 0)
        guard descriptor >= 0 else { throw POSIXError(.EBADF) }
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let connected = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
        guard connected == 0 else { throw POSIXError(.ECONNREFUSED) }
        var bytes = Array(request.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, flags) }
            guard count > 0 else { throw POSIXError(.EPIPE) }
            bytes = bytes.dropFirst(count)
        }
        var reply: [UInt8] = [], buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count <= 0 { break }
            reply += buffer.prefix(count)
        }
        return String(decoding: reply, as: UTF8.self)
    }
}

extension ConfigValue {
    subscript(key: String) -> ConfigValue? {
        if case .map(let fields) = self { fields.first { $0.key == key }?.value } else { nil }
    }
    subscript(index: Int) -> ConfigValue? {
        if case .list(let items) = self, items.indices.contains(index) { items[index] } else { nil }
    }
    var count: Int { if case .list(let items) = self { items.count } else { 0 } }
}

// MARK: - Agents

/// A scripted agent: logs in, asks, and remembers what it is told, one line for each change.
final class ScriptedAgent: SessionHandler {
    private struct State {
        var told: [String] = []
        var waiters: [(test: @Sendable ([String]) -> Bool, resume: CheckedContinuation<[String], Never>)] = []
        var session: Session?
        var isOver = false
        var started: CheckedContinuation<Session?, Never>?
        var payloads: [String: XMLElement] = [:]
    }
    private let state = Mutex(State())

    /// Runs the body with the agent logged in.
    static func with(
        _ node: String, password: String, _ controller: RunningController, _ body: @Sendable (ScriptedAgent, Session) async throws -> Void
    ) async throws {
        let agent = ScriptedAgent()
        var settings = XMPPClient.Configuration(
            host: "127.0.0.1", port: controller.xmppPort, jid: JID("\(node)@vrouter.local/agent")!, password: password)
        settings.limits = ConfigXML.limits
        let client = XMPPClient(settings, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let running = Task {
            let end = await client.run(handler: agent)
            agent.state.withLock { state in
                state.isOver = true
                state.started?.resume(returning: nil)
                state.started = nil
            }
            return end
        }
        let session: Session? = await withCheckedContinuation { continuation in
            agent.state.withLock { state in
                if state.session != nil || state.isOver {
                    continuation.resume(returning: state.session)
                } else {
                    state.started = continuation
                }
            }
        }
        guard let session else { throw await running.value }
        do { try await body(agent, session) } catch {
            running.cancel()
            _ = await running.value
            throw error
        }
        session.close()
        _ = await running.value
    }

    func sessionStarted(_ session: Session) async {
        state.withLock { state in
            state.session = session
            state.started?.resume(returning: session)
            state.started = nil
        }
    }

    func received(_ message: Message, on session: Session) async {
        guard let event = PubSub.Event(message) else { return }
        state.withLock { state in
            for change in event.changes {
                switch change {
                case .item(let item):
                    state.told.append("+\(event.node) \(item.id ?? "")")
                    state.payloads["\(event.node) \(item.id ?? "")"] = item.payload
                case .retract(let id): state.told.append("-\(event.node) \(id)")
                }
            }
            state.waiters.removeAll { waiter in
                guard waiter.test(state.told) else { return false }
                waiter.resume.resume(returning: state.told)
                state.told = []
                return true
            }
        }
    }

    /// Nothing more comes for those who wait.
    func sessionEnded(_ session: Session, _ reason: SessionEnd) async {
        state.withLock { state in
            for waiter in state.waiters { waiter.resume.resume(returning: state.told) }
            state.waiters = []
        }
    }

    func payload(_ id: String) -> XMLElement? { state.withLock { $0.payloads[id] } }

    /// What was told since the last call, up to and with this line.
    func told(upTo line: String) async -> [String] {
        await withCheckedContinuation { continuation in
            state.withLock { state in
                if state.told.contains(line) {
                    continuation.resume(returning: state.told)
                    state.told = []
                } else {
                    state.waiters.append((test: { $0.contains(line) }, resume: continuation))
                }
            }
        }
    }
}

extension Session {
    /// A pubsub request to the controller; the error it is answered with is thrown.
    @discardableResult
    func ask(_ service: String, _ request: PubSub.Request) async throws -> IQ {
        try await self.request(IQ(.set, to: JID("controller@vrouter.local/\(service)"), payload: request.element), timeout: .seconds(10))
    }
}
