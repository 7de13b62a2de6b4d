public import Overlay

/// The route exchange: what every agent published, per VRF, and who is to hear of it.
///
/// A route has one path for each agent that published it (its *origin*). A subscriber is told the best of the other agents' paths, never
/// its own: fresh before stale, then the highest local preference, then the highest sequence number; equals are all told, as one
/// route with several next hops (ECMP).
///
/// Graceful restart, after RFC 4724: when an agent's stream ends its paths stay, as *stale*, until it publishes them again, says End-of-RIB
/// (what is then still stale goes), or the restart time is over.
///
/// A subscriber hears End-of-RIB when everything it subscribed to was told. It has no way to say that it has subscribed to everything,
/// so that is taken from its silence: the caller says `quiet` some time after a subscription that no other followed. When this server
/// itself has restarted it holds End-of-RIB back from everybody until the agents it expects have said theirs, or the deferral time is
/// over: a subscriber that heard it earlier would drop routes that are only late.
///
/// Pure: events in, `Delivery` values out; the clock is the caller's.
///
/// Thread-safety: a value.
public struct RouteServer: Sendable {
    /// An agent, by the name of its node.
    public typealias Peer = String

    public enum Update: Hashable, Sendable {
        case advertise(RouteAdvertisement)
        case withdraw(vrf: String, RouteAdvertisement.Destination)
        case endOfRIB
    }
    /// The same news for several peers.
    public struct Delivery: Hashable, Sendable {
        public var peers: [Peer]
        public var update: Update
    }

    public struct Path: Hashable, Sendable {
        public var route: RouteAdvertisement
        public var isStale = false
    }
    public typealias Paths = [Peer: Path]

    /// What one agent may publish; one more is refused.
    public let maximumRoutesPerPeer: Int
    private(set) var vrfs: [String: VRF] = [:]
    private var peers: [Peer: PeerState] = [:]
    /// Agents that are expected to publish again after a restart of the server.
    private var awaited: Set<Peer>
    private var subscriptionCount: UInt64 = 0

    struct VRF: Sendable {
        var routes: [RouteAdvertisement.Destination: Paths] = [:]
        var subscribers: Set<Peer> = []
    }
    struct PeerState: Sendable {
        var isConnected = false
        /// Instance id by VRF.
        var subscriptions: [String: UInt32?] = [:]
        /// Where it has paths.
        var published: [String: Set<RouteAdvertisement.Destination>] = [:]
        var publishedCount = 0
        var saidEndOfRIB = false
        /// Counts streams, so that a timer of an earlier one does nothing.
        var epoch: UInt64 = 0
        /// The latest subscription; 0 when there is none since End-of-RIB was told.
        var latestSubscription: UInt64 = 0
        /// No subscription followed the latest: End-of-RIB is due.
        var isQuiet = false
    }

    /// - Parameter awaiting: the agents that are expected to come back; empty when there is nothing to restart from.
    public init(awaiting: Set<Peer> = [], maximumRoutesPerPeer: Int = 200_000) {
        awaited = awaiting
        self.maximumRoutesPerPeer = maximumRoutesPerPeer
    }

    // MARK: - Reading

    public var routeCount: Int { vrfs.values.reduce(0) { $0 + $1.routes.count } }
    /// The routes of one VRF or of all, in order.
    public func routes(vrf: String? = nil) -> [(vrf: String, destination: RouteAdvertisement.Destination, paths: Paths)] {
        vrfs.filter { vrf == nil || $0.key == vrf }.sorted { $0.key < $1.key }.flatMap { name, table in
            table.routes.map { (key: "\($0.key.family.rawValue)/\($0.key)", value: (vrf: name, destination: $0.key, paths: $0.value)) }
                .sorted { $0.key < $1.key }.map(\.value)
        }
    }
    public func subscriptions(of peer: Peer) -> [String] { peers[peer].map { $0.subscriptions.keys.sorted() } ?? [] }
    public func publishedCount(of peer: Peer) -> Int { peers[peer]?.publishedCount ?? 0 }
    public func saidEndOfRIB(_ peer: Peer) -> Bool { peers[peer]?.saidEndOfRIB ?? false }

    // MARK: - Streams

