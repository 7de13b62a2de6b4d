import NetTypes
import Testing

@testable import Dataplane

/// VLAN sub-interfaces both ways, against frames that scapy built (GoldenBridging.swift).
@Suite struct SubInterfaceTests {
    /// node1 where blue1's port also carries VLAN 100 (vif 50) and VLAN 30 in service VLAN 200 (vif 51), both in the network of blue2, which is 02:…:12.
    static func router(parent: UInt32 = 3, withHost: Bool = false) -> TestRouter {
        let test = TestRouter(withHost: withHost)
        var objects: [RouterObject] = []
        func sub(_ id: UInt32, _ vlan: VLANSpec) {
            objects += [
                .vif(
                    VifSpec(
                        id: .init(id), name: "blue1.\(id)", kind: .vlan, port: "", vrf: .init(1), mac: .gateway,
                        addresses: [IPAddress("10.1.0.1")!], keepsFlows: true, vlan: vlan)),
                .nextHop(NextHopSpec(id: .init(id * 10 + 1), kind: .encap(vif: .init(id), destination: nil, source: .gateway))),
            ]
        }
        sub(50, VLANSpec(parent: .init(parent), id: 100))
        sub(51, VLANSpec(parent: .init(parent), id: 200, innerID: 30))
        for (object, outcome) in zip(objects, test.router.apply(objects.map(RouterOperation.upsert))) where outcome != .ok {
            Issue.record("\(object): \(outcome)")
        }
        return test
    }

