import Foundation
import Testing

extension EndToEnd {
    /// Flows of real sockets in a router without an agent: who may have how many, who decides about them, and what the tools say.
    @Suite struct Flows {
        /// Workloads a, b, c behind vifs 3, 4, 5 of a router in namespace r, each in a subnet of its own.
        private func site(_ name: String, vifs: [Int: String] = [:], extra: String = "", policies: String = "") throws -> Site {
            let site = try Site(
                name, ["r", "a", "b", "c"],
                network: """
                    n=3
                    for w in a b c; do
                        cable r r$n $w eth0
                        on $w ip addr add 10.$n.0.2/24 dev eth0
                        on $w ip route add default via 10.$n.0.1
                        # The router finishes no checksums that the sender's kernel leaves to a device.
                        on $w ethtool -K eth0 tx off gso off tso off >/dev/null
                        n=$((n + 1))
                    done
                    """)
            var ports = "", list = "", hops = "", routes = ""
            for (index, workload) in ["a", "b", "c"].enumerated() {
                let id = index + 3, mac = try site.mac(workload, "eth0")
                ports += "    - {name: p\(id), pcap: {interface: r\(id)}}\n"
                list += """
                        - {id: \(id), name: \(workload), kind: virtual, port: p\(id), vrf: 1, mac: "00:00:5e:00:01:00", addresses: [10.\(id).0.1],
                           workloadMAC: "\(mac)", workloadAddresses: [10.\(id).0.2], keepsFlows: true\(vifs[id].map { ", " + $0 } ?? "")}

                    """
                hops += "    - {id: \(id), encap: {vif: \(id), destination: \"\(mac)\"}}\n"
                routes +=
                    "    - {vrf: 1, prefix: 10.\(id).0.2/32, nextHop: \(id), proxies: true}\n    - {vrf: 1, prefix: 10.\(id).0.1/32, nextHop: \(id + 10), proxies: true}\n"
                hops += "    - {id: \(id + 10), receive: {vif: \(id)}}\n"
            }
            try site.startRouter(
                "r", objects: "  vrfs: [{id: 1, name: blue}]\n\(policies)  ports:\n\(ports)  vifs:\n\(list)  nextHops:\n\(hops)  routes:\n\(routes)",
                extra: extra)
            return site
        }

        private struct Vif: Decodable {
            struct Statistics: Decodable { var flows: Int, flowLimitDrops: Int, flowRateDrops: Int, flowShareDrops: Int, flowEvictions: Int }
            var id: Int, statistics: Statistics
        }
        private struct Vifs: Decodable { var vifs: [Vif] }
        private struct FlowEntries: Decodable {
            struct Flow: Decodable { var source: String, destination: String, action: String, isForward: Bool, ownerVif: Int? }
            var flows: [Flow]
        }

        /// Datagrams to ports of b that nobody listens on, from one socket after the other: each is a new flow. `perSecond` 0: as fast as it goes.
        private static func flood(_ count: Int, perSecond: Int) -> String {
            """
            import random, socket, time
            sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(64)]
            begun = time.monotonic()
            for n in range(\(count)):
                try: sockets[n % 64].sendto(b"x", ("10.4.0.2", random.randrange(20000, 65000)))
                except OSError: pass
                if n % 64 == 63:
                    ahead = n / \(perSecond) - (time.monotonic() - begun)
                    if ahead > 0: time.sleep(ahead)
            """
        }

        private static let server = """
            import socket, threading
            def datagrams():
                s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("0.0.0.0", 7000)); print("ready", flush=True)
                while True:
                    d, a = s.recvfrom(2048); s.sendto(d, a)
            threading.Thread(target=datagrams, daemon=True).start()
            l = socket.socket(); l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); l.bind(("0.0.0.0", 7000)); l.listen(128); print("ready", flush=True)
            while True: l.accept()[0].close()
            """

