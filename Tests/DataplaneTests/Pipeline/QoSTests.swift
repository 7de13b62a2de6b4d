import NetTypes
import Testing

@testable import Dataplane

/// Forwarding classes and QoS maps: what packets carry, and what they carry then.
@Suite struct QoSTests {
    /// DSCP 46 (expedited) becomes class 5: DSCP 34, traffic class 6. DSCP 0 becomes class 1: DSCP 8, traffic class 1. Traffic class 3 becomes class 5.
    private static func router(_ remote: Encapsulation = .mplsOverUDP, vif: UInt32? = 3) -> TestRouter {
        let test = TestRouter(remote: remote)
        apply(
            test, .forwardingClass(ForwardingClassSpec(id: 5, dscp: 34, trafficClass: 6)),
            .forwardingClass(ForwardingClassSpec(id: 1, dscp: 8, trafficClass: 1)),
            .qosMap(QoSMapSpec(id: 9, dscp: [46: 5, 0: 1], trafficClass: [3: 5])))
        if let vif { use(test, vif, 9) }
        return test
    }
    private static func apply(_ test: TestRouter, _ objects: RouterObject..., location: SourceLocation = #_sourceLocation) {
        let outcomes = test.router.apply(objects.map(RouterOperation.upsert))
        #expect(outcomes.allSatisfy { $0 == .ok }, "\(outcomes)", sourceLocation: location)
    }
    private static func use(_ test: TestRouter, _ vif: UInt32, _ map: UInt8, location: SourceLocation = #_sourceLocation) {
        var spec = test.router.vifs(after: vif == 0 ? nil : .init(vif - 1), limit: 1)[0].spec
        spec.qosMap = map
        apply(test, .vif(spec), location: location)
    }
    private static func dscp(_ frame: [UInt8], _ value: UInt8, ecn: UInt8 = 0, ip offset: Int = 14) -> [UInt8] {
        var frame = frame
        frame.withUnsafeMutableBytes {
            let ip = IPv4($0.baseAddress! + offset)
            ip.typeOfService = value << 2 | ecn
            ip.updateChecksum()
        }
        return frame
    }

    /// The golden packet of scapy, with the marks: outer at 15, the label's third octet at 44, inner at 47.
    @Test func marksInnerOuterAndLabel() {
        let test = Self.router()
        for (dscp, ecn, expected, label) in [(46, 1, 34, 6), (0, 2, 8, 1), (10, 0, 10, 0)] as [(UInt8, UInt8, UInt8, UInt8)] {
            test.send(Self.dscp(Golden.routed, dscp, ecn: ecn), from: test.blue1)
            let out = test.fabric.take().map(withoutEntropy)
            var wanted = Self.dscp(Self.dscp(Golden.routedInMPLSoUDP, expected, ecn: ecn), expected, ecn: ecn, ip: 46)
            wanted[44] |= label << 1
            #expect(out == [wanted])
        }
    }

    @Test func marksIntoVXLANAndLocally() {
        let test = Self.router(.vxlan)
        test.send(Self.dscp(Golden.bridged, 46), from: test.blue1)
        let out = test.fabric.take().map(withoutEntropy)
        #expect(out == [Self.dscp(Self.dscp(Golden.bridgedInVXLAN, 34), 34, ip: 64)])
        var local = Self.dscp(Golden.routed, 46)
        local.replaceSubrange(30..<34, with: [10, 1, 0, 12])
        test.send(Self.dscp(local, 46), from: test.blue1)
        #expect(test.blue2.take().map { $0[15] } == [34 << 2])
    }

    @Test func ipv6IsMarkedToo() {
        let test = OverlayIPv6Tests.router()
        Self.apply(
            test, .forwardingClass(ForwardingClassSpec(id: 5, dscp: 34, trafficClass: 6)), .qosMap(QoSMapSpec(id: 9, dscp: [0: 5])))
        Self.use(test, 3, 9)
        test.send(GoldenOverlay.bridged, from: test.blue1)
        let out = test.fabric.take()
        #expect(out.map { frame in frame.withUnsafeBytes { IPv6(reading: $0.baseAddress! + 14).trafficClass } } == [34 << 2 | 2])
        #expect(out.map { frame in frame.withUnsafeBytes { IPv6(reading: $0.baseAddress! + 84).trafficClass } } == [34 << 2 | 2])
    }

