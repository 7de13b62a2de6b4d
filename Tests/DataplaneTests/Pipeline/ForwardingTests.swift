import NetTypes
import Testing

@testable import Dataplane

/// Whole packets through the whole pipeline, against packets that scapy built (Golden.swift).
@Suite struct ForwardingTests {
    // MARK: Bridged

    @Test func bridgesIntoVXLAN() {
        let test = TestRouter()
        test.send(Golden.bridged, from: test.blue1)
        #expect(test.fabric.take().map(withoutEntropy) == [Golden.bridgedInVXLAN])
        #expect(test.router.status().totals.forwarded == 1)
    }

    @Test func bridgesOutOfVXLAN() {
        let test = TestRouter()
        test.send(Golden.bridgedBackInVXLAN, from: test.fabric)
        #expect(test.blue1.take() == [Golden.bridgedBack])
    }

    @Test func dropsUnknownMAC() {
        let test = TestRouter()
        var frame = Golden.bridged
        frame[5] = 0x99
        test.send(frame, from: test.blue1)
        #expect(test.allDrops == ["no_l2_route": 1])
        #expect(test.fabric.take().isEmpty)
    }

    /// The length of the outer UDP header: more than there is; and less, so that the inner packet is not whole. Octets behind the datagram are not part of it.
    @Test(arguments: [(0xFF, ["invalid_packet": 1], false), (0x62, ["invalid_packet": 1], false), (0x6A, [:], true)])
    func outerDatagramHasToHoldTheFrame(length: Int, drops: [String: UInt64], passes: Bool) {
        let test = TestRouter()
        var frame = Golden.bridgedBackInVXLAN
        frame[39] = UInt8(length)
        // Behind the datagram, within the IP packet: eight octets that nobody encapsulated, checksum accordingly.
        if passes {
            frame += Array(repeating: 0xEE, count: 8)
            frame[17] += 8
            frame[25] -= 8
        }
        test.send(frame, from: test.fabric)
        #expect(test.blue1.take() == (passes ? [Golden.bridgedBack] : []))
        #expect(test.allDrops == drops)
    }

    @Test func dropsUnknownVNI() {
        let test = TestRouter()
        var frame = Golden.bridgedBackInVXLAN
        frame[48] = 0x99
        test.send(frame, from: test.fabric)
        #expect(test.allDrops == ["invalid_vni": 1])
    }

    // MARK: Routed

    @Test(arguments: [(Encapsulation.vxlan, Golden.routedInVXLAN), (.mplsOverUDP, Golden.routedInMPLSoUDP), (.mplsOverGRE, Golden.routedInMPLSoGRE)])
    func routesIntoTunnel(encapsulation: Encapsulation, expected: [UInt8]) {
        let test = TestRouter(remote: encapsulation)
        test.send(Golden.routed, from: test.blue1)
        #expect(test.fabric.take().map(withoutEntropy) == [expected])
    }

    @Test(arguments: [Golden.backInMPLSoUDP, Golden.backInMPLSoGRE, Golden.backInVXLAN])
    func routesOutOfTunnel(frame: [UInt8]) {
        let test = TestRouter()
        test.send(frame, from: test.fabric)
        #expect(test.blue1.take() == [Golden.backDelivered])
    }

    @Test func congestionMarkReachesTheInnerHeader() {
        let test = TestRouter()
        test.send(Golden.backWithCE, Golden.backWithCENotCapable, from: test.fabric)
        #expect(test.blue1.take() == [Golden.backWithCEDelivered])
        #expect(test.allDrops == ["invalid_packet": 1])
    }

    @Test func answersExpiredTTL() {
        let test = TestRouter()
        test.send(Golden.routedTTL1, from: test.blue1)
        #expect(test.blue1.take() == [Golden.timeExceeded])
        #expect(test.fabric.take().isEmpty)
        #expect(test.allDrops == ["ttl_exceeded": 1])
        #expect(test.router.status().totals.generated == 1)
    }

