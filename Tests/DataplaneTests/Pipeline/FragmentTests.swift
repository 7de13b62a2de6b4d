import NetTypes
import Testing

@testable import Dataplane

/// Fragments from a workload through the whole pipeline.
@Suite struct FragmentTests {
    /// `bytes` of `Golden.routed`'s datagram, a UDP datagram of 56 octets with ports 1000 and 2000, as a fragment.
    private static func piece(_ offset: Int, _ length: Int, last: Bool, id: UInt8 = 3, proto: UInt8 = 17, of frame: [UInt8] = Golden.routed)
        -> [UInt8]
    {
        var out = Array(frame[..<34]) + Array(frame[(34 + offset)..<(34 + offset + length)])
        out[23] = proto
        out.withUnsafeMutableBytes {
            let ip = IPv4($0.baseAddress! + 14)
            ip.totalLength = 20 + length
            ip.identification = UInt16(id)
            ip.fragmentOffset = offset
            ip.moreFragments = !last
            ip.updateChecksum()
        }
        return out
    }
    private static func tunnel(_ id: UInt32) -> RouterObject {
        .nextHop(
            NextHopSpec(
                id: .init(id),
                kind: .tunnel(
                    .init(
                        encapsulation: .mplsOverUDP, source: IPAddress("10.0.0.11")!, destination: IPAddress("10.0.0.\(id)")!, vif: .init(0),
                        destinationMAC: TestRouter.peerMAC, sourceMAC: TestRouter.fabricMAC))))
    }
    /// 10.3.0.0/24 over 16 tunnels.
    private static func router(keepsFlows: Bool = true) -> TestRouter {
        let test = TestRouter(remote: .mplsOverUDP)
        var vif = test.router.vifs(after: .init(2), limit: 1)[0].spec
        vif.keepsFlows = keepsFlows
        let objects =
            [.vif(vif)] + (100..<116).map(tunnel) + [
                .nextHop(NextHopSpec(id: .init(90), kind: .ecmp((100..<116).map { .init(nextHop: .init($0), label: 77) }))),
                .route(RouteSpec(vrf: .init(1), prefix: IPPrefix("10.3.0.0/24")!, nextHop: .init(90))),
            ]
        #expect(test.router.apply(objects.map(RouterOperation.upsert)).allSatisfy { $0 == .ok })
        return test
    }

