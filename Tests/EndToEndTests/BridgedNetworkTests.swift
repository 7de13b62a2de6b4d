import Foundation
import Testing

extension EndToEnd {
    /// A network of layer 2 whose two far ends are Linux's VXLAN device and bridge, with ingress replication on both sides: every end sends broadcasts, groups and
    /// what it does not know to every other (an fdb entry of 00:00:00:00:00:00 for each). The router knows no address of the network, only how to flood; it
    /// learns where stations are, or is told.
    ///
    ///     work1 .10 ─┐                     ┌══ far1 vxlan0 ── bridge ── guest1 .21
    ///                ├─ vrouter ══ switch ═╪
    ///     work2 .11 ─┘      VNI 5001       └══ far2 vxlan0 ── bridge ── guest2 .22
    @Suite struct BridgedNetwork {
        struct Underlay: Sendable, CustomTestStringConvertible {
            var isIPv6: Bool
            var testDescription: String { isIPv6 ? "IPv6 underlay" : "IPv4 underlay" }
            func address(_ host: Int) -> String { isIPv6 ? "fd00::\(host)" : "10.0.0.\(host)" }
            var prefixLength: Int { isIPv6 ? 64 : 24 }
            /// The kernel takes UDP over IPv6 without a checksum (RFC 6935) only when told to.
            var options: String { isIPv6 ? "udp6zerocsumrx" : "" }
        }
        static let underlays = [Underlay(isIPv6: false), Underlay(isIPv6: true)]
        private static let stations = [("work1", "10"), ("work2", "11"), ("guest1", "21"), ("guest2", "22")]
        private static func mac(_ number: String) -> String { "02:00:00:00:05:\(number)" }

        /// `learns`: the router, and the kernel's devices, learn where stations are; else both are told.
        private static func site(_ underlay: Underlay, learns: Bool) throws -> Site {
            var network = """
                on router sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
                ip -n ${P}switch link add bridge mtu 1600 type bridge
                ip -n ${P}switch link set bridge up
                on switch sysctl -qw net.ipv6.conf.all.disable_ipv6=1
                for host in router far1 far2; do
                    cable $host underlay switch to-$host 1600
                    ip -n ${P}switch link set to-$host master bridge
                done
                cable router tap1 work1 eth0
                cable router tap2 work2 eth0

                """
            for (far, host, other, guest) in [("far1", 12, 13, "guest1"), ("far2", 13, 12, "guest2")] {
                network += """
                    on \(far) sysctl -qw net.ipv6.conf.default.disable_ipv6=1
                    ip -n ${P}\(far) address add \(underlay.address(host))/\(underlay.prefixLength) dev underlay \(underlay.isIPv6 ? "nodad" : "")
                    ip -n ${P}\(far) link add vxlan0 mtu 1500 type vxlan id 5001 local \(underlay.address(host)) dstport 4789 \
                        \(learns ? "learning" : "nolearning") \(underlay.options) dev underlay
                    ip -n ${P}\(far) link add bridge mtu 1500 type bridge
                    cable \(far) port \(guest) eth0
                    for link in vxlan0 port; do ip -n ${P}\(far) link set $link master bridge up; done
                    ip -n ${P}\(far) link set bridge up
                    for to in 11 \(other); do
                        bridge -n ${P}\(far) fdb append 00:00:00:00:00:00 dev vxlan0 dst \(underlay.isIPv6 ? "fd00::" : "10.0.0.")$to
                    done

                    """
                if !learns {
                    for (station, number) in Self.stations where station != guest {
                        let at = station.hasPrefix("work") ? 11 : other
                        network += """
                            bridge -n ${P}\(far) fdb add \(Self.mac(number)) dev vxlan0 dst \(underlay.address(at)) self
                            bridge -n ${P}\(far) fdb add \(Self.mac(number)) dev vxlan0 master static

                            """
                    }
                }
            }
            for (station, number) in Self.stations {
                network += """
                    ip -n ${P}\(station) link set eth0 address \(Self.mac(number))
                    ip -n ${P}\(station) address add 10.5.0.\(number)/24 broadcast 10.5.0.255 dev eth0
                    ip -n ${P}\(station) address add fd00:5::\(number)/64 dev eth0 nodad

                    """
            }
            let site = try Site("l2-\(underlay.isIPv6 ? 6 : 4)", ["router", "switch", "far1", "far2"] + Self.stations.map(\.0), network: network)
            let own = try site.mac("router", "underlay")
            var objects = """
                  ports: [{name: fabric, pcap: {interface: underlay}}, {name: work1, pcap: {interface: tap1}}, {name: work2, pcap: {interface: tap2}}]
                  vrfs: [{id: 0, name: fabric}, {id: 1, name: lan, learnsMACs: \(learns), floodsUnknownUnicast: \(learns)}]
                  vifs:
                    - {id: 0, name: underlay, kind: physical, port: fabric, mac: "\(own)", addresses: ["\(underlay.address(11))"]}
                    - {id: 3, name: tap1, kind: virtual, port: work1, vrf: 1, mac: "00:00:5e:00:01:00"}
                    - {id: 4, name: tap2, kind: virtual, port: work2, vrf: 1, mac: "00:00:5e:00:01:00"}
                  vnis: [{vni: 5001, nextHop: 20}]
                  nextHops:
                    - {id: 3, encap: {vif: 3}}
                    - {id: 4, encap: {vif: 4}}
                    - {id: 5, receive: {vif: 0}}
                    - {id: 20, vrf: {id: 1, bridges: true}}

                """
            for (far, host) in [("far1", 12), ("far2", 13)] {
                objects += """
                        - {id: \(host), tunnel: {encapsulation: vxlan, source: "\(underlay.address(11))", destination: "\(underlay.address(host))", vif: 0,
                            destinationMAC: "\(try site.mac(far, "underlay"))", sourceMAC: "\(own)"}}

                    """
            }
            objects += "    - {id: 30, multicast: {vrf: 1, local: [3, 4], evpn: [{nextHop: 12, label: 5001}, {nextHop: 13, label: 5001}]}}\n"
            if !underlay.isIPv6 { objects += "  routes: [{vrf: 0, prefix: 10.0.0.11/32, nextHop: 5, proxies: true}]\n" }
            objects += "  bridge:\n    - {vrf: 1, mac: \"ff:ff:ff:ff:ff:ff\", nextHop: 30}\n"
            if !learns {
                for ((_, number), (nextHop, label)) in zip(Self.stations, [(3, ""), (4, ""), (12, ", label: 5001"), (13, ", label: 5001")]) {
                    objects += "    - {vrf: 1, mac: \"\(Self.mac(number))\", nextHop: \(nextHop)\(label)}\n"
                }
            }
            try site.startRouter("router", objects: objects)
            return site
        }

