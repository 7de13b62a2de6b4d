import Foundation
import Testing

extension EndToEnd {
    /// MPLS over UDP (RFC 7510) and over GRE (RFC 4023) with a Linux host as the far end, on fabrics of both families: its own sockets take the tunnel
    /// packets, its own IP stack has what was in them (Inputs/mpls_peer.py). And tshark says what every octet of them means.
    ///
    ///     work 10.7.1.10 ── .1 vrouter …11 ══ label 77 ═▶ …12 far, tun0 10.7.2.20
    ///                                      ◀═ label 40 ══
    @Suite struct MPLSPeer {
        struct Way: Sendable, CustomTestStringConvertible {
            var overUDP: Bool
            var underlay: BridgedNetwork.Underlay
            var testDescription: String { "MPLS over \(overUDP ? "UDP" : "GRE"), \(underlay.testDescription)" }
            /// What tshark finds in an echo request, layer by layer.
            func layers(innerIPv6: Bool) -> String {
                "eth:ethertype:\(underlay.isIPv6 ? "ipv6" : "ip"):\(overUDP ? "udp" : "gre"):mpls:\(innerIPv6 ? "ipv6:icmpv6" : "ip:icmp"):data"
            }
        }
        static let ways = [true, false].flatMap { overUDP in BridgedNetwork.underlays.map { Way(overUDP: overUDP, underlay: $0) } }

        private static func site(_ way: Way) throws -> (site: Site, peer: Background) {
            let underlay = way.underlay, isIPv6 = underlay.isIPv6
            let site = try Site(
                "mpls-\(way.overUDP ? "udp" : "gre")\(isIPv6 ? 6 : 4)", ["router", "work", "far"],
                network: """
                    on router sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
                    cable router underlay far underlay 1600
                    cable router tap work eth0
                    # Checksums are in the packets, so that tshark can judge them.
                    on far ethtool -K underlay tx off >/dev/null
                    ip -n ${P}far address add \(underlay.address(12))/\(underlay.prefixLength) dev underlay \(isIPv6 ? "nodad" : "")
                    ip -n ${P}work address add 10.7.1.10/24 dev eth0
                    ip -n ${P}work address add fd00:7:1::10/64 dev eth0 nodad
                    ip -n ${P}work route add default via 10.7.1.1
                    ip -n ${P}work -6 route add default via fd00:7:1::1
                    """)
            let peer = try site.start(
                "far", Place.python, "-u", Place.input("mpls_peer.py"), way.overUDP ? "udp" : "gre", underlay.address(12), underlay.address(11),
                "40")
            try eventually("the far end") {
                guard peer.isRunning else { throw Failure("\(peer.errors)") }
                return peer.output.contains("ready")
            }
            for words in [
                "address add 10.7.2.20/32 dev tun0", "-6 address add fd00:7:2::20/128 dev tun0 nodad", "route add 10.7.1.0/24 dev tun0 src 10.7.2.20",
                "-6 route add fd00:7:1::/64 dev tun0",
            ] { try Shell.succeed(["ip", "-n", site.full("far")] + words.split(separator: " ").map(String.init)) }
            let own = try site.mac("router", "underlay"), work = try site.mac("work", "eth0")
            var objects = """
                  ports: [{name: fabric, pcap: {interface: underlay}}, {name: work, pcap: {interface: tap}}]
                  vrfs: [{id: 0, name: fabric}, {id: 1, name: blue}]
                  vifs:
                    - {id: 0, name: underlay, kind: physical, port: fabric, mac: "\(own)", addresses: ["\(underlay.address(11))"], checksTunnelSource: true}
                    - {id: 3, name: tap, kind: virtual, port: work, vrf: 1, mac: "00:00:5e:00:01:00", addresses: [10.7.1.1, "fd00:7:1::1"], bridges: false,
                       keepsFlows: true}
                  labels: [{label: 40, nextHop: 3}]
                  nextHops:
                    - {id: 3, encap: {vif: 3, destination: "\(work)"}}
                    - {id: 4, receive: {vif: 3}}
                    - {id: 5, receive: {vif: 0}}
                    - {id: 12, tunnel: {encapsulation: \(way.overUDP ? "mplsOverUDP" : "mplsOverGRE"), source: "\(underlay.address(11))",
                        destination: "\(underlay.address(12))", vif: 0, destinationMAC: "\(try site.mac("far", "underlay"))", sourceMAC: "\(own)"}}
                  routes:
                    - {vrf: 1, prefix: 10.7.1.1/32, nextHop: 4, proxies: true}
                    - {vrf: 1, prefix: "fd00:7:1::1/128", nextHop: 4, proxies: true}
                    - {vrf: 1, prefix: 10.7.1.10/32, nextHop: 3}
                    - {vrf: 1, prefix: "fd00:7:1::10/128", nextHop: 3}
                    - {vrf: 1, prefix: 10.7.2.0/24, nextHop: 12, label: 77}
                    - {vrf: 1, prefix: "fd00:7:2::/64", nextHop: 12, label: 77}

                """
            if !isIPv6 { objects += "    - {vrf: 0, prefix: 10.0.0.11/32, nextHop: 5, proxies: true}\n" }
            try site.startRouter("router", objects: objects)
            return (site, peer)
        }

