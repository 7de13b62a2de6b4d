import DataplaneAPI
import Foundation
import NetTypes
import SwiftProtobuf
import Testing

@testable import vrctl

@Suite struct VifTests {
    private static func port(_ name: String, _ driver: Dataplane_V1_Port.OneOf_Driver) -> API.Port {
        var port = API.Port()
        port.name = name
        port.driver = driver
        port.effectiveMtu = 1500
        port.deviceDriver = "net_tap"
        port.deviceName = "net_tap0,iface=tap0"
        port.link = .up
        port.linkSpeedMbps = 10_000
        port.receiveQueues = 2
        port.transmitQueues = 1
        port.stats.rxPackets = 11
        port.stats.rxBytes = 1100
        port.stats.rxMissed = 2
        port.stats.txPackets = 7
        port.stats.txBytes = 700
        port.stats.txUncut = 5
        port.offloads = [.txTcpSegmentation, .rxUnfinishedChecksums]
        return port
    }
    private static var dpdk: API.Port {
        var driver = Dataplane_V1_DpdkDriver()
        driver.device = "net_tap0,iface=tap0"
        return port("w", .dpdk(driver))
    }
    static var workload: API.Vif {
        var vif = API.Vif()
        vif.id = 3
        vif.name = "tap88670c2e-11"
        vif.kind = .virtual
        vif.port = "w"
        vif.vrf = 2
        vif.mac = octets("00:00:5e:00:01:00")
        vif.addresses = [octets("1.1.1.1")]
        vif.workloadMac = octets("02:88:67:0c:2e:11")
        vif.workloadAddresses = [octets("1.1.1.4"), octets("fd00::4")]
        vif.keepsFlows = true
        vif.bridges = true
        vif.services = true
        vif.stats.rxPackets = 10
        vif.stats.rxBytes = 1000
        vif.stats.txPackets = 6
        vif.stats.txBytes = 600
        vif.stats.drops = 1
        (vif.flowLimit, vif.flowRate) = (20, 5)
        var rule = Dataplane_V1_FatFlowRule()
        (rule.protocol, rule.port, rule.ignoredAddress) = (17, 53, .remote)
        vif.fatFlows = [rule]
        (vif.stats.flows, vif.stats.flowLimitDrops, vif.stats.flowRateDrops, vif.stats.flowEvictions) = (7, 2, 1, 3)
        return vif
    }
    private static var hop: API.NextHop {
        var hop = API.NextHop()
        hop.id = 23
        hop.encap.vif = 3
        hop.encap.destinationMac = octets("02:88:67:0c:2e:11")
        return hop
    }

