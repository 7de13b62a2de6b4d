import Foundation
import Testing

extension EndToEnd {
    /// The demo's networks: blue over VXLAN on both nodes, red on one.
    @Suite(.lab(.init(name: "forward"))) struct Forwarding {
        let lab: Lab
        init() throws { lab = try Lab.current }

        @Test func bothNodesAreReadySoonAndSaySo() throws {
            #expect(lab.startSeconds < 15, "from the first program's start until both nodes are ready: \(lab.startSeconds) s")
            for (node, networks) in [("node1", 1), ("node2", 2)] {
                let status = try lab.agent(node)
                #expect(status.node == node)
                #expect(status.config.endOfConfig && status.config.networks == networks && status.config.ports == 2)
                #expect(status.ports.map(\.state) == ["active", "active"])
                #expect(status.refused.isEmpty)
                #expect(status.dataplane.repairs == 0)
            }
            let text = try lab.vrctl("node1", "status")
            #expect(text.status == 0, "\(text.both)")
            #expect(text.output.contains("balanced"))
            #expect(try lab.vrctl("node2", "status", "-o", "json").status == 0)
            try lab.expectSoundDataplane()
        }

        @Test(arguments: [
            ("10.1.0.13", "other node"), ("fd00:1::13", "other node"), ("10.1.0.12", "same node"), ("fd00:1::12", "same node"),
            ("10.1.0.1", "gateway"), ("fd00:1::1", "gateway"),
        ])
        func ping(_ destination: String, _ where: String) throws {
            try lab.expectPing(from: "blue1", destination)
            try lab.expectSoundDataplane()
        }

        @Test(arguments: [("blue3", "10.1.0.13"), ("blue3", "fd00:1::13"), ("blue2", "10.1.0.12"), ("blue2", "fd00:1::12")])
        func tcp(_ receiver: String, _ address: String) throws {
            let before = try lab.vif("node1", "tap-blue1").statistics.rxBytes
            try lab.expectTransfer(from: "blue1", to: receiver, address)
            let received = try lab.vif("node1", "tap-blue1").statistics.rxBytes - before
            #expect(received > 64 << 20, "the sender's vif counted \(received) octets of a 64 MiB transfer")
            try lab.expectSoundDataplane()
        }

        /// Datagrams of 1400 octets fit the tunnel; the rate is far below what the router does, so that a loss is a fault.
        @Test(arguments: ["10.1.0.13", "fd00:1::13"]) func udp(_ address: String) throws {
            let server = try lab.start(in: "blue3", ["iperf3", "-s", "-1"])
            try eventually("iperf3 listening") { try !lab.succeed(in: "blue3", ["ss", "-ltnH", "sport = :5201"]).isEmpty }
            let text = try lab.succeed(in: "blue1", ["iperf3", "-c", address, "-u", "-b", "20M", "-l", "1400", "-t", "2", "-J"])
            try server.ended(within: 10)
            struct Report: Decodable {
                struct End: Decodable { var sum: Sum }
                struct Sum: Decodable {
                    enum CodingKeys: String, CodingKey {
                        case packets
                        case lostPackets = "lost_packets"
                    }
                    var packets: Int, lostPackets: Int
                }
                var end: End
            }
            let sum = try decode(Report.self, text).end.sum
            #expect(sum.packets > 3000)
            #expect(sum.lostPackets == 0, "\(sum)")
            try lab.expectSoundDataplane()
        }

        @Test(arguments: ["10.2.0.11", "fd00:2::11"]) func blueDoesNotReachRed(_ address: String) throws {
            let before = try lab.drops("node1", "no_route")
            let ping = try lab.ping(from: "blue1", address, "-W", "1")
            #expect(ping.sent == 3 && ping.received == 0, "\(ping.text)")
            let dropped = try lab.drops("node1", "no_route") - before
            #expect(dropped >= 3, "three packets were sent, \(dropped) counted as no_route")
        }

        // 9000 octets of IP packet; the fabric carries 1500, of which VXLAN takes 50.

        @Test func largePacketsWithoutDFAreFragmented() throws {
            try lab.expectPing(from: "blue1", "10.1.0.13", "-M", "dont", "-s", "8972")
            try lab.expectPing(from: "blue3", "10.1.0.11", "-M", "dont", "-s", "8972")
            // On the same node nothing is in the way.
            try lab.expectPing(from: "blue1", "10.1.0.12", "-M", "do", "-s", "8972")
            try lab.expectPing(from: "blue1", "fd00:1::12", "-M", "do", "-s", "8952")
            try lab.expectSoundDataplane()
        }

        @Test func largePacketsWithDFAreRefusedWithTheMTU() throws {
            let ping = try lab.ping(from: "blue1", "10.1.0.13", count: 1, "-M", "do", "-s", "8972")
            #expect(ping.received == 0)
            #expect(ping.text.contains(/(mtu = 1450|mtu=1450)/), "\(ping.text)")
            #expect(try lab.succeed(in: "blue1", ["ip", "route", "get", "10.1.0.13"]).contains("mtu 1450"))
            // The largest that fits does, one octet more does not.
            try lab.expectPing(from: "blue1", "10.1.0.13", "-M", "do", "-s", "1422")
            #expect(try lab.ping(from: "blue1", "10.1.0.13", count: 1, "-M", "do", "-s", "1423").received == 0)
        }

        @Test func ipv6SendersLearnThePathMTU() throws {
            // Each end learns from the loss of its own packet: first the one that asks, then the one that answers.
            _ = try lab.ping(from: "blue1", "fd00:1::13", count: 1, "-s", "8952", "-W", "1")
            _ = try lab.ping(from: "blue3", "fd00:1::11", count: 1, "-s", "8952", "-W", "1")
            #expect(try lab.succeed(in: "blue3", ["ip", "-6", "route", "get", "fd00:1::11"]).contains("mtu 1450"))
            #expect(try lab.succeed(in: "blue1", ["ip", "-6", "route", "get", "fd00:1::13"]).contains("mtu 1450"))
            try lab.expectPing(from: "blue1", "fd00:1::13", "-s", "8952")
        }
    }
}
