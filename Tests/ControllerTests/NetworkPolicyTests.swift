import Controller
import NetTypes
import Overlay
import StrictYAML
import Testing

@Suite struct NetworkPolicyTests {
    static func policy(_ name: String, _ rules: String) -> String { "kind: NetworkPolicy\nmetadata: {name: \(name)}\nspec: {rules: [\(rules)]}\n" }
    static func network(_ name: String, _ prefix: String, _ policies: String) -> String {
        "kind: VirtualNetwork\nmetadata: {name: \(name)}\nspec: {subnets: [{prefix: \(prefix)}], policies: [\(policies)]}\n"
    }
    static let join = "{action: pass, protocol: tcp, source: {network: blue}, destination: {network: red}}"

    func connections(_ model: ConfigModel, _ name: String) -> [String] {
        model.virtualNetwork(name).map { model.connections(of: $0).map(\.name) } ?? []
    }

    /// Both networks have to have a policy that joins them.
    @Test func connectionsNeedBoth() throws {
        var model = try ConfigModel.demo()
        try model.apply(Self.policy("join", Self.join))
        #expect(connections(model, "blue") == [] && connections(model, "red") == [])
        try model.apply(Self.network("blue", "10.1.0.0/24", "join"))
        #expect(connections(model, "blue") == [] && connections(model, "red") == [])
        #expect(
            model.virtualNetwork("blue").flatMap(model.peers)?.networks
                == [.init(name: "red", prefixes: [IPPrefix("10.2.0.0/24")!], isConnected: false)])
        try model.apply(Self.network("red", "10.2.0.0/24", "join"))
        #expect(connections(model, "blue") == ["red"] && connections(model, "red") == ["blue"])
        #expect(model.virtualNetwork("blue").flatMap(model.peers)?.networks.map(\.policies) == [["join"]])
        // Any network that agrees; one without policies does not.
        try model.apply(Self.policy("open", "{action: pass}") + "---\n" + Self.network("red", "10.2.0.0/24", "open"))
        #expect(connections(model, "blue") == ["red"] && connections(model, "red") == ["blue"])
        try model.apply(Self.network("green", "10.3.0.0/24", ""))
        #expect(connections(model, "red") == ["blue"])
        try model.apply(Self.network("green", "10.3.0.0/24", "open"))
        #expect(connections(model, "red") == ["blue", "green"] && connections(model, "blue") == ["red"])
        try model.apply(Self.policy("join", "{action: deny, source: {network: blue}, destination: {network: red}}"))
        #expect(connections(model, "blue") == [] && connections(model, "red") == ["green"])
    }

    @Test func refused() throws {
        var model = try ConfigModel.demo()
        func refusal(_ text: String) -> String? {
            var copy = model
            do {
                try copy.apply(text)
                return nil
            } catch { return "\(error)" }
        }
        #expect(
            refusal(Self.policy("a", "{action: pass, source: {network: blue}, destination: {network: yellow}}"))?
                .contains("spec.rules[0].destination.network: VirtualNetwork yellow does not exist") == true)
        #expect(refusal(Self.network("blue", "10.1.0.0/24", "a"))?.contains("spec.policies[0]: NetworkPolicy a does not exist") == true)
        try model.apply(
            Self.policy("join", Self.join) + "---\n" + Self.network("blue", "10.1.0.0/24", "join") + "---\n"
                + Self.network("red", "10.2.0.0/24", "join"))
        // A third network that is connected with red must not have blue's addresses.
        let third =
            Self.policy("third", "{action: pass, source: {network: green}, destination: {network: red}}") + "---\n"
            + Self.network("green", "10.1.0.128/25", "third") + "---\n" + Self.network("red", "10.2.0.0/24", "join, third")
        #expect(
            refusal(third)?.contains(
                "of VirtualNetwork blue and of green, which are both connected with red: connected networks need addresses of their own")
                == true, "\(refusal(third) ?? "")")
        #expect(refusal(third.replacing("10.1.0.128/25", with: "10.3.0.0/25")) == nil)
        let error = #expect(throws: ConfigModel.DeleteError.self) { try model.delete(ObjectKey(.networkPolicy, "join")) }
        #expect("\(error!)" == "NetworkPolicy/join is a policy of VirtualNetwork blue, red; take it out of spec.policies first")
        // A network that rules name stays, though it has no ports and no policy: else the rules would be about nobody, and nobody would notice.
        try model.apply(Self.network("yellow", "10.4.0.0/24", "") + "---\n" + Self.policy("named", "{action: deny, source: {network: yellow}}"))
        let named = #expect(throws: ConfigModel.DeleteError.self) { try model.delete(ObjectKey(.virtualNetwork, "yellow")) }
        #expect("\(named!)" == "VirtualNetwork/yellow is named by NetworkPolicy/named; change or delete that first")
        #expect(model.virtualNetwork("yellow") != nil)
        // Both together may go, in any order; not with something that somebody else needs.
        var copy = model
        #expect(throws: ConfigModel.DeleteError.self) {
            try copy.delete([ObjectKey(.virtualNetwork, "yellow"), ObjectKey(.networkPolicy, "named"), ObjectKey(.networkPolicy, "join")])
        }
        #expect(copy.objects == model.objects)
        #expect(try copy.delete([ObjectKey(.virtualNetwork, "yellow"), ObjectKey(.networkPolicy, "named")]).count == 2)
        #expect(copy.virtualNetwork("yellow") == nil && copy.networkPolicy("named") == nil)
        try model.apply(Self.policy("named", "{action: deny}"))
        #expect(try model.delete(ObjectKey(.virtualNetwork, "yellow")).action == .deleted)
        #expect(refusal("kind: NetworkPeers\nmetadata: {name: blue}\nspec: {networks: []}\n")?.contains("made by the controller") == true)
    }

    /// The overlap is found whichever of those that make it comes last: the network, the one in the middle, or the policy.
    @Test func overlapsFromEverySide() throws {
        var model = try ConfigModel.demo()
        let joins =
            "{action: pass, source: {network: blue}, destination: {network: red}}, {action: pass, source: {network: green}, destination: {network: red}}"
        let parts = [
            "policy": Self.policy("p", joins), "blue": Self.network("blue", "10.1.0.0/24", "p"), "red": Self.network("red", "10.2.0.0/24", "p"),
            "green": Self.network("green", "10.1.0.128/25", "p"),
        ]
        try model.apply(Self.policy("p", "{action: deny}") + "---\n" + Self.network("green", "10.1.0.128/25", ""))
        for last in parts.keys.sorted() {
            var copy = model
            try copy.apply(parts.filter { $0.key != last }.values.sorted().joined(separator: "---\n"))
            #expect(throws: ConfigError.self, "\(last) last") { try copy.apply(parts[last] ?? "") }
        }
    }

    /// A hundred networks that all know each other's routes.
    @Test func manyConnectedNetworks() throws {
        var model = try ConfigModel.demo()
        let networks = (0..<100).map { Self.network("n\($0)", "10.\(100 + $0 / 250).\($0 % 250).0/24", "open") }
        try model.apply(([Self.policy("open", "{action: pass}")] + networks).joined(separator: "---\n"))
        #expect(connections(model, "n7").count == 99)
        #expect(throws: ConfigError.self) { try model.apply(Self.network("n99", "10.100.3.0/26", "open")) }
        try model.apply(Self.policy("open", "{action: pass, protocol: tcp}"))
    }

    /// Policies and peers go to nodes with a port of a network that has them, and to nobody else.
    @Test func distribution() throws {
        var model = try ConfigModel.demo()
        var distribution = ConfigDistribution()
        for node in ["node1", "node2"] { _ = distribution.subscribe(node, model: model) }
        func step(_ text: String) throws -> [String: [String]] {
            let changes = try model.apply(text)
            return Dictionary(
                uniqueKeysWithValues: distribution.update(changes, model: model).map { ($0.node, ConfigDistributionTests().names($0.updates)) })
        }
        #expect(try step(Self.policy("join", Self.join)) == [:])
        // node1 has only blue, node2 blue and red.
        #expect(
            try step(Self.network("red", "10.2.0.0/24", "join"))
                == ["node2": ["+NetworkPolicy/join", "+NetworkPeers/red", "+VirtualNetwork/red"]])
        #expect(
            try step(Self.network("blue", "10.1.0.0/24", "join"))
                == [
                    "node1": ["+NetworkPolicy/join", "+NetworkPeers/blue", "+VirtualNetwork/blue"],
                    "node2": ["+NetworkPeers/blue", "+NetworkPeers/red", "+VirtualNetwork/blue"],
                ])
        #expect(
            try step(Self.policy("join", Self.join + ", {action: deny}")) == ["node1": ["+NetworkPolicy/join"], "node2": ["+NetworkPolicy/join"]])
        // Another subnet of red is news to blue's nodes.
        let wider = Self.network("red", "10.2.0.0/24", "join").replacing(
            "[{prefix: 10.2.0.0/24}]", with: "[{prefix: 10.2.0.0/24}, {prefix: 10.9.0.0/24}]")
        #expect(try step(wider) == ["node1": ["+NetworkPeers/blue"], "node2": ["+NetworkPeers/blue", "+VirtualNetwork/red"]])
        #expect(
            try step(Self.network("blue", "10.1.0.0/24", ""))
                == [
                    "node1": ["+VirtualNetwork/blue", "-NetworkPolicy/join", "-NetworkPeers/blue"],
                    "node2": ["+NetworkPeers/red", "+VirtualNetwork/blue", "-NetworkPeers/blue"],
                ])
    }
}
