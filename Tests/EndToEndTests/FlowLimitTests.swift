import Foundation
import Testing

extension EndToEnd {
    /// What objects say about the number of flows, and about whose tunnel packets a node takes.
    @Suite(.lab(.init(name: "flowlimits"))) struct FlowLimits {
        let lab: Lab
        init() throws { lab = try Lab.current }

        private static func port(_ limits: String) -> String {
            """
            kind: Port
            metadata: {name: blue1}
            spec: {network: blue, node: node1, mac: "02:00:00:00:01:11", addresses: [10.1.0.11, "fd00:1::11"], interface: tap-blue1\(limits)}

            """
        }
        private static func network(_ limit: String) -> String {
            "kind: VirtualNetwork\nmetadata: {name: blue}\nspec: {subnets: [{prefix: 10.1.0.0/24}, {prefix: \"fd00:1::/64\"}], mtu: 9000\(limit)}\n"
        }
        private struct Vifs: Decodable {
            struct Vif: Decodable {
                struct Statistics: Decodable { var flows: Int, flowLimitDrops: Int, flowRateDrops: Int }
                var name: String, flowLimit: Int?, flowRate: Int?, statistics: Statistics
            }
            var vifs: [Vif]
        }
        private func vif(_ node: String, _ name: String) throws -> Vifs.Vif {
            try #require(decode(Vifs.self, lab.vrctl(node, "vif", "--list", "-o", "json").output).vifs.first { $0.name == name })
        }
        /// So many new flows, at once.
        private func flood(_ workload: String, _ to: String, _ count: Int) throws {
            let program = """
                import socket
                s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                for n in range(\(count)):
                    try: s.sendto(b"x", ("\(to)", 20000 + n))
                    except OSError: pass
                """
            try lab.succeed(in: workload, [Place.python, "-c", program])
        }

        @Test func portsAndNetworksHaveAsManyAsTheyMay() throws {
            defer { try? lab.apply(Self.port("") + "---\n" + Self.network("")) }
            try lab.expectPing(from: "blue1", "10.1.0.13")
            try lab.apply(Self.port(", flowLimit: 40"))
            try eventually("the port's limit") { try vif("node1", "tap-blue1").flowLimit == 40 }
            try flood("blue1", "10.1.0.13", 300)
            try eventually("the limit counts") { try vif("node1", "tap-blue1").statistics.flowLimitDrops >= 200 }
            #expect(try vif("node1", "tap-blue1").statistics.flows <= 40)
            // Another port is not concerned.
            try lab.expectPing(from: "blue2", "10.1.0.13")
            try lab.apply(Self.port(", flowRate: 10"))
            try eventually("the port's rate") {
                let vif = try vif("node1", "tap-blue1")
                return vif.flowLimit == nil && vif.flowRate == 10
            }
            try flood("blue1", "10.1.0.13", 300)
            try eventually("the rate counts") { try vif("node1", "tap-blue1").statistics.flowRateDrops >= 200 }
            // The network's: of all its ports on a node.
            try lab.apply(Self.port("") + "---\n" + Self.network(", flowLimit: 5"))
            try eventually("the network's limit counts") {
                let before = try (vif("node1", "tap-blue2").statistics, lab.drops("node1", "new_flow_drop"))
                try flood("blue2", "10.1.0.13", 100)
                return try before.0.flowLimitDrops == 0 && lab.drops("node1", "new_flow_drop") >= before.1 + 90
            }
            try lab.apply(Self.network(""))
            try eventually("blue2 has new flows again") { try lab.ping(from: "blue2", "10.1.0.13", count: 2).received == 2 }
            try lab.expectSoundDataplane()
        }

        /// With `fabric.checkTunnelSource` a VXLAN packet from an address that is no node is dropped, and the nodes go on.
        @Test func tunnelPacketsOfStrangersAreDropped() throws {
            let file = "\(lab.directory)/node1/agent.yaml"
            func restart(_ edit: String) throws {
                try lab.shell("sed -i '\(edit)' \(file)")
                try lab.kill("node1-agent")
                try lab.shell("lab_start_agent node1")
                try lab.waitUntilReady()
            }
            defer { try? restart("s/fabric: {checkTunnelSource: true, /fabric: {/") }
            let vni = try #require(lab.vrctl("node1", "vxlan", "--dump").output.firstMatch(of: /\n\s*(\d+)\s/)?.1)
            // From the controller's host: to blue1, as if from blue3.
            let program = """
                import socket
                vxlan = b"\\x08\\0\\0\\0" + (\(vni) << 8).to_bytes(4, "big")
                udp = (4321).to_bytes(2, "big") + (4322).to_bytes(2, "big") + b"\\0\\x09\\0\\0x"
                ip = bytearray(b"\\x45\\0\\0\\x1d\\0\\0\\0\\0\\x40\\x11\\0\\0" + socket.inet_aton("10.1.0.13") + socket.inet_aton("10.1.0.11"))
                total = sum(ip[i] << 8 | ip[i + 1] for i in range(0, 20, 2)); total = (total & 0xffff) + (total >> 16); total = (total & 0xffff) + (total >> 16)
                ip[10:12] = (total ^ 0xffff).to_bytes(2, "big")
                frame = bytes.fromhex("020000000111" "020000000113" "0800") + bytes(ip) + udp
                s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                for n in range(5): s.sendto(vxlan + frame, ("10.0.0.11", 4789))
                """
            func received() throws -> Int {
                let before = try lab.vif("node1", "tap-blue1").statistics.txPackets
                try lab.succeed(in: "controller", [Place.python, "-c", program])
                try? eventually("five packets", within: 2) { try lab.vif("node1", "tap-blue1").statistics.txPackets >= before + 5 }
                return try lab.vif("node1", "tap-blue1").statistics.txPackets - before
            }
            #expect(try received() >= 5)
            try restart("s/^fabric: {/fabric: {checkTunnelSource: true, /")
            try eventually("the check is on") {
                try lab.vrctl("node1", "vif", "--get", "0", "-o", "json").output.contains("\"checksTunnelSource\": true")
            }
            let before = try lab.drops("node1", "invalid_source")
            #expect(try received() < 5)
            #expect(try lab.drops("node1", "invalid_source") == before + 5)
            try lab.expectPing(from: "blue1", "10.1.0.13")
            try lab.expectPing(from: "blue3", "fd00:1::12")
            try lab.expectSoundDataplane()
        }
    }
}
