import CPlatform
import NetTypes
import Testing

@testable import Dataplane

/// Broadcast, unknown unicast and multicast through the whole pipeline, against frames that scapy built (GoldenBridging.swift).
@Suite struct FloodTests {
    /// node1 with a flooding network: local blue1 and blue2, EVPN peers 10.0.0.12 (VNI 5001) and 10.0.0.13 (VNI 5002), tree neighbours 10.0.0.14 (GRE, label
    /// 2001) and 10.0.0.15 (UDP, label 2002); what arrives with label 2000 came down the tree.
    static func router(
        evpn: Bool = true, tree: Bool = true, vrf: VRFSpec = VRFSpec(id: .init(1), name: "blue"), vif: ((inout VifSpec) -> Void)? = nil
    ) -> TestRouter {
        let test = TestRouter()
        var objects: [RouterObject] = [.vrf(vrf)]
        func tunnel(_ id: UInt32, _ destination: String, _ encapsulation: Encapsulation) {
            objects.append(
                .nextHop(
                    NextHopSpec(
                        id: .init(id),
                        kind: .tunnel(
                            .init(
                                encapsulation: encapsulation, source: IPAddress("10.0.0.11")!, destination: IPAddress(destination)!, vif: .init(0),
                                destinationMAC: TestRouter.peerMAC, sourceMAC: TestRouter.fabricMAC)))))
        }
        tunnel(7, "10.0.0.13", .vxlan)
        tunnel(8, "10.0.0.14", .mplsOverGRE)
        tunnel(9, "10.0.0.15", .mplsOverUDP)
        objects += [
            composite(evpn: evpn, tree: tree), .bridgeEntry(BridgeEntrySpec(vrf: .init(1), mac: .broadcast, nextHop: .init(100))),
            .label(LabelSpec(label: .init(2000), nextHop: .init(100))),
        ]
        if let vif {
            guard var spec = test.router.vifs(after: nil, limit: 10).first(where: { $0.spec.id == VifID(3) })?.spec else { return test }
            vif(&spec)
            objects.append(.vif(spec))
        }
        for (object, outcome) in zip(objects, test.router.apply(objects.map(RouterOperation.upsert))) where outcome != .ok {
            Issue.record("\(object): \(outcome)")
        }
        return test
    }

    static func composite(evpn: Bool = true, tree: Bool = true) -> RouterObject {
        .nextHop(
            NextHopSpec(
                id: .init(100),
                kind: .multicast(
                    .init(
                        vrf: .init(1), local: [.init(31), .init(41)],
                        evpn: evpn ? [.init(nextHop: .init(1), label: 5001), .init(nextHop: .init(7), label: 5002)] : [],
                        fabric: tree ? [.init(nextHop: .init(8), label: 2001), .init(nextHop: .init(9), label: 2002)] : [], vni: .init(5001)))))
    }

    // MARK: Split horizon

    @Test func fromAWorkloadToAllButItself() {
        let test = Self.router()
        test.send(GoldenBridging.arp, from: test.blue1)
        #expect(test.blue1.take().isEmpty)
        #expect(test.blue2.take() == [GoldenBridging.arp])
        let sent = Set(test.fabric.take().map(withoutEntropy))
        #expect(sent == [GoldenBridging.arpToPeer, GoldenBridging.arpToOtherPeer, GoldenBridging.arpToTree, GoldenBridging.arpToTreeUDP])
        let totals = test.router.status().totals
        // The frame itself is the last of the five.
        #expect(totals.received == 1 && totals.generated == 4 && totals.forwarded == 5)
    }

    @Test func fromAnEVPNPeerToWorkloadsOnly() {
        let test = Self.router()
        test.send(GoldenBridging.remoteARPFromPeer, from: test.fabric)
        #expect(test.blue1.take() == [GoldenBridging.remoteARP] && test.blue2.take() == [GoldenBridging.remoteARP])
        #expect(test.fabric.take().isEmpty)
    }

    @Test func fromTheTreeToWorkloadsAndOnAlongTheTree() {
        let test = Self.router()
        test.send(GoldenBridging.remoteARPFromTree, from: test.fabric)
        #expect(test.blue1.take() == [GoldenBridging.remoteARP] && test.blue2.take() == [GoldenBridging.remoteARP])
        // Not back to 10.0.0.14, and to no EVPN peer.
        #expect(test.fabric.take().map(withoutEntropy) == [GoldenBridging.remoteARPOnToTree])
    }

