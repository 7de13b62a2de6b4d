import Foundation
import Testing

extension EndToEnd {
    /// Who the backends of a Service are, and how they come and go beside connections that are there. In blue: blue1 and blue2 on node1, blue3 on node2; red1 (node2) is in a
    /// network of its own.
    @Suite(.lab(.init(name: "backends"))) struct ServiceBackends {
        let lab: Lab
        init() throws { lab = try Lab.current }

        private static let service = """
            kind: Service
            metadata: {name: web}
            spec:
              network: blue
              addresses: [10.96.0.1, "fd00:96::1"]
              ports: [{name: http, port: 80, targetPort: web}, {name: echo, protocol: udp, port: 81, targetPort: 7000}]
              selector: {app: web}

            """
        /// blue2 listens at 8082, blue3 at 8083.
        private static func port(_ number: Int, labels: String) -> String {
            """
            kind: Port
            metadata: {name: blue\(number), labels: {\(labels)}}
            spec:
              network: blue
              node: node\(number == 3 ? 2 : 1)
              mac: "02:00:00:00:01:1\(number)"
              addresses: [10.1.0.1\(number), "fd00:1::1\(number)"]
              interface: tap-blue\(number)
              namedPorts: [{name: web, port: 808\(number)}]

            """
        }
        private static let both = port(2, labels: "app: web") + "---\n" + port(3, labels: "app: web") + "---\n" + service

        private func servers() throws -> [Background] {
            try [2, 3].map { try lab.echoServer(in: "blue\($0)", ["10.1.0.1\($0)", "fd00:1::1\($0)"], [8080 + $0, 7000]) }
        }
        private func reset(_ servers: [Background]) {
            servers.forEach { $0.end() }
            _ = try? lab.vrctl("node1", "delete", "service", "web")
            _ = try? lab.shell("in_ns controller $LAB_BIN/vrctl --controller http://10.0.0.1:8082 apply -f configs/demo.yaml")
        }

        private struct Rules: Decodable {
            struct Rule: Decodable {
                struct Destination: Decodable {
                    struct Backend: Decodable { var address: String?, port: Int?, draining: Bool? }
                    var address: String?, backends: [Backend]
                }
                var name: String, destination: Destination?
            }
            var rules: [Rule]
        }
        /// The addresses that take new connections, as a node's data plane has them.
        private func takers(_ node: String, _ name: String = "service/web/10.96.0.1/tcp/80") throws -> [String] {
            let rules = try decode(Rules.self, lab.vrctl(node, "nat", "list", "-o", "json").output).rules
            return rules.first { $0.name == name }?.destination?.backends.filter { $0.draining != true }.compactMap(\.address).sorted() ?? []
        }
        private struct Flows: Decodable {
            struct Flow: Decodable {
                struct Translation: Decodable { var destination: String? }
                var sourcePort: Int, translation: Translation?
            }
            var flows: [Flow]
        }
        /// Of these ports of blue1, those whose datagrams to the service go to a backend.
        private func clients(_ backend: String, from ports: Range<Int>) throws -> [Int] {
            let flows = try decode(Flows.self, lab.vrctl("node1", "flow", "--match", "10.96.0.1:81", "-o", "json").output).flows
            return Set(flows.filter { $0.translation?.destination == backend && ports.contains($0.sourcePort) }.map(\.sourcePort)).sorted()
        }
        private func expectTakers(_ addresses: [String], _ nodes: [String] = ["node1", "node2"], within seconds: Double = 10) throws {
            for node in nodes {
                try eventually("\(addresses) on \(node)", within: seconds) { try takers(node) == addresses }
            }
        }

        /// Which of so many connections, begun one after the other, each to the service, are answered.
        private func answered(_ workload: String, _ address: String = "10.96.0.1", count: Int = 12) throws -> Int {
            let program = """
                import socket
                n = 0
                for i in range(\(count)):
                    try:
                        s = socket.create_connection(("\(address)", 80), 1); s.send(b"hello"); n += s.recv(100) == b"hello"; s.close()
                    except OSError: pass
                print(n)
                """
            return Int(try lab.succeed(in: workload, [Place.python, "-c", program], limit: 60).trimmingCharacters(in: .whitespacesAndNewlines)) ?? 0
        }

        @Test func labelsSayWho() throws {
            let servers = try servers()
            defer { reset(servers) }
            try lab.apply(Self.both)
            try expectTakers(["10.1.0.12", "10.1.0.13"])
            for address in ["10.96.0.1", "fd00:96::1"] {
                // Also from a backend itself.
                for workload in ["blue1", "blue2", "blue3"] { #expect(try answered(workload, address) == 12, "\(workload) \(address)") }
            }
            // Both are asked: without one of their servers some go unanswered.
            let talk = try lab.talk(in: "blue1", Array(repeating: ("10.96.0.1", 80), count: 20))
            defer { talk.process.end() }
            try eventually("all talk") { (0..<20).allSatisfy { talk.said($0).count > 3 } }
            let steady = try lab.steadyDatagrams(in: "blue1", to: "10.96.0.1", 81, sockets: 20, from: 41000)
            let ofBlue2 = try clients("10.1.0.12", from: 41000..<41020)
            #expect((1..<20).contains(ofBlue2.count), "\(ofBlue2)")
            // blue3 is something else now: nothing new goes there, and the connections of blue2 notice nothing.
            try lab.apply(Self.port(3, labels: "app: other"))
            try expectTakers(["10.1.0.12"])
            #expect(try answered("blue1") == 12)
            try talk.wait(20)
            let ended = (0..<20).filter { talk.wasEverSilent($0) }
            #expect((1..<20).contains(ended.count), "\(ended)")
            // And back.
            try lab.apply(Self.port(3, labels: "app: web, and: more"))
            try expectTakers(["10.1.0.12", "10.1.0.13"])
            #expect(try answered("blue1") == 12)
            let seen = try steady.end()
            let latest = seen.map(\.last).max() ?? 0
            for port in ofBlue2 {
                let seen = seen[port - 41000]
                #expect(seen.last > latest - 20 && seen.lost.isEmpty, "port \(port): \(seen), the others \(latest)")
            }
            #expect((0..<20).filter { talk.wasEverSilent($0) } == ended)
            try lab.expectSoundDataplane()
        }

        @Test(arguments: [2, 3]) func aLinkThatIsDownTakesNothingNew(_ number: Int) throws {
            let servers = try servers()
            let node = number == 3 ? "node2" : "node1", other = "10.1.0.1\(5 - number)"
            func link(_ state: String) throws { try lab.succeed(in: node, ["ip", "link", "set", "tap-blue\(number)", state]) }
            defer {
                try? link("up")
                reset(servers)
            }
            try lab.apply(Self.both)
            try expectTakers(["10.1.0.12", "10.1.0.13"])
            let talk = try lab.talk(in: "blue1", Array(repeating: ("10.96.0.1", 80), count: 20))
            defer { talk.process.end() }
            try eventually("all talk") { (0..<20).allSatisfy { talk.said($0).count > 3 } }
            try link("down")
            // Known here and there within seconds.
            try expectTakers([other])
            #expect(try answered("blue1") == 12)
            try talk.wait(20)
            let silent = (0..<20).filter { talk.isSilent($0) }
            #expect((1..<20).contains(silent.count), "\(silent)")
            // When it is back its connections go on as if nothing had been.
            try link("up")
            try expectTakers(["10.1.0.12", "10.1.0.13"])
            try eventually("all talk again", within: 30) { !(0..<20).contains { talk.isSilent($0) } }
            #expect((0..<20).filter { talk.wasEverSilent($0) } == silent)
            try lab.expectSoundDataplane()
        }

        @Test func aNodeThatIsGoneTakesNothingNew() throws {
            let servers = try servers()
            func fabric(_ state: String) throws { try lab.succeed(in: "fabric", ["ip", "link", "set", "to-node2", state]) }
            defer {
                try? fabric("up")
                reset(servers)
            }
            try lab.apply(Self.both)
            try expectTakers(["10.1.0.12", "10.1.0.13"])
            try fabric("down")
            // Long before the controller gives up the node's routes.
            try expectTakers(["10.1.0.12"], ["node1"], within: 25)
            #expect(try answered("blue1") == 12)
            try fabric("up")
            try expectTakers(["10.1.0.12", "10.1.0.13"], within: 40)
            try eventually("all are answered", within: 20) { try answered("blue1") == 12 }
        }

        @Test func connectedNetworksReachIt() throws {
            let servers = try servers()
            func networks(_ policies: String) -> String {
                """
                kind: VirtualNetwork
                metadata: {name: blue}
                spec: {subnets: [{prefix: 10.1.0.0/24}, {prefix: "fd00:1::/64"}], mtu: 9000, policies: [\(policies)]}
                ---
                kind: VirtualNetwork
                metadata: {name: red}
                spec: {subnets: [{prefix: 10.2.0.0/24}, {prefix: "fd00:2::/64"}], encapsulation: mplsOverUDP, mtu: 9000, policies: [\(policies)]}

                """
            }
            defer {
                _ = try? lab.apply(networks(""))
                reset(servers)
            }
            for (workload, network) in [("blue1", 1), ("blue2", 1), ("blue3", 1), ("red1", 2)] {
                try lab.succeed(in: workload, ["ip", "route", "replace", "default", "via", "10.\(network).0.1"])
                try lab.succeed(in: workload, ["ip", "-6", "route", "replace", "default", "via", "fd00:\(network)::1"])
            }
            try lab.apply(Self.both)
            try expectTakers(["10.1.0.12", "10.1.0.13"])
            #expect(try answered("red1", count: 2) == 0)
            let rule = "{action: pass, direction: \">\", protocol: tcp, source: {network: red}, destination: {network: blue}}"
            try lab.apply("kind: NetworkPolicy\nmetadata: {name: shop}\nspec: {rules: [\(rule)]}\n---\n" + networks("shop"))
            try eventually("the service in red") { try takers("node2", "service/web@red/10.96.0.1/tcp/80") == ["10.1.0.12", "10.1.0.13"] }
            for address in ["10.96.0.1", "fd00:96::1"] {
                try eventually("red1 is answered by \(address)") { try answered("red1", address, count: 1) == 1 }
                // By the backend on its own node, and by the other across the fabric.
                #expect(try answered("red1", address, count: 24) == 24)
            }
            try lab.expectSoundDataplane()
        }
    }
}
