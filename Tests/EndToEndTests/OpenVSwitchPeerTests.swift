import Foundation
import Testing

extension EndToEnd {
    /// Open vSwitch's userspace datapath on the other side: of a tunnel, of a mirror, of a trunk.
    @Suite struct OpenVSwitchPeer {
        /// The kernel finishes checksums and cuts segments before a frame is on these cables: what reads them has no such offloads.
        private static let plainCables = """
            plain() { on $1 ethtool -K $2 tx off tso off gso off >/dev/null; }

            """

        /// A network of layer 2 over VXLAN, with DPDK's ports and without.
        ///
        ///     work 10.8.0.10 ── vrouter 10.0.0.11 ══ VNI 5001 ══ 10.0.0.12 br-phy · br-int ── guest 10.8.0.20
        @Test(arguments: [true, false]) func vxlan(_ usesDPDK: Bool) throws {
            let site = try Site(
                "ovs", ["router", "work", "ovs", "guest"],
                network: Self.plainCables + """
                    on router sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
                    on ovs sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
                    cable router underlay ovs underlay 1600
                    cable router tap work eth0
                    cable ovs port guest eth0
                    plain router underlay
                    plain guest eth0
                    for side in "work 10" "guest 20"; do
                        set -- $side
                        ip -n $P$1 link set eth0 address 02:00:00:00:08:$2
                        ip -n $P$1 address add 10.8.0.$2/24 dev eth0
                        ip -n $P$1 address add fd00:8::$2/64 dev eth0 nodad
                    done
                    """)
            let own = try site.mac("router", "underlay"), far = "02:00:00:00:0f:12"
            let ovs = try OpenVSwitch(site, "ovs", usesDPDK: usesDPDK)
            try ovs.addBridge("br-phy", address: "10.0.0.12/24", mac: far)
            try ovs.addBridge("br-int")
            try ovs.addPort("br-phy", "underlay")
            try ovs.addPort("br-int", "port")
            try ovs.addTunnel("br-int", "vx", "vxlan", "remote_ip=10.0.0.11", "local_ip=10.0.0.12", "key=5001")
            try site.startRouter(
                "router",
                objects: """
                      ports: [{name: fabric, pcap: {interface: underlay}}, {name: work, pcap: {interface: tap}}]
                      vrfs: [{id: 0, name: fabric}, {id: 1, name: lan, learnsMACs: true, floodsUnknownUnicast: true}]
                      vifs:
                        - {id: 0, name: underlay, kind: physical, port: fabric, mac: "\(own)", addresses: [10.0.0.11], checksTunnelSource: true}
                        - {id: 3, name: tap, kind: virtual, port: work, vrf: 1, mac: "00:00:5e:00:01:00"}
                      vnis: [{vni: 5001, nextHop: 20}]
                      nextHops:
                        - {id: 3, encap: {vif: 3}}
                        - {id: 5, receive: {vif: 0}}
                        - {id: 12, tunnel: {encapsulation: vxlan, source: 10.0.0.11, destination: 10.0.0.12, vif: 0,
                            destinationMAC: "\(far)", sourceMAC: "\(own)"}}
                        - {id: 20, vrf: {id: 1, bridges: true}}
                        - {id: 30, multicast: {vrf: 1, local: [3], evpn: [{nextHop: 12, label: 5001}]}}
                      routes: [{vrf: 0, prefix: 10.0.0.11/32, nextHop: 5, proxies: true}]
                      bridge: [{vrf: 1, mac: "ff:ff:ff:ff:ff:ff", nextHop: 30}]
                    """)
            // The first packet waits for ARP on both sides of Open vSwitch, which keeps none meanwhile.
            try eventually("the first answer") {
                try Shell.run(site.inside("guest", ["ping", "-n", "-c", "1", "-W", "1", "10.8.0.10"])).status == 0
            }
            // Open vSwitch's polling thread shares a core with its others here, and loses a packet now and then. The router's losses are asked for below.
            func ping(_ from: String, _ address: String, _ options: [String] = []) throws {
                try eventually("three answers of \(address) to \(from)") {
                    let words = ["ping", "-n", "-c", "3", "-i", "0.01", "-W", "2"] + options + [address]
                    return try Lab.readPing(Shell.run(site.inside(from, words)).both).received == 3
                }
            }
            for (from, host) in [("work", "20"), ("guest", "10")] {
                try ping(from, "10.8.0.\(host)")
                try ping(from, "fd00:8::\(host)")
                try ping(from, "10.8.0.\(host)", ["-M", "do", "-s", "1472"])
                try ping(from, "fd00:8::\(host)", ["-s", "8000"])
            }
            try site.transfer("work", "guest", "10.8.0.20")
            try site.transfer("guest", "work", "10.8.0.10")
            try site.transfer("work", "guest", "fd00:8::20")
            try site.transfer("guest", "work", "fd00:8::10")
            try site.expectSound("router", drops: ["nowhere_to_go"])
            // It was Open vSwitch that decapsulated.
            #expect(try ovs.ask("dpif-netdev/pmd-stats-show").contains("packets received"))
            #expect(try ovs.ask("tnl/ports/show").contains("4789"))
        }

