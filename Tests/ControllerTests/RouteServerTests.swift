import Controller
import NetTypes
import Overlay
import Testing

func route(_ prefix: String, via address: String, vrf: String = "blue", label: UInt32 = 16, sequence: UInt32 = 0, preference: UInt32 = 100)
    -> RouteAdvertisement
{
    RouteAdvertisement(
        vrf: vrf, destination: .inet(IPPrefix(prefix)!),
        nextHops: [.init(address: IPAddress(address)!, label: label, encapsulations: [.mplsOverUDP])], sequence: sequence,
        localPreference: preference)
}

@Suite struct RouteServerTests {
    /// `peers: +prefix via next hops`, one line for each delivery.
    func text(_ deliveries: [RouteServer.Delivery]?) -> [String]? {
        deliveries?.map { delivery in
            let who = delivery.peers.joined(separator: ",")
            switch delivery.update {
            case .advertise(let route): return "\(who): +\(route.destination) via \(route.nextHops.map(\.address.description).joined(separator: " "))"
            case .withdraw(_, let destination): return "\(who): -\(destination)"
            case .endOfRIB: return "\(who): end"
            }
        }
    }

    /// n1, n2 and n3 subscribed to blue.
    func three() -> RouteServer {
        var server = RouteServer()
        for peer in ["n1", "n2", "n3"] {
            #expect(server.connected(peer).isEmpty)
            #expect(server.subscribe(peer, vrf: "blue", instanceID: 1).deliveries.isEmpty)
        }
        return server
    }

    @Test func tellsTheOthersAndNotTheOrigin() {
        var server = three()
        #expect(text(server.publish("n1", route("10.1.0.11/32", via: "10.0.0.1"))) == ["n2,n3: +10.1.0.11/32 via 10.0.0.1"])
        #expect(text(server.publish("n1", route("10.1.0.11/32", via: "10.0.0.1"))) == [], "the same again")
        #expect(text(server.publish("n1", route("10.1.0.11/32", via: "10.0.0.1", label: 17))) == ["n2,n3: +10.1.0.11/32 via 10.0.0.1"])
        #expect(text(server.publish("n1", route("10.2.0.1/32", via: "10.0.0.1", vrf: "red"))) == [], "nobody there")
        #expect(text(server.withdraw("n1", vrf: "blue", .inet(IPPrefix("10.1.0.11/32")!))) == ["n2,n3: -10.1.0.11/32"])
        #expect(server.withdraw("n1", vrf: "blue", .inet(IPPrefix("10.1.0.11/32")!)) == nil)
        #expect(server.withdraw("n2", vrf: "red", .inet(IPPrefix("10.2.0.1/32")!)) == nil, "another's")
        #expect(server.routeCount == 1 && server.publishedCount(of: "n1") == 1)
    }

    /// Each agent's wish for broadcasts is a route of its own: every other agent hears of each, and they are not joined into one.
    @Test func inclusiveMulticastRoutesStandSideBySide() {
        func wish(_ address: String) -> RouteAdvertisement {
            RouteAdvertisement(
                vrf: "blue", destination: .inclusiveMulticast(of: IPAddress(address)!),
                nextHops: [.init(address: IPAddress(address)!, label: 5001, encapsulations: [.vxlan])])
        }
        var server = three()
        #expect(text(server.publish("n1", wish("10.0.0.1"))) == ["n2,n3: +ff:ff:ff:ff:ff:ff,10.0.0.1/32 via 10.0.0.1"])
        #expect(text(server.publish("n2", wish("10.0.0.2"))) == ["n1,n3: +ff:ff:ff:ff:ff:ff,10.0.0.2/32 via 10.0.0.2"])
        #expect(text(server.withdraw("n1", vrf: "blue", wish("10.0.0.1").destination)) == ["n2,n3: -ff:ff:ff:ff:ff:ff,10.0.0.1/32"])
        _ = server.connected("n4")
        let dump = server.subscribe("n4", vrf: "blue", instanceID: nil).deliveries
        #expect(text(dump) == ["n4: +ff:ff:ff:ff:ff:ff,10.0.0.2/32 via 10.0.0.2"])
    }

    @Test func dumpsAtSubscriptionAndEndsWhenQuiet() {
        var server = three()
        _ = server.publish("n1", route("10.1.0.11/32", via: "10.0.0.1"))
        _ = server.publish("n4", route("10.1.0.12/32", via: "10.0.0.4"))
        _ = server.connected("n4")
        let first = server.subscribe("n4", vrf: "blue", instanceID: nil)
        #expect(text(first.deliveries) == ["n4: +10.1.0.11/32 via 10.0.0.1"], "not its own")
        let second = server.subscribe("n4", vrf: "red", instanceID: nil)
        #expect(server.quiet("n4", number: first.number).isEmpty, "another subscription followed")
        #expect(text(server.quiet("n4", number: second.number)) == ["n4: end"])
        #expect(server.quiet("n4", number: second.number).isEmpty, "once")
        // Subscribing again: everything again, and the end again.
        let again = server.subscribe("n4", vrf: "blue", instanceID: nil)
        #expect(again.deliveries.count == 1)
        #expect(text(server.quiet("n4", number: again.number)) == ["n4: end"])
        #expect(server.subscriptions(of: "n4") == ["blue", "red"])
        #expect(server.unsubscribe("n4", vrf: "blue") && !server.unsubscribe("n4", vrf: "blue"))
        #expect(text(server.publish("n1", route("10.1.0.11/32", via: "10.0.0.9"))) == ["n2,n3: +10.1.0.11/32 via 10.0.0.9"])
    }

