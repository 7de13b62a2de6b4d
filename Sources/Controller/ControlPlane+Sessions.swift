import Logging
import Overlay
public import XMPP

/// The agents' side of the controller. A request that is refused or makes no sense is answered with a stanza error, and changes
/// nothing; of a list of routes to withdraw, those that are there go, whichever are not.
extension ControlPlane: SessionHandler {
    public func sessionStarted(_ session: Session) async {
        guard let node = session.peer.local else { return session.close(StreamError(.notAuthorized, "a stream here is a compute node's")) }
        if let old = channels[node] {
            // Another resource of the same account: a node has one agent, and the newer one is it.
            logger.notice("a newer stream replaces this one", metadata: ["node": "\(node)", "jid": "\(old.session.peer)"])
            end(node, old)
            old.session.close(StreamError(.conflict, "replaced by \(session.peer)"))
        }
        let channel = AgentChannel(session: session, addresses: addresses)
        channels[node] = channel
        Task { await channel.run() }
        deliver(routeServer.connected(node))
        logger.info("agent connected", metadata: ["node": "\(node)", "jid": "\(session.peer)"])
    }

    public func sessionEnded(_ session: Session, _ reason: SessionEnd) async {
        guard let node = session.peer.local, let channel = channels[node], channel.session === session else { return }
        logger.info("agent disconnected", metadata: ["node": "\(node)", "reason": "\(reason)"])
        end(node, channel)
    }

    private func end(_ node: String, _ channel: AgentChannel) {
        channel.close()
        channels[node] = nil
        distribution.unsubscribe(node)
        let (deliveries, epoch) = routeServer.disconnected(node)
        deliver(deliveries)
        if let epoch { after(timing.restart) { control in await control.restartTimeOver(node, epoch: epoch) } }
    }

    public func received(_ request: IQ, on session: Session) async throws -> XMLElement? {
        guard let node = session.peer.local, let channel = channels[node], channel.session === session else {
            throw StanzaError(.unexpectedRequest, "this stream was replaced")
        }
        guard PubSub.Request.matches(request) else { throw StanzaError(.serviceUnavailable) }
        guard let service = addresses.service(of: request.to) else {
            throw StanzaError(.serviceUnavailable, "pubsub is at \(addresses.config) and \(addresses.routes)")
        }
        let asked = try PubSub.Request(request)
        switch asked {
        case .subscribe(_, let jid?, _), .unsubscribe(_, let jid?):
            // XEP-0060 section 6.1.3.1.
            guard jid.bare == session.peer.bare else { throw StanzaError.pubsub(.badRequest, "invalid-jid", "\(jid) is not \(session.peer.bare)") }
        default: break
        }
        switch service {
        case .config: return try config(asked, node, channel)
        case .routes: return try routes(asked, node, channel)
        }
    }

    /// An agent may also say End-of-RIB in an event, as it is told it.
    public func received(_ message: Message, on session: Session) async {
        guard let node = session.peer.local, channels[node]?.session === session, addresses.service(of: message.to) == .routes,
            let event = PubSub.Event(message), event.node == RouteNode.endOfRIB
        else { return }
        endOfRIB(node)
    }

    // MARK: - Requests

    private func config(_ request: PubSub.Request, _ node: String, _ channel: AgentChannel) throws(StanzaError) -> XMLElement? {
        let own = ConfigXML.node(forComputeNode: node)
        guard request.node == own else {
            throw StanzaError(
                request.node.hasPrefix(ConfigXML.node(forComputeNode: "")) ? .forbidden : .itemNotFound, "\(node) may subscribe to \(own) only")
        }
        switch request {
        case .subscribe:
            channel.send(distribution.subscribe(node, model: store.model))
            return PubSub.Subscription(node: own, jid: channel.session.peer).element
        case .unsubscribe:
            guard distribution.isSubscribed(node) else { throw .pubsub(.unexpectedRequest, "not-subscribed", "there is no subscription to \(own)") }
            distribution.unsubscribe(node)
            return nil
        case .publish, .retract: throw StanzaError(.forbidden, "configuration comes from the controller")
        }
    }

    private func routes(_ request: PubSub.Request, _ node: String, _ channel: AgentChannel) throws(StanzaError) -> XMLElement? {
        switch try RouteRequest(request) {
        case .subscribe(let vrf, let instanceID):
            let (deliveries, number) = routeServer.subscribe(node, vrf: vrf, instanceID: instanceID)
            deliver(deliveries)
            after(timing.quiet) { control in await control.quiet(node, number: number) }
            return PubSub.Subscription(node: vrf, jid: channel.session.peer).element
        case .unsubscribe(let vrf):
            guard routeServer.unsubscribe(node, vrf: vrf) else {
                throw .pubsub(.unexpectedRequest, "not-subscribed", "there is no subscription to \(vrf)")
            }
            return nil
        case .publish(let routes):
            guard routeServer.hasRoom(for: routes, of: node) else {
                throw StanzaError(.resourceConstraint, "\(node) may publish \(routeServer.maximumRoutesPerPeer) routes, and these would be more")
            }
            for route in routes { deliver(routeServer.publish(node, route) ?? []) }
            return nil
        case .withdraw(let nodes):
            var missing: RouteNode?
            for route in nodes {
                guard let destination = route.destination, let deliveries = routeServer.withdraw(node, vrf: route.vrf, destination) else {
                    missing = missing ?? route
                    continue
                }
                deliver(deliveries)
            }
            if let missing { throw StanzaError(.itemNotFound, "\(node) has not published \(missing)") }
            return nil
        case .endOfRIB:
            endOfRIB(node)
            return nil
        }
    }

    private func endOfRIB(_ node: String) {
        logger.info("end of RIB", metadata: ["node": "\(node)", "routes": "\(routeServer.publishedCount(of: node))"])
        deliver(routeServer.endOfRIB(node))
    }
}
