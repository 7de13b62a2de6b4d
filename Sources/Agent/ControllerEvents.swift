import NetTypes
import Overlay
import StrictYAML
import XMPP

/// What a controller's message says, decoded at the boundary so that the rest of the agent sees values only.
enum ControllerEvent: Hashable, Sendable {
    case config(ConfigObject)
    case configRemoved(Overlay.ObjectKey)
    case endOfConfig
    case route(RouteAdvertisement)
    case withdrawn(RouteStore.Key)
    case endOfRIB
    /// Something that cannot be understood: where, and why. It is logged and counted; the rest of the message is used.
    case malformed(String)

    /// The events of one message for the agent of `node`, in order. Empty for a message that is no pubsub event.
    static func decode(_ message: Message, node: String) -> [ControllerEvent] {
        guard let event = PubSub.Event(message) else { return [] }
        if event.node == RouteNode.endOfRIB { return [.endOfRIB] }
        if event.node == ConfigXML.node(forComputeNode: node) { return event.changes.map(config) }
        guard let table = RouteNode(event.node), table.destination == nil else {
            return [.malformed("node '\(event.node.prefix(128))' is neither this node's configuration nor a route table")]
        }
        return event.changes.map { route($0, table: table) }
    }

    private static func config(_ change: PubSub.Event.Change) -> ControllerEvent {
        switch change {
        case .retract(let id):
            guard let key = Overlay.ObjectKey(id) else { return .malformed("retracted configuration item '\(id.prefix(128))' has no kind") }
            return .configRemoved(key)
        case .item(let item):
            if item.id == ConfigXML.endOfConfigID { return .endOfConfig }
            guard let payload = item.payload else { return .malformed("configuration item '\(item.id?.prefix(128) ?? "")' is empty") }
            do throws(ConfigError) { return .config(try ConfigObject(element: payload)) } catch {
                return .malformed("configuration item '\(item.id?.prefix(128) ?? "")': \(error)")
            }
        }
    }

    private static func route(_ change: PubSub.Event.Change, table: RouteNode) -> ControllerEvent {
        switch change {
        case .retract(let id):
            guard let destination = RouteAdvertisement.Destination(id, family: table.family) else {
                return .malformed("\(table): retracted '\(id.prefix(128))' is not a destination")
            }
            return .withdrawn(RouteStore.Key(vrf: table.vrf, destination: destination))
        case .item(let item):
            guard let payload = item.payload else { return .malformed("\(table): item '\(item.id?.prefix(128) ?? "")' is empty") }
            do throws(RouteDecodingError) {
                let route = try RouteAdvertisement(entry: payload, vrf: table.vrf)
                guard route.destination.family == table.family else {
                    return .malformed("\(table): an entry of family \(route.destination.family.rawValue)")
                }
                return .route(route)
            } catch {
                return .malformed("\(table): item '\(item.id?.prefix(128) ?? "")': \(error)")
            }
        }
    }
}