    @Test func block() {
        let layout = VifLayout(ports: ["w": Self.dpdk], nextHops: [3: 23])
        #expect(
            layout.block(Self.workload) == """
                vif0/3      PMD: tap88670c2e-11 NH: 23
                            Type:Virtual HWaddr:00:00:5e:00:01:00 IPaddr:1.1.1.4 IP6addr:fd00::4
                            Vrf:2 Mcast Vrf:2 Flags:PL3L2DDpdk QOS:-1
                            Port:w Driver:net_tap net_tap0,iface=tap0 MTU:1500 Link:Up Speed:10000 Queues:2
                            Offloads:tx-tcp-segmentation,rx-unfinished-checksums
                            RX device packets:11  bytes:1100 errors:0 missed:2
                            RX packets:10  bytes:1000
                            TX packets:6  bytes:600 errors:0
                            Drops:1
                            Flows:7 Limit:20 Rate:5/s Over limit:2 Over rate:1 Evicted:3
                            FatFlow rules: 17:53 - Remote IP ignored
                            TX device packets:7  bytes:700 errors:0 uncut:5


                """)
    }

    @Test func aVifWhosePortIsGone() {
        var vif = Self.workload
        vif.kind = .physical
        vif.id = 0
        vif.services = false
        vif.keepsFlows = false
        vif.bridges = false
        vif.antispoof = true
        vif.addresses = []
        vif.fatFlows = []
        #expect(
            VifLayout(ports: [:], nextHops: [:]).block(vif) == """
                vif0/0      Port: tap88670c2e-11
                            Type:Physical HWaddr:00:00:5e:00:01:00 IPaddr:0.0.0.0
                            Vrf:2 Mcast Vrf:2 Flags:L3As QOS:-1
                            RX packets:10  bytes:1000
                            TX packets:6  bytes:600 errors:0
                            Drops:1


                """)
    }

    @Test func subInterfaceShowsItsTags() {
        var vif = Self.workload
        vif.kind = .vlan
        vif.port = ""
        vif.floodsUnknownUnicast = true
        vif.vlan.parent = 4
        vif.vlan.id = 200
        vif.vlan.innerID = 30
        vif.vlan.protocol = .service
        let text = VifLayout(ports: [:], nextHops: [:]).block(vif)
        #expect(text.contains("Type:Virtual(Vlan) "))
        #expect(text.contains("Flags:PL3L2DUuf "))
        #expect(text.contains("\n            Vlan Id:200.30 Parent:vif0/4\n"))
    }

    @Test func aMonitoringVifShowsWhatItWatches() {
        var vif = API.Vif()
        vif.kind = .monitoring
        vif.monitors = 3
        let layout = VifLayout(ports: [:], nextHops: [:])
        let text = layout.block(vif)
        #expect(text.contains("Type:Monitoring ") && text.contains(" Flags: ") && text.contains("\n            Monitors:vif0/3\n"), "\(text)")
        #expect(layout.json(vif).pretty.contains("\"monitors\": 3"))
    }

    @Test func headerHasTheHeading() {
        #expect(VifLayout.header.hasPrefix("Vrouter Interface Table\n\nFlags: P=Policy, X=Cross Connect, L3=Layer 3, L2=Layer 2\n       D=DHCP,"))
    }

    @Test func checksAreFlags() {
        var vif = API.Vif()
        vif.kind = .physical
        vif.checksTunnelSource = true
        vif.reversePath = .strict
        vif.sendsUnreachables = true
        let layout = VifLayout(ports: [:], nextHops: [:])
        #expect(layout.flags(vif) == "L3TsRsUr")
        vif.reversePath = .loose
        #expect(layout.flags(vif) == "L3TsRlUr")
        #expect(layout.json(vif).pretty.contains("\"reversePath\": \"loose\""))
    }
    @Test func listFindsTheNextHop() async {
        let run = await run(["vif", "--list"], router: FakeRouter([.vif(Self.workload), .port(Self.dpdk), .nextHop(Self.hop)]))
        #expect(run.code == 0)
        #expect(run.output.hasPrefix(VifLayout.header + "vif0/3      PMD: tap88670c2e-11 NH: 23\n"))
    }

    @Test func getJSON() async throws {
        let run = await run(["vif", "--get", "3", "-o", "json"], router: FakeRouter([.vif(Self.workload), .port(Self.dpdk), .nextHop(Self.hop)]))
        #expect(
            run.output == """
                {
                  "vifs": [
                    {
                      "id": 3,
                      "name": "tap88670c2e-11",
                      "kind": "virtual",
                      "port": "w",
                      "driver": "net_tap net_tap0,iface=tap0",
                      "link": "up",
                      "linkSpeedMbps": 10000,
                      "receiveQueues": 2,
                      "transmitQueues": 1,
                      "spread": null,
                      "isSpread": false,
                      "offloads": [
                        "tx-tcp-segmentation",
                        "rx-unfinished-checksums"
                      ],
                      "vrf": 2,
                      "mac": "00:00:5e:00:01:00",
                      "mtu": 1500,
                      "addresses": [
                        "1.1.1.1"
                      ],
                      "workloadMac": "02:88:67:0c:2e:11",
                      "workloadAddresses": [
                        "1.1.1.4",
                        "fd00::4"
                      ],
                      "keepsFlows": true,
                      "bridges": true,
                      "antispoof": false,
                      "allowedPairs": [],
                      "checksTunnelSource": false,
                      "reversePath": "none",
                      "sendsUnreachables": false,
                      "floodsUnknownUnicast": false,
                      "trapsGroupReports": false,
                      "services": true,
                      "flowLimit": 20,
                      "flowRate": 5,
                      "fatFlows": [
                        "17:53 - Remote IP ignored"
                      ],
                      "qosMap": null,
                      "flags": "PL3L2DDpdk",
                      "nextHop": 23,
                      "cookie": "0x0",
                      "statistics": {
                        "rxPackets": 10,
                        "rxBytes": 1000,
                        "txPackets": 6,
                        "txBytes": 600,
                        "drops": 1,
                        "txErrors": 0,
                        "spoofed": 0,
                        "flows": 7,
                        "flowLimitDrops": 2,
                        "flowRateDrops": 1,
                        "flowShareDrops": 0,
                        "flowEvictions": 3
                      },
                      "portStatistics": {
                        "rxPackets": 11,
                        "rxBytes": 1100,
                        "rxMissed": 2,
                        "rxErrors": 0,
                        "txPackets": 7,
                        "txBytes": 700,
                        "txErrors": 0,
                        "txUncut": 5
                      }
                    }
                  ]
                }

                """)
    }

    @Test func antispoofing() async {
        var vif = Self.workload
        vif.antispoof = true
        vif.allowedPairs = [
            .with { $0.prefix = .init(IPPrefix("10.1.0.48/28")!) },
            .with {
                $0.prefix = .init(IPPrefix("10.1.0.77/32")!)
                $0.mac = MACAddress("00:00:5e:00:01:07")!.octets
            },
        ]
        vif.stats.spoofed = 4
        let output = await run(["vif", "--get", "3"], router: FakeRouter([.vif(vif), .port(Self.dpdk)])).output
        #expect(output.contains("            Allowed:10.1.0.48/28,10.1.0.77/32@00:00:5e:00:01:07\n"), "\(output)")
        #expect(output.contains(" Invalid Source:4\n") && output.contains("As"), "\(output)")
    }

    @Test func getOfWhatIsNotThere() async {
        #expect(await run(["vif", "--get", "9"], router: FakeRouter()) == Run(code: 1, output: "", errors: "vif: no vif 9; vif --list lists them\n"))
    }

    @Test func ratesArePerSecondAndSurviveAReset() {
        var before = Dataplane_V1_VifStats(), after = Dataplane_V1_VifStats()
        before.rxPackets = 100
        after.rxPackets = 300
        before.rxBytes = 1000
        after.rxBytes = 5000
        before.txPackets = 500
        after.txPackets = 40
        let rates = VifRates(before, after, seconds: 2)
        #expect(rates.receivedPackets == 100)
        #expect(rates.receivedBits == 16_000)
        #expect(rates.transmittedPackets == 20)
        after.rxPackets = .max
        #expect(VifRates(before, after, seconds: 1e-9).receivedPackets == .max)
        #expect(VifRates(before, after, seconds: 0).receivedPackets == 0)
    }

    @Test func rateAddsLines() async {
        let run = await run(["vif", "--list", "--rate"], router: FakeRouter([.vif(Self.workload)]))
        #expect(
            run.output.contains(
                "            RX rate   packets/s:0  bits/s:0\n            TX rate   packets/s:0  bits/s:0\n            Drop rate packets/s:0\n"))
    }

    @Test func clear() async {
        let router = FakeRouter()
        #expect(await run(["vif", "--clear"], router: router).code == 0)
        #expect(router.cleared.map(\.vifs) == [true] && router.cleared.map(\.drops) == [false])
    }
}

