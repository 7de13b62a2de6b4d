import NetTypes
import Testing

@testable import Dataplane

/// Tunnels over an IPv6 fabric, against packets that scapy built (GoldenOverlay.swift).
@Suite struct OverlayIPv6Tests {
    /// node1 with the tunnel endpoint fd00::11 too, and behind fd00::12: the subnet 10.6.0.0/24 and the workload 02:00:00:00:01:66.
    static func router(_ encapsulation: Encapsulation = .vxlan, withHost: Bool = false, traits: PortTraits = []) -> TestRouter {
        let test = TestRouter(withHost: withHost)
        let outcomes = test.router.apply([
            .upsert(
                .vif(
                    VifSpec(
                        id: .init(0), name: "fabric0", kind: .physical, port: "fabric", vrf: .init(0), mac: TestRouter.fabricMAC,
                        addresses: [IPAddress("10.0.0.11")!, IPAddress("fd00::11")!]))),
            .upsert(
                .nextHop(
                    NextHopSpec(
                        id: .init(61),
                        kind: .tunnel(
                            .init(
                                encapsulation: encapsulation, source: IPAddress("fd00::11")!, destination: IPAddress("fd00::12")!, vif: .init(0),
                                destinationMAC: TestRouter.peerMAC, sourceMAC: TestRouter.fabricMAC,
                                routerMAC: MACAddress("02:00:00:00:0f:99")!))))),
            .upsert(
                .route(
                    RouteSpec(
                        vrf: .init(1), prefix: IPPrefix("10.6.0.0/24")!, nextHop: .init(61), label: encapsulation == .vxlan ? 5006 : 88))),
            .upsert(.bridgeEntry(BridgeEntrySpec(vrf: .init(1), mac: MACAddress("02:00:00:00:01:66")!, nextHop: .init(61), label: 5001))),
        ])
        #expect(outcomes.allSatisfy { $0 == .ok }, "\(outcomes)")
        return test
    }

    /// The frame with the flow label 1 and the UDP source port 49152, after a check of what the hash gave.
    static func withoutHash(_ frame: [UInt8]) -> [UInt8] {
        guard frame.count > 58, frame[12] == 0x86 else { return frame }
        var frame = frame
        #expect(UInt32(frame[15] & 0xF) << 16 | UInt32(frame[16]) << 8 | UInt32(frame[17]) != 0, "no flow label")
        (frame[15], frame[16], frame[17]) = (frame[15] & 0xF0, 0, 1)
        guard frame[20] == 17 else { return frame }
        #expect(UInt16(frame[54]) << 8 | UInt16(frame[55]) >= 49152)
        (frame[54], frame[55]) = (0xC0, 0)
        return frame
    }

    @Test(arguments: [
        (Encapsulation.vxlan, GoldenOverlay.routedInVXLAN), (.mplsOverUDP, GoldenOverlay.routedInMPLSoUDP),
        (.mplsOverGRE, GoldenOverlay.routedInMPLSoGRE),
    ])
    func routesIntoTunnel(encapsulation: Encapsulation, expected: [UInt8]) {
        let test = Self.router(encapsulation)
        test.send(GoldenOverlay.routed, from: test.blue1)
        #expect(test.fabric.take().map(Self.withoutHash) == [expected])
    }

    @Test func bridgesIntoVXLAN() {
        let test = Self.router()
        test.send(GoldenOverlay.bridged, from: test.blue1)
        #expect(test.fabric.take().map(Self.withoutHash) == [GoldenOverlay.bridgedInVXLAN])
    }

    /// The entropy is the flow's: the same for all of its packets, and different for most of others.
    @Test func flowLabelFollowsTheFlow() {
        let test = Self.router()
        var labels: Set<[UInt8]> = []
        for port in UInt8(0)..<64 {
            var frame = GoldenOverlay.routed
            frame[35] = port  // low octet of the source port; the UDP checksum is nobody's business here
            test.send(frame, frame, from: test.blue1)
            let out = test.fabric.take().map { Array($0[14..<18] + $0[54..<56]) }
            #expect(out.count == 2 && out[0] == out[1])
            labels.insert(out[0])
        }
        #expect(labels.count > 60)
    }

    @Test(arguments: [GoldenOverlay.backInVXLAN, GoldenOverlay.backInMPLSoUDP, GoldenOverlay.backInMPLSoGRE, GoldenOverlay.backChecksummed])
    func routesOutOfTunnel(frame: [UInt8]) {
        let test = Self.router()
        test.send(frame, from: test.fabric)
        #expect(test.blue1.take() == [GoldenOverlay.backDelivered])
    }

