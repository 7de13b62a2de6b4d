import NetTypes
import Testing

@testable import Dataplane

/// Rules with the action trap: who is told, what waits, and what becomes of it. Turn by turn: `TestRouter.run` ends the router's day, and what waits then is dropped.
@Suite("Flows that wait for a decision") struct HeldFlowTests {
    private final class Listener: @unchecked Sendable {
        var traps: [TrapPacket] = []
    }
    private let test = TestRouter()
    private let listener = Listener()

    init() {
        let listener = listener
        _ = test.router.addTrapListener { if $0.reason == .flow { listener.traps.append($0) } }
        apply(
            PolicyPipelineTests.policy(
                1, [PolicyRule(action: .trap, service: .ports(proto: 17, destination: [53...53], source: []))], defaultAction: .pass),
            PolicyPipelineTests.attach(test, 4, ingress: [1]))
    }

    private func apply(_ operations: RouterOperation..., location: SourceLocation = #_sourceLocation) {
        for outcome in test.router.apply(operations) { #expect(outcome == .ok, sourceLocation: location) }
    }
    /// Hands packets to blue1 and takes what came out of blue2.
    private func send(_ packets: [UInt8]..., turns: Int = 2) -> [[UInt8]] {
        test.blue1.input += packets
        test.router.run(turns: turns)
        test.router.deliverTraps()
        return test.blue2.take()
    }
    private func port(_ frame: [UInt8]) -> Int { Int(frame[34]) << 8 | Int(frame[35]) }
    private func numbered(_ number: UInt8) -> [UInt8] {
        var frame = FlowLimitTests.packet(1000)
        frame[frame.count - 1] = number
        return frame
    }

    @Test("The first packet is told of once, and what waited goes on in order once the flow is programmed") func forwards() throws {
        #expect(send(numbered(1), numbered(2), numbered(3), numbered(4)).isEmpty)
        #expect(listener.traps.count == 1 && test.allDrops == ["flow_queue_limit": 1])
        let held = try #require(listener.traps.first?.flow)
        #expect(
            held.key.destinationPort == 53 && held.key.sourcePort == 1000 && listener.traps[0].vif == VifID(3)
                && listener.traps[0].packet.count == numbered(1).count)
        #expect(test.router.flows(from: 0, limit: 9).flows.allSatisfy { $0.spec.action == .hold && $0.packets == 0 })
        #expect(test.router.status().flows.heldPackets == 3 && test.router.status().totals.isBalanced)
        // Others are not concerned.
        var other = FlowLimitTests.packet(1000)
        other[37] = 54
        #expect(send(other).count == 1)
        apply(.upsert(.flow(FlowSpec(key: held.key, action: .forward, cookie: 7))))
        let out = send(numbered(5))
        #expect(out.map { $0.last } == [1, 2, 3, 5])
        let flow = try #require(test.router.flows(from: 0, limit: 9).flows.first { $0.index == held.index })
        #expect(flow.spec.action == .forward && flow.packets == 4 && flow.spec.cookie == 7 && test.router.status().flows.heldPackets == 0)
        // Decided is decided: neither is asked again.
        #expect(send(numbered(6)).count == 1 && listener.traps.count == 1)
        test.run()
    }

    @Test("What is denied, or deleted, is dropped") func drops() throws {
        _ = send(numbered(1))
        let held = try #require(listener.traps.first?.flow)
        apply(.upsert(.flow(FlowSpec(key: held.key, action: .drop))))
        #expect(send().isEmpty && test.allDrops == ["flow_action_drop": 1])
        apply(.delete(.flow(held.key)))
        _ = send(numbered(2))
        let second = try #require(listener.traps.last?.flow)
        #expect(listener.traps.count == 2 && second.key.generation != held.key.generation)
        // The answer to the first comes late.
        guard case .notFound = test.router.apply([.upsert(.flow(FlowSpec(key: held.key, action: .forward)))])[0] else {
            Issue.record("a late answer hit another flow")
            return
        }
        apply(.delete(.flow(second.key)))
        #expect(send().isEmpty && test.allDrops == ["flow_action_drop": 1, "flow_unusable": 1])
        test.run()
    }