    @Test(arguments: [GoldenBridging.remoteARPFromStranger, GoldenBridging.remoteARPFromStrangerTree])
    func strangersAreNotHeard(frame: [UInt8]) {
        let test = Self.router()
        test.send(frame, from: test.fabric)
        #expect(test.blue1.take().isEmpty && test.blue2.take().isEmpty)
        #expect(test.allDrops == ["invalid_multicast_source": 1])
    }

    /// The composite knows a tunnel's far end; it follows when the tunnel moves.
    @Test func aTunnelThatMovesTakesItsMembershipAlong() {
        let test = Self.router()
        let moved = NextHopSpec(
            id: .init(7),
            kind: .tunnel(
                .init(
                    encapsulation: .vxlan, source: IPAddress("10.0.0.11")!, destination: IPAddress("10.0.0.77")!, vif: .init(0),
                    destinationMAC: TestRouter.peerMAC, sourceMAC: TestRouter.fabricMAC)))
        #expect(test.router.apply([.upsert(.nextHop(moved))]) == [.ok])
        test.send(GoldenBridging.remoteARPFromStranger, from: test.fabric)
        #expect(test.blue1.take() == [GoldenBridging.remoteARP])
    }

    @Test func nobodyToHearIt() {
        let test = Self.router(evpn: false, tree: false)
        #expect(
            test.router.apply([.upsert(.nextHop(NextHopSpec(id: .init(100), kind: .multicast(.init(vrf: .init(1), local: [.init(31)])))))]) == [.ok])
        test.send(GoldenBridging.arp, from: test.blue1)
        #expect(test.blue2.take().isEmpty && test.fabric.take().isEmpty)
        #expect(test.router.status().totals.consumed == 1)
    }

    // MARK: Who is asked

    @Test func groupsOfTheirOwnComeBeforeBroadcast() {
        let test = Self.router()
        let only = NextHopSpec(id: .init(101), kind: .multicast(.init(vrf: .init(1), local: [.init(41)])))
        #expect(
            test.router.apply([
                .upsert(.nextHop(only)),
                .upsert(.bridgeEntry(BridgeEntrySpec(vrf: .init(1), mac: MACAddress("01:00:5e:01:01:01")!, nextHop: .init(101)))),
            ]) == [.ok, .ok])
        test.send(GoldenBridging.group, GoldenBridging.arp, from: test.blue1)
        #expect(Set(test.blue2.take()) == [GoldenBridging.group, GoldenBridging.arp])
        #expect(test.fabric.take().count == 4)
        // A group may also lead nowhere.
        #expect(
            test.router.apply([
                .upsert(.bridgeEntry(BridgeEntrySpec(vrf: .init(1), mac: MACAddress("01:00:5e:01:01:01")!, nextHop: .discard)))
            ]) == [.ok])
        test.send(GoldenBridging.group, from: test.blue1)
        #expect(test.blue2.take().isEmpty && test.allDrops == ["discards": 1])
    }

    @Test func knownAddressesAreAnsweredAndNotAsked() {
        let test = Self.router()
        test.send(Golden.arpGateway, Golden.arpNeighbour, Golden.solicitation, from: test.blue1)
        #expect(Set(test.blue1.take()) == [Golden.arpGatewayReply, Golden.arpNeighbourReply, Golden.advertisement])
        #expect(test.blue2.take().isEmpty && test.fabric.take().isEmpty)
    }

    @Test func unknownNeighboursAreAsked() {
        let test = Self.router(tree: false)
        test.send(GoldenBridging.solicitation, GoldenBridging.arpAnnouncement, from: test.blue1)
        #expect(test.blue2.take() == [GoldenBridging.solicitation, GoldenBridging.arpAnnouncement])
        #expect(test.fabric.take().map(withoutEntropy).contains(GoldenBridging.solicitationToPeer))
    }

    /// Who was asked by flooding answers the asker alone.
    @Test func answersAreBridged() {
        let test = Self.router()
        test.send(GoldenBridging.arpReply, GoldenBridging.advertisement, from: test.blue1)
        #expect(test.blue2.take() == [GoldenBridging.arpReply, GoldenBridging.advertisement])
        #expect(test.fabric.take().isEmpty)
    }

    @Test func groupReportsAreFloodedUnlessTrapped() {
        let test = Self.router(tree: false)
        test.send(GoldenBridging.igmp, GoldenBridging.mld, from: test.blue1)
        #expect(test.blue2.take() == [GoldenBridging.igmp, GoldenBridging.mld] && test.fabric.take().count == 4)
        let trapping = Self.router { $0.trapsGroupReports = true }
        nonisolated(unsafe) var traps: [TrapPacket] = []
        let token = trapping.router.addTrapListener { traps.append($0) }
        trapping.send(GoldenBridging.igmp, GoldenBridging.mld, GoldenBridging.group, from: trapping.blue1)
        trapping.router.removeTrapListener(token)
        #expect(traps.map(\.packet) == [GoldenBridging.igmp, GoldenBridging.mld] && traps.allSatisfy { $0.reason == .l3Protocol })
        #expect(trapping.blue2.take() == [GoldenBridging.group])
    }

    /// Where the control program gives no service, a DHCP server may be somewhere in the network.
    @Test func dhcpOfAVifWithoutServicesIsFlooded() {
        let test = Self.router(tree: false)
        test.send(Golden.dhcp, from: test.blue1)
        #expect(test.blue2.take() == [Golden.dhcp])
        #expect(test.fabric.take().count == 2 && test.allDrops.isEmpty)
        // Without flooding it is the control program's all the same.
        let quiet = TestRouter()
        quiet.send(Golden.dhcp, from: quiet.blue1)
        #expect(quiet.allDrops == ["trap_no_listener": 1])
    }

    @Test func withoutAnEntryNothingIsFlooded() {
        let test = TestRouter()
        test.send(GoldenBridging.group, Golden.bridgedBackInVXLAN, from: test.blue1)
        test.send(GoldenBridging.remoteARPFromPeer, from: test.fabric)
        #expect(test.drops(.noL2Route) >= 2)
        #expect(test.blue2.take().isEmpty)
    }

    // MARK: Unknown unicast

    @Test func unknownUnicastIsDroppedUnlessThePolicySaysOtherwise() {
        let test = Self.router(tree: false)
        test.send(GoldenBridging.unknown, from: test.blue1)
        test.send(GoldenBridging.unknownFromPeer, from: test.fabric)
        #expect(test.blue2.take().isEmpty && test.fabric.take().isEmpty && test.allDrops == ["no_l2_route": 2])
    }

    @Test func theVifFloodsUnknownUnicast() {
        let test = Self.router(tree: false) { $0.floodsUnknownUnicast = true }
        test.send(GoldenBridging.unknown, from: test.blue1)
        #expect(test.blue2.take() == [GoldenBridging.unknown])
        #expect(test.fabric.take().map(withoutEntropy).contains(GoldenBridging.unknownToPeer))
        // The vif speaks for what it sends alone.
        test.send(GoldenBridging.unknownFromPeer, from: test.fabric)
        #expect(test.allDrops == ["no_l2_route": 1])
    }

    @Test func theNetworkFloodsUnknownUnicast() {
        let test = Self.router(vrf: VRFSpec(id: .init(1), name: "blue", floodsUnknownUnicast: true))
        test.send(GoldenBridging.unknown, from: test.blue1)
        #expect(test.blue2.take() == [GoldenBridging.unknown] && test.fabric.take().count == 4)
        test.send(GoldenBridging.unknownFromPeer, from: test.fabric)
        #expect(test.blue1.take() == [GoldenBridging.unknownBack] && test.blue2.take() == [GoldenBridging.unknownBack])
        #expect(test.fabric.take().isEmpty)
    }

    // MARK: Packets for one station

    /// The frame with another destination MAC, and another IPv4 destination where one is given.
    private static func to(_ mac: MACAddress, _ frame: [UInt8], address: String? = nil) -> [UInt8] {
        var frame = frame
        frame.replaceSubrange(0..<6, with: mac.bytes)
        if let address { frame.replaceSubrange(30..<34, with: IPv4Address(address)!.bytes) }
        if frame[12] == 8 { frame.withUnsafeMutableBytes { IPv4($0.baseAddress! + 14).updateChecksum() } }
        return frame
    }

    /// The frame in the outer headers of another, of `size` octets: from the peer or from the tree. `ecn`: of the outer header.
    private static func outer(_ size: Int, of other: [UInt8], _ frame: [UInt8], ecn: UInt8 = 0) -> [UInt8] {
        var whole = Array(other[..<size]) + frame
        let length = whole.count - 14
        (whole[15], whole[16], whole[17]) = (whole[15] & 0xFC | ecn, UInt8(length >> 8), UInt8(length & 255))
        if whole[23] == 17 { (whole[38], whole[39]) = (UInt8((length - 20) >> 8), UInt8((length - 20) & 255)) }
        whole.withUnsafeMutableBytes { IPv4($0.baseAddress! + 14).updateChecksum() }
        return whole
    }
    private static func fromPeer(_ frame: [UInt8]) -> [UInt8] { outer(50, of: GoldenBridging.remoteARPFromPeer, frame) }
    private static func fromTree(_ frame: [UInt8], ecn: UInt8 = 0) -> [UInt8] { outer(54, of: GoldenBridging.remoteARPFromTree, frame, ecn: ecn) }

    /// No policy would be asked about it, neither at its source nor at its destination.
    @Test(arguments: [MACAddress.broadcast, MACAddress("01:00:5e:01:01:01")!, MACAddress("33:33:00:00:00:01")!])
    func aPacketForOneStationGoesToNoGroup(mac: MACAddress) {
        let test = Self.router()
        let frames = [
            Self.to(mac, GoldenPolicy.udp53), Self.to(mac, GoldenPolicy.udp53v6), Self.to(mac, GoldenPolicy.echo),
            Self.to(mac, GoldenPolicy.udp53, address: "10.1.0.13"), Self.to(mac, GoldenPolicy.udp53, address: "10.1.0.77"),
            Self.to(mac, GoldenPolicy.udp53, address: "10.3.0.7"),
        ]
        for frame in frames {
            for (port, wrapped) in [(test.blue1, frame), (test.fabric, Self.fromPeer(frame)), (test.fabric, Self.fromTree(frame))] {
                let before = test.drops(.invalidDestination)
                test.send(wrapped, from: port)
                #expect(test.drops(.invalidDestination) == before + 1)
            }
        }
        #expect(test.blue1.take().isEmpty && test.blue2.take().isEmpty && test.fabric.take().isEmpty)
    }

    @Test func packetsForAllStationsPass() {
        let test = Self.router(tree: false)
        for address in ["10.1.0.255", "255.255.255.255", "224.0.0.251"] {
            let frame = Self.to(.broadcast, GoldenPolicy.udp53, address: address)
            test.send(frame, from: test.blue1)
            #expect(test.blue2.take() == [frame] && test.fabric.take().count == 2, "\(address)")
            test.send(Self.fromPeer(frame), from: test.fabric)
            #expect(test.blue1.take() == [frame] && test.blue2.take() == [frame], "\(address)")
        }
        #expect(test.allDrops.isEmpty)
    }

    /// Where nobody keeps flows, nobody has policies, and a frame to a group is one.
    @Test func withoutFlowsGroupsGetWhatIsSentToThem() {
        let test = Self.router(tree: false)
        for id in [UInt32(3), 4] {
            var spec = test.router.vifs(after: .init(id - 1), limit: 1)[0].spec
            spec.keepsFlows = false
            #expect(test.router.apply([.upsert(.vif(spec))]) == [.ok])
        }
        let frame = Self.to(.broadcast, GoldenPolicy.udp53)
        test.send(frame, from: test.blue1)
        #expect(test.blue2.take() == [frame] && test.allDrops.isEmpty)
    }

    /// RFC 6040 section 4.2, also down the tree: what the fabric marked stays marked, and what cannot carry the mark is dropped.
    @Test func congestionMarksOfTheTreeAreKept() {
        let test = Self.router(evpn: false)
        var capable = GoldenBridging.group
        capable[15] |= 2
        capable.withUnsafeMutableBytes { IPv4($0.baseAddress! + 14).updateChecksum() }
        var marked = capable
        marked[15] |= 3
        marked.withUnsafeMutableBytes { IPv4($0.baseAddress! + 14).updateChecksum() }
        test.send(Self.fromTree(capable, ecn: 2), Self.fromTree(capable, ecn: 3), from: test.fabric)
        #expect(test.blue2.take() == [capable, marked])
        test.send(Self.fromTree(GoldenBridging.group, ecn: 3), from: test.fabric)
        #expect(test.blue2.take().isEmpty && test.allDrops == ["invalid_packet": 1])
    }

    // MARK: Size and memory

    @Test func tooLargeForTheTunnelIsCut() {
        let test = Self.router(tree: false)
        test.send(GoldenBridging.jumbo, from: test.blue1)
        let sent = test.fabric.take()
        let pieces = [GoldenBridging.jumboPiece0, GoldenBridging.jumboPiece1, GoldenBridging.jumboPiece2]
        #expect(sent.map { Array($0.dropFirst(50)) } == pieces + pieces)
        #expect(test.blue2.take().map { $0.count - 14 } == [1500, 1500, 68])
    }

    @Test(arguments: [GoldenBridging.jumboDF, GoldenBridging.jumbo6])
    func tooLargeAndNotToBeCut(frame: [UInt8]) {
        let test = Self.router()
        test.send(frame, from: test.blue1)
        #expect(test.fabric.take().isEmpty && test.blue2.take().isEmpty && test.blue1.take().isEmpty)
        #expect(test.allDrops == ["jumbo_multicast": 5])
        #expect(test.router.status().totals.consumed == 1)
    }

    /// A pool with no buffer left for copies: what can be sent is sent, the rest counted; nobody waits.
    @Test func withoutBuffersTheFrameItselfStillGoes() throws {
        let test = Self.router()
        let frames = UnsafeMutablePointer<vr_frame>.allocate(capacity: 512)
        defer { frames.deallocate() }
        // All but one, which the received frame gets.
        let taken = test.pool.allocate(lane: 0, into: frames, count: 511)
        test.blue1.input.append(GoldenBridging.arp)
        test.router.run(turns: 3)
        test.pool.release(lane: 0, frames, count: taken)
        test.run()
        #expect(test.blue2.output.count + test.fabric.output.count == 1)
        #expect(test.allDrops == ["multicast_clone": 4])
    }

    // MARK: Programming

    @Test func whatCannotBeIsRefused() {
        let test = Self.router()
        func refused(_ object: RouterObject, _ part: String, _ location: SourceLocation = #_sourceLocation) {
            let outcome = test.router.apply([.upsert(object)])[0]
            #expect("\(outcome)".contains(part), "\(outcome)", sourceLocation: location)
        }
        func composite(_ local: [UInt32], _ evpn: [NextHopSpec.Member] = [], vrf: UInt32 = 1) -> RouterObject {
            .nextHop(NextHopSpec(id: .init(102), kind: .multicast(.init(vrf: .init(vrf), local: local.map { NextHopID($0) }, evpn: evpn))))
        }
        refused(composite([30]), "is not an encap next hop without a destination")
        refused(composite([999]), "local member 999 does not exist")
        refused(composite([31], [.init(nextHop: .init(41), label: 5)]), "member 41 is not a tunnel")
        refused(composite([31], [.init(nextHop: .init(1))]), "member 1 has no label or VNI")
        refused(composite([31], [.init(nextHop: .init(8), label: 1 << 20)]), "member label 1048576")
        refused(composite([31], vrf: 9), "VRF 9 does not exist")
        refused(.bridgeEntry(BridgeEntrySpec(vrf: .init(1), mac: TestRouter.a, nextHop: .init(100))), "next hop 100 is a multicast next hop")
        refused(.bridgeEntry(BridgeEntrySpec(vrf: .init(1), mac: .broadcast, nextHop: .init(31))), "is neither")
        refused(.route(RouteSpec(vrf: .init(1), prefix: IPPrefix("10.9.0.0/24")!, nextHop: .init(100))), "is a multicast next hop")
        refused(.nextHop(NextHopSpec(id: .init(103), kind: .ecmp([.init(nextHop: .init(100))]))), "member 100 is a multicast next hop")
        #expect("\(test.router.apply([.delete(.nextHop(.init(7)))])[0])".contains("use it"))
        #expect(test.router.nextHops(after: .init(99), limit: 1).map(\.spec) == [Self.spec(Self.composite())])
    }

    private static func spec(_ object: RouterObject) -> NextHopSpec? { if case .nextHop(let spec) = object { spec } else { nil } }
}