        /// What stations send without being asked (neighbour discovery, MLD, router solicitations) is flooded, not dropped. What the far ends send on the fabric and
        /// is in no tunnel is for the host behind the router, and there is none.
        private static func expectSound(_ site: Site, sourceLocation: SourceLocation = #_sourceLocation) throws {
            try site.expectSound("router", drops: ["nowhere_to_go"], sourceLocation: sourceLocation)
        }

        /// Everybody finds everybody, in both families, by ARP and neighbour discovery that are flooded.
        private func everybodyPings(_ site: Site) throws {
            for (station, _) in Self.stations {
                for (other, number) in Self.stations where other != station {
                    try site.ping(station, "10.5.0.\(number)")
                    try site.ping(station, "fd00:5::\(number)")
                }
            }
        }

        @Test(arguments: underlays, [false, true]) func unicastOfEverySize(_ underlay: Underlay, _ learns: Bool) throws {
            let site = try Self.site(underlay, learns: learns)
            try everybodyPings(site)
            for (from, number) in [("work1", "21"), ("guest1", "10"), ("work2", "22"), ("guest2", "11")] {
                try site.ping(from, "10.5.0.\(number)", "-M", "do", "-s", "1472")
                try site.ping(from, "fd00:5::\(number)", "-M", "do", "-s", "1452")
                try site.ping(from, "10.5.0.\(number)", "-s", "20000")
                try site.ping(from, "fd00:5::\(number)", "-s", "20000")
            }
            try site.transfer("work1", "guest1", "10.5.0.21")
            try site.transfer("guest2", "work2", "fd00:5::11")
            try site.iperf("work1", "guest2", "fd00:5::22")
            try Self.expectSound(site)
        }

        /// Broadcasts and groups of either family, from either side: everybody gets each once. The far ends send theirs to each other themselves, so that anything that
        /// the router carried from one tunnel into the other would come twice.
        @Test(arguments: underlays, [false, true]) func floods(_ underlay: Underlay, _ learns: Bool) throws {
            let site = try Self.site(underlay, learns: learns)
            for group in ["10.5.0.255", "239.5.5.5", "ff05::5:5"] {
                let listeners = try Self.stations.map { ($0.0, try site.listen($0.0, group)) }
                for (sender, _) in Self.stations { try site.send(sender, group, sender) }
                let expected = { (listener: String) in
                    Self.stations.flatMap { station in station.0 == listener ? [] : (1...5).map { "\(station.0)-\($0)" } }.sorted()
                }
                for (name, listener) in listeners {
                    try eventually("\(group) at \(name)", within: 5) {
                        guard listener.texts.count >= 15 else { throw Failure("\(listener.texts)") }
                        return true
                    }
                }
                // Whatever comes twice came right behind.
                Thread.sleep(forTimeInterval: 0.1)
                for (name, listener) in listeners {
                    // One's own broadcasts are heard on one's own machine.
                    #expect(listener.texts.filter { !$0.hasPrefix(name) }.sorted() == expected(name), "\(group) at \(name)")
                }
                // As large as it goes, and in fragments.
                if group != "10.5.0.255" {
                    for (sender, receiver) in [("work1", 3), ("guest1", 0)] {
                        let (name, listener) = listeners[receiver]
                        let text = String(repeating: "x", count: 4000)
                        try site.send(sender, group, text, count: 1)
                        try eventually("a large datagram to \(group) at \(name)", within: 5) { listener.texts.contains(text + "-1") }
                    }
                }
            }
            try Self.expectSound(site)
        }

