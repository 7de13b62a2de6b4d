import NetTypes
import Testing

@testable import Dataplane

@Suite struct ICMPv4Tests {
    let fields = ICMPv4.Fields(type: .echoRequest, checksum: 0xE716, identifier: 0x1111, sequence: 7)

    @Test func parses() {
        on(WireVectors.icmpv4) {
            #expect(ICMPv4($0).fields == fields)
            #expect(ICMPv4($0).typeAndCode == 0x0800)
            #expect(ICMPv4($0).hasValidChecksum(length: WireVectors.icmpv4.count))
        }
    }
    @Test func emits() { #expect(written(8) { fields.emit(to: $0) } == Array(WireVectors.icmpv4.prefix(8))) }
    @Test func tooShort() { #expect(neededLength(WireVectors.icmpv4, ICMPv4.check) == 8) }
    @Test func checksum() {
        on(changing(WireVectors.icmpv4, 12, to: 0x20)) {
            #expect(!ICMPv4($0).hasValidChecksum(length: WireVectors.icmpv4.count))
            ICMPv4($0).updateChecksum(length: WireVectors.icmpv4.count)
            #expect(ICMPv4($0).checksum == 0xE816)
        }
    }
    @Test func errors() {
        let errors = (0...255 as ClosedRange<UInt8>).filter { ICMPv4.MessageType($0).isError }
        #expect(errors == [3, 4, 5, 11, 12])
    }
}

@Suite struct ICMPv6Tests {
    @Test func parses() {
        on(WireVectors.icmpv6Packet) {
            let ip = IPv6($0), message = ICMPv6($0 + 40)
            #expect(message.fields == ICMPv6.Fields(type: .echoRequest, checksum: 0x4EA7, body: 0x2222_0009))
            #expect(message.identifier == 0x2222 && message.sequence == 9)
            #expect(message.hasValidChecksum(ip: ip, length: 13))
            #expect(!message.hasValidChecksum(ip: ip, length: 12))
            message.checksum = 0
            message.updateChecksum(ip: ip, length: 13)
            #expect(message.checksum == 0x4EA7)
        }
    }
    @Test func emits() {
        #expect(
            written(8) { ICMPv6.Fields(type: .echoRequest, checksum: 0x4EA7, body: 0x2222_0009).emit(to: $0) }
                == Array(WireVectors.icmpv6Packet[40..<48]))
    }
    @Test func tooShort() { #expect(neededLength(Array(WireVectors.icmpv6Packet[40...]), ICMPv6.check) == 8) }
    @Test func errors() { #expect(ICMPv6.MessageType(127).isError && !ICMPv6.MessageType.echoRequest.isError) }
}

@Suite struct NeighbourDiscoveryTests {
    let target = IPv6Address("fd00:1::1")!

    @Test func parses() {
        on(WireVectors.advertisement) {
            let fields = NeighbourMessage($0).fields
            #expect(
                fields == NeighbourMessage.Fields(type: .neighbourAdvertisement, isRouter: true, isSolicited: true, overrides: true, target: target))
            let options = NeighbourOptions($0 + NeighbourMessage.optionsOffset, length: 8)
            #expect(options.isValid && options.hasTarget && !options.hasSource && options.target == 0x0000_5E00_0100)
        }
        on(WireVectors.solicitation) {
            #expect(NeighbourMessage($0).fields == NeighbourMessage.Fields(type: .neighbourSolicitation, target: target))
            let options = NeighbourOptions($0 + NeighbourMessage.optionsOffset, length: 8)
            #expect(options.isValid && options.hasSource && options.source == 0x0200_0000_010A)
        }
        on(WireVectors.routerSolicitation) {
            #expect(RouterSolicitation.check($0, available: 16) && ICMPv6($0).type == .routerSolicitation)
            #expect(NeighbourOptions($0 + RouterSolicitation.optionsOffset, length: 8).source == 0x0200_0000_010A)
        }
    }
    @Test func emits() {
        let bytes = written(32) {
            NeighbourMessage.Fields(type: .neighbourAdvertisement, isRouter: true, isSolicited: true, overrides: true, target: target).emit(to: $0)
            NeighbourOptions.emit(type: NeighbourOptions.targetLinkLayer, mac: 0x0000_5E00_0100, to: $0 + 24)
            ICMPv6($0).checksum = 0x3F8B
        }
        #expect(bytes == WireVectors.advertisement)
    }
    @Test func tooShort() {
        #expect(neededLength(WireVectors.solicitation, NeighbourMessage.check) == 24)
        #expect(neededLength(WireVectors.routerSolicitation, RouterSolicitation.check) == 8)
    }
    @Test(arguments: [
        ("length 0", "0100020000000001"), ("past the message", "0102020000000001"), ("cut", "010102000000"),
        ("the second has length 0", "0e01000000000000 0100000000000000"),
    ]) func malformedOptions(_ name: String, _ text: String) {
        let bytes = octets(text)
        #expect(!on(bytes) { NeighbourOptions($0, length: bytes.count).isValid }, "\(name)")
    }
    /// A nonce option (RFC 3971) before it, a second address after it.
    @Test func firstAddressCounts() {
        let bytes = octets("0e01aabbccddeeff 0101020000000001 0101020000000002")
        let options = on(bytes) { NeighbourOptions($0, length: bytes.count) }
        #expect(options.isValid && options.source == 0x0200_0000_0001)
    }
}
