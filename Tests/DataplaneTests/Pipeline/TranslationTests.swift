import NetTypes
import Testing

@testable import Dataplane

/// Flows whose action is NAT, against packets that scapy built whole (GoldenNAT.swift).
@Suite struct TranslationTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        var proto: UInt8, port: UInt16, peerPort: UInt16, translatedPort: UInt16
        var isIPv6 = false
        var packets: [[UInt8]]
        var testDescription: String { name }

        var flow: FlowSpec {
            FlowSpec(
                key: FlowKeySpec(
                    vrf: .init(1), source: IPAddress(isIPv6 ? "fd00:1::11" : "10.1.0.11")!,
                    destination: IPAddress(isIPv6 ? "fd00:1::12" : "10.1.0.12")!, proto: proto, sourcePort: port, destinationPort: peerPort),
                action: .nat,
                translation: FlowTranslation(source: IPAddress(isIPv6 ? "2001:db8::5" : "203.0.113.5")!, sourcePort: translatedPort))
        }
    }

    static let cases = [
        Case(
            name: "UDP", proto: 17, port: 4000, peerPort: 53, translatedPort: 61001,
            packets: [GoldenNAT.udp, GoldenNAT.udpTranslated, GoldenNAT.udpReply, GoldenNAT.udpReplyTranslated]),
        Case(
            name: "UDP without checksum", proto: 17, port: 4000, peerPort: 53, translatedPort: 61001,
            packets: [GoldenNAT.udpWithout, GoldenNAT.udpWithoutTranslated, GoldenNAT.udpWithoutReply, GoldenNAT.udpWithoutReplyTranslated]),
        Case(
            name: "UDP whose checksum becomes zero", proto: 17, port: 4000, peerPort: 53, translatedPort: 61001,
            packets: [GoldenNAT.udpZero, GoldenNAT.udpZeroTranslated, GoldenNAT.udpZeroReply, GoldenNAT.udpZeroReplyTranslated]),
        Case(
            name: "TCP", proto: 6, port: 4000, peerPort: 80, translatedPort: 61001,
            packets: [GoldenNAT.tcp, GoldenNAT.tcpTranslated, GoldenNAT.tcpReply, GoldenNAT.tcpReplyTranslated]),
        Case(
            name: "echo", proto: 1, port: 77, peerPort: 77, translatedPort: 50123,
            packets: [GoldenNAT.echo, GoldenNAT.echoTranslated, GoldenNAT.echoReply, GoldenNAT.echoReplyTranslated]),
        Case(
            name: "UDP over IPv6", proto: 17, port: 4000, peerPort: 53, translatedPort: 61001, isIPv6: true,
            packets: [GoldenNAT.udp6, GoldenNAT.udp6Translated, GoldenNAT.udp6Reply, GoldenNAT.udp6ReplyTranslated]),
        Case(
            name: "TCP over IPv6", proto: 6, port: 4000, peerPort: 80, translatedPort: 61001, isIPv6: true,
            packets: [GoldenNAT.tcp6, GoldenNAT.tcp6Translated, GoldenNAT.tcp6Reply, GoldenNAT.tcp6ReplyTranslated]),
        Case(
            name: "echo over IPv6", proto: 58, port: 77, peerPort: 77, translatedPort: 50123, isIPv6: true,
            packets: [GoldenNAT.echo6, GoldenNAT.echo6Translated, GoldenNAT.echo6Reply, GoldenNAT.echo6ReplyTranslated]),
        Case(
            name: "DCCP", proto: 33, port: 4000, peerPort: 53, translatedPort: 61001,
            packets: [GoldenNAT.dccp, GoldenNAT.dccpTranslated, GoldenNAT.dccpReply, GoldenNAT.dccpReplyTranslated]),
        Case(
            name: "UDP-Lite", proto: 136, port: 4000, peerPort: 53, translatedPort: 61001,
            packets: [GoldenNAT.lite, GoldenNAT.liteTranslated, GoldenNAT.liteReply, GoldenNAT.liteReplyTranslated]),
        Case(
            name: "UDP-Lite that covers its header", proto: 136, port: 4000, peerPort: 53, translatedPort: 61001,
            packets: [GoldenNAT.liteHeader, GoldenNAT.liteHeaderTranslated, GoldenNAT.liteHeaderReply, GoldenNAT.liteHeaderReplyTranslated]),
        Case(
            name: "UDP-Lite whose checksum becomes zero", proto: 136, port: 4000, peerPort: 53, translatedPort: 61001,
            packets: [GoldenNAT.liteZero, GoldenNAT.liteZeroTranslated, GoldenNAT.liteZeroReply, GoldenNAT.liteZeroReplyTranslated]),
        Case(
            name: "DCCP over IPv6", proto: 33, port: 4000, peerPort: 53, translatedPort: 61001, isIPv6: true,
            packets: [GoldenNAT.dccp6, GoldenNAT.dccp6Translated, GoldenNAT.dccp6Reply, GoldenNAT.dccp6ReplyTranslated]),
        Case(
            name: "UDP-Lite over IPv6", proto: 136, port: 4000, peerPort: 53, translatedPort: 61001, isIPv6: true,
            packets: [GoldenNAT.lite6, GoldenNAT.lite6Translated, GoldenNAT.lite6Reply, GoldenNAT.lite6ReplyTranslated]),
        Case(
            name: "UDP-Lite over IPv6 that covers its header", proto: 136, port: 4000, peerPort: 53, translatedPort: 61001, isIPv6: true,
            packets: [GoldenNAT.liteHeader6, GoldenNAT.liteHeader6Translated, GoldenNAT.liteHeader6Reply, GoldenNAT.liteHeader6ReplyTranslated]),
    ]

    @Test(arguments: cases) func sourceIsTranslatedAndRepliesComeBack(_ it: Case) {
        let test = TestRouter()
        #expect(test.router.apply([.upsert(.flow(it.flow))]) == [.ok])
        // Twice: the second finds its route in the entry.
        for _ in 0..<2 {
            test.send(it.packets[0], from: test.blue1)
            #expect(test.blue2.take() == [it.packets[1]])
            test.send(it.packets[2], from: test.blue2)
            #expect(test.blue1.take() == [it.packets[3]])
        }
        #expect(test.allDrops == [:])
        let flows = test.router.flows(from: 0, limit: 10).flows
        #expect(flows.count == 2 && flows.allSatisfy { $0.packets == 2 && $0.spec.action == .nat })
        #expect(flows.first { $0.isForward }?.spec == it.flow)
        let back = flows.first { !$0.isForward }?.spec
        #expect(back?.key.destination == it.flow.translation?.source && back?.key.destinationPort == it.translatedPort)
        let isEcho = it.proto == 1 || it.proto == 58
        #expect(
            back?.translation
                == FlowTranslation(
                    destination: it.flow.key.source, sourcePort: isEcho ? it.port : nil, destinationPort: isEcho ? nil : it.port))
    }

    /// What its packets become is kept while a flow is dropped: what lets a plain flow go again lets this one go translated, by either of its keys.
    @Test(arguments: cases) func aDroppedFlowGoesOnTranslated(_ it: Case) throws {
        let test = TestRouter()
        func flows() -> [FlowReading] { test.router.flows(from: 0, limit: 10).flows }
        func pass() {
            test.send(it.packets[0], from: test.blue1)
            #expect(test.blue2.take() == [it.packets[1]])
            test.send(it.packets[2], from: test.blue2)
            #expect(test.blue1.take() == [it.packets[3]])
        }
        #expect(test.router.apply([.upsert(.flow(it.flow))]) == [.ok])
        pass()
        let made = flows(), back = try #require(made.first { !$0.isForward }?.spec.key)
        var again = it.flow
        again.key.generation = made[0].generation
        let words = [FlowSpec(key: it.flow.key, action: .forward), FlowSpec(key: back, action: .forward), it.flow, again]
        for (count, word) in words.enumerated() {
            #expect(test.router.apply([.upsert(.flow(FlowSpec(key: word.key, action: .drop)))]) == [.ok])
            test.send(it.packets[0], from: test.blue1)
            test.send(it.packets[2], from: test.blue2)
            #expect(test.blue1.take().isEmpty && test.blue2.take().isEmpty && test.allDrops == ["flow_action_drop": UInt64(2 * count + 2)])
            #expect(flows().allSatisfy { $0.spec.action == .drop && $0.spec.translation == nil })
            #expect(test.router.apply([.upsert(.flow(word))]) == [.ok])
            pass()
            #expect(flows().map(\.spec.action) == [.nat, .nat] && flows().map(\.generation) == made.map(\.generation))
        }
        // One that is to become something else is made anew.
        var other = it.flow
        other.translation?.sourcePort = 61002
        #expect(test.router.apply([.upsert(.flow(FlowSpec(key: it.flow.key, action: .drop))), .upsert(.flow(other))]) == [.ok, .ok])
        #expect(flows().first { $0.isForward }?.spec == other && flows().count == 2)
    }

    /// The same pair, made by the other direction: a destination is translated (a floating IP seen from outside).
    @Test func destinationIsTranslatedIntoAnotherVRF() {
        let test = TestRouter()
        let flow = FlowSpec(
            key: FlowKeySpec(
                vrf: .init(1), source: IPAddress("10.1.0.12")!, destination: IPAddress("203.0.113.5")!, proto: 17, sourcePort: 53,
                destinationPort: 61001),
            action: .nat, translation: FlowTranslation(destination: IPAddress("10.1.0.11")!, destinationPort: 4000, vrf: .init(2)))
        #expect(test.router.apply([.upsert(.flow(flow))]) == [.ok])
        // VRF 2 has no route yet, though VRF 1 has.
        test.send(GoldenNAT.udpReply, from: test.blue2)
        #expect(test.blue1.take().isEmpty && test.allDrops == ["no_route": 1])
        let route = RouteSpec(vrf: .init(2), prefix: IPPrefix("10.1.0.11/32")!, nextHop: .init(30))
        #expect(test.router.apply([.upsert(.route(route))]) == [.ok])
        test.send(GoldenNAT.udpReply, from: test.blue2)
        #expect(test.blue1.take() == [GoldenNAT.udpReplyTranslated])
        #expect(test.router.flows(from: 0, limit: 10).flows.first { $0.isForward }?.spec == flow)
    }

    @Test func changesAndRefusals() {
        let test = TestRouter()
        let flow = Self.cases[0].flow
        var forward = flow
        forward.action = .forward
        forward.translation = nil
        // Plain, then translated, then plain again: the last word holds.
        for (spec, expected) in [(forward, false), (flow, true), (forward, false)] {
            #expect(test.router.apply([.upsert(.flow(spec))]) == [.ok])
            test.send(GoldenNAT.udp, from: test.blue1)
            #expect((test.blue2.take() == [GoldenNAT.udpTranslated]) == expected)
            #expect(test.router.flows(from: 0, limit: 10).flows.count == 2)
        }
        var bad = flow
        bad.translation = nil
        var other = flow
        other.translation = FlowTranslation(source: IPAddress("2001:db8::5")!)
        var same = flow
        same.translation = FlowTranslation(sourcePort: 4000)
        var away = flow
        away.translation?.vrf = .init(9)
        var echo = Self.cases[4].flow
        echo.translation?.destinationPort = 1
        for spec in [bad, other, same, echo] {
            guard case .invalid = test.router.apply([.upsert(.flow(spec))])[0] else {
                Issue.record("\(spec) was not refused")
                continue
            }
        }
        guard case .notFound = test.router.apply([.upsert(.flow(away))])[0] else {
            Issue.record("an unknown VRF was not refused")
            return
        }
    }

    /// The incremental checksum is the one computed from nothing, for any words.
    @Test func sumsAreExact() {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<10_000 {
            let old = random.next(), new = random.next(), rest = UInt32(random.next() & 0xFFFF)
            func checksum(_ word: UInt64) -> UInt16 {
                Checksum.finish((0..<4).reduce(rest) { $0 &+ UInt32(UInt16(truncatingIfNeeded: word >> UInt64($1 * 16))) })
            }
            let from = FlowKey(
                vrf: 1, proto: 17, ipv4Source: UInt32(old >> 32), ipv4Destination: UInt32(truncatingIfNeeded: old), sourcePort: 1, destinationPort: 2)
            let to = FlowKey(
                vrf: 1, proto: 17, ipv4Source: UInt32(new >> 32), ipv4Destination: UInt32(truncatingIfNeeded: new), sourcePort: 1, destinationPort: 2)
            let updated = FlowRewrite.update(checksum(old), by: FlowRewrite(from, becomes: to).networkSum)
            // The two zeroes of one's complement are one number.
            #expect(updated == checksum(new) || updated ^ checksum(new) == 0xFFFF && (updated == 0 || updated == 0xFFFF))
        }
    }
}