    /// Path and entropy of later fragments are those of the first; with flows, those of the flow's whole packets too.
    @Test(arguments: [true, false]) func laterFragmentsFollowTheFirst(keepsFlows: Bool) {
        let test = Self.router(keepsFlows: keepsFlows)
        var ways: Set<[UInt8]> = []
        for port in UInt8(0)..<40 {
            var frame = Golden.routed
            frame[35] = port
            test.send(
                Self.piece(0, 24, last: false, id: port, of: frame), Self.piece(24, 24, last: false, id: port, of: frame),
                Self.piece(48, 8, last: true, id: port, of: frame), from: test.blue1)
            let out = test.fabric.take().map { Array($0[30..<36]) }  // outer destination and UDP source port
            #expect(out.count == 3 && Set(out).count == 1)
            ways.insert(out[0])
            guard keepsFlows else { continue }
            test.send(frame, from: test.blue1)
            #expect(test.fabric.take().map { Array($0[30..<36]) } == [out[0]])
        }
        #expect(ways.count > 30)
        if keepsFlows { #expect(test.router.flows(from: 0, limit: 1000).flows.filter(\.isForward).allSatisfy { $0.packets == 4 }) }
        #expect(test.router.status().tables.first { $0.name == "fragment" }?.used == 0)
    }

    @Test func laterFragmentsShareTheFlowsFate() {
        let test = TestRouter(remote: .mplsOverUDP)
        test.send(Golden.routed, from: test.blue1)
        var flow = test.router.flows(from: 0, limit: 10).flows.first { $0.isForward }!.spec
        flow.action = .drop
        #expect(test.router.apply([.upsert(.flow(flow))]) == [.ok])
        _ = test.fabric.take()
        test.send(Self.piece(0, 24, last: false), Self.piece(24, 32, last: true), from: test.blue1)
        #expect(test.fabric.take().isEmpty && test.allDrops == ["flow_action_drop": 2])
    }

    /// Before the first: by the addresses, or not at all.
    @Test func orderIsNotTaken() {
        let test = TestRouter(remote: .mplsOverUDP)
        test.send(Self.piece(24, 32, last: true), Self.piece(0, 24, last: false), from: test.blue1)
        #expect(test.fabric.take().count == 2 && test.allDrops.isEmpty)
        let strict = TestRouter(remote: .mplsOverUDP, fragmentPolicy: .drop)
        strict.send(Self.piece(24, 32, last: true), Self.piece(0, 24, last: false), Self.piece(24, 32, last: true, id: 4), from: strict.blue1)
        #expect(strict.fabric.take().count == 1 && strict.allDrops == ["no_fragment_entries": 2])
    }

    /// Later pieces that come before the first wait for it, follow its flow, and keep their order; those whose first does not come are dropped in the end.
    @Test func theyWaitForTheFirst() {
        let held = TestRouter(remote: .mplsOverUDP, fragmentPolicy: .hold)
        held.blue1.input = [Self.piece(48, 8, last: true), Self.piece(24, 24, last: false)]
        held.router.run(turns: 3)
        #expect(held.fabric.take().isEmpty && held.router.status().totals.isBalanced && held.router.status().buffersInUse == 2)
        #expect(held.router.status().workers.first?.counters.handedOver == 2)
        // Something else in between, and then the first, in one burst with a whole packet before and behind it.
        held.blue1.input = [Golden.routed, Self.piece(0, 24, last: false), Golden.routed]
        held.run()
        let out = held.fabric.take()
        let offsets = out.map { frame in frame.withUnsafeBytes { IPv4(reading: $0.baseAddress! + 46).fragmentOffset } }
        #expect(offsets == [0, 0, 0, 48, 24], "the first among the others, then what waited, as it came")
        #expect(Set(out.map { Array($0[34..<36]) }).count == 1, "one entropy: one flow")
        #expect(held.router.flows(from: 0, limit: 10).flows.first { $0.isForward }?.packets == 5)
        #expect(held.allDrops.isEmpty && held.router.status().tables.first { $0.name == "fragment" }?.used == 0)

        held.send(Self.piece(24, 32, last: true, id: 9), from: held.blue1)
        #expect(held.fabric.take().isEmpty && held.allDrops == ["no_fragment_entries": 1], "the router stops, and nothing more will come")
    }

    /// What waits goes the way of its first: dropped with its flow.
    @Test func whatWaitedSharesTheFlowsFate() {
        let test = TestRouter(remote: .mplsOverUDP, fragmentPolicy: .hold)
        test.send(Golden.routed, from: test.blue1)
        var flow = test.router.flows(from: 0, limit: 10).flows.first { $0.isForward }!.spec
        flow.action = .drop
        #expect(test.router.apply([.upsert(.flow(flow))]) == [.ok])
        _ = test.fabric.take()
        test.send(Self.piece(24, 32, last: true), Self.piece(0, 24, last: false), from: test.blue1)
        #expect(test.fabric.take().isEmpty && test.allDrops == ["flow_action_drop": 2])
    }

    /// One vif holds half of what a worker keeps, and another vif still has its share.
    @Test func whatWaitsIsBounded() {
        let test = TestRouter(remote: .mplsOverUDP, fragmentPolicy: .hold)
        for id in 0..<200 as Range<UInt8> { test.blue1.input.append(Self.piece(24, 32, last: true, id: id)) }
        test.router.run(turns: 10)
        #expect(test.allDrops == ["fragment_queue_full": 200 - UInt64(Worker.heldCapacity / 2)])
        #expect(test.router.status().buffersInUse == Worker.heldCapacity / 2)
        test.blue2.input = [Self.piece(24, 32, last: true, id: 250)]
        test.router.run(turns: 2)
        #expect(test.router.status().buffersInUse == Worker.heldCapacity / 2 + 1)
        // The first of one comes: it goes, and makes room.
        test.blue1.input = [Self.piece(0, 24, last: false, id: 7)]
        test.router.run(turns: 2)
        #expect(test.fabric.take().count == 2 && test.router.status().buffersInUse == Worker.heldCapacity / 2)
        test.run()
    }

    /// A flow whose addresses are translated: later fragments get the addresses, the first the port too.
    @Test func translationReachesLaterFragments() {
        let test = TestRouter()
        #expect(test.router.apply([.upsert(.flow(TranslationTests.cases[0].flow))]) == [.ok])
        let length = GoldenNAT.udp.count - 34
        test.send(
            Self.piece(0, 8, last: false, of: GoldenNAT.udp), Self.piece(8, length - 8, last: true, of: GoldenNAT.udp), from: test.blue1)
        let out = test.blue2.take()
        #expect(out.map { Array($0[26..<34]) } == [[203, 0, 113, 5, 10, 1, 0, 12], [203, 0, 113, 5, 10, 1, 0, 12]])
        #expect(out.first.map { Array($0[34...]) } == Array(GoldenNAT.udpTranslated[34..<42]))
        #expect(out.last.map { Array($0[34...]) } == Array(GoldenNAT.udpTranslated[42...]))
        #expect(out.allSatisfy { frame in frame.withUnsafeBytes { IPv4(reading: $0.baseAddress! + 14).hasValidChecksum } })
    }

    /// The echo's identifier is a port.
    @Test func echoesHaveFlowsToo() {
        let test = TestRouter()
        test.send(Golden.bigPiece0, Golden.bigPiece1, Golden.bigPiece2, from: test.blue1)
        let flows = test.router.flows(from: 0, limit: 10).flows
        #expect(flows.first { $0.isForward }?.packets == 3 && flows.count == 2)
        #expect(test.fabric.take().map { Array($0.dropFirst(50)) } == [Golden.bigPiece0, Golden.bigPiece1, Golden.bigPiece2])
    }

    /// Protocols without ports, and messages of ICMP that are no echo, have flows like all.
    struct Portless: Sendable, CustomTestStringConvertible {
        var proto: UInt8, datagram: [UInt8], cut: Int
        var testDescription: String { "\(proto)" }
        static let all =
            [47, 50, 4].map { Portless(proto: $0, datagram: GoldenPolicy.gre, cut: 8) } + [
                Portless(proto: 1, datagram: GoldenPolicy.timestamp, cut: 16)
            ]

        var pieces: [[UInt8]] {
            let length = datagram.count - 34
            return [
                piece(0, cut, last: false, proto: proto, of: datagram), piece(cut, length - cut, last: true, proto: proto, of: datagram),
            ]
        }
    }

    @Test(arguments: Portless.all) func deniedWithoutPorts(_ it: Portless) {
        let test = TestRouter()
        PolicyPipelineTests().apply(test, PolicyPipelineTests.policy(1, []), PolicyPipelineTests.attach(test, 4, ingress: [1]))
        test.send(it.pieces[0], it.pieces[1], from: test.blue1)
        #expect(test.blue2.take().isEmpty && test.allDrops == ["flow_action_drop": 2])
        // In bursts of their own.
        for piece in it.pieces { test.send(piece, from: test.blue1) }
        #expect(test.blue2.take().isEmpty && test.allDrops == ["flow_action_drop": 4])
        PolicyPipelineTests().apply(test, PolicyPipelineTests.policy(1, [PolicyRule(service: .proto(it.proto))]))
        test.send(it.pieces[0], it.pieces[1], from: test.blue1)
        #expect(test.blue2.take().count == 2)
        #expect(test.router.flows(from: 0, limit: 9).flows.map(\.packets).sorted() == [0, 6])
    }

    @Test(arguments: Portless.all) func translatedWithoutPorts(_ it: Portless) {
        let test = TestRouter(fragmentPolicy: .hold)
        var flow = TranslationTests.cases[0].flow
        (flow.key.proto, flow.key.sourcePort, flow.key.destinationPort) = (it.proto, 0, it.proto == 1 ? 13 << 8 : 0)
        flow.translation?.sourcePort = nil
        #expect(test.router.apply([.upsert(.flow(flow))]) == [.ok])
        // The later one comes first, and waits.
        test.send(it.pieces[1], it.pieces[0], from: test.blue1)
        let out = test.blue2.take()
        #expect(out.map { Array($0[26..<34]) } == [[203, 0, 113, 5, 10, 1, 0, 12], [203, 0, 113, 5, 10, 1, 0, 12]])
        #expect(out.map { Array($0[34...]) } == it.pieces.map { Array($0[34...]) })
        #expect(out.allSatisfy { frame in frame.withUnsafeBytes { IPv4(reading: $0.baseAddress! + 14).hasValidChecksum } })
    }

    @Test func fromTheFabricToo() {
        let test = TestRouter()
        test.send(Golden.bridgedBackInVXLAN, from: test.fabric)
        func inVXLAN(_ offset: Int, _ length: Int, last: Bool) -> [UInt8] {
            let inner = Self.piece(offset, length, last: last, id: 2, proto: 1, of: Golden.bridgedBack)
            var frame = Array(Golden.bridgedBackInVXLAN[..<50]) + inner
            frame.withUnsafeMutableBytes {
                let ip = IPv4($0.baseAddress! + 14)
                ip.totalLength = $0.count - 14
                ip.updateChecksum()
                UDP($0.baseAddress! + 34).length = $0.count - 34
            }
            return frame
        }
        test.send(inVXLAN(0, 24, last: false), inVXLAN(24, 32, last: true), from: test.fabric)
        #expect(test.blue1.take().count == 3)
        #expect(test.router.flows(from: 0, limit: 10).flows.map(\.packets).max() == 3)
    }

    // MARK: Hostile

    @Test func refusesWhatFragmentsAreAbusedFor() {
        for (frames, dropped, passed) in [
            // Too short for the header: UDP, TCP (RFC 1858), ICMP.
            ([Self.piece(0, 0, last: false)], 1, 0), ([Self.piece(0, 16, last: false, proto: 6)], 1, 0),
            // At offset 8, TCP's flags could be overwritten (RFC 3128).
            ([Self.piece(8, 48, last: true, proto: 6)], 1, 0),
            // Not a multiple of 8.
            ([Self.piece(0, 20, last: false)], 1, 0),
            // Overlap: the rest of the datagram goes too.
            ([Self.piece(0, 24, last: false), Self.piece(16, 16, last: false), Self.piece(32, 24, last: true)], 2, 1),
            // A duplicate: only that goes.
            ([Self.piece(0, 24, last: false), Self.piece(0, 24, last: false), Self.piece(24, 32, last: true)], 1, 2),
        ] {
            let test = TestRouter(remote: .mplsOverUDP)
            for frame in frames { test.send(frame, from: test.blue1) }
            #expect(
                test.fabric.take().count == passed && test.allDrops == ["fragment_error": UInt64(dropped)], "\(frames.map { Array($0[20..<24]) })")
        }
    }

