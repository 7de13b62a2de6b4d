import Foundation
import Testing

extension EndToEnd {
    /// Captures, mirrors, monitoring vifs and the drop log, as tcpdump, tshark and Linux's VXLAN device see them.
    ///
    ///     work1 10.7.0.1 ── vif 3 ─┐                ┌─ vif 0 ══ analyser 10.0.0.12 (vxlan0, VNI 7000; ERSPAN session 5)
    ///                              ├─── vrouter ────┼─ vif 5 ── span, in the analyser's namespace
    ///     work2 10.7.0.2 ── vif 4 ─┘                └─ vif 6 ── mon, likewise (a monitoring vif, where one is wanted)
    @Suite struct Observing {
        private static func site(_ mirrors: String = "", vifs: String = "", extra: String = "") throws -> Site {
            let network = """
                for ns in router analyser; do on $ns sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1; done
                cable router underlay analyser underlay 1600
                cable router tap3 work1 eth0
                cable router tap4 work2 eth0
                cable router tap5 analyser span
                cable router tap6 analyser mon
                ip -n ${P}analyser address add 10.0.0.12/24 dev underlay
                ip -n ${P}analyser link add vxlan0 mtu 1550 type vxlan id 7000 local 10.0.0.12 dstport 4789 nolearning dev underlay
                ip -n ${P}analyser link set vxlan0 up
                for number in 1 2; do
                    ip -n ${P}work$number link set eth0 address 02:00:00:00:07:0$number
                    ip -n ${P}work$number address add 10.7.0.$number/24 dev eth0
                    ip -n ${P}work$number address add fd00:7::$number/64 dev eth0 nodad
                done
                """
            let site = try Site("observe", ["router", "work1", "work2", "analyser"], network: network)
            let own = try site.mac("router", "underlay"), far = try site.mac("analyser", "underlay")
            try site.startRouter(
                "router",
                objects: """
                      ports:
                        - {name: fabric, pcap: {interface: underlay}}
                        - {name: p3, pcap: {interface: tap3}}
                        - {name: p4, pcap: {interface: tap4}}
                        - {name: p5, pcap: {interface: tap5}}
                        - {name: p6, pcap: {interface: tap6}}
                      vrfs: [{id: 0, name: fabric}, {id: 1, name: lan}, {id: 2, name: span}]
                      vifs:
                        - {id: 0, name: underlay, kind: physical, port: fabric, mac: "\(own)", addresses: [10.0.0.11]}
                        - {id: 3, name: tap3, kind: virtual, port: p3, vrf: 1, mac: "00:00:5e:00:01:00", addresses: [10.7.0.254]}
                        - {id: 4, name: tap4, kind: virtual, port: p4, vrf: 1, mac: "00:00:5e:00:01:00"}
                        - {id: 5, name: tap5, kind: virtual, port: p5, vrf: 2, mac: "00:00:5e:00:01:00"}
                    \(vifs)
                      nextHops:
                        - {id: 3, encap: {vif: 3}}
                        - {id: 4, encap: {vif: 4}}
                        - {id: 5, receive: {vif: 0}}
                        - {id: 6, receive: {vif: 3}}
                        - {id: 12, tunnel: {encapsulation: vxlan, source: 10.0.0.11, destination: 10.0.0.12, vif: 0,
                            destinationMAC: "\(far)", sourceMAC: "\(own)"}}
                        - {id: 13, tunnel: {encapsulation: mplsOverGRE, source: 10.0.0.11, destination: 10.0.0.12, vif: 0,
                            destinationMAC: "\(far)", sourceMAC: "\(own)"}}
                        - {id: 30, multicast: {vrf: 1, local: [3, 4]}}
                      routes:
                        - {vrf: 0, prefix: 10.0.0.11/32, nextHop: 5, proxies: true}
                        - {vrf: 1, prefix: 10.7.9.0/24, nextHop: 0}
                        - {vrf: 1, prefix: 10.7.0.254/32, nextHop: 6, proxies: true}
                      bridge:
                        - {vrf: 1, mac: "02:00:00:00:07:01", nextHop: 3}
                        - {vrf: 1, mac: "02:00:00:00:07:02", nextHop: 4}
                        - {vrf: 1, mac: "ff:ff:ff:ff:ff:ff", nextHop: 30}
                    \(mirrors)
                    """, extra: extra)
            try site.ping("work1", "10.7.0.2")
            return site
        }

