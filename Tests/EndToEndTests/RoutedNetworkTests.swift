import Foundation
import Testing

extension EndToEnd {
    /// A routed VNI (RFC 9135, RFC 9136 section 4.4.1: EVPN type 5) whose far end is a Linux router with a VXLAN device: no bridge, inner frames between router MACs,
    /// other subnets on either side.
    ///
    ///     work 10.6.1.10 ── .1 vrouter 10.0.0.11 ══ VNI 9000 ══ 10.0.0.12 vxlan0 (Linux routes) .1 ── guest 10.6.2.20
    @Suite struct RoutedNetwork {
        private static let routerMAC = "02:00:00:00:0a:01", farMAC = "02:00:00:00:0a:02"

        private static func site(_ underlay: BridgedNetwork.Underlay, fabricMTU: Int = 1600) throws -> Site {
            let isIPv6 = underlay.isIPv6
            let network = """
                on router sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
                on far sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
                cable router underlay far underlay \(fabricMTU)
                cable router tap work eth0
                cable far port guest eth0
                ip -n ${P}far address add \(underlay.address(12))/\(underlay.prefixLength) dev underlay \(isIPv6 ? "nodad" : "")
                ip -n ${P}far link add vxlan0 address \(farMAC) mtu \(fabricMTU - (isIPv6 ? 70 : 50)) type vxlan id 9000 local \(underlay.address(12)) \
                    dstport 4789 nolearning \(underlay.options) dev underlay
                ip -n ${P}far link set vxlan0 up
                bridge -n ${P}far fdb append \(routerMAC) dev vxlan0 dst \(underlay.address(11))
                ip -n ${P}far address add 10.255.0.12/32 dev vxlan0
                ip -n ${P}far address add fd00:255::12/128 dev vxlan0 nodad
                # The next hop of the VNI's routes is no neighbour of anybody: its MAC is the far router's, as EVPN tells it.
                ip -n ${P}far neighbour add 10.255.0.11 lladdr \(routerMAC) dev vxlan0
                ip -n ${P}far neighbour add fe80::11 lladdr \(routerMAC) dev vxlan0
                ip -n ${P}far route add 10.6.1.0/24 via 10.255.0.11 dev vxlan0 onlink
                ip -n ${P}far -6 route add fd00:6:1::/64 via fe80::11 dev vxlan0 onlink
                ip -n ${P}far address add 10.6.2.1/24 dev port
                ip -n ${P}far address add fd00:6:2::1/64 dev port nodad
                for side in "work 1 10" "guest 2 20"; do
                    set -- $side
                    ip -n $P$1 address add 10.6.$2.$3/24 dev eth0
                    ip -n $P$1 address add fd00:6:$2::$3/64 dev eth0 nodad
                    ip -n $P$1 route add default via 10.6.$2.1
                    ip -n $P$1 -6 route add default via fd00:6:$2::1
                done
                """
            let site = try Site("l3-\(isIPv6 ? 6 : 4)", ["router", "work", "far", "guest"], network: network)
            let own = try site.mac("router", "underlay"), work = try site.mac("work", "eth0")
            var objects = """
                  ports: [{name: fabric, pcap: {interface: underlay}}, {name: work, pcap: {interface: tap}}]
                  vrfs: [{id: 0, name: fabric}, {id: 1, name: blue}]
                  vifs:
                    - {id: 0, name: underlay, kind: physical, port: fabric, mac: "\(own)", addresses: ["\(underlay.address(11))"]}
                    - {id: 3, name: tap, kind: virtual, port: work, vrf: 1, mac: "00:00:5e:00:01:00", addresses: [10.6.1.1, "fd00:6:1::1"], bridges: false,
                       keepsFlows: true}
                  vnis: [{vni: 9000, nextHop: 20}]
                  nextHops:
                    - {id: 3, encap: {vif: 3, destination: "\(work)"}}
                    - {id: 4, receive: {vif: 3}}
                    - {id: 5, receive: {vif: 0}}
                    - {id: 12, tunnel: {encapsulation: vxlan, source: "\(underlay.address(11))", destination: "\(underlay.address(12))", vif: 0,
                        destinationMAC: "\(try site.mac("far", "underlay"))", sourceMAC: "\(own)", routerMAC: "\(farMAC)"}}
                    - {id: 20, vrf: {id: 1, routerMAC: "\(routerMAC)"}}
                  routes:
                    - {vrf: 1, prefix: 10.6.1.1/32, nextHop: 4, proxies: true}
                    - {vrf: 1, prefix: "fd00:6:1::1/128", nextHop: 4, proxies: true}
                    - {vrf: 1, prefix: 10.6.1.10/32, nextHop: 3}
                    - {vrf: 1, prefix: "fd00:6:1::10/128", nextHop: 3}
                    - {vrf: 1, prefix: 10.6.2.0/24, nextHop: 12, label: 9000}
                    - {vrf: 1, prefix: "fd00:6:2::/64", nextHop: 12, label: 9000}

                """
            if !isIPv6 { objects += "    - {vrf: 0, prefix: 10.0.0.11/32, nextHop: 5, proxies: true}\n" }
            try site.startRouter("router", objects: objects)
            return site
        }

