import NetTypes
import Overlay
import Testing
import XMPP

@testable import Agent

@Suite struct RouteStoreTests {
    let key = RouteStore.Key(vrf: "blue", destination: .inet(IPPrefix("10.1.0.12/32")!))
    let second = IPv4Address(10, 0, 0, 13)

    /// Routes of controllers 0 and 1, and whose path is used.
    static let table: [(RouteAdvertisement, RouteAdvertisement, Int)] = [
        (Fixture.route("blue", "10.1.0.12/32", label: 1, preference: 100), Fixture.route("blue", "10.1.0.12/32", label: 2, preference: 200), 1),
        (Fixture.route("blue", "10.1.0.12/32", label: 1, sequence: 3), Fixture.route("blue", "10.1.0.12/32", label: 2, sequence: 2), 0),
        (Fixture.route("blue", "10.1.0.12/32", label: 1, via: IPv4Address(10, 0, 0, 13)), Fixture.route("blue", "10.1.0.12/32", label: 2), 1),
        (Fixture.route("blue", "10.1.0.12/32", label: 1), Fixture.route("blue", "10.1.0.12/32", label: 2), 0),
        (Fixture.route("blue", "10.1.0.12/32", label: 1, preference: 200), Fixture.route("blue", "10.1.0.12/32", label: 2, sequence: 9), 0),
    ]
    @Test(arguments: table.indices) func bestPath(_ index: Int) {
        let (first, second, winner) = Self.table[index]
        var store = RouteStore()
        store.update(second, from: 1)
        store.update(first, from: 0)
        #expect(store.best(key)?.nextHops.first?.label == UInt32(winner + 1))
    }

    @Test func staleUntilEndOfRIB() {
        var store = RouteStore()
        store.update(Fixture.route("blue", "10.1.0.12/32", label: 1), from: 0)
        store.update(Fixture.route("blue", "10.1.0.13/32", label: 1), from: 0)
        store.markStale(0)
        #expect(store.bestRoutes().count == 2 && store.count(from: 0) == (2, 2))
        store.update(Fixture.route("blue", "10.1.0.12/32", label: 1), from: 0)
        #expect(store.sweep(0) == 1)
        #expect(store.bestRoutes().keys.map(\.destination) == [key.destination])
    }

    @Test func freshBeatsStale() {
        var store = RouteStore()
        store.update(Fixture.route("blue", "10.1.0.12/32", label: 1, preference: 200), from: 0)
        store.markStale(0)
        store.update(Fixture.route("blue", "10.1.0.12/32", label: 2), from: 1)
        #expect(store.best(key)?.nextHops.first?.label == 2)
    }

    @Test func withdrawals() {
        var store = RouteStore()
        store.update(Fixture.route("blue", "10.1.0.12/32", label: 1), from: 0)
        store.update(Fixture.route("blue", "10.1.0.12/32", label: 2), from: 1)
        store.withdraw(key, from: 0)
        #expect(store.best(key)?.nextHops.first?.label == 2)
        store.withdraw(key, from: 1)
        store.withdraw(key, from: 1)
        #expect(store.best(key) == nil && store.paths.isEmpty)
    }
}

@Suite struct RouteExchangeTests {
    let route = Fixture.route("blue", "10.1.0.10/32", label: 5001)
    var key: RouteStore.Key { RouteStore.Key(vrf: route.vrf, destination: route.destination) }

    @Test func subscribesPublishesThenEndOfRIB() {
        var exchange = RouteExchange()
        func next() -> [RouteExchange.Request] { exchange.plan(vrfs: ["blue": 4], exports: [key: route], isComplete: true, now: .zero) }
        #expect(next() == [.subscribe(vrf: "blue", instance: 4)])
        exchange.acknowledged(.subscribe(vrf: "blue", instance: 4))
        #expect(next() == [.publish(route)])
        exchange.acknowledged(.publish(route))
        #expect(next() == [.endOfRIB])
        exchange.acknowledged(.endOfRIB)
        #expect(next().isEmpty)
        // Gone: withdrawn, then unsubscribed.
        #expect(exchange.plan(vrfs: [:], exports: [:], isComplete: true, now: .zero) == [.withdraw(key)])
        exchange.acknowledged(.withdraw(key))
        #expect(exchange.plan(vrfs: [:], exports: [:], isComplete: true, now: .zero) == [.unsubscribe(vrf: "blue")])
        exchange.acknowledged(.unsubscribe(vrf: "blue"))
        #expect(exchange.plan(vrfs: [:], exports: [:], isComplete: true, now: .zero).isEmpty)
    }