        private func captures(_ site: Site) throws -> Int {
            struct Tables: Decodable { var tables: [DataplaneView.Table] }
            return try decode(Tables.self, site.vrctl("router", "tables", "-o", "json")).tables.first { $0.name == "capture" }?.used ?? -1
        }
        /// What tshark makes of a file: a row for each packet that passes the filter, a column for each field.
        private func read(_ file: String, _ filter: String, _ fields: String...) throws -> [[String]] {
            let text = try Shell.succeed(["tshark", "-r", file, "-Y", filter, "-T", "fields"] + fields.flatMap { ["-e", $0] })
            return text.split(separator: "\n").map { $0.split(separator: "\t", omittingEmptySubsequences: false).map(String.init) }
        }

        // MARK: - Captures

        /// While it runs, as an operator looks at it: tcpdump shows each packet when it passes, and the filter has let nothing else through.
        @Test func vifdumpShowsPacketsAsTheyPass() throws {
            let site = try Self.site()
            let dump = try Background(site.words("router", ["vifdump", "-i", "vif0/3", "-e", "icmp", "and", "host", "10.7.0.2"]))
            try eventually("the capture") { try captures(site) == 1 }
            try site.ping("work1", "10.7.0.2")
            try site.ping("work1", "fd00:7::2")
            // Three requests and three answers, before it ends.
            try eventually("six packets", within: 5) { dump.output.components(separatedBy: "ICMP echo re").count == 7 }
            #expect(dump.output.contains("02:00:00:00:07:01 > 02:00:00:00:07:02, ethertype IPv4") && !dump.output.contains("IP6"), "\(dump.output)")
            let outcome = dump.end(SIGINT)
            #expect(!outcome.errors.contains("Error"), "\(outcome.errors)")
            try eventually("the end of the capture") { try captures(site) == 0 }
            try site.expectSound("router")
        }

        /// tshark reads the stream live; the number of frames ends it.
        @Test func vifdumpIntoTshark() throws {
            let site = try Self.site()
            let command = site.words("router", ["vifdump", "-i", "3", "-c", "6", "-Q", "in", "-w", "-", "icmp6"]).joined(separator: " ")
            let shark = try Background(["bash", "-c", "\(command) | tshark -l -n -r - -T fields -e ipv6.src -e icmpv6.type"])
            try eventually("the capture") { try captures(site) == 1 }
            for _ in 0..<2 { try site.ping("work1", "fd00:7::2") }
            let outcome = try shark.ended(within: 10)
            let echoes = outcome.output.split(separator: "\n").filter { $0 == "fd00:7::1\t128" }
            #expect(echoes.count >= 4 && outcome.output.split(separator: "\n").count == 6, "\(outcome.both)")
            #expect(try captures(site) == 0)
        }

        /// A program that looks on and is killed leaves nothing behind, and the traffic does not notice.
        @Test func aKilledClientLeavesNothing() throws {
            let site = try Self.site()
            let ping = try site.start("work1", "ping", "-n", "-i", "0.01", "10.7.0.2")
            for _ in 0..<3 {
                let dump = try Background(site.words("router", ["vifdump", "-i", "any", "-w", site.path("killed.pcap")]))
                try eventually("the capture") { try captures(site) == 1 }
                try eventually("frames") { (try? FileManager.default.attributesOfItem(atPath: site.path("killed.pcap"))[.size] as? Int) ?? 0 > 1000 }
                dump.end(SIGKILL)
                try eventually("the end of the capture", within: 5) { try captures(site) == 0 }
            }
            let answers = ping.end(SIGINT).output
            let counts = try Lab.readPing(answers)
            #expect(counts.sent - counts.received <= 1, "\(answers.suffix(200))")
            // What was written until then is a capture file.
            #expect(try read(site.path("killed.pcap"), "icmp", "ip.src").count > 0)
            try site.expectSound("router")
        }