@Suite struct NextHopTests {
    private let layout = NextHopLayout(vifs: [3: VifTests.workload])
    private func hop(_ id: UInt32, _ kind: Dataplane_V1_NextHop.OneOf_Kind?, references: UInt64 = 1) -> API.NextHop {
        var hop = API.NextHop()
        hop.id = id
        hop.kind = kind
        hop.references = references
        return hop
    }
    private func encap(bridged: Bool = false) -> Dataplane_V1_EncapNextHop {
        var encap = Dataplane_V1_EncapNextHop()
        encap.vif = 3
        if !bridged {
            encap.destinationMac = octets("02:88:67:0c:2e:11")
        }
        return encap
    }
    private func tunnel(_ encapsulation: API.Encapsulation, _ source: String, _ destination: String) -> API.Tunnel {
        var tunnel = API.Tunnel()
        tunnel.encapsulation = encapsulation
        tunnel.source = octets(source)
        tunnel.destination = octets(destination)
        tunnel.destinationMac = octets("00:1b:21:00:00:02")
        tunnel.sourceMac = octets("00:1b:21:00:00:01")
        return tunnel
    }
    private var ecmp: Dataplane_V1_EcmpNextHop {
        var ecmp = Dataplane_V1_EcmpNextHop()
        for (hop, label) in [(12, 18), (14, nil)] as [(UInt32, UInt32?)] {
            var member = Dataplane_V1_EcmpMember()
            member.nextHop = hop
            if let label { member.label = label }
            ecmp.members.append(member)
        }
        return ecmp
    }

