import DataplaneAPI
import NetTypes
import Overlay
import Testing

@testable import Agent

/// Blue (10.1.0.0/24, fd00:1::/64) and red (10.2.0.0/24) on one node, and what their policies become.
@Suite struct NetworkPolicyTests {
    static func inputs(_ rules: [NetworkPolicy.Rule], isConnected: Bool = true, ports: [Overlay.Port] = [Fixture.blueA, Fixture.redA])
        -> DesiredState.Inputs
    {
        var blue = Fixture.blue, red = Fixture.red
        blue.policies = ["p"]
        red.policies = ["p"]
        var inputs = Fixture.inputs(networks: ports.contains(Fixture.redA) ? [blue, red] : [blue], ports: ports)
        inputs.networkPolicies = ["p": NetworkPolicy(metadata: .init(name: "p"), rules: rules)]
        inputs.networkPeers = [
            "blue": .init(
                metadata: .init(name: "blue"), networks: [.init(name: "red", prefixes: red.subnets.map(\.prefix), isConnected: isConnected)]),
            "red": .init(
                metadata: .init(name: "red"), networks: [.init(name: "blue", prefixes: blue.subnets.map(\.prefix), isConnected: isConnected)]),
        ]
        return inputs
    }
    static func desired(_ inputs: DesiredState.Inputs) -> DesiredState {
        var allocator = IdentifierAllocator()
        return DesiredState(inputs, allocator: &allocator)
    }
    /// The rules of the only policy of a vif: action, remote, local, service, name.
    static func rules(_ state: DesiredState, _ interface: String, ingress: Bool) throws -> [String] {
        let vif = try #require(state.objects.values.first { if case .vif(let vif)? = $0.object { vif.name == interface } else { false } }).vif
        let list = ingress ? vif.ingressPolicies : vif.egressPolicies
        #expect(list.count == 1)
        let policy = try #require(state.objects[.policy(PolicyID(list[0]))]).policy
        #expect(policy.origin == .networkPolicy && policy.defaultAction == .pass)
        func text(_ list: [Dataplane_V1_Prefix]) -> String {
            list.isEmpty ? "any" : list.map { "\(IPAddress(bytes: $0.address)!)/\($0.length)" }.joined(separator: ",")
        }
        func text(_ list: [Dataplane_V1_PortRange]) -> String { list.map { "\($0.first)-\($0.last)" }.joined(separator: ",") }
        return policy.rules.map { rule in
            "\(rule.action == .pass ? "pass" : "deny") \(rule.service.hasProtocol ? "\(rule.service.protocol)" : "any") local \(text(rule.local.prefixes.prefixes)):\(text(rule.service.sourcePorts)) remote \(text(rule.remote.prefixes.prefixes)):\(text(rule.service.destinationPorts)) \(rule.name)"
        }
    }