        /// Each direction into a file of its own, which names vif and direction of each packet.
        @Test(arguments: [("in", "received", "0x00000001"), ("out", "sent", "0x00000002")])
        func filesHoldOneDirection(_ option: String, _ word: String, _ flag: String) throws {
            let site = try Self.site()
            let file = site.path("\(word).pcapng")
            try site.vrctl("router", "mirror", "--create", "1", "--vif", "3:\(option)", "--vif", "4:\(option)", "--to-file", file)
            try site.ping("work1", "10.7.0.2")
            try site.vrctl("router", "mirror", "--delete", "1")
            let rows = try read(file, "icmp", "frame.interface_name", "frame.packet_flags_direction", "icmp.type")
            #expect(rows.count == 6 && rows.allSatisfy { $0[1] == flag }, "\(rows)")
            // Requests are received on vif 3 and sent on vif 4, answers the other way.
            for (vif, type) in option == "in" ? [("3", "8"), ("4", "0")] : [("4", "8"), ("3", "0")] {
                #expect(rows.filter { $0[0] == "vif0/\(vif)" && $0[2] == type }.count == 3, "\(rows)")
            }
        }

        // MARK: - Mirrors

        /// From the configuration file, one of each kind, all from one vif. The analyser gets what the workload sent and received, in order, whole.
        @Test func mirrorsOfTheConfigurationFile() throws {
            let file = "/tmp/e2e-mirror-\(UInt32.random(in: 0 ... .max)).pcapng"
            defer { try? FileManager.default.removeItem(atPath: file) }
            let site = try Self.site(
                """
                  mirrors:
                    - {id: 1, sources: [3], file: {path: \(file)}}
                    - {id: 2, sources: [3], vif: 5}
                    - {id: 3, sources: [{vif: 3, direction: both}], vxlan: {nextHop: 12, vni: 7000}}
                    - {id: 4, sources: [{vif: 3, direction: received}], erspan: {nextHop: 13, session: 5}, snapLength: 100}
                """)
            var watchers: [Background] = []
            for interface in ["span", "vxlan0", "underlay"] {
                watchers.append(try site.start("analyser", "tcpdump", "-i", interface, "-U", "-s", "0", "-w", site.path("\(interface).pcap")))
            }
            for watcher in watchers { try eventually("tcpdump") { watcher.errors.contains("listening") } }
            try site.ping("work1", "10.7.0.2", "-s", "1400")
            try site.ping("work1", "fd00:7::2")
            let copies = { try decode(MirrorsView.self, site.vrctl("router", "mirror", "--dump", "-o", "json")).mirrors }
            try eventually("all copies at the analyser", within: 5) {
                try read(site.path("vxlan0.pcap"), "icmp || icmpv6.type in {128, 129}", "frame.len").count >= 12
            }
            for watcher in watchers { watcher.end(SIGINT) }
            let wanted = ["8", "0", "8", "0", "8", "0"]
            for name in ["span.pcap", "vxlan0.pcap"] {
                let rows = try read(site.path(name), "icmp", "icmp.type", "frame.len", "eth.src")
                #expect(rows.map { $0[0] } == wanted && rows.allSatisfy { $0[1] == "1442" }, "\(name): \(rows)")
                #expect(Set(rows.map { $0[2] }) == ["02:00:00:00:07:01", "02:00:00:00:07:02"], "\(name): \(rows)")
                #expect(try read(site.path(name), "icmpv6.type == 128", "frame.len").count == 3, "\(name)")
            }
            // ERSPAN type II as tshark decodes it: received ones only, cut to 100 octets, with rising sequence numbers.
            let erspan = try read(
                site.path("underlay.pcap"), "erspan && icmp.type == 8 && !(icmp.type == 3)", "erspan.spanid", "icmp.type", "gre.sequence_number",
                "erspan.truncated", "ip.src")
            #expect(erspan.count == 3 && erspan.allSatisfy { $0[0] == "5" && $0[1] == "8" && $0[4] == "10.0.0.11,10.7.0.1" }, "\(erspan)")
            #expect(erspan.allSatisfy { ["1", "True"].contains($0[3]) }, "\(erspan)")
            let numbers = erspan.compactMap { Int($0[2]) }
            #expect(numbers == numbers.sorted() && Set(numbers).count == 3)
            let mirrors = try copies()
            #expect(mirrors.map(\.id) == [1, 2, 3, 4] && mirrors.allSatisfy { $0.copies >= 6 && $0.lost == 0 }, "\(mirrors)")
            // The file is whole when the router has ended. (A kernel without GRE says so by ICMP.)
            try site.expectSound("router", drops: ["nowhere_to_go"])
            site.stopRouter("router")
            #expect(try read(file, "icmp", "icmp.type").suffix(6).map { $0[0] } == wanted)
        }
        private struct MirrorsView: Decodable {
            struct Mirror: Decodable { var id: Int, copies: Int, lost: Int }
            var mirrors: [Mirror]
        }

