public import Logging
public import Overlay
import StrictYAML
import XMPP

/// The controller: the configuration store, its distribution to the agents, and the route exchange, in one place and in one order.
///
/// The actor only carries events to the three state machines (`ConfigStore`, `ConfigDistribution`, `RouteServer`) and what they answer to
/// the agents' channels; it never waits inside an event, so what it does for one is done before the next.
///
/// Thread-safety: an actor. An apply blocks it for one flush of the disk.
public actor ControlPlane {
    let store: ConfigStore
    var distribution = ConfigDistribution()
    var routeServer: RouteServer
    /// By node name; one stream for each.
    var channels: [String: AgentChannel] = [:]
    let addresses: ControllerAddresses
    let logger: Logger
    let timing: Timing
    let startedAt = ContinuousClock.now
    private var timers: [UInt64: Task<Void, Never>] = [:]
    private var lastTimer: UInt64 = 0

    /// Times of the route exchange.
    public struct Timing: Hashable, Sendable {
        /// How long the routes of an agent that went away stay.
        public var restart: Duration = .seconds(300)
        /// After a start of the controller: how long End-of-RIB waits for agents that are expected.
        public var deferral: Duration = .seconds(60)
        /// How long after an agent's latest subscription it is taken to have made all of them.
        public var quiet: Duration = .seconds(1)
        public init(restart: Duration = .seconds(300), deferral: Duration = .seconds(60), quiet: Duration = .seconds(1)) {
            self.restart = restart
            self.deferral = deferral
            self.quiet = quiet
        }
    }

    /// Opens the store. Throws `StoreError`, or `ConfigError` when the domain is not one.
    public init(storePath: String, domain: String, timing: Timing = Timing(), logger: Logger) throws {
        guard let addresses = ControllerAddresses(domain: domain) else { throw ConfigError("'\(domain)' is not a domain", field: "xmpp.domain") }
        self.addresses = addresses
        self.timing = timing
        self.logger = logger
        let store = try ConfigStore(path: storePath)
        self.store = store
        // Routes are not stored: after a restart they come back from the agents.
        let expected = store.model.objects(of: .computeNode).map(\.name)
        routeServer = RouteServer(awaiting: Set(expected))
        logger.info("store opened", metadata: ["path": "\(storePath)", "objects": "\(store.model.objects.count)"])
    }

    /// Starts the clock of the deferral of End-of-RIB.
    public func start() {
        after(timing.deferral) { control in await control.deferralTimeOver() }
    }

    /// Stops the timers and closes the store. For the end: nothing can be configured afterwards.
    public func stop() {
        store.close()
        for timer in timers.values { timer.cancel() }
        timers = [:]
    }

    // MARK: - Configuration

    public func apply(text: String, source: String, dryRun: Bool) throws -> [ConfigModel.Change] {
        let located = try YAMLDocuments.located(text: text, source: source)
        if dryRun { return try store.plan(located) }
        let changes: [ConfigModel.Change]
        do { changes = try store.apply(located) } catch {
            switch error {
            case .config(let error): throw error;
            case .store(let error): throw error
            }
        }
        distribute(changes)
        let made = changes.filter { $0.action != .unchanged }
        for change in made { logger.debug("\(change.action.rawValue)", metadata: ["object": "\(change.key)"]) }
        if !made.isEmpty {
            let created = made.count { $0.action == .created }
            logger.info("applied", metadata: ["source": "\(source)", "created": "\(created)", "updated": "\(made.count - created)"])
        }
        return changes
    }

    /// All of them, or none.
    public func delete(_ keys: [ObjectKey]) throws {
        let changes: [ConfigModel.Change]
        do { changes = try store.delete(keys) } catch {
            switch error {
            case .refused(let error): throw error;
            case .store(let error): throw error
            }
        }
        distribute(changes)
        for key in keys { logger.info("deleted", metadata: ["object": "\(key)"]) }
    }

    public func object(_ key: ObjectKey) -> ConfigObject? { store.model.object(key) }
    public func objects(of kind: ConfigKind?) -> [ConfigObject] { store.model.objects(of: kind) }

    private func distribute(_ changes: [ConfigModel.Change]) {
        for (node, updates) in distribution.update(changes, model: store.model) { channels[node]?.send(updates) }
    }

    // MARK: - Routes

    func deliver(_ deliveries: [RouteServer.Delivery]) {
        for delivery in deliveries {
            for peer in delivery.peers { channels[peer]?.send(delivery.update) }
        }
    }

    func quiet(_ node: String, number: UInt64) { deliver(routeServer.quiet(node, number: number)) }

    private func deferralTimeOver() { deliver(routeServer.deferralTimeOver()) }

    func restartTimeOver(_ node: String, epoch: UInt64) {
        let deliveries = routeServer.restartTimeOver(node, epoch: epoch)
        if !deliveries.isEmpty { logger.notice("restart time over: stale routes withdrawn", metadata: ["node": "\(node)"]) }
        deliver(deliveries)
    }

    func after(_ time: Duration, _ body: @escaping @Sendable (ControlPlane) async -> Void) {
        lastTimer += 1
        let id = lastTimer
        timers[id] = Task { [weak self] in
            try? await Task.sleep(for: time)
            guard !Task.isCancelled, let self else { return }
            await body(self)
            await self.finished(id)
        }
    }

    private func finished(_ timer: UInt64) { timers[timer] = nil }
}
