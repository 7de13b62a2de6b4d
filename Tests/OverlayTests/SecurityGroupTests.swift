import NetTypes
import Overlay
import StrictYAML
import Testing

@Suite struct SecurityGroupTests {
    static let web = """
        kind: SecurityGroup
        metadata: {name: web}
        spec:
          ingress:
            - {protocol: tcp, ports: [80, 8000-8999], from: {group: clients}}
            - {protocol: icmp, icmpType: 8, from: {prefixes: [10.0.0.0/8, 192.0.2.1]}}
            - {protocol: 47}
          egress: [{}]
        """

    @Test func readAndWritten() throws {
        guard case .securityGroup(let group)? = try YAMLDocuments.parse(text: Self.web, source: "x").first else {
            Issue.record("kind")
            return
        }
        #expect(
            group.ingress == [
                .init(proto: 6, ports: [80...80, 8000...8999], peer: .group("clients")),
                .init(proto: 1, icmpType: 8, peer: .prefixes([IPPrefix("10.0.0.0/8")!, IPPrefix("192.0.2.1/32")!])), .init(proto: 47),
            ])
        #expect(group.egress == [.init()] && group.peers == ["clients"])
        let object = ConfigObject.securityGroup(group)
        #expect(try ConfigObject(element: object.element) == object)
        #expect(try YAMLDocuments.parse(text: object.yaml, source: "x") == [object])
        #expect(
            object.json.contains(
                #"{"protocol":"tcp","ports":[80,"8000-8999"],"from":{"group":"clients"}},{"protocol":"icmp","icmpType":8,"from":{"prefixes":["10.0.0.0/8","192.0.2.1/32"]}}"#
            ))
    }

    @Test(arguments: [
        ("ingress: [{ports: [80]}]", "spec.ingress[0].ports", "give the protocol"),
        ("ingress: [{protocol: icmp, ports: [80]}]", "spec.ingress[0].ports", "give the protocol"),
        ("ingress: [{protocol: tcp, icmpType: 3}]", "spec.ingress[0].icmpType", "give the protocol"),
        ("ingress: [{protocol: icmp, icmpCode: 3}]", "spec.ingress[0].icmpCode", "give icmpType"),
        ("ingress: [{protocol: tcq}]", "spec.ingress[0].protocol", "'tcq' is no protocol"),
        ("ingress: [{protocol: tcp, ports: [90-80]}]", "spec.ingress[0].ports[0]", "neither a port nor a range"),
        ("ingress: [{to: {group: a}}]", "spec.ingress[0].to", "unknown field"),
        ("egress: [{to: {group: a, prefixes: []}}]", "spec.egress[0].to.prefixes", "only one of"),
    ]) func refused(_ spec: String, _ field: String, _ reason: String) {
        let error = #expect(throws: ConfigError.self) {
            try YAMLDocuments.parse(text: "kind: SecurityGroup\nmetadata: {name: a}\nspec: {\(spec)}", source: "x")
        }
        #expect(error?.field == field && error?.message.contains(reason) == true, "\(String(describing: error))")
    }

    /// A rule that says nothing is everything, also when it is written again.
    @Test func anEmptyRule() throws {
        let text = "kind: SecurityGroup\nmetadata: {name: a}\nspec: {ingress: [{}, {protocol: tcp}], egress: [{}]}\n"
        let object = try #require(YAMLDocuments.parse(text: text, source: "x").first)
        var other = object
        other.metadata.name = "b"
        let written = YAMLDocuments.text([object, other])
        #expect(try YAMLDocuments.parse(text: written, source: "x") == [object, other], "\(written)")
    }
}
