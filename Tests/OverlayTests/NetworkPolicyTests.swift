import NetTypes
import Overlay
import StrictYAML
import Testing

@Suite struct NetworkPolicyTests {
    static let shop = """
        kind: NetworkPolicy
        metadata: {name: shop}
        spec:
          rules:
            - {action: pass, protocol: tcp, source: {network: front}, sourcePorts: [1024-65535], destination: {network: back}, ports: [80, 8000-8999]}
            - {action: pass, direction: ">", protocol: icmp, icmpType: 8, icmpCode: 0, source: {prefixes: [10.0.0.0/8, 192.0.2.1]}}
            - {action: trap, direction: ">", protocol: udp, source: {network: front}, destination: {network: back}, ports: [53], log: true}
            - {action: deny}
        """

    @Test func readAndWritten() throws {
        guard case .networkPolicy(let policy)? = try YAMLDocuments.parse(text: Self.shop, source: "x").first else {
            Issue.record("kind")
            return
        }
        var trapped = NetworkPolicy.Rule(
            .trap, direction: .forward, proto: 17, source: .network("front"), destination: .network("back"), ports: [53...53])
        trapped.log = true
        #expect(
            policy.rules == [
                .init(
                    .pass, direction: .both, proto: 6, source: .network("front"), destination: .network("back"), sourcePorts: [1024...65535],
                    ports: [80...80, 8000...8999]),
                .init(
                    .pass, direction: .forward, proto: 1, source: .prefixes([IPPrefix("10.0.0.0/8")!, IPPrefix("192.0.2.1/32")!]), icmpType: 8,
                    icmpCode: 0),
                trapped,
                .init(.deny),
            ])
        #expect(policy.networks == ["front", "back"])
        let mirrored =
            "kind: NetworkPolicy\nmetadata: {name: m}\nspec: {rules: [{action: pass, mirror: {analyser: 192.0.2.9, vni: 77}, log: true}, "
            + "{action: pass, mirror: {analyser: 192.0.2.9, session: 5}}, {action: deny, log: true}]}\n"
        guard case .networkPolicy(let copied)? = try YAMLDocuments.parse(text: mirrored, source: "x").first else { return }
        #expect(
            copied.rules.map(\.mirror) == [
                .init(analyser: IPv4Address(192, 0, 2, 9), .vxlan(VNI(77))), .init(analyser: IPv4Address(192, 0, 2, 9), .erspan(session: 5)), nil,
            ])
        #expect(copied.rules.map(\.log) == [true, false, true])
        #expect(try ConfigObject(element: ConfigObject.networkPolicy(copied).element) == .networkPolicy(copied))
        let object = ConfigObject.networkPolicy(policy)
        #expect(try ConfigObject(element: object.element) == object)
        #expect(try YAMLDocuments.parse(text: object.yaml, source: "x") == [object])
        let network = "kind: VirtualNetwork\nmetadata: {name: front}\nspec: {subnets: [{prefix: 10.1.0.0/24}], policies: [shop, rest]}\n"
        let read = try YAMLDocuments.parse(text: network, source: "x")
        guard case .virtualNetwork(let front)? = read.first else { return }
        #expect(front.policies == ["shop", "rest"])
        #expect(try ConfigObject(element: ConfigObject.virtualNetwork(front).element) == .virtualNetwork(front))
    }

    /// Rules that pass or trap join; deny rules and prefixes do not. An end that is any is every network.
    @Test func whatRulesJoin() {
        func joins(_ name: String, _ rules: NetworkPolicy.Rule...) -> [String] {
            let (names, any) = NetworkPolicy(metadata: .init(name: "p"), rules: rules).joins(name)
            return names.sorted() + (any ? ["*"] : [])
        }
        #expect(joins("a", .init(source: .network("a"), destination: .network("b"))) == ["b"])
        #expect(joins("b", .init(direction: .forward, source: .network("a"), destination: .network("b"))) == ["a"])
        #expect(joins("c", .init(source: .network("a"), destination: .network("b"))) == [])
        #expect(joins("a", .init(.deny, source: .network("a"), destination: .network("b"))) == [])
        #expect(joins("a", .init(.trap, direction: .forward, source: .network("a"), destination: .network("b"))) == ["b"])
        #expect(joins("c", .init(source: .any, destination: .network("b"))) == ["b"])
        #expect(joins("b", .init(source: .any, destination: .network("b"))) == ["b", "*"])
        #expect(joins("a", .init(source: .network("a"), destination: .prefixes([IPPrefix("10.0.0.0/8")!]))) == [])
    }

    @Test(arguments: [
        ("rules: [{}]", "spec.rules[0].action", "is missing"),
        ("rules: [{action: allow}]", "spec.rules[0].action", "'allow' is not one of pass, deny, trap"),
        ("rules: [{action: pass, direction: \"<\"}]", "spec.rules[0].direction", "'<' is not one of <>, >"),
        ("rules: [{action: pass, ports: [80]}]", "spec.rules[0].ports", "give the protocol"),
        ("rules: [{action: pass, protocol: icmp, sourcePorts: [80]}]", "spec.rules[0].sourcePorts", "give the protocol"),
        ("rules: [{action: pass, protocol: tcp, icmpType: 3}]", "spec.rules[0].icmpType", "give the protocol"),
        ("rules: [{action: pass, protocol: icmp, icmpCode: 3}]", "spec.rules[0].icmpCode", "give icmpType"),
        ("rules: [{action: pass, source: {network: a, prefixes: []}}]", "spec.rules[0].source.prefixes", "only one of"),
        ("rules: [{action: pass, source: {group: a}}]", "spec.rules[0].source.group", "unknown field"),
        ("rules: [{action: trap, mirror: {analyser: 10.0.0.9, vni: 7}}]", "spec.rules[0].mirror", "only what passes is mirrored"),
        ("rules: [{action: deny, mirror: {analyser: 10.0.0.9, vni: 7}}]", "spec.rules[0].mirror", "only what passes is mirrored"),
        ("rules: [{action: pass, mirror: {vni: 7}}]", "spec.rules[0].mirror.analyser", "is missing"),
        ("rules: [{action: pass, mirror: {analyser: 10.0.0.9}}]", "spec.rules[0].mirror", "give one of vni, session"),
        ("rules: [{action: pass, mirror: {analyser: 10.0.0.9, vni: 7, session: 1}}]", "spec.rules[0].mirror.session", "only one of"),
        ("rules: [{action: pass, mirror: {analyser: \"fd00::9\", vni: 7}}]", "spec.rules[0].mirror.analyser", "IPv4"),
        ("rules: [{action: pass, mirror: {analyser: 224.0.0.9, vni: 7}}]", "spec.rules[0].mirror.analyser", "no address of a host"),
        ("rules: [{action: pass, mirror: {analyser: 10.0.0.9, session: 1024}}]", "spec.rules[0].mirror.session", "1023"),
        ("rules: [{action: pass, log: 3}]", "spec.rules[0].log", ""),
        ("{}", "spec.rules", "is missing"),
    ]) func refused(_ spec: String, _ field: String, _ reason: String) {
        let error = #expect(throws: ConfigError.self) {
            try YAMLDocuments.parse(text: "kind: NetworkPolicy\nmetadata: {name: a}\nspec: {\(spec == "{}" ? "" : spec)}", source: "x")
        }
        #expect(error?.field == field && error?.message.contains(reason) == true, "\(String(describing: error))")
    }
}
