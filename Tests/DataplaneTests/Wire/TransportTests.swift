import Testing

@testable import Dataplane

@Suite struct UDPTests {
    let fields = UDP.Fields(sourcePort: 0xC123, destinationPort: UDP.vxlanPort, length: 12, checksum: 0xBEEF)

    @Test func parses() { on(WireVectors.udp) { #expect(UDP($0).fields == fields) } }
    @Test func emits() { #expect(written(8) { fields.emit(to: $0) } == Array(WireVectors.udp.prefix(8))) }
    @Test func tooShort() { #expect(neededLength(WireVectors.udp, UDP.check) == 12) }
    @Test(arguments: [0, 7, 13] as [UInt8]) func malformedLength(_ length: UInt8) {
        #expect(neededLength(changing(WireVectors.udp, 5, to: length), UDP.check) == nil)
    }
}

@Suite struct TCPTests {
    let fields = TCP.Fields(
        sourcePort: 49152, destinationPort: 179, sequence: 0x0102_0304, acknowledgment: 0xA1B2_C3D4, flags: [.ack, .psh, .urg, .ece, .cwr],
        window: 0x7210, checksum: 0xCAFE, urgentPointer: 5)

    @Test func parses() {
        on(WireVectors.tcp) {
            #expect(TCP($0).fields == fields)
            #expect(TCP($0).headerLength == 20 && TCP($0).maximumSegmentSizeOffset == 0)
        }
    }
    @Test func emits() { #expect(written(20) { fields.emit(to: $0) } == WireVectors.tcp) }
    @Test func tooShort() {
        #expect(neededLength(WireVectors.tcp, TCP.check) == 20)
        #expect(neededLength(WireVectors.tcpOptions, TCP.check) == 40)
    }
    @Test(arguments: [0x00, 0x40, 0x60, 0xF0] as [UInt8]) func malformedLength(_ value: UInt8) {
        #expect(neededLength(changing(WireVectors.tcp, 12, to: value), TCP.check) == nil)
    }
    @Test func headerLengthKeepsReservedBits() {
        on(changing(WireVectors.tcp, 12, to: 0x5E)) {
            TCP($0).headerLength = 60
            #expect($0.octet(12) == 0xFE)
        }
    }
    @Test func findsMaximumSegmentSize() {
        on(WireVectors.tcpOptions) {
            #expect(TCP($0).flags == .syn && TCP($0).headerLength == 40)
            #expect(TCP($0).maximumSegmentSizeOffset == 23)
            #expect($0.word16(23) == 8960)
        }
    }
    @Test(arguments: [
        ("end of list before it", "000204 05b40000", 0), ("length 0", "05000204 05b40000", 0), ("length 1", "05010204 05b40000", 0),
        ("past the header", "01020405", 0), ("kind without length", "01010102", 0), ("wrong length", "02030501 020405b4", 26),
        ("last", "01010101 020405b4", 26),
    ]) func options(_ name: String, _ text: String, _ offset: Int) {
        var options = octets(text)
        while options.count % 4 != 0 { options.append(0) }
        on(changing(WireVectors.tcp, 12, to: UInt8(20 + options.count) << 2) + options) {
            #expect(TCP($0).maximumSegmentSizeOffset == offset, "\(name)")
        }
    }
}