        /// From c to b: new connections and datagrams of one flow, at a steady pace; how many of each came about.
        private static let victim = """
            import socket, time
            u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.connect(("10.4.0.2", 7000)); u.settimeout(0.2)
            connections = datagrams = 0
            for n in range(150):
                try: socket.create_connection(("10.4.0.2", 7000), 0.5).close(); connections += 1
                except OSError: pass
                for _ in range(2):
                    try: u.send(b"hello"); u.recv(100); datagrams += 1
                    except OSError: pass
                time.sleep(0.02)
            print(connections, datagrams)
            """

        @Test func whoFloodsTheTableHurtsNobodyElse() throws {
            let site = try site("flood", extra: "flows: {capacity: 4096}")
            let server = try site.start("b", Place.python, "-u", "-c", Self.server)
            defer { server.end() }
            try eventually("the server") { server.output.matches(of: /ready/).count == 2 }
            // Twenty times what the table holds.
            let flood = try site.start("a", Place.python, "-c", Self.flood(40_000, perSecond: 6000))
            defer { flood.end() }
            try eventually("the table to be under pressure") {
                try decode(Vifs.self, site.vrctl("r", "vif", "--get", "3", "-o", "json")).vifs[0].statistics.flowShareDrops > 1000
            }
            let counts = try site.succeed("c", Place.python, "-c", Self.victim, limit: 120).split(separator: " ").compactMap {
                Int($0.trimmingCharacters(in: .newlines))
            }
            // 90 % of the connections, and of the packets.
            #expect(counts.count == 2 && counts[0] >= 135 && counts[1] >= 270, "\(counts)")
            let vifs = try decode(Vifs.self, site.vrctl("r", "vif", "--list", "-o", "json")).vifs
            #expect(vifs.first { $0.id == 5 }?.statistics.flowShareDrops == 0 && vifs.first { $0.id == 5 }?.statistics.flowEvictions == 0)
            #expect(try site.drops("r")["flow_table_full"] ?? 0 > 1000)
            try site.vrctl("r", "flow", "-s")
        }

        @Test func aVifHasAsManyFlowsAsItMay() throws {
            let site = try site("limit", vifs: [3: "flowLimit: 100", 5: "flowRate: 20"])
            try site.succeed("a", Place.python, "-c", Self.flood(1000, perSecond: 5000))
            try site.succeed("c", Place.python, "-c", Self.flood(200, perSecond: 100_000))
            try eventually("all packets") { try site.drops("r")["new_flow_drop"] ?? 0 > 900 }
            let vifs = try decode(Vifs.self, site.vrctl("r", "vif", "--list", "-o", "json")).vifs
            let a = try #require(vifs.first { $0.id == 3 }).statistics, c = try #require(vifs.first { $0.id == 5 }).statistics
            #expect(a.flows == 100 && a.flowLimitDrops > 800 && a.flowRateDrops == 0, "\(a)")
            #expect(c.flows >= 20 && c.flows < 60 && c.flowRateDrops > 100, "\(c)")
            #expect(try site.vrctl("r", "vif", "--get", "3").contains("Flows:100 Limit:100 Over limit:"))
        }

        /// A server with many clients' ports is one flow, and they all get their answers.
        @Test func manyConnectionsAreOneFatFlow() throws {
            let site = try site("fat", vifs: [4: "fatFlows: [{protocol: udp, port: 7000}, {protocol: tcp, port: 7000}]"])
            let server = try site.start("b", Place.python, "-u", "-c", Self.server)
            defer { server.end() }
            try eventually("the server") { server.output.matches(of: /ready/).count == 2 }
            let program = """
                import socket
                for n in range(40):
                    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.settimeout(2); u.sendto(b"%d" % n, ("10.4.0.2", 7000)); assert u.recv(9) == b"%d" % n
                    t = socket.create_connection(("10.4.0.2", 7000), 2); assert t.recv(1) == b""; t.close()
                """
            for client in ["a", "c"] { try site.succeed(client, Place.python, "-c", program) }
            let flows = try decode(FlowEntries.self, site.vrctl("r", "flow", "--match", "10.4.0.2:7000", "-o", "json")).flows
            // A pair for each client and protocol.
            #expect(flows.count == 8, "\(flows)")
            #expect(try site.vrctl("r", "flow", "--match", "10.4.0.2:7000 & proto udp").contains("10.3.0.2:0 "))
        }