    @Test func otherNetworksAreOutOfReach() {
        let test = TestRouter()
        test.send(Golden.toRed, from: test.blue1)
        #expect(test.fabric.take().isEmpty && test.blue1.take().isEmpty)
        #expect(test.allDrops == ["no_route": 1])
    }

    @Test func unknownLabelIsDropped() {
        let test = TestRouter()
        var frame = Golden.backInMPLSoUDP
        frame[43] = 0x09
        test.send(frame, from: test.fabric)
        #expect(test.allDrops == ["invalid_label": 1])
    }

    // MARK: Neighbours

    @Test(arguments: [
        (Golden.arpGateway, Golden.arpGatewayReply), (Golden.arpNeighbour, Golden.arpNeighbourReply), (Golden.solicitation, Golden.advertisement),
    ])
    func answersForKnownAddresses(question: [UInt8], answer: [UInt8]) {
        let test = TestRouter()
        test.send(question, from: test.blue1)
        #expect(test.blue1.take() == [answer])
    }

    @Test func staysSilentForOthers() {
        let test = TestRouter()
        test.send(Golden.arpUnknown, Golden.arpSelf, from: test.blue1)
        #expect(test.blue1.take().isEmpty)
        // The subnet route leads to the discard next hop and does not proxy; one's own address is nobody else's to answer for.
        #expect(test.router.status().totals.consumed == 2)
    }

    @Test func answersEchoToTheGateway() {
        let test = TestRouter()
        test.send(Golden.echoGateway, from: test.blue1)
        #expect(test.blue1.take() == [Golden.echoGatewayReply])
    }

    // MARK: Size

    @Test func fragmentsWhatMayBeFragmented() {
        let test = TestRouter()
        test.send(Golden.big, from: test.blue1)
        let inner = test.fabric.take().map { Array($0.dropFirst(50)) }
        #expect(inner == [Golden.bigPiece0, Golden.bigPiece1, Golden.bigPiece2])
        let totals = test.router.status().totals
        #expect(totals.consumed == 1 && totals.generated == 3 && totals.forwarded == 3)
    }

    @Test(arguments: [(Golden.bigDF, Golden.fragmentationNeeded), (Golden.big6, Golden.packetTooBig)])
    func refusesWhatMayNot(frame: [UInt8], error: [UInt8]) {
        let test = TestRouter()
        test.send(frame, from: test.blue1)
        #expect(test.blue1.take() == [error])
        #expect(test.fabric.take().isEmpty)
        #expect(test.allDrops == ["packet_too_big": 1])
    }

    @Test func clampsSegmentSize() {
        let test = TestRouter()
        test.send(Golden.syn, from: test.blue1)
        #expect(test.fabric.take().map { Array($0.dropFirst(50)) } == [Golden.synClamped])
    }

    /// The receiver announced 1000 octets; a packet of 1440 that its sender's kernel may have left uncut fits the way out, and is cut all the same.
    @Test func segmentsAreNoLargerThanTheReceiverAskedFor() {
        let test = TestRouter(workloadTraits: [.unfinishedChecksums, .oversizedSegments])
        func tcp(from source: [UInt8], to destination: [UInt8], _ ports: [UInt8], flags: UInt8, options: [UInt8] = [], payload: Int = 0) -> [UInt8] {
            var ip: [UInt8] = [0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, 6, 0, 0] + source + destination
            let total = 40 + options.count + payload
            (ip[2], ip[3]) = (UInt8(total >> 8), UInt8(total & 255))
            ip.withUnsafeMutableBytes { IPv4($0.baseAddress!).updateChecksum() }
            let offset = UInt8(5 + options.count / 4) << 4
            return ip + ports + [0, 0, 0, 1, 0, 0, 0, 1, offset, flags, 1, 0, 0, 0, 0, 0] + options + Array(repeating: 0xAA, count: payload)
        }
        let a: [UInt8] = [10, 1, 0, 11], b: [UInt8] = [10, 1, 0, 12]
        let toB = TestRouter.c.bytes + TestRouter.a.bytes + [8, 0], toA = TestRouter.a.bytes + TestRouter.c.bytes + [8, 0]
        test.send(toB + tcp(from: a, to: b, [0x10, 0, 0, 80], flags: 0x02, options: [2, 4, 0x23, 0x28]), from: test.blue1)
        test.send(toA + tcp(from: b, to: a, [0, 80, 0x10, 0], flags: 0x12, options: [2, 4, 0x03, 0xE8]), from: test.blue2)
        _ = test.blue2.take()
        test.send(toB + tcp(from: a, to: b, [0x10, 0, 0, 80], flags: 0x18, payload: 1400), from: test.blue1)
        // 1440 octets of IP would fit blue2's 1500; the receiver wants no more than 1040.
        #expect(test.blue2.take().map { $0.count - 14 } == [1040, 440])
    }

