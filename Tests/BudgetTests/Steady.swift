import Dataplane
import NetTypes
import Testing

/// A router in steady state: a trace that comes round and round between a replaying and a counting port, all in the calling thread.
struct Steady: CustomTestStringConvertible, Sendable {
    var name: String
    var isFromFabric = false
    /// Of each packet.
    var copies = 0
    var capture: CaptureSpec?
    var frames: @Sendable () -> [[UInt8]]
    var objects: @Sendable () -> [RouterObject]
    var testDescription: String { name }

    static let vrf = VRFID(1)
    private static let node4 = IPAddress.v4(IPv4Address(10, 0, 0, 11)), peer4 = IPAddress.v4(IPv4Address(10, 0, 0, 12))
    private static let node6 = IPAddress.v6(IPv6Address(high: 0xFD00_000F_0000_0000, low: 0x11))
    private static let peer6 = IPAddress.v6(IPv6Address(high: 0xFD00_000F_0000_0000, low: 0x12))
    private static let fabricMAC = MACAddress(rawValue: 0x0200_0000_0F01), peerMAC = MACAddress(rawValue: 0x0200_0000_0F02)
    private static let external = IPv4Address(100, 64, 0, 1), service = IPv4Address(10, 9, 0, 1)
    private static let station = MACAddress(rawValue: 0x0200_0000_0111), remote = MACAddress(rawValue: 0x0200_0000_0113)

    // MARK: - What is programmed

    /// Fabric on vif 0; workloads on 3 (where traffic comes from) and 4 (where it goes); next hop 3 routes to it, 4 bridges to it, 5 leads into the VRF.
    private static func base(flows: Bool) -> [RouterObject] {
        func vif(_ id: UInt32, _ name: String, _ kind: VifSpec.Kind, _ addresses: [IPAddress], vrf: UInt32) -> [RouterObject] {
            [
                .port(PortSpec(name: name, driver: .loopback)),
                .vif(
                    VifSpec(
                        id: .init(id), name: name, kind: kind, port: name, vrf: .init(vrf), mac: kind == .physical ? fabricMAC : .gateway,
                        addresses: addresses, keepsFlows: flows)),
            ]
        }
        return [.vrf(VRFSpec(id: vrf, name: "blue"))] + vif(0, "fabric", .physical, [node4, node6], vrf: 0)
            + vif(3, "source", .virtual, [], vrf: 1) + vif(4, "destination", .virtual, [], vrf: 1) + [
                .nextHop(NextHopSpec(id: .init(3), kind: .encap(vif: .init(4), destination: station, source: .gateway))),
                .nextHop(NextHopSpec(id: .init(4), kind: .encap(vif: .init(4), destination: nil, source: .gateway))),
                .nextHop(NextHopSpec(id: .init(5), kind: .vrf(vrf, bridges: true))),
            ]
    }

    private static func tunnel(_ encapsulation: Encapsulation, isIPv6: Bool) -> RouterObject {
        .nextHop(
            NextHopSpec(
                id: .init(9),
                kind: .tunnel(
                    .init(
                        encapsulation: encapsulation, source: isIPv6 ? node6 : node4, destination: isIPv6 ? peer6 : peer4, vif: .init(0),
                        destinationMAC: peerMAC, sourceMAC: fabricMAC))))
    }

    private static func routes(_ nextHop: UInt32, label: UInt32? = nil) -> [RouterObject] {
        (0..<64).compactMap { IPPrefix(masking: .v4(IPv4Address(10, 2, UInt8($0), 0)), length: 24) }.map {
            .route(RouteSpec(vrf: vrf, prefix: $0, nextHop: .init(nextHop), label: label))
        }
            + (0..<64).compactMap { IPPrefix(masking: .v6(IPv6Address(high: 0xFD00_0002_0000_0000 | $0 << 16, low: 0)), length: 48) }.map {
                .route(RouteSpec(vrf: vrf, prefix: $0, nextHop: .init(nextHop), label: label))
            }
    }

    /// The workloads' vifs again, changed: these come after `base`.
    private static func workloads(_ change: (inout VifSpec) -> Void) -> [RouterObject] {
        base(flows: true).compactMap { object in
            guard case .vif(var spec) = object, spec.kind == .virtual else { return nil }
            change(&spec)
            return .vif(spec)
        }
    }