    /// Zero says that there is no checksum; any other value has to be right.
    @Test func verifiesTheUDPChecksum() {
        let test = Self.router()
        var frame = GoldenOverlay.backChecksummed
        frame[frame.count - 1] ^= 1
        test.send(frame, from: test.fabric)
        #expect(test.allDrops == ["checksum_error": 1])
    }

    /// Cut by the fabric: the outer packet would have to be put together first.
    @Test func refusesFragmentsOfTheOuterPacket() {
        let test = Self.router()
        let frame = GoldenOverlay.backInMPLSoUDP
        let payload = frame.count - 54 + 8
        let header: [UInt8] = [17, 0, 0, 1, 0, 0, 0, 9]
        var first = Array(frame[..<54]) + header + Array(frame[54...])
        (first[18], first[19], first[20]) = (UInt8(payload >> 8), UInt8(payload & 255), 44)
        test.send(first, from: test.fabric)
        #expect(test.allDrops == ["fragment_error": 1])
        // An atomic fragment is whole (RFC 6946).
        first[57] = 0
        test.send(first, from: test.fabric)
        #expect(test.blue1.take() == [GoldenOverlay.backDelivered])
    }

    @Test func tellsTheSenderWhatFits() {
        let test = Self.router()
        test.send(GoldenOverlay.big6, from: test.blue1)
        #expect(test.blue1.take() == [GoldenOverlay.packetTooBig])
        #expect(test.allDrops == ["packet_too_big": 1])
        // One octet less is what fits: 1500 - 40 - 8 - 8 - 14.
        var fits = Array(GoldenOverlay.big6.dropLast())
        (fits[18], fits[19]) = (UInt8((1430 - 40) >> 8), UInt8((1430 - 40) & 255))
        test.send(fits, from: test.blue1)
        #expect(test.fabric.take().map(\.count) == [1514])
    }

    @Test func answersForTheTunnelEndpoint() {
        let test = Self.router()
        test.send(GoldenOverlay.solicitation, from: test.fabric)
        #expect(test.fabric.take() == [GoldenOverlay.advertisement])
        test.send(GoldenOverlay.echoToUs, from: test.fabric)
        #expect(test.fabric.take() == [GoldenOverlay.echoFromUs])
    }

    @Test func advertisementsReachTheControlProgram() {
        let test = Self.router()
        nonisolated(unsafe) var traps: [TrapPacket] = []
        let token = test.router.addTrapListener { traps.append($0) }
        test.send(GoldenOverlay.theirAdvertisement, from: test.fabric)
        test.send(GoldenOverlay.solicitation, from: test.fabric)
        test.router.removeTrapListener(token)
        #expect(traps.map(\.reason) == [.neighbour, .neighbour])
        #expect(traps.map(\.packet) == [GoldenOverlay.theirAdvertisement, GoldenOverlay.solicitation])
    }

    @Test func theHostSpeaksForItself() {
        let test = Self.router(withHost: true)
        test.send(GoldenOverlay.solicitation, GoldenOverlay.echoToUs, GoldenOverlay.theirAdvertisement, from: test.fabric)
        #expect(test.host.take() == [GoldenOverlay.solicitation, GoldenOverlay.echoToUs, GoldenOverlay.theirAdvertisement])
        #expect(test.fabric.take().isEmpty)
    }

    @Test func endpointsAreOfOneFamily() {
        let test = Self.router()
        let mixed = NextHopSpec(
            id: .init(62),
            kind: .tunnel(
                .init(
                    encapsulation: .vxlan, source: IPAddress("10.0.0.11")!, destination: IPAddress("fd00::12")!, vif: .init(0),
                    destinationMAC: TestRouter.peerMAC, sourceMAC: TestRouter.fabricMAC)))
        #expect(
            test.router.apply([.upsert(.nextHop(mixed))])
                == [.invalid("next hop 62: source 10.0.0.11 and destination fd00::12 are not of one family")])
    }

    /// Truncated at every octet, and with every octet changed: never a trap, every packet accounted for.
    @Test func survivesHostileOuterHeaders() {
        let test = Self.router(withHost: true)
        for frame in [GoldenOverlay.backInVXLAN, GoldenOverlay.backInMPLSoGRE, GoldenOverlay.backChecksummed, GoldenOverlay.solicitation] {
            for length in 1...frame.count { test.fabric.input.append(Array(frame.prefix(length))) }
            for at in frame.indices {
                for bit in 0..<8 {
                    var mutated = frame
                    mutated[at] ^= 1 << UInt8(bit)
                    test.fabric.input.append(mutated)
                }
            }
        }
        test.run()
    }
}
