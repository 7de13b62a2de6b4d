import NetTypes
import Synchronization
import Testing

@testable import Dataplane

/// Flows that are decided again because an address, a route or a vif has moved, and the two directions of what is denied. blue1 is vif 3 (10.1.0.11), blue2 vif 4 (10.1.0.12) of one router.
@Suite("Flows that are decided again") struct DecideAgainTests {
    private typealias Policies = PolicyPipelineTests
    private static let a = "10.1.0.11", b = "10.1.0.12"

    private func apply(_ test: TestRouter, _ operations: [RouterOperation], location: SourceLocation = #_sourceLocation) {
        for (operation, outcome) in zip(operations, test.router.apply(operations)) {
            #expect(outcome == .ok, "\(operation)", sourceLocation: location)
        }
    }
    private func flows(_ test: TestRouter) -> [FlowReading] { test.router.flows(from: 0, limit: 100).flows }

    private enum Kind: CaseIterable { case udp, esp, tcp }
    /// Of blue1 to blue2, or back; routed. `flags`: of TCP.
    private static func packet(_ proto: Kind = .udp, isBack: Bool = false, flags: UInt8 = 0x10) -> [UInt8] {
        let payload: [UInt8]
        switch proto {
        case .udp: payload = DropReasonTests.udp(500, 500)
        case .esp: payload = [0, 0, 1, 0, 0, 0, 0, 1, 7, 7, 7, 7, 7, 7, 7, 7]
        case .tcp:
            payload = (isBack ? [0, 80, 0x9C, 0x40] : [0x9C, 0x40, 0, 80]) + [0, 0, 3, 232, 0, 0, 3, 232, 0x50, flags, 1, 0, 0, 0, 0, 0]
        }
        let number: UInt8 =
            switch proto {
            case .udp: 17
            case .esp: 50
            case .tcp: 6
            }
        return DropReasonTests.ethernet(
            .gateway, isBack ? TestRouter.c : TestRouter.a, 0x0800,
            DropReasonTests.ipv4(isBack ? b : a, isBack ? a : b, proto: number, payload))
    }

    /// Lets a second go by for denied flows.
    private func pass(_ test: TestRouter) {
        for index in UInt32(1)..<100 where test.router.tables.flows.isLive(index) {
            let entry = test.router.tables.flows.entry(index)
            if entry.rememberedGeneration >> 31 == 1 { entry.rememberedGeneration ^= 32 }
        }
    }

    private func explain(_ test: TestRouter, isBack: Bool) -> FlowOutcome.Verdict {
        test.router.explain(
            PolicyQuestion(
                vif: VifID(isBack ? 4 : 3), isIngress: false, proto: 17, source: IPAddress(isBack ? Self.b : Self.a)!,
                destination: IPAddress(isBack ? Self.a : Self.b)!, sourcePort: 500, destinationPort: 500)
        )?.outcome.verdict ?? .dropped
    }

    // MARK: The other direction of what is denied

    @Test("What is denied one way does not stand in the way of what may go the other", arguments: [17, 50, 6]) func otherDirection(number: Int) {
        let proto: Kind = number == 17 ? .udp : number == 50 ? .esp : .tcp
        let test = TestRouter()
        apply(test, [Policies.policy(1, []), Policies.attach(test, 4, ingress: [1])])
        #expect(explain(test, isBack: false) == .dropped && explain(test, isBack: true) == .forwarded)
        test.send(Self.packet(proto), from: test.blue1)
        #expect(test.blue2.take().isEmpty && flows(test).count == 2 && flows(test).allSatisfy { $0.dropReason == .outSecurityGroup })
        test.send(Self.packet(proto, isBack: true), from: test.blue2)
        #expect(test.blue1.take().count == 1)
        // It is blue2's now, and blue1 may answer.
        test.send(Self.packet(proto), from: test.blue1)
        #expect(test.blue2.take().count == 1 && test.allDrops == ["flow_action_drop": 1])
        #expect(flows(test).count == 2 && flows(test).first { $0.isForward }?.ingressVif == VifID(4))
    }

