import NetTypes
import Testing

@testable import Dataplane

/// Rules that make one flow of many connections. Packets are GoldenPolicy.udp53 and answer53 from and to other ports.
@Suite("Fat flows") struct FatFlowTests {
    private func give(_ test: TestRouter, _ vif: UInt32, _ rules: FatFlowRule...) {
        var spec = test.router.vifs(after: nil, limit: 100).first { $0.spec.id == VifID(vif) }!.spec
        spec.fatFlows = rules
        #expect(test.router.apply([.upsert(.vif(spec))]) == [.ok])
    }
    private func flows(_ test: TestRouter) -> [FlowReading] { test.router.flows(from: 0, limit: 100).flows }
    /// blue2's answer to a port of blue1.
    private func answer(_ port: UInt16) -> [UInt8] {
        var frame = GoldenPolicy.answer53
        (frame[36], frame[37]) = (UInt8(port >> 8), UInt8(truncatingIfNeeded: port))
        (frame[40], frame[41]) = (0, 0)
        return frame
    }

    @Test("A server's clients' ports do not matter, in both directions, though only the server's vif has the rule") func server() throws {
        let test = TestRouter()
        give(test, 4, FatFlowRule(proto: 17, port: 53))
        for port in 0..<5 {
            test.send(FlowLimitTests.packet(1000 + UInt16(port)), from: test.blue1)
            #expect(test.blue2.take().count == 1)
            test.send(answer(1000 + UInt16(port)), from: test.blue2)
            #expect(test.blue1.take().count == 1)
        }
        let all = flows(test)
        #expect(all.count == 2 && all.allSatisfy { $0.packets == 5 && $0.isFat })
        let forward = try #require(all.first { $0.isForward })
        #expect(forward.spec.key.sourcePort == 0 && forward.spec.key.destinationPort == 53)
        // Another port of the server's is no concern of the rule's.
        var other = FlowLimitTests.packet(1000)
        other[37] = 54
        test.send(other, from: test.blue1)
        #expect(flows(test).count == 4 && flows(test).filter(\.isFat).count == 2)
    }

    @Test("An address may be ignored too; each packet goes its own way all the same") func address() {
        let test = TestRouter()
        // Of blue1 as a client: whom it asks, and from which port.
        give(test, 3, FatFlowRule(proto: 17, port: 53, ignoredAddress: .remote))
        for port in 0..<3 { test.send(FlowLimitTests.packet(1000 + UInt16(port)), from: test.blue1) }
        #expect(test.blue2.take().count == 3)
        // To blue3, behind the tunnel.
        var far = FlowLimitTests.packet(2000)
        far[33] = 13
        // One less in the header checksum for one more in the address.
        let checksum = (UInt16(far[24]) << 8 | UInt16(far[25])) &- 1
        (far[24], far[25]) = (UInt8(checksum >> 8), UInt8(truncatingIfNeeded: checksum))
        test.send(far, from: test.blue1)
        #expect(test.blue2.take().isEmpty && test.fabric.take().count == 1 && test.allDrops.isEmpty)
        test.send(FlowLimitTests.packet(1000), from: test.blue1)
        test.send(answer(1002), from: test.blue2)
        #expect(test.blue2.take().count == 1 && test.blue1.take().count == 1)
        let all = flows(test)
        #expect(all.count == 2 && all.first { $0.isForward }?.packets == 5 && all.first { !$0.isForward }?.packets == 1)
    }

    @Test("All ports of a protocol; the policies are asked about the packet that comes first, and again when they change") func policies() {
        let test = TestRouter()
        give(test, 4, FatFlowRule(proto: 17))
        let operations = [
            PolicyPipelineTests.policy(1, [PolicyRule(service: PolicyPipelineTests.dns)]), PolicyPipelineTests.attach(test, 4, ingress: [1]),
        ]
        for outcome in test.router.apply(operations) { #expect(outcome == .ok) }
        test.send(FlowLimitTests.packet(1000), from: test.blue1)
        #expect(test.blue2.take().count == 1 && flows(test).count == 2 && flows(test).allSatisfy { $0.spec.key.destinationPort == 0 })
        #expect(test.router.apply([PolicyPipelineTests.policy(1, [])]) == [.ok])
        test.send(FlowLimitTests.packet(1001), from: test.blue1)
        #expect(test.blue2.take().isEmpty && test.allDrops == ["flow_action_drop": 1])
    }

    @Test("An error about a flow that its burst has made is looked at once, whoever has rules") func errors() {
        let test = TestRouter()
        give(test, 4, FatFlowRule(proto: 132))
        test.send(GoldenPolicy.answer53, GoldenPolicy.unreachable, from: test.blue2)
        #expect(test.blue1.take().count == 2 && test.allDrops.isEmpty)
        let all = flows(test)
        #expect(all.count == 4 && all.reduce(0) { $0 + $1.packets } == 2 && all.allSatisfy { $0.packets < 2 && !$0.isFat })
    }

    @Test("What makes no sense is refused in words; without rules keys are whole again") func refused() {
        let test = TestRouter()
        var spec = test.router.vifs(after: nil, limit: 100).first { $0.spec.id == VifID(3) }!.spec
        spec.fatFlows = [FatFlowRule(proto: 1, port: 7)]
        #expect(test.router.apply([.upsert(.vif(spec))]).first != .ok)
        spec.fatFlows = Array(repeating: FatFlowRule(proto: 17), count: 17)
        #expect(test.router.apply([.upsert(.vif(spec))]).first != .ok)
        spec.fatFlows = [FatFlowRule(proto: 17)]
        spec.workloadAddresses = []
        #expect(test.router.apply([.upsert(.vif(spec))]).first != .ok)
        give(test, 3, FatFlowRule(proto: 17))
        give(test, 3)
        test.send(FlowLimitTests.packet(1000), from: test.blue1)
        #expect(flows(test).count == 2 && flows(test).allSatisfy { !$0.isFat && $0.spec.key.sourcePort != 0 })
    }
}
