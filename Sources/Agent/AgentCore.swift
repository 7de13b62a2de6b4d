import DataplaneAPI
import Logging
import NetTypes
import Overlay
import XMPP

/// The agent's state, and the one place that changes it.
///
/// Events come in from the controllers' sessions, from the port API and from the data plane's traps; each changes a store and wakes
/// the loop that computes the desired state and brings the data plane to it (`AgentCore+Dataplane.swift`). Everything that decides
/// is in the pure types this holds; the actor only feeds them and carries out what they say.
///
/// # Thread-safety
/// An actor. No store is left half-changed across an `await`.
actor AgentCore {
    struct Controller {
        let configuration: AgentConfiguration.Controller
        enum State: String { case connecting, up }
        var state = State.connecting
        var since: Duration = .zero
        /// Why the last session ended.
        var reason = ""
        var session: Session?
        /// Wakes the task that talks to this controller.
        let signal = Signal()
        var exchange = RouteExchange()
        var lastSubscribe: Duration = .zero
        var lastEvent: Duration = .zero
        var endOfRIB: Duration?
        /// Everything it has to tell has been told.
        var isComplete = false
        /// Stale paths of a session that ended have been dealt with.
        var hasStale = false
        var isConfigSubscribed = false
    }
    struct Dataplane {
        var isConnected = false
        var reason = "connecting"
        var version = ""
        var lastAudit: Duration = .zero
        var repairs = 0
        var trapsLost: UInt64 = 0
    }

    let configuration: AgentConfiguration
    let logger: Logger
    private let clock = ContinuousClock()
    private let start: ContinuousClock.Instant

    var allocator = IdentifierAllocator()
    var config = ConfigStore()
    var routes = RouteStore()
    var ports: PortStore
    var sync = DataplaneSync()
    var desired = DesiredState()
    var bindings: [PortBinding] = []
    /// nil until the fabric's MAC is known.
    var resolver: NeighbourResolver?
    /// As the desired state knows it: endpoints that do not answer, and local backends whose interface is down.
    var silentNeighbours: Set<IPv4Address> = []
    var downPorts: Set<String> = []
    /// The local ports that are backends of services, and their interfaces.
    var localBackends: [String: String] = [:]
    var lastLinks: Duration = .zero
    /// Endpoints found in the data plane at start: kept until everything has been told.
    var recoveredEndpoints: Set<IPv4Address> = []
    var controllers: [Controller]
    /// The controller whose configuration is used.
    var configSource: Int?
    var configSince: Duration?
    /// The configuration was whole once. Before that nothing of it is carried out: half a policy opens or closes what a whole one does not, and after a restart the data plane holds the
    /// whole one.
    var isConfigured = false
    var malformed = 0
    var dataplane = Dataplane()
    var policyLog = PolicyLogGate()
    /// Flows that were dropped because nothing led to where they go, and whether something may by now.
    var refusedFlows = RefusedFlows()
    var areRefusalsDirty = false
    /// Answers DHCP and the like; has its own copy of what it needs.
    let services: WorkloadServices
    /// That copy is out of date.
    var areServicesDirty = true
    /// The names of each network, and as of which revision of the configuration.
    var zones: [String: DNSZone] = [:]
    var zonesRevision = -1
    /// Stale objects may go: everything has been told once.
    var sweeps = false

    /// Wakes the data-plane loop.
    let signal = Signal()
    /// The inputs changed since the desired state was computed.
    var isDirty = true
    /// When the change that is not carried out yet came; for `health`.
    var dirtySince: Duration?
    var lastTurn: Duration = .zero

    /// After this long without the markers, what was told is taken for everything (opensdn-facts: 60 s).
    static let fallback = Duration.seconds(60)
    static let auditInterval = Duration.seconds(60)
    /// While there are services, their local backends' interfaces are looked at as often.
    static let linkInterval = Duration.seconds(1)
    /// A dump has ended when End-of-RIB came and nothing came after it for this long.
    static let settle = Duration.milliseconds(500)

    init(_ configuration: AgentConfiguration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
        services = WorkloadServices(configuration.dns, logger: logger)
        start = clock.now
        controllers = configuration.controllers.map { Controller(configuration: $0) }
        ports = PortStore(directory: configuration.stateDirectory, logger: logger)
        ports.load()
    }

    /// Since the agent started.
    var now: Duration { clock.now - start }

    func changed() {
        isDirty = true
        if dirtySince == nil { dirtySince = now }
        signal.wake()
    }

    /// Computes the desired state anew when something changed.
    func refresh() {
        guard isDirty else { return }
        refreshBindings()
        // Numbers are given only when it is known which ones the data plane uses.
        guard sync.hasReadBack, let resolver else { return }
        isDirty = false
        areServicesDirty = true
        areRefusalsDirty = true
        findLocalBackends()
        let config = isConfigured ? config : ConfigStore()
        let inputs = DesiredState.Inputs(
            configuration: configuration, fabricMAC: resolver.mac, networks: config.networks, securityGroups: config.securityGroups,
            securityGroupMembers: config.securityGroupMembers, networkPolicies: config.networkPolicies, networkPeers: config.networkPeers,
            firewallPolicies: config.firewallPolicies,
            floatingIPs: config.floatingIPs, services: config.services, routers: config.routers,
            linkLocalServices: config.linkLocalServices, downPorts: downPorts,
            bindings: bindings, routes: routes.bestRoutes(),
            resolve: { resolver.mac(of: $0) }, isSilent: { resolver.isSilent($0) })
        desired = DesiredState(inputs, allocator: &allocator)
        self.resolver?.want(desired.endpoints.union(recoveredEndpoints), watching: desired.backendEndpoints, now: now)
        sync.forgetRefusals(desired: desired.objects)
    }

    // MARK: - Ports

    /// Keeps all of them or none. Returns the ports as they stand.
    func add(_ requests: [PortRequest]) throws -> [AgentStatus.Port] {
        try ports.add(requests)
        changed()
        refreshBindings()
        return requests.compactMap { port($0.id) }
    }

    func removePort(_ id: String) throws -> Bool {
        let isThere = try ports.remove(id)
        if isThere { changed() }
        return isThere
    }

    /// Reads the state directory again.
    func syncPorts() -> Int {
        ports.load()
        changed()
        return ports.requests.count
    }

    private func refreshBindings() {
        bindings = PortBinding.bind(
            ports: config.ports(of: configuration.node), requests: Array(ports.requests.values),
            reserved: Set([configuration.fabric.interface] + [configuration.host?.interface].compactMap { $0 }),
            networks: config.networks)
    }
}
