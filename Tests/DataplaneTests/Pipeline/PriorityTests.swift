import NetTypes
import Testing

@testable import Dataplane

/// The priority of VLAN tags (802.1p), in and out, against frames that scapy built (GoldenBridging.swift).
@Suite struct PriorityTests {
    /// The sub-interfaces of `SubInterfaceTests`; DSCP 0, EXP 4 and priority 5 are of class 1: DSCP 8, EXP 1, priority 3. `vif` names the map.
    private static func router(vif: UInt32?, to nextHop: UInt32 = 501) -> TestRouter {
        let test = SubInterfaceTests.router()
        SubInterfaceTests.move(test, to: nextHop)
        let objects: [RouterObject] = [
            .forwardingClass(ForwardingClassSpec(id: 1, dscp: 8, trafficClass: 1, vlanPriority: 3)),
            .forwardingClass(ForwardingClassSpec(id: 2, dscp: 8, trafficClass: 1)),
            .qosMap(QoSMapSpec(id: 9, dscp: [0: 1, 8: 2], trafficClass: [4: 1], vlanPriority: [5: 1])),
        ]
        #expect(test.router.apply(objects.map(RouterOperation.upsert)) == [.ok, .ok, .ok])
        if let vif { change(test, vif) { $0.qosMap = 9 } }
        return test
    }
    private static func change(_ test: TestRouter, _ id: UInt32, _ body: (inout VifSpec) -> Void) {
        guard var spec = test.router.vifs(after: nil, limit: 100).first(where: { $0.spec.id == VifID(id) })?.spec else { return }
        body(&spec)
        #expect(test.router.apply([.upsert(.vif(spec))]) == [.ok])
    }
    /// As GoldenBridging has it: from VLAN 100, out of VLAN 30 in 200.
    private static let tag: [UInt8] = [0x81, 0, 0xA0, 100]

    @Test(arguments: [(GoldenBridging.answerMarked, UInt32(501)), (GoldenBridging.answerMarkedTwice, UInt32(511))])
    func theClassOfAnIPPacket(marked: [UInt8], nextHop: UInt32) {
        let test = Self.router(vif: 4, to: nextHop)
        test.send(GoldenBridging.answer, from: test.blue2)
        #expect(test.blue1.take() == [marked])
        // A class without a priority: 0.
        var other = GoldenBridging.answer
        other.withUnsafeMutableBytes {
            let ip = IPv4($0.baseAddress! + 14)
            ip.dscp = 8
            ip.updateChecksum()
        }
        test.send(other, from: test.blue2)
        #expect(test.blue1.take().map { $0[14] >> 5 } == [0])
    }

    @Test func everyFragmentHasIt() {
        let test = Self.router(vif: 4)
        Self.change(test, 50) { $0.mtu = 596 }
        test.send(GoldenBridging.longAnswer, from: test.blue2)
        #expect(test.blue1.take() == [GoldenBridging.longAnswerMarked1, GoldenBridging.longAnswerMarked2])
        // Nothing of it stays for those that come after.
        Self.change(test, 4) { $0.qosMap = 0 }
        test.send(GoldenBridging.longAnswer, from: test.blue2)
        #expect(test.blue1.take().map { $0[14] >> 5 } == [0, 0])
    }