        /// A monitoring vif is a span port: what passes by the other vif comes out of it, both ways, and nothing goes in.
        @Test func aMonitoringVif() throws {
            let site = try Self.site(
                vifs: "    - {id: 6, name: mon3, kind: monitoring, port: p6, mac: \"00:00:5e:00:01:00\", monitors: 3}")
            let watcher = try site.start("analyser", "tcpdump", "-i", "mon", "-U", "-Q", "in", "-w", site.path("mon.pcap"))
            try eventually("tcpdump") { watcher.errors.contains("listening") }
            try site.ping("work1", "10.7.0.2")
            try eventually("copies", within: 5) { try read(site.path("mon.pcap"), "icmp", "icmp.type").count == 6 }
            watcher.end(SIGINT)
            #expect(try read(site.path("mon.pcap"), "icmp", "icmp.type").map { $0[0] } == ["8", "0", "8", "0", "8", "0"])
            let list = try site.vrctl("router", "vif", "--get", "6")
            #expect(list.contains("Type:Monitoring") && list.contains("Monitors:vif0/3"), "\(list)")
            // What is sent into it goes nowhere.
            try site.expectSound("router")
            try site.succeed("analyser", "ip", "address", "add", "10.7.0.9/24", "dev", "mon")
            _ = try Shell.run(site.inside("analyser", ["ping", "-n", "-c", "1", "-W", "0.2", "10.7.0.1"]))
            #expect(try (site.drops("router")["interface_drop"] ?? 0) > 0)
            try site.expectSound("router", drops: ["interface_drop"])
        }

        /// A program that is no client of the API gets what is for the router itself, and answers by the same interface.
        @Test func anAgentVif() throws {
            let site = try Self.site(vifs: "    - {id: 6, name: pkt0, kind: agent, port: p6, mac: \"00:00:5e:00:01:00\"}")
            let program = try site.start("analyser", Place.python, "-u", Place.input("agent_frames.py"), "mon")
            try eventually("the program") { program.output.contains("ready") }
            #expect(try site.succeed("work1", "bash", "-c", "echo hello | socat -t 5 - UDP4:10.7.0.254:4000") == "hello\n")
            #expect(try site.vrctl("router", "vif", "--get", "6").contains("Type:Agent"))
            try site.expectSound("router")
        }

        // MARK: - Drops

