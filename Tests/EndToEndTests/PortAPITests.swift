import Foundation
import Testing

extension EndToEnd {
    /// A Port that names no interface waits for `POST /port` on its node, and the other way round.
    @Suite(.lab(.init(name: "portapi", prelude: "WORKLOAD_MAC[late]=02:00:00:00:01:21 WORKLOAD_IPV4[late]=10.1.0.21 WORKLOAD_IPV6[late]=fd00:1::21")))
    final class PortAPI {
        let lab: Lab
        static let configured = """
            kind: Port
            metadata: {name: late}
            spec: {network: blue, node: node1, mac: "02:00:00:00:01:21", addresses: [10.1.0.21, "fd00:1::21"]}
            """
        /// As an OpenSDN orchestrator sends it.
        static func posted(_ id: String) -> String {
            """
            {"id": "\(id)", "instance-id": "0c1e3b4e-58f5-4a0c-8a7a-1f6f0b8d4a11", "ip-address": "10.1.0.21", "ip6-address": "fd00:1::21",
             "vn-id": "5e7d8a90-9d0a-4f0e-8f0e-6f1f8a3a2b11", "vm-project-id": "", "display-name": "late", "mac-address": "02:00:00:00:01:21",
             "system-name": "tap-late", "type": 1, "rx-vlan-id": -1, "tx-vlan-id": -1, "vhostuser-mode": 0, "link-state": true,
             "author": "test", "time": "2026-01-01 00:00:00"}
            """
        }

        init() throws {
            lab = try Lab.current
            try lab.shell("add_namespace late; lab_cable node1 late")
        }

        deinit {
            _ = try? delete()
            _ = try? lab.vrctl("node1", "delete", "port", "late")
            _ = try? lab.shell("ip netns delete $LAB-late; wait_for 5 'the cable gone' sh -c \"! ip -n $LAB-node1 link show tap-late\"")
        }

        private func curl(_ arguments: String..., body: String? = nil) throws -> (code: Int, text: String) {
            let outcome = try lab.run(
                in: "node1", ["curl", "-sS", "-w", "\n%{http_code}"] + arguments + (body == nil ? [] : ["--data-binary", "@-"]), input: body)
            let lines = outcome.output.split(separator: "\n", omittingEmptySubsequences: false)
            guard let code = lines.last.flatMap({ Int($0) }) else { throw Failure("curl: \(outcome.both)") }
            return (code, lines.dropLast().joined(separator: "\n"))
        }
        private func post(_ body: String) throws -> (code: Int, text: String) {
            try curl("-X", "POST", "-H", "Content-Type: application/json", "http://127.0.0.1:9091/port", body: body)
        }
        @discardableResult private func delete() throws -> Int { try curl("-X", "DELETE", "http://127.0.0.1:9091/port/late").code }

        private func apply() throws {
            let outcome = try lab.vrctl("node1", "apply", "-f", "-", input: Self.configured)
            guard outcome.status == 0 else { throw Failure(outcome.both) }
        }
        private func state() throws -> String { try lab.agent("node1").port("late").state }
        private func waitUntilActive() throws { try eventually("port late active") { try state() == "active" } }

        @Test func firstConfiguredThenPosted() throws {
            try apply()
            try eventually("the agent's knowing of late") { try state() == "waiting" }
            #expect(try lab.agent("node1").port("late").reason?.isEmpty == false)
            let uid = try lab.vrctl("node1", "get", "port", "late", "-o", "json").output.firstMatch(of: /"uid": "([0-9a-f-]{36})"/)?.1
            let answer = try post(Self.posted(String(try #require(uid))))
            #expect(answer.code == 200, "\(answer.text)")
            try waitUntilActive()
            #expect(try lab.agent("node1").port("late").interface == "tap-late")
            try lab.expectPing(from: "late", "10.1.0.13")
            try lab.expectPing(from: "blue3", "fd00:1::21")
            #expect(try curl("-X", "DELETE", "http://127.0.0.1:9091/port/\(String(try #require(uid)))").code == 200)
        }

        @Test func firstPostedThenConfigured() throws {
            #expect(try post(Self.posted("late")).code == 200)
            #expect(try state() == "waiting")
            try apply()
            try waitUntilActive()
            try lab.expectPing(from: "blue1", "10.1.0.21")
        }

        @Test func deletedAndAddedAgain() throws {
            try apply()
            #expect(try post(Self.posted("late")).code == 200)
            try waitUntilActive()
            #expect(try delete() == 200)
            try eventually("late without an interface") { try state() == "waiting" }
            try eventually("the vif gone") { try !lab.vrctl("node1", "vif", "--list").output.contains("tap-late") }
            try eventually("its routes gone from the other node") { try !lab.vrctl("node2", "rt", "--dump", "blue").output.contains("10.1.0.21/32") }
            // What was not posted cannot be taken back: 409 for a port of the configuration, 404 for none at all.
            #expect(try delete() == 409)
            #expect(try curl("-X", "DELETE", "http://127.0.0.1:9091/port/nobody").code == 404)
            #expect(try post(Self.posted("late")).code == 200)
            try waitUntilActive()
            // The other node is told within moments, not at once.
            try eventually("the route on the other node") { try lab.vrctl("node2", "rt", "--dump", "blue").output.contains("10.1.0.21/32") }
            try lab.expectPing(from: "blue3", "10.1.0.21")
        }

        @Test func persistsAcrossRestarts() throws {
            try apply()
            #expect(try post(Self.posted("late")).code == 200)
            try waitUntilActive()
            let instance = try lab.dataplane("node1").instance
            try lab.kill("node1-agent")
            try lab.shell("lab_start_agent node1")
            try waitUntilActive()
            #expect(try lab.dataplane("node1").instance == instance)
            try lab.expectPing(from: "late", "10.1.0.13")
            // Deleted is deleted, also after a restart.
            #expect(try delete() == 200)
            try lab.kill("node1-agent")
            try lab.shell("lab_start_agent node1")
            try eventually("late waiting after the restart") { try state() == "waiting" }
        }

        @Test(arguments: [
            (#"{"id": 5"#, ""), (#"{"id": "late"}"#, "system-name"), (#"{"id": "late", "system-name": 7}"#, "system-name"),
            (#"{"id": "late", "system-name": "tap-late", "ip-address": "10.1.0.256"}"#, "ip-address"),
            (#"{"id": "late", "system-name": "tap-late", "mac-address": "zz"}"#, "mac-address"),
            (#"[{"id": "late", "system-name": "tap-late"}, {"id": "other"}]"#, "system-name"), ("[", ""), ("", ""), ("\u{0}\u{1}", ""),
        ])
        func badRequestsAreRefused(_ body: String, _ field: String) throws {
            let answer = try post(body)
            #expect(answer.code == 400, "\(answer.text)")
            #expect(answer.text.contains("\"message\"") && (field.isEmpty || answer.text.contains(field)), "\(answer.text)")
            // All or none, and nothing kept.
            #expect(try !lab.agent("node1").ports.contains { $0.name == "late" || $0.name == "other" })
        }
    }
}
