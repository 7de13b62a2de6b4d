import DataplaneAPI
import Foundation
import Logging
import NetTypes
import Overlay
import SwiftProtobuf
import Synchronization
import Testing
import XMPP

@testable import Agent

#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

/// The whole agent, with a data plane in memory behind real gRPC and a scripted controller behind the real XMPP server.
@Suite(.serialized) struct AgentTests {
    final class World: Sendable {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("agent-\(UUID().uuidString.prefix(8))").path
        let dataplane = MemoryDataplane()
        let controller = ScriptedController()
        let httpPort = Mutex(0)
        var socket: String { directory + "/d.sock" }
        let lines = Mutex<[String]>([])
        /// Keeps what is logged.
        struct Recorder: LogHandler {
            let world: World
            var metadata: Logger.Metadata = [:]
            var logLevel = Logger.Level.info
            subscript(metadataKey key: String) -> Logger.Metadata.Value? {
                get { metadata[key] }
                set { metadata[key] = newValue }
            }
            func log(event: LogEvent) {
                let metadata = (event.metadata ?? [:]).map { "\($0.key)=\($0.value)" }.sorted().joined(separator: " ")
                world.lines.withLock { $0.append("\(event.level) \(event.message) \(metadata)") }
            }
        }
        var logger: Logger { Logger(label: "test", factory: { _ in Recorder(world: self) }) }

        func configuration(xmppPort: Int) throws -> AgentConfiguration {
            try AgentConfiguration(
                yaml: """
                    node: node1
                    controllers: [{host: 127.0.0.1, port: \(xmppPort)}]
                    xmpp: {password: secret, transport: plaintext}
                    dataplane: {socket: \(socket)}
                    api: {port: 0}
                    fabric: {interface: fabric0, address: 10.0.0.11/24, gateway: 10.0.0.1, mac: "02:00:00:00:00:11"}
                    host: {interface: vhost0-vr}
                    state: \(directory)/ports
                    """, source: "test")
        }

        func server(port: Int = 0) async throws -> XMPPServer {
            let credential = try SCRAMCredential(password: "secret", iterations: 4096)
            return try await XMPPServer.listen(
                .init(host: "127.0.0.1", port: port, domain: "vrouter.local", credentials: { $0 == "node1" ? credential : nil }), handler: controller,
                logger: logger)
        }

        func http(_ method: String, _ path: String, _ body: String? = nil) async throws -> (status: Int, text: String) {
            var request = URLRequest(url: try #require(URL(string: "http://127.0.0.1:\(httpPort.withLock { $0 })\(path)")))
            request.httpMethod = method
            request.httpBody = body.map { Data($0.utf8) }
            let (data, response) = try await URLSession.shared.data(for: request)
            return ((response as? HTTPURLResponse)?.statusCode ?? 0, String(decoding: data, as: UTF8.self))
        }
    }

    /// Polls until it holds; a minute is only the end of a test that fails.
    func eventually(_ what: String, _ condition: () async throws -> Bool, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        for _ in 0..<3000 {
            if try await condition() { return }
            try await Task.sleep(for: .milliseconds(20))
        }
        Issue.record("did not happen: \(what)", sourceLocation: sourceLocation)
        throw CancellationError()
    }

