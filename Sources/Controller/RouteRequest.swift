import Overlay
import XMPP

/// What an agent asks of the route exchange, read from a pubsub request and checked: the route server sees values only.
enum RouteRequest: Hashable {
    case subscribe(vrf: String, instanceID: UInt32?)
    case unsubscribe(vrf: String)
    case publish([RouteAdvertisement])
    case withdraw([RouteNode])
    case endOfRIB

    /// Throws the error to answer the request with; nothing was changed then.
    init(_ request: PubSub.Request) throws(StanzaError) {
        switch request {
        case .subscribe(let node, _, let instanceID): self = .subscribe(vrf: try Self.vrf(node), instanceID: instanceID)
        case .unsubscribe(let node, _): self = .unsubscribe(vrf: try Self.vrf(node))
        case .publish(RouteNode.endOfRIB, _): self = .endOfRIB
        case .publish(let text, let items):
            let node = try Self.routeNode(text)
            guard !items.isEmpty else { throw .pubsub(.badRequest, "item-required", "<publish/> needs an item") }
            var routes: [RouteAdvertisement] = []
            for item in items { routes.append(try Self.route(item, node)) }
            self = .publish(routes)
        case .retract(let text, let ids):
            let node = try Self.routeNode(text)
            if node.destination != nil {
                // One route has one item, whatever it is called.
                self = .withdraw([node])
                return
            }
            var nodes: [RouteNode] = []
            for id in ids {
                guard let destination = RouteAdvertisement.Destination(id, family: node.family) else {
                    throw StanzaError(.badRequest, "'\(id.prefix(80))' is not a destination of family \(node.family.rawValue)")
                }
                nodes.append(RouteNode(vrf: node.vrf, destination: destination))
            }
            self = .withdraw(nodes)
        }
    }

    private static func vrf(_ node: String) throws(StanzaError) -> String {
        guard RouteNode.isVRFName(node) else { throw StanzaError(.itemNotFound, "'\(node.prefix(80))' is not the name of a VRF") }
        return node
    }

    private static func routeNode(_ text: String) throws(StanzaError) -> RouteNode {
        guard let node = RouteNode(text) else {
            throw StanzaError(
                .itemNotFound, "'\(text.prefix(80))' is not a node <afi>/<safi>/<vrf>/<prefix> of a family carried here (1/1, 2/1, 25/242)")
        }
        return node
    }

    private static func route(_ item: PubSub.Item, _ node: RouteNode) throws(StanzaError) -> RouteAdvertisement {
        guard let entry = item.payload else { throw .pubsub(.badRequest, "payload-required", "an item to publish needs an <entry/>") }
        let route: RouteAdvertisement
        do { route = try RouteAdvertisement(entry: entry, vrf: node.vrf) } catch {
            throw .pubsub(.badRequest, "invalid-payload", "\(node): \(error)")
        }
        guard route.destination.family == node.family, node.destination == nil || node.destination == route.destination else {
            throw .pubsub(.badRequest, "invalid-payload", "the entry is for \(route.destination), the node is \(node)")
        }
        return route
    }
}