    /// One way in, one out, each behind two policies: a group, ports, and one that passes what nobody names.
    private static func policies() -> [RouterObject] {
        let sources = IPPrefix(masking: .v4(IPv4Address(10, 1, 0, 0)), length: 24),
            destinations = IPPrefix(masking: .v4(IPv4Address(10, 2, 0, 0)), length: 16)
        return [
            .addressGroup(AddressGroupSpec(id: .init(1), name: "sources", prefixes: [sources].compactMap { $0 })),
            .addressGroup(AddressGroupSpec(id: .init(2), name: "destinations", prefixes: [destinations].compactMap { $0 })),
            .policy(
                PolicySpec(
                    id: .init(1), name: "from",
                    rules: [PolicyRule(remote: .group(.init(2)), service: .ports(proto: 17, destination: [2048...2048], source: []))])
            ), .policy(PolicySpec(id: .init(2), name: "to", rules: [PolicyRule(remote: .group(.init(1)), logs: true)])),
            .policy(PolicySpec(id: .init(3), name: "any", origin: .firewall, defaultAction: .pass)),
        ]
            + workloads { spec in
                if spec.id.rawValue == 3 { spec.egressPolicies = [.init(1), .init(3)] } else { spec.ingressPolicies = [.init(2), .init(3)] }
            }
    }

    /// VRF 2 is the outside, and vif 4 is there.
    private static func outside() -> [RouterObject] {
        [.vrf(VRFSpec(id: .init(2), name: "outside"))] + workloads { if $0.id.rawValue == 4 { $0.vrf = .init(2) } }
            + routes(3).compactMap { object in
                guard case .route(var spec) = object else { return nil }
                spec.vrf = .init(2)
                return .route(spec)
            }
    }

    private static func nat(_ id: UInt32, _ kind: NATRuleSpec.Kind) -> RouterObject {
        .natRule(NATRuleSpec(id: .init(id), name: "rule \(id)", kind: kind))
    }

    /// All sources share an address and its ports.
    private static func sharedAddress() -> [RouterObject] {
        guard let prefix = IPPrefix(masking: .v4(IPv4Address(10, 1, 0, 0)), length: 24) else { return [] }
        return [nat(1, .source(.init(vrf: vrf, prefix: prefix, outside: .init(2), address: .v4(external), ports: 1024...65_535)))]
    }

    /// One address in front of many.
    private static func serviceRule() -> [RouterObject] {
        [
            nat(
                1,
                .destination(
                    .init(
                        vrf: vrf, address: .v4(service), match: .port(proto: 17, 2048),
                        backends: (0..<64).map { .init(address: .v4(IPv4Address(10, 2, $0, 1)), port: 53, vrf: vrf) })))
        ]
    }

    private static func marks() -> [RouterObject] {
        [
            .forwardingClass(ForwardingClassSpec(id: 1, dscp: 34, trafficClass: 6, vlanPriority: 5)),
            .qosMap(QoSMapSpec(id: 1, dscp: [0: 1], trafficClass: [0: 1], vlanPriority: [0: 1])),
        ]
    }

    /// Vif 10 on the port of `parent`.
    private static func subInterface(of parent: UInt32) -> RouterObject {
        .vif(
            VifSpec(
                id: .init(10), name: "tagged", kind: .vlan, port: "", vrf: vrf, mac: .gateway, keepsFlows: true,
                vlan: VLANSpec(parent: .init(parent), id: 100)))
    }

    private static func mirror(_ destination: MirrorSpec.Destination) -> RouterObject {
        .mirror(
            MirrorSpec(
                id: 1, sources: [.init(vif: .init(3), direction: .received), .init(vif: .init(4), direction: .sent)], destination: destination))
    }

    private static func watcher() -> [RouterObject] {
        [
            .port(PortSpec(name: "watch", driver: .loopback)),
            .vif(VifSpec(id: .init(11), name: "watch", kind: .virtual, port: "watch", vrf: vrf, mac: .gateway)),
        ]
    }

    // MARK: - What is sent

    private static func word(_ value: Int) -> [UInt8] { [UInt8(value >> 8 & 0xFF), UInt8(value & 0xFF)] }

    private static func ipv4(_ source: [UInt8], _ destination: [UInt8], proto: UInt8, _ payload: [UInt8]) -> [UInt8] {
        var header: [UInt8] = [0x45, 0] + word(20 + payload.count) + [0, 0, 0x40, 0, 64, proto, 0, 0] + source + destination
        var sum = stride(from: 0, to: 20, by: 2).reduce(0) { $0 + Int(header[$1]) << 8 + Int(header[$1 + 1]) }
        while sum > 0xFFFF { sum = sum & 0xFFFF + sum >> 16 }
        header.replaceSubrange(10..<12, with: word(0xFFFF - sum))
        return header + payload
    }

