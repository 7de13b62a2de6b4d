import Controller
import NetTypes
import Overlay
import StrictYAML
import Testing

@Suite struct ConfigDistributionTests {
    func names(_ updates: [ConfigDistribution.Update]) -> [String] {
        updates.map {
            switch $0 {
            case .item(let object): "+\(object.key)"
            case .retract(let key): "-\(key)"
            case .endOfConfig: "end"
            }
        }
    }

    @Test func anAgentGetsWhatItNeeds() throws {
        let model = try ConfigModel.demo()
        var distribution = ConfigDistribution()
        #expect(
            names(distribution.subscribe("node1", model: model)) == [
                "+ComputeNode/node1", "+VirtualNetwork/blue", "+Port/blue1", "+Port/blue3", "end",
            ])
        #expect(
            names(distribution.subscribe("node2", model: model))
                == ["+ComputeNode/node2", "+VirtualNetwork/blue", "+VirtualNetwork/red", "+Port/blue3", "+Port/red1", "+Port/blue1", "end"])
        #expect(names(distribution.subscribe("node9", model: model)) == ["end"])
        // Subscribing again tells it all again.
        #expect(distribution.subscribe("node1", model: model).count == 5)
    }

    @Test func onlyDifferencesToOnlyThoseConcerned() throws {
        var model = try ConfigModel.demo()
        var distribution = ConfigDistribution()
        for node in ["node1", "node2"] { _ = distribution.subscribe(node, model: model) }
        func step(_ text: String) throws -> [String: [String]] {
            let changes = try model.apply(text)
            return Dictionary(uniqueKeysWithValues: distribution.update(changes, model: model).map { ($0.node, names($0.updates)) })
        }
        #expect(try step(demo) == [:])
        #expect(try step(port("blue1", mac: "02:00:00:00:01:11", address: "10.1.0.20")) == ["node1": ["+Port/blue1"], "node2": ["+Port/blue1"]])
        #expect(
            try step("kind: VirtualNetwork\nmetadata: {name: red}\nspec: {subnets: [{prefix: 10.2.0.0/24}], encapsulation: mplsOverUDP, mtu: 1400}\n")
                == ["node2": ["+VirtualNetwork/red"]])
        // A network without ports concerns nobody, until a port of it appears.
        #expect(try step(network("green", "10.3.0.0/24")) == [:])
        #expect(
            try step(port("green1", network: "green", mac: "02:00:00:00:03:01", address: "10.3.0.5")) == [
                "node1": ["+VirtualNetwork/green", "+Port/green1"]
            ])
        // A port that moves: the old node loses it, and the network with it.
        #expect(
            try step(port("green1", network: "green", node: "node2", mac: "02:00:00:00:03:01", address: "10.3.0.5"))
                == ["node1": ["-Port/green1", "-VirtualNetwork/green"], "node2": ["+VirtualNetwork/green", "+Port/green1"]])
        // Replaced in one apply: the address is free before it is taken.
        let change = try model.delete(ObjectKey(.port, "blue3"))
        #expect(
            distribution.update([change], model: model).map { names($0.updates) } == [
                ["-Port/blue3"], ["-Port/blue3", "-VirtualNetwork/blue", "-Port/blue1"],
            ])
        // Names follow the agents that have ports of the network, and nobody else.
        #expect(
            try step(port("blue3", node: "node2", mac: "02:00:00:00:01:12", address: "10.1.0.12"))
                == ["node1": ["+Port/blue3"], "node2": ["+VirtualNetwork/blue", "+Port/blue3", "+Port/blue1"]])
        #expect(
            try step(port("blue3", network: "red", node: "node2", mac: "02:00:00:00:01:12", address: "10.2.0.12"))
                == ["node1": ["-Port/blue3"], "node2": ["+Port/blue3", "-VirtualNetwork/blue", "-Port/blue1"]])
        #expect(
            try step(port("blue3", network: "green", node: "node1", mac: "02:00:00:00:01:12", address: "10.3.0.12"))
                == ["node1": ["+VirtualNetwork/green", "+Port/blue3", "+Port/green1"], "node2": ["-Port/blue3", "+Port/blue3"]])
        distribution.unsubscribe("node1")
        #expect(try step(port("blue1", mac: "02:00:00:00:01:11", address: "10.1.0.22")) == [:])
    }

    /// Groups go to the nodes whose ports have them; the members of a group to those whose rules name it, and only those in networks they have.
    @Test func securityGroups() throws {
        var model = try ConfigModel.demo()
        var distribution = ConfigDistribution()
        for node in ["node1", "node2"] { _ = distribution.subscribe(node, model: model) }
        func step(_ text: String) throws -> [String: [String]] {
            let changes = try model.apply(text)
            return Dictionary(uniqueKeysWithValues: distribution.update(changes, model: model).map { ($0.node, names($0.updates)) })
        }
        func port(_ name: String, _ network: String, _ node: String, _ last: Int, _ groups: String) -> String {
            let address = network == "blue" ? "10.1.0.\(last)" : "10.2.0.\(last)"
            return
                "kind: Port\nmetadata: {name: \(name)}\nspec: {network: \(network), node: \(node), mac: \"02:00:00:00:09:\(last)\", addresses: [\(address)], securityGroups: [\(groups)]}\n"
        }
        #expect(throws: ConfigError.self) { try model.apply(port("web1", "blue", "node1", 41, "web")) }
        let groups = """
            kind: SecurityGroup
            metadata: {name: web}
            spec: {ingress: [{protocol: tcp, ports: [80], from: {group: clients}}]}
            ---
            kind: SecurityGroup
            metadata: {name: clients}
            spec: {egress: [{}]}
            """
        #expect(try step(groups) == [:])
        #expect(
            try step(port("web1", "blue", "node1", 41, "web"))
                == ["node1": ["+SecurityGroup/web", "+SecurityGroupMembers/clients", "+Port/web1"], "node2": ["+Port/web1"]])
        // A client on the other node: its own node gets the group, node1 the member.
        #expect(
            try step(port("client1", "blue", "node2", 42, "clients"))
                == ["node1": ["+SecurityGroupMembers/clients", "+Port/client1"], "node2": ["+SecurityGroup/clients", "+Port/client1"]])
        let members = ConfigDistribution.members(of: "clients", forNode: "node1", model)
        #expect(members?.networks.map(\.name) == ["blue"] && members?.networks.first?.addresses.map(\.description) == ["10.1.0.42"])
        // A client in a network that node1's groups know nothing of is nothing to it.
        #expect(try step(port("client2", "red", "node2", 43, "clients")) == ["node2": ["+Port/client2"]])
        #expect(throws: ConfigModel.DeleteError.self) { try model.delete(ObjectKey(.securityGroup, "web")) }
        #expect(throws: ConfigModel.DeleteError.self) { try model.delete(ObjectKey(.securityGroup, "clients")) }
        var change = try model.delete(ObjectKey(.port, "client1"))
        #expect(
            distribution.update([change], model: model).map { names($0.updates) }
                == [["+SecurityGroupMembers/clients", "-Port/client1"], ["-Port/client1"]])
        change = try model.delete(ObjectKey(.port, "web1"))
        #expect(
            distribution.update([change], model: model).map { names($0.updates) }
                == [["-Port/web1", "-SecurityGroup/web", "-SecurityGroupMembers/clients"], ["-Port/web1"]])
        _ = try model.delete(ObjectKey(.securityGroup, "web"))
        // Groups that name each other go together.
        try model.apply(
            "kind: SecurityGroup\nmetadata: {name: a}\nspec: {ingress: [{from: {group: b}}]}\n---\nkind: SecurityGroup\nmetadata: {name: b}\nspec: {ingress: [{from: {group: a}}]}\n"
        )
        #expect(throws: ConfigModel.DeleteError.self) { try model.delete(ObjectKey(.securityGroup, "a")) }
        #expect(try model.delete([ObjectKey(.securityGroup, "a"), ObjectKey(.securityGroup, "b")]).count == 2)
        let written = "kind: SecurityGroupMembers\nmetadata: {name: clients}\nspec: {networks: []}\n"
        #expect(throws: ConfigError.self) { try model.apply(written) }
    }
}