    @Test func encapRouted() {
        #expect(
            layout.block(hop(23, .encap(encap()), references: 4)) == """
                Id:23         Type:Encap          Fmly: AF_INET  Rid:0  Ref_cnt:4          Vrf:2
                              Flags:Valid, Policy,
                              EncapFmly:0806 Oif:3 Len:14
                              Encap Data: 02 88 67 0c 2e 11 00 00 5e 00 01 00 08 00


                """)
    }
    @Test func encapBridgedWritesNothing() {
        #expect(
            layout.block(hop(24, .encap(encap(bridged: true)))) == """
                Id:24         Type:Encap          Fmly: AF_BRIDGE Rid:0  Ref_cnt:1          Vrf:2
                              Flags:Valid, Policy,
                              EncapFmly:0000 Oif:3 Len:0


                """)
    }
    @Test func tunnelMPLSoverUDP() {
        #expect(
            layout.block(hop(21, .tunnel(tunnel(.mplsOverUdp, "8.0.0.2", "8.0.0.3")))) == """
                Id:21         Type:Tunnel         Fmly: AF_INET  Rid:0  Ref_cnt:1          Vrf:0
                              Flags:Valid, MPLSoUDP,
                              Oif:0 Len:14 Data:00 1b 21 00 00 02 00 1b 21 00 00 01 08 00
                              Sip:8.0.0.2 Dip:8.0.0.3


                """)
    }
    @Test func tunnelVXLANoverIPv6() {
        #expect(
            layout.block(hop(22, .tunnel(tunnel(.vxlan, "fd00::2", "fd00::3")))) == """
                Id:22         Type:Tunnel         Fmly: AF_INET6 Rid:0  Ref_cnt:1          Vrf:0
                              Flags:Valid, Vxlan,
                              Oif:0 Len:14 Data:00 1b 21 00 00 02 00 1b 21 00 00 01 86 dd
                              Sip:fd00::2 Dip:fd00::3
                              Vxlan Mac:00:00:5e:00:01:00


                """)
    }
    @Test func composite() {
        #expect(
            layout.block(hop(30, .ecmp(ecmp))) == """
                Id:30         Type:Composite      Fmly: AF_INET  Rid:0  Ref_cnt:1          Vrf:0
                              Flags:Valid, Ecmp,
                              Valid Hash Key Parameters: Proto,SrcIP,SrcPort,DstIp,DstPort
                              Sub NH(label): 12(18) 14(-1)


                """)
    }
    @Test func chosenHashFieldsAndIndirect() {
        var chosen = ecmp, indirect = Dataplane_V1_IndirectNextHop(), vrf = Dataplane_V1_VrfNextHop()
        chosen.hashFields = [.destination, .source]
        indirect.nextHop = 30
        vrf.vrf = 5
        vrf.routerMac = octets("02:00:00:00:0f:99")
        #expect(
            [hop(30, .ecmp(chosen)), hop(31, .indirect(indirect)), hop(32, .vrf(vrf))].map(layout.block).joined() == """
                Id:30         Type:Composite      Fmly: AF_INET  Rid:0  Ref_cnt:1          Vrf:0
                              Flags:Valid, Ecmp,
                              Valid Hash Key Parameters: SrcIP,DstIp
                              Sub NH(label): 12(18) 14(-1)

                Id:31         Type:Indirect       Fmly: AF_INET  Rid:0  Ref_cnt:1          Vrf:0
                              Flags:Valid, Indirect,
                              Sub NH: 30

                Id:32         Type:Vrf_Translate  Fmly: AF_INET  Rid:0  Ref_cnt:1          Vrf:5
                              Flags:Valid,
                              Router Mac:02:00:00:00:0f:99


                """)
        #expect(layout.json(hop(31, .indirect(indirect))).pretty.contains("\"target\": 30"))
        #expect(layout.json(hop(30, .ecmp(chosen))).pretty.contains("\"hashFields\": [\n    \"source\",\n    \"destination\"\n  ]"))
    }
    @Test func multicast() {
        var multicast = Dataplane_V1_MulticastNextHop()
        multicast.vrf = 2
        multicast.local = [24, 25]
        multicast.evpn = ecmp.members
        #expect(
            layout.block(hop(31, .multicast(multicast))) == """
                Id:31         Type:Composite      Fmly: AF_BRIDGE Rid:0  Ref_cnt:1          Vrf:2
                              Flags:Valid, Multicast, Encap, Evpn,
                              Encap Sub NH: 24 25
                              Evpn Sub NH(label): 12(18) 14(-1)


                """)
    }
    @Test func discardReceiveResolveAndVRF() {
        var receive = Dataplane_V1_ReceiveNextHop(), vrf = Dataplane_V1_VrfNextHop()
        receive.vif = 3
        vrf.vrf = 5
        vrf.bridges = true
        let text = [hop(0, .discard(.init()), references: 9), hop(4, .receive(receive)), hop(5, .resolve(.init())), hop(6, .vrf(vrf)), hop(7, nil)]
            .map(layout.block).joined()
        #expect(
            text == """
                Id:0          Type:Drop           Fmly: AF_INET  Rid:0  Ref_cnt:9          Vrf:0
                              Flags:Valid,

                Id:4          Type:Receive        Fmly: AF_INET  Rid:0  Ref_cnt:1          Vrf:2
                              Flags:Valid,
                              Oif:3

                Id:5          Type:Resolve        Fmly: AF_INET  Rid:0  Ref_cnt:1          Vrf:0
                              Flags:Valid,
                              Oif:0

                Id:6          Type:Vrf_Translate  Fmly: AF_BRIDGE Rid:0  Ref_cnt:1          Vrf:5
                              Flags:Valid,

                Id:7          Type:Invalid        Fmly: AF_INET  Rid:0  Ref_cnt:1          Vrf:0
                              Flags:


                """)
    }

    @Test func json() {
        #expect(
            layout.json(hop(21, .tunnel(tunnel(.vxlan, "8.0.0.2", "8.0.0.3")))).pretty == """
                {
                  "id": 21,
                  "type": "tunnel",
                  "family": "AF_INET",
                  "vrf": 0,
                  "flags": [
                    "Valid",
                    "Vxlan"
                  ],
                  "references": 1,
                  "cookie": "0x0",
                  "encapsulation": "Vxlan",
                  "source": "8.0.0.2",
                  "destination": "8.0.0.3",
                  "vif": 0,
                  "destinationMac": "00:1b:21:00:00:02",
                  "sourceMac": "00:1b:21:00:00:01",
                  "routerMac": "00:00:5e:00:01:00",
                  "encapData": "001b21000002001b210000010800"
                }
                """)
    }

    @Test func getShowsMembersOnceEvenInACircle() async {
        var circle = ecmp
        circle.members[0].nextHop = 30
        let router = FakeRouter([.nextHop(hop(14, .discard(.init()))), .nextHop(hop(30, .ecmp(circle)))])
        let run = await run(["nh", "--get", "30"], router: router)
        #expect(run.output.components(separatedBy: "Id:").count == 3)
        #expect(await vrctlRun(["nh", "--get", "31"], router) == Run(code: 1, output: "", errors: "nh: no next hop 31; nh --list lists them\n"))
    }
    private func vrctlRun(_ arguments: [String], _ router: FakeRouter) async -> Run { await run(arguments, router: router) }
}