    @Test("Where neither way is allowed, nothing passes, and each asks once while nothing changes") func neither() {
        let test = TestRouter()
        apply(test, [Policies.policy(1, []), Policies.attach(test, 4, ingress: [1], egress: [1])])
        for _ in 0..<3 {
            test.send(Self.packet(), from: test.blue1)
            test.send(Self.packet(isBack: true), from: test.blue2)
        }
        #expect(test.blue1.take().isEmpty && test.blue2.take().isEmpty && test.allDrops == ["flow_action_drop": 6])
        let shown = flows(test)
        #expect(shown.count == 2 && shown.allSatisfy { $0.dropReason == .outSecurityGroup && $0.packets == 3 })
        let generation = test.router.tables.generation.load(ordering: .relaxed)
        for flow in shown {
            let entry = test.router.tables.flows.entry(flow.index)
            #expect(!entry.mayAsk(generation, second: 0) && !entry.mayAsk(generation, second: 17))
        }
    }

    @Test("A denied flow asks when the tables have changed, and another second has come") func pace() {
        let test = TestRouter()
        let entry = test.router.tables.flows.entry(1)
        #expect(entry.mayAsk(7, second: 100))
        entry.noteAsked(7, second: 100)
        #expect(!entry.mayAsk(7, second: 100) && !entry.mayAsk(7, second: 101) && !entry.mayAsk(8, second: 100) && entry.mayAsk(8, second: 101))
        // As a route it is none, under whatever generation.
        #expect(entry.route(generation: 7) == nil && entry.route(generation: 7 << 6 | 100 & 63) == nil)
        entry.remember(nextHop: 40, label: 7, generation: 9)
        entry.noteAsked(7, second: 100)
        #expect(entry.route(generation: 9) == nil && !entry.mayAsk(7, second: 101) && entry.pointee.nextHop == 40)
    }

    /// What is under way when it is forbidden: the far end's packets are answers, and stop as well.
    @Test("What was let through and is forbidden stops in both directions, whatever changes besides", arguments: [17, 50, 6]) func revoked(
        number: Int
    ) {
        let proto: Kind = number == 17 ? .udp : number == 50 ? .esp : .tcp
        let test = TestRouter()
        apply(test, [Policies.policy(1, [PolicyRule()]), Policies.attach(test, 4, ingress: [1])])
        test.send(Self.packet(proto), from: test.blue1)
        test.send(Self.packet(proto, isBack: true), from: test.blue2)
        #expect(test.blue2.take().count == 1 && test.blue1.take().count == 1)
        apply(test, [Policies.policy(1, [])])
        for round in UInt32(0)..<3 {
            test.send(Self.packet(proto, isBack: true), from: test.blue2)
            test.send(Self.packet(proto), from: test.blue1)
            apply(test, [.upsert(.route(RouteSpec(vrf: .init(2), prefix: IPPrefix("10.9.\(round).0/24")!, nextHop: .init(0))))])
            pass(test)
        }
        #expect(test.blue1.take().isEmpty && test.blue2.take().isEmpty && test.allDrops == ["flow_action_drop": 6])
        #expect(flows(test).count == 2 && flows(test).allSatisfy { $0.dropReason == .outSecurityGroup })
        // A connection that blue2 opens is another.
        guard proto == .tcp else { return }
        test.send(Self.packet(.tcp, isBack: true, flags: 0x02), from: test.blue2)
        #expect(test.blue1.take().count == 1)
    }

    @Test("An echo request asks for itself; a reply to what is denied does not") func echo() {
        let test = TestRouter()
        func icmp(_ type: UInt8, isBack: Bool) -> [UInt8] {
            DropReasonTests.ethernet(
                .gateway, isBack ? TestRouter.c : TestRouter.a, 0x0800,
                DropReasonTests.ipv4(isBack ? Self.b : Self.a, isBack ? Self.a : Self.b, proto: 1, [type, 0, ~type, 0xFE, 0, 1, 0, 0]))
        }
        apply(test, [Policies.policy(1, [PolicyRule()]), Policies.attach(test, 4, ingress: [1])])
        test.send(icmp(8, isBack: false), from: test.blue1)
        #expect(test.blue2.take().count == 1)
        apply(test, [Policies.policy(1, [])])
        test.send(icmp(0, isBack: true), from: test.blue2)
        #expect(test.blue1.take().isEmpty)
        pass(test)
        test.send(icmp(8, isBack: true), from: test.blue2)
        #expect(test.blue1.take().count == 1)
    }

