import DataplaneAPI
import Testing

@testable import vrctl

@Suite struct StatusTests {
    private static func status(uptime: UInt64 = 7_500_000_000_000, busy: UInt64 = 0, forwarded: UInt64 = 90) -> API.Status {
        var status = API.Status()
        status.version = "0.1.0"
        status.instance = "a1b2"
        status.uptimeNs = uptime
        status.tscHz = 1_000_000_000
        status.totals.received = 100
        status.totals.generated = 4
        status.totals.forwarded = forwarded
        status.totals.dropped = 10
        status.totals.trapped = 2
        status.totals.consumed = 2
        var worker = Dataplane_V1_Worker()
        worker.id = 0
        worker.core = 2
        worker.busyCycles = busy
        worker.counters = status.totals
        var loose = Dataplane_V1_Worker()
        loose.id = 1
        loose.core = -1
        status.workers = [worker, loose]
        var table = Dataplane_V1_TableUsage()
        table.name = "flows"
        table.used = 12
        table.capacity = 524_288
        status.tables = [table]
        status.buffersInUse = 3
        status.buffersCapacity = 2048
        for (label, packets) in [("TTL Exceeded", 3), ("No Route", 7), ("Misc", 0)] as [(String, UInt64)] {
            var drop = Dataplane_V1_DropCounter()
            drop.name = label.lowercased()
            drop.label = label
            drop.packets = packets
            status.drops.append(drop)
        }
        return status
    }
    private static var router: FakeRouter {
        FakeRouter(statuses: [status(busy: 0), status(uptime: 7_500_200_000_000, busy: 24_600_000)])
    }
    private static let agent = #"""
        {"node":"node1","uptime":65.25,"controllers":[{"host":"10.0.0.1:5269","state":"up","since":3725.4,"reason":"","refused":[]},{"host":"10.0.0.2:5269","state":"connecting","reason":"connection refused"}],
        "dataplane":{"connected":true,"instance":"a1b2","objects":18,"repairs":2,"reason":""},"config":{"networks":2,"ports":2,"endOfConfig":true},"routes":{"received":10,"local":4,"unresolved":0},
        "ports":[{"name":"blue-a","state":"active","vif":3,"interface":"tap-blue-a"}],"refused":[],"neighbours":[{"address":"10.0.0.12","mac":"02:00:00:00:00:12","state":"reachable"},{"address":"10.0.0.13","state":"incomplete"}]}
        """#
    private static let sickAgent = #"""
        {"node":"node1","controllers":[{"host":"10.0.0.1:5269","state":"backoff","reason":"SASL not-authorized","refused":[{"object":"blue 10.1.0.10/32","code":"","reason":"forbidden","retries":1}]}],"dataplane":{"connected":false,"reason":"no such socket"},
        "ports":[{"name":"blue-a","state":"waiting","reason":"no interface tap-blue-a"}],"refused":[{"object":"Route 10.1.0.0/24","code":"TABLE_FULL","reason":"routes: 100","retries":3}]}
        """#
    private static let controller = #"""
        {"version":"0.1.0","uptimeSeconds":3600,"agents":[{"name":"node1","jid":"node1@vrouter.local/agent","connectedSeconds":61,"subscriptions":["blue"],"routesReceived":4,"routesSent":6,"endOfRIB":true}],
        "objects":{"Port":3,"VirtualNetwork":1},"routes":12}
        """#
    private static func web(agent: String = agent) -> FakeWeb { FakeWeb(["GET /status": (200, agent), "GET /v1/status": (200, controller)]) }

    @Test func oneScreen() async {
        let result = await run(["vrctl", "status"], router: Self.router, web: Self.web())
        #expect(
            result.output == """
                Data plane   /run/vrouter/dataplane.sock   healthy
                  version 0.1.0   up 2 h 5 min   instance a1b2
                  packets   received 100 + generated 4 = forwarded 90 + dropped 10 + trapped 2 + consumed 2   balanced
                  worker 0   core 2   busy 12.3 %   received 100   forwarded 90   dropped 10
                  worker 1   not pinned   busy 0.0 %   received 0   forwarded 0   dropped 0
                  tables    flows 12/524288
                  buffers   3 of 2048 in use
                  drops     No Route 7   TTL Exceeded 3

                Agent        http://127.0.0.1:9091   healthy
                  node node1   up 1 min 5 s
                  controller 10.0.0.1:5269   up   for 1 h 2 min
                  controller 10.0.0.2:5269   connecting   (connection refused)
                  data plane connected   18 objects   2 repaired
                  config     endOfConfig true   networks 2   ports 2
                  routes     local 4   received 10   unresolved 0
                  ports      1 active, 0 waiting
                  refused    0
                  neighbour  10.0.0.13: incomplete

