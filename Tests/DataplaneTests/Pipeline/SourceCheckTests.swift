import NetTypes
import Testing

@testable import Dataplane

/// Where packets may come from (tunnel endpoints, reverse path), and what the sender is told when they lead nowhere.
@Suite struct SourceCheckTests {
    private static func change(_ test: TestRouter, _ vif: UInt32, _ body: (inout VifSpec) -> Void, location: SourceLocation = #_sourceLocation) {
        var spec = test.router.vifs(after: vif == 0 ? nil : .init(vif - 1), limit: 1)[0].spec
        body(&spec)
        #expect(test.router.apply([.upsert(.vif(spec))]) == [.ok], sourceLocation: location)
    }
    private static func apply(_ test: TestRouter, _ objects: RouterObject..., location: SourceLocation = #_sourceLocation) {
        let outcomes = test.router.apply(objects.map(RouterOperation.upsert))
        #expect(outcomes.allSatisfy { $0 == .ok }, "\(outcomes)", sourceLocation: location)
    }
    /// The frame with another octet of the inner or only IPv4 header at `offset`, checksum right.
    private static func patched(_ frame: [UInt8], ip offset: Int, _ octet: Int, _ value: UInt8) -> [UInt8] {
        var frame = frame
        frame[offset + octet] = value
        frame.withUnsafeMutableBytes { IPv4($0.baseAddress! + offset).updateChecksum() }
        return frame
    }

    // MARK: Tunnel endpoints

    @Test(arguments: [Golden.backInMPLSoUDP, Golden.backInMPLSoGRE, Golden.backInVXLAN])
    func strangersAreRefused(frame: [UInt8]) {
        let test = TestRouter()
        let stranger = Self.patched(frame, ip: 14, 15, 99)
        test.send(stranger, from: test.fabric)
        #expect(test.blue1.take() == [Golden.backDelivered], "nobody asked for the check")
        Self.change(test, 0) { $0.checksTunnelSource = true }
        test.send(stranger, frame, from: test.fabric)
        #expect(test.blue1.take() == [Golden.backDelivered])
        #expect(test.allDrops == ["invalid_source": 1])
    }

    @Test func strangersAreRefusedOverIPv6() {
        let test = OverlayIPv6Tests.router()
        Self.change(test, 0) { $0.checksTunnelSource = true }
        test.send(GoldenOverlay.backFromStranger, GoldenOverlay.backInMPLSoUDP, GoldenOverlay.backInMPLSoGRE, from: test.fabric)
        #expect(test.blue1.take().count == 2)
        #expect(test.allDrops == ["invalid_source": 1])
    }

    /// An endpoint is known as long as a tunnel next hop leads to it.
    @Test func endpointsComeAndGoWithTheirTunnels() {
        let test = TestRouter()
        Self.change(test, 0) { $0.checksTunnelSource = true }
        func tunnel(_ id: UInt32, _ last: UInt8) -> RouterObject {
            .nextHop(
                NextHopSpec(
                    id: .init(id),
                    kind: .tunnel(
                        .init(
                            encapsulation: .vxlan, source: IPAddress("10.0.0.11")!, destination: IPAddress("10.0.0.\(last)")!, vif: .init(0),
                            destinationMAC: TestRouter.peerMAC, sourceMAC: TestRouter.fabricMAC))))
        }
        func isKnown(_ last: UInt8) -> Bool {
            test.send(Self.patched(Golden.backInMPLSoUDP, ip: 14, 15, last), from: test.fabric)
            return test.blue1.take().count == 1
        }
        Self.apply(test, tunnel(200, 40), tunnel(201, 40), tunnel(202, 41))
        #expect(isKnown(40) && isKnown(41) && !isKnown(42))
        Self.apply(test, tunnel(202, 42))
        #expect(!isKnown(41) && isKnown(42))
        #expect(test.router.apply([.delete(.nextHop(.init(200)))]) == [.ok])
        #expect(isKnown(40))
        #expect(test.router.apply([.delete(.nextHop(.init(201)))]) == [.ok])
        #expect(!isKnown(40))
    }

