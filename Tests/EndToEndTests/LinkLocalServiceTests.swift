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
    }
}
