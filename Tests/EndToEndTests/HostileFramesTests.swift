import Foundation
import Testing

extension EndToEnd {
    /// Thousands of frames that lie about themselves, at a router that is in use. Seeds are fixed: a failure can be repeated.
    @Suite(.lab(.init(name: "hostile"))) struct HostileFrames {
        let lab: Lab
        init() throws { lab = try Lab.current }

        private func expectUnharmed(_ send: [String], in namespace: String, vif name: String) throws {
            let instance = try lab.dataplane("node1").instance
            let before = try lab.vif("node1", name)
            let text = try lab.succeed(in: namespace, [Place.python, Place.input("hostile_frames.py")] + send, limit: 60)
            let sent = try #require(Int(text.trimmingCharacters(in: .whitespacesAndNewlines)))
            #expect(sent > 4500, "sent \(sent) frames")
            // All of them went through the packet path: none lost in front of it.
            try eventually("the router's having received them") {
                let now = try lab.vif("node1", name)
                let missed = (now.portStatistics?.rxMissed ?? 0) - (before.portStatistics?.rxMissed ?? 0)
                #expect(missed < sent / 10, "\(missed) of \(sent) frames never reached the router")
                return now.statistics.rxPackets - before.statistics.rxPackets + missed >= sent
            }
            #expect(try lab.dataplane("node1").instance == instance, "vrouter was restarted")
            #expect(try lab.isRunning("node1-agent") && lab.isRunning("node2-agent"))
            try lab.expectSoundDataplane()
            // Mutated ARP is still ARP: the node's kernel, whose neighbour cache is no business of the router's, may have learned nonsense.
            try lab.succeed(in: "node1", ["ip", "neigh", "flush", "dev", "vhost0"])
            // So may the workloads', to which a network that bridges floods it.
            for workload in ["blue1", "blue2", "blue3"] { try lab.succeed(in: workload, ["ip", "neigh", "flush", "dev", "eth0"]) }
            try lab.waitUntilReady()
            for address in ["10.1.0.13", "fd00:1::13", "10.1.0.12", "fd00:1::12"] { try lab.expectPing(from: "blue1", address) }
            try lab.expectTransfer(from: "blue1", to: "blue3", "10.1.0.13", mebibytes: 16)
            try lab.expectTransfer(from: "blue3", to: "blue1", "fd00:1::11", mebibytes: 16)
            try lab.expectPing(from: "controller", "10.0.0.11")
        }

        @Test(arguments: 1...3) func fromAWorkload(_ seed: Int) throws {
            try expectUnharmed(
                ["eth0", "9014", "5000", "\(seed)", "02:00:00:00:01:13", "02:00:00:00:01:11"], in: "blue1", vif: "tap-blue1")
        }

        @Test(arguments: 11...13) func fromTheFabric(_ seed: Int) throws {
            let here = try lab.vif("node1", "fabric0").mac, there = try lab.vif("node2", "fabric0").mac
            try expectUnharmed(
                ["to-node1", "1514", "5000", "\(seed)", here, there, "10.0.0.12", "10.0.0.11"], in: "fabric", vif: "fabric0")
        }
    }
}