    @Test func thousandsOfEndpoints() {
        let endpoints = TunnelEndpoints(quiescence: Quiescence(workerCount: 1))
        for n in UInt32(0)..<5000 { endpoints.insert(.v4(IPv4Address(rawValue: 0x0A00_0000 + n * 7))) }
        endpoints.insert(IPAddress("fd00::1")!)
        endpoints.publish()
        #expect(endpoints.count == 5001 && endpoints.contains(IPv6Address("fd00::1")!) && !endpoints.contains(IPv6Address("fd00::2")!))
        for n in UInt32(0)..<35_000 { #expect(endpoints.contains(Vif.mapped(0x0A00_0000 + n)) == (n % 7 == 0)) }
        for n in UInt32(0)..<4999 { endpoints.remove(.v4(IPv4Address(rawValue: 0x0A00_0000 + n * 7))) }
        endpoints.publish()
        #expect(endpoints.count == 2 && endpoints.contains(Vif.mapped(0x0A00_0000 + 4999 * 7)) && !endpoints.contains(Vif.mapped(0x0A00_0000)))
    }

    @Test func nobodyIsNoEndpoint() {
        let endpoints = TunnelEndpoints(quiescence: Quiescence(workerCount: 1))
        endpoints.insert(IPAddress("10.0.0.12")!)
        endpoints.publish()
        #expect(endpoints.count == 1 && endpoints.contains(Vif.mapped(0x0A00_000C)))
        // A free slot looks like it.
        #expect(!endpoints.contains(.any))
    }

    // MARK: Addresses of a link

    private static func from(_ address: String, _ frame: [UInt8], at offset: Int = 14) -> [UInt8] {
        var frame = frame
        switch IPAddress(address)! {
        case .v4(let address):
            frame.replaceSubrange(offset + 12..<offset + 16, with: address.bytes)
            frame.withUnsafeMutableBytes { IPv4($0.baseAddress! + offset).updateChecksum() }
        case .v6(let address): frame.replaceSubrange(offset + 8..<offset + 24, with: address.bytes)
        }
        return frame
    }
    /// UDP from blue1 to blue3 over IPv6, by way of the gateway.
    private static let routed6 = Array(
        GoldenPolicy.udp53v6[..<38] + IPv6Address("fd00:1::13")!.bytes + GoldenPolicy.udp53v6[54...])
    private static let ofLinks = ["169.254.7.7", "0.0.0.0", "0.1.2.3", "fe80::7", "febf::7", "::"]

    /// Whatever is checked otherwise: of an address that means something on its own link alone no router tells another link.
    @Test(arguments: ofLinks) func whatIsOfALinkIsNotRouted(address: String) {
        let isIPv4 = address.contains("."), frame = Self.from(address, isIPv4 ? Golden.routed : Self.routed6)
        for traits in [PortTraits(), [.unfinishedChecksums, .oversizedSegments]] {
            let open = TestRouter(workloadTraits: traits), strict = TestRouter(workloadTraits: traits)
            let closed = TestRouter(workloadTraits: traits, antispoof: true)
            Self.change(strict, 3) { $0.reversePath = .strict }
            for test in [open, strict, closed] {
                test.send(isIPv4 ? Golden.routed : Self.routed6, from: test.blue1)
                #expect(test.fabric.take().count == 1)
                test.send(frame, from: test.blue1)
                #expect(test.fabric.take().isEmpty && test.allDrops == ["invalid_source": 1])
            }
        }
        // To a local workload, too.
        let test = TestRouter()
        test.send(Self.from(address, isIPv4 ? GoldenPolicy.udp53 : GoldenPolicy.udp53v6), from: test.blue1)
        #expect(test.blue2.take().isEmpty && test.allDrops == ["invalid_source": 1])
    }

    @Test(arguments: ["169.254.7.7", "0.0.0.0", "0.1.2.3"]) func whatIsOfALinkIsNotRoutedOutOfATunnel(address: String) {
        let test = TestRouter()
        for (frame, offset) in [(Golden.backInMPLSoUDP, 46), (Golden.backInMPLSoGRE, 42), (Golden.backInVXLAN, 64)] {
            test.send(frame, from: test.fabric)
            #expect(test.blue1.take() == [Golden.backDelivered])
            test.send(Self.from(address, frame, at: offset), from: test.fabric)
            #expect(test.blue1.take().isEmpty)
        }
        #expect(test.allDrops == ["invalid_source": 3])
    }

    /// On its own link it is an address like any other; and the router itself is asked from it.
    @Test func whatIsOfALinkIsBridgedAndReceived() {
        let test = TestRouter()
        let bridged = Self.from("169.254.7.7", GoldenBridging.untagged), asking = Self.from("169.254.7.7", Golden.echoGateway)
        test.send(bridged, asking, from: test.blue1)
        #expect(test.blue2.take() == [bridged])
        #expect(test.blue1.take().map { Array($0[26..<34]) } == [[10, 1, 0, 1, 169, 254, 7, 7]])
        // By way of another VRF, too.
        Self.apply(
            test, .nextHop(NextHopSpec(id: .init(70), kind: .vrf(.init(1), bridges: false))),
            .route(RouteSpec(vrf: .init(2), prefix: IPPrefix("10.1.0.1/32")!, nextHop: .init(70))))
        Self.change(test, 3) { $0.vrf = .init(2) }
        test.send(asking, from: test.blue1)
        #expect(test.blue1.take().count == 1 && test.allDrops.isEmpty)
    }

    /// A bridge entry may lead to a VRF: then the frame is routed.
    @Test func whatIsOfALinkIsNotRoutedByWayOfABridge() {
        let test = TestRouter()
        Self.apply(
            test, .nextHop(NextHopSpec(id: .init(70), kind: .vrf(.init(1), bridges: false))),
            .bridgeEntry(BridgeEntrySpec(vrf: .init(1), mac: MACAddress("02:00:00:00:01:70")!, nextHop: .init(70))))
        var frame = Golden.routed
        frame.replaceSubrange(0..<6, with: MACAddress("02:00:00:00:01:70")!.bytes)
        test.send(frame, from: test.blue1)
        #expect(test.fabric.take().count == 1)
        test.send(Self.from("169.254.7.7", frame), from: test.blue1)
        #expect(test.fabric.take().isEmpty && test.allDrops == ["invalid_source": 1])
    }

    /// RFC 4291 section 2.5.3.
    @Test func loopbackNeverIsOnAWire() {
        let test = TestRouter()
        test.send(Self.from("::1", Self.routed6), Self.from("127.0.0.1", Golden.routed), from: test.blue1)
        #expect(test.fabric.take().isEmpty && test.allDrops == ["invalid_source": 2])
    }

    // MARK: Reverse path

    @Test func strictOnAWorkload() {
        let test = TestRouter(remote: .mplsOverUDP)
        Self.change(test, 3) { $0.reversePath = .strict }
        let neighbours = Self.patched(Golden.routed, ip: 14, 15, 12)  // 10.1.0.12 is blue2's
        let nobodys = Self.patched(Golden.routed, ip: 14, 12, 11)  // 11.1.0.11 has no route
        test.send(Golden.routed, neighbours, nobodys, Golden.echoGateway, from: test.blue1)
        #expect(test.fabric.take().map(withoutEntropy) == [Golden.routedInMPLSoUDP])
        #expect(test.blue1.take() == [Golden.echoGatewayReply])
        #expect(test.allDrops == ["invalid_source": 2])
    }

    @Test func looseWantsARoute() {
        let test = TestRouter(remote: .mplsOverUDP)
        Self.change(test, 3) { $0.reversePath = .loose }
        let neighbours = Self.patched(Golden.routed, ip: 14, 15, 12)
        let nobodys = Self.patched(Golden.routed, ip: 14, 12, 11)
        let discarded = Self.patched(Golden.routed, ip: 14, 15, 77)  // of the subnet, which leads to the discard next hop
        test.send(Golden.routed, neighbours, nobodys, discarded, from: test.blue1)
        #expect(test.fabric.take().count == 2)
        #expect(test.allDrops == ["invalid_source": 2])
    }

    /// From a tunnel: the source has to be behind a tunnel.
    @Test func strictOnTheFabric() {
        let test = TestRouter()
        Self.change(test, 0) { $0.reversePath = .strict }
        // 10.1.0.12 is local.
        let spoofed = Self.patched(Self.patched(Self.patched(Golden.backInMPLSoUDP, ip: 46, 13, 1), ip: 46, 14, 0), ip: 46, 15, 12)
        test.send(Golden.backInMPLSoUDP, spoofed, from: test.fabric)
        #expect(test.blue1.take() == [Golden.backDelivered])
        #expect(test.allDrops == ["invalid_source": 1])
    }

    @Test func anyMemberOfAnECMPNextHopWillDo() {
        let test = TestRouter()
        Self.change(test, 0) { $0.reversePath = .strict }
        Self.apply(
            test, .nextHop(NextHopSpec(id: .init(90), kind: .ecmp([.init(nextHop: .init(30)), .init(nextHop: .init(2), label: 5003)]))),
            .nextHop(NextHopSpec(id: .init(91), kind: .indirect(.init(90)))),
            .route(RouteSpec(vrf: .init(1), prefix: IPPrefix("10.3.0.0/24")!, nextHop: .init(91))))
        test.send(Golden.backInMPLSoUDP, from: test.fabric)
        #expect(test.blue1.take() == [Golden.backDelivered])
    }

    @Test func ipv6HasAReversePathToo() {
        let test = OverlayIPv6Tests.router()
        Self.change(test, 3) { $0.reversePath = .strict }
        var frame = Array(GoldenOverlay.bridged)
        frame.replaceSubrange(0..<6, with: MACAddress.gateway.bytes)
        frame.replaceSubrange(38..<54, with: IPv6Address("fd00:1::13")!.bytes)
        var spoofed = frame
        spoofed[37] = 0x12  // fd00:1::12 is blue2's
        test.send(frame, spoofed, from: test.blue1)
        #expect(test.fabric.take().count == 1)
        #expect(test.allDrops == ["invalid_source": 1])
    }

    // MARK: Unreachable

    @Test func tellsThatThereIsNoRoute() {
        let test = TestRouter()
        test.send(Golden.toRed, from: test.blue1)
        #expect(test.blue1.take().isEmpty, "nobody asked for it")
        Self.change(test, 3) { $0.sendsUnreachables = true }
        let toNobody = Self.patched(Self.patched(Golden.toRed, ip: 14, 17, 1), ip: 14, 19, 77)  // 10.1.0.77: the subnet's discard route
        test.send(Golden.toRed, toNobody, from: test.blue1)
        let errors = test.blue1.take()
        #expect(errors.map { Array($0[34..<36]) } == [[3, 0], [3, 1]])
        // From the gateway, about the packet as it was sent.
        #expect(errors.allSatisfy { Array($0[26..<34]) == [10, 1, 0, 1, 10, 1, 0, 11] })
        #expect(errors.map { Array($0[42..<62]) } == [Array(Golden.toRed[14..<34]), Array(toNobody[14..<34])])
    }

    @Test func tellsThatThereIsNoIPv6Route() {
        let test = TestRouter()
        Self.change(test, 3) { $0.sendsUnreachables = true }
        var frame = Array(GoldenOverlay.bridged)
        frame.replaceSubrange(0..<6, with: MACAddress.gateway.bytes)
        frame[38] = 0xFC
        test.send(frame, from: test.blue1)
        #expect(test.blue1.take().map { Array($0[54..<56]) } == [[1, 0]])
    }

    /// RFC 1812 section 4.3.2.7: not about errors, later fragments, groups; and no more than is decent.
    @Test func staysSilentWhereTheRFCsWantIt() {
        let test = TestRouter()
        Self.change(test, 3) { $0.sendsUnreachables = true }
        var error = Golden.toRed
        error[34] = 3  // destination unreachable
        let later = Self.patched(Golden.toRed, ip: 14, 7, 10)
        test.send(error, later, from: test.blue1)
        #expect(test.blue1.take().isEmpty && test.drops(.noRoute) == 2)
        for _ in 0..<10 { test.blue1.input += Array(repeating: Golden.toRed, count: 100) }
        test.run()
        let sent = test.blue1.take().count
        #expect(sent >= 40 && sent < 200)
    }

    @Test func optionsWithoutEffectAreRefused() {
        let test = TestRouter(withHost: true)
        func refusal(_ vif: UInt32, _ body: (inout VifSpec) -> Void) -> RouterOutcome {
            var spec = test.router.vifs(after: vif == 0 ? nil : .init(vif - 1), limit: 1)[0].spec
            body(&spec)
            return test.router.apply([.upsert(.vif(spec))])[0]
        }
        #expect(refusal(3) { $0.checksTunnelSource = true } == .invalid("vif 3 (blue1): the source of tunnel packets is checked on a physical vif"))
        #expect(refusal(0) { $0.sendsUnreachables = true } == .invalid("vif 0 (fabric0): unreachable destinations are reported to workloads"))
        #expect(
            refusal(1) { $0.reversePath = .loose }
                == .invalid("vif 1 (vhost0): packets of a host vif are not routed, so there is no reverse path to check"))
    }
}
