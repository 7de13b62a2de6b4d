import NetTypes
import Testing

@testable import Dataplane

/// Next hops that lead to others.
@Suite struct NextHopChainTests {
    private static func apply(_ test: TestRouter, _ objects: RouterObject..., location: SourceLocation = #_sourceLocation) {
        let outcomes = test.router.apply(objects.map(RouterOperation.upsert))
        #expect(outcomes.allSatisfy { $0 == .ok }, "\(outcomes)", sourceLocation: location)
    }
    private static func nextHop(_ id: UInt32, _ kind: NextHopSpec.Kind) -> RouterObject { .nextHop(NextHopSpec(id: .init(id), kind: kind)) }
    private static func route(_ vrf: UInt32, _ prefix: String, _ nextHop: UInt32, _ label: UInt32? = nil) -> RouterObject {
        .route(RouteSpec(vrf: .init(vrf), prefix: IPPrefix(prefix)!, nextHop: .init(nextHop), label: label))
    }
    private static func tunnel(_ id: UInt32, to destination: String) -> RouterObject {
        nextHop(
            id,
            .tunnel(
                .init(
                    encapsulation: .mplsOverUDP, source: IPAddress("10.0.0.11")!, destination: IPAddress(destination)!, vif: .init(0),
                    destinationMAC: TestRouter.peerMAC, sourceMAC: TestRouter.fabricMAC)))
    }

    // MARK: Indirect

