import Foundation
import Testing

extension EndToEnd {
    /// Network policies of Kubernetes, as `vrctl apply -f` takes them, with real sockets on one node and on two.
    @Suite(.lab(.init(name: "kube"))) struct KubernetesPolicies {
        let lab: Lab
        init() throws { lab = try Lab.current }

        private static func port(_ name: String, _ node: String, _ last: Int, _ labels: String, namespace: String = "default") -> String {
            """
            kind: Port
            metadata: {name: \(name), namespace: \(namespace), labels: {\(labels)}}
            spec:
              network: blue
              node: \(node)
              mac: "02:00:00:00:01:\(last)"
              addresses: [10.1.0.\(last), "fd00:1::\(last)"]
              interface: tap-\(name)
              namedPorts: [{name: web, port: 8080}]

            """
        }
        private static func ports(blue1: String = "role: frontend", blue2: String = "role: other") -> String {
            [port("blue1", "node1", 11, blue1), port("blue2", "node1", 12, blue2, namespace: "ops"), port("blue3", "node2", 13, "role: db")]
                .joined(separator: "---\n")
        }
        /// blue3 (role: db) may be asked at its port `web` by the frontend, and by all of namespaces of the team.
        private static let policy = """
            apiVersion: networking.k8s.io/v1
            kind: NetworkPolicy
            metadata:
              name: db
              namespace: default
            spec:
              podSelector:
                matchLabels:
                  role: db
              policyTypes: [Ingress, Egress]
              ingress:
              - from:
                - podSelector:
                    matchLabels:
                      role: frontend
                - namespaceSelector:
                    matchLabels:
                      team: x
                ports:
                - port: web

            """

        private func reset() throws {
            _ = try lab.vrctl("node1", "delete", "-f", "-", input: Self.policy)
            try lab.apply(Self.ports())
        }

        @Test func selectorsDecide() throws {
            let server = try lab.echoServer(in: "blue3", ["10.1.0.13", "fd00:1::13"], [8080, 8081])
            defer {
                server.end()
                try? reset()
            }
            try lab.apply(Self.ports() + "---\n" + Self.policy)
            try eventually("the policy on node2") {
                try lab.vrctl("node2", "policy", "list").output.contains("kubernetes/blue:default:db:ingress")
            }
            #expect(try !lab.vrctl("node1", "policy", "list").output.contains("kubernetes"))
            for address in ["10.1.0.13", "fd00:1::13"] {
                #expect(try lab.answers("blue1", "tcp", address, 8080), "\(address)")
                #expect(try !lab.answers("blue1", "tcp", address, 8081), "\(address)")
                #expect(try !lab.answers("blue1", "udp", address, 8080), "\(address)")
                #expect(try !lab.answers("blue2", "tcp", address, 8080), "\(address)")
                #expect(try lab.ping(from: "blue1", address, count: 2, "-W", "1").received == 0)
            }
            // Policy type Egress without rules: it opens nothing itself.
            #expect(try lab.ping(from: "blue3", "10.1.0.11", count: 2, "-W", "1").received == 0)
            #expect(try lab.vrctl("node2", "flow", "-l").output.contains("Action:D(OutFwPolicy)"))
            let why = try lab.vrctl("node2", "policy", "explain", "--port", "blue3", "tcp 10.1.0.11:4321 > 10.1.0.13:8080").output
            #expect(why.contains("to the workload (ingress): pass") && why.contains("default:db/ingress[0]"), "\(why)")
            // A label of a namespace.
            try lab.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: ops, labels: {team: x}}\n")
            try eventually("blue2 may, too") { try lab.answers("blue2", "tcp", "fd00:1::13", 8080) }
            try lab.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: ops}\n")
            try eventually("blue2 may not any more") { try !lab.answers("blue2", "tcp", "10.1.0.13", 8080) }
            try lab.expectSoundDataplane()
        }

        @Test func aLabelStopsAConnectionAndNoOther() throws {
            let server = try lab.echoServer(in: "blue3", ["10.1.0.13", "fd00:1::13"], [8080])
            defer {
                server.end()
                try? reset()
            }
            let policy = Self.policy.replacing("- port: web\n", with: "- port: web\n    - {port: 8080, protocol: UDP}\n")
            try lab.apply(Self.ports(blue2: "role: frontend").replacing("namespace: ops", with: "namespace: default") + "---\n" + policy)
            try eventually("both may") { try lab.answers("blue1", "tcp", "10.1.0.13", 8080) && lab.answers("blue2", "tcp", "fd00:1::13", 8080) }
            let one = try lab.talk(in: "blue1", [("10.1.0.13", 8080), ("fd00:1::13", 8080)]),
                two = try lab.talk(in: "blue2", [("10.1.0.13", 8080), ("fd00:1::13", 8080)])
            defer {
                one.process.end()
                two.process.end()
            }
            try eventually("all talk") { [one, two].allSatisfy { $0.said(0).count > 5 && $0.said(1).count > 5 } }
            let steady = try ["10.1.0.13", "fd00:1::13"].map { try lab.steadyDatagrams(in: "blue2", to: $0, 8080) }
            try lab.apply(Self.port("blue1", "node1", 11, "role: retired"))
            try eventually("blue1 is silent") { one.isSilent(0) && one.isSilent(1) }
            let before = two.said(1).count
            try eventually("blue2 talks on") { two.said(1).count > before + 5 }
            #expect(!two.wasEverSilent(0) && !two.wasEverSilent(1))
            for steady in steady {
                let seen = try steady.end()[0]
                #expect(seen.last > 50 && seen.lost.isEmpty, "\(seen)")
            }
            try lab.expectSoundDataplane()
        }
    }
}
