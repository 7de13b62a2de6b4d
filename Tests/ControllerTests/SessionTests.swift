import Controller
import NetTypes
import Overlay
import Testing
import XMPP

/// Agents and the controller over real loopback streams.
@Suite struct SessionTests {
    @Test func configurationIsPushedAsDifferences() async throws {
        let directory = try TemporaryDirectory()
        let store = directory.path + "/c.sqlite"
        try await RunningController.with(store: store) { controller in
            _ = try await controller.http("POST", "/v1/apply", body: demo)
            try await ScriptedAgent.with("node1", password: "one", controller) { agent, session in
                let result = try await session.ask("config", .subscribe(node: "compute-node/node1", jid: JID("node1@vrouter.local")))
                #expect(result.payload?.child(named: "subscription")?["subscription"] == "subscribed")
                let own = "compute-node/node1"
                #expect(
                    await agent.told(upTo: "+\(own) end-of-config")
                        == [
                            "+\(own) ComputeNode/node1", "+\(own) VirtualNetwork/blue", "+\(own) Port/blue1", "+\(own) Port/blue3",
                            "+\(own) end-of-config",
                        ])
                let network = try ConfigObject(element: #require(agent.payload("\(own) VirtualNetwork/blue")))
                #expect(network.spec.json.contains(#""vni":1"#))
                // Of two changes only the second concerns node1.
                _ = try await controller.http(
                    "POST", "/v1/apply", body: port("red4", network: "red", node: "node2", mac: "02:00:00:00:02:14", address: "10.2.0.14"))
                _ = try await controller.http("POST", "/v1/apply", body: port("blue1", mac: "02:00:00:00:01:11", address: "10.1.0.21"))
                #expect(await agent.told(upTo: "+\(own) Port/blue1") == ["+\(own) Port/blue1"])
                _ = try await controller.http("DELETE", "/v1/objects/Port/blue1")
                #expect(
                    await agent.told(upTo: "-\(own) VirtualNetwork/blue") == [
                        "-\(own) Port/blue1", "-\(own) VirtualNetwork/blue", "-\(own) Port/blue3",
                    ])
            }
        }
        // The controller has restarted: the same configuration.
        try await RunningController.with(store: store) { controller in
            try await ScriptedAgent.with("node2", password: "two", controller) { agent, session in
                try await session.ask("config", .subscribe(node: "compute-node/node2"))
                #expect(await agent.told(upTo: "+compute-node/node2 end-of-config").count == 7)
            }
        }
    }

    @Test func routesAreExchangedAndComeBackAfterALoss() async throws {
        let directory = try TemporaryDirectory()
        try await RunningController.with(store: directory.path + "/c.sqlite") { controller in
            let one = route("10.1.0.11/32", via: "10.0.0.11"), two = route("10.1.0.12/32", via: "10.0.0.11")
            let mac = RouteAdvertisement(
                vrf: "blue", destination: .evpn(MACAddress("02:00:00:00:01:11")!, nil),
                nextHops: [.init(address: IPAddress("10.0.0.11")!, label: 5001, encapsulations: [.vxlan])])
            try await ScriptedAgent.with("node2", password: "two", controller) { listener, session in
                try await ScriptedAgent.with("node1", password: "one", controller) { agent, session in
                    try await session.ask("routes", .subscribe(node: "blue", instanceID: 1))
                    for route in [one, two, mac] { try await session.ask("routes", .publish(node: route.node, items: [route.item])) }
                    try await session.ask("routes", .publish(node: RouteNode.endOfRIB, items: []))
                    #expect(await agent.told(upTo: "+0/0/EndOfRib end-of-rib") == ["+0/0/EndOfRib end-of-rib"], "nothing of its own")
                }
                // The publisher is gone, its routes are not.
                let routes = try await controller.json("GET", "/v1/routes?vrf=blue").value["routes"]
                #expect(routes?.count == 3)
                #expect(routes?[0]?["paths"]?[0]?["origin"] == .string("node1"))
                try await session.ask("routes", .subscribe(node: "blue", instanceID: 1))
                #expect(
                    await Set(listener.told(upTo: "+0/0/EndOfRib end-of-rib"))
                        == [
                            "+1/1/blue 10.1.0.11/32", "+1/1/blue 10.1.0.12/32", "+25/242/blue 02:00:00:00:01:11,0.0.0.0/32",
                            "+0/0/EndOfRib end-of-rib",
                        ])
                #expect(try RouteAdvertisement(entry: #require(listener.payload("1/1/blue 10.1.0.11/32")), vrf: "blue") == one)
                // It is back and has one route less: only that is news.
                try await ScriptedAgent.with("node1", password: "one", controller) { agent, session in
                    let table = "1/1/blue"
                    try await session.ask("routes", .publish(node: table, items: [one.item]))
                    try await session.ask("routes", .publish(node: mac.node, items: [mac.item]))
                    session.send(
                        .message(
                            Message(
                                to: JID("controller@vrouter.local/routes"), payloads: [PubSub.Event(node: RouteNode.endOfRIB, changes: []).element])))
                    #expect(await listener.told(upTo: "-1/1/blue 10.1.0.12/32") == ["-1/1/blue 10.1.0.12/32"])
                    try await session.ask("routes", .retract(node: one.node, ids: ["10.1.0.11/32"]))
                    try await session.ask("routes", .retract(node: "25/242/blue", ids: ["02:00:00:00:01:11,0.0.0.0/32"]))
                    #expect(
                        await listener.told(upTo: "-25/242/blue 02:00:00:00:01:11,0.0.0.0/32") == [
                            "-1/1/blue 10.1.0.11/32", "-25/242/blue 02:00:00:00:01:11,0.0.0.0/32",
                        ])
                }
                let status = try await controller.json("GET", "/v1/status").value
                #expect(status["routes"] == .integer(0))
                #expect(status["agents"]?[0]?["subscriptions"] == .list([.string("blue")]))
            }
        }
    }

    @Test func aBadRequestIsAnsweredAndHarmsNothing() async throws {
        let directory = try TemporaryDirectory()
        try await RunningController.with(store: directory.path + "/c.sqlite") { controller in
            try await ScriptedAgent.with("node1", password: "one", controller) { agent, session in
                let good = route("10.1.0.11/32", via: "10.0.0.11")
                let bad = PubSub.Item(id: "x", payload: XMLElement("entry"))
                let cases: [(String, PubSub.Request, StanzaError.Condition)] = [
                    ("config", .subscribe(node: "compute-node/node2"), .forbidden),
                    ("config", .subscribe(node: "weather"), .itemNotFound),
                    ("config", .subscribe(node: "compute-node/node1", jid: JID("node2@vrouter.local")), .badRequest),
                    ("config", .publish(node: "compute-node/node1", items: [good.item]), .forbidden),
                    ("config", .unsubscribe(node: "compute-node/node1"), .unexpectedRequest),
                    ("weather", .subscribe(node: "blue"), .serviceUnavailable),
                    ("routes", .subscribe(node: "a/b"), .itemNotFound),
                    ("routes", .unsubscribe(node: "blue"), .unexpectedRequest),
                    ("routes", .publish(node: "1/1/blue/10.1.0.0/99", items: [good.item]), .itemNotFound),
                    ("routes", .publish(node: "7/7/blue/10.1.0.11/32", items: [good.item]), .itemNotFound),
                    ("routes", .publish(node: "1/1/blue/10.1.0.12/32", items: [good.item]), .badRequest),
                    ("routes", .publish(node: good.node, items: []), .badRequest),
                    ("routes", .publish(node: good.node, items: [PubSub.Item(id: "x")]), .badRequest),
                    // One bad item of two: neither is taken.
                    ("routes", .publish(node: "1/1/blue", items: [good.item, bad]), .badRequest),
                    ("routes", .retract(node: good.node, ids: ["10.1.0.11/32"]), .itemNotFound),
                    ("routes", .retract(node: "1/1/blue", ids: ["ten"]), .badRequest),
                ]
                for (service, request, condition) in cases {
                    let error = await #expect(throws: StanzaError.self) { try await session.ask(service, request) }
                    #expect(error?.condition == condition, "\(request): \(String(describing: error))")
                }
                let unknown = await #expect(throws: StanzaError.self) {
                    try await session.request(
                        IQ(.get, to: JID("controller@vrouter.local/routes"), payload: XMLElement("query", namespace: "jabber:iq:roster")))
                }
                #expect(unknown?.condition == .serviceUnavailable)
                #expect(try await controller.json("GET", "/v1/status").value["routes"] == .integer(0))
                try await session.ask("routes", .publish(node: good.node, items: [good.item]))
                #expect(try await controller.json("GET", "/v1/status").value["routes"] == .integer(1))
            }
        }
    }

    /// The most rules that a SecurityGroup and NetworkPolicies may have.
    @Test func theLargestObjectsArrive() async throws {
        func rules(_ peer: String) -> String {
            (0..<SecurityGroup.ruleCapacity).map {
                "{protocol: tcp, ports: [\($0 + 1)], \(peer): {prefixes: [10.\($0 / 250).\($0 % 250).0/24]}}"
            }.joined(separator: ", ")
        }
        func policy(_ name: String) -> String {
            let rules = (0..<NetworkPolicy.ruleCapacity).map {
                "{action: pass, protocol: tcp, ports: [\($0 + 1)], source: {network: blue}, destination: {prefixes: [192.0.2.\($0 % 250)/32]}}"
            }.joined(separator: ", ")
            return "---\nkind: NetworkPolicy\nmetadata: {name: \(name)}\nspec: {rules: [\(rules)]}\n"
        }
        let text =
            demo.replacing("spec: {subnets: [{prefix: 10.1.0.0/24}]}", with: "spec: {subnets: [{prefix: 10.1.0.0/24}], policies: [one, two]}")
            .replacing("interface: tap-blue1", with: "interface: tap-blue1, securityGroups: [large]") + "\n" + policy("one") + policy("two")
            + "---\nkind: SecurityGroup\nmetadata: {name: large}\nspec: {ingress: [\(rules("from"))], egress: [\(rules("to"))]}\n"
        let directory = try TemporaryDirectory()
        try await RunningController.with(store: directory.path + "/c.sqlite") { controller in
            let reply = try await controller.http("POST", "/v1/apply", body: text)
            #expect(reply.status == 200, "\(reply.body.prefix(300))")
            try await ScriptedAgent.with("node1", password: "one", controller) { agent, session in
                try await session.ask("config", .subscribe(node: "compute-node/node1"))
                let own = "compute-node/node1"
                let told = await agent.told(upTo: "+\(own) end-of-config")
                #expect(
                    Set(["one", "two"].map { "+\(own) NetworkPolicy/\($0)" } + ["+\(own) SecurityGroup/large", "+\(own) end-of-config"]).isSubset(
                        of: told))
                guard case .securityGroup(let group) = try ConfigObject(element: #require(agent.payload("\(own) SecurityGroup/large"))) else {
                    return
                }
                #expect(group.ingress.count == 10_000 && group.egress.last?.ports == [10_000...10_000])
                #expect(session.isOpen)
            }
        }
    }

    @Test func aWrongPasswordIsRefused() async throws {
        let directory = try TemporaryDirectory()
        try await RunningController.with(store: directory.path + "/c.sqlite") { controller in
            for (node, password) in [("node1", "two"), ("node9", "one")] {
                let end = await #expect(throws: SessionEnd.self) { try await ScriptedAgent.with(node, password: password, controller) { _, _ in } }
                guard case .authenticationFailed? = end else { Issue.record("\(String(describing: end))"); continue }
            }
        }
    }

    @Test func manyRoutesTravelInFewStanzas() async throws {
        let directory = try TemporaryDirectory()
        try await RunningController.with(store: directory.path + "/c.sqlite") { controller in
            try await ScriptedAgent.with("node1", password: "one", controller) { _, publisher in
                for batch in 0..<20 {
                    let items = (0..<100).map { route("10.1.\(batch).\($0)/32", via: "10.0.0.11").item }
                    try await publisher.ask("routes", .publish(node: "1/1/blue", items: items))
                }
                try await ScriptedAgent.with("node2", password: "two", controller) { agent, session in
                    try await session.ask("routes", .subscribe(node: "blue"))
                    let told = await agent.told(upTo: "+0/0/EndOfRib end-of-rib")
                    #expect(told.count == 2001 && Set(told).count == 2001 && told.last == "+0/0/EndOfRib end-of-rib")
                    let status = try await controller.json("GET", "/v1/status").value
                    #expect(status["agents"]?[0]?["routesReceived"] == .integer(2000) && status["agents"]?[1]?["routesSent"] == .integer(2000))
                }
            }
        }
    }
}