        @Test func theToolsSayWhatThereIs() throws {
            let site = try site("flowtools")
            try site.succeed("a", Place.python, "-c", Self.flood(50, perSecond: 1000))
            try site.ping("c", "10.4.0.2")
            try eventually("all flows") { try decode(FlowEntries.self, site.vrctl("r", "flow", "-l", "-o", "json")).flows.count >= 102 }
            let udp = try decode(FlowEntries.self, site.vrctl("r", "flow", "--match", "10.3.0.2,10.4.0.2 & proto udp & vif 3", "-o", "json")).flows
            #expect(udp.count == 50 && udp.allSatisfy { $0.isForward && $0.ownerVif == 3 && $0.source == "10.3.0.2" })
            let listing = try site.vrctl("r", "flow", "--match", "proto icmp")
            #expect(listing.contains("10.5.0.2:") && !listing.contains("10.3.0.2:") && listing.contains("Entries: Created "), "\(listing)")
            let sums = try site.vrctl("r", "flow", "-s")
            #expect(sums.contains("icmp 2") && sums.contains("Entries by vif      : 3: 100"), "\(sums)")
            let rate = try site.vrctl("r", "flow", "-r", "--count", "2")
            #expect(rate.split(separator: "\n").count == 2 && rate.contains("Hold =        0"), "\(rate)")
            #expect(try site.vrctl("r", "flow", "-F", "--match", "proto udp").contains("Removed 50 flows"))
            #expect(try decode(FlowEntries.self, site.vrctl("r", "flow", "-l", "-o", "json")).flows.count <= 2)
        }