    /// Octets past 65535: the ping of death.
    @Test func refusesWhatIsTooLong() {
        let test = TestRouter(remote: .mplsOverUDP)
        var frame = Self.piece(0, 56, last: true)
        frame.withUnsafeMutableBytes {
            let ip = IPv4($0.baseAddress! + 14)
            ip.fragmentOffset = 65_528
            ip.updateChecksum()
        }
        test.send(frame, from: test.blue1)
        #expect(test.allDrops == ["fragment_error": 1])
    }

    @Test func aFloodDoesNotStopTheOthers() {
        let test = TestRouter(remote: .mplsOverUDP, fragmentCapacity: 64)
        for id in 0..<200 {
            var frame = Self.piece(0, 24, last: false)
            frame.withUnsafeMutableBytes {
                let ip = IPv4($0.baseAddress! + 14)
                ip.identification = UInt16(1000 + id)
                ip.updateChecksum()
            }
            test.blue1.input.append(frame)
        }
        test.run()
        #expect(test.drops(.noFragmentEntries) >= 200 - 32)
        #expect(test.router.status().tables.first { $0.name == "fragment" }.map { ($0.used <= 32, $0.capacity) } ?? (false, 0) == (true, 64))
        // Another vif's pieces, and whole packets, pass.
        _ = test.fabric.take()
        for id in 0..<16 as Range<UInt16> {
            var other = Self.piece(0, 24, last: false)
            other.withUnsafeMutableBytes {
                let ip = IPv4($0.baseAddress! + 14)
                ip.source = 0x0A01_000C
                ip.identification = id
                ip.updateChecksum()
            }
            test.blue2.input.append(other)
        }
        test.run()
        // One set of entries or another may be full of the flood's; where that is changes with every start.
        #expect(test.fabric.take().count >= 8)
        test.send(Golden.routed, from: test.blue1)
        #expect(test.fabric.take().count == 1)
    }