        /// Router solicitations of the workload are the control program's, and there is none; what the far end sends on the fabric outside of tunnels is for a host.
        private static func expectSound(_ site: Site, sourceLocation: SourceLocation = #_sourceLocation) throws {
            try site.expectSound("router", drops: ["nowhere_to_go", "trap_no_listener", "no_l2_route"], sourceLocation: sourceLocation)
        }

        @Test(arguments: BridgedNetwork.underlays) func bothWaysInBothFamilies(_ underlay: BridgedNetwork.Underlay) throws {
            let site = try Self.site(underlay)
            for (from, to) in [("work", "10.6.2.20"), ("guest", "10.6.1.10"), ("work", "fd00:6:2::20"), ("guest", "fd00:6:1::10")] {
                try site.ping(from, to)
                try site.ping(from, to, "-s", "20000")
                try site.ping(from, to, "-M", "do", "-s", to.contains(":") ? "1452" : "1472")
            }
            // Of the answer's TTL, Linux has taken one. The vrouter takes its own where a packet enters the network, not where it leaves.
            let text = try Shell.run(site.inside("work", ["ping", "-n", "-c", "1", "-W", "2", "10.6.2.20"])).both
            #expect(text.contains("ttl=63"), "\(text)")
            try site.transfer("work", "guest", "10.6.2.20")
            try site.transfer("guest", "work", "10.6.1.10")
            try site.transfer("work", "guest", "fd00:6:2::20")
            try site.transfer("guest", "work", "fd00:6:1::10")
            try site.iperf("work", "guest", "10.6.2.20")
            try Self.expectSound(site)
        }

        /// Each hop of the way says where it is, also the Linux router behind the tunnel.
        @Test(arguments: BridgedNetwork.underlays) func everyHopAnswers(_ underlay: BridgedNetwork.Underlay) throws {
            let site = try Self.site(underlay)
            let ways = [
                ("10.6.2.20", ["10.6.1.1", "10.255.0.12", "10.6.2.20"]),
                ("fd00:6:2::20", ["fd00:6:1::1", "fd00:255::12", "fd00:6:2::20"]),
            ]
            for (destination, hops) in ways {
                for (ttl, hop) in hops.enumerated() {
                    let text = try Shell.run(site.inside("work", ["ping", "-n", "-c", "1", "-W", "2", "-t", "\(ttl + 1)", destination])).both
                    #expect(text.contains(ttl < 2 ? "From \(hop)" : "bytes from \(hop)"), "hop \(ttl + 1): \(text)")
                }
            }
        }

        /// A fabric that carries less than the workloads send: they are told what fits, by the router on one side and by Linux on the other, and TCP finds its size.
        @Test(arguments: BridgedNetwork.underlays) func pathMTU(_ underlay: BridgedNetwork.Underlay) throws {
            let site = try Self.site(underlay, fabricMTU: 1500)
            let fits = 1500 - (underlay.isIPv6 ? 70 : 50)
            for (from, to) in [("work", "10.6.2.20"), ("guest", "10.6.1.10"), ("work", "fd00:6:2::20"), ("guest", "fd00:6:1::10")] {
                let header = to.contains(":") ? 48 : 28
                let text = try Shell.run(site.inside(from, ["ping", "-n", "-c", "1", "-W", "1", "-M", "do", "-s", "\(1500 - header)", to])).both
                #expect(text.contains("mtu = \(fits)") || text.contains("mtu=\(fits)"), "\(from) -> \(to): \(text)")
                try site.ping(from, to, "-M", "do", "-s", "\(fits - header)")
            }
            try site.transfer("work", "guest", "10.6.2.20")
            try site.transfer("guest", "work", "fd00:6:1::10")
        }
    }
}
