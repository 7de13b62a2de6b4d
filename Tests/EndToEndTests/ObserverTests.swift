import Foundation
import Testing

extension EndToEnd {
    /// slixmpp, which knows nothing of us, on the controller's XMPP port.
    @Suite(.lab(.init(name: "observer"))) struct Observer {
        let lab: Lab
        init() throws { lab = try Lab.current }

        private struct Line: Decodable, Hashable {
            var table: String?, route: String?, nextHop: String?, label: Int?, encapsulations: [String]?
        }
        private func command(_ extra: String...) -> [String] {
            [Place.python, Place.input("observer.py"), "10.0.0.1", "5269", "observer", "secret-of-observer", "blue"] + extra
        }

        @Test func aStrangerReadsTheRoutesOfAVRF() throws {
            let output = try lab.succeed(in: "controller", command())
            #expect(output.contains(#"{"mechanism": "SCRAM-SHA-256", "jid": "observer@vrouter.local/observer"}"#))
            #expect(output.contains(#"{"complete": true}"#))
            let routes = Set(try output.split(separator: "\n").map { try decode(Line.self, String($0)) }.filter { $0.route != nil })
            var expected: Set<Line> = []
            for (node, workload) in [("10.0.0.11", 1), ("10.0.0.11", 2), ("10.0.0.12", 3)] {
                let mac = "02:00:00:00:01:1\(workload)"
                for (table, route) in [
                    ("1/1/blue", "10.1.0.1\(workload)/32"), ("2/1/blue", "fd00:1::1\(workload)/128"),
                    ("25/242/blue", "\(mac),10.1.0.1\(workload)/32"), ("25/242/blue", "\(mac),fd00:1::1\(workload)/128"),
                ] {
                    expected.insert(Line(table: table, route: route, nextHop: node, label: 1, encapsulations: ["vxlan"]))
                }
            }
            // Both nodes want the network's broadcasts.
            for node in ["10.0.0.11", "10.0.0.12"] {
                expected.insert(
                    Line(table: "25/242/blue", route: "ff:ff:ff:ff:ff:ff,\(node)/32", nextHop: node, label: 1, encapsulations: ["vxlan"]))
            }
            #expect(routes == expected, "missing: \(expected.subtracting(routes)); not expected: \(routes.subtracting(expected))")
        }

        /// What a stranger announces is forwarded by: the agents program its route.
        @Test func aStrangersRouteIsProgrammed() throws {
            let observer = try lab.start(in: "controller", command("publish"))
            try eventually("the announcement accepted") { observer.output.contains(#"{"published": "result"}"#) }
            for node in lab.setup.nodes where node != "node2" {
                try eventually("the route on \(node)") {
                    try lab.vrctl(node, "rt", "--dump", "blue").output.contains(#/10\.1\.0\.200/32 .* 77 /#)
                }
            }
            observer.end(SIGKILL)
        }

        @Test func aWrongPasswordIsRefused() throws {
            let words = [Place.python, Place.input("observer.py"), "10.0.0.1", "5269", "observer", "guess", "blue"]
            let outcome = try lab.run(in: "controller", words)
            #expect(outcome.status != 0)
            #expect(outcome.output.contains("authentication failed") && !outcome.output.contains("route"), "\(outcome.output)")
        }
    }
}
