import NetTypes
import Synchronization
import Testing

@testable import Dataplane

/// Who sees which frames of a port with sub-interfaces, and what monitoring vifs get.
@Suite struct MonitoringTests {
    /// On a port with VLANs the parent's observers see the wire, the sub-interface's its own network.
    @Test(arguments: [
        (GoldenBridging.tagged, GoldenBridging.answerTagged, UInt32(50)),
        (GoldenBridging.serviceTagged, GoldenBridging.answerServiceTagged, UInt32(51)),
    ])
    func subInterfacesAreSeenWithoutTheirTags(frame: [UInt8], answer: [UInt8], vif: UInt32) throws {
        let test = SubInterfaceTests.router()
        SubInterfaceTests.move(test, to: vif * 10 + 1)
        let parent = try #require(test.router.startCapture(CaptureSpec(vif: VifID(3))).capture)
        let own = try #require(test.router.startCapture(CaptureSpec(vif: VifID(vif))).capture)
        let received = try #require(test.router.startCapture(CaptureSpec(vif: VifID(vif), direction: .received)).capture)
        let other = try #require(test.router.startCapture(CaptureSpec(vif: VifID(101 - vif))).capture)
        test.send(frame, from: test.blue1)
        test.send(GoldenBridging.answer, from: test.blue2)
        #expect(test.blue2.take() == [GoldenBridging.untagged] && test.blue1.take() == [answer])
        let seen = parent.take(limit: 10)
        #expect(seen.map(\.octets) == [frame, answer] && seen.map(\.isSent) == [false, true] && seen.map(\.vif) == [VifID(3), VifID(3)])
        let inside = own.take(limit: 10)
        #expect(inside.map(\.octets) == [GoldenBridging.untagged, GoldenBridging.answer])
        #expect(inside.map(\.isSent) == [false, true] && inside.map(\.vif) == [VifID(vif), VifID(vif)])
        #expect(received.take(limit: 10).map(\.octets) == [GoldenBridging.untagged])
        #expect(other.take(limit: 10).isEmpty)
    }

    /// A copy that leaves by a sub-interface gets its tags and is seen by nobody.
    @Test func copiesLeaveBySubInterfaces() throws {
        let test = SubInterfaceTests.router()
        let mirror = MirrorSpec(id: 1, sources: [.init(vif: VifID(4), direction: .received)], destination: .vif(VifID(50)))
        #expect(test.router.apply([.upsert(.mirror(mirror))]) == [.ok])
        let parent = try #require(test.router.startCapture(CaptureSpec(vif: VifID(3), direction: .sent)).capture)
        let own = try #require(test.router.startCapture(CaptureSpec(vif: VifID(50))).capture)
        test.send(GoldenBridging.answer, from: test.blue2)
        #expect(test.blue1.take() == [GoldenBridging.answer, GoldenBridging.answerTagged])
        #expect(parent.take(limit: 10).map(\.octets) == [GoldenBridging.answer] && own.take(limit: 10).isEmpty)
    }

    private static func monitoring(_ id: UInt32, _ watched: UInt32?, port: String = "host") -> VifSpec {
        var spec = VifSpec(id: VifID(id), name: "mon\(id)", kind: .monitoring, port: port, vrf: VRFID(0), mac: .gateway)
        spec.monitors = watched.map { VifID($0) }
        return spec
    }
    private static func router() -> TestRouter {
        let test = TestRouter()
        #expect(test.router.apply([.upsert(.port(PortSpec(name: "host", driver: .loopback)))]) == [.ok])
        return test
    }

    @Test func aMonitoringVifGetsWhatAnotherReceivesAndSends() {
        let test = Self.router()
        #expect(test.router.apply([.upsert(.vif(Self.monitoring(9, 3)))]) == [.ok])
        test.send(Golden.routed, from: test.blue1)
        test.send(Golden.backInVXLAN, from: test.fabric)
        #expect(test.fabric.take().count == 1 && test.blue1.take().count == 1)
        #expect(test.host.take() == [Golden.routed, Golden.backDelivered])
        // It watches another now.
        #expect(test.router.apply([.upsert(.vif(Self.monitoring(9, 0)))]) == [.ok])
        test.send(Golden.routed, from: test.blue1)
        #expect(test.host.take().map(withoutEntropy) == [Golden.routedInVXLAN])
        // Nothing is taken from it.
        test.send(Golden.routed, from: test.host)
        #expect(test.allDrops == ["interface_drop": 1])
        _ = test.fabric.take()
        #expect(test.router.apply([.delete(.vif(VifID(9)))]) == [.ok])
        test.send(Golden.routed, from: test.blue1)
        #expect(test.fabric.take().count == 1 && test.host.take().isEmpty)
        #expect(test.router.tables.observation.load(ordering: .relaxed) == nil)
    }

    @Test func refusesWhatCannotBe() {
        let test = Self.router()
        func outcome(_ spec: VifSpec) -> RouterOutcome { test.router.apply([.upsert(.vif(spec))])[0] }
        #expect(outcome(Self.monitoring(9, nil)) == .invalid("vif 9 (mon9): a monitoring vif needs a vif to watch"))
        #expect(outcome(Self.monitoring(9, 77)) == .notFound("vif 9 (mon9): vif 77 does not exist; create it first"))
        #expect(outcome(Self.monitoring(9, 9)) == .notFound("vif 9 (mon9): vif 9 does not exist; create it first"))
        var flows = Self.monitoring(9, 3)
        flows.keepsFlows = true
        #expect(
            outcome(flows) == .invalid("vif 9 (mon9): nothing is taken from a monitoring vif: it has no addresses, flows, checks, marks or floods"))
        var workload = Self.monitoring(9, 3)
        workload.kind = .virtual
        #expect(outcome(workload) == .invalid("vif 9 (mon9): a vif of kind virtual watches no other; that is for monitoring vifs"))
        #expect(outcome(Self.monitoring(9, 3)) == .ok)
        #expect(outcome(Self.monitoring(9, 9)) == .invalid("vif 9 (mon9): vif 9 is a monitoring vif; its frames are copies"))
        let sub = VifSpec(
            id: VifID(52), name: "sub", kind: .vlan, port: "", vrf: VRFID(1), mac: .gateway, vlan: VLANSpec(parent: VifID(3), id: 7))
        #expect(
            test.router.apply([.upsert(.vif(sub)), .upsert(.vif(Self.monitoring(9, 52))), .delete(.vif(VifID(52))), .delete(.vif(VifID(9)))]) == [
                .ok, .ok, .inUse("vif 52 (sub): monitoring vif 9 (mon9) watches it; delete that first"), .ok,
            ])
        #expect(test.router.apply([.delete(.vif(VifID(52)))]) == [.ok])
    }
}
