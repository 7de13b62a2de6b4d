import NetTypes

@testable import Dataplane

// What is programmed beyond unicast between plain vifs.
extension Topology {
    private static func vlan(_ id: UInt32, parent: UInt32, vrf: UInt32, _ tag: UInt16, inner: UInt16? = nil) -> [RouterObject] {
        [
            .vif(
                VifSpec(
                    id: .init(id), name: "vlan\(tag)", kind: .vlan, port: "", vrf: .init(vrf), mac: .gateway,
                    addresses: ["10.\(vrf).0.1", "fd00:\(vrf)::1"].map(address), keepsFlows: vrf == 1, bridges: true, trapsGroupReports: vrf == 1,
                    vlan: VLANSpec(parent: .init(parent), id: tag, innerID: inner))),
            .nextHop(NextHopSpec(id: .init(id * 10 + 1), kind: .encap(vif: .init(id), destination: nil, source: .gateway))),
        ]
    }

    /// The trunk with its sub-interfaces, and where broadcasts of both networks go: to local vifs of all kinds, to peers by every encapsulation, into a tree.
    static func networks() -> [RouterObject] {
        var out = workload(6, "trunk", vrf: 1, host: 4, flows: true, bridges: true, antispoof: false)
        out += vlan(7, parent: 6, vrf: 1, 100) + vlan(8, parent: 6, vrf: 2, 200, inner: 5)
        out += vlan(12, parent: 0, vrf: 1, 300)
        // 100 to 102 lead to the IPv4 peer, 103 to 105 to the IPv6 one: VXLAN, MPLS over UDP, MPLS over GRE.
        func member(_ nextHop: UInt32, _ label: UInt32) -> NextHopSpec.Member { .init(nextHop: .init(nextHop), label: label) }
        out += [
            .nextHop(
                NextHopSpec(
                    id: .init(16),
                    kind: .multicast(
                        .init(
                            vrf: .init(1), local: [31, 41, 61, 71, 121].map { NextHopID($0) },
                            evpn: [member(100, 5001), member(104, 32)], fabric: [member(102, 33), member(103, 5001)], vni: VNI(5001))))),
            .nextHop(
                NextHopSpec(
                    id: .init(17),
                    kind: .multicast(.init(vrf: .init(2), local: [.init(81)], evpn: [member(101, 34), member(103, 5002)], vni: VNI(5002))))),
            .bridgeEntry(BridgeEntrySpec(vrf: .init(1), mac: .broadcast, nextHop: .init(16))),
            .bridgeEntry(BridgeEntrySpec(vrf: .init(2), mac: .broadcast, nextHop: .init(17))),
            .bridgeEntry(BridgeEntrySpec(vrf: .init(1), mac: mac("01:00:5e:01:01:01"), nextHop: .init(0))),
            .label(LabelSpec(label: .init(32), nextHop: .init(16))), .label(LabelSpec(label: .init(33), nextHop: .init(16))),
            .label(LabelSpec(label: .init(34), nextHop: .init(17))),
        ]
        return out
    }

    /// Flows of blue1 to 10.20.0.5 and fd00:20::5 (ports 1000 to 2000) and its pings look as if they came from somebody else; some lead into the other VRF.
    static func translations() -> [RouterObject] {
        func flow(
            _ source: String, _ destination: String, _ proto: UInt8, _ ports: (UInt16, UInt16), _ translation: FlowTranslation?, qos: UInt8 = 0
        ) -> RouterObject {
            var spec = FlowSpec(
                key: FlowKeySpec(
                    vrf: .init(1), source: address(source), destination: address(destination), proto: proto, sourcePort: ports.0,
                    destinationPort: ports.1), action: translation == nil ? .drop : .nat, translation: translation)
            spec.qosMap = qos
            return .flow(spec)
        }
        return [
            .forwardingClass(ForwardingClassSpec(id: 1, dscp: 46, trafficClass: 5, vlanPriority: 4)),
            .qosMap(QoSMapSpec(id: 1, dscp: [0: 1], trafficClass: [0: 1], vlanPriority: [0: 1, 3: 1])),
            flow("10.1.0.11", "10.21.0.5", 17, (1000, 2000), FlowTranslation(source: address("10.1.0.99"), sourcePort: 40000), qos: 1),
            flow("10.1.0.11", "10.22.0.5", 17, (1000, 2000), FlowTranslation(destination: address("10.1.0.12"), destinationPort: 53)),
            flow("10.1.0.11", "10.1.0.12", 6, (1000, 80), FlowTranslation(source: address("10.1.0.98"), destinationPort: 8080)),
            flow("10.1.0.11", "10.1.0.12", 1, (7, 7), FlowTranslation(source: address("10.1.0.97"), sourcePort: 8)),
            flow("fd00:1::11", "fd00:20::5", 6, (1000, 80), FlowTranslation(source: address("fd00:1::99"), sourcePort: 40001)),
            flow("fd00:1::11", "fd00:1::12", 58, (7, 7), FlowTranslation(source: address("fd00:1::97"), sourcePort: 9)),
            flow("10.1.0.11", "10.20.0.5", 17, (1000, 2000), FlowTranslation(destination: address("10.2.0.13"), vrf: .init(2))),
            flow("10.1.0.11", "10.23.0.5", 17, (1000, 2000), nil),
        ]
    }

