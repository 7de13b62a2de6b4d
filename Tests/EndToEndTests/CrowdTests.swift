import Foundation
import Testing

extension EndToEnd {
    /// Many who connect to a controller and say nothing: it serves others, and ends as asked while they come and go.
    @Suite struct Crowd {
        @Test func takesMoreConnectionsThanFilesItWasGivenUnasked() throws {
            let scratch = try TemporaryDirectory()
            let configuration = try scratch.write(
                "controller.yaml",
                """
                xmpp: {transport: plaintext, credentials: {node1: secret}, listen: "127.0.0.1:15269"}
                http: {listen: "127.0.0.1:18082"}
                store: \(scratch.path)/store.sqlite

                """)
            let controller = try Background(["prlimit", "--nofile=64:4096", Place.program("vrouter-controller"), "--config", configuration])
            try eventually("the controller") { controller.errors.contains("listening") }
            let crowd = try Background([
                Place.python, "-u", "-c",
                """
                import collections, socket, time
                connect = lambda: socket.create_connection(("127.0.0.1", 15269), timeout=5)
                held, end = collections.deque([connect() for _ in range(200)], maxlen=200), time.time() + 60
                for connection in held: connection.sendall(b"<no-stream/>")
                if all(connection.recv(1) for connection in held): print("all are answered")
                while time.time() < end:
                    try:
                        held.append(connect())
                    except OSError:
                        time.sleep(0.01)
                """,
            ])
            try eventually("an answer to each") { crowd.output.contains("all are answered") }
            try Shell.succeed(["curl", "-sf", "http://127.0.0.1:18082/v1/status"])
            let end = controller.end()
            #expect(end.status == 0, "\(end.both.suffix(4000))")
            #expect(crowd.isRunning)
        }
    }
}
