import Foundation
import Testing

extension EndToEnd {
    /// Both networks have a workload on each node: blue crosses the fabric in VXLAN, red in MPLS over UDP (RFC 7510).
    @Suite(
        .lab(
            .init(
                name: "tunnel", config: "Tests/EndToEndTests/Inputs/mpls.yaml",
                prelude: """
                    NODE_WORKLOADS=([node1]="blue1 red2" [node2]="blue3 red1")
                    NODE_ROUTES=([node1]=7 [node2]=7)
                    WORKLOAD_MAC[red2]=02:00:00:00:02:12 WORKLOAD_IPV4[red2]=10.2.0.12 WORKLOAD_IPV6[red2]=fd00:2::12
                    """)))
    struct Tunnel {
        let lab: Lab
        init() throws { lab = try Lab.current }

        @Test(arguments: ["10.2.0.11", "fd00:2::11"]) func redPassesBetweenNodes(_ address: String) throws {
            try lab.expectPing(from: "red2", address)
            try lab.expectTransfer(from: "red2", to: "red1", address, mebibytes: 32)
            try lab.expectTransfer(from: "red1", to: "red2", address.replacing("11", with: "12"), mebibytes: 32)
            try lab.expectSoundDataplane()
        }

        /// 1500 octets of fabric less IPv4 20, UDP 8, label 4.
        @Test func largePacketsKnowTheOverheadOfMPLSOverUDP() throws {
            let ping = try lab.ping(from: "red2", "10.2.0.11", count: 1, "-M", "do", "-s", "8972")
            #expect(ping.received == 0 && ping.text.contains(/(mtu = 1468|mtu=1468)/), "\(ping.text)")
            try lab.expectPing(from: "red2", "10.2.0.11", "-M", "do", "-s", "1440")
            try lab.expectPing(from: "red2", "10.2.0.11", "-M", "dont", "-s", "8972")
        }

        /// Red is routed: the gateway takes a hop away, and says so when it was the last.
        @Test func theGatewayAnswersForTheLastHop() throws {
            for (destination, gateway) in [("10.2.0.11", "10.2.0.1"), ("fd00:2::11", "fd00:2::1")] {
                let before = try lab.drops("node1", "ttl_exceeded")
                let ping = try lab.ping(from: "red2", destination, count: 2, "-t", "1")
                #expect(ping.received == 0)
                #expect(ping.text.contains("From \(gateway)") && ping.text.contains(/Time to live exceeded|Time exceeded: Hop limit/), "\(ping.text)")
                #expect(try lab.drops("node1", "ttl_exceeded") - before == 2)
            }
            try lab.expectPing(from: "red2", "10.2.0.11", "-t", "3")
        }

        /// An independent decoder reads what is on the fabric.
        @Test func tsharkDecodesBothEncapsulations() throws {
            let scratch = try TemporaryDirectory()
            let file = scratch.path + "/fabric.pcap"
            let capture = try lab.start(in: "fabric", ["tshark", "-q", "-i", "to-node1", "-w", file, "-f", "udp port 4789 or udp port 6635"])
            try eventually("the capture running") { !textOfFile(file).isEmpty && capture.errors.contains("Capturing on") }
            for (workload, address) in [("blue1", "10.1.0.13"), ("blue1", "fd00:1::13"), ("red2", "10.2.0.11"), ("red2", "fd00:2::11")] {
                try lab.expectPing(from: workload, address)
            }
            // Three requests and three answers of each ping.
            func decoded(_ filter: String, _ fields: String...) throws -> [Substring] {
                let words = ["tshark", "-r", file, "-Y", filter, "-T", "fields"] + fields.flatMap { ["-e", $0] }
                return try Shell.run(words).output.split(separator: "\n")
            }
            try eventually("24 packets in the capture") {
                let count = try decoded("icmp || icmpv6.type == 128 || icmpv6.type == 129", "frame.number").count
                guard count >= 24 else { throw Failure("\(count) packets") }
                return true
            }
            capture.end(SIGINT)

            struct Networks: Decodable {
                struct Object: Decodable { var spec: Spec }
                struct Spec: Decodable { var vni: Int? }
                var objects: [Object]
            }
            let blue = try decode(Networks.self, lab.vrctl("node1", "get", "network", "blue", "-o", "json").output).objects.first?.spec.vni
            let vni = try #require(blue)
            for family in ["icmp", "icmpv6.type == 128 || icmpv6.type == 129"] {
                let vxlan = try decoded("vxlan && (\(family))", "udp.dstport", "vxlan.vni")
                #expect(vxlan == .init(repeating: "4789\t\(vni)", count: 6))
                let mpls = try decoded("mpls && (\(family))", "udp.dstport", "mpls.bottom", "mpls.label")
                #expect(mpls.count == 6, "\(mpls)")
                for line in mpls {
                    let fields = line.split(separator: "\t")
                    #expect(fields.count == 3 && fields[0] == "6635", "\(line)")
                    #expect(["1", "True"].contains(fields[1]), "bottom of stack: \(line)")
                    #expect((Int(fields[2]) ?? 0) >= 16, "a label that is not reserved: \(line)")
                }
            }
            #expect(try decoded("_ws.malformed", "frame.number").isEmpty)
            #expect(try decoded("ip.checksum.status == 0", "frame.number").isEmpty)
        }
    }
}
