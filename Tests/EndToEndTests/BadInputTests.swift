import Foundation
import Testing

extension EndToEnd {
    /// Mistakes and malice of people and peers: refused with a reason, without effect on what runs.
    @Suite(.lab(.init(name: "badinput"))) struct BadInput {
        let lab: Lab
        init() throws { lab = try Lab.current }

        private func objects() throws -> String {
            let outcome = try lab.vrctl("node1", "get", "all", "-o", "json")
            guard outcome.status == 0 else { throw Failure(outcome.both) }
            return outcome.output
        }

        @Test(arguments: [
            // The error's place: line, column, and field.
            ("spec: {network: blue, node: node1, macc: \"02:00:00:00:01:98\", addresses: [10.1.0.98]}", ":7:36:", "spec.macc"),
            ("spec: {network: blue, node: node1, mac: \"02:00:00:00:01:98\", addresses: [10.1.0.298]}", ":7:", "spec.addresses[0]"),
            ("spec: {network: blue, node: node1, mac: \"02:00:00:00:01:98\", addresses: [10.9.0.98]}", ":7:", "spec.addresses[0]"),
            ("spec: {network: none, node: node1, mac: \"02:00:00:00:01:98\", addresses: [10.1.0.98]}", ":7:", "spec.network"),
            ("spec: {network: blue, node: node1, mac: \"02:00:00:00:01:11\", addresses: [10.1.0.98]}", ":7:", "spec.mac"),
            ("spec: {network: blue, node: node1, mac: [1, addresses: [10.1.0.98]}", ":7:", "YAML"),
            ("\tspec: {}", ":7:", "YAML"),
        ])
        func applyRefusesTheWholeFile(_ specification: String, _ place: String, _ field: String) throws {
            // The first document is good: it must not be stored either.
            let text = """
                kind: ComputeNode
                metadata: {name: node9}
                spec: {address: 10.0.0.19}
                ---
                kind: Port
                metadata: {name: wrong}
                \(specification)

                """
            let scratch = try TemporaryDirectory()
            let file = try scratch.write("net.yaml", text)
            let before = try objects()
            let outcome = try lab.vrctl("node1", "apply", "-f", file)
            #expect(outcome.status == 1, "\(outcome.both)")
            #expect(outcome.errors.contains(file + place) && outcome.errors.contains(field), "\(outcome.errors)")
            #expect(try objects() == before)
        }

        /// What is no XML ends its own stream, with the error of RFC 6120 4.9.3.13, and nobody else's.
        @Test func malformedXMPPEndsItsOwnStream() throws {
            let declaration = "<?xml version='1.0'?>"
            let header = "<stream:stream to='vrouter.local' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
            for (input, condition) in [
                (header + "<message><unclosed></message>", "not-well-formed"), (header + "<message/>", "not-authorized"),
                ("<!DOCTYPE a [<!ENTITY b 'c'>]>" + header, "restricted-xml"), (header + "<!-- no -->", "restricted-xml"),
                (header.replacing("jabber:client", with: "jabber:server"), "invalid-namespace"),
                (header.replacing("vrouter.local", with: "elsewhere"), "host-unknown"),
            ] {
                let outcome = try lab.run(in: "node1", ["socat", "-t", "5", "-", "TCP:10.0.0.1:5269"], input: declaration + input)
                #expect(outcome.output.contains("<stream:error><\(condition) xmlns=\"urn:ietf:params:xml:ns:xmpp-streams\""), "\(outcome.both)")
                #expect(outcome.output.hasSuffix("</stream:stream>"))
            }
            // Bytes that are no stream at all, and far too many of them.
            let noise = try lab.run(
                in: "node1", ["bash", "-c", "head -c 300000 /dev/urandom | timeout 10 socat -t 2 - TCP:10.0.0.1:5269 | head -c 3000"])
            #expect(noise.output.isEmpty || noise.output.contains("stream:error"), "\(noise.output)")

            let observer = try lab.succeed(
                in: "controller",
                [Place.python, Place.input("observer.py"), "10.0.0.1", "5269", "observer", "secret-of-observer", "blue", "malformed"])
            #expect(observer.contains(#"{"streamError": "not-well-formed"}"#), "\(observer)")

            for node in lab.setup.nodes {
                let controllers = try lab.agent(node).controllers
                #expect(controllers.map(\.state) == ["up"])
                #expect(controllers.allSatisfy { $0.routesStale == 0 })
            }
            #expect(try lab.isRunning("controller"))
            try lab.expectPing(from: "blue1", "10.1.0.13")
        }

        /// An object that cannot be is seen where it was configured to be, and heals by itself.
        @Test func aPortWithoutItsInterfaceIsSeenAndHeals() throws {
            defer { _ = try? lab.vrctl("node1", "delete", "port", "ghost") }
            let text = """
                kind: Port
                metadata: {name: ghost}
                spec: {network: blue, node: node1, mac: "02:00:00:00:01:31", addresses: [10.1.0.31, "fd00:1::31"], interface: tap-ghost}
                """
            #expect(try lab.vrctl("node1", "apply", "-f", "-", input: text).status == 0)
            try eventually("a refusal in the agent's status") { try lab.agent("node1").refused.contains { $0.object.contains("tap-ghost") } }
            let port = try lab.agent("node1").port("ghost")
            #expect(port.state == "waiting" && port.reason?.contains("no such interface") == true, "\(port)")
            let status = try lab.vrctl("node1", "status")
            #expect(status.status == 1)
            #expect(status.output.contains("ghost: waiting") && status.output.contains("no such interface"), "\(status.output)")
            // The others are not concerned.
            try lab.expectPing(from: "blue1", "10.1.0.13")

            try lab.shell(
                """
                WORKLOAD_MAC[ghost]=02:00:00:00:01:31 WORKLOAD_IPV4[ghost]=10.1.0.31 WORKLOAD_IPV6[ghost]=fd00:1::31
                add_namespace ghost; lab_cable node1 ghost
                """)
            try eventually("port ghost active", within: 40) { try lab.agent("node1").port("ghost").state == "active" }
            try eventually("nothing refused") { try lab.agent("node1").refused.isEmpty }
            #expect(try lab.vrctl("node1", "status").status == 0)
            try lab.expectPing(from: "ghost", "10.1.0.12")
            try eventually("ghost's route on the other node") { try lab.vrctl("node2", "rt", "--dump", "blue").output.contains("10.1.0.31/32") }
            try lab.expectPing(from: "blue3", "10.1.0.31")
        }

        /// Files with a mistake, and what only looks like a daemon.
        @Test func programsRefuseBadFilesWithTheirPlace() throws {
            let scratch = try TemporaryDirectory()
            for (program, text, field) in [
                ("vrouter", "workers: 1\nidel: poll\n", "idel"),
                (
                    "vrouter-agent",
                    "node: node1\nfabric: {interface: fabric0, address: 10.0.0.11/24, gatewayy: 10.0.0.1}\nxmpp: {password: x, transport: plaintext}\n",
                    "fabric.gatewayy"
                ),
                ("vrouter-controller", "xmpp:\n  lissten: 10.0.0.1:5269\n", "lissten"),
            ] {
                let file = try scratch.write("\(program).yaml", text)
                let outcome = try Shell.run([Place.program(program), "--config", file])
                #expect(outcome.status != 0 && outcome.status != 124)
                #expect(outcome.errors.contains("\(file):2:") && outcome.errors.contains(field), "\(outcome.both)")
            }
            #expect(try Shell.run([Place.program("vrctl"), "--socket", scratch.path + "/none.sock", "vif", "--list"]).status == 3)
            #expect(try Shell.run([Place.program("vrctl"), "vif", "--lisst"]).status == 2)
        }
    }
}
