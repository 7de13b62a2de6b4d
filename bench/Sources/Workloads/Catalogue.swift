import Dataplane
import NetTypes

extension Workload {
    /// The workloads of the table of targets and their variants. `quick`: a quarter of the flows and routes where there are a million.
    public static func catalogue(quick: Bool) -> [Workload] {
        let million = quick ? 250_000 : 1_000_000, many = Traffic.short(million)
        let small = Traffic(flows: 10_000, routes: 10_000), small6 = Traffic(flows: 10_000, routes: 10_000, family: .ipv6)
        let imix = Traffic(flows: 10_000, routes: 10_000, sizes: .imix), zipf = Traffic(flows: 10_000, routes: 10_000, choice: .zipf)
        let large = Traffic(flows: million, routes: 250_000), large6 = Traffic(flows: million, routes: 250_000, family: .ipv6)
        let skewed = Traffic(flows: million, routes: 250_000, choice: .zipf)

        var all = [
            route("W1", "1", Traffic(flows: 1, routes: 1)), route("W1", "10k", small, target: 31), route("W1", "10k-v6", small6),
            route("W1", "10k-imix", imix), route("W1", "10k-zipf", zipf),
            route("W2", many, large, target: 47), route("W2", "\(many)-v6", large6), route("W2", "\(many)-zipf", skewed),
            bridgedEncapsulation("10k", small, target: 42), bridgedEncapsulation("10k-v6", small6), bridgedEncapsulation("10k-imix", imix),
            bridgedDecapsulation("10k", small, target: 58), bridgedDecapsulation("10k-v6", small6), bridgedDecapsulation("10k-imix", imix),
        ]
        for (id, encapsulation, targets) in [("W4", Encapsulation.mplsOverUDP, (45.0, 52.0)), ("W5", .mplsOverGRE, (54, 48))] {
            all += [
                labelledEncapsulation(id, "encap-10k", encapsulation, small, target: targets.0),
                labelledEncapsulation(id, "encap-10k-v6", encapsulation, small6), labelledEncapsulation(id, "encap-10k-imix", encapsulation, imix),
                labelledDecapsulation(id, "decap-10k", encapsulation, small, target: targets.1),
                labelledDecapsulation(id, "decap-10k-v6", encapsulation, small6), labelledDecapsulation(id, "decap-10k-imix", encapsulation, imix),
            ]
        }
        all += [
            route("W6", "1", Traffic(flows: 1, routes: 1), flows: true), route("W6", "10k", small, flows: true, target: 51),
            route("W6", "10k-v6", small6, flows: true), route("W6", "10k-imix", imix, flows: true), route("W6", "10k-zipf", zipf, flows: true),
            route("W6", many, large, flows: true, target: 111), route("W6", "\(many)-v6", large6, flows: true),
            route("W6", "\(many)-zipf", skewed, flows: true),
            labelledEncapsulation("W6+W4", "10k", .mplsOverUDP, small, flows: true),
            guardedSharedTunnel("10k-nat", Traffic(flows: 10_000, routes: 10_000, checksums: true), rules: 1000, target: 100),
            labelledEncapsulation("W6+W4", many, .mplsOverUDP, large, flows: true),
            translated("10k", Traffic(flows: 10_000, routes: 10_000, checksums: true), target: 54),
            guarded("10k-policy", small, rules: 1000, groups: 100, id: "W6"),
            guarded("\(many)-policy", large, rules: 1000, groups: 100, id: "W6"),
            floating("10k-floating", Traffic(flows: 10_000, routes: 10_000, checksums: true)),
            shared("10k-snat", Traffic(flows: 10_000, routes: 10_000, checksums: true)),
            translated(many, Traffic(flows: million, routes: 250_000, checksums: true), target: 113),
            shared("\(many)-snat", Traffic(flows: million, routes: 250_000, checksums: true)),
            ecmp(4, small), ecmp(64, small), ecmp(4, small6),
        ]
        if !quick {
            all.append(route("W2", "1M-1Mroutes", Traffic(flows: million, routes: million)))
            all.append(route("W6", "1M-10kroutes", Traffic(flows: million, routes: 10_000), flows: true))
            all.append(route("W6", "4M", Traffic(flows: 4_000_000, routes: 10_000), flows: true))
        }
        return all
    }