    public mutating func connected(_ peer: Peer) -> [Delivery] {
        // A stream that replaces another: the other is gone.
        let deliveries = peers[peer]?.isConnected == true ? disconnected(peer).deliveries : []
        peers[peer, default: PeerState()].isConnected = true
        peers[peer]?.saidEndOfRIB = false
        return deliveries
    }

    /// The stream is gone. Call `restartTimeOver` with `epoch` when the restart time has passed; nil when there is nothing to wait for.
    public mutating func disconnected(_ peer: Peer) -> (deliveries: [Delivery], epoch: UInt64?) {
        guard var state = peers[peer], state.isConnected else { return ([], nil) }
        for vrf in state.subscriptions.keys {
            vrfs[vrf]?.subscribers.remove(peer)
            prune(vrf)
        }
        state.isConnected = false
        state.saidEndOfRIB = false
        state.subscriptions = [:]
        (state.latestSubscription, state.isQuiet) = (0, false)
        state.epoch += 1
        guard state.publishedCount > 0 else {
            peers[peer] = nil
            return ([], nil)
        }
        peers[peer] = state
        var deliveries: [Delivery] = []
        for (vrf, destinations) in state.published {
            for destination in destinations { deliveries += change(vrf, destination) { $0[peer]?.isStale = true } }
        }
        return (deliveries, state.epoch)
    }

    public mutating func restartTimeOver(_ peer: Peer, epoch: UInt64) -> [Delivery] {
        guard let state = peers[peer], state.epoch == epoch else { return [] }
        return sweep(peer)
    }

    /// The deferral time after the server's own start is over.
    public mutating func deferralTimeOver() -> [Delivery] {
        awaited = []
        return releaseEndOfRIB()
    }

    // MARK: - Subscribers

    /// Everything there is in the VRF. Subscribing again tells it all again. Call `quiet` with `number` when some time has passed.
    public mutating func subscribe(_ peer: Peer, vrf: String, instanceID: UInt32?) -> (deliveries: [Delivery], number: UInt64) {
        subscriptionCount += 1
        peers[peer, default: PeerState(isConnected: true)].subscriptions[vrf] = .some(instanceID)
        peers[peer]?.latestSubscription = subscriptionCount
        peers[peer]?.isQuiet = false
        vrfs[vrf, default: VRF()].subscribers.insert(peer)
        var deliveries: [Delivery] = []
        for (_, paths) in vrfs[vrf]?.routes ?? [:] {
            if let best = Self.best(paths, excluding: peer) { deliveries.append(Delivery(peers: [peer], update: .advertise(best))) }
        }
        return (deliveries, subscriptionCount)
    }

    /// Some time has passed since the subscription of this number: End-of-RIB, unless another followed or the deferral holds it back.
    public mutating func quiet(_ peer: Peer, number: UInt64) -> [Delivery] {
        guard peers[peer]?.latestSubscription == number else { return [] }
        peers[peer]?.isQuiet = true
        return releaseEndOfRIB()
    }

    /// False when there was no subscription.
    public mutating func unsubscribe(_ peer: Peer, vrf: String) -> Bool {
        guard peers[peer]?.subscriptions.removeValue(forKey: vrf) != nil else { return false }
        vrfs[vrf]?.subscribers.remove(peer)
        prune(vrf)
        return true
    }

    // MARK: - Publishers

    /// True when the peer may publish all of these.
    public func hasRoom(for routes: [RouteAdvertisement], of peer: Peer) -> Bool {
        let state = peers[peer]
        let new = Set(routes.lazy.filter { state?.published[$0.vrf]?.contains($0.destination) != true }.map(\.node))
        return (state?.publishedCount ?? 0) + new.count <= maximumRoutesPerPeer
    }

    /// Nil when the peer has published as much as it may.
    public mutating func publish(_ peer: Peer, _ route: RouteAdvertisement) -> [Delivery]? {
        var state = peers[peer] ?? PeerState(isConnected: true)
        if state.published[route.vrf]?.contains(route.destination) != true {
            guard state.publishedCount < maximumRoutesPerPeer else { return nil }
            state.published[route.vrf, default: []].insert(route.destination)
            state.publishedCount += 1
        }
        peers[peer] = state
        return change(route.vrf, route.destination) { $0[peer] = Path(route: route) }
    }