        @Test(arguments: ways) func bothWaysInBothFamilies(_ way: Way) throws {
            let (site, peer) = try Self.site(way)
            for (from, to) in [("work", "10.7.2.20"), ("far", "10.7.1.10"), ("work", "fd00:7:2::20"), ("far", "fd00:7:1::10")] {
                try site.ping(from, to)
                try site.ping(from, to, "-s", "20000")
                try site.ping(from, to, "-M", "do", "-s", to.contains(":") ? "1452" : "1472")
            }
            try site.transfer("work", "far", "10.7.2.20", mebibytes: 2)
            try site.transfer("far", "work", "10.7.1.10", mebibytes: 2)
            try site.transfer("work", "far", "fd00:7:2::20", mebibytes: 2)
            try site.transfer("far", "work", "fd00:7:1::10", mebibytes: 2)
            if way.overUDP {
                // A stack of labels means nothing to this router. A checksum that is there has to be right where nothing else protects the addresses.
                let (own, far) = (way.underlay.address(12), way.underlay.address(11))
                try Shell.succeed(site.inside("far", [Place.python, Place.input("mpls_peer.py"), "udp", own, far, "40", "corrupt"]))
                try eventually("both are refused") { try site.drops("router")["invalid_label"] == 1 }
                if way.underlay.isIPv6 { try eventually("the checksum is looked at") { try site.drops("router")["checksum_error"] == 1 } }
            }
            #expect(peer.isRunning, "\(peer.errors)")
            // The far end's device looks for routers, from an address of its link.
            try site.expectSound(
                "router", drops: ["nowhere_to_go", "trap_no_listener", "no_l2_route", "invalid_label", "checksum_error", "invalid_source"])
        }