    @Test func icmpErrorsAreRateLimited() {
        let test = TestRouter()
        for _ in 0..<10 { test.blue1.input += Array(repeating: Golden.routedTTL1, count: 100) }
        test.run()
        let sent = test.blue1.take().count
        #expect(sent >= 50 && sent < 200)
        #expect(test.drops(.ttlExceeded) == 1000)
    }

    // MARK: Host

    @Test func hostAndFabricAreCrossConnected() {
        let test = TestRouter(withHost: true)
        test.send(Golden.toHost, from: test.fabric)
        test.send(Golden.fromHost, from: test.host)
        #expect(test.host.take() == [Golden.toHost])
        #expect(test.fabric.take() == [Golden.fromHost])
        test.send(Golden.fabricARPRequest, from: test.fabric)
        #expect(test.host.take() == [Golden.fabricARPRequest])
    }

    @Test func answersARPWithoutAHost() {
        let test = TestRouter()
        test.send(Golden.fabricARPRequest, from: test.fabric)
        #expect(test.fabric.take() == [Golden.fabricARPRequestReply])
    }

    // MARK: Control program

    @Test func trapsAndPacketsOut() {
        let test = TestRouter()
        nonisolated(unsafe) var traps: [TrapPacket] = []
        test.send(Golden.dhcp, from: test.blue1)
        #expect(test.allDrops == ["trap_no_listener": 1])
        let token = test.router.addTrapListener { traps.append($0) }
        test.send(Golden.dhcp, from: test.blue1)
        test.send(Golden.fabricARPReply, from: test.fabric)
        #expect(traps.map(\.packet) == [Golden.dhcp, Golden.fabricARPReply])
        #expect(traps.map(\.reason) == [.l3Protocol, .arp] && traps[0].vif == VifID(3) && traps[0].vrf == VRFID(1))
        test.router.removeTrapListener(token)
        #expect(test.router.send(OutgoingPacket(mode: .transmit, vif: .init(0), packet: Golden.fabricARPRequest)) == .ok)
        #expect(test.router.send(OutgoingPacket(mode: .receive, vif: .init(3), packet: Golden.bridged)) == .ok)
        test.run()
        #expect(test.fabric.take().map(withoutEntropy) == [Golden.fabricARPRequest, Golden.bridgedInVXLAN])
    }

    @Test func unicastToTheDHCPPortIsForwarded() {
        let test = TestRouter(remote: .mplsOverUDP)
        var frame = Golden.routed
        frame[36] = 0
        frame[37] = 67
        test.send(frame, from: test.blue1)
        #expect(test.fabric.take().count == 1 && test.allDrops.isEmpty)
    }

    // MARK: Flows

