import Foundation
import Testing

extension EndToEnd {
    /// Services and shared external addresses, with real sockets. In blue: blue1 and blue2 on node1, blue3 on node2; red1 (node2) is a plain Linux host outside.
    @Suite(.lab(.init(name: "svc"))) struct NATServices {
        let lab: Lab
        init() throws { lab = try Lab.current }

        // MARK: - Services

        private static func service(_ backends: String, affinity: String = "connection") -> String {
            """
            kind: Service
            metadata: {name: web}
            spec:
              network: blue
              addresses: [10.96.0.1, "fd00:96::1"]
              ports: [{protocol: tcp, port: 80, targetPort: 8080}, {protocol: udp, port: 53, targetPort: 8080}]
              backends: [\(backends)]
              affinity: \(affinity)
            """
        }

        /// Says its own name to whoever asks, over TCP and UDP and both families, and then echoes.
        private func backend(_ workload: String) throws -> Background {
            let program = """
                import socket, threading
                def tcp(s):
                    s.listen(64)
                    while True: threading.Thread(target=one, args=(s.accept()[0],), daemon=True).start()
                def one(c):
                    try:
                        c.sendall(b"\(workload)")
                        while True:
                            d = c.recv(100)
                            if not d: return c.close()
                            c.sendall(d)
                    except OSError: pass
                def udp(s):
                    while True:
                        d, a = s.recvfrom(100); s.sendto(b"\(workload)", a)
                for f, a in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
                    for k, run in ((socket.SOCK_STREAM, tcp), (socket.SOCK_DGRAM, udp)):
                        s = socket.socket(f, k); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                        if f == socket.AF_INET6: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                        s.bind((a, 8080)); threading.Thread(target=run, args=(s,)).start()
                print("ready", flush=True)
                """
            let process = try lab.start(in: workload, [Place.python, "-c", program])
            try eventually("the backend in \(workload)") { process.output.contains("ready") }
            return process
        }

        /// Who answers so many connections, one after the other.
        private func answers(_ workload: String, _ address: String, count: Int = 30, udp: Bool = false) throws -> [String: Int] {
            let program = """
                import socket
                for i in range(\(count)):
                    s = socket.socket(socket.AF_INET6 if ":" in "\(address)" else socket.AF_INET, socket.SOCK_\(udp ? "DGRAM" : "STREAM"))
                    s.settimeout(1)
                    try:
                        s.connect(("\(address)", \(udp ? 53 : 80)))
                        if \(udp ? "True" : "False"): s.send(b"who")
                        print(s.recv(100).decode())
                    except OSError: print("nobody")
                    s.close()
                """
            let output = try lab.succeed(in: workload, [Place.python, "-c", program], limit: 90)
            return output.split(separator: "\n").reduce(into: [:]) { $0[String($1), default: 0] += 1 }
        }

        private func serve(_ yaml: String) throws {
            try lab.apply(yaml)
            for node in ["node1", "node2"] {
                try eventually("the service on \(node)") { try lab.vrctl(node, "nat", "list").output.contains("service/web") }
            }
        }

        @Test func connectionsAreShared() throws {
            let servers = try ["blue1", "blue2", "blue3"].map { try backend($0) }
            defer {
                servers.forEach { $0.end() }
                _ = try? lab.vrctl("node1", "delete", "service", "web")
            }
            try serve(Self.service("blue2, blue3"))
            for address in ["10.96.0.1", "fd00:96::1"] {
                for (workload, udp) in [("blue1", false), ("blue1", true), ("blue3", false), ("blue2", false)] {
                    // blue2 and blue3 may get themselves: they see the service, not their own address, as the client.
                    let found = try answers(workload, address, udp: udp)
                    #expect(Set(found.keys) == ["blue2", "blue3"], "\(workload) \(address): \(found)")
                }
                try lab.expectPing(from: "blue1", address)
            }
            try serve(Self.service("blue2, blue3", affinity: "client"))
            try eventually("affinity") { try lab.vrctl("node1", "nat", "list", "-o", "json").output.contains("\"client\"") }
            #expect(try answers("blue1", "10.96.0.1").count == 1)
            try lab.expectSoundDataplane()
        }

        @Test func aBackendThatGoesGetsNoMore() throws {
            let servers = try ["blue2", "blue3"].map { try backend($0) }
            defer {
                servers.forEach { $0.end() }
                _ = try? lab.shell("in_ns controller $LAB_BIN/vrctl --controller http://10.0.0.1:8082 apply -f configs/demo.yaml")
                _ = try? lab.vrctl("node1", "delete", "service", "web")
            }
            try serve(Self.service("blue2, blue3"))
            // Twenty connections that talk on.
            let talk = try lab.talk(in: "blue1", Array(repeating: ("10.96.0.1", 80), count: 20))
            defer { talk.process.end() }
            try eventually("all talk") { (0..<20).allSatisfy { talk.said($0).count > 3 } }
            let refused = try lab.vrctl("node1", "delete", "virtualnetwork", "blue")
            #expect(refused.status == 1)
            #expect(try lab.vrctl("node1", "delete", "port", "blue3").status == 0)
            try eventually("one backend less") { try answers("blue1", "10.96.0.1", count: 8) == ["blue2": 8] }
            try talk.wait(20)
            let silent = (0..<20).filter { talk.isSilent($0) }
            #expect(silent.count < 20)
            for index in Set(0..<20).subtracting(silent) { #expect(!talk.wasEverSilent(index), "connection \(index)") }
            // None left: refused at once by nobody, and counted.
            #expect(try lab.vrctl("node1", "delete", "port", "blue2").status == 0)
            try eventually("no backend") { try answers("blue1", "10.96.0.1", count: 1) == ["nobody": 1] }
            #expect(try lab.drops("node1", "no_backend") > 0)
        }

        // MARK: - Shared external address

        private static func router(portsPerNode: Int = 1024) -> String {
            """
            kind: Router
            metadata: {name: out}
            spec:
              externalNetwork: red
              networks: [blue]
              snat: {addresses: [10.2.0.200, "fd00:2::200"], portsPerNode: \(portsPerNode)}
            """
        }

        /// Many connections of all blue's workloads, on two nodes, to one host outside at once, from the same source ports: it sees one address, and no pair twice.
        @Test func twoNodesShareAnAddress() throws {
            defer { _ = try? lab.vrctl("node1", "delete", "router", "out") }
            try lab.apply(Self.router())
            for workload in ["blue1", "blue2", "blue3"] {
                for address in ["10.2.0.11", "fd00:2::11"] {
                    try eventually("\(workload) outside") { try lab.ping(from: workload, address, count: 1, "-W", "1").received == 1 }
                }
            }
            let count = 250
            let server = """
                import socket, threading, sys, resource
                resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
                seen = {}; lock = threading.Lock()
                def serve(f, a):
                    s = socket.socket(f); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind((a, 9000)); s.listen(1024)
                    print("ready", flush=True)
                    while True:
                        c, p = s.accept()
                        c.sendall(("%s %d" % p[:2]).encode())
                        with lock: seen[c] = p[:2]; print("peer", p[0], p[1], flush=True)
                for f, a in ((socket.AF_INET, "10.2.0.11"), (socket.AF_INET6, "fd00:2::11")): threading.Thread(target=serve, args=(f, a)).start()
                """
            let peer = try lab.start(in: "red1", [Place.python, "-c", server])
            defer { peer.end() }
            try eventually("the peer") { peer.output.matches(of: /ready/).count == 2 }
            let client = """
                import socket, sys, time, resource
                resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
                all = []
                for port in range(20000, 20000 + \(count)):
                    for f, a in ((socket.AF_INET, "10.2.0.11"), (socket.AF_INET6, "fd00:2::11")):
                        s = socket.socket(f); s.settimeout(10)
                        if f == socket.AF_INET6: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                        s.bind(("", port)); s.connect((a, 9000)); all.append(s)
                for s in all: s.recv(100)
                print("done", len(all), flush=True)
                time.sleep(60)
                """
            let clients = try ["blue1", "blue2", "blue3"].map { try lab.start(in: $0, [Place.python, "-c", client]) }
            defer { clients.forEach { $0.end() } }
            try eventually("all connected", within: 60) {
                for client in clients where !client.isRunning { throw Failure(client.errors) }
                return clients.allSatisfy { $0.output.contains("done \(2 * count)") }
            }
            let lines = peer.output.split(separator: "\n").filter { $0.hasPrefix("peer ") }
            #expect(lines.count == 6 * count && Set(lines).count == 6 * count)
            #expect(Set(lines.map { $0.split(separator: " ")[1] }) == ["10.2.0.200", "fd00:2::200"])
            // Each node within its own ports: node1 has two workloads, node2 one.
            let ports = lines.filter { $0.contains("10.2.0.200") }.compactMap { Int($0.split(separator: " ")[2]) }
            #expect(ports.allSatisfy { (1024..<3072).contains($0) })
            #expect([ports.filter { $0 < 2048 }.count, ports.filter { $0 >= 2048 }.count].sorted() == [count, 2 * count])
            // UDP and errors come back too.
            #expect(try lab.answersError("blue1", "10.2.0.11", 9) && lab.answersError("blue3", "fd00:2::11", 9))
            try lab.expectSoundDataplane()
        }

        @Test func portsThatAreUsedUpAreCounted() throws {
            defer { _ = try? lab.vrctl("node1", "delete", "router", "out") }
            try lab.apply(Self.router(portsPerNode: 16))
            try eventually("outside") { try lab.ping(from: "blue1", "10.2.0.11", count: 1, "-W", "1").received == 1 }
            let server = try lab.echoServer(in: "red1", ["10.2.0.11"], [7002])
            defer { server.end() }
            let program = """
                import socket
                s = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(24)]
                for x in s: x.settimeout(0.3); x.connect(("10.2.0.11", 7002)); x.send(b"hello")
                n = 0
                for x in s:
                    try: n += len(x.recv(10)) == 5
                    except OSError: pass
                print(n)
                """
            #expect(try lab.succeed(in: "blue1", [Place.python, "-c", program]).trimmingCharacters(in: .whitespacesAndNewlines) == "16")
            #expect(try lab.drops("node1", "nat_ports_exhausted") == 8)
        }
    }
}

extension Lab {
    /// Whether a datagram to a port at which nobody listens is answered by an error that the socket understands.
    func answersError(_ workload: String, _ address: String, _ port: Int) throws -> Bool {
        let program = """
            import socket, sys, errno
            s = socket.socket(socket.AF_INET6 if ":" in "\(address)" else socket.AF_INET, socket.SOCK_DGRAM)
            s.settimeout(2); s.connect(("\(address)", \(port))); s.send(b"x")
            try: s.recv(10)
            except OSError as e: sys.exit(0 if e.errno == errno.ECONNREFUSED else 1)
            sys.exit(2)
            """
        return try run(in: workload, [Place.python, "-c", program]).status == 0
    }
}