    private static func packet(_ flow: Int, isIPv6: Bool = false) -> [UInt8] {
        let udp = word(1024 + flow) + word(2048) + word(18) + [0, 0] + [UInt8](repeating: 0, count: 10)
        guard isIPv6 else { return ipv4([10, 1, 0, UInt8(flow & 0xFF)], [10, 2, UInt8(flow & 63), 1], proto: 17, udp) }
        let source: [UInt8] = [0xFD, 0, 0, 1] + [UInt8](repeating: 0, count: 11) + [UInt8(flow & 0xFF)]
        return [0x60, 0, 0, 0] + word(udp.count) + [17, 64] + source + [0xFD, 0, 0, 2, 0, UInt8(flow & 63)] + [UInt8](repeating: 0, count: 9) + [1]
            + udp
    }

    private static func frame(
        _ packet: [UInt8], to destination: MACAddress = .gateway, from source: MACAddress = MACAddress(rawValue: 0x0200_0000_0222)
    ) -> [UInt8] {
        destination.bytes + source.bytes + (packet[0] >> 4 == 4 ? [8, 0] : [0x86, 0xDD]) + packet
    }

    private static func outer(_ payload: [UInt8], proto: UInt8, isIPv6: Bool) -> [UInt8] {
        if !isIPv6 { return frame(ipv4([10, 0, 0, 12], [10, 0, 0, 11], proto: proto, payload), to: fabricMAC, from: peerMAC) }
        let zeroes = [UInt8](repeating: 0, count: 9)
        let addresses: [UInt8] = [0xFD, 0, 0, 0x0F, 0, 0] + zeroes + [0x12] + [0xFD, 0, 0, 0x0F, 0, 0] + zeroes + [0x11]
        return frame([0x60, 0, 0, 0] + word(payload.count) + [proto, 64] + addresses + payload, to: fabricMAC, from: peerMAC)
    }

    /// Behind an IEEE 802.1Q tag.
    private static func tagged(_ frame: [UInt8], vlan: Int, priority: UInt8) -> [UInt8] {
        frame[0..<12] + [0x81, 0, priority << 5 | UInt8(vlan >> 8), UInt8(vlan & 0xFF)] + frame[12...]
    }

    private static func inVXLAN(_ inner: [UInt8], isIPv6: Bool = false) -> [UInt8] {
        outer(word(50000) + word(4789) + word(16 + inner.count) + [0, 0, 8, 0, 0, 0, 0, 0x13, 0x89, 0] + inner, proto: 17, isIPv6: isIPv6)
    }

    private static func inMPLS(_ inner: [UInt8], overGRE: Bool = false, isIPv6: Bool = false) -> [UInt8] {
        let entry: [UInt8] = [0, 0x04, 0xD1, 64]
        if overGRE { return outer([0, 0, 0x88, 0x47] + entry + inner, proto: 47, isIPv6: isIPv6) }
        return outer(word(50000) + word(6635) + word(12 + inner.count) + [0, 0] + entry + inner, proto: 17, isIPv6: isIPv6)
    }

    // MARK: - Workloads

    private static let count = 256