    /// W1, W2, W6: IP from one workload to another.
    public static func route(_ id: String, _ variant: String, _ traffic: Traffic, flows: Bool = false, target: Double = 0) -> Workload {
        Workload(
            id: id, variant: variant, title: "\(flows ? "stateful" : "route"), \(traffic.description)", keepsFlows: flows, target: target,
            objects: { Program.base(flows: flows) + Program.routes(traffic.prefixes) }, trace: { traffic.frames() })
    }

    /// W8: every packet of the trace is the first of its flow.
    public static func firstPackets(_ flows: Int) -> Workload {
        route("W8", Traffic.short(flows), Traffic(flows: flows, routes: 10_000), flows: true)
    }

    /// W7: source address and port of every flow are translated, each to its own, as the API was told before the first packet.
    static func translated(_ variant: String, _ traffic: Traffic, target: Double) -> Workload {
        // 100.64.0.0/10 (RFC 6598) has room for four million.
        @Sendable func address(_ flow: Int) -> IPv4Address { IPv4Address(rawValue: 0x6440_0000 | UInt32(flow)) }
        @Sendable func port(_ flow: Int) -> UInt16 { UInt16(20_000 + flow % 40_000) }
        /// 10.1.0.0/16 and the ports from 1024 on number the flows.
        @Sendable func number(_ frame: [UInt8]) -> Int { Int(frame[28]) << 8 | Int(frame[29]) | (Int(frame[34]) << 8 | Int(frame[35]) &- 1024) << 16 }
        return Workload(
            id: "W7", variant: variant, title: "NAT, \(traffic.description), installed by the API", keepsFlows: true, target: target,
            objects: {
                Program.base(flows: true) + Program.routes(traffic.prefixes)
                    + traffic.frames().enumerated().map { flow, frame in
                        func address(_ at: Int) -> IPAddress { .v4(IPv4Address(frame[at], frame[at + 1], frame[at + 2], frame[at + 3])) }
                        func word(_ at: Int) -> UInt16 { UInt16(frame[at]) << 8 | UInt16(frame[at + 1]) }
                        return .flow(
                            FlowSpec(
                                key: FlowKeySpec(
                                    vrf: Program.vrf, source: address(26), destination: address(30), proto: 17, sourcePort: word(34),
                                    destinationPort: word(36)),
                                action: .nat,
                                translation: FlowTranslation(source: .v4(IPv4Address(rawValue: 0x6440_0000 | UInt32(flow))), sourcePort: port(flow))))
                    }
            },
            trace: { traffic.frames() },
            expected: { came, _ in
                Frames.ethernet(Program.workload, .gateway, 0x0800)
                    + Frames.translated(Frames.lowered(came), source: address(number(came)).bytes, port: port(number(came)))
            })
    }

    static func bridgedEncapsulation(_ variant: String, _ traffic: Traffic, target: Double = 0) -> Workload {
        Workload(
            id: "W3", variant: "encap-\(variant)", title: "VXLAN encapsulation, bridged, \(traffic.description)", added: 50, leavesByFabric: true,
            target: target,
            objects: {
                Program.base() + [
                    Program.tunnel(.vxlan),
                    .bridgeEntry(
                        BridgeEntrySpec(vrf: Program.vrf, mac: Program.remote, nextHop: Program.tunnel, label: Program.vni)),
                ]
            }, trace: { traffic.frames(to: Program.remote) },
            expected: { Frames.vxlan($0, vni: Program.vni, port: entropyPort($1), outward: true) })
    }