        /// A client of the API decides about flows; without one they are dropped after a while, or at once.
        @Test func aClientDecidesAboutTrappedFlows() throws {
            let site = try site(
                "decide", vifs: [4: "ingressPolicies: [1]"],
                policies:
                    "  policies: [{id: 1, name: ask, default: pass, rules: [{action: trap, protocol: tcp}, {action: trap, protocol: udp, ports: [7000]}]}]\n"
            )
            let server = try site.start("b", Place.python, "-u", "-c", Self.server)
            defer { server.end() }
            try eventually("the server") { server.output.matches(of: /ready/).count == 2 }
            func connects(_ port: Int) throws -> Bool {
                try Shell.run(
                    site.inside("a", [Place.python, "-c", "import socket; socket.create_connection(('10.4.0.2', \(port)), 4).close()"])
                ).status == 0
            }
            // Nobody to ask; what needs no decision passes.
            #expect(try !connects(7000))
            #expect(try site.drops("r")["trap_no_listener"] ?? 0 > 0)
            try site.ping("a", "10.4.0.2")
            let client = try Background([
                "env", "PYTHONPATH=\(Place.repository)/docs/api-client", "PYTHONDONTWRITEBYTECODE=1", Place.python, "-u",
                Place.repository + "/docs/api-client/decide.py", site.socket("r"), "7000",
            ])
            defer { client.end() }
            try eventually("the client") {
                guard client.isRunning else { throw Failure(client.errors) }
                return client.output.contains("listening")
            }
            #expect(try connects(7000))
            #expect(try !connects(7001))
            // Three datagrams at once all come, in order.
            let three = try site.succeed(
                "a", Place.python, "-c",
                "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(3); s.connect(('10.4.0.2', 7000))\n"
                    + "for n in range(3): s.send(b'%d' % n)\nprint(b''.join(s.recv(9) for n in range(3)).decode())")
            #expect(three.contains("012"), "\(three)")
            #expect(
                client.output.contains("forward 6 10.3.0.2:") && client.output.contains("drop 6 10.3.0.2:")
                    && client.output.contains("forward 17 10.3.0.2:"))
            #expect(try site.vrctl("r", "flow", "--match", "10.4.0.2:7001 & action D").contains("Action:D(Unknown)"))
            client.end()
            // A listener that does not answer: what waited is dropped after two seconds, and counted.
            let deaf = try Background([
                "env", "PYTHONPATH=\(Place.repository)/docs/api-client", Place.python, "-u", "-c",
                "from vrouter_api import Dataplane\nfor t in Dataplane('\(site.socket("r"))').traps(): print('x', flush=True)",
            ])
            defer { deaf.end() }
            try eventually("the listener") { deaf.output.contains("x") }
            #expect(try !connects(7002))
            try eventually("the end of waiting") { try site.drops("r")["flow_unusable"] ?? 0 > 0 }
            #expect(try site.vrctl("r", "flow", "-s").contains("unanswered"))
            try site.expectSound(
                "r", drops: ["trap_no_listener", "flow_unusable", "flow_action_drop", "flow_queue_limit", "trap_rate_limited", "no_l2_route"])
        }
    }

    /// A thousand connections, and the agent is killed.
    @Suite(.lab(.init(name: "thousand"))) struct Thousand {
        let lab: Lab
        init() throws { lab = try Lab.current }

        @Test func noneBreaksAndNewOnesComeUp() throws {
            let program = """
                import resource, selectors, socket, sys, threading
                resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
                l = socket.socket(); l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); l.bind(("10.1.0.13", 9000)); l.listen(1024); print("ready", flush=True)
                sel = selectors.DefaultSelector(); sel.register(l, selectors.EVENT_READ)
                while True:
                    for key, _ in sel.select():
                        if key.fileobj is l: sel.register(l.accept()[0], selectors.EVENT_READ); continue
                        try: d = key.fileobj.recv(100)
                        except OSError: d = b""
                        if d: key.fileobj.sendall(d)
                        else: sel.unregister(key.fileobj); key.fileobj.close()
                """
            let server = try lab.start(in: "blue3", [Place.python, "-u", "-c", program])
            defer { server.end() }
            try eventually("the server") { server.output.contains("ready") }
            // Says something on every connection, again and again; then, at a word, opens fifty more.
            let talk = try lab.start(
                in: "blue1",
                [
                    Place.python, "-u", "-c",
                    """
                    import resource, socket, time
                    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
                    all = []
                    for n in range(1000): all.append(socket.create_connection(("10.1.0.13", 9000), 10))
                    print("open", flush=True)
                    for turn in range(12):
                        broken = 0
                        for s in all:
                            s.settimeout(5)
                            try:
                                s.sendall(b"hello")
                                if s.recv(100) != b"hello": broken += 1
                            except OSError: broken += 1
                        print("turn", turn, "broken", broken, flush=True)
                        for n in range(50): all.append(socket.create_connection(("10.1.0.13", 9000), 10))
                        time.sleep(0.1)
                    print("done", len(all), flush=True)
                    """,
                ])
            defer { talk.end() }
            try eventually("a thousand connections", within: 60) {
                guard talk.isRunning else { throw Failure(talk.errors) }
                return talk.output.contains("turn 0")
            }
            try lab.kill("node1-agent")
            try lab.kill("node2-agent")
            try eventually("the end of the talk", within: 120) {
                guard talk.isRunning || talk.output.contains("done") else { throw Failure(talk.errors) }
                return talk.output.contains("done 1600")
            }
            #expect(talk.output.matches(of: /broken 0\n/).count == 12, "\(talk.output)")
            try lab.shell("lab_start_agent node1; lab_start_agent node2")
            try lab.waitUntilReady()
            try lab.expectSoundDataplane()
        }
    }
}