    static let all: [Steady] = {
        var out = [
            Steady(name: "route", frames: { (0..<count).map { frame(packet($0)) } }, objects: { base(flows: false) + routes(3) }),
            Steady(name: "route, IPv6", frames: { (0..<count).map { frame(packet($0, isIPv6: true)) } }, objects: { base(flows: false) + routes(3) }),
            Steady(name: "route, stateful", frames: { (0..<count).map { frame(packet($0)) } }, objects: { base(flows: true) + routes(3) }),
            Steady(
                name: "bridge", frames: { (0..<count).map { frame(packet($0), to: station) } },
                objects: { base(flows: false) + [.bridgeEntry(BridgeEntrySpec(vrf: vrf, mac: station, nextHop: .init(4)))] }),
            Steady(
                name: "ECMP", frames: { (0..<count).map { frame(packet($0)) } },
                objects: {
                    let members = (0..<4).map { NextHopID(UInt32(20 + $0)) }
                    return base(flows: false)
                        + members.map { .nextHop(NextHopSpec(id: $0, kind: .encap(vif: .init(4), destination: station, source: .gateway))) }
                        + [.nextHop(NextHopSpec(id: .init(30), kind: .ecmp(members.map { .init(nextHop: $0) })))] + routes(30)
                }),
        ]
        out += stateful + copied
        for isIPv6 in [false, true] {
            let fabric = isIPv6 ? " over IPv6" : ""
            out += [
                Steady(
                    name: "VXLAN encapsulation" + fabric, frames: { (0..<count).map { frame(packet($0), to: remote) } },
                    objects: {
                        base(flows: false) + [
                            tunnel(.vxlan, isIPv6: isIPv6), .bridgeEntry(BridgeEntrySpec(vrf: vrf, mac: remote, nextHop: .init(9), label: 5001)),
                        ]
                    }),
                Steady(
                    name: "VXLAN decapsulation" + fabric, isFromFabric: true,
                    frames: { (0..<count).map { inVXLAN(frame(packet($0), to: station), isIPv6: isIPv6) } },
                    objects: {
                        base(flows: false) + [
                            .vni(VNISpec(vni: .init(5001), nextHop: .init(5))),
                            .bridgeEntry(BridgeEntrySpec(vrf: vrf, mac: station, nextHop: .init(4))),
                        ]
                    }),
                Steady(
                    name: "MPLS over UDP encapsulation" + fabric, frames: { (0..<count).map { frame(packet($0)) } },
                    objects: { base(flows: false) + [tunnel(.mplsOverUDP, isIPv6: isIPv6)] + routes(9, label: 77) }),
                Steady(
                    name: "MPLS over GRE encapsulation" + fabric, frames: { (0..<count).map { frame(packet($0)) } },
                    objects: { base(flows: false) + [tunnel(.mplsOverGRE, isIPv6: isIPv6)] + routes(9, label: 77) }),
                Steady(
                    name: "MPLS over UDP decapsulation" + fabric, isFromFabric: true,
                    frames: { (0..<count).map { inMPLS(packet($0), isIPv6: isIPv6) } },
                    objects: { base(flows: false) + routes(3) + [.label(LabelSpec(label: .init(77), nextHop: .init(5)))] }),
                Steady(
                    name: "MPLS over GRE decapsulation" + fabric, isFromFabric: true,
                    frames: { (0..<count).map { inMPLS(packet($0), overGRE: true, isIPv6: isIPv6) } },
                    objects: { base(flows: false) + routes(3) + [.label(LabelSpec(label: .init(77), nextHop: .init(5)))] }),
            ]
        }
        return out
    }()

    /// As tcpdump compiles `ip`.
    private static let ipv4Only = PacketFilter([
        .init(code: 0x28, jumpTrue: 0, jumpFalse: 0, k: 12), .init(code: 0x15, jumpTrue: 0, jumpFalse: 1, k: 0x0800),
        .init(code: 0x06, jumpTrue: 0, jumpFalse: 0, k: 65_535), .init(code: 0x06, jumpTrue: 0, jumpFalse: 0, k: 0),
    ])

    private static func toService(_ flow: Int) -> [UInt8] {
        let udp = word(1024 + flow) + word(2048) + word(18) + [0, 0] + [UInt8](repeating: 0, count: 10)
        return ipv4([10, 1, 0, UInt8(flow & 0xFF)], service.bytes, proto: 17, udp)
    }

