import Foundation
import Testing

extension EndToEnd {
    /// The node's own traffic passes the router between vhost0 and the fabric, beside the workloads'.
    @Suite(.lab(.init(name: "host"))) struct HostInterface {
        let lab: Lab
        init() throws { lab = try Lab.current }

        @Test func theNodesOwnTCPPassesBesideWorkloads() throws {
            let before = try lab.vif("node1", "vhost0-vr").statistics
            let steady = try SteadyPing(lab, from: "blue1", "10.1.0.13")
            let server = try lab.start(in: "blue3", ["iperf3", "-s", "-1"])
            try eventually("iperf3 listening") { try !lab.succeed(in: "blue3", ["ss", "-ltnH", "sport = :5201"]).isEmpty }
            let load = try lab.start(in: "blue1", ["iperf3", "-c", "10.1.0.13", "-b", "100M", "-t", "4", "-J"])
            try lab.expectTransfer(from: "node1", to: "controller", "10.0.0.1", mebibytes: 32, port: 6001)
            try lab.expectTransfer(from: "controller", to: "node1", "10.0.0.11", mebibytes: 32, port: 6002)
            try lab.expectTransfer(from: "node1", to: "node2", "10.0.0.12", mebibytes: 16, port: 6003)
            let report = try load.ended(within: 30)
            #expect(report.status == 0, "\(report.both.suffix(500))")
            server.end()
            let (answered, lost) = try steady.end()
            // The kernel's queues between the namespaces may overflow under this load, and who fills them is not the router.
            #expect(lost.count * 20 <= answered, "of \(answered) pings were not answered: \(lost)")

            let after = try lab.vif("node1", "vhost0-vr").statistics
            #expect(after.rxBytes - before.rxBytes > 48 << 20)
            #expect(after.txBytes - before.txBytes > 32 << 20)
            try lab.expectSoundDataplane()
            #expect(try lab.vrctl("node1", "status").status == 0)
        }

        @Test func theNodeAnswersPing() throws {
            try lab.expectPing(from: "controller", "10.0.0.11")
            try lab.expectPing(from: "node2", "10.0.0.11", "-M", "do", "-s", "1472")
            try lab.expectPing(from: "node1", "10.0.0.1", "-s", "4000")
        }
    }
}
