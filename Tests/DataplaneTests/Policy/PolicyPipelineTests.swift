import NetTypes
import Synchronization
import Testing

@testable import Dataplane

/// First packets against policies, and what becomes of flows when policies change. Packets by scapy (GoldenPolicy.swift); blue1 is vif 3, blue2 vif 4 of one router.
@Suite("Policies on the packet path") struct PolicyPipelineTests {
    static let dns = PolicyService.ports(proto: 17, destination: [53...53], source: [])
    static let clients = AddressGroupID(1)

    static func policy(_ id: UInt32, _ rules: [PolicyRule], origin: PolicyOrigin = .securityGroup, defaultAction: PolicyAction = .deny)
        -> RouterOperation
    {
        .upsert(.policy(PolicySpec(id: PolicyID(id), name: "p\(id)", origin: origin, rules: rules, defaultAction: defaultAction)))
    }
    static func group(_ prefixes: String...) -> RouterOperation {
        .upsert(.addressGroup(AddressGroupSpec(id: clients, name: "clients", prefixes: prefixes.compactMap { IPPrefix($0) })))
    }
    /// Gives a vif policies.
    static func attach(_ test: TestRouter, _ vif: UInt32, ingress: [UInt32] = [], egress: [UInt32] = []) -> RouterOperation {
        var spec = test.router.vifs(after: nil, limit: 100).first { $0.spec.id == VifID(vif) }!.spec
        spec.ingressPolicies = ingress.map { PolicyID($0) }
        spec.egressPolicies = egress.map { PolicyID($0) }
        return .upsert(.vif(spec))
    }
    func apply(_ test: TestRouter, _ operations: RouterOperation..., location: SourceLocation = #_sourceLocation) {
        for outcome in test.router.apply(operations) { #expect(outcome == .ok, sourceLocation: location) }
    }
    func flows(_ test: TestRouter) -> [FlowReading] { test.router.flows(from: 0, limit: 100).flows }

    @Test("What a group may ask is answered; the rest is dropped, and the flow says why") func ingress() {
        let test = TestRouter()
        apply(
            test, Self.group("10.1.0.11/32"), Self.policy(1, [PolicyRule(remote: .group(Self.clients), service: Self.dns)]),
            Self.attach(test, 4, ingress: [1]))
        for _ in 0..<2 {
            test.send(GoldenPolicy.udp53, from: test.blue1)
            #expect(test.blue2.take() == [GoldenPolicy.udp53Delivered])
            test.send(GoldenPolicy.udp54, from: test.blue1)
            #expect(test.blue2.take().isEmpty)
        }
        // The answer needs no rule.
        test.send(GoldenPolicy.answer53, from: test.blue2)
        #expect(test.blue1.take() == [GoldenPolicy.answer53Delivered])
        #expect(test.allDrops == ["flow_action_drop": 2])
        let denied = flows(test).filter { $0.spec.action == .drop }
        #expect(denied.count == 2 && denied.allSatisfy { $0.dropReason == .outSecurityGroup } && denied.contains { $0.isForward && $0.packets == 2 })
        let passed = flows(test).filter { $0.spec.action == .forward }
        #expect(passed.count == 2 && passed.allSatisfy { $0.dropReason == nil })
        #expect(passed.first { !$0.isForward }?.ingressVif == VifID(4) && passed.first { $0.isForward }?.ingressVif == VifID(3))
    }

    @Test("All policies of a list have to pass; the first that does not names the reason") func both() {
        let test = TestRouter()
        apply(
            test, Self.policy(1, [PolicyRule(service: Self.dns)]),
            Self.policy(2, [PolicyRule(action: .deny, service: .proto(17))], origin: .networkPolicy, defaultAction: .pass),
            Self.attach(test, 3, egress: [1, 2]))
        test.send(GoldenPolicy.udp53, from: test.blue1)
        test.send(GoldenPolicy.udp54, from: test.blue1)
        test.send(GoldenPolicy.echo, from: test.blue1)
        #expect(test.blue2.take().isEmpty && test.allDrops == ["flow_action_drop": 3])
        #expect(flows(test).first { $0.spec.key.destinationPort == 53 }?.dropReason == .policy)
        #expect(flows(test).first { $0.spec.key.destinationPort == 54 }?.dropReason == .securityGroup)
    }

    /// The frame, addressed to a station instead of the gateway.
    private static func frame(_ packet: [UInt8], to mac: MACAddress) -> [UInt8] { mac.bytes + packet[6...] }

    @Test("A flow that was let through to one station is not let through to another", arguments: [TestRouter.b, MACAddress.zero, TestRouter.a])
    func stations(first: MACAddress) {
        let test = TestRouter()
        apply(test, Self.policy(1, [PolicyRule(service: Self.dns)]), Self.attach(test, 4, ingress: [1]))
        // Zero: the gateway's, by way of which the address leads to the workload itself.
        for packet in [GoldenPolicy.udp54, GoldenPolicy.udp53] {
            for station in [first, TestRouter.c, TestRouter.c] {
                let frame = station == .zero ? packet : Self.frame(packet, to: station)
                test.send(frame, from: test.blue1)
            }
        }
        let passed = Self.frame(GoldenPolicy.udp53, to: TestRouter.c)
        #expect(test.blue2.take() == (first == .zero ? [GoldenPolicy.udp53Delivered] : []) + [passed, passed])
        #expect(flows(test).filter { $0.spec.action == .drop }.allSatisfy { $0.spec.key.destinationPort == 54 || $0.spec.key.sourcePort == 54 })
        #expect(flows(test).count == 4)
    }

    @Test("Out of a tunnel, too") func stationsBehindATunnel() {
        let test = TestRouter()
        apply(test, Self.policy(1, []), Self.attach(test, 4, ingress: [1]))
        func bridged(to mac: MACAddress) -> [UInt8] {
            let whole = Array(Golden.bridgedBackInVXLAN[..<50]) + mac.bytes + Golden.bridgedBackInVXLAN[56...]
            return Array(whole[..<80]) + [10, 1, 0, 12] + whole[84...]
        }
        func sent(to mac: MACAddress) -> [UInt8] {
            var frame = bridged(to: mac)
            frame.withUnsafeMutableBytes { IPv4($0.baseAddress! + 64).updateChecksum() }
            return frame
        }
        // To blue1, of which the address is not, and nobody's policies are asked; then to blue2.
        test.send(sent(to: TestRouter.a), sent(to: TestRouter.c), from: test.fabric)
        test.send(sent(to: TestRouter.c), from: test.fabric)
        #expect(test.blue1.take().count == 1 && test.blue2.take().isEmpty && test.allDrops == ["flow_action_drop": 2])
    }

    @Test("A flow may be routed and bridged in turns") func bothWays() {
        let test = TestRouter()
        apply(test, Self.policy(1, [PolicyRule(service: Self.dns)]), Self.attach(test, 4, ingress: [1]))
        let frame = Self.frame(GoldenPolicy.udp53, to: TestRouter.c)
        for _ in 0..<3 { test.send(frame, GoldenPolicy.udp53, frame, GoldenPolicy.udp53, from: test.blue1) }
        let expected = [frame, GoldenPolicy.udp53Delivered]
        #expect(test.blue2.take() == (0..<6).flatMap { _ in expected } && test.allDrops.isEmpty)
        #expect(flows(test).count == 2)
    }

    @Test("What comes out of a tunnel is asked about like everything else") func tunnelled() {
        let test = TestRouter()
        apply(
            test, Self.group("10.1.0.14/32"), Self.policy(1, [PolicyRule(remote: .group(Self.clients), service: Self.dns)]),
            Self.attach(test, 4, ingress: [1]))
        test.send(GoldenPolicy.tunnelled, from: test.fabric)
        #expect(test.blue2.take().isEmpty && test.allDrops == ["flow_action_drop": 1])
        // A member joins: the flow that was denied is one that passes.
        apply(test, Self.group("10.1.0.13/32", "10.1.0.14/32"))
        test.send(GoldenPolicy.tunnelled, from: test.fabric)
        #expect(test.blue2.take() == [GoldenPolicy.tunnelledDelivered])
    }

    @Test("A change stops what it forbids, and touches nothing else") func change() {
        let test = TestRouter()
        let both = PolicyRule(service: .ports(proto: 17, destination: [53...54], source: []))
        apply(test, Self.policy(1, [both]), Self.attach(test, 4, ingress: [1]))
        for packet in [GoldenPolicy.udp53, GoldenPolicy.udp54, GoldenPolicy.udp53v6] { test.send(packet, from: test.blue1) }
        #expect(test.blue2.take() == [GoldenPolicy.udp53Delivered, GoldenPolicy.udp54Delivered, GoldenPolicy.udp53v6Delivered])
        let before = flows(test).first { $0.spec.key.destinationPort == 54 }
        apply(test, Self.policy(1, [PolicyRule(service: .ports(proto: 17, destination: [54...54], source: []))]))
        #expect(flows(test).filter { $0.dropReason == .outSecurityGroup }.count == 4)
        for packet in [GoldenPolicy.udp53, GoldenPolicy.udp54, GoldenPolicy.udp53v6] { test.send(packet, from: test.blue1) }
        #expect(test.blue2.take() == [GoldenPolicy.udp54Delivered])
        // The answer to what is forbidden now is forbidden too.
        test.send(GoldenPolicy.answer53, from: test.blue2)
        #expect(test.blue1.take().isEmpty && test.allDrops == ["flow_action_drop": 3])
        let after = flows(test).first { $0.spec.key.destinationPort == 54 }
        #expect(after?.index == before?.index && after?.generation == before?.generation && after?.packets == 2)
        // And back.
        apply(test, Self.policy(1, [both]))
        test.send(GoldenPolicy.udp53, from: test.blue1)
        test.send(GoldenPolicy.answer53, from: test.blue2)
        #expect(test.blue2.take() == [GoldenPolicy.udp53Delivered] && test.blue1.take() == [GoldenPolicy.answer53Delivered])
        #expect(flows(test).count == 6 && flows(test).allSatisfy { $0.spec.action == .forward })
    }

    @Test("A policy that comes later holds for flows that are there; programmed ones stay as they were programmed") func attachedLater() {
        let test = TestRouter()
        let key = FlowKeySpec(
            vrf: .init(1), source: IPAddress("10.1.0.11")!, destination: IPAddress("10.1.0.12")!, proto: 17, sourcePort: 4000, destinationPort: 54)
        apply(test, .upsert(.flow(FlowSpec(key: key, action: .forward))), Self.policy(1, []))
        // The flow is made while nobody asks by which vif it leaves.
        test.send(GoldenPolicy.udp53, from: test.blue1)
        apply(test, Self.attach(test, 4, ingress: [1]))
        test.send(GoldenPolicy.udp53, from: test.blue1)
        test.send(GoldenPolicy.udp54, from: test.blue1)
        #expect(test.blue2.take() == [GoldenPolicy.udp53Delivered, GoldenPolicy.udp54Delivered])
        // Without policies the vif takes everything again.
        apply(test, Self.attach(test, 4))
        test.send(GoldenPolicy.udp53, from: test.blue1)
        #expect(test.blue2.take() == [GoldenPolicy.udp53Delivered])
        #expect(test.allDrops == ["flow_action_drop": 1])
    }

    @Test("A route that moves a flow to another workload asks that one's policies") func moved() {
        let test = TestRouter()
        apply(test, Self.policy(1, []), Self.attach(test, 4, ingress: [1]))
        func lead(to nextHop: UInt32) -> RouterOperation {
            .upsert(.route(RouteSpec(vrf: .init(1), prefix: IPPrefix("10.1.0.12/32")!, nextHop: .init(nextHop))))
        }
        // First to a subnet behind the fabric, then to blue2.
        apply(test, .upsert(.route(RouteSpec(vrf: .init(1), prefix: IPPrefix("10.1.0.12/32")!, nextHop: .init(2), label: 5003))))
        test.send(GoldenPolicy.udp53, from: test.blue1)
        #expect(test.fabric.take().count == 1)
        apply(test, lead(to: 40))
        for _ in 0..<2 { test.send(GoldenPolicy.udp53, from: test.blue1) }
        #expect(test.blue2.take().isEmpty && test.allDrops == ["flow_action_drop": 2])
        #expect(flows(test).allSatisfy { $0.dropReason == .outSecurityGroup })
    }

    @Test("Protocols without ports have flows, and ICMP goes by type and code") func otherProtocols() {
        let test = TestRouter()
        apply(test, Self.policy(1, [PolicyRule(service: .icmp(proto: 1, type: 8, code: nil))]), Self.attach(test, 4, ingress: [1]))
        test.send(GoldenPolicy.echo, from: test.blue1)
        test.send(GoldenPolicy.timestamp, from: test.blue1)
        test.send(GoldenPolicy.gre, from: test.blue1)
        #expect(test.blue2.take() == [GoldenPolicy.echoDelivered])
        #expect(test.allDrops == ["flow_action_drop": 2] && flows(test).count == 6)
        apply(test, Self.policy(1, [PolicyRule(service: .proto(47))]))
        test.send(GoldenPolicy.echo, from: test.blue1)
        test.send(GoldenPolicy.gre, from: test.blue1)
        test.send(GoldenPolicy.cutTCP, from: test.blue1)
        #expect(test.blue2.take() == [GoldenPolicy.greDelivered])
        #expect(test.allDrops == ["flow_action_drop": 3, "pull": 1])
    }

    struct Ported: Sendable, CustomTestStringConvertible {
        var proto: UInt8, inside: [UInt8], delivered: [UInt8], outside: [UInt8]
        var testDescription: String { "\(proto)" }
    }
    @Test(
        "Every protocol that a rule can give ports has them",
        arguments: [
            Ported(proto: 132, inside: GoldenPolicy.sctp53, delivered: GoldenPolicy.sctp53Delivered, outside: GoldenPolicy.sctp54),
            Ported(proto: 33, inside: GoldenPolicy.dccp53, delivered: GoldenPolicy.dccp53Delivered, outside: GoldenPolicy.dccp54),
            Ported(proto: 136, inside: GoldenPolicy.udpLite53, delivered: GoldenPolicy.udpLite53Delivered, outside: GoldenPolicy.udpLite54),
            Ported(proto: 17, inside: GoldenPolicy.udp53, delivered: GoldenPolicy.udp53Delivered, outside: GoldenPolicy.udp54),
        ]) func portsOfProtocols(_ it: Ported)
    {
        let test = TestRouter()
        apply(
            test, Self.policy(1, [PolicyRule(service: .ports(proto: it.proto, destination: [53...53], source: [4000...4000]))]),
            Self.attach(test, 4, ingress: [1]))
        test.send(it.inside, from: test.blue1)
        test.send(it.outside, from: test.blue1)
        #expect(test.blue2.take() == [it.delivered] && test.allDrops == ["flow_action_drop": 1])
        #expect(flows(test).contains { $0.isForward && $0.spec.key.sourcePort == 4000 && $0.spec.key.destinationPort == 53 })
        // A rule for every port of it holds for both.
        apply(test, Self.policy(1, [PolicyRule(service: .ports(proto: it.proto, destination: [0...65_535], source: []))]))
        test.send(it.outside, from: test.blue1)
        #expect(test.blue2.take().count == 1)
    }

    @Test("A rule with ports is never about a protocol that has none, whatever its ports are") func portless() {
        let test = TestRouter()
        let all = [6, 17, 33, 132, 136].map { PolicyRule(service: .ports(proto: $0, destination: [0...65_535], source: [])) }
        apply(test, Self.policy(1, all), Self.attach(test, 4, ingress: [1]))
        for packet in [GoldenPolicy.gre, GoldenPolicy.esp, GoldenPolicy.echo, GoldenPolicy.timestamp] { test.send(packet, from: test.blue1) }
        #expect(test.blue2.take().isEmpty && test.allDrops == ["flow_action_drop": 4])
        // Nor is a piece of one that has: it has no ports to ask about.
        test.send(GoldenPolicy.cutSCTP, from: test.blue1)
        test.send(GoldenPolicy.cutTCP, from: test.blue1)
        #expect(test.blue2.take().isEmpty && test.allDrops == ["flow_action_drop": 4, "pull": 2])
    }

    @Test("Answers over SCTP find their flow") func answersOfSCTP() {
        let test = TestRouter()
        apply(
            test, Self.policy(1, [PolicyRule(service: .ports(proto: 132, destination: [53...53], source: []))]), Self.policy(2, []),
            Self.attach(test, 3, ingress: [2]), Self.attach(test, 4, ingress: [1]))
        test.send(GoldenPolicy.sctp53, from: test.blue1)
        test.send(GoldenPolicy.answerSCTP53, from: test.blue2)
        #expect(test.blue2.take() == [GoldenPolicy.sctp53Delivered] && test.blue1.take() == [GoldenPolicy.answerSCTP53Delivered])
    }

    /// The router has lost the flow (it was idle, or the router is new), and the answer comes first.
    @Test("A flow that an echo reply made is decided as one, and stays decided so", arguments: [false, true]) func echoReplies(isIPv6: Bool) {
        let test = TestRouter()
        let proto: UInt8 = isIPv6 ? 58 : 1, reply: UInt8 = isIPv6 ? 129 : 0, request: UInt8 = isIPv6 ? 128 : 8
        let packet = isIPv6 ? GoldenPolicy.echoReply6 : GoldenPolicy.echoReply
        let delivered = isIPv6 ? GoldenPolicy.echoReply6Delivered : GoldenPolicy.echoReplyDelivered
        func rule(_ type: UInt8) -> PolicyRule { PolicyRule(service: .icmp(proto: proto, type: type, code: nil)) }
        apply(test, Self.policy(1, [rule(request)]), Self.attach(test, 4, ingress: [1]))
        test.send(packet, from: test.blue1)
        #expect(test.blue2.take().isEmpty && test.allDrops == ["flow_action_drop": 1])
        // A change that says nothing about it, and makes everything be asked again.
        apply(test, Self.policy(1, [rule(request), PolicyRule(service: .proto(47))]))
        test.send(packet, from: test.blue1)
        #expect(test.blue2.take().isEmpty && flows(test).allSatisfy { $0.spec.action == .drop })
        apply(test, Self.policy(1, [rule(reply)]))
        test.send(packet, from: test.blue1)
        #expect(test.blue2.take() == [delivered])
        apply(test, Self.policy(1, [rule(reply), PolicyRule(service: .proto(47))]))
        test.send(packet, from: test.blue1)
        #expect(test.blue2.take() == [delivered])
    }

    @Test("An ICMP error goes with the flow it is about, and is nothing without one") func errors() {
        let test = TestRouter()
        apply(
            test, Self.policy(1, [PolicyRule(service: Self.dns)]), Self.policy(2, []), Self.attach(test, 3, ingress: [2]),
            Self.attach(test, 4, ingress: [1]))
        test.send(GoldenPolicy.unreachable, from: test.blue2)
        #expect(test.blue1.take().isEmpty && test.allDrops == ["flow_action_drop": 1])
        test.send(GoldenPolicy.udp53, from: test.blue1)
        test.send(GoldenPolicy.unreachable, from: test.blue2)
        #expect(test.blue1.take() == [GoldenPolicy.unreachableDelivered])
        #expect(flows(test).first { $0.spec.key.sourcePort == 53 }?.packets == 1)
    }

    /// blue1 may talk to 10.1.0.13, and cannot make that flow carry something to blue2, which nobody may talk to.
    @Test("An ICMP error for another than it quotes is a packet like any", arguments: [false, true]) func strayErrors(isIPv6: Bool) {
        let test = TestRouter()
        let error = isIPv6 ? GoldenPolicy.strayError6 : GoldenPolicy.strayError
        let delivered = isIPv6 ? GoldenPolicy.strayError6Delivered : GoldenPolicy.strayErrorDelivered
        let key = FlowKeySpec(
            vrf: .init(1), source: IPAddress(isIPv6 ? "fd00:1::11" : "10.1.0.11")!, destination: IPAddress(isIPv6 ? "fd00:1::13" : "10.1.0.13")!,
            proto: 17, sourcePort: 4000, destinationPort: 53)
        apply(test, .upsert(.flow(FlowSpec(key: key, action: .forward))), Self.policy(1, []), Self.attach(test, 4, ingress: [1]))
        test.send(error, from: test.blue1)
        #expect(test.blue2.take().isEmpty && test.allDrops == ["flow_action_drop": 1])
        #expect(flows(test).filter { $0.spec.key.proto == 17 }.allSatisfy { $0.packets == 0 })
        // Who lets such messages in gets them.
        apply(test, Self.policy(1, [PolicyRule(service: .icmp(proto: isIPv6 ? 58 : 1, type: isIPv6 ? 1 : 3, code: nil))]))
        test.send(error, from: test.blue1)
        #expect(test.blue2.take() == [delivered])
    }

    @Test("A vif that is made with its policies is never without them, nor shut for longer than it takes to make them") func withinTheBatch() {
        let test = TestRouter()
        var between: [[UInt8]] = []
        test.opening.action = {
            test.blue1.input = [GoldenPolicy.udp53, GoldenPolicy.udp54]
            test.router.run(turns: 2)
            between = test.blue2.take()
        }
        apply(
            test, Self.policy(1, [PolicyRule(service: Self.dns)]), Self.attach(test, 4, ingress: [1]),
            .upsert(.port(PortSpec(name: "host", driver: .loopback))))
        #expect(between == [GoldenPolicy.udp53Delivered] && test.allDrops == ["flow_action_drop": 1])
        // Another policy takes its place, and the flow that is there goes on meanwhile; so does a new one that both pass.
        apply(test, .delete(.port("host")))
        test.opening.action = {
            test.blue1.input = [GoldenPolicy.udp53, GoldenPolicy.echo, GoldenPolicy.gre]
            test.router.run(turns: 2)
            between = test.blue2.take()
        }
        apply(
            test, Self.policy(2, [PolicyRule(service: Self.dns), PolicyRule(service: .icmp(proto: 1, type: 8, code: nil))]),
            Self.attach(test, 4, ingress: [2]), .delete(.policy(PolicyID(1))), .upsert(.port(PortSpec(name: "host", driver: .loopback))))
        #expect(between == [GoldenPolicy.udp53Delivered, GoldenPolicy.echoDelivered] && test.allDrops == ["flow_action_drop": 2])
        #expect(test.router.policies(after: nil, limit: 9).map(\.id) == [PolicyID(2)])
        #expect(test.router.tables.policies.load(1) == nil && test.router.tables.policies.count == 1)
    }

    @Test("A new policy that cannot be compiled lets nothing pass, until one of its number can") func tooLarge() {
        let test = TestRouter()
        test.send(GoldenPolicy.udp53, from: test.blue1)
        _ = test.blue2.take()
        test.router.state.withLock { $0.policies.memoryLimit = 0 }
        let outcomes = test.router.apply([Self.policy(1, [PolicyRule(service: Self.dns)]), Self.attach(test, 4, ingress: [1])])
        #expect("\(outcomes[0])".contains("overlap in too many ways") && "\(outcomes[0])".contains("vif 4 (blue2)"))
        #expect(outcomes[1] == .ok)
        // What was there before, and what is new.
        test.send(GoldenPolicy.udp53, GoldenPolicy.echo, from: test.blue1)
        #expect(test.blue2.take().isEmpty && test.allDrops == ["flow_action_drop": 2])
        let question = PolicyQuestion(
            vif: VifID(4), isIngress: true, proto: 17, source: IPAddress("10.1.0.11")!, destination: IPAddress("10.1.0.12")!, sourcePort: 4000,
            destinationPort: 53)
        let explanation = test.router.explain(question)
        #expect(explanation?.action == .deny && explanation?.outcome.verdict == .dropped && explanation?.outcome.decider == .ingress)
        // One that is replaced by one that cannot be compiled stands.
        test.router.state.withLock { $0.policies.memoryLimit = PolicyCompiler.memoryLimit }
        apply(test, Self.policy(1, [PolicyRule(service: Self.dns)]))
        test.send(GoldenPolicy.udp53, from: test.blue1)
        test.router.state.withLock { $0.policies.memoryLimit = 0 }
        let replaced = test.router.apply([Self.policy(1, [PolicyRule(service: .proto(47))])])
        #expect("\(replaced[0])".contains("overlap in too many ways") && !"\(replaced[0])".contains("blue2"))
        test.send(GoldenPolicy.udp53, from: test.blue1)
        #expect(test.blue2.take() == [GoldenPolicy.udp53Delivered, GoldenPolicy.udp53Delivered])
        #expect(test.router.explain(question)?.action == .pass)
    }

    struct Quote: Sendable, CustomTestStringConvertible {
        var name: String, proto: UInt8 = 17, port: UInt16 = 53, isIPv6 = false, error: [UInt8], delivered: [UInt8]
        var testDescription: String { name }
    }
    @Test(
        "Of a flow that is translated, the error and its quote are translated",
        arguments: [
            Quote(name: "from the far end", error: GoldenPolicy.unreachableOfShown, delivered: GoldenPolicy.unreachableDelivered),
            Quote(name: "from a router on the way", error: GoldenPolicy.exceededOfShown, delivered: GoldenPolicy.exceededDelivered),
            Quote(name: "about TCP", proto: 6, port: 80, error: GoldenPolicy.prohibitedOfShown, delivered: GoldenPolicy.prohibitedDelivered),
            Quote(
                name: "about DCCP", proto: 33, port: 80, error: GoldenPolicy.prohibitedOfDCCPShown, delivered: GoldenPolicy.prohibitedDCCPDelivered),
            Quote(
                name: "about UDP-Lite", proto: 136, port: 80, error: GoldenPolicy.prohibitedOfUDPLiteShown,
                delivered: GoldenPolicy.prohibitedUDPLiteDelivered),
            Quote(name: "IPv6", isIPv6: true, error: GoldenPolicy.unreachable6OfShown, delivered: GoldenPolicy.unreachable6Delivered),
        ]) func translatedErrors(_ it: Quote)
    {
        let test = TestRouter()
        let key = FlowKeySpec(
            vrf: .init(1), source: IPAddress(it.isIPv6 ? "fd00:1::11" : "10.1.0.11")!,
            destination: IPAddress(it.isIPv6 ? "fd00:1::12" : "10.1.0.12")!,
            proto: it.proto, sourcePort: 4000, destinationPort: it.port)
        let translation = FlowTranslation(source: IPAddress(it.isIPv6 ? "2001:db8::5" : "203.0.113.5")!, sourcePort: 61001)
        apply(test, .upsert(.flow(FlowSpec(key: key, action: .nat, translation: translation))))
        test.send(it.error, from: test.blue2)
        #expect(test.blue1.take() == [it.delivered])
        // A wrong checksum is not repaired.
        var wrong = it.error
        wrong[wrong.count - 1] ^= 1
        test.send(wrong, from: test.blue2)
        #expect(test.blue1.take().isEmpty && test.allDrops == ["checksum_error": 1])
    }

    /// The key of the other direction is another flow's: no pair can be made, and the policy holds all the same.
    @Test("What can have no entry is asked about, too") func withoutEntry() {
        let test = TestRouter()
        let key = FlowKeySpec(
            vrf: .init(1), source: IPAddress("10.1.0.11")!, destination: IPAddress("10.1.0.12")!, proto: 17, sourcePort: 4000, destinationPort: 53)
        let translation = FlowTranslation(source: IPAddress("203.0.113.5")!, sourcePort: 61001)
        apply(test, .upsert(.flow(FlowSpec(key: key, action: .nat, translation: translation))))
        test.send(GoldenPolicy.answer53, from: test.blue2)
        #expect(test.blue1.take() == [GoldenPolicy.answer53Delivered] && flows(test).count == 2)
        apply(test, Self.policy(1, []), Self.attach(test, 3, ingress: [1]))
        test.send(GoldenPolicy.answer53, from: test.blue2)
        #expect(test.blue1.take().isEmpty && test.allDrops == ["flow_action_drop": 1] && flows(test).count == 2)
    }

    @Test("What makes no sense is refused with the reason, and changes nothing") func refusals() {
        let test = TestRouter()
        func refusal(_ operation: RouterOperation) -> String { "\(test.router.apply([operation])[0])" }
        #expect(refusal(Self.policy(0, [])).contains("0 stands for no policy"))
        #expect(refusal(Self.policy(1, [PolicyRule(remote: .group(AddressGroupID(9)))])).contains("address group 9 does not exist"))
        #expect(refusal(Self.policy(1, [PolicyRule(service: .ports(proto: 1, destination: [], source: []))])).contains("protocol 1 has no ports"))
        #expect(refusal(Self.policy(1, [PolicyRule(service: .icmp(proto: 1, type: nil, code: 3))])).contains("an ICMP code needs a type"))
        #expect(refusal(Self.attach(test, 4, ingress: [1])).contains("policy 1 does not exist"))
        apply(test, Self.group("10.1.0.0/24"), Self.policy(1, [PolicyRule(remote: .group(Self.clients))]), Self.attach(test, 4, ingress: [1]))
        #expect(refusal(.delete(.policy(PolicyID(1)))).contains("vif 4 (blue2) names it"))
        #expect(refusal(.delete(.addressGroup(Self.clients))).contains("policy 1 (p1) names it"))
        #expect(refusal(Self.attach(test, 4, ingress: [1, 1, 1, 1, 1])).contains("4 at most"))
        var spec = test.router.vifs(after: nil, limit: 100).first { $0.spec.id == VifID(4) }!.spec
        spec.keepsFlows = false
        #expect(refusal(.upsert(.vif(spec))).contains("keepsFlows"))
        apply(test, Self.attach(test, 4), .delete(.policy(PolicyID(1))), .delete(.addressGroup(Self.clients)))
        #expect(test.router.policies(after: nil, limit: 10).isEmpty && test.router.addressGroups(after: nil, limit: 10).isEmpty)
    }

    @Test("A connection into another network finds its way back by the other's VRF, and needs no rule for that") func anotherNetwork() {
        let test = TestRouter()
        // blue2 moves to VRF 2; each VRF has the other's route.
        var spec = test.router.vifs(after: nil, limit: 100).first { $0.spec.id == VifID(4) }!.spec
        spec.vrf = VRFID(2)
        (spec.ingressPolicies, spec.egressPolicies) = ([PolicyID(1)], [PolicyID(2)])
        func route(_ vrf: UInt32, _ prefix: String, _ nextHop: UInt32) -> RouterOperation {
            .upsert(.route(RouteSpec(vrf: .init(vrf), prefix: IPPrefix(prefix)!, nextHop: .init(nextHop))))
        }
        apply(
            test, route(2, "10.1.0.11/32", 30), Self.policy(1, [PolicyRule(service: Self.dns)], origin: .networkPolicy),
            Self.policy(2, [], origin: .networkPolicy), .upsert(.vif(spec)))
        test.send(GoldenPolicy.udp53, from: test.blue1)
        #expect(test.blue2.take() == [GoldenPolicy.udp53Delivered])
        test.send(GoldenPolicy.answer53, from: test.blue2)
        #expect(test.blue1.take() == [GoldenPolicy.answer53Delivered])
        #expect(flows(test).map(\.spec.key.vrf.rawValue).sorted() == [1, 2] && test.allDrops.isEmpty)
        // Nothing of its own gets out, as from another port.
        var other = GoldenPolicy.answer53
        other[35] = 54
        test.send(other, from: test.blue2)
        #expect(test.blue1.take().isEmpty && test.allDrops == ["flow_action_drop": 1])
    }
}
