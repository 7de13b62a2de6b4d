import Dataplane
import NetTypes

/// A router between a replaying port and a counting port, programmed for one workload, and the trace it is fed.
struct Workload {
    var id: String
    var title: String
    /// Octets of every packet that leaves.
    var octetsOut: Int
    var trace: () -> [[UInt8]]
    var objects: () -> [RouterObject]
    /// Which port the trace comes from.
    var fromFabric = false
    /// Flow entries expected afterwards (both directions); 0: no flows.
    var flows = 0
}

extension Workload {
    static let node = IPv4Address(10, 0, 0, 11), peer = IPv4Address(10, 0, 0, 12)
    static let workload = MACAddress(rawValue: 0x0200_0000_0111), remote = MACAddress(rawValue: 0x0200_0000_0113)
    static let vrf = VRFID(1), label: UInt32 = 77, vni: UInt32 = 5001

    static func catalogue(quick: Bool) -> [Workload] {
        let small = 10_000, large = quick ? 250_000 : 1_000_000, routes = 250_000
        var all = [
            Workload(
                id: "W1", title: "IPv4 route, 10k routes, 10k flows", octetsOut: 60, trace: { routed(small, over: small) },
                objects: { base() + local(routes: small) }),
            Workload(
                id: "W2", title: "IPv4 route, 250k routes, \(large) destinations", octetsOut: 60, trace: { routed(large, over: routes) },
                objects: { base() + local(routes: routes) }),
            Workload(
                id: "W3e", title: "VXLAN encapsulation (bridged), 10k flows", octetsOut: 110, trace: { bridged(small, to: remote) },
                objects: { base() + [tunnel(.vxlan), .bridgeEntry(BridgeEntrySpec(vrf: vrf, mac: remote, nextHop: .init(9), label: vni))] }),
            Workload(
                id: "W3d", title: "VXLAN decapsulation (bridged), 10k flows", octetsOut: 60,
                trace: { bridged(small, to: workload).enumerated().map { Frames.vxlan($1, vni: vni, port: port($0), from: peer, to: node) } },
                objects: {
                    base(flows: false) + [
                        .vni(VNISpec(vni: .init(vni), nextHop: .init(5))), .bridgeEntry(BridgeEntrySpec(vrf: vrf, mac: workload, nextHop: .init(4))),
                    ]
                },
                fromFabric: true, flows: 2 * small),
        ]
        for (id, encapsulation, overhead) in [("W4", Encapsulation.mplsOverUDP, 32), ("W5", .mplsOverGRE, 28)] {
            all.append(
                Workload(
                    id: id + "e", title: "\(encapsulation) encapsulation, 10k flows", octetsOut: 60 + overhead, trace: { routed(small, over: small) },
                    objects: {
                        base() + [tunnel(encapsulation)]
                            + prefixes(small).map { .route(RouteSpec(vrf: vrf, prefix: $0, nextHop: .init(9), label: label)) }
                    }))
            all.append(
                Workload(
                    id: id + "d", title: "\(encapsulation) decapsulation into a VRF of 10k routes, 10k flows", octetsOut: 60,
                    trace: {
                        routed(small, over: small).enumerated().map {
                            Frames.mpls(
                                Array($1.dropFirst(14)), label: label, port: encapsulation == .mplsOverUDP ? port($0) : nil, from: peer, to: node)
                        }
                    }, objects: { base(flows: false) + local(routes: small) + [.label(LabelSpec(label: .init(label), nextHop: .init(5)))] },
                    fromFabric: true, flows: 2 * small))
        }
        for (id, count, table) in [("W6a", small, small), ("W6b", large, routes)] {
            all.append(
                Workload(
                    id: id, title: "stateful, \(count) established flows, \(table) routes", octetsOut: 60, trace: { routed(count, over: table) },
                    objects: { base(flows: true) + local(routes: table) }, flows: 2 * count))
        }
        for members in [4, 64] {
            all.append(
                Workload(
                    id: "W9-\(members)", title: "ECMP over \(members) members, 10k routes, 10k flows", octetsOut: 60,
                    trace: { routed(small, over: small) },
                    objects: {
                        base()
                            + (0..<members).map {
                                .nextHop(
                                    NextHopSpec(id: .init(UInt32(100 + $0)), kind: .encap(vif: .init(4), destination: workload, source: .gateway)))
                            }
                            + [.nextHop(NextHopSpec(id: .init(10), kind: .ecmp((0..<members).map { .init(nextHop: .init(UInt32(100 + $0))) })))]
                            + prefixes(small).map { .route(RouteSpec(vrf: vrf, prefix: $0, nextHop: .init(10))) }
                    }))
        }
        return all
    }