    // MARK: What has moved

    @Test("A flow that is denied passes once its address is with somebody who takes it") func stuck() {
        let test = TestRouter()
        apply(test, [Policies.policy(1, []), Policies.attach(test, 4, ingress: [1])])
        test.send(Self.packet(), from: test.blue1)
        apply(test, [.upsert(.route(RouteSpec(vrf: .init(1), prefix: IPPrefix("10.1.0.12/32")!, nextHop: .init(2), label: 5003)))])
        #expect(explain(test, isBack: false) == .forwarded)
        pass(test)
        // More in one burst than the one that asks.
        test.send(Self.packet(), Self.packet(), from: test.blue1)
        #expect(test.fabric.take().count == 2 && test.allDrops == ["flow_action_drop": 1])
        #expect(flows(test).allSatisfy { $0.spec.action == .forward })
        // And back: it is blue2's again.
        apply(test, [.upsert(.route(RouteSpec(vrf: .init(1), prefix: IPPrefix("10.1.0.12/32")!, nextHop: .init(40))))])
        test.send(Self.packet(), from: test.blue1)
        #expect(test.blue2.take().isEmpty && test.fabric.take().isEmpty)
    }

    /// Takes vif 4 away and gives its port, address, label and MAC to another, in one batch, as an agent does.
    private func replaceBlue2(_ test: TestRouter, by id: UInt32 = 9, ingress: [UInt32] = [], egress: [UInt32] = []) -> [RouterOperation] {
        var spec = test.router.vifs(after: nil, limit: 100).first { $0.spec.id == VifID(4) }!.spec
        spec.id = VifID(id)
        spec.ingressPolicies = ingress.map { PolicyID($0) }
        spec.egressPolicies = egress.map { PolicyID($0) }
        let hosts = ["10.1.0.12/32", "fd00:1::12/128"].map { IPPrefix($0)! }
        let one = NextHopID(id * 10), two = NextHopID(id * 10 + 1)
        return hosts.map { .delete(.route(VRFID(1), $0)) } + [
            .delete(.bridgeEntry(VRFID(1), TestRouter.c)), .delete(.label(Label(17))), .delete(.nextHop(NextHopID(40))),
            .delete(.nextHop(NextHopID(41))), .delete(.vif(VifID(4))), .upsert(.vif(spec)),
            .upsert(.nextHop(NextHopSpec(id: one, kind: .encap(vif: spec.id, destination: TestRouter.c, source: .gateway)))),
            .upsert(.nextHop(NextHopSpec(id: two, kind: .encap(vif: spec.id, destination: nil, source: .gateway)))),
            .upsert(.bridgeEntry(BridgeEntrySpec(vrf: .init(1), mac: TestRouter.c, nextHop: two))),
            .upsert(.label(LabelSpec(label: Label(17), nextHop: one))),
        ] + hosts.map { .upsert(.route(RouteSpec(vrf: .init(1), prefix: $0, nextHop: one, proxies: true, mac: TestRouter.c))) }
    }

    enum Way: CaseIterable { case routed, bridged, labelled }
    /// To blue2, by each way that there is to it.
    private func send(_ test: TestRouter, _ way: Way) {
        switch way {
        case .routed: test.send(Self.packet(), from: test.blue1)
        case .bridged: test.send(TestRouter.c.bytes + Self.packet().dropFirst(6), from: test.blue1)
        case .labelled:
            // MPLS over UDP (RFC 7510): label 17, the bottom of the stack, TTL 64.
            let packet = DropReasonTests.ipv4("10.1.0.13", Self.b, proto: 17, DropReasonTests.udp(500, 500))
            test.send(DropReasonTests.outer(6635, [0, 1, 0x11, 64] + packet), from: test.fabric)
        }
    }
    private func answer(_ test: TestRouter, _ way: Way) {
        let to = way == .labelled ? "10.1.0.13" : Self.a
        let mac = way == .bridged ? TestRouter.a : MACAddress.gateway
        test.send(
            DropReasonTests.ethernet(mac, TestRouter.c, 0x0800, DropReasonTests.ipv4(Self.b, to, proto: 17, DropReasonTests.udp(500, 500))),
            from: test.blue2)
    }