    static func bridgedDecapsulation(_ variant: String, _ traffic: Traffic, target: Double = 0) -> Workload {
        Workload(
            id: "W3", variant: "decap-\(variant)", title: "VXLAN decapsulation, bridged, \(traffic.description)", added: -50, entersByFabric: true,
            target: target,
            objects: {
                Program.base() + [
                    .vni(VNISpec(vni: .init(Program.vni), nextHop: Program.intoVRF)),
                    .bridgeEntry(BridgeEntrySpec(vrf: Program.vrf, mac: Program.workload, nextHop: Program.bridge)),
                ]
            },
            trace: {
                traffic.frames(to: Program.workload).enumerated().map { Frames.vxlan($1, vni: Program.vni, port: port($0), outward: false) }
            }, expected: { came, _ in Array(came.dropFirst(50)) })
    }

    static func labelledEncapsulation(
        _ id: String, _ variant: String, _ encapsulation: Encapsulation, _ traffic: Traffic, flows: Bool = false, target: Double = 0
    ) -> Workload {
        let overUDP = encapsulation == .mplsOverUDP
        return Workload(
            id: id, variant: variant, title: "\(flows ? "stateful, " : "")\(name(encapsulation)) encapsulation, \(traffic.description)",
            added: overUDP ? 32 : 28, leavesByFabric: true, keepsFlows: flows, target: target,
            objects: {
                Program.base(flows: flows) + [Program.tunnel(encapsulation)]
                    + Program.routes(traffic.prefixes, via: Program.tunnel, label: Program.label)
            }, trace: { traffic.frames() },
            expected: { Frames.mpls(Frames.lowered($0), label: Program.label, port: overUDP ? entropyPort($1) : nil, outward: true) })
    }

    static func labelledDecapsulation(
        _ id: String, _ variant: String, _ encapsulation: Encapsulation, _ traffic: Traffic, target: Double = 0
    ) -> Workload {
        let overUDP = encapsulation == .mplsOverUDP, outer = overUDP ? 46 : 42
        return Workload(
            id: id, variant: variant, title: "\(name(encapsulation)) decapsulation into a VRF, \(traffic.description)", added: 14 - outer,
            entersByFabric: true, target: target,
            objects: {
                Program.base() + Program.routes(traffic.prefixes) + [.label(LabelSpec(label: .init(Program.label), nextHop: Program.intoVRF))]
            },
            trace: {
                traffic.frames().enumerated().map {
                    Frames.mpls(Array($1.dropFirst(14)), label: Program.label, port: overUDP ? port($0) : nil, outward: false)
                }
            }, expected: { came, _ in delivered(came.dropFirst(outer)) })
    }

    static func ecmp(_ members: Int, _ traffic: Traffic) -> Workload {
        Workload(
            id: "W9", variant: "\(members)\(traffic.family == .ipv6 ? "-v6" : "")", title: "ECMP over \(members) members, \(traffic.description)",
            objects: {
                Program.base()
                    + (0..<members).map {
                        .nextHop(
                            NextHopSpec(
                                id: .init(UInt32(100 + $0)), kind: .encap(vif: .init(4), destination: Program.workload, source: .gateway)))
                    }
                    + [.nextHop(NextHopSpec(id: Program.ecmp, kind: .ecmp((0..<members).map { .init(nextHop: .init(UInt32(100 + $0))) })))]
                    + Program.routes(traffic.prefixes, via: Program.ecmp)
            }, trace: { traffic.frames() })
    }

    static func name(_ encapsulation: Encapsulation) -> String {
        switch encapsulation {
        case .vxlan: "VXLAN"
        case .mplsOverUDP: "MPLS over UDP"
        case .mplsOverGRE: "MPLS over GRE"
        }
    }

    /// The UDP source port that the peer of a tunnel chose for its n-th flow.
    static func port(_ index: Int) -> UInt16 { UInt16(truncatingIfNeeded: 49152 + index % 16384) }
}
