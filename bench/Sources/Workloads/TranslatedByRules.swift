import Dataplane
import NetTypes

// W7 as a node has it: translations that the worker finds in rules for each flow's first packet, not flows that a control program has made. Every packet leaves the workloads' VRF by
// another one.
extension Workload {
    private static let outside = VRFID(2)

    /// The routes are the outside's, so what the workloads send has none of its own and is translated.
    private static func routed(
        _ traffic: Traffic, _ rules: [RouterObject], via nextHop: NextHopID = Program.route, label: UInt32? = nil
    ) -> [RouterObject] {
        var objects = Program.base(flows: true) + [.vrf(VRFSpec(id: outside, name: "outside"))] + rules
        for case .route(var route) in Program.routes(traffic.prefixes, via: nextHop, label: label) {
            route.vrf = outside
            objects.append(.route(route))
        }
        return objects
    }

    private static func workload(_ number: Int) -> IPv4Address { IPv4Address(rawValue: 0x0A01_0000 | UInt32(number & 0xFFFF)) }

    /// Every workload has a floating IP, 1:1: of 10.1.x.y it is 100.64.x.y, with two rules, one for each way.
    static func floating(_ variant: String, _ traffic: Traffic) -> Workload {
        @Sendable func external(_ number: Int) -> IPv4Address { IPv4Address(rawValue: 0x6440_0000 | UInt32(number & 0xFFFF)) }
        let workloads = min(traffic.flows, 65_536)
        return Workload(
            id: "W7", variant: variant, title: "\(Traffic.short(workloads)) floating IPs 1:1 by rules, \(traffic.description)", keepsFlows: true,
            objects: {
                routed(
                    traffic,
                    (0..<workloads).flatMap { number -> [RouterObject] in
                        let inside = IPAddress.v4(workload(number)), address = IPAddress.v4(external(number))
                        return [
                            .natRule(
                                NATRuleSpec(
                                    id: NATRuleID(UInt32(number * 2 + 1)), name: "in",
                                    kind: .destination(.init(vrf: outside, address: address, backends: [.init(address: inside, vrf: Program.vrf)])))),
                            .natRule(
                                NATRuleSpec(
                                    id: NATRuleID(UInt32(number * 2 + 2)), name: "out",
                                    kind: .source(
                                        .init(vrf: Program.vrf, prefix: IPPrefix(host: inside), outside: outside, address: address)))),
                        ]
                    })
            }, trace: { traffic.frames() },
            expected: { came, _ in
                Frames.ethernet(Program.workload, .gateway, 0x0800)
                    + Frames.translated(
                        Frames.lowered(came), source: external(Int(came[28]) << 8 | Int(came[29])).bytes,
                        port: UInt16(came[34]) << 8 | UInt16(came[35])
                    )
            })
    }

    /// All workloads share one external address; each flow is given a port of it.
    static func shared(_ variant: String, _ traffic: Traffic) -> Workload {
        Workload(
            id: "W7", variant: variant, title: "source NAT with ports of one address by a rule, \(traffic.description)", keepsFlows: true,
            objects: { routed(traffic, shareOneAddress()) }, trace: { traffic.frames() },
            expected: { came, left in
                Frames.ethernet(Program.workload, .gateway, 0x0800) + sharing(came, left, portAt: 34)
            })
    }

    private static let external = IPv4Address(203, 0, 113, 1)

    private static func shareOneAddress() -> [RouterObject] {
        guard let inside = IPPrefix(masking: .v4(workload(0)), length: 16) else { return [] }
        let source = NATRuleSpec.Source(vrf: Program.vrf, prefix: inside, outside: outside, address: .v4(external), ports: 1024...65535)
        return [.natRule(NATRuleSpec(id: NATRuleID(1), name: "out", kind: .source(source)))]
    }

    /// What becomes of a packet. Any of the ports is right, as no other is where one is to stand.
    private static func sharing(_ came: [UInt8], _ left: [UInt8], portAt: Int) -> [UInt8] {
        let port = left.count > portAt + 1 ? UInt16(left[portAt]) << 8 | UInt16(left[portAt + 1]) : 0
        return Frames.translated(Frames.lowered(came), source: external.bytes, port: max(port, 1024))
    }

    /// W6+W4 whole: from a workload through its egress policy, with source NAT, into a tunnel to another node.
    static func guardedSharedTunnel(_ variant: String, _ traffic: Traffic, rules: Int, target: Double = 0) -> Workload {
        // In front of the inner packet are Ethernet, IPv4, UDP and the label: 46 octets.
        Workload(
            id: "W6+W4", variant: variant, title: "\(rules) rules, source NAT and MPLS over UDP encapsulation, \(traffic.description)", added: 32,
            leavesByFabric: true, keepsFlows: true, target: target,
            objects: {
                var random = Sequence64(seed: 20_261_121)
                var list = (1..<rules).map { number -> PolicyRule in
                    let port = UInt16(1 + (random.next() >> 20 & 0x7FFF))
                    return PolicyRule(service: .ports(proto: 6, destination: [port...port + UInt16(number % 10)], source: []))
                }
                list.append(PolicyRule(service: .proto(17)))
                var objects = routed(
                    traffic, [Program.tunnel(.mplsOverUDP)] + shareOneAddress() + [.policy(PolicySpec(id: PolicyID(1), name: "out", rules: list))],
                    via: Program.tunnel, label: Program.label)
                for case .vif(var vif) in objects where vif.name == Program.sourcePort {
                    vif.egressPolicies = [PolicyID(1)]
                    objects.append(.vif(vif))
                }
                return objects
            }, trace: { traffic.frames() },
            expected: { came, left in
                Frames.mpls(sharing(came, left, portAt: 46 + 20), label: Program.label, port: entropyPort(left), outward: true)
            })
    }
}
