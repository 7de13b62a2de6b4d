import Logging
import Overlay
import Synchronization
import XMPP

@testable import Agent

/// The other party of a session script, behind the real XMPP server: it answers every request, notes what was asked, and sends what
/// the script says.
final class ScriptedController: SessionHandler, Sendable {
    struct State {
        var session: Session?
        var sessions = 0
        var requests: [PubSub.Request] = []
        var config: [ConfigObject] = []
        /// What a subscription to a VRF is answered with, after the result.
        var routes: [String: [RouteAdvertisement]] = [:]
        var refuses: Set<String> = []
        /// The configuration is not said to be whole.
        var withholdsEnd = false
    }
    let state = Mutex(State())

    func sessionStarted(_ session: Session) async {
        state.withLock {
            $0.session = session; $0.sessions += 1
        }
    }
    func sessionEnded(_ session: Session, _ reason: SessionEnd) async { state.withLock { $0.session = nil } }

    func received(_ request: IQ, on session: Session) async throws -> XMLElement? {
        let request = try PubSub.Request(request)
        let isRefused = state.withLock { state in
            state.requests.append(request)
            return state.refuses.contains(request.node)
        }
        if isRefused { throw StanzaError(.notAllowed, "as the script says") }
        guard case .subscribe(let node, _, _) = request else { return nil }
        // After the result, as a service answers.
        Task { [self] in
            if node == "compute-node/node1" {
                let (objects, withholdsEnd) = state.withLock { ($0.config, $0.withholdsEnd) }
                send(node, objects.map { .item(.init(id: $0.key.description, payload: $0.element)) })
                if !withholdsEnd { endConfiguration() }
            } else {
                for route in state.withLock({ $0.routes[node] ?? [] }) { send(route) }
                send(RouteNode.endOfRIB, [.item(.init(id: RouteNode.endOfRIBItemID))])
            }
        }
        return nil
    }

    func send(_ node: String, _ changes: [PubSub.Event.Change]) {
        state.withLock { $0.session }?.send(.message(Message(payloads: [PubSub.Event(node: node, changes: changes).element])))
    }
    func send(_ route: RouteAdvertisement) { send("\(RouteNode(table: route.destination.family, vrf: route.vrf))", [.item(route.item)]) }
    func withdraw(_ route: RouteAdvertisement) {
        send("\(RouteNode(table: route.destination.family, vrf: route.vrf))", [.retract(id: route.destination.description)])
    }
    func endConfiguration() { send("compute-node/node1", [.item(.init(id: "end-of-config", payload: ConfigXML.endOfConfig))]) }
    func configure(_ object: ConfigObject) { send("compute-node/node1", [.item(.init(id: object.key.description, payload: object.element))]) }
    func unconfigure(_ key: Overlay.ObjectKey) { send("compute-node/node1", [.retract(id: key.description)]) }

    var requests: [PubSub.Request] { state.withLock { $0.requests } }
    /// Routes published and not withdrawn, in all VRFs.
    var published: Set<String> {
        requests.reduce(into: []) { nodes, request in
            switch request {
            case .publish(let node, let items):
                guard node != RouteNode.endOfRIB else { return }
                // A publish on a table's node carries several routes.
                if RouteNode(node)?.destination == nil { nodes.formUnion(items.map { "\(node)/\($0.id ?? "")" }) } else { nodes.insert(node) }
            case .retract(let node, let ids):
                if RouteNode(node)?.destination == nil { nodes.subtract(ids.map { "\(node)/\($0)" }) } else { nodes.remove(node) }
            case .subscribe, .unsubscribe: break
            }
        }
    }
}
