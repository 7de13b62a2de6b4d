import Foundation
import Testing

extension EndToEnd {
    /// Floating IPs: blue's workloads in the external network red, whose red1 is a plain Linux host. blue1 and blue2 are on node1, blue3 and red1 on node2.
    @Suite(.lab(.init(name: "fip"))) struct FloatingIPs {
        let lab: Lab
        init() throws { lab = try Lab.current }

        private static func floating(_ last: Int) -> String {
            """
            kind: FloatingIP
            metadata: {name: four\(last)}
            spec: {network: red, address: 10.2.0.10\(last), port: blue\(last)}
            ---
            kind: FloatingIP
            metadata: {name: six\(last)}
            spec: {network: red, address: "fd00:2::10\(last)", port: blue\(last)}
            ---

            """
        }
        private static func external(_ last: Int) -> [String] { ["10.2.0.10\(last)", "fd00:2::10\(last)"] }

        /// All three, there and known to everybody.
        private func float() throws {
            try lab.apply((1...3).map(Self.floating).joined())
            for last in 1...3 {
                for address in Self.external(last) {
                    try eventually("\(address)") { try lab.ping(from: "red1", address, count: 1, "-W", "1").received == 1 }
                }
            }
        }

        /// Says to whoever comes where he comes from; TCP and UDP.
        private func mirror(in workload: String, port: Int) throws -> Background {
            let program = """
                import socket, threading
                def name(a): return a[0].encode()
                def tcp(s):
                    s.listen(64)
                    while True:
                        c, a = s.accept(); c.sendall(name(a)); c.close()
                def udp(s):
                    while True:
                        d, a = s.recvfrom(100); s.sendto(name(a), a)
                for f, a in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
                    for k, run in ((socket.SOCK_STREAM, tcp), (socket.SOCK_DGRAM, udp)):
                        s = socket.socket(f, k); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                        if f == socket.AF_INET6: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                        s.bind((a, \(port))); threading.Thread(target=run, args=(s,)).start()
                print("ready", flush=True)
                """
            let process = try lab.start(in: workload, [Place.python, "-c", program])
            try eventually("the mirror in \(workload)") { process.output.contains("ready") }
            return process
        }

        /// What the mirror at an address calls this workload; the error's number when nobody answers.
        private func seen(from workload: String, _ proto: String, _ address: String, _ port: Int) throws -> String {
            let program = """
                import socket
                s = socket.socket(socket.AF_INET6 if ":" in "\(address)" else socket.AF_INET, socket.SOCK_\(proto == "tcp" ? "STREAM" : "DGRAM"))
                s.settimeout(2)
                try:
                    s.connect(("\(address)", \(port)))
                    if "\(proto)" == "udp": s.send(b"who")
                    print(s.recv(100).decode())
                except OSError as e: print("error", e.errno)
                """
            return try lab.succeed(in: workload, [Place.python, "-c", program]).trimmingCharacters(in: .whitespacesAndNewlines)
        }

        @Test func bothWays() throws {
            try float()
            let servers = try ["red1", "blue1", "blue2", "blue3"].map { try mirror(in: $0, port: 8080) }
            defer { servers.forEach { $0.end() } }
            for proto in ["tcp", "udp"] {
                for (index, red) in ["10.2.0.11", "fd00:2::11"].enumerated() {
                    for last in 1...3 {
                        // Out: red1 sees the floating IP. In: the workload sees red1.
                        #expect(try seen(from: "blue\(last)", proto, red, 8080) == Self.external(last)[index], "\(proto) blue\(last)")
                        #expect(try seen(from: "red1", proto, Self.external(last)[index], 8080) == red, "\(proto) blue\(last)")
                    }
                    // Neighbours, on one node and on two, meet by their floating IPs.
                    for (from, to) in [(1, 2), (1, 3), (3, 1)] {
                        let answer = try seen(from: "blue\(from)", proto, Self.external(to)[index], 8080)
                        #expect(answer == Self.external(from)[index], "\(proto) blue\(from) > blue\(to)")
                    }
                }
            }
            for address in ["10.2.0.11", "fd00:2::11", "10.2.0.102", "10.2.0.103", "fd00:2::103"] { try lab.expectPing(from: "blue1", address) }
            // Within the network nothing is translated.
            #expect(try seen(from: "blue1", "tcp", "10.1.0.13", 8080) == "10.1.0.11")
            try lab.expectSoundDataplane()
        }

        @Test func errorsAreUnderstood() throws {
            try float()
            // Nobody listens: the error about the translated packet finds the socket (111: connection refused).
            for (workload, addresses) in [("red1", Self.external(1)), ("red1", Self.external(3)), ("blue1", ["10.2.0.11", "fd00:2::11"])] {
                for address in addresses { #expect(try seen(from: workload, "udp", address, 9) == "error 111", "\(workload) > \(address)") }
            }
            // The first hop, which is the router, says that it is the first.
            let hop = try lab.run(in: "blue1", ["ping", "-n", "-c", "1", "-W", "2", "-t", "1", "10.2.0.11"]).both
            #expect(hop.contains("From 10.1.0.1") && hop.contains("exceeded"), "\(hop)")
        }

        @Test func deletionEndsItsConnectionsAndNoOthers() throws {
            try float()
            let server = try lab.echoServer(in: "red1", ["10.2.0.11", "fd00:2::11"], [7001])
            defer { server.end() }
            let own = try lab.echoServer(in: "blue3", ["10.1.0.13"], [7001])
            defer { own.end() }
            let talk = try lab.talk(in: "blue1", [("10.2.0.11", 7001), ("fd00:2::11", 7001), ("10.1.0.13", 7001)])
            defer { talk.process.end() }
            try eventually("all talk") { (0..<3).allSatisfy { talk.said($0).count > 5 } }
            let steady = try ["fd00:2::11", "10.1.0.13"].map { try lab.steadyDatagrams(in: "blue1", to: $0, 7001) }
            #expect(try lab.vrctl("node1", "delete", "floatingip", "four1").status == 0)
            try eventually("silent") { talk.isSilent(0) }
            let before = talk.said(1).count
            try eventually("the others talk on") { talk.said(1).count > before + 3 }
            #expect(!talk.wasEverSilent(1) && !talk.wasEverSilent(2))
            // Back again, the connection goes on: the address is the same.
            try lab.apply(Self.floating(1))
            try eventually("talks again") { talk.said(0).last?.hasSuffix("ok") == true }
            for steady in steady {
                let seen = try steady.end()[0]
                #expect(seen.last > 50 && seen.lost.isEmpty, "\(seen)")
            }
            let refused = try lab.vrctl("node1", "delete", "port", "blue1")
            #expect(refused.status == 1 && refused.both.contains("FloatingIP/four1"), "\(refused.both)")
            try lab.expectSoundDataplane()
        }
    }
}