    // MARK: - Objects

    /// vif 0 fabric, 3 the source workload, 4 the destination; next hop 3 routes to it, 4 bridges to it, 5 leads into the VRF.
    static func base(flows: Bool = false) -> [RouterObject] {
        func vif(_ id: UInt32, _ name: String, _ kind: VifSpec.Kind, _ addresses: [IPAddress], vrf: UInt32) -> [RouterObject] {
            [
                .port(PortSpec(name: name, driver: .loopback)),
                .vif(
                    VifSpec(
                        id: .init(id), name: name, kind: kind, port: name, vrf: .init(vrf),
                        mac: kind == .physical ? MACAddress(rawValue: 0x0200_0000_0F01) : .gateway,
                        addresses: addresses, keepsFlows: flows)),
            ]
        }
        return [.vrf(VRFSpec(id: vrf, name: "blue"))] + vif(0, "fabric", .physical, [.v4(node)], vrf: 0) + vif(3, "source", .virtual, [], vrf: 1)
            + vif(4, "destination", .virtual, [], vrf: 1) + [
                .nextHop(NextHopSpec(id: .init(3), kind: .encap(vif: .init(4), destination: workload, source: .gateway))),
                .nextHop(NextHopSpec(id: .init(4), kind: .encap(vif: .init(4), destination: nil, source: .gateway))),
                .nextHop(NextHopSpec(id: .init(5), kind: .vrf(vrf, bridges: true))),
            ]
    }

    static func local(routes: Int) -> [RouterObject] { prefixes(routes).map { .route(RouteSpec(vrf: vrf, prefix: $0, nextHop: .init(3))) } }

    static func tunnel(_ encapsulation: Encapsulation) -> RouterObject {
        .nextHop(
            NextHopSpec(
                id: .init(9),
                kind: .tunnel(
                    .init(
                        encapsulation: encapsulation, source: .v4(node), destination: .v4(peer), vif: .init(0),
                        destinationMAC: MACAddress(rawValue: 0x0200_0000_0F02),
                        sourceMAC: MACAddress(rawValue: 0x0200_0000_0F01)))))
    }

    /// Internet-like: nine of ten are /24, one is /32; distinct; repeatable.
    static func prefixes(_ count: Int) -> [IPPrefix] {
        var random = Sequence64(state: 0x5EED)
        var seen = Set<UInt32>()
        var out: [IPPrefix] = []
        while out.count < count {
            let word = random.next()
            let network = UInt32(truncatingIfNeeded: word >> 32) & 0x7FFF_FF00 | 0x0100_0000
            guard network >> 24 != 127, network >> 24 != 10, network >> 24 != 0, seen.insert(network).inserted else { continue }
            let isHost = word % 10 == 0
            guard
                let prefix = IPPrefix(
                    masking: .v4(IPv4Address(rawValue: network | (isHost ? UInt32(word >> 8 & 0xFF) : 0))), length: isHost ? 32 : 24)
            else { continue }
            out.append(prefix)
        }
        return out
    }

    // MARK: - Traces

    static func port(_ index: Int) -> UInt16 { UInt16(truncatingIfNeeded: 49152 + index % 16384) }

    /// UDP packets to the gateway MAC, one flow each, in random order, destinations uniform over the routes.
    static func routed(_ flows: Int, over routes: Int) -> [[UInt8]] {
        var random = Sequence64(state: 0xF10E)
        let targets = prefixes(routes)
        return (0..<flows).map { flow in
            let word = random.next()
            let prefix = targets[Int(word % UInt64(routes))]
            guard case .v4(let network) = prefix.address else { return [] }
            let destination = prefix.length == 32 ? network : IPv4Address(rawValue: network.rawValue | UInt32(word >> 40 & 0xFF))
            let source = IPv4Address(rawValue: 0x0A01_0000 | UInt32(flow & 0xFFFF))
            return Frames.udp(from: source, UInt16(truncatingIfNeeded: 1024 + flow >> 16), to: destination, UInt16(truncatingIfNeeded: word >> 16))
        }
    }

    static func bridged(_ flows: Int, to mac: MACAddress) -> [[UInt8]] {
        (0..<flows).map {
            Frames.udp(
                from: IPv4Address(rawValue: 0x0A01_0000 | UInt32($0)), 1024, to: IPv4Address(10, 1, 200, 1), 2048, destinationMAC: mac,
                sourceMAC: MACAddress(rawValue: 0x0200_0000_0222))
        }
    }
}