    @Test func fromTheLabelOfATunnel() {
        let test = Self.router(vif: 0)
        #expect(
            test.router.apply([
                .upsert(.nextHop(NextHopSpec(id: .init(500), kind: .encap(vif: .init(50), destination: TestRouter.a, source: .gateway)))),
                .upsert(.label(LabelSpec(label: .init(16), nextHop: .init(500)))),
            ]) == [.ok, .ok])
        var frame = Golden.backInMPLSoUDP
        frame[44] |= 4 << 1
        test.send(frame, from: test.fabric)
        #expect(test.blue1.take().map { [$0[14], $0[15], $0[19] >> 2] } == [[3 << 5, 100, 8]])
    }

    @Test func ofWhatIsNotIP() {
        // Kept from one tag to the other.
        let plain = Self.router(vif: nil, to: 511)
        plain.send(GoldenBridging.experiment, from: plain.blue1)
        #expect(plain.blue1.take() == [GoldenBridging.experimentKept])
        // Looked up.
        let test = Self.router(vif: 50, to: 511)
        test.send(GoldenBridging.experiment, from: test.blue1)
        #expect(test.blue1.take() == [GoldenBridging.experimentMarked])
        // What the map does not mention is kept.
        var other = GoldenBridging.experiment
        other[14] = 6 << 5
        test.send(other, from: test.blue1)
        #expect(test.blue1.take().map { [$0[14] >> 5, $0[18] >> 5] } == [[6, 6]])
        // Into a tunnel: the DSCP of the class is the outer header's.
        test.send(GoldenBridging.experimentToPeer, from: test.blue1)
        #expect(test.fabric.take().map(withoutEntropy) == [withoutEntropy(GoldenBridging.experimentInVXLAN)])
    }

    /// A routed packet comes with the priority of another network: its own is 0.
    @Test func routedPacketsLoseIt() {
        let test = Self.router(vif: nil)
        var frame = Golden.echoGateway
        frame.replaceSubrange(30..<34, with: [10, 1, 0, 12])
        frame.replaceSubrange(24..<26, with: [0, 0])
        frame.withUnsafeMutableBytes { IPv4($0.baseAddress! + 14).updateChecksum() }
        #expect(
            test.router.apply([
                .upsert(.nextHop(NextHopSpec(id: .init(512), kind: .encap(vif: .init(51), destination: TestRouter.c, source: .gateway)))),
                .upsert(.route(RouteSpec(vrf: .init(1), prefix: IPPrefix("10.1.0.12/32")!, nextHop: .init(512)))),
            ]) == [.ok, .ok])
        test.send(Array(frame[..<12]) + Self.tag + frame[12...], from: test.blue1)
        #expect(test.blue1.take().map { [$0[14], $0[15], $0[18], $0[19]] } == [[0, 200, 0, 30]])
    }

    /// The parent's frames and the sub-interface's come in one burst.
    @Test func amongFramesOfAnotherVif() {
        let test = Self.router(vif: 50)
        test.send(GoldenBridging.untagged, GoldenBridging.tagged, from: test.blue1)
        #expect(test.blue2.take().map { $0[15] } == [0, 8 << 2])
    }

    /// Several bursts for one port in one turn: more than a transmit buffer holds.
    @Test func noFrameLeavesWithoutItsTags() {
        let test = Self.router(vif: nil)
        let answer = GoldenBridging.answer, total = UInt8(36 + answer.count)
        var outer = Array(GoldenBridging.taggedFromPeer[..<50])
        outer[17] = total
        outer[39] = total - 20
        outer.replaceSubrange(24..<26, with: [0, 0])
        outer.withUnsafeMutableBytes { IPv4($0.baseAddress! + 14).updateChecksum() }
        test.fabric.input += Array(repeating: outer + answer, count: 20)
        test.blue2.input += Array(repeating: answer, count: 20)
        test.run()
        #expect(test.blue1.take() == Array(repeating: GoldenBridging.answerTagged, count: 40))
    }

    @Test func refusals() {
        let test = Self.router(vif: nil)
        func refused(_ object: RouterObject) -> RouterOutcome { test.router.apply([.upsert(object)])[0] }
        #expect(
            refused(.forwardingClass(.init(id: 1, dscp: 0, trafficClass: 0, vlanPriority: 8)))
                == .invalid("forwarding class 1: VLAN priority 8 is not within 0 to 7"))
        #expect(refused(.qosMap(.init(id: 9, vlanPriority: [8: 1]))) == .invalid("QoS map 9: VLAN priority 8 is not within 0 to 7"))
        #expect(
            refused(.qosMap(.init(id: 9, vlanPriority: [1: 77]))) == .notFound("QoS map 9: forwarding class 77 does not exist; create it first"))
        #expect(refused(.qosMap(.init(id: 9, vlanPriority: [1: 2]))) == .ok)
        #expect(test.router.apply([.delete(.forwardingClass(2))]) == [.inUse("forwarding class 2: QoS map 9 leads to it; change the map first")])
    }
}