        /// The router sends nothing that came out of one tunnel into another: with the way between the far ends cut, they do not hear each other, and the workloads hear both.
        @Test(arguments: underlays) func splitHorizon(_ underlay: Underlay) throws {
            let site = try Self.site(underlay, learns: true)
            for (far, other) in [("far1", 13), ("far2", 12)] {
                try site.succeed(far, "bridge", "fdb", "del", "00:00:00:00:00:00", "dev", "vxlan0", "dst", underlay.address(other))
            }
            for group in ["10.5.0.255", "239.5.5.5", "ff05::5:5"] {
                let listeners = try Self.stations.map { ($0.0, try site.listen($0.0, group)) }
                for sender in ["guest1", "guest2"] { try site.send(sender, group, sender) }
                for (name, listener) in listeners where name.hasPrefix("work") {
                    try eventually("\(group) at \(name)", within: 5) { listener.texts.count >= 10 }
                }
                Thread.sleep(forTimeInterval: 0.1)
                for (name, listener) in listeners {
                    let heard = listener.texts.filter { !$0.hasPrefix(name) }.count
                    #expect(heard == (name.hasPrefix("work") ? 10 : 0), "\(group) at \(name)")
                }
            }
            try Self.expectSound(site)
        }

        private struct Entry: Decodable { var mac: String, nextHop: Int, learned: Bool, moves: Int }
        private struct Dump: Decodable { var bridgeEntries: [Entry] }

        /// Where stations are is learned on both sides, and a station that moves is found again.
        @Test(arguments: underlays) func stationsAreLearnedAndMove(_ underlay: Underlay) throws {
            let site = try Self.site(underlay, learns: true)
            try everybodyPings(site)
            func nextHop(_ number: String) throws -> Int? {
                let text = try site.vrctl("router", "rt", "--dump", "1", "--family", "bridge", "-o", "json")
                return try decode(Dump.self, text).bridgeEntries.first { $0.mac == Self.mac(number) && $0.learned }?.nextHop
            }
            for (number, expected) in [("10", 3), ("11", 4), ("21", 12), ("22", 13)] { #expect(try nextHop(number) == expected, "\(number)") }
            // guest1 goes to where guest2 was, with its addresses.
            try site.succeed("guest1", "ip", "link", "set", "eth0", "down")
            try site.succeed("guest2", "ip", "address", "flush", "dev", "eth0")
            try site.succeed("guest2", "ip", "link", "set", "eth0", "address", Self.mac("21"))
            try site.succeed("guest2", "ip", "address", "add", "10.5.0.21/24", "dev", "eth0")
            try site.ping("guest2", "10.5.0.10")
            #expect(try nextHop("21") == 13)
            try site.ping("work2", "10.5.0.21")
            try Self.expectSound(site)
        }

        /// What is sent to a station that nobody knows is flooded where the network says so, and else dropped and counted.
        @Test(arguments: [false, true]) func unknownUnicast(_ floods: Bool) throws {
            let site = try Self.site(Self.underlays[0], learns: floods)
            for number in ["21", "22"] { try site.ping("work1", "10.5.0.\(number)") }
            let file = site.path("unknown.pcap")
            let capture = try site.start("guest2", "tcpdump", "-i", "eth0", "-U", "-w", file, "ether dst 02:00:00:00:05:77")
            try eventually("the capture") { capture.errors.contains("listening") }
            try site.succeed("work1", "ip", "neighbour", "add", "10.5.0.77", "lladdr", "02:00:00:00:05:77", "dev", "eth0")
            _ = try Shell.run(site.inside("work1", ["ping", "-n", "-c", "3", "-i", "0.05", "-W", "0.2", "10.5.0.77"]))
            if floods {
                try eventually("three packets at guest2", within: 5) {
                    try Shell.run(["tcpdump", "-r", file, "-n"]).output.split(separator: "\n").count == 3
                }
                try Self.expectSound(site)
            } else {
                #expect(try site.drops("router")["no_l2_route"] == 3)
            }
            capture.end(SIGINT)
            if !floods { #expect(try Shell.run(["tcpdump", "-r", file, "-n"]).output.isEmpty) }
        }
    }
}