    /// blue1's MAC is behind this vif now.
    static func move(_ test: TestRouter, to nextHop: UInt32) {
        #expect(
            test.router.apply([.upsert(.bridgeEntry(BridgeEntrySpec(vrf: .init(1), mac: TestRouter.a, nextHop: .init(nextHop))))]) == [.ok])
    }

    static func counters(_ test: TestRouter, _ id: UInt32) -> VifCounters? {
        test.router.vifs(after: nil, limit: 100).first { $0.spec.id == VifID(id) }?.counters
    }

    @Test(arguments: [
        (GoldenBridging.tagged, GoldenBridging.answerTagged, UInt32(501)),
        (GoldenBridging.serviceTagged, GoldenBridging.answerServiceTagged, UInt32(511)),
    ])
    func tagsComeOffAndGoOn(frame: [UInt8], answer: [UInt8], nextHop: UInt32) {
        let test = Self.router()
        Self.move(test, to: nextHop)
        test.send(frame, from: test.blue1)
        #expect(test.blue2.take() == [GoldenBridging.untagged])
        test.send(GoldenBridging.answer, from: test.blue2)
        #expect(test.blue1.take() == [answer])
        let own = Self.counters(test, nextHop / 10), parent = Self.counters(test, 3)
        #expect(own?.receivedPackets == 1 && own?.receivedBytes == UInt64(GoldenBridging.untagged.count))
        #expect(own?.transmittedPackets == 1 && own?.transmittedBytes == UInt64(answer.count))
        #expect(parent?.receivedPackets == 1 && parent?.transmittedPackets == 0)
        #expect(test.router.flows(from: 0, limit: 4).flows.contains { $0.ingressVif == VifID(nextHop / 10) })
    }

    @Test func untaggedTrafficIsTheParents() {
        let test = Self.router()
        test.send(GoldenBridging.untagged, GoldenBridging.priorityTagged, from: test.blue1)
        #expect(test.blue2.take() == [GoldenBridging.untagged, GoldenBridging.untagged])
        test.send(GoldenBridging.answer, from: test.blue2)
        #expect(test.blue1.take() == [GoldenBridging.answer])
        #expect(Self.counters(test, 50)?.receivedPackets == 0)
    }

    @Test(arguments: [GoldenBridging.otherVLAN, GoldenBridging.serviceTaggedAlone, GoldenBridging.tripleTagged])
    func unknownTagsAreDropped(frame: [UInt8]) {
        let test = Self.router()
        test.send(frame, from: test.blue1)
        #expect(test.blue2.take().isEmpty)
        #expect(test.allDrops == ["unknown_vlan": 1])
    }

    /// Every length of a tagged frame, cut anywhere: dropped or forwarded, and accounted for.
    @Test func cutFrames() {
        let test = Self.router()
        for length in 1..<40 { test.blue1.input.append(Array(GoldenBridging.serviceTagged.prefix(length))) }
        test.run()
        #expect(test.router.status().totals.received == 39)
        #expect(test.drops(.pull) > 0)
    }

    /// A frame that is tagged inside a tunnel must not reach the sub-interfaces of the port it is delivered to.
    @Test func tagsFromATunnelAreRefused() {
        let test = Self.router()
        test.send(GoldenBridging.taggedFromPeer, from: test.fabric)
        #expect(test.blue1.take().isEmpty && test.allDrops == ["unknown_vlan": 1])
    }

    @Test func repliesOfTheRouterAreTagged() {
        let test = Self.router()
        Self.move(test, to: 501)
        func tagged(_ frame: [UInt8]) -> [UInt8] { Array(frame[..<12]) + [0x81, 0, 0, 100] + frame[12...] }
        test.send(tagged(Golden.arpGateway), tagged(Golden.echoGateway), from: test.blue1)
        #expect(test.blue1.take() == [tagged(Golden.arpGatewayReply), tagged(Golden.echoGatewayReply)])
    }

    @Test func floodedFramesGetTheTagsOfEachVif() {
        let test = Self.router()
        let composite = NextHopSpec(id: .init(100), kind: .multicast(.init(vrf: .init(1), local: [.init(501), .init(511), .init(41), .init(31)])))
        #expect(
            test.router.apply([
                .upsert(.nextHop(composite)), .upsert(.bridgeEntry(BridgeEntrySpec(vrf: .init(1), mac: .broadcast, nextHop: .init(100)))),
            ]) == [.ok, .ok])
        test.send(GoldenBridging.arpTagged, from: test.blue1)
        // Back out of the same port, but of other networks' tags and none.
        let service = Array(GoldenBridging.arp[..<12]) + [0x88, 0xA8, 0, 200, 0x81, 0, 0, 30] + GoldenBridging.arp[12...]
        #expect(test.blue1.take() == [service, GoldenBridging.arp])
        #expect(test.blue2.take() == [GoldenBridging.arp])
    }

    // MARK: Physical parents

    @Test func aPhysicalParentBridges() {
        let test = Self.router(parent: 0)
        Self.move(test, to: 501)
        test.send(GoldenBridging.tagged, Golden.bridgedBackInVXLAN, from: test.fabric)
        #expect(test.blue2.take() == [GoldenBridging.untagged])
        test.send(GoldenBridging.answer, from: test.blue2)
        #expect(test.fabric.take().contains(GoldenBridging.answerTagged))
        test.send(GoldenBridging.otherVLAN, from: test.fabric)
        #expect(test.drops(.unknownVLAN) == 1)
    }

    /// Tags that no sub-interface claims are the host's own.
    @Test func theHostKeepsItsVLANs() {
        let test = Self.router(parent: 0, withHost: true)
        test.send(GoldenBridging.otherVLAN, GoldenBridging.tagged, from: test.fabric)
        #expect(test.host.take() == [GoldenBridging.otherVLAN])
        #expect(test.blue2.take() == [GoldenBridging.untagged])
    }

    // MARK: Programming

    @Test func whatCannotBeIsRefused() {
        let test = Self.router()
        func vif(_ id: UInt32, _ vlan: VLANSpec?, port: String = "", kind: VifSpec.Kind = .vlan) -> RouterOutcome {
            test.router.apply([
                .upsert(.vif(VifSpec(id: .init(id), name: "x", kind: kind, port: port, vrf: .init(1), mac: .gateway, vlan: vlan)))
            ])[0]
        }
        func text(_ outcome: RouterOutcome) -> String { "\(outcome)" }
        #expect(text(vif(60, nil)).contains("needs a parent"))
        #expect(text(vif(60, VLANSpec(parent: .init(99), id: 1))).contains("parent vif 99 does not exist"))
        #expect(text(vif(60, VLANSpec(parent: .init(50), id: 1))).contains("is of kind vlan"))
        #expect(text(vif(60, VLANSpec(parent: .init(3), id: 0))).contains("VLAN id 0"))
        #expect(text(vif(60, VLANSpec(parent: .init(3), id: 4095))).contains("VLAN id 4095"))
        #expect(text(vif(60, VLANSpec(parent: .init(3), id: 100))).contains("vif 50 already has"))
        #expect(text(vif(60, VLANSpec(parent: .init(3), id: 5), port: "blue1")).contains("leave the port"))
        #expect(text(vif(60, VLANSpec(parent: .init(3), id: 5), port: "blue2", kind: .virtual)).contains("are for vifs of kind vlan"))
        #expect(text(test.router.apply([.delete(.vif(.init(3)))])[0]).contains("uses it"))
        // Other tags: the old ones lead to nothing then.
        #expect(vif(50, VLANSpec(parent: .init(3), id: 101)) == .ok)
        test.send(GoldenBridging.tagged, GoldenBridging.otherVLAN, from: test.blue1)
        #expect(test.blue2.take() == [GoldenBridging.untagged] && test.allDrops == ["unknown_vlan": 1])
        // Without what hangs on it, the sub-interface can go, and its tags are free.
        #expect(test.router.apply([.delete(.nextHop(.init(501))), .delete(.vif(.init(50)))]) == [.ok, .ok])
        #expect(vif(61, VLANSpec(parent: .init(3), id: 101)) == .ok)
    }

    /// A parent that moves to another port takes its sub-interfaces along.
    @Test func subInterfacesFollowTheirParent() {
        let test = Self.router()
        Self.move(test, to: 501)
        let old = test.router.vifs(after: nil, limit: 10).first { $0.spec.id == VifID(3) }!.spec
        var spec = old
        spec.mtu = 1400
        #expect(test.router.apply([.upsert(.vif(spec))]) == [.ok])
        test.send(GoldenBridging.answer, from: test.blue2)
        #expect(test.blue1.take() == [GoldenBridging.answerTagged])
    }
}
