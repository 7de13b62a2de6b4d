import Testing

@testable import Dataplane

@Suite struct EthernetTests {
    @Test func parses() {
        on(WireVectors.ethernet) {
            #expect(Ethernet($0).fields == Ethernet.Fields(destination: 0x0200_0000_020B, source: 0x0200_0000_010A, type: .ipv6))
            #expect(!Ethernet($0).isMulticast)
        }
    }
    @Test func emits() {
        #expect(
            written(14) { Ethernet.Fields(destination: 0x0200_0000_020B, source: 0x0200_0000_010A, type: .ipv6).emit(to: $0) } == WireVectors.ethernet
        )
    }
    @Test func tooShort() { #expect(neededLength(WireVectors.ethernet, Ethernet.check) == 14) }
    @Test func groupBit() {
        #expect(Ethernet.isMulticast(0x3333_0000_0001) && Ethernet.isMulticast(Ethernet.broadcast) && !Ethernet.isMulticast(0x0000_5E00_0100))
        on(ComposeVectors.arpRequest) { #expect(Ethernet($0).isMulticast) }
    }
    @Test func lengthIsNoType() { #expect(EtherType(0x05DC).isLength && !EtherType.ipv4.isLength) }
}

@Suite struct VLANTests {
    @Test func parses() {
        on(WireVectors.vlanFrame) {
            #expect(VLAN($0 + 12).fields == VLAN.Fields(id: 100, priority: 5, dropEligible: true, type: .arp))
        }
    }
    @Test func emits() {
        #expect(written(6) { VLAN.Fields(id: 100, priority: 5, dropEligible: true, type: .arp).emit(to: $0) } == Array(WireVectors.vlanFrame[12...]))
    }
    @Test func setsOneFieldAtATime() {
        on(WireVectors.vlanFrame) {
            let tag = VLAN($0 + 12)
            tag.id = 0xFABC
            #expect(tag.fields == VLAN.Fields(id: 0xABC, priority: 5, dropEligible: true, type: .arp))
            tag.priority = 2
            tag.dropEligible = false
            #expect(tag.fields == VLAN.Fields(id: 0xABC, priority: 2, dropEligible: false, type: .arp))
        }
    }
    @Test func tooShort() { #expect(neededLength(Array(WireVectors.vlanFrame[12...]), VLAN.check) == 6) }
    @Test func otherTypeIsNoTag() { #expect(neededLength(octets("0800b0640806"), VLAN.check) == nil) }

    @Test func linkHeader() {
        func header(_ bytes: [UInt8]) -> LinkHeader? { on(bytes) { LinkHeader($0, length: bytes.count) } }
        #expect(header(WireVectors.ethernet)?.size == 14)
        #expect(header(WireVectors.vlanFrame)?.size == 18)
        #expect(header(WireVectors.vlanFrame)?.type == .arp)
        #expect(header(WireVectors.doubleTagged)?.size == 22)
        #expect(header(WireVectors.doubleTagged)?.type == .ipv4)
        for count in [0, 13, 14, 17, 18, 21] { #expect(header(Array(WireVectors.doubleTagged.prefix(count))) == nil, "\(count) octets") }
        // A third tag stays unread.
        let deep = Array(WireVectors.doubleTagged.dropLast(2)) + octets("8100000a0800")
        #expect(header(deep)?.size == 22)
        #expect(header(deep)?.type == .vlan)
    }
}

@Suite struct ARPTests {
    let fields = ARP.Fields(operation: ARP.request, senderMAC: 0x0200_0000_010A, sender: 0x0A01_000A, targetMAC: 0, target: 0x0A01_0001)

    @Test func parses() {
        on(WireVectors.arp) {
            #expect(ARP($0).fields == fields)
            #expect(!ARP($0).isProbe && !ARP($0).isAnnouncement)
        }
    }
    @Test func emits() { #expect(written(28) { fields.emit(to: $0) } == WireVectors.arp) }
    @Test func tooShort() { #expect(neededLength(WireVectors.arp, ARP.check) == 28) }
    @Test(arguments: [1, 2, 4, 5]) func otherHardwareOrProtocol(_ index: Int) {
        #expect(neededLength(changing(WireVectors.arp, index, to: 9), ARP.check) == nil)
    }
}
