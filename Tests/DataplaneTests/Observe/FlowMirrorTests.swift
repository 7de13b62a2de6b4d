import NetTypes
import Testing

@testable import Dataplane

/// Copies of the packets of a flow, both directions, and of no other.
@Suite("Mirrors of flows") struct FlowMirrorTests {
    @Test("A flow's packets are copied to the mirror that it names") func copies() throws {
        let test = TestRouter(withHost: true)
        func apply(_ operation: RouterOperation, _ expected: RouterOutcome = .ok) { #expect(test.router.apply([operation]) == [expected]) }
        test.send(FlowLimitTests.packet(1000), FlowLimitTests.packet(1001), from: test.blue1)
        _ = test.blue2.take()
        let flow = try #require(test.router.flows(from: 0, limit: 9).flows.first { $0.spec.key.sourcePort == 1000 })
        var spec = FlowSpec(key: flow.spec.key, action: .forward)
        spec.mirror = 7
        guard case .notFound = test.router.apply([.upsert(.flow(spec))])[0] else {
            Issue.record("a mirror that does not exist was named")
            return
        }
        apply(.upsert(.mirror(MirrorSpec(id: 7, sources: [], destination: .vif(VifID(1))))))
        apply(.upsert(.flow(spec)))
        #expect(test.router.flows(from: 0, limit: 9).flows.filter { $0.spec.mirror == 7 }.count == 2)
        test.send(FlowLimitTests.packet(1000), FlowLimitTests.packet(1001), from: test.blue1)
        #expect(test.blue2.take().count == 2 && test.host.take() == [FlowLimitTests.packet(1000)])
        var answer = GoldenPolicy.answer53
        (answer[36], answer[37], answer[40], answer[41]) = (3, 0xE8, 0, 0)
        test.send(answer, from: test.blue2)
        #expect(test.blue1.take().count == 1 && test.host.take() == [answer])
        #expect(test.router.mirrors(after: nil, limit: 9).first?.copies == 2)
        // Without the mirror the flow goes on.
        apply(.delete(.mirror(7)))
        test.send(FlowLimitTests.packet(1000), from: test.blue1)
        #expect(test.blue2.take().count == 1 && test.host.take().isEmpty)
    }
}
