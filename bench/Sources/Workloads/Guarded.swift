import Dataplane
import NetTypes

/// A policy in front of the destination's vif: W8 with rules, and W6 with flows that rules have let in. Every flow passes, by one rule of the group its source is in; nothing of that is special to the compiled form.
extension Workload {
    /// Groups of clients share out 10.1.0.0/16, from which the trace's packets come; besides, each has as many members more from elsewhere in it, so that groups overlap.
    public static func guarded(_ variant: String, _ traffic: Traffic, rules: Int, groups: Int, id: String = "W8") -> Workload {
        let addresses = 65_536
        @Sendable func prefix(_ number: Int) -> IPPrefix { IPPrefix(host: .v4(IPv4Address(rawValue: 0x0A01_0000 | UInt32(number & 0xFFFF)))) }
        return Workload(
            id: id, variant: variant, title: "\(id == "W8" ? "" : "stateful behind ")\(rules) rules over \(groups) groups, \(traffic.description)",
            keepsFlows: true,
            objects: {
                var random = Sequence64(seed: 20_261_121)
                var objects = Program.base(flows: true)
                for group in 0..<groups {
                    let own = stride(from: group, to: addresses, by: groups).map(prefix)
                    let more = own.map { _ in prefix(Int(truncatingIfNeeded: random.next() >> 20)) }
                    objects.append(.addressGroup(AddressGroupSpec(id: AddressGroupID(UInt32(group)), name: "group-\(group)", prefixes: own + more)))
                }
                let list = (0..<rules).map { number -> PolicyRule in
                    let remote = PolicyAddresses.group(AddressGroupID(UInt32(number % groups)))
                    // The last rule of each group is the one its packets need.
                    if number >= rules - groups { return PolicyRule(remote: remote, service: .proto(17)) }
                    let port = UInt16(1 + (random.next() >> 20 & 0x7FFF))
                    return PolicyRule(remote: remote, service: .ports(proto: 6, destination: [port...port + UInt16(number % 10)], source: []))
                }
                objects.append(.policy(PolicySpec(id: PolicyID(1), name: "clients", rules: list)))
                for case .vif(var vif) in objects where vif.name == Program.destinationPort {
                    vif.ingressPolicies = [PolicyID(1)]
                    objects.append(.vif(vif))
                }
                return objects + Program.routes(traffic.prefixes)
            }, trace: { traffic.frames() })
    }
}
