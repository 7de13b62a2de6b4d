import Testing

@testable import Dataplane

@Suite struct VXLANTests {
    @Test func parses() { on(WireVectors.vxlan) { #expect(VXLAN($0).fields == VXLAN.Fields(vni: 0xABCDEF)) } }
    @Test func emits() { #expect(written(8) { VXLAN.Fields(vni: 0xABCDEF).emit(to: $0) } == WireVectors.vxlan) }
    @Test func tooShort() { #expect(neededLength(WireVectors.vxlan, VXLAN.check) == 8) }
    @Test func withoutNetworkFlag() { #expect(neededLength(changing(WireVectors.vxlan, 0, to: 0xF7), VXLAN.check) == nil) }
    @Test func reservedBitsAreIgnored() {
        let bytes = octets("ffffffffabcdefff")
        #expect(neededLength(bytes, VXLAN.check) == 8)
        on(bytes) { #expect(VXLAN($0).vni == 0xABCDEF) }
    }
}

@Suite struct MPLSTests {
    let fields = MPLS.Fields(label: 0xFEDCB, trafficClass: 5, isBottom: true, timeToLive: 62)

    @Test func parses() { on(WireVectors.mpls) { #expect(MPLS($0).fields == fields) } }
    @Test func emits() { #expect(written(4) { fields.emit(to: $0) } == WireVectors.mpls) }
    @Test func tooShort() { #expect(neededLength(WireVectors.mpls, MPLS.check) == 4) }
    @Test func setsOneFieldAtATime() {
        on(WireVectors.mpls) {
            MPLS($0).label = 16
            MPLS($0).isBottom = false
            MPLS($0).trafficClass = 0xFF
            MPLS($0).timeToLive = 1
            #expect(contents($0, 4) == [0x00, 0x01, 0x0E, 0x01])
        }
    }
}

@Suite struct GRETests {
    @Test func parses() {
        on(WireVectors.gre) {
            #expect(GRE($0).type == .mpls && GRE($0).headerLength == 4)
            #expect(!GRE($0).hasChecksum && !GRE($0).hasKey && !GRE($0).hasSequence)
        }
        on(WireVectors.greOptional) {
            #expect(GRE($0).type == .ethernetBridging && GRE($0).headerLength == 16 && GRE($0).key == 0x0102_0304)
            #expect(GRE($0).payload.octet(0) == 0x78)
        }
        on(octets("2000080011223344")) { #expect(GRE($0).headerLength == 8 && GRE($0).key == 0x1122_3344) }
    }
    @Test func emits() { #expect(written(4) { GRE.Fields(type: .mpls).emit(to: $0) } == WireVectors.gre) }
    @Test func tooShort() {
        #expect(neededLength(WireVectors.gre, GRE.check) == 4)
        #expect(neededLength(WireVectors.greOptional, GRE.check) == 16)
    }
    /// Routing, strict source route, a bit of recursion control, version 1 (PPTP).
    @Test(arguments: ["40000800", "08000800", "04000800", "00010800"]) func refused(_ text: String) {
        #expect(neededLength(octets(text) + [UInt8](repeating: 0, count: 16), GRE.check) == nil)
    }
}