        /// Mirrored frames in ERSPAN type II come out of Open vSwitch's ERSPAN port as they were.
        @Test func erspan() throws {
            let site = try Site(
                "erspan", ["router", "work1", "work2", "ovs", "watcher"],
                network: Self.plainCables + """
                    for ns in router ovs watcher; do on $ns sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1; done
                    cable router underlay ovs underlay 1600
                    cable router tap3 work1 eth0
                    cable router tap4 work2 eth0
                    cable ovs port watcher eth0
                    for number in 1 2; do
                        plain work$number eth0
                        ip -n ${P}work$number link set eth0 address 02:00:00:00:08:0$number
                        ip -n ${P}work$number address add 10.8.0.$number/24 dev eth0
                    done
                    """)
            let own = try site.mac("router", "underlay"), far = "02:00:00:00:0f:12"
            let ovs = try OpenVSwitch(site, "ovs", usesDPDK: false)
            try ovs.addBridge("br-phy", address: "10.0.0.12/24", mac: far)
            try ovs.addBridge("br-int")
            try ovs.addPort("br-phy", "underlay")
            try ovs.addPort("br-int", "port")
            try ovs.addTunnel("br-int", "er", "erspan", "remote_ip=10.0.0.11", "local_ip=10.0.0.12", "key=5", "erspan_ver=1", "erspan_idx=3")
            try ovs.setFlows("br-int", "in_port=er,actions=output:port")
            try site.startRouter(
                "router",
                objects: """
                      ports: [{name: fabric, pcap: {interface: underlay}}, {name: p3, pcap: {interface: tap3}}, {name: p4, pcap: {interface: tap4}}]
                      vrfs: [{id: 0, name: fabric}, {id: 1, name: lan}]
                      vifs:
                        - {id: 0, name: underlay, kind: physical, port: fabric, mac: "\(own)", addresses: [10.0.0.11]}
                        - {id: 3, name: tap3, kind: virtual, port: p3, vrf: 1, mac: "00:00:5e:00:01:00"}
                        - {id: 4, name: tap4, kind: virtual, port: p4, vrf: 1, mac: "00:00:5e:00:01:00"}
                      nextHops:
                        - {id: 3, encap: {vif: 3}}
                        - {id: 4, encap: {vif: 4}}
                        - {id: 5, receive: {vif: 0}}
                        - {id: 13, tunnel: {encapsulation: mplsOverGRE, source: 10.0.0.11, destination: 10.0.0.12, vif: 0,
                            destinationMAC: "\(far)", sourceMAC: "\(own)"}}
                        - {id: 30, multicast: {vrf: 1, local: [3, 4]}}
                      routes: [{vrf: 0, prefix: 10.0.0.11/32, nextHop: 5, proxies: true}]
                      bridge:
                        - {vrf: 1, mac: "02:00:00:00:08:01", nextHop: 3}
                        - {vrf: 1, mac: "02:00:00:00:08:02", nextHop: 4}
                        - {vrf: 1, mac: "ff:ff:ff:ff:ff:ff", nextHop: 30}
                      mirrors: [{id: 4, sources: [3], erspan: {nextHop: 13, session: 5}}]
                    """)
            let file = site.path("watched.pcap")
            let watcher = try site.start("watcher", "tcpdump", "-i", "eth0", "-U", "-w", file, "icmp")
            try eventually("tcpdump") { watcher.errors.contains("listening") }
            try site.ping("work1", "10.8.0.2", "-s", "1300")
            try eventually("six copies", within: 5) {
                try Shell.succeed(["tshark", "-r", file, "-T", "fields", "-e", "icmp.type"]).split(separator: "\n") == ["8", "0", "8", "0", "8", "0"]
            }
            watcher.end(SIGINT)
            try site.expectSound("router", drops: ["nowhere_to_go"])
        }