    /// Runs `body` beside a data plane and a controller; both end with it.
    func withWorld(_ body: @Sendable @escaping (World, Int) async throws -> Void) async throws {
        let world = World()
        try FileManager.default.createDirectory(atPath: world.directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: world.directory) }
        let server = try await world.server()
        try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                try await world.dataplane.serve(world.socket); return false
            }
            group.addTask {
                try? await server.run(); return false
            }
            group.addTask {
                try await body(world, server.port); return true
            }
            while let isDone = try await group.next() { if isDone { break } }
            group.cancelAll()
        }
    }

    /// An agent that runs while `body` does, and is then ended as SIGTERM ends it.
    func withAgent(_ world: World, _ port: Int, _ body: (Agent) async throws -> Void) async throws {
        let agent = Agent(try world.configuration(xmppPort: port), logger: world.logger) { port in world.httpPort.withLock { $0 = port } }
        let task = Task { try await agent.run() }
        defer { task.cancel() }
        try await eventually("the HTTP interface listens") { world.httpPort.withLock { $0 } != 0 }
        try await body(agent)
        task.cancel()
        _ = try? await task.value
        world.httpPort.withLock { $0 = 0 }
    }

    static let remote = Fixture.route("blue", "10.1.0.12/32", label: 5001)
    static let blueKeys: Set<String> = [
        "1/1/blue/10.1.0.10/32", "2/1/blue/fd00:1::10/128", "25/242/blue/02:00:00:00:01:0a,10.1.0.10/32",
        "25/242/blue/02:00:00:00:01:0a,fd00:1::10/128", "25/242/blue/ff:ff:ff:ff:ff:ff,10.0.0.11/32",
    ]

    func configureBlue(_ world: World) {
        world.controller.state.withLock {
            $0.config = [.virtualNetwork(Fixture.blue), .port(Fixture.blueA)]
            $0.routes = ["blue": [Self.remote, Fixture.inclusive("blue", label: 5001)]]
        }
        world.dataplane.state.withLock { $0.neighbours = [Fixture.peer: Fixture.peerMAC] }
    }

    func remoteIsProgrammed(_ world: World) -> Bool {
        guard let route = world.dataplane.objects[.route(VRFID(1), IPPrefix("10.1.0.12/32")!)]?.route,
            case .tunnel(let tunnel)? = world.dataplane.objects.nextHop(route.nextHop)
        else { return false }
        return route.label == 5001 && tunnel.destinationMac == Fixture.peerMAC.octets
            && world.dataplane.objects.flood(VRFID(1))?.evpn.map(\.nextHop) == [route.nextHop]
    }

    @Test func programsPublishesAndResolves() async throws {
        try await withWorld { world, port in
            configureBlue(world)
            try await withAgent(world, port) { agent in
                try await eventually("the port, its routes and the remote route are there") {
                    world.controller.published == Self.blueKeys && remoteIsProgrammed(world)
                        && world.controller.requests.contains { $0.node == RouteNode.endOfRIB }
                }
                // Subscriptions first, End-of-RIB last; the instance id is the VRF's number.
                let requests = world.controller.requests
                #expect(requests.contains(.subscribe(node: "blue", instanceID: 1)))
                #expect(requests.first?.node == "compute-node/node1" && requests.last?.node == RouteNode.endOfRIB)
                try await eventually("the status says so") { await agent.status().ports.map(\.state) == ["active"] }
                let status = await agent.status()
                #expect(
                    status.dataplane.connected && status.dataplane.instance == "first"
                        && status.config == .init(networks: 1, ports: 1, endOfConfig: true))
                #expect(status.controllers.map(\.state) == ["up"] && status.controllers.first?.routesReceived == 2 && status.refused.isEmpty)
                #expect(status.neighbours == [.init(address: "10.0.0.12", mac: "02:00:00:00:00:12", state: "reachable")])
                let health = try await world.http("GET", "/healthz")
                #expect(health.status == 200)

                // Withdrawn at the controller, gone from the table, and the tunnel with it.
                world.controller.withdraw(Self.remote)
                world.controller.withdraw(Fixture.inclusive("blue", label: 5001))
                try await eventually("the remote route goes") {
                    !world.dataplane.objects.values.contains { if case .tunnel? = $0.nextHop.kind { true } else { false } }
                }
                // The port goes: everything of it is withdrawn and deleted.
                world.controller.unconfigure(Overlay.ObjectKey(.port, "blue-a"))
                world.controller.unconfigure(Overlay.ObjectKey(.virtualNetwork, "blue"))
                try await eventually("only the node itself is left") {
                    world.dataplane.objects.count == 5 && world.controller.published.isEmpty
                        && world.controller.requests.contains(.unsubscribe(node: "blue"))
                }
            }
        }
    }

    /// One object may be larger than all that others of its kind are together: a group with the most rules there may be.
    @Test func aLargeObjectIsNoReasonToHangUp() async throws {
        try await withWorld { world, port in
            let rules = (0..<SecurityGroup.ruleCapacity).map {
                SecurityGroup.Rule(
                    proto: 6, ports: [UInt16($0 + 1)...UInt16($0 + 1)], peer: .prefixes([IPPrefix("10.\($0 / 250).\($0 % 250).0/24")!]))
            }
            var web = Fixture.blueA
            web.securityGroups = ["large"]
            world.controller.state.withLock { [web] in
                $0.config = [
                    .virtualNetwork(Fixture.blue), .securityGroup(SecurityGroup(metadata: .init(name: "large"), ingress: rules, egress: rules)),
                    .port(web),
                ]
            }
            try await withAgent(world, port) { agent in
                try await eventually("both policies are programmed") {
                    let policies = world.dataplane.objects.values.filter { if case .policy? = $0.object { true } else { false } }
                    return policies.count == 2 && policies.allSatisfy { $0.policy.rules.count == SecurityGroup.ruleCapacity }
                }
                #expect(world.controller.state.withLock { $0.sessions } == 1)
            }
        }
    }

    @Test func aRestartTouchesNothing() async throws {
        try await withWorld { world, port in
            configureBlue(world)
            try await withAgent(world, port) { _ in
                try await eventually("programmed") { world.controller.published == Self.blueKeys && remoteIsProgrammed(world) }
            }
            // Ending it leaves everything, and the next one finds it right; something stale is swept, and something of another program's is not.
            let before = world.dataplane.objects
            #expect(before.count > 10)
            world.dataplane.state.withLock {
                $0.applied = []
                $0.objects[.label(Label(500))] = .label(Label(500), nextHop: .discard)
                $0.objects[.label(Label(501))] = .with {
                    $0.label = .with {
                        $0.label = 501; $0.cookie = 1
                    }
                }
            }
            world.controller.state.withLock { $0.requests = [] }
            try await withAgent(world, port) { agent in
                try await eventually("told everything and swept") {
                    world.dataplane.objects[.label(Label(500))] == nil && world.controller.requests.contains { $0.node == RouteNode.endOfRIB }
                }
                #expect(world.controller.requests.contains(.subscribe(node: "blue", instanceID: 1)))
                #expect(world.dataplane.objects[.label(Label(501))] != nil)
                #expect(world.dataplane.state.withLock { $0.applied.map(\.delete.label) } == [500])
                #expect(world.dataplane.objects.filter { $0.key != .label(Label(501)) } == before)
            }
        }
    }

    @Test func aHalfToldConfigurationIsNotCarriedOut() async throws {
        try await withWorld { world, port in
            configureBlue(world)
            try await withAgent(world, port) { _ in
                try await eventually("programmed") { world.controller.published == Self.blueKeys && remoteIsProgrammed(world) }
            }
            var blue = Fixture.blue
            blue.floodUnknownUnicast.toggle()
            world.controller.state.withLock {
                $0.config = [.virtualNetwork(blue), .port(Fixture.blueA)]
                $0.withholdsEnd = true
            }
            world.dataplane.state.withLock { $0.applied = [] }
            try await withAgent(world, port) { agent in
                try await eventually("the first part has been told") {
                    await agent.status().config == .init(networks: 1, ports: 1, endOfConfig: false)
                }
                // The data plane has been read back by then; a turn takes milliseconds.
                try await eventually("the data plane is known") { await agent.status().dataplane.objects > 10 }
                try await Task.sleep(for: .milliseconds(300))
                #expect(world.dataplane.state.withLock { $0.applied.isEmpty })
                world.controller.endConfiguration()
                try await eventually("all of it is carried out") {
                    world.dataplane.state.withLock { $0.applied.contains { $0.upsert.vrf.floodsUnknownUnicast == blue.floodUnknownUnicast } }
                }
            }
        }
    }

    @Test func staysWhenTheControllerGoes() async throws {
        try await withWorld { world, port in
            configureBlue(world)
            try await withAgent(world, port) { agent in
                try await eventually("programmed") { world.controller.published == Self.blueKeys && remoteIsProgrammed(world) }
                let before = world.dataplane.objects
                world.dataplane.state.withLock { $0.applied = [] }
                // While it is away one route goes and another comes.
                let other = Fixture.route("blue", "10.1.0.13/32", label: 5001)
                world.controller.state.withLock {
                    $0.routes = ["blue": [other, Fixture.inclusive("blue", label: 5001)]]; $0.requests = []
                }
                world.controller.state.withLock { $0.session }?.close()
                try await eventually("it is connected again, with the new route and without the old") {
                    world.dataplane.objects[.route(VRFID(1), IPPrefix("10.1.0.13/32")!)] != nil
                        && world.dataplane.objects[.route(VRFID(1), IPPrefix("10.1.0.12/32")!)] == nil
                }
                try await eventually("and is told all of ours again") { world.controller.published == Self.blueKeys }
                #expect(world.controller.state.withLock { $0.sessions } == 2)
                // Nothing but those two routes was touched.
                let touched = world.dataplane.state.withLock { $0.applied }
                #expect(touched.count == 2)
                #expect(world.dataplane.objects.filter { before[$0.key] == $0.value }.count == before.count - 1)
            }
        }
    }

    @Test func aRestartedDataPlaneGetsEverythingAgain() async throws {
        try await withWorld { world, port in
            configureBlue(world)
            try await withAgent(world, port) { agent in
                try await eventually("programmed") { remoteIsProgrammed(world) && world.dataplane.objects[.vif(VifID(3))] != nil }
                let before = world.dataplane.objects
                // All gone: the next answer that makes no sense leads to an audit.
                world.dataplane.state.withLock {
                    $0.objects = [:]; $0.instance = "second"
                }
                world.controller.send(Fixture.route("blue", "10.1.0.14/32", label: 5001))
                try await eventually("everything is there again, under the same numbers") {
                    before.allSatisfy { world.dataplane.objects[$0.key] == $0.value }
                }
                #expect(await agent.status().dataplane.instance == "second")
            }
        }
    }

    @Test func refusalsAreSeenAndRetried() async throws {
        try await withWorld { world, port in
            configureBlue(world)
            world.dataplane.state.withLock { $0.refuses[.port("tap-blue-a")] = "no such interface" }
            world.controller.state.withLock { $0.refuses = ["blue"] }
            try await withAgent(world, port) { agent in
                try await eventually("both refusals are shown") {
                    let status = await agent.status()
                    return status.refused.map(\.object) == ["port tap-blue-a"]
                        && status.controllers.first?.refused.map(\.object) == ["subscribe blue"]
                }
                let status = await agent.status()
                #expect(status.refused.first?.reason == "no such interface" && status.refused.first?.code == "portFailed")
                #expect(status.ports.first?.state == "waiting" && status.ports.first?.reason == "the data plane refuses it: no such interface")
                #expect(world.controller.published.isEmpty)
                world.dataplane.state.withLock { $0.refuses = [:] }
                world.controller.state.withLock { $0.refuses = [] }
                try await eventually("both work") { world.controller.published == Self.blueKeys && world.dataplane.objects[.vif(VifID(3))] != nil }
            }
        }
    }

    @Test func whatRulesDecideIsLogged() async throws {
        try await withWorld { world, port in
            configureBlue(world)
            try await withAgent(world, port) { agent in
                try await eventually("the port") { await agent.status().ports.map(\.state) == ["active"] }
                let decision = Dataplane_V1_LoggedDecision.with {
                    $0.policyName = "networkPolicies/blue:ingress"
                    $0.ruleName = "shop/rules[0]"
                    $0.action = .deny
                    $0.dropReason = "OutPolicy"
                    $0.vif = 3
                    $0.ingress = true
                    $0.source = IPAddress("10.2.0.11")!.octets
                    $0.destination = IPAddress("10.1.0.10")!.octets
                    ($0.protocol, $0.sourcePort, $0.destinationPort) = (6, 4321, 80)
                }
                world.dataplane.state.withLock { $0.decisions = [decision] }
                try await eventually("the line") {
                    world.lines.withLock { lines in
                        lines.contains(
                            "info a rule denies a connection direction=ingress flow=tcp 10.2.0.11:4321 > 10.1.0.10:80 policy=networkPolicies/blue:ingress "
                                + "port=blue-a rule=shop/rules[0] verdict=dropped (OutPolicy)")
                    }
                }
                // A flood is cut, and said to be.
                world.dataplane.state.withLock { $0.decisions = Array(repeating: decision, count: 1000) }
                try await eventually("a hundred or so") {
                    world.lines.withLock { $0.count { $0.contains("a rule denies") } } >= 100
                }
                world.dataplane.state.withLock { $0.decisions = [decision] }
                try await eventually("how many were not written") {
                    if world.dataplane.state.withLock({ $0.decisions?.isEmpty == true }) {
                        world.dataplane.state.withLock { $0.decisions = [decision] }
                    }
                    return world.lines.withLock {
                        $0.contains { $0.hasPrefix("warning rules decided more connections than the log takes not written=") }
                    }
                }
            }
        }
    }

    /// A data plane that went on running while the agent became a newer one.
    @Test func aDataplaneThatDoesNotTell() async throws {
        try await withWorld { world, port in
            configureBlue(world)
            world.dataplane.state.withLock { $0.decisions = nil }
            try await withAgent(world, port) { agent in
                try await eventually("the port") { await agent.status().ports.map(\.state) == ["active"] }
                try await eventually("it is said") {
                    world.lines.withLock { $0.contains { $0.hasPrefix("warning this data plane does not tell what rules decide") } }
                }
                #expect(await agent.status().dataplane.connected)
                #expect(world.lines.withLock { $0.count { $0.contains("data plane connected") } } == 1)
            }
        }
    }

    @Test func portsByHTTP() async throws {
        try await withWorld { world, port in
            configureBlue(world)
            var unattached = Fixture.blueA
            unattached.interface = nil
            world.controller.state.withLock { $0.config = [.virtualNetwork(Fixture.blue), .port(unattached)] }
            let body =
                #"{"id": "6b1f6d2e-0000-4000-8000-00000000000a", "system-name": "tap9", "mac-address": "02:00:00:00:01:0a", "ip-address": "10.1.0.10"}"#
            try await withAgent(world, port) { agent in
                try await eventually("it waits for its interface") { await agent.status().ports.first?.reason?.hasPrefix("no interface yet") == true }
                let bad = try await world.http("POST", "/port", "[\(body), {\"id\": \"x\", \"system-name\": \"t\", \"rx-vlan-id\": 7}]")
                #expect(bad.status == 400 && bad.text.contains(#""field":"[1].rx-vlan-id""#))
                #expect(try await world.http("POST", "/port", "{").status == 400)
                #expect(try await world.http("GET", "/port/tap9").status == 404)
                let good = try await world.http("POST", "/port", body)
                #expect(good.status == 200 && good.text.contains(#""interface":"tap9""#))
                try await eventually("it is active") {
                    world.dataplane.objects[.vif(VifID(3))]?.vif.name == "tap9" && world.controller.published == Self.blueKeys
                }
                let got = try await world.http("GET", "/port/6b1f6d2e-0000-4000-8000-00000000000a")
                #expect(got.status == 200 && got.text.contains(#""name":"blue-a""#) && got.text.contains(#""state":"active""#))
                #expect(try await world.http("GET", "/port").text.hasPrefix("["))
            }
            // It is kept over a restart, until it is deleted.
            try await withAgent(world, port) { agent in
                try await eventually("still active") { await agent.status().ports.first?.state == "active" }
                #expect(try await world.http("POST", "/syncports").text == #"{"ports":1}"#)
                #expect(try await world.http("DELETE", "/port/6b1f6d2e-0000-4000-8000-00000000000a").status == 200)
                #expect(try await world.http("DELETE", "/port/blue-a").status == 409)
                #expect(try await world.http("DELETE", "/port/nothing").status == 404)
                try await eventually("its vif is gone") { world.dataplane.objects[.vif(VifID(3))] == nil && world.controller.published.isEmpty }
                #expect(try await world.http("GET", "/status").text.contains(#""node":"node1""#))
            }
        }
    }

    /// No data plane and no controller: it says so, and works when they come.
    @Test func startsInAnyOrder() async throws {
        let world = World()
        try FileManager.default.createDirectory(atPath: world.directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: world.directory) }
        configureBlue(world)
        let free = try await world.server()
        let port = free.port
        let closing = Task { try? await free.run() }
        closing.cancel()
        _ = await closing.value
        try await withAgent(world, port) { agent in
            try await eventually("both are reported") {
                let status = await agent.status()
                return status.dataplane.reason.contains("is vrouter running") && status.controllers.first?.reason.isEmpty == false
            }
            #expect(try await world.http("GET", "/healthz").text.contains(#""dataplaneConnected":false"#))
            let server = try await world.server(port: port)
            let tasks = [Task { try? await server.run() }, Task { try? await world.dataplane.serve(world.socket) }]
            defer { for task in tasks { task.cancel() } }
            try await eventually("everything works") { world.controller.published == Self.blueKeys && remoteIsProgrammed(world) }
        }
    }
}
