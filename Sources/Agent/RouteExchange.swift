import NetTypes
import Overlay
import XMPP

/// What one controller has been told and has acknowledged, and what it must still be told: a pure state machine for the route side
/// of one session.
///
/// Requests are differences: subscriptions first, then what is published in subscribed VRFs, withdrawals, unsubscriptions; once per
/// session, when nothing is left to say, End-of-RIB. A refused request is kept with its reason and asked again after a pause.
///
/// Thread-safety: a value.
struct RouteExchange: Sendable {
    enum Request: Hashable, Sendable {
        case subscribe(vrf: String, instance: UInt32)
        case publish(RouteAdvertisement)
        case withdraw(RouteStore.Key)
        case unsubscribe(vrf: String)
        case endOfRIB
    }
    struct Refusal: Hashable, Sendable {
        var reason: String
        var retries: Int
        var retryAt: Duration
    }
    static let pause = Duration.seconds(2)
    static let longestPause = Duration.seconds(30)

    private(set) var subscribed: [String: UInt32] = [:]
    private(set) var published: [RouteStore.Key: RouteAdvertisement] = [:]
    private(set) var refused: [Request: Refusal] = [:]
    private(set) var hasSentEndOfRIB = false

    /// Requests that may be under way together: none depends on another. Empty: nothing to say now.
    /// `isComplete`: everything this node has to say is in `exports`, so End-of-RIB may follow.
    func plan(vrfs: [String: UInt32], exports: [RouteStore.Key: RouteAdvertisement], isComplete: Bool, now: Duration) -> [Request] {
        func isDue(_ request: Request) -> Bool { (refused[request]?.retryAt ?? now) <= now }
        // An instance id that changed takes a new subscription, and the old one must go first.
        let renumbered = subscribed.filter { vrfs[$0.key] != nil && vrfs[$0.key] != $0.value }.keys.map { Request.unsubscribe(vrf: $0) }
        let stages: [[Request]] = [
            renumbered,
            vrfs.filter { subscribed[$0.key] == nil }.map { .subscribe(vrf: $0.key, instance: $0.value) },
            // What other networks are told needs no VRF here.
            exports.filter { (subscribed[$0.key.vrf] != nil || vrfs[$0.key.vrf] == nil) && published[$0.key] != $0.value }.map { .publish($0.value) },
            published.keys.filter { exports[$0] == nil }.map { .withdraw($0) },
            subscribed.keys.filter { vrfs[$0] == nil }.map { .unsubscribe(vrf: $0) },
        ]
        for stage in stages {
            let due = stage.filter(isDue)
            if !due.isEmpty { return due }
        }
        // What is refused holds up neither the later stages nor End-of-RIB: the controller sweeps its stale copy of it, and that is right.
        return isComplete && !hasSentEndOfRIB && isDue(.endOfRIB) ? [.endOfRIB] : []
    }

    mutating func acknowledged(_ request: Request) {
        refused[request] = nil
        switch request {
        case .subscribe(let vrf, let instance): subscribed[vrf] = instance
        case .publish(let route): published[RouteStore.Key(vrf: route.vrf, destination: route.destination)] = route
        case .withdraw(let key): published[key] = nil
        // What we published there stays published: routes that another network is told need no subscription.
        case .unsubscribe(let vrf): subscribed[vrf] = nil
        case .endOfRIB: hasSentEndOfRIB = true
        }
    }

    mutating func refused(_ request: Request, reason: String, now: Duration) {
        let retries = refused[request].map { $0.retries + 1 } ?? 0
        refused[request] = Refusal(reason: reason, retries: retries, retryAt: now + min(Self.pause * (1 << min(retries, 8)), Self.longestPause))
    }

    /// Forgets refusals of what is no longer asked for.
    mutating func forgetRefusals(vrfs: [String: UInt32], exports: [RouteStore.Key: RouteAdvertisement]) {
        refused = refused.filter { request, _ in
            switch request {
            case .subscribe(let vrf, let instance): vrfs[vrf] == instance
            case .publish(let route): exports[RouteStore.Key(vrf: route.vrf, destination: route.destination)] == route
            case .withdraw(let key): exports[key] == nil && published[key] != nil
            case .unsubscribe(let vrf): subscribed[vrf] != nil
            case .endOfRIB: true
            }
        }
    }

    var nextRetry: Duration? { refused.values.map(\.retryAt).min() }
}

extension RouteExchange.Request {
    /// The pubsub request, in the shapes of draft-ietf-l3vpn-end-system as OpenSDN deploys them.
    var pubsub: PubSub.Request {
        switch self {
        case .subscribe(let vrf, let instance): .subscribe(node: vrf, instanceID: instance)
        case .unsubscribe(let vrf): .unsubscribe(node: vrf)
        case .publish(let route): .publish(node: route.node, items: [route.item])
        case .withdraw(let key):
            .retract(node: "\(RouteNode(vrf: key.vrf, destination: key.destination))", ids: [key.destination.description])
        case .endOfRIB: .publish(node: RouteNode.endOfRIB, items: [PubSub.Item(id: RouteNode.endOfRIBItemID)])
        }
    }
    var description: String {
        switch self {
        case .subscribe(let vrf, _): "subscribe \(vrf)"
        case .unsubscribe(let vrf): "unsubscribe \(vrf)"
        case .publish(let route): "publish \(route.node)"
        case .withdraw(let key): "withdraw \(key.vrf) \(key.destination)"
        case .endOfRIB: "End-of-RIB"
        }
    }
}

extension RouteExchange {
    /// Requests that travel in one stanza.
    struct Batch: Hashable, Sendable {
        var requests: [Request]
        var pubsub: PubSub.Request
    }
    static let batchSize = 100

    /// Packs publications and withdrawals of one route table together, as items of the table's node, a hundred to a stanza. One alone keeps
    /// the node of its own that OpenSDN gives each route.
    static func batches(_ requests: [Request]) -> [Batch] {
        var alone: [Batch] = []
        var published: [RouteNode: [RouteAdvertisement]] = [:]
        var withdrawn: [RouteNode: [RouteStore.Key]] = [:]
        for request in requests {
            switch request {
            case .publish(let route): published[RouteNode(table: route.destination.family, vrf: route.vrf), default: []].append(route)
            case .withdraw(let key): withdrawn[RouteNode(table: key.destination.family, vrf: key.vrf), default: []].append(key)
            case .subscribe, .unsubscribe, .endOfRIB: alone.append(Batch(requests: [request], pubsub: request.pubsub))
            }
        }
        for (node, routes) in published {
            for part in routes.chunks(of: batchSize) {
                alone.append(pack(part.map { .publish($0) }) { .publish(node: node.description, items: part.map(\.item)) })
            }
        }
        for (node, keys) in withdrawn {
            for part in keys.chunks(of: batchSize) {
                alone.append(pack(part.map { .withdraw($0) }) { .retract(node: node.description, ids: part.map(\.destination.description)) })
            }
        }
        return alone
    }

    private static func pack(_ requests: [Request], _ together: () -> PubSub.Request) -> Batch {
        if requests.count == 1, let only = requests.first { return Batch(requests: requests, pubsub: only.pubsub) }
        return Batch(requests: requests, pubsub: together())
    }
}

extension Array {
    fileprivate func chunks(of size: Int) -> [ArraySlice<Element>] {
        stride(from: 0, to: count, by: size).map { self[$0..<Swift.min($0 + size, count)] }
    }
}
