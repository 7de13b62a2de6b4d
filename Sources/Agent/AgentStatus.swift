import NetTypes
import Overlay

/// What `GET /status` answers: one screen that says what works, and why what does not work does not.
public struct AgentStatus: Codable, Hashable, Sendable {
    public struct Controller: Codable, Hashable, Sendable {
        public var host: String
        /// `up` or `connecting`.
        public var state: String
        /// Seconds in this state.
        public var since: Double
        /// Why the last session ended; empty: it has not.
        public var reason: String
        /// Its configuration is used.
        public var isConfigSource: Bool
        public var subscriptions: [String]
        public var routesReceived: Int
        public var routesStale: Int
        public var routesPublished: Int
        public var endOfRIB: Bool
        /// Requests it refused.
        public var refused: [Refusal]
    }
    public struct Refusal: Codable, Hashable, Sendable {
        public var object: String
        public var code: String
        public var reason: String
        public var retries: Int
    }
    public struct Dataplane: Codable, Hashable, Sendable {
        public var connected: Bool
        public var instance: String?
        public var version: String
        /// Why it is not connected.
        public var reason: String
        /// Objects that it holds and that this agent made.
        public var objects: Int
        /// Objects found missing or changed, and put right.
        public var repairs: Int
        /// Objects no longer wanted are being deleted: everything has been told.
        public var sweeps: Bool
    }
    public struct Config: Codable, Hashable, Sendable {
        public var networks: Int
        public var ports: Int
        public var endOfConfig: Bool
    }
    public struct Port: Codable, Hashable, Sendable {
        public var name: String
        public var id: String?
        /// `active` or `waiting`.
        public var state: String
        /// Why it waits.
        public var reason: String?
        public var vif: UInt32?
        public var interface: String?
        public var network: String?
        public var mac: String?
        public var addresses: [String]
        /// What its workload has asked of the network; nil until it has.
        public var services: ServiceStatistics?
    }
    public struct Routes: Codable, Hashable, Sendable {
        /// Destinations received.
        public var received: Int
        public var local: Int
        public var unresolved: Int
        public var unusable: Int
        public var malformed: Int
    }
    public struct Neighbour: Codable, Hashable, Sendable {
        public var address: String
        public var mac: String?
        /// `incomplete`, `reachable` or `probing`.
        public var state: String
    }
    public var node: String
    public var version: String
    /// Seconds.
    public var uptime: Double
    public var controllers: [Controller]
    public var dataplane: Dataplane
    public var config: Config
    public var ports: [Port]
    public var routes: Routes
    /// What the data plane refuses.
    public var refused: [Refusal]
    public var neighbours: [Neighbour]
}

/// The answer of `GET /healthz`.
public struct AgentHealth: Codable, Hashable, Sendable {
    /// Work is done when there is work: a change is carried out within seconds. A data plane that is not there is not ill health of the agent.
    public var healthy: Bool
    public var dataplaneConnected: Bool
    /// Age of the oldest change that is not carried out yet, in seconds.
    public var pendingSeconds: Double
}

extension AgentCore {
    func status() async -> AgentStatus {
        let services = await services.status()
        if isDirty { refresh() }
        let now = now
        return AgentStatus(
            node: configuration.node, version: productVersion, uptime: now.seconds,
            controllers: controllers.indices.map { controllerStatus($0, now) },
            dataplane: .init(
                connected: dataplane.isConnected, instance: sync.instance, version: dataplane.version, reason: dataplane.reason,
                objects: sync.actual.values.count { $0.isOwn }, repairs: dataplane.repairs, sweeps: sweeps),
            config: .init(networks: config.networks.count, ports: config.ports(of: configuration.node).count, endOfConfig: config.isComplete),
            ports: bindings.map { binding in
                var status = portStatus(binding)
                status.services = services[binding.name]
                return status
            },
            routes: .init(
                received: routes.paths.count, local: desired.exports.count, unresolved: desired.unresolvedRoutes, unusable: desired.unusableRoutes,
                malformed: malformed),
            refused: sync.refused.sorted { $0.key < $1.key }.map {
                .init(object: $0.key.description, code: "\($0.value.code)", reason: $0.value.message, retries: $0.value.retries)
            },
            neighbours: (resolver?.neighbours ?? [:]).sorted { $0.key < $1.key }.map { address, neighbour in
                let state =
                    switch neighbour.state {
                    case .incomplete: "incomplete"
                    case .reachable: "reachable"
                    case .probing: "probing"
                    }
                return .init(address: address.description, mac: neighbour.mac?.description, state: state)
            })
    }

    private func controllerStatus(_ index: Int, _ now: Duration) -> AgentStatus.Controller {
        let controller = controllers[index]
        let counts = routes.count(from: index)
        return .init(
            host: controller.configuration.description, state: controller.state.rawValue, since: (now - controller.since).seconds,
            reason: controller.reason, isConfigSource: configSource == index, subscriptions: controller.exchange.subscribed.keys.sorted(),
            routesReceived: counts.all, routesStale: counts.stale, routesPublished: controller.exchange.published.count,
            endOfRIB: controller.endOfRIB != nil,
            refused: controller.exchange.refused.map {
                .init(object: $0.key.description, code: "", reason: $0.value.reason, retries: $0.value.retries)
            }.sorted { $0.object < $1.object })
    }

    /// The posted or configured port of this id or name.
    func port(_ id: String) -> AgentStatus.Port? {
        if isDirty { refresh() }
        return bindings.first { $0.request?.id == id || $0.port?.uid == id || $0.name == id }.map(portStatus)
    }

    private func portStatus(_ binding: PortBinding) -> AgentStatus.Port {
        var status = AgentStatus.Port(
            name: binding.name, id: binding.request?.id ?? binding.port?.uid, state: "waiting", reason: nil, vif: nil,
            interface: binding.request?.interface ?? binding.port?.interface, network: binding.port?.network,
            mac: (binding.port?.mac ?? binding.request?.mac)?.description,
            addresses: (binding.port?.addresses ?? binding.request?.addresses ?? []).map(\.description))
        switch binding.state {
        case .waiting(let reason): status.reason = reason
        case .active(let interface):
            let known = desired.ports.first { $0.binding.name == binding.name && $0.binding.port != nil }
            status.interface = interface
            status.vif = known?.vif?.rawValue
            if let reason = known?.reason {
                status.reason = reason
            } else if let vif = known?.vif, sync.holds(.vif(vif), of: desired.objects) {
                status.state = "active"
            } else {
                status.reason = refusal(of: interface, known?.vif) ?? (dataplane.isConnected ? "being programmed" : "the data plane is not connected")
            }
        }
        return status
    }

    private func refusal(of interface: String, _ vif: VifID?) -> String? {
        let keys = [TableKey.port(interface)] + (vif.map { [TableKey.vif($0)] } ?? [])
        return keys.lazy.compactMap { self.sync.refused[$0] }.first.map { "the data plane refuses it: \($0.message)" }
    }

    func health() -> AgentHealth {
        let pending = dirtySince.map { now - $0 } ?? .zero
        return AgentHealth(
            healthy: !dataplane.isConnected || pending < .seconds(10), dataplaneConnected: dataplane.isConnected, pendingSeconds: pending.seconds)
    }
}

extension Duration {
    var seconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}
