import Dataplane
import NetTypes

// One object of every kind and shape, as the router's values.

let macA = MACAddress(rawValue: 0x02_00_00_00_01_0A)
let macB = MACAddress(rawValue: 0x02_00_00_00_01_0B)
let v4 = IPAddress.v4(IPv4Address(10, 1, 0, 10))
let v6 = IPAddress.v6(IPv6Address(high: 0xFD00_0001_0000_0000, low: 0x10))

func prefix(_ text: String) -> IPPrefix { IPPrefix(text) ?? IPPrefix(host: v4) }

private let fabricVif: VifSpec = {
    var vif = VifSpec(id: VifID(0), name: "fabric", kind: .physical, port: "b", vrf: VRFID(0), mac: macB, bridges: false)
    vif.checksTunnelSource = true
    vif.reversePath = .strict
    vif.sendsUnreachables = true
    vif.qosMap = 9
    vif.flowLimit = 20_000
    vif.flowRate = 500
    vif.fatFlows = [FatFlowRule(proto: 17, port: 53, ignoredAddress: .remote), FatFlowRule(proto: 6)]
    vif.ingressPolicies = [PolicyID(1)]
    vif.egressPolicies = [PolicyID(2), PolicyID(1)]
    return vif
}()

private let limitedVRF: VRFSpec = {
    var vrf = VRFSpec(id: VRFID(2), name: "red", floodsUnknownUnicast: true, learnsMACs: true, macAgeing: 60, macLimit: 100)
    vrf.flowLimit = 7
    return vrf
}()

private let monitoringVif: VifSpec = {
    var vif = VifSpec(id: VifID(60), name: "mon3", kind: .monitoring, port: "i", vrf: VRFID(0), mac: .gateway)
    vif.monitors = VifID(3)
    return vif
}()

private let markedFlow: FlowSpec = {
    var flow = FlowSpec(key: FlowKeySpec(vrf: VRFID(1), source: v4, destination: v4, proto: 17, sourcePort: 1, destinationPort: 80), action: .forward)
    flow.qosMap = 255
    flow.mirror = 7
    return flow
}()

