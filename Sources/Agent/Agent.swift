import Hummingbird
public import Logging
public import ServiceLifecycle

/// The agent of a compute node: it brings the data plane (`vrouter`) to what the controllers and the local port requests ask for, and
/// tells the controllers what is here.
///
///     controllers ──XMPP── ControllerSession ─┐                       ┌─ DataplaneClient ──gRPC── vrouter
///                                             ├─ AgentCore (an actor) ┤
///     orchestrator ─HTTP── PortAPI ───────────┘                       └─ NeighbourResolver (ARP through traps)
///
/// `AgentCore` holds pure types and carries out what they say: `ConfigStore` and `RouteStore` (what was told), `PortBinding` (which
/// ports are active), `DesiredState` (what the tables should hold, by `IdentifierAllocator`'s numbers), `Difference` and `DataplaneSync`
/// (what to change, and what was refused), `RouteExchange` (what to tell a controller).
///
/// What it keeps to: a restart of the agent, of the controller or of both leaves traffic alone. The tables are read back, what is
/// right is not touched, and what is stale goes only after the controllers have told everything. Nothing counts as programmed before
/// the data plane has acknowledged it. Ending the agent (SIGTERM) leaves the data plane forwarding.
///
/// Standards: RFC 6120 and XEP-0060 (control), draft-ietf-l3vpn-end-system (routes), RFC 826 (fabric neighbours), RFC 7348 and RFC 7510
/// (encapsulations it chooses), RFC 4724 in spirit (graceful restart, End-of-RIB).
///
/// # Thread-safety
/// `Sendable`; run once.
public struct Agent: Service, CustomStringConvertible {
    private let configuration: AgentConfiguration
    private let core: AgentCore
    private let logger: Logger
    private let onListening: @Sendable (Int) async -> Void

    /// `onListening` is told the port of the HTTP interface, which is a free one when the configuration says 0.
    public init(_ configuration: AgentConfiguration, logger: Logger, onListening: @escaping @Sendable (Int) async -> Void = { _ in }) {
        self.configuration = configuration
        self.logger = logger
        self.onListening = onListening
        core = AgentCore(configuration, logger: logger)
    }

    /// Runs until graceful shutdown or cancellation. Throws `AgentError` when the HTTP interface cannot listen.
    ///
    /// The HTTP interface comes first: a second agent started by mistake ends there, before it takes the first one's place at the
    /// controllers and in the data plane.
    public func run() async throws {
        let (listening, hasStarted) = AsyncStream.makeStream(of: Int.self)
        let server = Application(
            router: PortAPI(core: core).router(),
            configuration: .init(address: .hostname("127.0.0.1", port: configuration.apiPort), serverName: "vrouter-agent"),
            onServerRunning: { channel in hasStarted.yield(channel.localAddress?.port ?? 0) }, logger: logger)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                do {
                    try await server.run()
                } catch {
                    throw AgentError("127.0.0.1:\(configuration.apiPort): cannot serve HTTP: \(error); is another agent running? Else set api.port")
                }
            }
            group.addTask {
                await cancelWhenGracefulShutdown {
                    for await port in listening {
                        await onListening(port)
                        await work()
                        break
                    }
                }
            }
            do {
                try await group.next()
            } catch {
                group.cancelAll()
                throw error
            }
            try await group.waitForAll()
        }
    }

    /// The data plane's loop and one session per controller, until cancelled.
    private func work() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await core.runDataplane() }
            for index in configuration.controllers.indices {
                let session = ControllerSession(index: index, core: core, configuration: configuration, logger: logger)
                group.addTask { await session.run() }
            }
        }
    }

    /// For log messages about the service.
    public var description: String { "agent of \(configuration.node)" }

    /// For programs that embed the agent, and tests.
    public func status() async -> AgentStatus { await core.status() }
}

/// Why the agent cannot run: what, where, and what to do.
public struct AgentError: Error, CustomStringConvertible {
    public var description: String
    init(_ description: String) { self.description = description }
}
