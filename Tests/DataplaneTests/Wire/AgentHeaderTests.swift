import Testing

@testable import Dataplane

@Suite struct AgentHeaderTests {
    /// By hand, from the layout: vif 3, VRF 1, command 6, parameters 0x0A, 7, 0, 0, 0x01020304, then the octet that is not used and three of padding.
    static let octets = hex("0003 0001 0006 0000000a 00000007 00000000 00000000 01020304 00 000000")
    static let fields = AgentHeader.Fields(vif: 3, vrf: 1, command: 6, parameters: (10, 7, 0, 0, 0x0102_0304))

    @Test func parses() { on(Self.octets) { #expect(AgentHeader($0).fields == Self.fields) } }
    @Test func emits() { #expect(written(30) { Self.fields.emit(to: $0) } == Self.octets) }
    @Test func tooShort() { #expect(neededLength(Self.octets, AgentHeader.check) == 30) }
    @Test func everyParameterCounts() {
        for offset in stride(from: 6, to: 26, by: 4) {
            var other = Self.octets
            other[offset] ^= 1
            on(other) { #expect(AgentHeader($0).fields != Self.fields, "octet \(offset)") }
        }
    }
}