@Suite struct LabelTests {
    private var objects: [API.Object.OneOf_Object] {
        var label = API.LabelEntry(), vni = API.VniEntry(), large = API.VniEntry()
        label.label = 16
        label.nextHop = 13
        vni.vni = 5001
        vni.nextHop = 7
        large.vni = 16_777_215
        large.nextHop = 524_287
        return [.label(label), .vni(vni), .vni(large)]
    }
    @Test func mpls() async {
        #expect(
            await run(["mpls", "--dump"], router: FakeRouter(objects)).output == """
                MPLS Input Label Map

                   Label    NextHop
                -------------------
                      16         13

                """)
    }
    @Test func vxlan() async {
        #expect(
            await run(["vxlan", "--dump"], router: FakeRouter(objects)).output == """
                VXLAN Table

                 VNID    NextHop
                ----------------
                 5001          7
                16777215  524287

                """)
    }
    @Test func oneVNIAsJSON() async {
        #expect(
            await run(["vrctl", "vxlan", "--get", "5001", "-o", "json"], router: FakeRouter(objects)).output == """
                {
                  "vnis": [
                    {
                      "vni": 5001,
                      "nextHop": 7,
                      "cookie": "0x0"
                    }
                  ]
                }

                """)
    }
    @Test func whatIsNotThere() async {
        #expect(
            await run(["mpls", "--get", "17"], router: FakeRouter(objects))
                == Run(code: 1, output: "", errors: "mpls: no label 17; mpls --dump lists them\n"))
    }
}