    /// Nil when the peer has no such route.
    public mutating func withdraw(_ peer: Peer, vrf: String, _ destination: RouteAdvertisement.Destination) -> [Delivery]? {
        guard peers[peer]?.published[vrf]?.remove(destination) != nil else { return nil }
        peers[peer]?.publishedCount -= 1
        if peers[peer]?.published[vrf]?.isEmpty == true { peers[peer]?.published[vrf] = nil }
        let deliveries = change(vrf, destination) { $0[peer] = nil }
        prune(vrf)
        return deliveries
    }

    /// The peer has published everything it has.
    public mutating func endOfRIB(_ peer: Peer) -> [Delivery] {
        peers[peer]?.saidEndOfRIB = true
        awaited.remove(peer)
        return sweep(peer) + releaseEndOfRIB()
    }

    // MARK: - Inside

    /// Withdraws what is still stale.
    private mutating func sweep(_ peer: Peer) -> [Delivery] {
        var deliveries: [Delivery] = []
        for (vrf, destinations) in peers[peer]?.published ?? [:] {
            for destination in destinations where vrfs[vrf]?.routes[destination]?[peer]?.isStale == true {
                deliveries += withdraw(peer, vrf: vrf, destination) ?? []
            }
        }
        if let state = peers[peer], !state.isConnected, state.publishedCount == 0 { peers[peer] = nil }
        return deliveries
    }

    private mutating func releaseEndOfRIB() -> [Delivery] {
        var deliveries: [Delivery] = []
        for peer in peers.keys.sorted() where peers[peer]?.isQuiet == true && awaited.subtracting([peer]).isEmpty {
            peers[peer]?.isQuiet = false
            peers[peer]?.latestSubscription = 0
            deliveries.append(Delivery(peers: [peer], update: .endOfRIB))
        }
        return deliveries
    }

    private mutating func prune(_ vrf: String) {
        if let table = vrfs[vrf], table.routes.isEmpty, table.subscribers.isEmpty { vrfs[vrf] = nil }
    }

    /// Changes the paths of a route, and tells each subscriber for whom that makes a difference.
    private mutating func change(
        _ vrf: String, _ destination: RouteAdvertisement.Destination, _ body: (inout Paths) -> Void
    ) -> [Delivery] {
        var table = vrfs.removeValue(forKey: vrf) ?? VRF()
        defer { vrfs[vrf] = table }
        let before = table.routes.removeValue(forKey: destination) ?? [:]
        var after = before
        body(&after)
        if !after.isEmpty { table.routes[destination] = after }
        guard before != after else { return [] }

        func news(_ old: RouteAdvertisement?, _ new: RouteAdvertisement?) -> Update? {
            guard old != new else { return nil }
            return new.map { .advertise($0) } ?? .withdraw(vrf: vrf, destination)
        }
        // Nearly every subscriber has no path of its own to this destination, and all those are told the same.
        let own = table.subscribers.filter { before[$0] != nil || after[$0] != nil }
        var deliveries: [Delivery] = []
        if own.count < table.subscribers.count, let update = news(Self.best(before), Self.best(after)) {
            deliveries.append(Delivery(peers: table.subscribers.subtracting(own).sorted(), update: update))
        }
        for peer in own.sorted() {
            if let update = news(Self.best(before, excluding: peer), Self.best(after, excluding: peer)) {
                deliveries.append(Delivery(peers: [peer], update: update))
            }
        }
        return deliveries
    }

    /// The best of the paths as one route; nil when there is none.
    static func best(_ paths: Paths, excluding peer: Peer? = nil) -> RouteAdvertisement? {
        func rank(_ path: Path) -> (Int, UInt32, UInt32) { (path.isStale ? 0 : 1, path.route.localPreference, path.route.sequence) }
        let candidates = paths.filter { $0.key != peer }
        guard let top = candidates.values.map(rank).max(by: <) else { return nil }
        var best: RouteAdvertisement?
        for (_, path) in candidates.sorted(by: { $0.key < $1.key }) where rank(path) == top {
            if best == nil { best = path.route; continue }
            for hop in path.route.nextHops where best?.nextHops.contains(hop) == false { best?.nextHops.append(hop) }
        }
        if let count = best?.nextHops.count, count > RouteAdvertisement.maximumNextHops {
            best?.nextHops.removeLast(count - RouteAdvertisement.maximumNextHops)
        }
        return best
    }
}