    /// A route that another network is told outlives the subscription to it: while that ends, the route's own port goes.
    @Test func whatWasPublishedIsWithdrawnAfterTheSubscription() {
        var exchange = RouteExchange()
        exchange.acknowledged(.subscribe(vrf: "blue", instance: 4))
        exchange.acknowledged(.publish(route))
        let exports = [key: route]
        #expect(exchange.plan(vrfs: [:], exports: exports, isComplete: false, now: .zero) == [.unsubscribe(vrf: "blue")])
        exchange.acknowledged(.unsubscribe(vrf: "blue"))
        #expect(exchange.plan(vrfs: [:], exports: exports, isComplete: false, now: .zero).isEmpty)
        #expect(exchange.plan(vrfs: [:], exports: [:], isComplete: false, now: .zero) == [.withdraw(key)])
    }

    @Test func aChangedRouteIsPublishedAgain() {
        var exchange = RouteExchange()
        exchange.acknowledged(.subscribe(vrf: "blue", instance: 4))
        exchange.acknowledged(.publish(route))
        let changed = Fixture.route("blue", "10.1.0.10/32", label: 6000)
        #expect(exchange.plan(vrfs: ["blue": 4], exports: [key: changed], isComplete: false, now: .zero) == [.publish(changed)])
    }

    @Test func endOfRIBWaitsForCompleteness() {
        var exchange = RouteExchange()
        #expect(exchange.plan(vrfs: [:], exports: [:], isComplete: false, now: .zero).isEmpty)
        #expect(exchange.plan(vrfs: [:], exports: [:], isComplete: true, now: .zero) == [.endOfRIB])
        exchange.acknowledged(.endOfRIB)
        #expect(exchange.hasSentEndOfRIB)
    }

    @Test func aRefusedRequestIsRepeatedLater() {
        var exchange = RouteExchange()
        let subscribe = RouteExchange.Request.subscribe(vrf: "blue", instance: 4)
        exchange.refused(subscribe, reason: "item-not-found", now: .zero)
        func next(_ now: Duration) -> [RouteExchange.Request] { exchange.plan(vrfs: ["blue": 4], exports: [key: route], isComplete: false, now: now) }
        #expect(next(.seconds(1)).isEmpty)
        #expect(next(.seconds(2)) == [subscribe])
        exchange.refused(subscribe, reason: "item-not-found", now: .seconds(2))
        #expect(exchange.refused[subscribe]?.retries == 1 && exchange.nextRetry == .seconds(6))
        exchange.forgetRefusals(vrfs: [:], exports: [:])
        #expect(exchange.refused.isEmpty)
    }

    @Test func aRenumberedVRFIsSubscribedAnew() {
        var exchange = RouteExchange()
        exchange.acknowledged(.subscribe(vrf: "blue", instance: 4))
        #expect(exchange.plan(vrfs: ["blue": 5], exports: [:], isComplete: false, now: .zero) == [.unsubscribe(vrf: "blue")])
        exchange.acknowledged(.unsubscribe(vrf: "blue"))
        #expect(exchange.plan(vrfs: ["blue": 5], exports: [:], isComplete: false, now: .zero) == [.subscribe(vrf: "blue", instance: 5)])
    }

    /// A hundred to a stanza, one table each; one alone on its own node.
    @Test func batches() {
        let routes = (0..<250).map { Fixture.route("blue", "10.1.\($0 / 250).\($0)/32", label: 5001) }
        let other = Fixture.route("blue", "fd00:1::9/128", label: 5001)
        let batches = RouteExchange.batches((routes + [other]).map { .publish($0) } + [.withdraw(key)])
        #expect(batches.map(\.requests.count).sorted() == [1, 1, 50, 100, 100])
        for batch in batches where batch.requests.count > 1 {
            guard case .publish("1/1/blue", let items) = batch.pubsub else { Issue.record("\(batch.pubsub.node)"); continue }
            #expect(items.count == batch.requests.count)
        }
        #expect(batches.contains { $0.pubsub == .publish(node: "2/1/blue/fd00:1::9/128", items: [other.item]) })
        #expect(batches.contains { $0.pubsub == RouteExchange.Request.withdraw(key).pubsub })
        #expect(Set(batches.flatMap(\.requests)).count == 252)
    }