    @Test func flowsAreKeptAndDropped() {
        let test = TestRouter()
        test.send(Golden.bridged, Golden.bridged, from: test.blue1)
        test.send(Golden.bridgedBackInVXLAN, from: test.fabric)
        let (flows, _) = test.router.flows(from: 0, limit: 10)
        #expect(flows.count == 2)
        let forward = flows.first { $0.isForward }, reverse = flows.first { !$0.isForward }
        #expect(forward?.packets == 2 && forward?.bytes == UInt64(2 * Golden.bridged.count) && reverse?.packets == 1)
        #expect(
            forward?.spec.key
                == FlowKeySpec(
                    vrf: .init(1), source: IPAddress("10.1.0.11")!, destination: IPAddress("10.1.0.13")!, proto: 1, sourcePort: 7, destinationPort: 7)
        )
        #expect(forward?.reverseIndex == reverse?.index && forward?.ingressVif == VifID(3))
        var spec = forward!.spec
        spec.action = .drop
        #expect(test.router.apply([.upsert(.flow(spec))]) == [.ok])
        _ = test.fabric.take()
        test.send(Golden.bridged, from: test.blue1)
        #expect(test.fabric.take().isEmpty && test.allDrops == ["flow_action_drop": 1])
        #expect(
            test.router.apply([.delete(.flow(spec.key)), .delete(.flow(spec.key))]).map { if case .ok = $0 { true } else { false } } == [true, false])
        test.send(Golden.bridged, from: test.blue1)
        #expect(test.fabric.take().count == 1)
    }

    @Test func routeChangesReachFlowsAtOnce() {
        let test = TestRouter(remote: .mplsOverUDP)
        test.send(Golden.routed, from: test.blue1)
        #expect(test.fabric.take().map(withoutEntropy) == [Golden.routedInMPLSoUDP])
        #expect(test.router.apply([.delete(.route(.init(1), IPPrefix("10.3.0.0/24")!))]) == [.ok])
        test.send(Golden.routed, from: test.blue1)
        #expect(test.fabric.take().isEmpty && test.allDrops == ["no_route": 1])
    }

    // MARK: Antispoofing

    @Test func antispoofing() {
        let test = TestRouter(antispoof: true)
        var mac = Golden.bridged
        mac[11] = 0x66
        var address = Golden.bridged
        address[29] = 0x66
        address[24] = 0x66  // and its checksum: 0x666f becomes 0x6614
        address[25] = 0x14
        test.send(Golden.bridged, mac, address, Golden.arpGateway, from: test.blue1)
        #expect(test.fabric.take().count == 1 && test.blue1.take() == [Golden.arpGatewayReply])
        #expect(test.allDrops == ["invalid_source": 2])
    }

    // MARK: Hostile

    /// Random, truncated and mutated frames on every vif: never a trap, every packet accounted for, every buffer back.
    @Test func survivesAnything() {
        let test = TestRouter(withHost: true, workloadTraits: [.unfinishedChecksums, .oversizedSegments])
        var random = SystemRandomNumberGenerator()
        let seeds = [
            Golden.bridged, Golden.bridgedBackInVXLAN, Golden.routed, Golden.backInMPLSoUDP, Golden.backInMPLSoGRE, Golden.backInVXLAN,
            Golden.arpGateway,
            Golden.solicitation, Golden.big, Golden.big6, Golden.syn, Golden.dhcp, Golden.toHost, Golden.fabricARPReply,
        ]
        for round in 0..<40_000 {
            var frame = seeds[round % seeds.count]
            switch round / seeds.count % 4 {
            case 0: frame = Array(frame.prefix(Int.random(in: 0...frame.count, using: &random)))
            case 1:
                for _ in 0..<Int.random(in: 1...8) {
                    frame[Int.random(in: 0..<frame.count, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
                }
            case 2:
                for _ in 0..<Int.random(in: 1...4) {
                    frame[Int.random(in: 12..<min(60, frame.count), using: &random)] = .random(in: 0...255, using: &random)
                }
            default: frame = (0..<Int.random(in: 0...200, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
            }
            if frame.isEmpty { frame = [0] }
            [test.blue1, test.fabric, test.host, test.blue2][round % 4].input.append(frame)
        }
        test.run()
        #expect(test.router.status().totals.received == 40_000)
    }
}
