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
            "\(rule.action == .pass ? "pass" : rule.action == .trap ? "trap" : "deny") \(rule.service.hasProtocol ? "\(rule.service.protocol)" : "any") local \(text(rule.local.prefixes.prefixes)):\(text(rule.service.sourcePorts)) remote \(text(rule.remote.prefixes.prefixes)):\(text(rule.service.destinationPorts)) \(rule.name)"
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

    /// What is to be decided is asked at both ends, and joins the networks as what passes does.
    @Test func trapped() throws {
        let state = Self.desired(
            Self.inputs([.init(.trap, direction: .forward, proto: 6, source: .network("blue"), destination: .network("red"), ports: [80...80])]))
        #expect(try Self.rules(state, "tap-blue-a", ingress: false)[0] == "trap 6 local any: remote 10.2.0.0/24:80-80 p/rules[0]")
        #expect(try Self.rules(state, "tap-red-a", ingress: true)[0] == "trap 6 local any: remote 10.1.0.0/24,fd00:1::/64:80-80 p/rules[0]")
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

    static let mirror = NetworkPolicy.Mirror(analyser: Fixture.peer, .vxlan(VNI(77)))
    static func mirrored(_ rule: NetworkPolicy.Rule, _ other: NetworkPolicy.Mirror? = nil) -> NetworkPolicy.Rule {
        var rule = rule
        rule.mirror = other ?? mirror
        rule.log = true
        return rule
    }
    /// Of the rules for the policy: remote, mirror, whether it logs.
    static func copies(_ state: DesiredState, _ interface: String, ingress: Bool) throws -> [String] {
        let vif = try #require(state.objects.values.first { if case .vif(let vif)? = $0.object { vif.name == interface } else { false } }).vif
        let policy = try #require(state.objects[.policy(PolicyID((ingress ? vif.ingressPolicies : vif.egressPolicies)[0]))]).policy
        return policy.rules.filter { $0.name.hasPrefix("p/") }.map { rule in
            let prefixes = rule.remote.prefixes.prefixes.map { "\(IPAddress(bytes: $0.address)!)/\($0.length)" }
            return "\(prefixes.isEmpty ? "any" : prefixes.joined(separator: ",")) \(rule.mirror) \(rule.log)"
        }
    }

    /// A connection is copied where it begins; one that begins elsewhere is copied where it ends.
    @Test func mirrorsAndLogs() throws {
        let both = Self.mirrored(.init(direction: .forward, source: .network("blue"), destination: .network("red")))
        var inputs = Self.inputs([both])
        inputs.networkPeers["red"]?.networks[0].policies = ["p"]
        let state = Self.desired(inputs)
        #expect(try Self.copies(state, "tap-blue-a", ingress: false) == ["10.2.0.0/24 1 true"])
        #expect(try Self.copies(state, "tap-red-a", ingress: true) == ["10.1.0.0/24,fd00:1::/64 0 true"])
        let mirror = try #require(state.objects[.mirror(1)]).mirror
        #expect(mirror.vxlan.vni == 77 && mirror.sources.isEmpty && mirror.cookie == agentCookie)
        guard case .tunnel(let tunnel)? = state.objects.nextHop(mirror.vxlan.nextHop) else {
            Issue.record("no tunnel")
            return
        }
        #expect(tunnel.destinationAddress == .v4(Fixture.peer) && tunnel.encapsulation == .vxlan)
        // Blue does not have the policy: nobody copies there.
        inputs.networkPeers["red"]?.networks[0].policies = []
        #expect(try Self.copies(Self.desired(inputs), "tap-red-a", ingress: true) == ["10.1.0.0/24,fd00:1::/64 1 true"])
        // From anywhere: from ports with the policy it is copied there, from others here.
        inputs.networkPolicies["p"]?.rules = [Self.mirrored(.init(direction: .forward, source: .any, destination: .network("red")))]
        inputs.networkPeers["red"]?.networks[0].policies = ["p"]
        #expect(
            try Self.copies(Self.desired(inputs), "tap-red-a", ingress: true) == ["10.2.0.0/24,10.1.0.0/24,fd00:1::/64 0 true", "any 1 true"])
        inputs.networkPolicies["p"]?.rules = [
            Self.mirrored(
                .init(direction: .forward, source: .prefixes([IPPrefix("10.1.0.64/26")!, IPPrefix("192.0.2.0/24")!]), destination: .network("red")))
        ]
        #expect(
            try Self.copies(Self.desired(inputs), "tap-red-a", ingress: true) == ["10.1.0.64/26 0 true", "10.1.0.64/26,192.0.2.0/24 1 true"])
    }

    /// An analyser that has not been found yet: the rule holds, and the agent looks for it. Two rules to one analyser are one mirror.
    @Test func analysers() throws {
        let rule = NetworkPolicy.Rule(source: .network("blue"), destination: .network("red"))
        let away = NetworkPolicy.Mirror(analyser: IPv4Address(10, 0, 0, 99), .erspan(session: 5))
        var inputs = Self.inputs([Self.mirrored(rule), Self.mirrored(rule), Self.mirrored(rule, away)])
        let state = Self.desired(inputs)
        #expect(try Self.copies(state, "tap-blue-a", ingress: false) == ["10.2.0.0/24 1 true", "10.2.0.0/24 1 true", "10.2.0.0/24 2 true"])
        #expect(state.objects[.mirror(1)] != nil && state.objects[.mirror(2)] == nil && state.endpoints.contains(IPv4Address(10, 0, 0, 99)))
        inputs.resolve = { _ in Fixture.peerMAC }
        var allocator = IdentifierAllocator()
        let found = DesiredState(inputs, allocator: &allocator)
        #expect(found.objects[.mirror(2)]?.mirror.erspan.session == 5)
        // A restarted agent wants what is there.
        var actual = Array(found.objects.values)
        for index in actual.indices { if case .mirror? = actual[index].object { actual[index].mirror.copies = 9 } }
        var second = IdentifierAllocator()
        second.recover(from: actual.map(\.withoutOutput))
        let again = DesiredState(inputs, allocator: &second)
        #expect(Difference.operations(desired: again.objects, actual: found.objects, sweeps: true).isEmpty)
        // The node itself is no analyser.
        inputs.networkPolicies["p"]?.rules = [Self.mirrored(rule, .init(analyser: Fixture.configuration.fabric.address, .vxlan(VNI(7))))]
        #expect(!Self.desired(inputs).objects.keys.contains { if case .mirror = $0 { true } else { false } })
    }

    /// A hundred a second are written; how many were not is said with the next one.
    @Test func theLogIsLimited() {
        var gate = PolicyLogGate()
        let open = (0..<150).filter { _ in gate.open(now: .zero).isOpen }.count
        #expect(open == 100)
        let next = gate.open(now: .milliseconds(15))
        #expect(next.isOpen && next.suppressed == 50)
        #expect(gate.open(now: .milliseconds(15)).isOpen == false)
        #expect(gate.open(now: .milliseconds(30)) == (true, 1))
    }

    @Test func flowsInTheLog() {
        var decision = Dataplane_V1_LoggedDecision()
        decision.protocol = 6
        decision.source = IPAddress("10.1.0.11")!.octets
        decision.destination = IPAddress("10.2.0.11")!.octets
        (decision.sourcePort, decision.destinationPort) = (4321, 80)
        #expect(decision.flowText == "tcp 10.1.0.11:4321 > 10.2.0.11:80")
        decision.source = IPAddress("fd00:1::11")!.octets
        decision.destination = IPAddress("fd00:2::11")!.octets
        #expect(decision.flowText == "tcp [fd00:1::11]:4321 > [fd00:2::11]:80")
        decision.protocol = 58
        decision.icmpType = 128
        #expect(decision.flowText == "icmpv6 fd00:1::11 > fd00:2::11 128/0")
        decision.protocol = 47
        #expect(decision.flowText == "47 fd00:1::11 > fd00:2::11")
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
