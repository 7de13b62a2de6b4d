import NetTypes
import Testing

@testable import Dataplane

/// Rules that mirror what they pass, and rules that tell what they decide. blue1 is vif 3, blue2 vif 4 of one router; vif 1 is the host's.
@Suite("Policies: rules that mirror and log") struct PolicyMirrorLogTests {
    typealias Pipeline = PolicyPipelineTests
    private func apply(_ test: TestRouter, _ operations: RouterOperation..., location: SourceLocation = #_sourceLocation) {
        for outcome in test.router.apply(operations) { #expect(outcome == .ok, sourceLocation: location) }
    }
    private static let mirror = RouterOperation.upsert(.mirror(MirrorSpec(id: 7, sources: [], destination: .vif(VifID(1)))))
    private static func rules(mirror: UInt8 = 0, logs: Bool = false) -> [PolicyRule] {
        [
            PolicyRule(name: "dns", service: Pipeline.dns, mirror: mirror, logs: logs), PolicyRule(name: "other", action: .deny, logs: logs),
        ]
    }

    @Test("Both directions of what a rule passes are copied, and nothing else") func mirrors() {
        let test = TestRouter(withHost: true)
        // The rule is there before its mirror: nothing is copied, everything passes.
        apply(test, Pipeline.policy(1, Self.rules(mirror: 7) + [PolicyRule(service: .proto(1))]), Pipeline.attach(test, 4, ingress: [1]))
        test.send(GoldenPolicy.udp53, from: test.blue1)
        #expect(test.blue2.take() == [GoldenPolicy.udp53Delivered] && test.host.take().isEmpty)
        apply(test, Self.mirror)
        test.send(GoldenPolicy.udp53, GoldenPolicy.udp54, from: test.blue1)
        #expect(test.blue2.take() == [GoldenPolicy.udp53Delivered] && test.host.take() == [GoldenPolicy.udp53])
        test.send(GoldenPolicy.answer53, from: test.blue2)
        #expect(test.blue1.take() == [GoldenPolicy.answer53Delivered] && test.host.take() == [GoldenPolicy.answer53])
        // A change of the rule is one for the flow that is there, either way.
        apply(test, Pipeline.policy(1, Self.rules()))
        test.send(GoldenPolicy.udp53, from: test.blue1)
        #expect(test.blue2.take().count == 1 && test.host.take().isEmpty)
        apply(test, Pipeline.policy(1, Self.rules(mirror: 7)))
        test.send(GoldenPolicy.answer53, from: test.blue2)
        #expect(test.blue1.take().count == 1 && test.host.take() == [GoldenPolicy.answer53])
        // What is denied is not mirrored, and not while it was passed before.
        apply(test, Pipeline.policy(1, [PolicyRule(action: .deny)]))
        test.send(GoldenPolicy.udp53, from: test.blue1)
        #expect(test.blue2.take().isEmpty && test.host.take().isEmpty)
        let refused = test.router.apply([Pipeline.policy(2, [PolicyRule(name: "x", action: .deny, mirror: 7)])])
        #expect("\(refused[0])".contains("rule 0 (x): only what passes is mirrored"))
    }

    @Test("The first packet of a flow is mirrored, too") func first() {
        let test = TestRouter(withHost: true)
        apply(test, Self.mirror, Pipeline.policy(1, Self.rules(mirror: 7)), Pipeline.attach(test, 3, egress: [1]))
        test.send(GoldenPolicy.udp53, from: test.blue1)
        #expect(test.blue2.take() == [GoldenPolicy.udp53Delivered] && test.host.take() == [GoldenPolicy.udp53])
    }

    @Test("Each flow that a logging rule decides is told once, with the rule and the verdict") func logs() throws {
        let test = TestRouter()
        apply(
            test, Pipeline.policy(1, Self.rules(logs: true)), Pipeline.policy(2, [PolicyRule(name: "all", logs: false)]),
            Pipeline.attach(test, 3, egress: [2]), Pipeline.attach(test, 4, ingress: [1]))
        // Two packets of one flow in one burst, and then another: one record.
        test.send(GoldenPolicy.udp53, GoldenPolicy.udp53, GoldenPolicy.udp54, from: test.blue1)
        test.send(GoldenPolicy.udp53, from: test.blue1)
        test.send(GoldenPolicy.answer53, from: test.blue2)
        let log = test.router.policyLog()
        #expect(log.count == 2)
        let passed = try #require(log.first { $0.destinationPort == 53 }), denied = try #require(log.first { $0.destinationPort == 54 })
        #expect(passed.ruleName == "dns" && passed.rule == 0 && passed.action == .pass && passed.dropReason == nil && passed.policyName == "p1")
        #expect(passed.source == IPAddress("10.1.0.11") && passed.destination == IPAddress("10.1.0.12") && passed.proto == 17)
        #expect(passed.vif == VifID(4) && passed.isIngress && passed.vrf == VRFID(1) && passed.sourcePort == 4000 && passed.worker == 0)
        #expect(denied.ruleName == "other" && denied.rule == 1 && denied.action == .deny && denied.dropReason == .outSecurityGroup)
        // From where one has read.
        #expect(test.router.policyLog(after: [0: 1]).count == 1 && test.router.policyLog(after: [0: 2]).isEmpty)
        // A change that decides a flow otherwise says so; one that does not says nothing.
        apply(test, Pipeline.policy(1, Self.rules(logs: true) + [PolicyRule()]))
        #expect(test.router.policyLog().count == 2)
        apply(test, Pipeline.policy(1, [PolicyRule(name: "none", action: .deny, logs: true)]))
        let changed = test.router.policyLog().suffix(1)
        #expect(changed.first?.worker == 1 && changed.first?.ruleName == "none" && changed.first?.dropReason == .outSecurityGroup)
        #expect(test.router.policyLog().count == 3)
        // Names stay those that the rules had then.
        #expect(test.router.policyLog().first { $0.destinationPort == 53 && $0.worker == 0 }?.ruleName == "dns")
    }

    @Test("A policy's names are known as long as it is, however often another changes; those of the past are forgotten in turn") func names() {
        let test = TestRouter()
        apply(test, Pipeline.policy(1, [PolicyRule(name: "all", logs: true)]), Pipeline.attach(test, 4, ingress: [1]))
        for round in 0...PolicyLogNames.capacity { apply(test, Pipeline.policy(2, [PolicyRule(name: "round \(round)", logs: true)])) }
        test.send(GoldenPolicy.udp53, from: test.blue1)
        #expect(test.router.policyLog().map(\.ruleName) == ["all"] && test.router.policyLog().first?.policyName == "p1")
        var names = PolicyLogNames()
        let spec = PolicySpec(id: PolicyID(1), name: "p", rules: [PolicyRule(logs: true)])
        for generation in 1...1000 as ClosedRange<UInt32> { names.remember(spec, generation: generation) }
        #expect(names.policies.count == PolicyLogNames.capacity + 1 && names.policies[1000] != nil && names.policies[743] == nil)
        names.retire(spec.id)
        #expect(names.policies.count == PolicyLogNames.capacity && names.policies[1000] != nil)
    }

    @Test("Of ICMP the type and code are told, of IPv6 the whole addresses") func fields() {
        let test = TestRouter()
        apply(test, Pipeline.policy(1, [PolicyRule(name: "all", logs: true)]), Pipeline.attach(test, 4, ingress: [1]))
        test.send(GoldenPolicy.echo, GoldenPolicy.udp53v6, from: test.blue1)
        let log = test.router.policyLog()
        #expect(log.first { $0.proto == 1 }?.destinationPort == 8 << 8)
        #expect(log.first { $0.proto == 17 }?.source == IPAddress("fd00:1::11"))
        #expect(log.first { $0.proto == 17 }?.destination == IPAddress("fd00:1::12"))
    }

    @Test("The verdict is the flow's, whichever rule decides it") func otherVerdict() {
        let test = TestRouter()
        apply(
            test, Pipeline.policy(1, [PolicyRule(name: "all", logs: true)]), Pipeline.policy(2, [], origin: .networkPolicy),
            Pipeline.attach(test, 3, egress: [1]), Pipeline.attach(test, 4, ingress: [2]))
        test.send(GoldenPolicy.udp53, from: test.blue1)
        let log = test.router.policyLog()
        #expect(log.count == 1 && log.first?.action == .pass && log.first?.dropReason == .outPolicy && log.first?.isIngress == false)
    }

    @Test("A full log keeps the latest, and numbers tell what is gone") func overwritten() {
        let log = PolicyLog(capacity: 4)
        let policy = PolicySpec(id: PolicyID(9), name: "p", rules: [PolicyRule(logs: true)])
        guard let compiled = try? PolicyCompiler.compile(policy, generation: 3, groups: { _ in [] }) else { return }
        defer { compiled.deallocate() }
        for port in 1...6 as ClosedRange<UInt16> {
            var findings = log.findings
            withUnsafePointer(to: compiled) { findings.note($0, $0.pointee.byDefault, vif: 5, isIngress: true) }
            let key = FlowKey(vrf: 1, proto: 6, ipv4Source: 1, ipv4Destination: 2, sourcePort: port, destinationPort: 80)
            log.record(findings, key, 80, nil, now: UInt64(port))
        }
        let entries = log.entries(after: 0)
        #expect(entries.map(\.number) == [3, 4, 5, 6] && entries.map(\.key.sourcePort) == [3, 4, 5, 6])
        #expect(entries.allSatisfy { $0.policy == 9 && $0.generation == 3 && $0.vif == 5 && $0.isIngress && $0.reason == PolicyLog.passes })
    }

    @Test("Rules that log are clauses of their own; others of one sense and mirror stay one") func clauses() throws {
        func count(_ rules: [PolicyRule]) throws -> Int {
            let policy = try PolicyCompiler.compile(PolicySpec(id: PolicyID(1), name: "c", rules: rules), groups: { _ in [] })
            defer { policy.deallocate() }
            return policy.clauseCount
        }
        let tcp = PolicyService.proto(6), udp = PolicyService.proto(17)
        #expect(try count([PolicyRule(service: tcp), PolicyRule(service: udp)]) == 1)
        #expect(try count([PolicyRule(service: tcp, mirror: 3), PolicyRule(service: udp, mirror: 3)]) == 1)
        #expect(try count([PolicyRule(service: tcp, mirror: 3), PolicyRule(service: udp, mirror: 4)]) == 2)
        #expect(try count([PolicyRule(service: tcp, logs: true), PolicyRule(service: udp, logs: true)]) == 2)
    }
}