        /// Sub-interfaces and what Open vSwitch makes of tags: one station behind a customer tag, one behind two tags, one behind none, all in networks of
        /// their own with the same addresses.
        ///
        ///     work100 10.8.0.20 ── vlan 100 ─┐
        ///     work30  10.8.0.20 ── 200.30   ─┼─ trunk ── vif 3, 50, 51 ── vrouter ── vif 60, 61, 62 ── peer100, peer30, peer0 10.8.0.10
        ///     work0   10.8.0.20 ── untagged ─┘
        @Test func vlansAndQinQ() throws {
            let networks = ["100", "30", "0"]
            let site = try Site(
                "vlan", ["router", "ovs"] + networks.flatMap { ["work\($0)", "peer\($0)"] },
                network: Self.plainCables + """
                    for ns in router ovs; do on $ns sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1; done
                    cable router trunk ovs trunk 1508
                    plain router trunk
                    for network in \(networks.joined(separator: " ")); do
                        cable ovs port$network work$network eth0
                        cable router tap$network peer$network eth0
                        plain work$network eth0
                        for side in "work 20" "peer 10"; do
                            set -- $side
                            ip -n $P$1$network address add 10.8.0.$2/24 dev eth0
                            ip -n $P$1$network address add fd00:8::$2/64 dev eth0 nodad
                        done
                    done
                    """)
            let ovs = try OpenVSwitch(site, "ovs", usesDPDK: false)
            try ovs.addBridge("br0")
            for port in ["trunk"] + networks.map({ "port\($0)" }) { try ovs.addPort("br0", port) }
            // 4096 says that there is a tag.
            try ovs.setFlows(
                "br0", "in_port=port100,actions=push_vlan:0x8100,set_field:\(4096 + 100)->vlan_vid,output:trunk",
                "in_port=port30,actions=push_vlan:0x8100,set_field:\(4096 + 30)->vlan_vid,push_vlan:0x88a8,"
                    + "set_field:\(4096 + 200)->vlan_vid,output:trunk",
                "in_port=port0,actions=output:trunk", "priority=10,in_port=trunk,dl_vlan=100,actions=pop_vlan,output:port100",
                "priority=10,in_port=trunk,dl_vlan=200,actions=pop_vlan,resubmit(,1)",
                "table=1,dl_vlan=30,actions=pop_vlan,output:port30",
                "priority=9,in_port=trunk,vlan_tci=0,actions=output:port0")
            var objects = "  ports:\n    - {name: trunk, pcap: {interface: trunk}, mtu: 1500}\n"
            for network in networks { objects += "    - {name: p\(network), pcap: {interface: tap\(network)}}\n" }
            objects += """
                  vrfs: [{id: 1, name: a, learnsMACs: true}, {id: 2, name: b, learnsMACs: true}, {id: 3, name: c, learnsMACs: true}]
                  vifs:
                    - {id: 3, name: trunk, kind: virtual, port: trunk, vrf: 3, mac: "00:00:5e:00:01:00"}
                    - {id: 50, name: trunk.100, kind: vlan, vrf: 1, mac: "00:00:5e:00:01:00", vlan: {parent: 3, id: 100}}
                    - {id: 51, name: trunk.200.30, kind: vlan, vrf: 2, mac: "00:00:5e:00:01:00", vlan: {parent: 3, id: 200, innerID: 30}}
                    - {id: 60, name: tap100, kind: virtual, port: p100, vrf: 1, mac: "00:00:5e:00:01:00"}
                    - {id: 61, name: tap30, kind: virtual, port: p30, vrf: 2, mac: "00:00:5e:00:01:00"}
                    - {id: 62, name: tap0, kind: virtual, port: p0, vrf: 3, mac: "00:00:5e:00:01:00"}
                  nextHops:

                """
            for vif in [3, 50, 51, 60, 61, 62] { objects += "    - {id: \(vif), encap: {vif: \(vif)}}\n" }
            for (vrf, (near, far)) in [(50, 60), (51, 61), (3, 62)].enumerated() {
                objects += "    - {id: \(100 + vrf), multicast: {vrf: \(vrf + 1), local: [\(near), \(far)]}}\n"
            }
            objects += "  bridge:\n"
            for vrf in 1...3 { objects += "    - {vrf: \(vrf), mac: \"ff:ff:ff:ff:ff:ff\", nextHop: \(99 + vrf)}\n" }
            try site.startRouter("router", objects: objects)
            for (network, vif) in zip(networks, ["50", "51", "3"]) {
                try eventually("the first answer of network \(network)") {
                    try Shell.run(site.inside("work\(network)", ["ping", "-n", "-c", "1", "-W", "1", "10.8.0.10"])).status == 0
                }
                // What passes by the sub-interface is seen there, without tags.
                let dump = try Background(site.words("router", ["vifdump", "-i", vif, "-c", "2", "--plain", "icmp"]))
                try eventually("the capture") {
                    try site.vrctl("router", "tables").split(separator: "\n").contains { $0.hasPrefix("capture") && $0.contains(" 1 ") }
                }
                for (from, host) in [("work\(network)", "10"), ("peer\(network)", "20")] {
                    try site.ping(from, "10.8.0.\(host)", "-M", "do", "-s", "1472")
                    try site.ping(from, "fd00:8::\(host)", "-s", "8000")
                }
                let seen = try dump.ended(within: 5).output
                #expect(seen.split(separator: "\n").count == 2 && !seen.contains("vlan"), "\(seen)")
                try site.transfer("work\(network)", "peer\(network)", "10.8.0.10", mebibytes: 4)
                try site.transfer("peer\(network)", "work\(network)", "fd00:8::20", mebibytes: 4)
            }
            // An answer may come before the question's source is learned, and the network does not flood.
            try site.expectSound("router", drops: ["no_l2_route"])
        }
    }
}
