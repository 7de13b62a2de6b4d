import Foundation
import Testing

extension EndToEnd {
    /// Datagrams whose fragments come in the wrong order, the one with the ports last of all. What a policy says about the datagram is known only then.
    ///
    ///     sender 10.9.0.1 ── vif 1 (UDP to port 7000 alone) ── vrouter ── vif 2 ── receiver 10.9.0.2
    @Suite struct LateFragments {
        private static func site() throws -> Site {
            let site = try Site(
                "late", ["router", "sender", "receiver"],
                network: """
                    on router sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
                    cable router v1 sender eth0
                    cable router v2 receiver eth0
                    for side in "sender 1" "receiver 2"; do
                        set -- $side
                        ip -n $P$1 link set eth0 address 02:00:00:00:09:0$2
                        ip -n $P$1 address add 10.9.0.$2/24 dev eth0
                        ip -n $P$1 address add fd00:9::$2/64 dev eth0 nodad
                    done
                    """)
            var objects = """
                  ports: [{name: p1, pcap: {interface: v1}}, {name: p2, pcap: {interface: v2}}]
                  vrfs: [{id: 1, name: blue}]
                  policies:
                    - {id: 1, name: out, default: deny, rules: [{name: one, action: pass, protocol: udp, ports: [7000]}]}
                  vifs:
                    - {id: 1, name: w1, kind: virtual, port: p1, vrf: 1, mac: "00:00:5e:00:01:00", keepsFlows: true, egressPolicies: [1]}
                    - {id: 2, name: w2, kind: virtual, port: p2, vrf: 1, mac: "00:00:5e:00:01:00", keepsFlows: true}
                  nextHops: [{id: 1, encap: {vif: 1}}, {id: 2, encap: {vif: 2}}]
                  bridge: [{vrf: 1, mac: "02:00:00:00:09:01", nextHop: 1}, {vrf: 1, mac: "02:00:00:00:09:02", nextHop: 2}]
                  routes:

                """
            for number in 1...2 {
                for prefix in ["10.9.0.\(number)/32", "fd00:9::\(number)/128"] {
                    objects += "    - {vrf: 1, prefix: \"\(prefix)\", nextHop: \(number), proxies: true, mac: \"02:00:00:00:09:0\(number)\"}\n"
                }
            }
            try site.startRouter("router", objects: objects)
            return site
        }

        /// Sends datagrams of 4000 octets, each full of one letter, in fragments that `order` (Python, of the list `pieces`) arranges.
        private static func send(_ site: Site, _ address: String, ports: [Int], order: String) throws {
            try Shell.succeed(
                site.inside(
                    "sender",
                    [
                        Place.python, "-c",
                        """
                        from scapy.all import *
                        pieces, six = [], ":" in "\(address)"
                        for number, port in enumerate(\(ports)):
                            data = UDP(sport=6000 + number, dport=port) / (bytes([65 + number]) * 4000)
                            if six:
                                whole = IPv6(src="fd00:9::1", dst="\(address)") / IPv6ExtHdrFragment(id=7 + number) / data
                                pieces.append(fragment6(whole, 1480))
                            else:
                                pieces.append(fragment(IP(src="10.9.0.1", dst="\(address)", id=7 + number) / data, 1400))
                        frames = [Ether(src="02:00:00:00:09:01", dst="02:00:00:00:09:02") / piece for piece in \(order)]
                        sendp(frames, iface="eth0", verbose=0)
                        """,
                    ]))
        }

        @Test(arguments: [("10.9.0.2", "10.9.0.2"), ("fd00:9::2", "fd00:9::2")])
        func theFirstComesLast(_ address: String, _ listening: String) throws {
            let site = try Self.site()
            let allowed = try site.listen("receiver", listening), forbidden = try site.listen("receiver", listening, port: 7001)
            // One datagram backwards; then two that are mixed, one of which nobody may send.
            try Self.send(site, address, ports: [7000], order: "reversed(pieces[0])")
            try eventually("the datagram") { allowed.texts == [String(repeating: "A", count: 4000)] }
            try Self.send(site, address, ports: [7001, 7000], order: "[p for pair in zip(reversed(pieces[0]), reversed(pieces[1])) for p in pair]")
            try eventually("the allowed one of two") { allowed.texts.last == String(repeating: "B", count: 4000) }
            // The forbidden one's pieces waited as well, and were dropped as one.
            try eventually("what is forbidden stays out", within: 5) { try (site.drops("router")["flow_action_drop"] ?? 0) >= 3 }
            #expect(allowed.texts.count == 2 && forbidden.texts.isEmpty)
            try site.expectSound("router", drops: ["flow_action_drop", "nowhere_to_go", "no_l2_route", "trap_no_listener"])
        }

        /// What waits in vain is dropped after two seconds, and its buffers are free again.
        @Test func theFirstNeverComes() throws {
            let site = try Self.site()
            let listener = try site.listen("receiver", "10.9.0.2")
            try Self.send(site, "10.9.0.2", ports: [7000], order: "reversed(pieces[0][1:])")
            try eventually("the end of waiting", within: 10) { try site.drops("router")["no_fragment_entries"] == 2 }
            #expect(listener.texts.isEmpty)
            try site.expectSound("router", drops: ["no_fragment_entries", "flow_action_drop", "nowhere_to_go", "no_l2_route", "trap_no_listener"])
        }
    }
}