    @Test("Who has a port's address after it is asked about the flows that go there", arguments: Way.allCases, [9, 4] as [UInt32])
    func replaced(way: Way, id: UInt32) {
        let test = TestRouter()
        apply(test, [Policies.policy(1, []), Policies.policy(2, [PolicyRule()]), Policies.attach(test, 4, ingress: [2])])
        send(test, way)
        answer(test, way)
        #expect(test.blue2.take().count == 1)
        let before = flows(test).map(\.generation)
        // One that takes it, and may not begin itself: the answer needs no rule. It is the same flow.
        apply(test, replaceBlue2(test, by: id, ingress: [2], egress: [1]))
        answer(test, way)
        send(test, way)
        #expect(test.blue2.take().count == 1 && test.allDrops.isEmpty && flows(test).map(\.generation) == before)
        #expect((way == .labelled ? test.fabric : test.blue1).take().count == 2)
    }

    @Test("A port that comes after another with the same address, and denies, gets nothing", arguments: Way.allCases, [9, 4] as [UInt32])
    func replacedByDeny(way: Way, id: UInt32) {
        let test = TestRouter()
        apply(test, [Policies.policy(1, [])])
        send(test, way)
        answer(test, way)
        #expect(test.blue2.take().count == 1)
        _ = (test.fabric.take(), test.blue1.take())
        apply(test, replaceBlue2(test, by: id, ingress: [1], egress: [1]))
        #expect(flows(test).allSatisfy { $0.spec.action == .forward })
        send(test, way)
        answer(test, way)
        #expect(test.blue2.take().isEmpty && test.blue1.take().isEmpty && test.fabric.take().isEmpty)
        #expect(test.allDrops == ["flow_action_drop": 2] && flows(test).allSatisfy { $0.dropReason == .outSecurityGroup })
    }

    @Test("An address that another vif sends from now: that one's policies are asked") func sender() {
        let test = TestRouter()
        apply(test, [Policies.policy(1, []), Policies.attach(test, 4, egress: [1])])
        func packet(_ mac: MACAddress) -> [UInt8] {
            DropReasonTests.ethernet(.gateway, mac, 0x0800, DropReasonTests.ipv4("10.1.0.50", "10.3.0.9", proto: 17, DropReasonTests.udp(500, 500)))
        }
        func lead(to nextHop: UInt32) -> RouterOperation {
            .upsert(.route(RouteSpec(vrf: .init(1), prefix: IPPrefix("10.1.0.50/32")!, nextHop: .init(nextHop))))
        }
        apply(test, [lead(to: 30)])
        test.send(packet(TestRouter.a), from: test.blue1)
        #expect(test.fabric.take().count == 1)
        apply(test, [lead(to: 40)])
        test.send(packet(TestRouter.c), from: test.blue2)
        #expect(test.fabric.take().isEmpty && test.allDrops == ["flow_action_drop": 1])
    }

    @Test("Flows beside those that have moved are not touched") func beside() {
        let test = TestRouter()
        apply(test, [Policies.policy(1, []), Policies.policy(2, [PolicyRule()]), Policies.attach(test, 3, egress: [2])])
        let other = DropReasonTests.ethernet(
            .gateway, TestRouter.a, 0x0800, DropReasonTests.ipv4(Self.a, "10.3.0.9", proto: 17, DropReasonTests.udp()))
        test.send(other, Self.packet(), from: test.blue1)
        apply(test, replaceBlue2(test, ingress: [1]))
        let tables = test.router.tables
        let asked = flows(test).filter { tables.flows.entry($0.index).action == FlowTable.askAction }
        #expect(asked.count == 2 && asked.allSatisfy { [Self.a, Self.b].contains("\($0.spec.key.destination)") })
        test.send(other, from: test.blue1)
        #expect(test.fabric.take().count == 2 && test.allDrops.isEmpty)
    }
}