    /// What decides about flows, and what marks them.
    private static let stateful = [
        Steady(name: "behind policies", frames: { (0..<count).map { frame(packet($0)) } }, objects: { base(flows: true) + routes(3) + policies() }),
        Steady(
            name: "bridge, behind policies", frames: { (0..<count).map { frame(packet($0), to: station) } },
            objects: { base(flows: true) + policies() + [.bridgeEntry(BridgeEntrySpec(vrf: vrf, mac: station, nextHop: .init(4)))] }),
        Steady(
            name: "NAT by a rule: many share an address", frames: { (0..<count).map { frame(packet($0)) } },
            objects: { base(flows: true) + outside() + sharedAddress() }),
        Steady(
            name: "NAT by a rule: a service", frames: { (0..<count).map { frame(toService($0)) } },
            objects: { base(flows: true) + routes(3) + serviceRule() }),
        Steady(
            name: "NAT by a rule, behind policies", frames: { (0..<count).map { frame(toService($0)) } },
            objects: {
                // Asked about the backends, whose port is another.
                base(flows: true) + routes(3) + policies() + serviceRule() + [.policy(PolicySpec(id: .init(1), name: "from", defaultAction: .pass))]
            }),
        Steady(
            name: "fat flows", frames: { (0..<count).map { frame(packet($0)) } },
            objects: {
                base(flows: true) + routes(3)
                    + workloads { spec in
                        guard spec.id.rawValue == 4 else { return }
                        spec.workloadAddresses = (0..<64).map { .v4(IPv4Address(10, 2, $0, 1)) }
                        spec.fatFlows = [FatFlowRule(proto: 17, port: 2048)]
                    }
            }),
        Steady(
            name: "fat flows that ignore an address", frames: { (0..<count).map { frame(packet($0)) } },
            objects: {
                base(flows: true) + routes(3)
                    + workloads { spec in
                        guard spec.id.rawValue == 4 else { return }
                        spec.workloadAddresses = (0..<64).map { .v4(IPv4Address(10, 2, $0, 1)) }
                        spec.fatFlows = [FatFlowRule(proto: 17, port: 2048, ignoredAddress: .remote)]
                    }
            }),
        Steady(
            name: "QoS map", frames: { (0..<count).map { frame(packet($0)) } },
            objects: { base(flows: true) + marks() + workloads { $0.qosMap = 1 } + routes(3) }),
        Steady(
            name: "QoS map, into MPLS over UDP", frames: { (0..<count).map { frame(packet($0)) } },
            objects: { base(flows: true) + marks() + workloads { $0.qosMap = 1 } + [tunnel(.mplsOverUDP, isIPv6: false)] + routes(9, label: 77) }),
        Steady(
            name: "from a VLAN sub-interface", frames: { (0..<count).map { tagged(frame(packet($0)), vlan: 100, priority: 3) } },
            objects: { base(flows: true) + [subInterface(of: 3)] + routes(3) }),
        Steady(
            name: "to a VLAN sub-interface", frames: { (0..<count).map { frame(packet($0)) } },
            objects: {
                base(flows: true) + [
                    subInterface(of: 4), .nextHop(NextHopSpec(id: .init(6), kind: .encap(vif: .init(10), destination: station, source: .gateway))),
                ] + routes(6)
            }),
    ]

    /// Mirrors, of what comes in and of what leaves, and a capture. What a file's own thread does to write is its own; the workers give it frames.
    private static let copied = [
        Steady(
            name: "mirror to a vif", copies: 2, frames: { (0..<count).map { frame(packet($0)) } },
            objects: { base(flows: true) + routes(3) + watcher() + [mirror(.vif(.init(11)))] }),
        Steady(
            name: "mirror to an analyser, VXLAN", copies: 2, frames: { (0..<count).map { frame(packet($0)) } },
            objects: { base(flows: true) + routes(3) + [tunnel(.vxlan, isIPv6: false), mirror(.vxlan(.init(9), .init(7000)))] }),
        Steady(
            name: "mirror to an analyser, ERSPAN", copies: 2, frames: { (0..<count).map { frame(packet($0)) } },
            objects: { base(flows: true) + routes(3) + [tunnel(.mplsOverGRE, isIPv6: true), mirror(.erspan(.init(9), session: 7))] }),
        Steady(
            name: "mirror to a file", frames: { (0..<count).map { frame(packet($0)) } },
            objects: { base(flows: true) + routes(3) + [mirror(.file(path: "/dev/null", maximumSize: 0, maximumFiles: 1))] }),
        Steady(
            name: "capture with a filter", capture: CaptureSpec(vif: .init(3), filter: ipv4Only), frames: { (0..<count).map { frame(packet($0)) } },
            objects: { base(flows: true) + routes(3) }),
        Steady(
            name: "mirror of a flow, by a rule", copies: 1, frames: { (0..<count).map { frame(packet($0)) } },
            objects: {
                base(flows: true) + routes(3) + watcher() + [
                    .mirror(MirrorSpec(id: 7, sources: [], destination: .vif(.init(11)))),
                    .policy(PolicySpec(id: .init(9), name: "watched", rules: [PolicyRule(mirror: 7)])),
                ] + workloads { $0.egressPolicies = [.init(9)] }
            }),
    ]

    /// The router, programmed; what it refused.
    func router() throws -> (router: Router, refused: [String]) {
        let source = ReplayPort(name: isFromFabric ? "fabric" : "source", frames: frames())
        let pool = try HeapBufferPool(bufferSize: 2048, capacity: 4096)
        let router = Router(RouterConfiguration(idle: .poll, flowCapacity: 8192), pool: pool) { spec throws(PortError) in
            spec.name == source.name ? source : CountingPort(name: spec.name)
        }
        let objects = objects()
        let outcomes = router.apply(objects.map(RouterOperation.upsert))
        return (router, zip(objects, outcomes).filter { $1 != .ok }.map { "\($0): \($1)" })
    }
}