        private struct DropLogView: Decodable {
            struct Packet: Decodable {
                var reason: String, vif: Int, vrf: Int?, nextHop: Int?, source: String?, destination: String?, `protocol`: Int?
                var sourcePort: Int?, destinationPort: Int?, length: Int
            }
            var packets: [Packet]
        }

        /// What socat and scapy send and the router drops is found in the log as it was sent, and in the counters as often.
        @Test func theDropLogTellsWhichPacket() throws {
            let site = try Self.site(extra: "capacities: {dropLog: 64}")
            // Routed to where the route discards: next hop 0.
            try site.succeed("work1", "ip", "route", "add", "10.7.9.0/24", "via", "10.7.0.254")
            try site.succeed("work1", "bash", "-c", "echo hello | socat - UDP4-SENDTO:10.7.9.9:4242,sourceport=3131")
            _ = try Shell.run(site.inside("work1", ["socat", "-u", "OPEN:/dev/null", "TCP4:10.7.9.10:80,sourceport=3232,connect-timeout=0.2"]))
            // An address that nothing leads to; a bad checksum; an IPv6 packet to a station that is not there.
            try site.succeed("work1", "ip", "route", "add", "10.77.0.0/16", "via", "10.7.0.254")
            try site.succeed("work1", "bash", "-c", "echo hello | socat - UDP4-SENDTO:10.77.0.1:53,sourceport=3333")
            try site.succeed(
                "work1", Place.python, "-c",
                """
                from scapy.all import *
                me = '02:00:00:00:07:01'
                sendp([
                    Ether(src=me, dst='02:00:00:00:07:02') / IP(src='10.7.0.1', dst='10.7.0.2', chksum=1) / UDP(sport=3434, dport=99) / b'x',
                    Ether(src=me, dst='02:00:00:00:07:66') / IPv6(src='fd00:7::1', dst='fd00:7::66') / TCP(sport=3535, dport=443),
                ], iface='eth0', verbose=0)
                """)
            func find(_ log: DropLogView, _ reason: String, _ port: Int) -> DropLogView.Packet? {
                log.packets.first { $0.reason == reason && $0.sourcePort == port }
            }
            let log = try decode(DropLogView.self, site.vrctl("router", "dropstats", "--log", "-o", "json"))
            for (reason, nextHop, source, destination, number, sourcePort, destinationPort) in [
                ("discards", 0, "10.7.0.1", "10.7.9.9", 17, 3131, 4242), ("discards", 0, "10.7.0.1", "10.7.9.10", 6, 3232, 80),
                ("no_route", nil, "10.7.0.1", "10.77.0.1", 17, 3333, 53), ("checksum_error", nil, "10.7.0.1", "10.7.0.2", 17, 3434, 99),
                ("no_l2_route", nil, "fd00:7::1", "fd00:7::66", 6, 3535, 443),
            ] as [(String, Int?, String, String, Int, Int, Int)] {
                let packet = try #require(find(log, reason, sourcePort), "\(reason) \(sourcePort): \(log.packets)")
                #expect(packet.vif == 3 && packet.vrf == 1 && packet.nextHop == nextHop, "\(packet)")
                #expect(packet.source == source && packet.destination == destination && packet.protocol == number, "\(packet)")
                #expect(packet.destinationPort == destinationPort, "\(packet)")
            }
            // For people, too.
            let text = try site.vrctl("router", "dropstats", "--log")
            #expect(text.split(separator: "\n").contains { $0.contains("Discards") && $0.contains("10.7.9.9") && $0.contains("4242") }, "\(text)")
            // As many as the counters say, and all packets are accounted for.
            let drops = try site.drops("router")
            for (reason, count) in drops { #expect(log.packets.filter { $0.reason == reason }.count == count, "\(reason)") }
            let after = try site.view("router").counters
            #expect(after.dropped == drops.values.reduce(0, +) && after.isBalanced)
            try site.expectSound("router", drops: Set(drops.keys))
        }
    }
}
