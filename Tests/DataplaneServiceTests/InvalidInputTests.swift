import Dataplane
import DataplaneAPI
import NetTypes
import SwiftProtobuf
import Testing

@testable import DataplaneService

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// Every way in which a request can be wrong by itself, and the words that name it.
@Suite struct InvalidInputTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var operation: Dataplane_V1_Operation
        var message: String
        var testDescription: String { message }
        init(_ message: String, _ object: Dataplane_V1_Object.OneOf_Object) { (self.message, operation) = (message, .upsert(object)) }
        init(_ message: String, delete key: Dataplane_V1_Key.OneOf_Key) { (self.message, operation) = (message, .delete(key)) }
        init(_ message: String, raw operation: Dataplane_V1_Operation) { (self.message, self.operation) = (message, operation) }
    }

    static func vif(_ change: (inout Dataplane_V1_Vif) -> Void) -> Dataplane_V1_Object.OneOf_Object {
        .vif(
            .with {
                $0.name = "w"; $0.kind = .virtual; $0.port = "a"; $0.mac = macA.octets; change(&$0)
            })
    }
    static func port(_ change: (inout Dataplane_V1_Port) -> Void) -> Dataplane_V1_Object.OneOf_Object {
        .port(
            .with {
                $0.name = "a"; $0.loopback = .init(); change(&$0)
            })
    }
    static func route(_ change: (inout Dataplane_V1_Route) -> Void) -> Dataplane_V1_Object.OneOf_Object {
        .route(
            .with {
                $0.address = Data([10, 0, 0, 0]); $0.prefixLength = 8; change(&$0)
            })
    }
    static func tunnel(_ change: (inout Dataplane_V1_TunnelNextHop) -> Void) -> Dataplane_V1_Object.OneOf_Object {
        .nextHop(
            .with {
                $0.tunnel = .with {
                    $0.encapsulation = .vxlan
                    $0.source = v4.octets
                    $0.destination = v4.octets
                    $0.destinationMac = macA.octets
                    $0.sourceMac = macA.octets
                    change(&$0)
                }
            })
    }
    static func flow(_ change: (inout Dataplane_V1_Flow) -> Void) -> Dataplane_V1_Object.OneOf_Object {
        .flow(
            .with {
                $0.action = .drop;
                $0.key = .with {
                    $0.source = v4.octets; $0.destination = v4.octets
                }; change(&$0)
            })
    }

    static let cases: [Case] = [
        Case("operation: missing: give one of upsert, delete", raw: .init()),
        Case(
            "upsert.object: missing: give one of port, vif, vrf, next_hop, route, bridge_entry, label, vni, flow, forwarding_class, qos_map, mirror, policy, address_group, nat_rule, flow_ageing",
            raw: .with { $0.upsert = .init() }),
        Case(
            "delete.key: missing: give one of port, vif, vrf, next_hop, route, bridge_entry, label, vni, flow, forwarding_class, qos_map, mirror, policy, address_group, nat_rule, flow_ageing",
            raw: .with { $0.delete = .init() }),
        Case("upsert.port.driver: missing: give one of pcap, pcap_file, dpdk, loopback, replay, sink", port { $0.driver = nil }),
        Case("upsert.port.name: is empty", port { $0.name = "" }),
        Case("upsert.port.name: \"a\\nb\": contains control characters", port { $0.name = "a\nb" }),
        Case("upsert.port.pcap.interface: is empty", port { $0.pcap = .init() }),
        Case("upsert.port.pcap_file.input: give input, output or both", port { $0.pcapFile = .init() }),
        Case("upsert.port.dpdk.device: is empty", port { $0.dpdk = .init() }),
        Case("upsert.port.mtu: 65536: an IP packet has at most 65535 octets", port { $0.mtu = 65_536 }),
        Case("upsert.port.queues: 65: a port has at most 64 receive queues", port { $0.queues = 65 }),
        Case("upsert.vif.kind: missing: HOST, AGENT, PHYSICAL, VIRTUAL, VLAN or MONITORING", vif { $0.kind = .unspecified }),
        Case("upsert.vif.kind: 99: no such kind of vif", vif { $0.kind = .UNRECOGNIZED(99) }),
        Case("upsert.vif.port: is empty", vif { $0.port = "" }),
        Case("upsert.vif.mac: empty: a MAC address has 6 octets, this has 0", vif { $0.mac = Data() }),
        Case("upsert.vif.mac: 01:02: a MAC address has 6 octets, this has 2", vif { $0.mac = Data([1, 2]) }),
        Case(
            "upsert.vif.addresses[1]: 0a:00:00: an address has 4 or 16 octets in network order, this has 3",
            vif { $0.addresses = [v4.octets, Data([10, 0, 0])] }),
        Case("upsert.vif.workload_mac: ff: a MAC address has 6 octets, this has 1", vif { $0.workloadMac = Data([0xFF]) }),
        Case(
            "upsert.vif.workload_addresses[0]: empty: an address has 4 or 16 octets in network order, this has 0",
            vif { $0.workloadAddresses = [Data()] }),
        Case("upsert.vrf.name: is empty", .vrf(.init())),
        Case("upsert.forwarding_class.dscp: 64: is at most 63", .forwardingClass(.with { $0.dscp = 64 })),
        Case("upsert.forwarding_class.vlan_priority: 8: is at most 7", .forwardingClass(.with { $0.vlanPriority = 8 })),
        Case("upsert.qos_map.vlan_priority: 8: is at most 7", .qosMap(.with { $0.vlanPriority = [8: 0] })),
        Case("upsert.qos_map.traffic_class: 8: is at most 7", .qosMap(.with { $0.trafficClass = [8: 0, 9: 1] })),
        Case("upsert.policy.default_action: 0: is none of PASS, DENY, TRAP", .policy(.init())),
        Case("upsert.policy.rules[1].action: 7: is none of PASS, DENY, TRAP", policy { $0.action = .UNRECOGNIZED(7) }),
        Case("upsert.policy.rules[1].service.protocol: missing: ports and ICMP types are a protocol's", policy { $0.service.icmpType = 3 }),
        Case(
            "upsert.policy.rules[1].service.destination_ports[0]: 9-8: a range of ports is first <= last <= 65535",
            policy {
                $0.service.protocol = 6
                $0.service.destinationPorts = [
                    .with {
                        $0.first = 9
                        $0.last = 8
                    }
                ]
            }),
        Case(
            "upsert.policy.rules[1].remote.prefixes[0].prefix_length: 33: an IPv4 prefix has at most 32 bits",
            policy {
                $0.remote.prefixes.prefixes = [
                    .with {
                        $0.address = v4.octets
                        $0.length = 33
                    }
                ]
            }),
        Case("upsert.qos_map.dscp[3]: 256: is at most 255", .qosMap(.with { $0.dscp = [3: 256] })),
        Case(
            "upsert.next_hop.kind: missing: give one of discard, receive, encap, tunnel, resolve, vrf, ecmp, indirect, multicast", .nextHop(.init())),
        Case("upsert.next_hop.ecmp.members: there is none", .nextHop(.with { $0.ecmp = .init() })),
        Case(
            "upsert.next_hop.ecmp.members[0].label: 16777216: an MPLS label has 20 bits, a VNI 24: at most 16777215",
            .nextHop(.with { $0.ecmp = .with { $0.members = [.with { $0.label = 1 << 24 }] } })),
        Case(
            "upsert.next_hop.ecmp.hash_fields[1]: 9: no such field",
            .nextHop(
                .with {
                    $0.ecmp = .with {
                        $0.members = [.init()]
                        $0.hashFields = [.source, .UNRECOGNIZED(9)]
                    }
                })),
        Case(
            "upsert.next_hop.vrf.router_mac: ff: a MAC address has 6 octets, this has 1",
            .nextHop(.with { $0.vrf = .with { $0.routerMac = Data([0xFF]) } })),
        Case("upsert.next_hop.tunnel.encapsulation: missing: VXLAN, MPLS_OVER_UDP or MPLS_OVER_GRE", tunnel { $0.encapsulation = .unspecified }),
        Case("upsert.next_hop.tunnel.encapsulation: 4: no such encapsulation", tunnel { $0.encapsulation = .UNRECOGNIZED(4) }),
        Case(
            "upsert.next_hop.tunnel.destination: fd00:1::10: is not of the family of the source 10.1.0.10", tunnel { $0.destination = v6.octets }),
        Case("upsert.next_hop.tunnel.destination_mac: empty: a MAC address has 6 octets, this has 0", tunnel { $0.destinationMac = Data() }),
        Case("upsert.route.prefix_length: 33: an IPv4 prefix has at most 32 bits", route { $0.prefixLength = 33 }),
        Case("upsert.route.prefix_length: 4294967295: an IPv4 prefix has at most 32 bits", route { $0.prefixLength = .max }),
        Case(
            "upsert.route.prefix_length: 129: an IPv6 prefix has at most 128 bits",
            route {
                $0.address = v6.octets; $0.prefixLength = 129
            }),
        Case(
            "upsert.route.address: 10.1.0.10: has bits set after the first 24; the prefix is 10.1.0.0/24",
            route {
                $0.address = v4.octets; $0.prefixLength = 24
            }),
        Case("upsert.route.label: 16777216: an MPLS label has 20 bits, a VNI 24: at most 16777215", route { $0.label = 1 << 24 }),
        Case("upsert.bridge_entry.mac: empty: a MAC address has 6 octets, this has 0", .bridgeEntry(.init())),
        Case("upsert.label.label: 1048576: an MPLS label has 20 bits: at most 1048575", .label(.with { $0.label = 1 << 20 })),
        Case("upsert.vni.vni: 16777216: a VNI has 24 bits: at most 16777215", .vni(.with { $0.vni = 1 << 24 })),
        Case("upsert.flow.key: missing", .flow(.with { $0.action = .drop })),
        Case("upsert.flow.action: missing: FORWARD, DROP or NAT", flow { $0.action = .unspecified }),
        Case("upsert.flow.action: 3: no such action", flow { $0.action = .UNRECOGNIZED(3) }),
        Case("upsert.flow.key.protocol: 256: an IP protocol number is at most 255", flow { $0.key.protocol = 256 }),
        Case("upsert.flow.key.source_port: 65536: has 16 bits: at most 65535", flow { $0.key.sourcePort = 65_536 }),
        Case("upsert.flow.key.destination: fd00:1::10: is not of the family of the source 10.1.0.10", flow { $0.key.destination = v6.octets }),
        Case("delete.port: is empty", delete: .port("")),
        Case("delete.label: 1048576: an MPLS label has 20 bits: at most 1048575", delete: .label(1 << 20)),
        Case("delete.vni: 16777216: a VNI has 24 bits: at most 16777215", delete: .vni(1 << 24)),
        Case("delete.route.address: empty: an address has 4 or 16 octets in network order, this has 0", delete: .route(.init())),
        Case("delete.bridge_entry.mac: empty: a MAC address has 6 octets, this has 0", delete: .bridgeEntry(.init())),
        Case("delete.flow.source: empty: an address has 4 or 16 octets in network order, this has 0", delete: .flow(.init())),
    ]

    @Test(arguments: cases) func isRefusedByName(_ sample: Case) {
        let error = #expect(throws: FieldError.self) { try RouterOperation(sample.operation) }
        #expect(error?.description == sample.message)
    }

    @Test func longOctetsAreShortenedInTheMessage() {
        let operation = Dataplane_V1_Operation.upsert(Self.vif { $0.mac = Data(repeating: 0xAB, count: 1 << 20) })
        let error = #expect(throws: FieldError.self) { try RouterOperation(operation) }
        #expect((error?.description.utf8.count ?? .max) < 200)
    }

    @Test(arguments: [
        (Dataplane_V1_PacketOut(.unspecified, vif: 1, packet: [UInt8](repeating: 0, count: 60)), "packet_out.mode: missing: TRANSMIT or RECEIVE"),
        (Dataplane_V1_PacketOut(.UNRECOGNIZED(3), vif: 1, packet: [UInt8](repeating: 0, count: 60)), "packet_out.mode: 3: no such mode"),
        (Dataplane_V1_PacketOut(.transmit, vif: 1, packet: [1, 2, 3]), "packet_out.packet: 3 octets: is shorter than an Ethernet header"),
        (
            Dataplane_V1_PacketOut(.transmit, vif: 1, packet: [UInt8](repeating: 0, count: 65_558)),
            "packet_out.packet: 65558 octets: is longer than 65557"
        ),
    ])
    func packetOut(_ message: Dataplane_V1_PacketOut, _ text: String) {
        let error = #expect(throws: FieldError.self) { try OutgoingPacket(message) }
        #expect(error?.description == text)
    }
}

private func policy(_ change: (inout Dataplane_V1_PolicyRule) -> Void) -> Dataplane_V1_Object.OneOf_Object {
    var good = Dataplane_V1_PolicyRule()
    good.action = .pass
    var bad = good
    change(&bad)
    return .policy(
        .with {
            $0.defaultAction = .deny
            $0.rules = [good, bad]
        })
}