@Suite struct DropStatsTests {
    private var status: API.Status {
        var status = API.Status()
        for (name, label, packets) in [("ttl_exceeded", "TTL Exceeded", 7), ("discards", "Discards", 0), ("no_l2_route", "No L2 Route", 12)]
            as [(String, String, UInt64)]
        {
            var drop = Dataplane_V1_DropCounter()
            drop.name = name
            drop.label = label
            drop.description_p = "because"
            drop.packets = packets
            status.drops.append(drop)
        }
        return status
    }
    @Test func onlyWhatIsNotZero() async {
        #expect(
            await run(["dropstats"], router: FakeRouter(statuses: [status])).output == """
                TTL Exceeded                  7
                No L2 Route                   12

                """)
    }
    @Test func jsonHasAll() async throws {
        let run = await run(["dropstats", "-o", "json"], router: FakeRouter(statuses: [status]))
        let json = try #require(JSON(parsing: run.output.utf8))
        #expect(json["drops"]?.array.map { $0["packets"]?.unsigned } == [7, 0, 12])
        #expect(json["drops"]?.array.first?["description"]?.text == "because")
    }
    @Test func clear() async {
        let router = FakeRouter()
        #expect(await run(["dropstats", "--clear"], router: router) == Run(code: 0, output: "", errors: ""))
        #expect(router.cleared.map(\.drops) == [true] && router.cleared.map(\.vifs) == [false])
    }
}
