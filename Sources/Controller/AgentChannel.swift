import Overlay
import Synchronization
import XMPP

/// What one agent has still to be told; `run` tells it.
///
/// News of a route that waits is replaced by later news of the same route, in its place, so that no more waits than there are
/// routes, however slowly the agent reads. What waits for the same pubsub node goes out in one stanza, up to 100 changes and a bounded size.
///
/// Thread-safety: any thread may add; one task runs it.
final class AgentChannel: Sendable {
    let session: Session
    let connectedAt = ContinuousClock.now
    private let addresses: ControllerAddresses
    private let state = Mutex(State())
    private let wakes: AsyncStream<Void>
    private let wake: AsyncStream<Void>.Continuation

    static let changesPerStanza = 100

    struct RouteKey: Hashable {
        var vrf: String
        var destination: RouteAdvertisement.Destination
    }
    private struct State {
        var waiting: [AgentStanzas.Entry] = []
        var places: [RouteKey: Int] = [:]
        var routesSent = 0
    }

    init(session: Session, addresses: ControllerAddresses) {
        self.session = session
        self.addresses = addresses
        (wakes, wake) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    }

    /// Route changes told since the stream began.
    var routesSent: Int { state.withLock { $0.routesSent } }

    func send(_ updates: [ConfigDistribution.Update]) {
        guard !updates.isEmpty else { return }
        state.withLock { state in state.waiting += updates.map { .config($0) } }
        wake.yield()
    }

    func send(_ update: RouteServer.Update) {
        state.withLock { state in
            let key: RouteKey? =
                switch update {
                case .advertise(let route): RouteKey(vrf: route.vrf, destination: route.destination)
                case .withdraw(let vrf, let destination): RouteKey(vrf: vrf, destination: destination)
                case .endOfRIB: nil
                }
            if let key, let place = state.places[key] {
                state.waiting[place] = .route(update)
            } else {
                if let key { state.places[key] = state.waiting.count }
                state.waiting.append(.route(update))
            }
        }
        wake.yield()
    }

    /// Sends until `close` or the end of the session.
    func run() async {
        for await _ in wakes {
            while session.isOpen {
                let entries = state.withLock { state in
                    defer { (state.waiting, state.places) = ([], [:]) }
                    return state.waiting
                }
                if entries.isEmpty { break }
                for message in AgentStanzas.messages(entries, from: addresses, to: session.peer, changesPerStanza: Self.changesPerStanza) {
                    await session.hasRoom()
                    session.send(.message(message.stanza))
                    state.withLock { $0.routesSent += message.routes }
                }
            }
        }
    }

    func close() { wake.finish() }
}

/// The addresses under which the controller is asked and from which it tells.
struct ControllerAddresses: Sendable {
    /// `controller@<domain>/config`
    let config: JID
    /// `controller@<domain>/routes`
    let routes: JID
    let domain: String

    static let account = "controller"

    /// Nil when the domain is not one.
    init?(domain: String) {
        guard let config = JID(local: Self.account, domain: domain, resource: "config"),
            let routes = JID(local: Self.account, domain: domain, resource: "routes")
        else { return nil }
        (self.config, self.routes, self.domain) = (config, routes, config.domain)
    }

    enum Service { case config, routes }
    /// What an IQ to this address asks of; `bgp-peer` is what OpenSDN calls the routes.
    func service(of jid: JID?) -> Service? {
        guard let jid, jid.bare == config.bare else { return nil }
        switch jid.resource {
        case "config": return .config
        case "routes", "bgp-peer": return .routes
        default: return nil
        }
    }
}

/// Updates as pubsub events.
enum AgentStanzas {
    /// What the changes of one stanza come to, as far as there are several: far less than `ConfigXML.limits`, as the agent holds a stanza before it uses any of it.
    static let elementsPerStanza = 20_000, octetsPerStanza = 1 << 20

    enum Entry {
        case config(ConfigDistribution.Update)
        case route(RouteServer.Update)
    }

    static func messages(
        _ entries: [Entry], from addresses: ControllerAddresses, to peer: JID, changesPerStanza: Int
    ) -> [(stanza: Message, routes: Int)] {
        let configNode = ConfigXML.node(forComputeNode: peer.local ?? "")
        var messages: [(stanza: Message, routes: Int)] = []
        var event = PubSub.Event(node: "", changes: []), routes = 0, size = XMLElement.Size()
        func flush() {
            guard !event.changes.isEmpty else { return }
            let from = event.node == configNode ? addresses.config : addresses.routes
            messages.append((Message(.headline, from: from, to: peer, payloads: [event.element]), routes))
            (event.changes, routes, size) = ([], 0, XMLElement.Size())
        }
        for entry in entries {
            let (node, change) = change(for: entry, configNode: configNode)
            let more = if case .item(let item) = change { item.payload?.size ?? XMLElement.Size() } else { XMLElement.Size() }
            let isFull =
                event.changes.count == changesPerStanza || size.elements + more.elements > elementsPerStanza
                || size.octets + more.octets > octetsPerStanza
            if node != event.node || isFull {
                flush()
                event.node = node
            }
            event.changes.append(change)
            size.elements += more.elements
            size.octets += more.octets
            if case .route(let update) = entry, update != .endOfRIB { routes += 1 }
        }
        flush()
        return messages
    }

    private static func change(for entry: Entry, configNode: String) -> (node: String, change: PubSub.Event.Change) {
        switch entry {
        case .config(.item(let object)): (configNode, .item(.init(id: "\(object.key)", payload: object.element)))
        case .config(.retract(let key)): (configNode, .retract(id: "\(key)"))
        case .config(.endOfConfig): (configNode, .item(.init(id: ConfigXML.endOfConfigID, payload: ConfigXML.endOfConfig)))
        case .route(.advertise(let route)): ("\(RouteNode(table: route.destination.family, vrf: route.vrf))", .item(route.item))
        case .route(.withdraw(let vrf, let destination)): ("\(RouteNode(table: destination.family, vrf: vrf))", .retract(id: "\(destination)"))
        case .route(.endOfRIB): (RouteNode.endOfRIB, .item(.init(id: RouteNode.endOfRIBItemID)))
        }
    }
}
