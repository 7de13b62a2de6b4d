import Dataplane
import NetTypes

/// W8 with translation: every packet leaves the workloads' VRF by another one, under an address that is shared and with a port that is found for it.
extension Workload {
    /// `services`: rules about other addresses besides, as a node has them.
    public static func translated(_ variant: String, _ traffic: Traffic, services: Int) -> Workload {
        let outside = VRFID(2)
        return Workload(
            id: "W8", variant: variant, title: "shared external address and \(services) services, \(traffic.description)", keepsFlows: true,
            objects: {
                var objects = Program.base(flows: true) + [.vrf(VRFSpec(id: outside, name: "outside"))]
                let address = IPAddress.v4(IPv4Address(203, 0, 113, 1)), inside = IPPrefix(masking: .v4(IPv4Address(10, 1, 0, 0)), length: 16)!
                objects.append(
                    .natRule(
                        NATRuleSpec(
                            id: NATRuleID(1), name: "out",
                            kind: .source(.init(vrf: Program.vrf, prefix: inside, outside: outside, address: address, ports: 1024...65535)))))
                for number in 0..<services {
                    let service = IPAddress.v4(IPv4Address(rawValue: 0x0A60_0000 | UInt32(number))), backend = IPAddress.v4(IPv4Address(10, 1, 0, 1))
                    objects.append(
                        .natRule(
                            NATRuleSpec(
                                id: NATRuleID(UInt32(number + 2)), name: "service",
                                kind: .destination(
                                    .init(
                                        vrf: Program.vrf, address: service, match: .port(proto: 6, 80),
                                        backends: [.init(address: backend, port: 8080, vrf: Program.vrf)])))))
                }
                for case .route(var route) in Program.routes(traffic.prefixes) {
                    route.vrf = outside
                    objects.append(.route(route))
                }
                return objects
            }, trace: { traffic.frames() })
    }
}