let sampleObjects: [RouterObject] = [
    .port(PortSpec(name: "a", driver: .pcap(interface: "eth0"), mtu: 1500, queues: 2, cookie: 1)),
    .port(PortSpec(name: "b", driver: .pcapFile(input: "in.pcap", output: nil))),
    .port(PortSpec(name: "c", driver: .pcapFile(input: nil, output: "out.pcap"))),
    .port(PortSpec(name: "d", driver: .dpdk(device: "net_tap0,iface=tap0"))),
    .port(PortSpec(name: "e", driver: .loopback, cookie: .max)),
    .port(
        PortSpec(name: "f", driver: .dpdk(device: "net_bonding0,mode=1", members: ["net_tap1,iface=t1", "0000:04:00.0"]), queues: 4, spread: false)),
    .port(PortSpec(name: "g", driver: .replay(file: "trace.pcap", count: nil))),
    .port(PortSpec(name: "h", driver: .replay(file: "trace.pcap", count: 1_000_000))),
    .port(PortSpec(name: "i", driver: .sink, mtu: 9000, spread: true)),
    .forwardingClass(ForwardingClassSpec(id: 5, dscp: 63, trafficClass: 7, vlanPriority: 6, cookie: 9)),
    .qosMap(QoSMapSpec(id: 9, dscp: [46: 5, 0: 5], trafficClass: [7: 5], vlanPriority: [0: 5, 3: 5], cookie: 10)),
    .addressGroup(AddressGroupSpec(id: AddressGroupID(4), name: "web", prefixes: [prefix("10.1.0.0/24"), prefix("fd00::/64")], cookie: 11)),
    .policy(
        PolicySpec(
            id: PolicyID(1), name: "sg", origin: .networkPolicy,
            rules: [
                PolicyRule(
                    name: "dns", remote: .group(AddressGroupID(4)), service: .ports(proto: 17, destination: [53...53, 8000...8999], source: [])),
                PolicyRule(
                    action: .deny, remote: .prefixes([prefix("10.0.0.0/8")]), local: .prefixes([prefix("10.1.0.10/32")]),
                    service: .ports(proto: 6, destination: [], source: [1...1023])),
                PolicyRule(service: .icmp(proto: 1, type: 3, code: 4)), PolicyRule(service: .icmp(proto: 58, type: 128, code: nil)),
                PolicyRule(service: .proto(47), mirror: 9, logs: true), PolicyRule(action: .deny, logs: true),
            ], defaultAction: .pass, cookie: 12)),
    .policy(PolicySpec(id: PolicyID(2), name: "none", origin: .firewall)),
    .vif(
        {
            var spec = VifSpec(id: VifID(6), name: "w2", kind: .virtual, port: "a", vrf: VRFID(1), mac: .gateway, workloadMAC: macA, antispoof: true)
            spec.allowedPairs = [AllowedAddressPair(prefix: prefix("10.1.0.0/24")), AllowedAddressPair(prefix: prefix("fd00::/64"), mac: macA)]
            return spec
        }()),
    .vif(
        VifSpec(
            id: VifID(3), name: "w1", kind: .virtual, port: "a", vrf: VRFID(1), mac: .gateway, mtu: 9000, addresses: [v4, v6],
            workloadMAC: macA, workloadAddresses: [v6, v4], keepsFlows: true, bridges: true, antispoof: true, cookie: 7)),
    .vif(
        {
            var spec = VifSpec(id: VifID(52), name: "w2", kind: .virtual, port: "a", vrf: VRFID(1), mac: .gateway)
            spec.services = true
            return spec
        }()),
    .vif(fabricVif),
    .vif(
        VifSpec(
            id: VifID(50), name: "w1.200.30", kind: .vlan, port: "", vrf: VRFID(1), mac: .gateway, floodsUnknownUnicast: true,
            trapsGroupReports: true, vlan: VLANSpec(parent: VifID(3), id: 200, innerID: 30))),
    .vif(
        VifSpec(
            id: VifID(51), name: "w1.100", kind: .vlan, port: "", vrf: VRFID(1), mac: .gateway,
            vlan: VLANSpec(parent: VifID(3), id: 100, tagProtocol: .service))),
    .vif(monitoringVif),
    .vrf(VRFSpec(id: VRFID(1), name: "blue", cookie: 2)),
    .vrf(limitedVRF),
    .nextHop(NextHopSpec(id: NextHopID(1), kind: .discard, cookie: 3)),
    .nextHop(NextHopSpec(id: NextHopID(2), kind: .receive(vif: VifID(3)))),
    .nextHop(NextHopSpec(id: NextHopID(3), kind: .encap(vif: VifID(3), destination: macA, source: macB))),
    .nextHop(NextHopSpec(id: NextHopID(4), kind: .encap(vif: VifID(3), destination: nil, source: .gateway))),
    .nextHop(
        NextHopSpec(
            id: NextHopID(5),
            kind: .tunnel(
                .init(
                    encapsulation: .vxlan, source: v4, destination: v4, vif: VifID(0), destinationMAC: macA, sourceMAC: macB, routerMAC: macA)))),
    .nextHop(
        NextHopSpec(
            id: NextHopID(6),
            kind: .tunnel(.init(encapsulation: .mplsOverUDP, source: v6, destination: v6, vif: VifID(0), destinationMAC: macA, sourceMAC: macB)))),
    .nextHop(
        NextHopSpec(
            id: NextHopID(7),
            kind: .tunnel(.init(encapsulation: .mplsOverGRE, source: v4, destination: v4, vif: VifID(0), destinationMAC: macA, sourceMAC: macB)))),
    .nextHop(NextHopSpec(id: NextHopID(8), kind: .resolve(vif: VifID(0)))),
    .nextHop(NextHopSpec(id: NextHopID(9), kind: .vrf(VRFID(1), bridges: true))),
    .nextHop(NextHopSpec(id: NextHopID(10), kind: .ecmp([.init(nextHop: NextHopID(5), label: 0), .init(nextHop: NextHopID(6))]))),
    .nextHop(NextHopSpec(id: NextHopID(11), kind: .ecmp([.init(nextHop: NextHopID(5))], hash: [.source, .destinationPort]))),
    .nextHop(NextHopSpec(id: NextHopID(12), kind: .indirect(NextHopID(10)))),
    .nextHop(NextHopSpec(id: NextHopID(13), kind: .vrf(VRFID(1), bridges: false, routerMAC: macB))),
    .nextHop(
        NextHopSpec(
            id: NextHopID(14),
            kind: .multicast(
                .init(
                    vrf: VRFID(1), local: [NextHopID(4)], evpn: [.init(nextHop: NextHopID(5), label: 5000)],
                    fabric: [.init(nextHop: NextHopID(7), label: 2000)], vni: VNI(5000))))),
    .route(RouteSpec(vrf: VRFID(1), prefix: prefix("10.1.0.0/24"), nextHop: NextHopID(5), label: 5000, proxies: true, mac: macA, cookie: 4)),
    .route(RouteSpec(vrf: VRFID(1), prefix: prefix("0.0.0.0/0"), nextHop: NextHopID(0))),
    .route(RouteSpec(vrf: VRFID(1), prefix: prefix("fd00:1::/64"), nextHop: NextHopID(0), label: 0)),
    .route(RouteSpec(vrf: VRFID(1), prefix: IPPrefix(host: v6), nextHop: NextHopID(3))),
    .bridgeEntry(BridgeEntrySpec(vrf: VRFID(1), mac: macA, nextHop: NextHopID(4), label: 0xFF_FFFF, cookie: 5)),
    .bridgeEntry(BridgeEntrySpec(vrf: VRFID(1), mac: .broadcast, nextHop: NextHopID(1))),
    .label(LabelSpec(label: Label(0xF_FFFF), nextHop: NextHopID(3), cookie: 6)),
    .vni(VNISpec(vni: VNI(0xFF_FFFF), nextHop: NextHopID(9), cookie: 7)),
    .flow(
        FlowSpec(
            key: FlowKeySpec(vrf: VRFID(1), source: v4, destination: v4, proto: 255, sourcePort: 65535, destinationPort: 80), action: .drop,
            cookie: 8)),
    .flow(
        FlowSpec(key: FlowKeySpec(vrf: VRFID(1), source: v6, destination: v6, proto: 6, sourcePort: 1, destinationPort: 2), action: .forward)),
    .flow(
        FlowSpec(
            key: FlowKeySpec(vrf: VRFID(1), source: v4, destination: v4, proto: 17, sourcePort: 4000, destinationPort: 53), action: .nat,
            translation: FlowTranslation(source: IPAddress("203.0.113.5")!, sourcePort: 61001), cookie: 9)),
    .flow(
        FlowSpec(
            key: FlowKeySpec(vrf: VRFID(1), source: v6, destination: v6, proto: 6, sourcePort: 4000, destinationPort: 53), action: .nat,
            translation: FlowTranslation(destination: IPAddress("2001:db8::5")!, destinationPort: 80, vrf: VRFID(1)))),
    .flow(markedFlow),
    .natRule(
        NATRuleSpec(
            id: NATRuleID(1), name: "in",
            kind: .destination(
                .init(vrf: VRFID(2), address: IPAddress("10.2.0.101")!, backends: [.init(address: IPAddress("10.1.0.10")!, vrf: VRFID(1))])),
            cookie: 3)),
    .natRule(
        NATRuleSpec(
            id: NATRuleID(2), name: "web",
            kind: .destination(
                .init(
                    vrf: VRFID(1), address: IPAddress("fd00:96::1")!, match: .port(proto: 6, 80),
                    backends: [
                        .init(address: IPAddress("fd00:1::10")!, port: 8080, vrf: VRFID(1)),
                        .init(address: IPAddress("fd00:1::11")!, port: 0, vrf: VRFID(1), isDraining: true),
                    ], affinity: .client)))),
    .natRule(
        NATRuleSpec(
            id: NATRuleID(3), name: "there",
            kind: .destination(
                .init(vrf: VRFID(2), address: IPAddress("10.2.0.201")!, match: .range(1024...2047), backends: [.init(vrf: VRFID(1))])))),
    .natRule(
        NATRuleSpec(
            id: NATRuleID(4), name: "out",
            kind: .source(.init(vrf: VRFID(1), prefix: prefix("10.1.0.10/32"), outside: VRFID(2), address: IPAddress("10.2.0.101")!)))),
    .natRule(
        NATRuleSpec(
            id: NATRuleID(5), name: "all",
            kind: .source(
                .init(
                    vrf: VRFID(1), prefix: prefix("10.1.0.0/24"), outside: VRFID(2), address: IPAddress("10.2.0.201")!, ports: 2048...3071)))),
    .mirror(
        MirrorSpec(
            id: 1, sources: [.init(vif: VifID(3)), .init(vif: VifID(4), direction: .received), .init(vif: VifID(0), direction: .sent)],
            destination: .file(path: "/tmp/m.pcapng", maximumSize: 1_000_000, maximumFiles: 3), snapLength: 128, cookie: 5)),
    .mirror(MirrorSpec(id: 2, sources: [.init(vif: VifID(3))], destination: .vif(VifID(9)))),
    .mirror(MirrorSpec(id: 3, sources: [.init(vif: VifID(3))], destination: .vxlan(NextHopID(5), VNI(7000)))),
    .mirror(MirrorSpec(id: 4, sources: [.init(vif: VifID(3))], destination: .erspan(NextHopID(5), session: 1023))),
    .flowAgeing(FlowAgeingSpec(proto: 17, port: 53, seconds: 20, cookie: 4)), .flowAgeing(FlowAgeingSpec(proto: 0, seconds: 604_800)),
]
