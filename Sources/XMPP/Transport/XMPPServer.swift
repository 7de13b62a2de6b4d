public import Logging
import NIOCore
import NIOPosix
import Synchronization

/// Accepts streams, authenticates their peers and hands the sessions to a handler.
///
///     let server = try await XMPPServer.listen(.init(host: "127.0.0.1", port: 5269, domain: "vrouter.local", credentials: store), handler: handler)
///     try await server.run()
public final class XMPPServer: Sendable {
    public struct Configuration: Sendable {
        public var host: String
        /// 0 takes any free port; `XMPPServer.port` tells which.
        public var port: Int
        /// The host part of every address here, and what clients must name in their stream header.
        public var domain: String
        /// The stored password of an account by its local part; nil for one that does not exist. Called once for each login.
        public var credentials: @Sendable (String) -> SCRAMCredential?
        public var limits = StreamLimits()
        public var keepalive = Keepalive()
        /// From the connection to a bound resource.
        public var negotiationTimeout: Duration = .seconds(10)
        /// Connections that are not yet authenticated; more are closed as they come.
        public var maximumUnauthenticated = 256

        public init(host: String, port: Int = 5269, domain: String, credentials: @escaping @Sendable (String) -> SCRAMCredential?) {
            self.host = host
            self.port = port
            self.domain = domain
            self.credentials = credentials
        }
    }

    private struct State {
        var sessions: [JID: Session] = [:]
        var unbound = 0
    }

    private let configuration: Configuration
    private let channel: NIOAsyncChannel<AcceptedConnection, Never>
    private let logger: Logger
    private let decoySecret = SCRAM.randomBytes(32)
    private let state = Mutex(State())
    private let handler: any SessionHandler

    /// Starts to listen; connections are taken when `run` is called. Throws what the system says, or that the domain is not one.
    public static func listen(
        _ configuration: Configuration, handler: some SessionHandler, logger: Logger = Logger(label: "xmpp.server")
    ) async throws -> XMPPServer {
        guard JID(domain: configuration.domain) != nil else { throw XMPPConfigurationError("'\(configuration.domain)' is not a domain") }
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.backlog, value: 1024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .bind(host: configuration.host, port: configuration.port) { channel in
                channel.eventLoop.makeCompletedFuture { AcceptedConnection(try Connection.wrap(channel)) }
            }
        return XMPPServer(configuration, channel, handler, logger)
    }

    private init(
        _ configuration: Configuration, _ channel: NIOAsyncChannel<AcceptedConnection, Never>, _ handler: any SessionHandler, _ logger: Logger
    ) {
        self.configuration = configuration
        self.channel = channel
        self.logger = logger
        self.handler = handler
    }

    /// Serves until the task is cancelled; then every session ends with system-shutdown. Call it once.
    public func run() async throws {
        try await channel.executeThenClose { connections in
            try await withThrowingDiscardingTaskGroup { group in
                for try await connection in connections {
                    group.addTask { await self.serve(connection.taken()) }
                }
            }
        }
    }

    /// The port that is listened on.
    public var port: Int { channel.channel.localAddress?.port ?? configuration.port }
    /// The sessions that are bound and open now.
    public var sessions: [Session] { state.withLock { $0.sessions.values.filter(\.isOpen) } }
    /// The open session of a full JID.
    public func session(_ jid: JID) -> Session? { state.withLock { $0.sessions[jid] }.flatMap { $0.isOpen ? $0 : nil } }

    private func serve(_ channel: Connection.Channel) async {
        let address = channel.channel.remoteAddress?.description ?? "?"
        let admitted = state.withLock { state in
            guard state.unbound < configuration.maximumUnauthenticated else { return false }
            state.unbound += 1
            return true
        }
        let stream = ServerStream(.init(domain: configuration.domain, decoySecret: decoySecret, credentials: configuration.credentials))
        guard admitted, let stream else {
            logger.debug("too many connections that have not logged in", metadata: ["peer": "\(address)"])
            try? await channel.executeThenClose { _, _ in }
            return
        }
        let mine = Mutex<Session?>(nil)
        let connection = Connection(
            limits: configuration.limits, keepalive: configuration.keepalive, negotiationTimeout: configuration.negotiationTimeout,
            isServer: true, logger: logger,
            bound: { session in
                mine.withLock { $0 = session }
                return self.bound(session)
            })
        let end = await connection.run(channel, machine: stream, handler: handler)
        let session = mine.withLock { $0 }
        state.withLock { state in
            if let session {
                if state.sessions[session.peer] === session { state.sessions[session.peer] = nil }
            } else {
                state.unbound -= 1
            }
        }
        // Anyone can connect and fail: that is not worth a line in a log that is kept.
        logger.log(
            level: session == nil ? .debug : .info, "stream ended", metadata: ["peer": "\(session?.peer.description ?? address)", "reason": "\(end)"])
    }

    /// A second login under the same full JID replaces the first (RFC 6120 section 7.7.2.2).
    private func bound(_ session: Session) -> Session? {
        let replaced = state.withLock { state in
            state.unbound -= 1
            return state.sessions.updateValue(session, forKey: session.peer)
        }
        replaced?.close(StreamError(.conflict, "logged in again"))
        return replaced
    }
}

/// A connection between the socket that listens and the task that serves it. When that task is cancelled it may hold some that nobody will take, and one that is let go without a word stops the
/// process (`NIOAsyncWriter`): those are closed.
private final class AcceptedConnection: Sendable {
    private let channel: Connection.Channel
    private let isTaken = Atomic(false)

    init(_ channel: Connection.Channel) { self.channel = channel }

    /// For whom serves it, and so closes it.
    func taken() -> Connection.Channel {
        isTaken.store(true, ordering: .relaxed)
        return channel
    }

    deinit {
        if isTaken.load(ordering: .relaxed) { return }
        Task { [channel] in try? await channel.executeThenClose { _, _ in } }
    }
}

/// A configuration value that cannot be used.
public struct XMPPConfigurationError: Error, Hashable, Sendable, CustomStringConvertible {
    public var description: String
    init(_ description: String) { self.description = description }
}
