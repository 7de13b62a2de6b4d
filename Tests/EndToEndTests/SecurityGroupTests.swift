import Foundation
import Testing

extension EndToEnd {
    /// Security groups as an operator uses them: real sockets in workloads on one node and on two, both families, and changes while connections are open.
    @Suite(.lab(.init(name: "sg"))) struct SecurityGroups {
        let lab: Lab
        init() throws { lab = try Lab.current }

        private static func port(_ name: String, _ node: String, _ last: Int, groups: String) -> String {
            """
            kind: Port
            metadata: {name: \(name)}
            spec:
              network: blue
              node: \(node)
              mac: "02:00:00:00:01:\(last)"
              addresses: [10.1.0.\(last), "fd00:1::\(last)"]
              interface: tap-\(name)
              securityGroups: [\(groups)]

            """
        }

        private static func groups(ports: String) -> String {
            """
            kind: SecurityGroup
            metadata: {name: web}
            spec:
              ingress:
                - {protocol: tcp, ports: [\(ports)], from: {group: clients}}
                - {protocol: icmp, from: {prefixes: [10.1.0.11]}}
                - {protocol: icmpv6, icmpType: 128, from: {prefixes: ["fd00:1::11"]}}
              egress: []
            ---
            kind: SecurityGroup
            metadata: {name: clients}
            spec: {ingress: [{protocol: udp}], egress: [{}]}
            ---

            """
        }

        /// blue3 (node2) is the web server; `groups` are blue1's (node1) and blue2's (node1).
        private func configure(ports: String = "8080", blue1: String, blue2: String) throws {
            try lab.apply(
                Self.groups(ports: ports) + Self.port("blue1", "node1", 11, groups: blue1) + "---\n" + Self.port("blue2", "node1", 12, groups: blue2)
                    + "---\n"
                    + Self.port("blue3", "node2", 13, groups: "web"))
        }

        private func reset() throws {
            try lab.apply(
                Self.port("blue1", "node1", 11, groups: "") + "---\n" + Self.port("blue2", "node1", 12, groups: "") + "---\n"
                    + Self.port("blue3", "node2", 13, groups: ""))
        }

        /// An echo server of each family on each of these ports in blue3.
        private func server(_ ports: [Int]) throws -> Background {
            let program = """
                import socket, threading
                def serve(c):
                    while True:
                        d = c.recv(4096)
                        if not d: return
                        c.sendall(d)
                def listen(family, address, port):
                    s = socket.socket(family, socket.SOCK_STREAM)
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    s.bind((address, port)); s.listen(16)
                    print("ready", flush=True)
                    while True: threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
                for p in \(ports):
                    for f, a in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
                        s = None
                        threading.Thread(target=listen, args=(f, "10.1.0.13" if f == socket.AF_INET else "fd00:1::13", p)).start()
                """
            let process = try lab.start(in: "blue3", [Place.python, "-c", program])
            try eventually("the servers") { process.output.matches(of: /ready/).count == ports.count * 2 }
            return process
        }

        /// Whether a TCP connection comes about within a second.
        private func connects(_ workload: String, _ address: String, _ port: Int) throws -> Bool {
            let program = "import socket; socket.create_connection(('\(address)', \(port)), 1).close()"
            return try lab.run(in: workload, [Place.python, "-c", program]).status == 0
        }

        @Test func onlyWhatTheRulesSay() throws {
            let server = try server([8080, 8081])
            defer {
                server.end()
                try? reset()
            }
            try configure(blue1: "clients", blue2: "")
            try eventually("the policies on node2") { try lab.vrctl("node2", "policy", "list").output.contains("securityGroups/blue/web:ingress") }
            try eventually("the member on node2") { try lab.vrctl("node2", "policy", "groups").output.contains("10.1.0.11/32") }
            for address in ["10.1.0.13", "fd00:1::13"] {
                #expect(try connects("blue1", address, 8080), "\(address)")
                #expect(try !connects("blue1", address, 8081), "\(address)")
                // No member of the group that may.
                #expect(try !connects("blue2", address, 8080), "\(address)")
            }
            try lab.expectPing(from: "blue1", "10.1.0.13")
            try lab.expectPing(from: "blue1", "fd00:1::13")
            #expect(try lab.ping(from: "blue2", "10.1.0.13", count: 2, "-W", "1").received == 0)
            // The server answers, but may open nothing itself.
            #expect(try lab.ping(from: "blue3", "10.1.0.12", count: 2, "-W", "1").received == 0)
            #expect(try lab.drops("node2", "flow_action_drop") > 0)
            #expect(try lab.vrctl("node2", "flow", "-l").output.contains("Action:D(OutSG)"))
            #expect(try lab.vrctl("node2", "flow", "-l").output.contains("Action:D(SG)"))
            // What the command line says is what happens.
            let yes = try lab.vrctl("node2", "policy", "explain", "--port", "tap-blue3", "tcp 10.1.0.11:4321 > 10.1.0.13:8080").output
            #expect(yes.contains("to the workload (ingress): pass") && yes.contains("web/ingress[0]"), "\(yes)")
            let no = try lab.vrctl("node2", "policy", "explain", "--port", "tap-blue3", "tcp 10.1.0.12:4321 > 10.1.0.13:8080").output
            #expect(no.contains("to the workload (ingress): deny") && no.contains("no rule matches"), "\(no)")
            try lab.expectSoundDataplane()
        }

        @Test func aChangeStopsWhatItForbidsAndNothingElse() throws {
            let server = try server([8080, 8081])
            defer {
                server.end()
                try? reset()
            }
            try configure(ports: "8080, 8081", blue1: "clients", blue2: "")
            try eventually("both ports open") { try connects("blue1", "10.1.0.13", 8080) && connects("blue1", "10.1.0.13", 8081) }
            // Two connections that say a number and wait for it, again and again.
            let program = """
                import socket, time
                a = socket.create_connection(("10.1.0.13", 8080), 5); b = socket.create_connection(("fd00:1::13", 8081), 5)
                for s in (a, b): s.settimeout(0.5)
                n = 0
                while True:
                    n += 1
                    for name, s in (("A", a), ("B", b)):
                        try:
                            s.sendall(b"x" * 10); print(name, n, len(s.recv(100)), flush=True)
                        except OSError: print(name, n, "silent", flush=True)
                    time.sleep(0.05)
                """
            let talk = try lab.start(in: "blue1", [Place.python, "-c", program])
            defer { talk.end() }
            func said(_ name: String) -> [Substring] { talk.output.split(separator: "\n").filter { $0.hasPrefix(name) } }
            try eventually("both talk") { said("A").count > 5 && said("B").count > 5 }
            #expect(!talk.output.contains("silent"))
            // A lost packet of a connection is sent again, and not seen: these see it. The same groups let them pass.
            let steady = [try SteadyPing(lab, from: "blue1", "10.1.0.13"), try SteadyPing(lab, from: "blue1", "fd00:1::13")]
            try configure(ports: "8081", blue1: "clients", blue2: "")
            try eventually("the forbidden one is silent") { said("A").suffix(2).allSatisfy { $0.hasSuffix("silent") } && said("A").count > 2 }
            let before = said("B").count
            try eventually("the other talks on") { said("B").count > before + 3 }
            #expect(!said("B").contains { $0.hasSuffix("silent") })
            #expect(try !connects("blue1", "10.1.0.13", 8080))
            // Leaving the group of those who may is a change, too.
            try configure(ports: "8081", blue1: "", blue2: "")
            try eventually("silent now") { said("B").last?.hasSuffix("silent") == true }
            for ping in steady {
                let (answered, lost) = try ping.end()
                #expect(answered > 100 && lost.isEmpty, "not answered: \(lost) of \(answered)")
            }
            try lab.expectSoundDataplane()
        }
    }
}