    @Test("A translation is decided as well") func translates() throws {
        _ = send(numbered(1))
        let held = try #require(listener.traps.first?.flow)
        apply(.upsert(.flow(FlowSpec(key: held.key, action: .nat, translation: FlowTranslation(sourcePort: 4321)))))
        #expect(send(numbered(2)).map { port($0) } == [4321, 4321])
        test.run()
    }

    @Test("Flows that wait share an external address: each gets a port, and the one that gets none says so") func ports() throws {
        let test = NATRuleTests.router(), listener = Listener()
        _ = test.router.addTrapListener { if $0.reason == .flow { listener.traps.append($0) } }
        for outcome in test.router.apply([
            NATRuleTests.rule(
                1,
                .source(
                    .init(
                        vrf: NATRuleTests.inside, prefix: IPPrefix("10.1.0.0/24")!, outside: NATRuleTests.outside,
                        address: IPAddress("203.0.113.5")!, ports: 61001...61008))),
            PolicyPipelineTests.policy(1, [], defaultAction: .trap), PolicyPipelineTests.attach(test, 3, egress: [1]),
        ]) { #expect(outcome == .ok) }
        for number in 0..<9 {
            var packet = GoldenNATRules.floatingUdp
            packet[35] = UInt8(number)
            (packet[40], packet[41]) = (0, 0)
            test.blue1.input.append(packet)
            test.router.run(turns: 2)
            test.router.deliverTraps()
        }
        #expect(listener.traps.count == 8 && test.allDrops == ["nat_ports_exhausted": 1])
        #expect(Set(listener.traps.compactMap { $0.flow?.index }).count == 8 && test.router.status().flows.heldPackets == 8)
        for trap in listener.traps {
            let flow = try #require(trap.flow)
            #expect(test.router.apply([.upsert(.flow(FlowSpec(key: flow.key, action: .forward)))]) == [.ok])
        }
        test.router.run(turns: 2)
        let sent = NATRuleTests.inner(test.fabric.take())
        #expect(sent.count == 8 && sent.allSatisfy { Array($0[12..<16]) == [203, 0, 113, 5] })
        #expect(Set(sent.map { UInt16($0[20]) << 8 | UInt16($0[21]) }) == Set(61001...61008))
        test.run()
    }

    @Test("A decision that comes while the flow's bucket is in use is not lost") func busy() throws {
        _ = send(numbered(1))
        let held = try #require(listener.traps.first?.flow)
        let flows = test.router.tables.flows
        var key = try #require(FlowKey(held.key))
        let bucket = flows.bucket(flows.primary(flows.hash(&key)))
        #expect(bucket.tryLock())
        let decision = RouterOperation.upsert(
            .flow(FlowSpec(key: held.key, action: .nat, translation: FlowTranslation(sourcePort: 4321))))
        let outcome = test.router.apply([decision])[0]
        bucket.unlock()
        #expect("\(outcome)".contains("try again"))
        apply(decision)
        #expect(send(numbered(2)).map { port($0) } == [4321, 4321])
        test.run()
    }

    @Test("Nobody listens: nothing is held") func nobody() {
        let test = TestRouter()
        for outcome in test.router.apply([
            PolicyPipelineTests.policy(1, [], defaultAction: .trap), PolicyPipelineTests.attach(test, 3, egress: [1]),
        ]) { #expect(outcome == .ok) }
        test.send(numbered(1), from: test.blue1)
        #expect(test.allDrops == ["trap_no_listener": 1] && test.router.flows(from: 0, limit: 9).flows.isEmpty)
    }

    @Test("A workload gets its share of traps, and no more") func share() {
        for number in 0..<30 { _ = send(FlowLimitTests.packet(2000 + UInt16(number) * 10)) }
        #expect(listener.traps.count == 30)
        for number in 0..<400 { _ = send(FlowLimitTests.packet(3000 + UInt16(number) * 10)) }
        #expect((test.allDrops["trap_rate_limited"] ?? 0) + (test.allDrops["flow_queue_limit"] ?? 0) > 0 && listener.traps.count <= 256)
    }

    @Test("A deny of one policy goes before the trap of another; an explanation says trap") func denies() {
        apply(
            PolicyPipelineTests.policy(2, [PolicyRule(action: .deny, service: .proto(17))], defaultAction: .pass),
            PolicyPipelineTests.attach(test, 4, ingress: [1, 2]))
        #expect(send(numbered(1)).isEmpty && listener.traps.isEmpty && test.allDrops == ["flow_action_drop": 1])
        var question = PolicyQuestion(
            vif: VifID(4), isIngress: true, proto: 17, source: IPAddress("10.1.0.11")!, destination: IPAddress("10.1.0.12")!, sourcePort: 9,
            destinationPort: 53)
        #expect(test.router.explain(question)?.action == .deny)
        apply(PolicyPipelineTests.attach(test, 4, ingress: [1]))
        #expect(test.router.explain(question)?.action == .trap)
        question.destinationPort = 54
        #expect(test.router.explain(question)?.action == .pass)
        // The flow that was denied is asked about now.
        #expect(send(numbered(2)).isEmpty && listener.traps.count == 1)
        test.run()
    }

    private func trapping(_ more: PolicyRule..., defaultAction: PolicyAction = .pass) -> RouterOperation {
        PolicyPipelineTests.policy(
            1, more + [PolicyRule(action: .trap, service: .ports(proto: 17, destination: [53...53], source: []))], defaultAction: defaultAction)
    }
    private let denied = PolicyRule(action: .deny, service: .proto(17))
    private var flows: [FlowReading] { test.router.flows(from: 0, limit: 9).flows }

    @Test("What has been decided holds while the policies leave it to be decided, and no longer", arguments: [FlowAction.forward, .drop])
    func decidedWithinPolicies(_ answer: FlowAction) throws {
        _ = send(numbered(1))
        let held = try #require(listener.traps.first?.flow)
        apply(.upsert(.flow(FlowSpec(key: held.key, action: answer, cookie: 7))))
        #expect(send().count == (answer == .forward ? 1 : 0))
        // A change that does not concern it: nobody is asked again, and nothing is lost.
        apply(trapping(PolicyRule(action: .deny, service: .proto(132))))
        #expect(send(numbered(2)).count == (answer == .forward ? 1 : 0) && listener.traps.count == 1)
        apply(trapping(denied))
        #expect(send(numbered(3)).isEmpty && listener.traps.count == 1)
        #expect(flows.allSatisfy { $0.spec.action == .drop && $0.dropReason == .outSecurityGroup })
        // It is asked about anew, and what had been said is not taken for the answer.
        apply(trapping())
        #expect(send(numbered(4)).isEmpty && listener.traps.count == 2)
        let second = try #require(listener.traps.last?.flow)
        apply(.upsert(.flow(FlowSpec(key: second.key, action: .drop))))
        #expect(send().isEmpty)
        // Nor does anybody have to be asked where a rule passes it.
        apply(PolicyPipelineTests.policy(1, [], defaultAction: .pass))
        #expect(send(numbered(5)).map { $0.last } == [5] && listener.traps.count == 2)
        test.run()
    }

    @Test("An answer that a deny has overtaken changes nothing") func overtaken() throws {
        _ = send(numbered(1))
        let held = try #require(listener.traps.first?.flow)
        apply(trapping(denied))
        guard case .notFound = test.router.apply([.upsert(.flow(FlowSpec(key: held.key, action: .forward)))])[0] else {
            Issue.record("the answer hit a flow that is denied")
            return
        }
        #expect(send(numbered(2)).isEmpty && flows.allSatisfy { $0.spec.action == .drop })
        test.run()
    }

    @Test("What a client programs of its own accord is no policy's business") func programmed() throws {
        _ = send(numbered(1))
        var key = try #require(listener.traps.first?.flow).key
        key.generation = nil
        apply(.upsert(.flow(FlowSpec(key: key, action: .forward))))
        apply(trapping(denied))
        #expect(send(numbered(2)).count == 2)
        test.run()
    }

    @Test("A rule that logs tells of what it holds, once") func logs() throws {
        var rule = PolicyRule(name: "ask", action: .trap, service: .proto(17))
        rule.logs = true
        apply(PolicyPipelineTests.policy(1, [rule], defaultAction: .pass))
        _ = send(numbered(1), numbered(2))
        let told = test.router.policyLog()
        #expect(told.count == 1 && told.first?.ruleName == "ask" && told.first?.action == .trap && told.first?.dropReason == .undecided)
        test.run()
    }
}
