import NetTypes

@testable import Dataplane

// Policies that pass, deny, ask, tell and copy, and workloads whose connections are few flows.
extension Topology {
    /// UDP ports that no policy lets through in any direction: what `Pipeline` looks for.
    static let forbidden: ClosedRange<UInt16> = 7000...7999

    private static func group(_ id: UInt32, _ name: String, _ prefixes: [String]) -> RouterObject {
        .addressGroup(AddressGroupSpec(id: .init(id), name: name, prefixes: prefixes.compactMap { IPPrefix($0) }))
    }

    /// What the rules say of peers; the other way round it is another network's. `Pipeline` changes one for the other while flows are there.
    static func peers(_ isOther: Bool) -> RouterObject {
        group(2, "peers", isOther ? ["10.24.0.0/13", "fd00:24::/30"] : ["10.20.0.0/14", "fd00:20::/30", "10.2.0.0/16", "fd00:2::/32"])
    }

    static let policies: [PolicySpec] = [
        PolicySpec(
            id: .init(1), name: "strict",
            rules: forbiddenRules + [
                PolicyRule(
                    name: "web", remote: .group(.init(1)), service: .ports(proto: 6, destination: [80...81, 8080...8080], source: []), mirror: 2,
                    logs: true),
                PolicyRule(name: "names", action: .trap, service: .ports(proto: 17, destination: [53...69], source: []), logs: true),
                PolicyRule(name: "clock", action: .deny, service: .icmp(proto: 1, type: 13, code: nil), logs: true),
                PolicyRule(name: "echo", service: .icmp(proto: 1, type: 8, code: 0)),
                PolicyRule(name: "echo6", remote: .group(.init(2)), service: .icmp(proto: 58, type: 128, code: nil), mirror: 3),
                PolicyRule(name: "who", action: .trap, service: .icmp(proto: 58, type: 139, code: nil)),
                PolicyRule(
                    name: "datagrams", remote: .group(.init(1)), local: .prefixes(prefixes(["10.2.0.0/24", "fd00:2::/64"])), service: .proto(17)),
            ]),
        PolicySpec(
            id: .init(2), name: "open",
            rules: forbiddenRules + [
                PolicyRule(name: "told", service: .ports(proto: 17, destination: [1000...3000], source: [1...1999]), mirror: 1, logs: true),
                PolicyRule(name: "asked", action: .trap, service: .ports(proto: 17, destination: [5000...5999], source: []), logs: true),
                PolicyRule(
                    name: "asked streams", action: .trap, remote: .group(.init(2)), service: .ports(proto: 6, destination: [5000...5999], source: [])),
                PolicyRule(
                    name: "telnet", action: .deny, remote: .group(.init(2)), service: .ports(proto: 6, destination: [23...23], source: []), logs: true
                ),
                PolicyRule(name: "masks", action: .deny, service: .icmp(proto: 1, type: 17, code: nil)),
                // There is no such mirror.
                PolicyRule(name: "tunnels", service: .proto(47), mirror: 200),
            ], defaultAction: .pass),
        PolicySpec(
            id: .init(3), name: "asks",
            rules: forbiddenRules + [PolicyRule(name: "own", remote: .prefixes(prefixes(["10.2.0.0/24", "fd00:2::/64"])), logs: true)],
            defaultAction: .trap),
    ]

    private static let forbiddenRules: [PolicyRule] = [
        PolicyRule(name: "forbidden", action: .deny, service: .ports(proto: 17, destination: [forbidden], source: []), logs: true),
        PolicyRule(name: "forbidden answers", action: .deny, service: .ports(proto: 17, destination: [], source: [forbidden])),
    ]
    private static func prefixes(_ texts: [String]) -> [IPPrefix] { texts.compactMap { IPPrefix($0) } }

    static func firewall() -> [RouterObject] {
        [group(1, "inside", ["10.1.0.0/24", "fd00:1::/64"]), peers(false)] + policies.map { .policy($0) }
    }

    /// red1 asks a policy each way, blue2 the same both ways, the doubly tagged sub-interface two and one; the trunk's questions of names are one flow for each who asks, its web one for
    /// all.
    static func guarded(_ spec: VifSpec) -> VifSpec {
        var out = spec
        // Policies are asked for flows.
        if [5, 8].contains(spec.id.rawValue) { out.keepsFlows = true }
        switch spec.id.rawValue {
        case 4: (out.ingressPolicies, out.egressPolicies) = ([.init(2)], [.init(2)])
        case 5: (out.ingressPolicies, out.egressPolicies) = ([.init(1)], [.init(2)])
        case 6:
            out.fatFlows = [
                FatFlowRule(proto: 17, port: 53), FatFlowRule(proto: 6, port: 80, ignoredAddress: .remote),
                FatFlowRule(proto: 1, ignoredAddress: .remote),
                FatFlowRule(proto: 132, ignoredAddress: .local),
            ]
        case 8: (out.ingressPolicies, out.egressPolicies) = ([.init(1), .init(2)], [.init(3)])
        default: break
        }
        return out
    }
}
