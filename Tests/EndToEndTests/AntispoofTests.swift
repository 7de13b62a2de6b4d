import Foundation
import Testing

extension EndToEnd {
    /// Workloads that pretend to be others: nothing of it gets out, and what an operator allows does.
    @Suite(.lab(.init(name: "spoof"))) struct Antispoofing {
        let lab: Lab
        init() throws { lab = try Lab.current }

        private static func blue1(_ more: String = "") -> String {
            """
            kind: Port
            metadata: {name: blue1}
            spec:
              network: blue
              node: node1
              mac: "02:00:00:00:01:11"
              addresses: [10.1.0.11, "fd00:1::11"]
              interface: tap-blue1
              \(more)

            """
        }

        /// Sends one frame, written in scapy, out of a workload's interface.
        private func send(_ workload: String, _ frame: String) throws {
            try lab.succeed(in: workload, [Place.python, "-c", "from scapy.all import *\nsendp(\(frame), iface='eth0', verbose=False, count=3)"])
        }
        private func refused() throws -> Int { try lab.drops("node1", "invalid_source") }
        private func neighbour(_ workload: String, _ address: String) throws -> String {
            try lab.succeed(in: workload, ["ip", "neigh", "show", address])
        }

        @Test func forgeriesGoNowhere() throws {
            // blue2 and blue3 know each other and blue1.
            for (from, to) in [("blue2", "10.1.0.13"), ("blue2", "10.1.0.11"), ("blue3", "fd00:1::12"), ("blue3", "10.1.0.12")] {
                try lab.expectPing(from: from, to)
            }
            let sniffer = try lab.start(in: "blue2", ["tcpdump", "-nle", "-i", "eth0", "udp port 4444 or arp host 10.1.0.13"])
            defer { sniffer.end() }
            try eventually("tcpdump listening") { sniffer.errors.contains("listening") }
            func expectRefused(_ what: String, _ frame: String) throws {
                let before = try refused()
                try send("blue1", frame)
                try eventually("\(what) refused") { try refused() == before + 3 }
            }
            let to = "dst='02:00:00:00:01:12'", udp = "UDP(sport=1, dport=4444)/b'forged'"
            try expectRefused("a MAC", "Ether(src='02:00:00:00:01:13', \(to))/IP(src='10.1.0.11', dst='10.1.0.12')/\(udp)")
            try expectRefused("an address", "Ether(src='02:00:00:00:01:11', \(to))/IP(src='10.1.0.13', dst='10.1.0.12')/\(udp)")
            try expectRefused("an IPv6 address", "Ether(src='02:00:00:00:01:11', \(to))/IPv6(src='fd00:1::13', dst='fd00:1::12')/\(udp)")
            try expectRefused(
                "ARP",
                "Ether(src='02:00:00:00:01:11', dst='ff:ff:ff:ff:ff:ff')/ARP(op=2, hwsrc='02:00:00:00:01:11', psrc='10.1.0.13', pdst='10.1.0.13')")
            try expectRefused(
                "an advertisement",
                "Ether(src='02:00:00:00:01:11', dst='33:33:00:00:00:01')/IPv6(src='fd00:1::11', dst='ff02::1', hlim=255)/ICMPv6ND_NA(tgt='fd00:1::12', S=0, O=1)/ICMPv6NDOptDstLLAddr(lladdr='02:00:00:00:01:11')"
            )
            // The same packet, honest, arrives; nothing else has.
            try send("blue1", "Ether(src='02:00:00:00:01:11', \(to))/IP(src='10.1.0.11', dst='10.1.0.12')/\(udp)")
            try eventually("the honest packet") { sniffer.output.contains("10.1.0.11.1 > 10.1.0.12.4444") }
            #expect(!sniffer.output.contains("10.1.0.13") && !sniffer.output.contains("fd00:1::13"), "\(sniffer.output)")
            #expect(!sniffer.output.contains("02:00:00:00:01:13 >"), "\(sniffer.output)")
            #expect(
                try neighbour("blue2", "10.1.0.13").contains("02:00:00:00:01:13") && neighbour("blue3", "fd00:1::12").contains("02:00:00:00:01:12"))
            let id = try lab.vif("node1", "tap-blue1").id
            let vif = try lab.vrctl("node1", "vif", "--get", "\(id)").output
            #expect(vif.contains("As") && vif.firstMatch(of: /Invalid Source:(\d+)/).flatMap { Int($0.1) } ?? 0 >= 15, "\(vif)")
            #expect(try lab.vrctl("node1", "dropstats", "--log").output.contains("Invalid Source"))
            try lab.expectSoundDataplane()
        }

        @Test func whatIsAllowedWorks() throws {
            defer {
                _ = try? lab.run(in: "blue1", ["ip", "addr", "del", "10.1.0.50/24", "dev", "eth0"])
                _ = try? lab.run(in: "blue1", ["ip", "addr", "del", "fd00:1::50/64", "dev", "eth0"])
                try? lab.apply(Self.blue1())
            }
            try lab.succeed(in: "blue1", ["ip", "addr", "add", "10.1.0.50/24", "dev", "eth0"])
            try lab.succeed(in: "blue1", ["ip", "addr", "add", "fd00:1::50/64", "dev", "eth0", "nodad"])
            let servers = try [("blue2", 12), ("blue3", 13)].map { try lab.echoServer(in: $0.0, ["10.1.0.\($0.1)", "fd00:1::\($0.1)"], [8080]) }
            defer { for server in servers { server.end() } }
            func reaches(_ address: String) throws -> Bool {
                try lab.answers("blue1", "tcp", address, 8080, from: address.contains(":") ? "fd00:1::50" : "10.1.0.50")
            }
            let all = ["10.1.0.12", "10.1.0.13", "fd00:1::12", "fd00:1::13"]
            for address in all { #expect(try !reaches(address), "\(address)") }
            try lab.apply(Self.blue1("allowedAddressPairs: [{prefix: 10.1.0.48/29}, {prefix: \"fd00:1::50\", mac: \"02:00:00:00:01:11\"}]"))
            try eventually("the pairs") { try reaches("10.1.0.12") && reaches("fd00:1::12") }
            for address in all { #expect(try reaches(address), "\(address)") }
            let id = try lab.vif("node1", "tap-blue1").id
            #expect(try lab.vrctl("node1", "vif", "--get", "\(id)").output.contains("Allowed:10.1.0.48/29,fd00:1::50/128@02:00:00:00:01:11"))
            try lab.apply(Self.blue1())
            try eventually("refused again") { try !reaches("10.1.0.12") }
            try lab.apply(Self.blue1("antispoof: false"))
            try eventually("nobody asks") { try reaches("10.1.0.12") && reaches("fd00:1::13") }
            try lab.expectSoundDataplane()
        }
    }
}
