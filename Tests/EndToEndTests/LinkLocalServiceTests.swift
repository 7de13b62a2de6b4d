import Foundation
import Testing

extension EndToEnd {
    /// Metadata as cloud images ask for it: curl in a workload, a plain HTTP server on the fabric, and the agent between them.
    @Suite(.lab(.init(name: "meta"))) struct LinkLocalServices {
        let lab: Lab
        init() throws { lab = try Lab.current }

        @Test func metadata() throws {
            let server = """
                import http.server, json
                class H(http.server.BaseHTTPRequestHandler):
                    def answer(self):
                        n = int(self.headers.get("Content-Length") or 0)
                        body = self.rfile.read(n).decode()
                        if self.path == "/large": out = b"0123456789" * 30000
                        else: out = json.dumps({"path": self.path, "method": self.command, "body": body, **{k.lower(): v for k, v in self.headers.items()}}).encode()
                        self.send_response(200); self.send_header("Content-Length", str(len(out))); self.send_header("X-From", "server"); self.end_headers(); self.wfile.write(out)
                    do_GET = do_PUT = answer
                    def log_message(self, *a): pass
                print("ready", flush=True)
                http.server.ThreadingHTTPServer(("10.0.0.1", 8775), H).serve_forever()
                """
            let metadata = try lab.start(in: "controller", [Place.python, "-c", server])
            defer { metadata.end() }
            try eventually("the metadata server") { metadata.output.contains("ready") }
            try lab.apply(
                """
                kind: LinkLocalService
                metadata: {name: metadata}
                spec: {target: {address: 10.0.0.1, port: 8775}, secret: open sesame}
                """)
            func curl(_ workload: String, _ arguments: String...) throws -> String {
                let words: [String] = ["curl", "-s", "-m", "15"] + arguments
                return try lab.run(in: workload, words).output
            }
            try eventually("metadata in blue1") { try curl("blue1", "http://169.254.169.254/").contains("path") }
            struct Ports: Decodable {
                struct Port: Decodable {
                    struct Metadata: Decodable { var name: String, uid: String }
                    var metadata: Metadata
                }
                var objects: [Port]
            }
            let json = try lab.vrctl("node1", "get", "ports", "-o", "json").output
            let uids = Dictionary(uniqueKeysWithValues: try decode(Ports.self, json).objects.map { ($0.metadata.name, $0.metadata.uid) })
            for (workload, address) in [("blue1", "10.1.0.11"), ("blue3", "10.1.0.13"), ("red1", "10.2.0.11")] {
                // What the workload says of itself is not believed.
                let text = try curl(
                    workload, "-H", "X-Instance-ID: other", "-H", "X-Forwarded-For: 1.2.3.4", "http://169.254.169.254/latest/meta-data/?a=b")
                let said = try decode([String: String].self, text)
                #expect(said["path"] == "/latest/meta-data/?a=b" && said["method"] == "GET" && said["x-forwarded-for"] == address, "\(said)")
                let uid = try #require(uids[workload])
                #expect(said["x-instance-id"] == uid && said["x-tenant-id"]?.isEmpty == false, "\(said)")
                let sign = "import hmac,hashlib; print(hmac.new(b'open sesame', b'\(uid)', hashlib.sha256).hexdigest())"
                let expected = try Shell.succeed([Place.python, "-c", sign]).trimmingCharacters(in: .whitespacesAndNewlines)
                #expect(said["x-instance-id-signature"] == expected)
            }
            let put = try decode([String: String].self, curl("blue1", "-X", "PUT", "-d", "hello", "http://169.254.169.254/token"))
            #expect(put["method"] == "PUT" && put["body"] == "hello")
            // More than a window, octet by octet.
            let large = try curl("blue1", "http://169.254.169.254/large")
            #expect(large.count == 300_000 && large == String(repeating: "0123456789", count: 30_000))
            // Nobody behind it: said so, by the agent.
            metadata.end()
            #expect(try curl("blue1", "-o", "/dev/null", "-w", "%{http_code}", "http://169.254.169.254/") == "502")
            #expect(try lab.vrctl("node1", "delete", "linklocalservice", "metadata").status == 0)
            try eventually("gone") { try lab.run(in: "blue1", ["curl", "-s", "-m", "1", "http://169.254.169.254/"]).status != 0 }
            try lab.expectSoundDataplane()
        }

        /// OpenStack's address for metadata over IPv6, and one that is no link-local one; headers as over IPv4.
        @Test func metadataOverIPv6() throws {
            let server = """
                import http.server, json
                class H(http.server.BaseHTTPRequestHandler):
                    def do_GET(self):
                        out = json.dumps({"path": self.path, **{k.lower(): v for k, v in self.headers.items()}}).encode()
                        self.send_response(200); self.send_header("Content-Length", str(len(out))); self.end_headers(); self.wfile.write(out)
                    def log_message(self, *a): pass
                print("ready", flush=True)
                http.server.ThreadingHTTPServer(("10.0.0.1", 8776), H).serve_forever()
                """
            let metadata = try lab.start(in: "controller", [Place.python, "-c", server])
            defer { metadata.end() }
            try eventually("the metadata server") { metadata.output.contains("ready") }
            for (name, address) in [("meta6", "fe80::a9fe:a9fe"), ("meta7", "fd00:a9fe::254")] {
                try lab.apply(
                    """
                    kind: LinkLocalService
                    metadata: {name: \(name)}
                    spec: {address: "\(address)", target: {address: 10.0.0.1, port: 8776}, secret: open sesame}
                    """)
            }
            for workload in ["blue1", "blue3", "red1"] {
                try lab.succeed(in: workload, ["ip", "-6", "route", "replace", "default", "via", workload == "red1" ? "fd00:2::1" : "fd00:1::1"])
            }
            func ask(_ workload: String, _ host: String) throws -> [String: String] {
                let text = try lab.run(in: workload, ["curl", "-s", "-g", "-m", "5", "http://[\(host)]/a?b=c"]).output
                return try decode([String: String].self, text)
            }
            for (workload, address) in [("blue1", "fd00:1::11"), ("blue3", "fd00:1::13"), ("red1", "fd00:2::11")] {
                let far = try eventually("the metadata of \(workload)") { try ask(workload, "fd00:a9fe::254") }
                #expect(far["path"] == "/a?b=c" && far["x-forwarded-for"] == address && far["x-instance-id-signature"]?.count == 64, "\(far)")
                // On the link: from the link-local address of the workload, which is told apart by its port all the same.
                let near = try eventually("the metadata on the link of \(workload)") { try ask(workload, "fe80::a9fe:a9fe%25eth0") }
                #expect(near["x-instance-id"] == far["x-instance-id"] && near["x-instance-id-signature"] == far["x-instance-id-signature"], "\(near)")
                #expect(near["x-forwarded-for"]?.hasPrefix("fe80:") == true, "\(near)")
            }
            for name in ["meta6", "meta7"] { #expect(try lab.vrctl("node1", "delete", "linklocalservice", name).status == 0) }
            try lab.expectSoundDataplane()
        }

        /// A datagram service such as NTP: many clients' ports at once, each with its own answers.
        @Test func datagrams() throws {
            let server = """
                import socket
                s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("10.0.0.1", 10123)); print("ready", flush=True)
                seen = set()
                while True:
                    d, a = s.recvfrom(2000); seen.add(a); s.sendto(b"time for " + d, a)
                    if d == b"count": s.sendto(str(len(seen)).encode(), a)
                """
            let time = try lab.start(in: "controller", [Place.python, "-c", server])
            defer { time.end() }
            try eventually("the time server") { time.output.contains("ready") }
            for (name, address) in [("time", "169.254.169.123"), ("time6", "fe80::a9fe:a97b")] {
                try lab.apply(
                    """
                    kind: LinkLocalService
                    metadata: {name: \(name)}
                    spec: {protocol: udp, address: "\(address)", port: 123, target: {address: 10.0.0.1, port: 10123}}
                    """)
            }
            for workload in ["blue1", "blue3", "red1"] {
                for address in ["169.254.169.123", "fe80::a9fe:a97b"] {
                    let program = """
                        import socket, sys
                        six = ":" in "\(address)"; to = ("\(address)", 123) + ((0, socket.if_nametoindex("eth0")) if six else ())
                        all = [socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM) for _ in range(10)]
                        n = 0
                        for round in range(3):
                            for i, s in enumerate(all): s.settimeout(1); s.connect(to); s.send(b"%d/%d" % (i, round))
                            for i, s in enumerate(all):
                                try: n += s.recv(100) == b"time for %d/%d" % (i, round)
                                except OSError: pass
                        print(n)
                        """
                    if address.hasPrefix("169") { try lab.succeed(in: workload, ["ip", "route", "replace", "169.254.0.0/16", "dev", "eth0"]) }
                    try eventually("\(workload) by \(address)", within: 30) {
                        try lab.succeed(in: workload, [Place.python, "-c", program]).hasPrefix("30")
                    }
                }
            }
            for name in ["time", "time6"] { #expect(try lab.vrctl("node1", "delete", "linklocalservice", name).status == 0) }
            try lab.expectSoundDataplane()
        }
    }
}