    @Test func bothWays() throws {
        let state = Self.desired(
            Self.inputs([.init(proto: 6, source: .network("blue"), destination: .network("red"), sourcePorts: [1024...65535], ports: [80...80])]))
        #expect(
            try Self.rules(state, "tap-blue-a", ingress: false) == [
                "pass 6 local any:1024-65535 remote 10.2.0.0/24:80-80 p/rules[0]", "pass any local any: remote 10.1.0.0/24,fd00:1::/64: blue/itself",
                "deny any local any: remote 10.2.0.0/24: blue/red",
            ])
        // What comes to blue: from red's port 80 to its ports. A query's source port is the sender's, whichever end is local.
        #expect(try Self.rules(state, "tap-blue-a", ingress: true)[0] == "pass 6 local any:80-80 remote 10.2.0.0/24:1024-65535 p/rules[0]")
        #expect(try Self.rules(state, "tap-red-a", ingress: true)[0] == "pass 6 local any:1024-65535 remote 10.1.0.0/24,fd00:1::/64:80-80 p/rules[0]")
        #expect(
            try Self.rules(state, "tap-red-a", ingress: false) == [
                "pass 6 local any:80-80 remote 10.1.0.0/24,fd00:1::/64:1024-65535 p/rules[0]", "pass any local any: remote 10.2.0.0/24: red/itself",
                "deny any local any: remote 10.1.0.0/24,fd00:1::/64: red/blue",
            ])
    }

    @Test func oneWayAndOtherNetworks() throws {
        let state = Self.desired(
            Self.inputs([
                .init(.deny, direction: .forward, source: .prefixes([IPPrefix("10.1.0.8/30")!]), destination: .network("red")),
                .init(.pass, direction: .forward, source: .network("blue"), destination: .network("red")),
                .init(.pass, source: .network("green"), destination: .network("red")),
            ]))
        let tail = ["pass any local any: remote 10.1.0.0/24,fd00:1::/64: blue/itself", "deny any local any: remote 10.2.0.0/24: blue/red"]
        #expect(
            try Self.rules(state, "tap-blue-a", ingress: false) == [
                "deny any local 10.1.0.8/30: remote 10.2.0.0/24: p/rules[0]", "pass any local any: remote 10.2.0.0/24: p/rules[1]",
            ] + tail)
        #expect(try Self.rules(state, "tap-blue-a", ingress: true) == tail)
        // Nothing is known of green here: nobody is there.
        #expect(
            try Self.rules(state, "tap-red-a", ingress: true).prefix(2) == [
                "deny any local any: remote 10.1.0.8/30: p/rules[0]", "pass any local any: remote 10.1.0.0/24,fd00:1::/64: p/rules[1]",
            ])
    }

    @Test func routesOfConnectedNetworks() throws {
        let rule = NetworkPolicy.Rule(source: .network("blue"), destination: .network("red"))
        let state = Self.desired(Self.inputs([rule]))
        let blue = try #require(state.vrfs["blue"]), red = try #require(state.vrfs["red"])
        let own = try #require(state.objects[.route(blue, IPPrefix("10.1.0.10/32")!)]).route
        let leaked = try #require(state.objects[.route(red, IPPrefix("10.1.0.10/32")!)]).route
        #expect(leaked.nextHop == own.nextHop && leaked.proxies && leaked.mac.isEmpty)
        #expect(state.objects[.route(red, IPPrefix("fd00:1::10/128")!)] != nil && state.objects[.route(blue, IPPrefix("10.2.0.10/32")!)] != nil)
        func told(_ state: DesiredState) -> Set<String> {
            Set(
                state.exports.filter { if case .inet = $0.route.destination { true } else { false } }.map {
                    "\($0.route.vrf) \($0.route.destination)"
                })
        }
        let all: Set = [
            "blue 10.1.0.10/32", "blue fd00:1::10/128", "red 10.2.0.10/32", "red 10.1.0.10/32", "red fd00:1::10/128", "blue 10.2.0.10/32",
        ]
        #expect(told(state) == all)
        // What red is told leads into blue: its VNI.
        #expect(state.exports.first { $0.route.vrf == "red" && "\($0.route.destination)" == "10.1.0.10/32" }?.route.nextHops.first?.label == 5001)
        // A node without red tells it all the same.
        let alone = Self.desired(Self.inputs([rule], ports: [Fixture.blueA]))
        #expect(told(alone) == ["blue 10.1.0.10/32", "blue fd00:1::10/128", "red 10.1.0.10/32", "red fd00:1::10/128"])
        let apart = Self.desired(Self.inputs([rule], isConnected: false))
        #expect(told(apart) == ["blue 10.1.0.10/32", "blue fd00:1::10/128", "red 10.2.0.10/32"])
        #expect(apart.objects[.route(red, IPPrefix("10.1.0.10/32")!)] == nil)
    }

    /// A route of a VRF that is not here is told without a subscription.
    @Test func exchange() throws {
        var exchange = RouteExchange()
        let route = Fixture.route("red", "10.1.0.10/32", label: 5001)
        let key = RouteStore.Key(vrf: "red", destination: route.destination)
        #expect(exchange.plan(vrfs: [:], exports: [key: route], isComplete: true, now: .zero) == [.publish(route)])
        exchange.acknowledged(.publish(route))
        #expect(exchange.plan(vrfs: [:], exports: [:], isComplete: true, now: .zero) == [.withdraw(key)])
    }
}