                Controller   http://127.0.0.1:8082   healthy
                  version 0.1.0   up 1 h
                  agents    1 connected
                    node1   connected 1 min 1 s   routes received 4   sent 6   end of RIB
                  objects   Port 3   VirtualNetwork 1
                  routes    12

                """)
        #expect(result.code == 0 && result.errors.isEmpty)
    }

    @Test func whatIsWrongIsNamed() async {
        let sick = FakeRouter(statuses: [Self.status(forwarded: 89)])
        let result = await run(["vrctl", "status", "dataplane", "agent"], router: sick, web: Self.web(agent: Self.sickAgent))
        #expect(result.code == 1)
        #expect(result.output.contains("NOT HEALTHY: packet counters do not add up\n"))
        #expect(result.output.contains("= forwarded 89 + dropped 10 + trapped 2 + consumed 2   NOT BALANCED\n"))
        #expect(
            result.output.contains(
                "NOT HEALTHY: no controller connected; not connected to the data plane; 1 port waiting; 1 object refused by the data plane; 1 request refused by a controller\n"
            ))
        #expect(result.output.contains("  controller 10.0.0.1:5269   backoff   (SASL not-authorized)\n"))
        #expect(result.output.contains("    blue 10.1.0.10/32: refused, forbidden (1 retries)\n"))
        #expect(result.output.contains("  data plane not connected   (no such socket)\n"))
        #expect(result.output.contains("    blue-a: waiting, no interface tap-blue-a\n"))
        #expect(result.output.contains("    Route 10.1.0.0/24: TABLE_FULL, routes: 100 (3 retries)\n"))
    }

    @Test func exitCodes() async {
        let down = FakeWeb(isDown: true)
        #expect(await run(["vrctl", "status"], web: down).code == 3)
        #expect(await run(["vrctl", "status"], router: Self.router, web: down).code == 1)
        #expect(await run(["vrctl", "status"], web: Self.web()).code == 1)
        #expect(await run(["vrctl", "status", "dataplane"], router: Self.router, web: down).code == 0)
        #expect(await run(["vrctl", "status", "agent"], router: Self.router, web: down).code == 3)
        // Answers, but not what it should: that is not "unreachable".
        #expect(await run(["vrctl", "status", "agent"], web: FakeWeb()).code == 1)
    }

    @Test func whatCannotBeReachedIsShownWithTheReason() async {
        let result = await run(["vrctl", "status"], router: Self.router, web: FakeWeb(isDown: true))
        #expect(
            result.output.contains(
                "Agent        http://127.0.0.1:9091   NOT REACHABLE\n  cannot reach vrouter-agent at http://127.0.0.1:9091: connection refused; is it running?"
            ))
        #expect(result.output.contains("Data plane   /run/vrouter/dataplane.sock   healthy\n"))
    }

    @Test func json() async throws {
        let result = await run(
            ["vrctl", "status", "-o", "json"], router: Self.router, web: FakeWeb(["GET /status": (200, Self.agent)], isDown: false))
        let json = try #require(JSON(parsing: result.output.utf8))
        #expect(json.members.map(\.key) == ["agent", "controller", "dataplane"])
        #expect(json["dataplane"]?["details"]?["balanced"]?.isTrue == true)
        #expect(json["dataplane"]?["details"]?["workers"]?.array.first?["busyPercent"] == .number(12.3))
        #expect(json["controller"]?["healthy"] == .bool(false))
        #expect(json["agent"]?["details"]?["node"]?.text == "node1")
    }

    @Test func colourOnlyWhereItIsWanted() async {
        #expect(await run(["vrctl", "status", "dataplane"], router: Self.router, colour: true).output.contains("\u{1B}[32mhealthy\u{1B}[0m"))
        #expect(!(await run(["vrctl", "status", "dataplane"], router: Self.router).output.contains("\u{1B}")))
    }

    @Test func busyNeedsAClockAndTheSameInstance() {
        var section = RouterSection(status: Self.status(busy: 750_000_000_000))
        let worker = section.status.workers[0]
        #expect(section.busyPercent(worker) == 10)
        var restarted = Self.status(busy: .max)
        restarted.instance = "other"
        section.earlier = restarted
        #expect(section.busyPercent(worker) == 10)
        section.status.tscHz = 0
        #expect(section.busyPercent(worker) == nil)
    }

    @Test func countersThatOverflowDoNotTrap() {
        var status = Self.status()
        status.totals.received = .max
        status.totals.forwarded = .max
        status.totals.dropped = .max
        status.uptimeNs = .max
        #expect(!RouterSection(status: status).isBalanced)
        #expect(RouterSection(status: status).lines.count == 7)
    }
}
