import Foundation
import Testing

extension EndToEnd {
    /// kill -9 of any program, while a ping every 10 ms must not lose one packet as long as vrouter lives.
    @Suite(.lab(.init(name: "restart"))) struct Restart {
        let lab: Lab
        init() throws { lab = try Lab.current }

        /// Ends these programs, starts them again, and expects that the data planes went on as if nothing had been.
        private func killAndStart(_ programs: [String]) throws {
            try lab.waitUntilReady()
            let before = try lab.setup.nodes.map { (try lab.dataplane($0), try lab.agent($0)) }
            let pings = [try SteadyPing(lab, from: "blue1", "10.1.0.13"), try SteadyPing(lab, from: "blue3", "fd00:1::12")]
            for program in programs { try lab.kill(program) }
            // Without them the packets go on: a hundred and more.
            for program in programs {
                try lab.shell(program == "controller" ? "lab_start_controller" : "lab_start_agent \(program.prefix(5))")
            }
            try lab.waitUntilReady()
            for ping in pings {
                let (answered, lost) = try ping.end()
                #expect(answered > 50)
                #expect(lost.isEmpty, "not answered: \(lost) of \(answered)")
            }
            for (node, (dataplane, agent)) in zip(lab.setup.nodes, before) {
                let now = try lab.agent(node)
                #expect(try lab.dataplane(node).instance == dataplane.instance, "\(node): the data plane was restarted")
                #expect(now.dataplane.instance == dataplane.instance)
                #expect(now.dataplane.objects == agent.dataplane.objects)
                #expect(now.refused.isEmpty)
                for table in ["vif", "vrf", "nexthop", "route", "bridge", "label", "vni"] {
                    let used = try lab.dataplane(node).tables.first { $0.name == table }?.used
                    #expect(used == dataplane.tables.first { $0.name == table }?.used, "\(node): table \(table)")
                }
            }
            try lab.expectSoundDataplane()
        }

        @Test func agent() throws { try killAndStart(["node1-agent"]) }
        @Test func controller() throws { try killAndStart(["controller"]) }
        @Test func bothAgents() throws { try killAndStart(["node1-agent", "node2-agent"]) }
        @Test func allOfTheControlPlane() throws { try killAndStart(["node1-agent", "controller", "node2-agent"]) }

        /// Long without any control plane: flows and tables stay, new flows are made.
        @Test func withoutControlPlanePacketsGoOn() throws {
            try lab.waitUntilReady()
            let programs = ["node1-agent", "controller", "node2-agent"]
            for program in programs { try lab.kill(program) }
            try lab.expectPing(from: "blue2", "10.1.0.13")
            try lab.expectTransfer(from: "blue2", to: "blue3", "10.1.0.13", mebibytes: 16)
            try lab.shell("lab_start_controller; lab_start_agent node1; lab_start_agent node2")
            try lab.waitUntilReady()
            try lab.expectPing(from: "blue2", "10.1.0.13")
        }

        /// A new data plane is empty; the agent finds out and programs all of it.
        @Test func dataplane() throws {
            try lab.waitUntilReady()
            let before = (try lab.dataplane("node1"), try lab.agent("node1"))
            try lab.kill("node1-vrouter")
            try eventually("the agent's noticing") { try !lab.agent("node1").dataplane.connected }
            #expect(try lab.ping(from: "blue1", "10.1.0.13", count: 1, "-W", "1").received == 0)
            try lab.shell("lab_start_vrouter node1")
            try eventually("a new instance") {
                guard let instance = try lab.agent("node1").dataplane.instance else { return false }
                return instance != before.0.instance
            }
            try lab.waitUntilReady()
            #expect(try lab.agent("node1").dataplane.objects == before.1.dataplane.objects)
            try eventually("traffic again") { try lab.ping(from: "blue1", "10.1.0.13", count: 1, "-W", "1").received == 1 }
            try lab.expectTransfer(from: "blue1", to: "blue3", "10.1.0.13", mebibytes: 16)
            try lab.expectPing(from: "blue3", "fd00:1::11")
            try lab.expectSoundDataplane()
        }
    }
}