    /// Through an indirect and an ECMP next hop, whose member has the label.
    @Test func theLabelOfAMemberIsMarked() {
        let test = Self.router()
        Self.apply(
            test, .nextHop(NextHopSpec(id: .init(90), kind: .ecmp([.init(nextHop: .init(2), label: 77)]))),
            .nextHop(NextHopSpec(id: .init(91), kind: .indirect(.init(90)))),
            .route(RouteSpec(vrf: .init(1), prefix: IPPrefix("10.3.0.0/24")!, nextHop: .init(91))))
        for _ in 0..<2 {
            test.send(Self.dscp(Golden.routed, 46), from: test.blue1)
            #expect(test.fabric.take().map { Array($0[42..<46]) } == [[0, 4, 0xDD, 64]])
        }
    }

    /// From the fabric: by the label's traffic class where the map has it, else by the DSCP.
    @Test func classifiesByTheLabel() {
        let test = Self.router(vif: 0)
        var frame = Golden.backInMPLSoUDP
        frame[44] |= 3 << 1
        test.send(frame, Golden.backInMPLSoUDP, from: test.fabric)
        #expect(test.blue1.take() == [Self.dscp(Golden.backDelivered, 34), Self.dscp(Golden.backDelivered, 8)])
    }

    @Test func aFlowsMapGoesBefore() {
        let test = Self.router()
        test.send(Golden.routed, from: test.blue1)
        Self.apply(
            test, .forwardingClass(ForwardingClassSpec(id: 7, dscp: 1, trafficClass: 0)), .qosMap(QoSMapSpec(id: 20, dscp: [0: 7])))
        var flow = test.router.flows(from: 0, limit: 10).flows.first { $0.isForward }!.spec
        flow.qosMap = 20
        Self.apply(test, .flow(flow))
        #expect(test.router.flows(from: 0, limit: 10).flows.map(\.spec.qosMap) == [20, 20])
        _ = test.fabric.take()
        test.send(Golden.routed, from: test.blue1)
        #expect(test.fabric.take().map { $0[47] >> 2 } == [1])
        // The other direction, whose vif has no map.
        test.send(Golden.backInMPLSoUDP, from: test.fabric)
        #expect(test.blue1.take().map { $0[15] >> 2 } == [1])
        flow.qosMap = 0
        Self.apply(test, .flow(flow))
        test.send(Golden.routed, from: test.blue1)
        #expect(test.fabric.take().map { $0[47] >> 2 } == [8])
    }

    @Test func changesReachPacketsAtOnce() {
        let test = Self.router()
        Self.apply(test, .forwardingClass(ForwardingClassSpec(id: 1, dscp: 12, trafficClass: 0)))
        test.send(Golden.routed, from: test.blue1)
        #expect(test.fabric.take().map { $0[47] >> 2 } == [12])
        Self.apply(test, .qosMap(QoSMapSpec(id: 9)))
        test.send(Golden.routed, from: test.blue1)
        #expect(test.fabric.take().map(withoutEntropy) == [Golden.routedInMPLSoUDP])
    }

    @Test func refusals() {
        let test = Self.router()
        func refused(_ operation: RouterOperation) -> RouterOutcome { test.router.apply([operation])[0] }
        #expect(
            refused(.upsert(.forwardingClass(.init(id: 1, dscp: 64, trafficClass: 0))))
                == .invalid("forwarding class 1: DSCP 64 is not within 0 to 63"))
        #expect(
            refused(.upsert(.forwardingClass(.init(id: 1, dscp: 0, trafficClass: 8))))
                == .invalid("forwarding class 1: traffic class 8 is not within 0 to 7"))
        #expect(refused(.upsert(.qosMap(.init(id: 0)))) == .invalid("QoS map 0: stands for no map; ids are 1 to 255"))
        #expect(
            refused(.upsert(.qosMap(.init(id: 2, dscp: [1: 99])))) == .notFound("QoS map 2: forwarding class 99 does not exist; create it first"))
        #expect(refused(.delete(.forwardingClass(5))) == .inUse("forwarding class 5: QoS map 9 leads to it; change the map first"))
        #expect(refused(.delete(.qosMap(9))) == .inUse("QoS map 9: vif 3 (blue1) names it; change the vif first"))
        #expect(refused(.delete(.qosMap(3))) == .notFound("QoS map 3: does not exist"))
        var vif = test.router.vifs(after: .init(2), limit: 1)[0].spec
        vif.qosMap = 44
        #expect(refused(.upsert(.vif(vif))) == .notFound("vif 3 (blue1): QoS map 44 does not exist; create it first"))
        Self.use(test, 3, 0)
        #expect(refused(.delete(.qosMap(9))) == .ok && refused(.delete(.forwardingClass(5))) == .ok)
        #expect(test.router.qosMaps(after: nil, limit: 9).isEmpty && test.router.forwardingClasses(after: nil, limit: 9).map(\.id) == [1])
    }
}