    /// The third VRF is outside, 198.51.100.0/24 and 2001:db8:9::/64 of it behind a tunnel. blue1 has floating IPs there; the others of the first VRF share an address with few
    /// ports; another router has other ports of that. Services in the first VRF have backends here, there, draining, and none.
    static func rules() -> [RouterObject] {
        let inside = VRFID(1), outside = VRFID(3)
        var id: UInt32 = 0
        func rule(_ kind: NATRuleSpec.Kind) -> RouterObject {
            id += 1
            return .natRule(NATRuleSpec(id: .init(id), name: "rule \(id)", kind: kind))
        }
        var out: [RouterObject] = [
            .vrf(VRFSpec(id: outside, name: "outside")), .vrf(VRFSpec(id: .init(4), name: "another router")),
            .nextHop(NextHopSpec(id: .init(18), kind: .vrf(outside, bridges: false))), .vni(VNISpec(vni: .init(5003), nextHop: .init(18))),
            route("198.51.100.0/24", 100, 5003, vrf: 3), route("2001:db8:9::/64", 103, 5003, vrf: 3), route("203.0.113.9/32", 100, 5003, vrf: 4),
        ]
        for (floating, shared, workload, subnet) in [
            ("203.0.113.5", "203.0.113.9", "10.1.0.11", "10.1.0.0/24"), ("2001:db8::5", "2001:db8::9", "fd00:1::11", "fd00:1::/64"),
        ] {
            guard let prefix = IPPrefix(subnet) else { fatalError("prefix \(subnet)") }
            let own = address(workload), floating = address(floating), shared = address(shared)
            out += [
                rule(.destination(.init(vrf: outside, address: floating, backends: [.init(address: own, vrf: inside)]))),
                rule(.source(.init(vrf: inside, prefix: IPPrefix(host: own), outside: outside, address: floating))),
                rule(.source(.init(vrf: inside, prefix: prefix, outside: outside, address: shared, ports: 61_000...61_003))),
                rule(.destination(.init(vrf: outside, address: shared, match: .range(61_004...61_999), backends: [.init(vrf: .init(4))]))),
            ]
        }
        for (service, backends) in [
            ("10.96.0.1", ["10.1.0.11", "10.1.0.12", "10.20.0.5", "10.1.0.14"]),
            ("fd00:96::1", ["fd00:1::11", "fd00:1::12", "fd00:20::5", "fd00:1::14"]),
        ] {
            for (proto, port, affinity) in [(6, 80, .connection), (17, 53, .client)] as [(UInt8, UInt16, NATRuleSpec.Affinity)] {
                let members = backends.enumerated().map { NATRuleSpec.Backend(address: address($1), port: 8080, vrf: inside, isDraining: $0 == 3) }
                out.append(
                    rule(
                        .destination(
                            .init(vrf: inside, address: address(service), match: .port(proto: proto, port), backends: members, affinity: affinity))))
            }
            out.append(rule(.destination(.init(vrf: inside, address: address(service), match: .port(proto: 6, 81), backends: []))))
        }
        return out
    }

    /// Copies of a workload's frames in VXLAN over IPv4, of another's in ERSPAN, of the fabric's and a sub-interface's at a port.
    static func mirrors() -> [RouterObject] {
        [
            .port(PortSpec(name: "analyser", driver: .loopback)),
            .vif(VifSpec(id: .init(9), name: "analyser", kind: .virtual, port: "analyser", vrf: .init(2), mac: .gateway)),
            .mirror(
                MirrorSpec(id: 1, sources: [.init(vif: .init(3))], destination: .vxlan(.init(100), VNI(UInt32(mirrorVNI))), snapLength: 100)),
            .mirror(MirrorSpec(id: 2, sources: [.init(vif: .init(4), direction: .received)], destination: .erspan(.init(102), session: 5))),
            .mirror(MirrorSpec(id: 3, sources: [.init(vif: .init(0)), .init(vif: .init(6))], destination: .vif(.init(9)))),
        ]
    }
}