    @Test func indirectIsSwitchedInOneWrite() {
        let test = TestRouter(remote: .mplsOverUDP)
        Self.apply(test, Self.nextHop(70, .indirect(.init(2))), Self.route(1, "10.3.0.0/24", 70, 77))
        test.send(Golden.routed, from: test.blue1)
        #expect(test.fabric.take().map(withoutEntropy) == [Golden.routedInMPLSoUDP])
        Self.apply(test, Self.tunnel(71, to: "10.0.0.14"), Self.nextHop(70, .indirect(.init(71))))
        test.send(Golden.routed, from: test.blue1)
        // The flow's cached next hop is the indirect one: it follows at once.
        #expect(test.fabric.take().map { Array($0[30..<34]) } == [[10, 0, 0, 14]])
        #expect(test.router.apply([.delete(.nextHop(.init(2)))]) == [.ok])
        #expect(
            test.router.apply([.delete(.nextHop(.init(71)))])
                == [.inUse("next hop 71: 1 objects (routes, bridge entries, labels, VNIs or other next hops) use it; delete them first")])
    }

    @Test func labelsAndVNIsMayNameIndirectNextHops() {
        let test = TestRouter()
        Self.apply(
            test, Self.nextHop(70, .indirect(.init(30))), Self.nextHop(71, .indirect(.init(5))),
            .label(LabelSpec(label: .init(16), nextHop: .init(70))),
            .vni(VNISpec(vni: .init(5001), nextHop: .init(71))))
        test.send(Golden.backInMPLSoUDP, Golden.backInVXLAN, from: test.fabric)
        #expect(test.blue1.take() == [Golden.backDelivered, Golden.backDelivered])
        // Both packets are of one flow, as both are in the workload's VRF.
        #expect(test.router.flows(from: 0, limit: 10).flows.allSatisfy { $0.spec.key.vrf == VRFID(1) })
    }

    @Test func loopsAreRefused() {
        let test = TestRouter()
        Self.apply(
            test, Self.nextHop(70, .indirect(.init(2))), Self.nextHop(71, .indirect(.init(70))), Self.nextHop(72, .ecmp([.init(nextHop: .init(71))])))
        #expect(
            test.router.apply([
                .upsert(Self.nextHop(70, .indirect(.init(70)))), .upsert(Self.nextHop(70, .indirect(.init(71)))),
                .upsert(Self.nextHop(70, .indirect(.init(72)))), .upsert(Self.nextHop(73, .indirect(.init(99)))),
            ]) == [
                .invalid("next hop 70: next hop 70 leads back to it"), .invalid("next hop 70: next hop 71 leads back to it"),
                .invalid("next hop 70: next hop 72 leads back to it"), .notFound("next hop 73: next hop 99 does not exist; create it first"),
            ])
        #expect(test.router.nextHops(after: .init(69), limit: 1).first?.spec.kind == .indirect(.init(2)))
    }

    // MARK: VRF translate

    /// 10.3/16 in blue leads to red, whose 10.3.0/24 leads to green, which knows the tunnel.
    @Test func vrfsMayFollowEachOther() {
        let test = TestRouter(remote: .mplsOverUDP)
        Self.apply(
            test, .vrf(VRFSpec(id: .init(3), name: "green")), Self.nextHop(80, .vrf(.init(2), bridges: false)),
            Self.nextHop(81, .vrf(.init(3), bridges: false)), Self.nextHop(82, .ecmp([.init(nextHop: .init(2), label: 77)])),
            Self.nextHop(83, .indirect(.init(82))), Self.route(1, "10.3.0.0/24", 80), Self.route(2, "10.3.0.0/24", 81),
            Self.route(3, "10.0.0.0/8", 83))
        test.send(Golden.routed, Golden.routed, from: test.blue1)
        #expect(test.fabric.take().map(withoutEntropy) == [Golden.routedInMPLSoUDP, Golden.routedInMPLSoUDP])
    }

    @Test func loopsThroughRoutesAreFoundByThePacket() {
        let test = TestRouter()
        Self.apply(
            test, Self.nextHop(80, .vrf(.init(2), bridges: false)), Self.nextHop(81, .vrf(.init(1), bridges: false)),
            Self.route(1, "10.3.0.0/24", 80), Self.route(2, "10.3.0.0/24", 81))
        test.send(Golden.routed, from: test.blue1)
        #expect(test.allDrops == ["packet_loop": 1])
    }

    @Test func noRouteInTheOtherVRF() {
        let test = TestRouter()
        Self.apply(test, Self.nextHop(80, .vrf(.init(2), bridges: false)), Self.route(1, "10.3.0.0/24", 80))
        test.send(Golden.routed, from: test.blue1)
        #expect(test.allDrops == ["no_route": 1])
    }

    /// A MAC that leads to a VRF is a router's: the frame is routed, and loses a hop.
    @Test func aBridgeEntryMayLeadToAVRF() {
        let test = TestRouter(remote: .mplsOverUDP)
        let router = MACAddress("02:00:00:00:0a:01")!
        Self.apply(
            test, Self.nextHop(81, .vrf(.init(1), bridges: false)), .bridgeEntry(BridgeEntrySpec(vrf: .init(1), mac: router, nextHop: .init(81))))
        test.send(router.bytes + Golden.routed[6...], from: test.blue1)
        #expect(test.fabric.take().map(withoutEntropy) == [Golden.routedInMPLSoUDP])
    }

    // MARK: ECMP

    /// Ports 0 to 1999 over 8 tunnels: each flow keeps its path when one goes, but the flows of that one.
    @Test(arguments: [true, false]) func flowsKeepTheirPaths(keepsFlows: Bool) {
        let test = TestRouter(remote: .mplsOverUDP, flows: 1 << 14)
        if !keepsFlows {
            var vif = test.router.vifs(after: .init(2), limit: 1)[0].spec
            vif.keepsFlows = false
            Self.apply(test, .vif(vif))
        }
        func set(_ members: [UInt32]) {
            Self.apply(test, Self.nextHop(90, .ecmp(members.map { .init(nextHop: .init($0), label: 77) })))
        }
        func paths() -> [UInt8] {
            for port in 0..<2000 {
                var frame = Golden.routed
                (frame[34], frame[35]) = (UInt8(port >> 8), UInt8(port & 255))
                test.blue1.input.append(frame)
            }
            test.run()
            return test.fabric.take().map { $0[33] }
        }
        for id in UInt32(100)..<108 { Self.apply(test, Self.tunnel(id, to: "10.0.0.\(id)")) }
        set(Array(100..<108))
        Self.apply(test, Self.route(1, "10.3.0.0/24", 90, 77))
        let before = paths()
        #expect(before.count == 2000 && before == paths())
        for id in UInt8(100)..<108 { #expect((170...340).contains(before.count { $0 == id })) }
        set([100, 101, 102, 103, 105, 106, 107])
        let after = paths()
        #expect(zip(before, after).allSatisfy { $0 == 104 ? $1 != 104 : $0 == $1 })
        set(Array(100..<108))
        #expect(zip(after, paths()).allSatisfy { $0 == $1 || $1 == 104 })
    }

    /// By source address alone, the ports make no difference.
    @Test func hashFieldsAreChosen() {
        let test = TestRouter(remote: .mplsOverUDP)
        for id in UInt32(100)..<108 { Self.apply(test, Self.tunnel(id, to: "10.0.0.\(id)")) }
        Self.apply(
            test, Self.nextHop(90, .ecmp((100..<108).map { .init(nextHop: .init($0), label: 77) }, hash: [.source])),
            Self.route(1, "10.3.0.0/24", 90))
        func paths(_ change: (inout [UInt8], UInt8) -> Void) -> Set<UInt8> {
            for value in UInt8(1)..<100 {
                var frame = Golden.routed
                change(&frame, value)
                frame.withUnsafeMutableBytes { IPv4($0.baseAddress! + 14).updateChecksum() }
                test.blue1.input.append(frame)
            }
            test.run()
            return Set(test.fabric.take().map { $0[33] })
        }
        #expect(
            paths {
                $0[35] = $1; $0[37] = $1; $0[33] = $1
            }.count == 1)
        #expect(paths { $0[29] = $1 }.count == 8)
        #expect(
            test.router.apply([.upsert(Self.nextHop(91, .ecmp([.init(nextHop: .init(100))], hash: [])))])
                == [.invalid("next hop 91: the hash needs at least one of the known fields")])
    }

    /// A member without a label of its own pushes the route's.
    @Test func membersMayLeaveTheLabelToTheRoute() {
        let test = TestRouter(remote: .mplsOverUDP)
        Self.apply(test, Self.nextHop(90, .ecmp([.init(nextHop: .init(2))])), Self.route(1, "10.3.0.0/24", 90, 77))
        test.send(Golden.routed, from: test.blue1)
        #expect(test.fabric.take().map(withoutEntropy) == [Golden.routedInMPLSoUDP])
    }

    // MARK: EVPN type 5

    /// An L3 VNI: frames to its router MAC are routed in its VRF, frames to others have no way there.
    @Test func framesToTheRouterMACAreRouted() {
        let test = OverlayIPv6Tests.router()
        let router = MACAddress("02:00:00:00:0f:99")!
        Self.apply(test, Self.nextHop(5, .vrf(.init(1), bridges: false, routerMAC: router)))
        test.send(GoldenOverlay.backInRouterMAC, from: test.fabric)
        #expect(test.blue1.take() == [GoldenOverlay.backDelivered])
        test.send(GoldenOverlay.backInVXLAN, from: test.fabric)
        #expect(test.allDrops == ["no_l2_route": 1])
        #expect(test.router.nextHops(after: .init(4), limit: 1)[0].spec.kind == .vrf(.init(1), bridges: false, routerMAC: router))
    }
}
