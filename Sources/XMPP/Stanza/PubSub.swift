/// Publish-subscribe (XEP-0060): the part of it that moves items between a publisher, a service and its subscribers.
///
/// A subscriber may add `<options><instance-id>4</instance-id></options>` beside `<subscribe/>`: a number the subscriber gives to the
/// node, kept by the service. XEP-0060 has no such option; the virtual-network use of pubsub (draft-ietf-l3vpn-end-system as OpenSDN
/// deploys it) does.
public enum PubSub {
    public static let namespace = "http://jabber.org/protocol/pubsub"
    public static let eventNamespace = "http://jabber.org/protocol/pubsub#event"
    public static let errorNamespace = "http://jabber.org/protocol/pubsub#errors"

    public struct Item: Hashable, Sendable {
        public var id: String?
        public var payload: XMLElement?
        public init(id: String?, payload: XMLElement? = nil) {
            self.id = id
            self.payload = payload
        }
    }

    /// What an IQ set asks of the service.
    public enum Request: Hashable, Sendable {
        /// `jid` is the subscriber; absent means the sender.
        case subscribe(node: String, jid: JID? = nil, instanceID: UInt32? = nil)
        case unsubscribe(node: String, jid: JID? = nil)
        case publish(node: String, items: [Item])
        case retract(node: String, ids: [String])
    }

    /// The state of a subscription, as the service tells it in the result of a subscribe.
    public struct Subscription: Hashable, Sendable {
        public var node: String
        public var jid: JID
        public init(node: String, jid: JID) {
            self.node = node
            self.jid = jid
        }
    }

    /// What a message tells a subscriber about one node.
    public struct Event: Hashable, Sendable {
        public enum Change: Hashable, Sendable {
            case item(Item)
            case retract(id: String)
        }
        public var node: String
        public var changes: [Change]
        public init(node: String, changes: [Change]) {
            self.node = node
            self.changes = changes
        }
    }
}