        @Test(arguments: ways) func tsharkReadsEveryOctet(_ way: Way) throws {
            let (site, peer) = try Self.site(way)
            let underlay = way.underlay
            // Addresses are known and neighbours found before anything is looked at.
            try site.ping("work", "10.7.2.20")
            let file = site.path("fabric.pcap")
            let capture = try site.start("far", "tcpdump", "-i", "underlay", "-U", "-w", file, "udp port 6635 or proto gre or ip6 proto gre")
            try eventually("tcpdump") { capture.errors.contains("listening") }
            // DSCP 46 and ECT(1), with 100 octets of data: 128 or 148 octets of inner packet.
            for address in ["10.7.2.20", "fd00:7:2::20"] { try site.ping("work", address, "-Q", "0xB9", "-s", "100") }
            func decoded(_ filter: String, _ occurrence: String, _ fields: [String]) throws -> [[String]] {
                let words =
                    [
                        "tshark", "-r", file, "-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE", "-o",
                        "udp.ignore_ipv6_zero_checksum:TRUE", "-Y", filter, "-E", "occurrence=\(occurrence)",
                        "-T", "fields",
                    ] + fields.flatMap { ["-e", $0] }
                let lines = try Shell.run(words).output.split(separator: "\n")
                return lines.map { $0.split(separator: "\t", omittingEmptySubsequences: false).map(String.init) }
            }
            try eventually("twelve tunnel packets") { try decoded("mpls", "f", ["frame.number"]).count == 12 }
            capture.end(SIGINT)

            for innerIPv6 in [false, true] {
                for isToFar in [true, false] {
                    let echo = innerIPv6 ? "icmpv6.type == \(isToFar ? 128 : 129)" : "icmp.type == \(isToFar ? 8 : 0)"
                    let payload = (innerIPv6 ? 40 : 20) + 8 + 100 + 4
                    // The outer header is the first of its kind, the inner one the last.
                    let ip = underlay.isIPv6 ? "ipv6" : "ip", hops = underlay.isIPv6 ? "ipv6.hlim" : "ip.ttl"
                    let outer = try decoded(
                        echo, "f", ["frame.protocols", "\(ip).src", "\(ip).dst", hops, underlay.isIPv6 ? "ipv6.tclass" : "ip.dsfield"])
                    let expected = [
                        way.layers(innerIPv6: innerIPv6), underlay.address(isToFar ? 11 : 12), underlay.address(isToFar ? 12 : 11), "64",
                        isToFar ? (underlay.isIPv6 ? "0x000000b9" : "0xb9") : (underlay.isIPv6 ? "0x00000000" : "0x00"),
                    ]
                    #expect(outer == .init(repeating: expected, count: 3), "\(outer)")

                    let label = try decoded(echo, "a", ["mpls.label", "mpls.exp", "mpls.bottom", "mpls.ttl"])
                    #expect(label == .init(repeating: [isToFar ? "77" : "40", "0", "1", "64"], count: 3), "\(label)")

                    let (near, far) = innerIPv6 ? ("fd00:7:1::10", "fd00:7:2::20") : ("10.7.1.10", "10.7.2.20")
                    // The router takes a hop away where a packet enters the network. The marks of an answer are Linux's affair.
                    var fields = innerIPv6 ? ["ipv6.src", "ipv6.dst", "ipv6.hlim", "ipv6.plen"] : ["ip.src", "ip.dst", "ip.ttl", "ip.len"]
                    var request = [isToFar ? near : far, isToFar ? far : near, isToFar ? "63" : "64", innerIPv6 ? "108" : "128"]
                    if isToFar {
                        fields.append(innerIPv6 ? "ipv6.tclass" : "ip.dsfield")
                        request.append(innerIPv6 ? "0x000000b9" : "0xb9")
                    }
                    let inner = try decoded(echo, "l", fields)
                    #expect(inner == .init(repeating: request, count: 3), "\(inner)")

                    if way.overUDP {
                        let udp = try decoded(echo, "f", ["udp.dstport", "udp.length", "udp.checksum", "udp.checksum.status", "udp.srcport"])
                        for line in udp {
                            try #require(line.count == 5, "\(udp)")
                            #expect(line[0] == "6635" && line[1] == "\(8 + payload)", "\(line)")
                            if isToFar {
                                // No checksum: over IPv6 that is allowed to tunnels (RFC 6935, RFC 7510 section 3.1). The source port is a dynamic one
                                // (RFC 7510 section 3).
                                #expect(line[2] == "0x0000" && (49152...65535).contains(Int(line[4]) ?? 0), "\(line)")
                            } else {
                                #expect(line[2] != "0x0000" && line[3] == "1", "\(line)")
                            }
                        }
                        #expect(Set(udp.map { $0[4] }).count == 1, "a flow has one source port: \(udp)")
                    } else {
                        let gre = try decoded(echo, "f", ["gre.flags_and_version", "gre.proto", underlay.isIPv6 ? "ipv6.plen" : "ip.len"])
                        let length = 4 + payload + (underlay.isIPv6 ? 0 : 20)
                        #expect(gre == .init(repeating: ["0x0000", "0x8847", "\(length)"], count: 3), "\(gre)")
                    }
                    if !underlay.isIPv6 { #expect(try decoded(echo, "f", ["ip.checksum.status"]) == .init(repeating: ["1"], count: 3)) }
                    if !innerIPv6 {
                        #expect(try decoded(echo, "l", ["ip.checksum.status", "icmp.checksum.status"]) == .init(repeating: ["1", "1"], count: 3))
                    }
                    if underlay.isIPv6, isToFar {
                        // A flow has one flow label, and it is not 0 (RFC 6438).
                        let flow = Set(try decoded(echo, "f", ["ipv6.flow"]).map { $0[0] })
                        #expect(flow.count == 1 && !flow.contains("0x00000000"), "\(flow)")
                    }
                }
            }
            #expect(try decoded("_ws.malformed || _ws.expert.severity == error", "f", ["frame.number"]).isEmpty)
            #expect(peer.isRunning, "\(peer.errors)")
        }
    }
}