    @Test func ipv6() {
        let test = TestRouter()
        let udp: [UInt8] = [0x10, 0, 0x20, 0, 0, 48, 0, 0] + Array(repeating: 9, count: 40)
        func piece(_ offset: Int, _ length: Int, last: Bool, next: UInt8 = 17) -> [UInt8] {
            let field = UInt16(offset) | (last ? 0 : 1)
            var frame =
                TestRouter.b.bytes + TestRouter.a.bytes
                + hex("86dd 6000000000002c40 fd000001000000000000000000000011 fd000001000000000000000000000013")
            frame += [next, 0, UInt8(field >> 8), UInt8(field & 255), 0, 0, 0, 7] + udp[offset..<(offset + length)]
            frame[19] = UInt8(8 + length)
            return frame
        }
        test.send(piece(0, 24, last: false), piece(24, 24, last: true), from: test.blue1)
        let out = test.fabric.take()
        #expect(out.count == 2 && Set(out.map { Array($0[34..<36]) }).count == 1)
        #expect(test.router.flows(from: 0, limit: 10).flows.first { $0.isForward }?.packets == 2)
        // Without ports: both pieces are of one flow, too.
        test.send(piece(0, 24, last: false, next: 50), piece(24, 24, last: true, next: 50), from: test.blue1)
        #expect(test.fabric.take().count == 2)
        #expect(test.router.flows(from: 0, limit: 10).flows.first { $0.isForward && $0.spec.key.proto == 50 }?.packets == 2)
        // RFC 7112: the whole header chain has to be in the first. RFC 5722: overlap refuses the datagram.
        test.send(piece(0, 24, last: false, next: 6), from: test.blue1)
        #expect(test.allDrops == ["fragment_error": 1])
    }
}