    @Test func wireShapes() {
        #expect(RouteExchange.Request.subscribe(vrf: "blue", instance: 4).pubsub == .subscribe(node: "blue", instanceID: 4))
        #expect(RouteExchange.Request.publish(route).pubsub.node == "1/1/blue/10.1.0.10/32")
        #expect(RouteExchange.Request.withdraw(key).pubsub == .retract(node: "1/1/blue/10.1.0.10/32", ids: ["10.1.0.10/32"]))
        #expect(RouteExchange.Request.endOfRIB.pubsub == .publish(node: "0/0/EndOfRib", items: [PubSub.Item(id: "end-of-rib")]))
    }
}

@Suite struct ControllerEventTests {
    func message(_ node: String, _ changes: [PubSub.Event.Change]) -> Message {
        Message(payloads: [PubSub.Event(node: node, changes: changes).element])
    }

    @Test func configuration() {
        let events = ControllerEvent.decode(
            message(
                "compute-node/node1",
                [
                    .item(.init(id: "VirtualNetwork/blue", payload: ConfigObject.virtualNetwork(Fixture.blue).element)), .retract(id: "Port/x"),
                    .item(.init(id: "end-of-config", payload: ConfigXML.endOfConfig)),
                ]), node: "node1")
        #expect(events == [.config(.virtualNetwork(Fixture.blue)), .configRemoved(Overlay.ObjectKey(.port, "x")), .endOfConfig])
    }

    @Test func routes() {
        let route = Fixture.route("blue", "10.1.0.12/32", label: 5001)
        let events = ControllerEvent.decode(message("1/1/blue", [.item(route.item), .retract(id: "10.1.0.13/32")]), node: "node1")
        #expect(events == [.route(route), .withdrawn(.init(vrf: "blue", destination: .inet(IPPrefix("10.1.0.13/32")!)))])
        #expect(ControllerEvent.decode(message("0/0/EndOfRib", [.item(.init(id: "end-of-rib"))]), node: "node1") == [.endOfRIB])
    }

    /// One bad item does not cost the others.
    @Test func malformedItems() {
        let route = Fixture.route("blue", "10.1.0.12/32", label: 5001)
        let bad = XMLElement("entry", text: "?")
        let events = ControllerEvent.decode(
            message("1/1/blue", [.item(.init(id: "x", payload: bad)), .item(.init(id: "y")), .item(route.item), .retract(id: "nonsense")]),
            node: "node1")
        #expect(events.count == 4 && events[2] == .route(route))
        for index in [0, 1, 3] { if case .malformed = events[index] {} else { Issue.record("\(events[index])") } }
        #expect(ControllerEvent.decode(message("compute-node/other", [.retract(id: "Port/x")]), node: "node1").count == 1)
        #expect(ControllerEvent.decode(Message(), node: "node1").isEmpty)
        // An IPv6 destination in the IPv4 table.
        let wrong = Fixture.route("blue", "fd00:1::12/128", label: 5001)
        if case .malformed? = ControllerEvent.decode(message("1/1/blue", [.item(wrong.item)]), node: "node1").first {
        } else {
            Issue.record("accepted")
        }
    }
}

@Suite struct ConfigStoreTests {
    @Test func staleUntilEndOfConfig() {
        var store = ConfigStore()
        store.update(.virtualNetwork(Fixture.blue))
        store.update(.port(Fixture.blueA))
        #expect(!store.isComplete)
        store.endOfConfig()
        #expect(store.isComplete && store.objects.count == 2)
        store.markStale()
        #expect(store.networks.count == 1)
        store.update(.virtualNetwork(Fixture.blue))
        store.endOfConfig()
        #expect(store.ports(of: "node1").isEmpty && store.networks.count == 1)
    }

    @Test func portsOfOtherNodesAreNotUsed() {
        var store = ConfigStore()
        store.update(.port(Fixture.blueA))
        #expect(store.ports(of: "node2").isEmpty && store.ports(of: "node1").count == 1)
    }
}
