import NetTypes
import Testing

@testable import Dataplane

@Suite struct IPv6Tests {
    let fields = IPv6.Fields(
        trafficClass: 0xB9, flowLabel: 0xABCDE, payloadLength: 8, nextHeader: .udp, hopLimit: 63, source: IPv6Address("fd00:1::10")!,
        destination: IPv6Address("2001:db8::1")!)

    @Test func parses() {
        on(WireVectors.ipv6) {
            #expect(IPv6($0).fields == fields)
            #expect(IPv6($0).totalLength == 48)
        }
    }
    @Test func emits() { #expect(written(40) { fields.emit(to: $0) } == Array(WireVectors.ipv6.prefix(40))) }
    @Test func tooShort() { #expect(neededLength(WireVectors.ipv6, IPv6.check) == 48) }
    @Test(arguments: [("version", 0, 0x45), ("longer than memory", 5, 9)] as [(String, Int, UInt8)])
    func malformed(_ name: String, _ index: Int, _ value: UInt8) {
        #expect(neededLength(changing(WireVectors.ipv6, index, to: value), IPv6.check) == nil, "\(name)")
    }
    @Test func setters() {
        on(WireVectors.ipv6) {
            let ip = IPv6($0)
            ip.trafficClass = 0x12
            ip.flowLabel = 0xFFF1_2345
            #expect(contents($0, 4) == [0x61, 0x21, 0x23, 0x45])
        }
    }
}

@Suite struct IPv6ExtensionTests {
    func headers(_ bytes: [UInt8]) -> IPv6.Headers {
        on(bytes) {
            #expect(IPv6.check($0, available: bytes.count))
            return IPv6($0).headers()
        }
    }
    /// An IPv6 packet with this first next header and payload.
    func packet(_ next: UInt8, _ payload: [UInt8]) -> [UInt8] {
        var bytes = Array(WireVectors.ipv6.prefix(40)) + payload
        bytes[4] = UInt8(payload.count >> 8)
        bytes[5] = UInt8(payload.count & 0xFF)
        bytes[6] = next
        return bytes
    }

    @Test func none() {
        #expect(headers(WireVectors.ipv6) == IPv6.Headers(outcome: .upperLayer, proto: .udp, offset: 40))
        #expect(headers(packet(132, [])) == IPv6.Headers(outcome: .upperLayer, proto: .sctp, offset: 40))
    }
    @Test func chain() {
        #expect(
            headers(WireVectors.ipv6Extensions)
                == IPv6.Headers(
                    outcome: .upperLayer, proto: .udp, offset: 72, fragmentHeader: 64, fragmentOffset: 0, moreFragments: true,
                    identification: 0xDEAD_BEEF))
        #expect(headers(WireVectors.ipv6Extensions).isFragment)
    }
    @Test func laterFragment() {
        let found = headers(WireVectors.ipv6LaterFragment)
        #expect(
            found
                == IPv6.Headers(
                    outcome: .laterFragment, proto: .udp, offset: 48, fragmentHeader: 40, fragmentOffset: 1448, identification: 0xDEAD_BEEF))
        #expect(found.isFragment)
    }
    @Test func atomicFragmentIsNone() { #expect(!headers(packet(44, octets("1100000000000001 0001000200080000"))).isFragment) }
    @Test func routingHeader() {
        #expect(headers(WireVectors.ipv6Routing) == IPv6.Headers(outcome: .upperLayer, proto: .udp, offset: 64, hasSegmentsLeft: true))
    }
    @Test func authenticationHeader() {
        #expect(headers(WireVectors.ipv6AH) == IPv6.Headers(outcome: .upperLayer, proto: .udp, offset: 64))
    }
    @Test func noNextHeader() { #expect(headers(packet(59, [])).proto == .noNextHeader) }
    @Test(
        arguments: [
            ("nothing where a header is announced", 0, ""), ("half a header", 60, "110000"), ("length past the packet", 43, "1101000000000000"),
            ("fragment header cut", 44, "11000001"), ("two fragment headers", 44, "2c00000100000001 1100000100000001"),
            ("AH past the packet", 51, "1104000000000000"),
        ] as [(String, UInt8, String)]) func malformed(_ name: String, _ next: UInt8, _ payload: String)
    {
        #expect(headers(packet(next, octets(payload))).outcome == .malformed, "\(name)")
    }
    /// Eight headers are walked, nine are not.
    @Test func bounded() {
        func chain(_ count: Int) -> [UInt8] {
            packet(60, (0..<count).flatMap { octets($0 + 1 == count ? "1100010400000000" : "3c00010400000000") } + octets("0001000200080000"))
        }
        #expect(headers(chain(8)) == IPv6.Headers(outcome: .upperLayer, proto: .udp, offset: 104))
        #expect(headers(chain(9)).outcome == .malformed)
        #expect(headers(chain(200)).outcome == .malformed)
    }
}
