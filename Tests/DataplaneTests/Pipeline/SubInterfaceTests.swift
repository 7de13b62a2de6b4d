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

    // MARK: Each its own

    private static func change(_ test: TestRouter, _ id: UInt32, _ body: (inout VifSpec) -> Void, location: SourceLocation = #_sourceLocation) {
        var spec = test.router.vifs(after: nil, limit: 100).first { $0.spec.id == VifID(id) }!.spec
        body(&spec)
        #expect(test.router.apply([.upsert(.vif(spec))]) == [.ok], sourceLocation: location)
    }
    private static func tagged(_ frame: [UInt8], id: UInt8 = 100) -> [UInt8] { Array(frame[..<12]) + [0x81, 0, 0, id] + frame[12...] }
    /// From another IPv4 address, of 11/8, which has no route.
    private static func fromNowhere(_ frame: [UInt8]) -> [UInt8] {
        var frame = frame
        frame[26] = 11
        frame.withUnsafeMutableBytes { IPv4($0.baseAddress! + 14).updateChecksum() }
        return frame
    }
    /// The same to another UDP port.
    private static func toPort(_ frame: [UInt8], _ port: UInt8) -> [UInt8] {
        var frame = frame
        (frame[36], frame[37], frame[40], frame[41]) = (0, port, 0, 0)
        return frame
    }

    /// Frames of a parent and of its sub-interfaces come in one burst: whichever comes first, each is asked about as its own vif has it.
    @Test(arguments: [false, true]) func flowsAreKeptByEachForItself(parentKeeps: Bool) {
        let test = Self.router()
        Self.change(test, 3) { $0.keepsFlows = parentKeeps }
        Self.change(test, 50) { $0.keepsFlows = !parentKeeps }
        let own = Self.toPort(GoldenPolicy.udp53, 60), theirs = Self.tagged(Self.toPort(GoldenPolicy.udp53, 61))
        test.send(own, theirs, own, from: test.blue1)
        test.send(theirs, own, theirs, from: test.blue1)
        #expect(test.blue2.take().count == 6)
        let flows = test.router.flows(from: 0, limit: 100).flows
        let kept = flows.filter { $0.isForward }
        #expect(kept.map(\.spec.key.destinationPort) == [parentKeeps ? 60 : 61])
        #expect(kept.map(\.packets) == [3] && kept.map(\.ingressVif) == [VifID(parentKeeps ? 3 : 50)])
    }

    @Test func policiesOfASubInterfaceHoldWhateverComesFirst() {
        let test = Self.router()
        let policy = PolicySpec(id: .init(1), name: "none", origin: .securityGroup, rules: [], defaultAction: .deny)
        #expect(test.router.apply([.upsert(.policy(policy))]) == [.ok])
        Self.change(test, 3) { $0.keepsFlows = false }
        Self.change(test, 50) { $0.egressPolicies = [.init(1)] }
        test.send(GoldenBridging.untagged, GoldenBridging.tagged, from: test.blue1)
        #expect(test.blue2.take() == [GoldenBridging.untagged])
        #expect(test.allDrops == ["flow_action_drop": 1])
    }

    /// A frame of the host's comes first: it has no flow, and what follows has.
    @Test func policiesHoldBehindAPhysicalParent() {
        let test = Self.router(parent: 0, withHost: true)
        let policy = PolicySpec(id: .init(1), name: "none", origin: .securityGroup, rules: [], defaultAction: .deny)
        #expect(test.router.apply([.upsert(.policy(policy))]) == [.ok])
        for id in [UInt32(3), 4, 51] { Self.change(test, id) { $0.keepsFlows = false } }
        Self.change(test, 50) { $0.egressPolicies = [.init(1)] }
        test.send(Golden.toHost, GoldenBridging.tagged, from: test.fabric)
        #expect(test.host.take() == [Golden.toHost] && test.blue2.take().isEmpty)
        #expect(test.allDrops == ["flow_action_drop": 1])
    }

    /// A flow limit is its workload's, not that of whoever comes first.
    @Test func limitsAreEachOnesOwn() {
        let test = Self.router()
        Self.change(test, 3) { $0.flowLimit = 1 }
        func frames(_ ports: ClosedRange<UInt8>) -> [[UInt8]] { ports.map { Self.toPort(GoldenPolicy.udp53, $0) } }
        test.blue1.input += frames(1...1)
        test.run()
        test.blue1.input += frames(2...2) + frames(3...9).map { Self.tagged($0) }
        test.run()
        #expect(test.blue2.take().count == 8 && test.allDrops == ["new_flow_drop": 1])
    }

    @Test(arguments: [ReversePathCheck.strict, .loose]) func reversePathsAreCheckedForWhomAsksForIt(check: ReversePathCheck) {
        let own = Golden.routed, ownSpoofed = Self.fromNowhere(own), theirs = Self.tagged(own), theirsSpoofed = Self.tagged(ownSpoofed)
        let parent = Self.router()
        Self.change(parent, 3) { $0.reversePath = check }
        parent.send(own, ownSpoofed, theirs, theirsSpoofed, from: parent.blue1)
        #expect(parent.fabric.take().count == 3 && parent.allDrops == ["invalid_source": 1])
        // 10.1.0.11 is behind the parent: for the sub-interface that is another's address.
        let child = Self.router()
        Self.change(child, 50) { $0.reversePath = check }
        child.send(own, ownSpoofed, theirs, theirsSpoofed, from: child.blue1)
        child.send(theirs, theirsSpoofed, own, from: child.blue1)
        let refused: UInt64 = check == .strict ? 4 : 2
        #expect(child.fabric.take().count == 7 - Int(refused) && child.allDrops == ["invalid_source": refused])
    }

    /// When the last sub-interface has gone, and when one comes to another parent.
    @Test func parentsKnowTheirSubInterfaces() {
        let test = Self.router()
        func isTrunk(_ id: UInt32) -> Bool? { test.router.tables.vifs.load(id).map { $0.pointee.flags.contains(.trunk) } }
        #expect(isTrunk(3) == true && isTrunk(4) == false)
        Self.change(test, 3) { $0.mtu = 1400 }
        #expect(isTrunk(3) == true)
        Self.change(test, 50) { $0.vlan?.parent = .init(4) }
        #expect(isTrunk(3) == true && isTrunk(4) == true)
        #expect(test.router.apply([.delete(.nextHop(.init(511))), .delete(.vif(.init(51)))]) == [.ok, .ok])
        #expect(isTrunk(3) == false && isTrunk(4) == true)
        Self.change(test, 50) { $0.vlan?.id = 101 }
        #expect(isTrunk(4) == true)
    }

    @Test func antispoofingIsEachOnesOwn() {
        let test = Self.router()
        Self.change(test, 3) { $0.antispoof = true }
        func from(_ mac: MACAddress, _ frame: [UInt8]) -> [UInt8] { Array(frame[..<6]) + mac.bytes + frame[12...] }
        let other = MACAddress("02:00:00:00:01:99")!
        // The parent's own frames are, untagged or with a priority; the sub-interface's are not.
        let theirs = from(other, GoldenBridging.tagged)
        test.send(from(other, GoldenBridging.untagged), from(other, GoldenBridging.priorityTagged), theirs, from: test.blue1)
        #expect(test.blue2.take() == [from(other, GoldenBridging.untagged)])
        #expect(test.allDrops == ["invalid_source": 2] && Self.counters(test, 3)?.spoofed == 2)
        test.send(GoldenBridging.untagged, GoldenBridging.priorityTagged, from: test.blue1)
        #expect(test.blue2.take().count == 2)
        Self.change(test, 50) {
            $0.antispoof = true
            $0.workloadMAC = other
            $0.workloadAddresses = [IPAddress("10.1.0.11")!]
        }
        test.send(GoldenBridging.tagged, theirs, from: test.blue1)
        #expect(test.blue2.take().count == 1 && Self.counters(test, 50)?.spoofed == 1)
    }

    /// A transmit buffer fills up in the middle of a burst, with the next frame for another vif of its port.
    @Test func sentFramesCountForTheVifTheyLeaveBy() {
        let test = Self.router()
        #expect(
            test.router.apply([
                .upsert(.nextHop(NextHopSpec(id: .init(502), kind: .encap(vif: .init(50), destination: TestRouter.b, source: .gateway)))),
                .upsert(.route(RouteSpec(vrf: .init(1), prefix: IPPrefix("10.1.0.50/32")!, nextHop: .init(502)))),
            ]) == [.ok, .ok])
        // Bridged to the parent's workload; the one in the middle is routed, and the first of its flow.
        var other = Golden.routed
        other.replaceSubrange(30..<34, with: [10, 1, 0, 50])
        other.withUnsafeMutableBytes { IPv4($0.baseAddress! + 14).updateChecksum() }
        test.send(GoldenBridging.answer, from: test.blue2)
        test.blue2.input = Array(repeating: GoldenBridging.answer, count: 30)
        test.fabric.input = Array(repeating: Golden.bridgedBackInVXLAN, count: 2)
        test.run()
        test.fabric.input = Array(repeating: Golden.bridgedBackInVXLAN, count: 2)
        test.blue2.input = Array(repeating: GoldenBridging.answer, count: 30) + [other, GoldenBridging.answer]
        test.run()
        #expect(test.blue1.take().count == 1 + 32 + 34)
        #expect(Self.counters(test, 3)?.transmittedPackets == 66 && Self.counters(test, 50)?.transmittedPackets == 1)
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