    @Test func equalPathsAreOneRouteWithSeveralNextHops() {
        var server = three()
        let destination = RouteAdvertisement.Destination.inet(IPPrefix("10.1.0.50/32")!)
        _ = server.publish("n1", route("10.1.0.50/32", via: "10.0.0.1"))
        #expect(
            text(server.publish("n2", route("10.1.0.50/32", via: "10.0.0.2")))
                == ["n3: +10.1.0.50/32 via 10.0.0.1 10.0.0.2", "n1: +10.1.0.50/32 via 10.0.0.2"], "n2 knows of n1 already")
        // It moved to n2.
        #expect(
            text(server.publish("n2", route("10.1.0.50/32", via: "10.0.0.2", sequence: 1))) == [
                "n3: +10.1.0.50/32 via 10.0.0.2", "n1: +10.1.0.50/32 via 10.0.0.2",
            ])
        // Preference counts before sequence.
        #expect(
            text(server.publish("n1", route("10.1.0.50/32", via: "10.0.0.1", preference: 200))) == [
                "n3: +10.1.0.50/32 via 10.0.0.1", "n2: +10.1.0.50/32 via 10.0.0.1",
            ])
        #expect(text(server.withdraw("n1", vrf: "blue", destination)) == ["n3: +10.1.0.50/32 via 10.0.0.2", "n2: -10.1.0.50/32"])
    }

    @Test func aLostAgentsRoutesStayUntilItHasToldAllAgain() throws {
        var server = three()
        _ = server.publish("n1", route("10.1.0.11/32", via: "10.0.0.1"))
        _ = server.publish("n1", route("10.1.0.12/32", via: "10.0.0.1"))
        let (deliveries, epoch) = server.disconnected("n1")
        #expect(deliveries.isEmpty)
        let timer = try #require(epoch)
        #expect(server.routes().allSatisfy { $0.paths["n1"]?.isStale == true } && server.routeCount == 2)
        // Others still learn them.
        #expect(text(server.subscribe("n4", vrf: "blue", instanceID: nil).deliveries)?.count == 2)

        #expect(server.connected("n1").isEmpty)
        #expect(text(server.publish("n1", route("10.1.0.11/32", via: "10.0.0.1"))) == [], "fresh again: no news for anybody")
        #expect(text(server.endOfRIB("n1")) == ["n2,n3,n4: -10.1.0.12/32"])
        #expect(server.saidEndOfRIB("n1"))
        #expect(server.restartTimeOver("n1", epoch: timer).isEmpty && server.routeCount == 1)
    }

    @Test func theRestartTimeSweeps() throws {
        var server = three()
        _ = server.publish("n1", route("10.1.0.11/32", via: "10.0.0.1"))
        let first = try #require(server.disconnected("n1").epoch)
        _ = server.connected("n1")
        let second = try #require(server.disconnected("n1").epoch)
        #expect(server.restartTimeOver("n1", epoch: first).isEmpty, "a timer of an earlier stream")
        #expect(text(server.restartTimeOver("n1", epoch: second)) == ["n2,n3: -10.1.0.11/32"])
        #expect(server.routeCount == 0)
        #expect(server.disconnected("n2").epoch == nil, "nothing to wait for")
    }

    @Test func aFreshPathIsPreferredToAStaleOne() {
        var server = three()
        _ = server.publish("n1", route("10.1.0.50/32", via: "10.0.0.1"))
        _ = server.publish("n2", route("10.1.0.50/32", via: "10.0.0.2"))
        #expect(text(server.disconnected("n1").deliveries) == ["n3: +10.1.0.50/32 via 10.0.0.2"])
    }

    @Test func afterItsOwnRestartItWaitsForTheAgentsItKnows() {
        var server = RouteServer(awaiting: ["n1", "n2", "gone"])
        _ = server.connected("n1")
        let number = server.subscribe("n1", vrf: "blue", instanceID: nil).number
        #expect(server.quiet("n1", number: number).isEmpty)
        #expect(server.endOfRIB("n1").isEmpty)
        _ = server.connected("n2")
        #expect(text(server.publish("n2", route("10.1.0.13/32", via: "10.0.0.2"))) == ["n1: +10.1.0.13/32 via 10.0.0.2"])
        #expect(server.endOfRIB("n2").isEmpty)
        #expect(text(server.deferralTimeOver()) == ["n1: end"])

        var pair = RouteServer(awaiting: ["n1", "n2"])
        _ = pair.connected("n1")
        _ = pair.quiet("n1", number: pair.subscribe("n1", vrf: "blue", instanceID: nil).number)
        #expect(text(pair.endOfRIB("n2")) == ["n1: end"], "its own is not waited for")
    }

    @Test func anAgentPublishesOnlySoMuch() {
        var server = RouteServer(maximumRoutesPerPeer: 2)
        let routes = (1...3).map { route("10.1.0.\($0)/32", via: "10.0.0.1") }
        #expect(!server.hasRoom(for: routes, of: "n1") && server.hasRoom(for: Array(routes.prefix(2)), of: "n1"))
        _ = server.publish("n1", routes[0])
        _ = server.publish("n1", routes[1])
        #expect(server.publish("n1", routes[2]) == nil)
        #expect(server.publish("n1", route("10.1.0.1/32", via: "10.0.0.7")) != nil, "one it has may change")
    }
}
