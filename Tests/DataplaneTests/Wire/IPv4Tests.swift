import Testing

@testable import Dataplane

@Suite struct IPv4Tests {
    let fields = IPv4.Fields(
        typeOfService: 0xB9, totalLength: 48, identification: 0x1234, doNotFragment: true, timeToLive: 63, proto: .udp, source: 0x0A01_000A,
        destination: 0xC000_0201)

    @Test func parses() {
        on(WireVectors.ipv4) {
            let ip = IPv4($0)
            #expect(ip.fields == fields)
            #expect(ip.headerLength == 20 && ip.payloadLength == 28 && ip.payload == $0 + 20)
            #expect(ip.dscp == 46 && ip.ecn == 1)
            #expect(ip.checksum == 0x5CC4 && ip.hasValidChecksum)
            #expect(!ip.isFragment && !ip.isLaterFragment && !ip.moreFragments)
        }
    }
    @Test func parsesOptionsAndFragment() {
        on(WireVectors.ipv4Options) {
            let ip = IPv4($0)
            #expect(ip.headerLength == 32 && ip.payloadLength == 4 && ip.fragmentOffset == 1480)
            #expect(ip.moreFragments && ip.isFragment && ip.isLaterFragment && !ip.doNotFragment)
            #expect(ip.hasValidChecksum && !ip.hasSourceRoute)
            #expect(ip.copiedHeaderLength == 20)
        }
    }
    @Test func emits() { #expect(written(20) { fields.emit(to: $0) } == Array(WireVectors.ipv4.prefix(20))) }
    @Test func tooShort() {
        #expect(neededLength(WireVectors.ipv4, IPv4.check) == 48)
        #expect(neededLength(WireVectors.ipv4Options, IPv4.check) == 36)
    }
    @Test(
        arguments: [
            ("version", 0, 0x65), ("header of 16 octets", 0, 0x44), ("header longer than the packet", 0, 0x4D), ("packet longer than memory", 3, 49),
            ("packet shorter than its header", 3, 19), ("no length", 3, 0),
        ] as [(String, Int, UInt8)]) func malformed(_ name: String, _ index: Int, _ value: UInt8)
    {
        #expect(neededLength(changing(WireVectors.ipv4, index, to: value), IPv4.check) == nil, "\(name)")
    }
    @Test func setters() {
        on(WireVectors.ipv4) {
            let ip = IPv4($0)
            ip.dscp = 10
            ip.ecn = 3
            ip.doNotFragment = false
            ip.moreFragments = true
            ip.fragmentOffset = 65528
            #expect(ip.typeOfService == 0x2B && ip.fragmentField == 0x3FFF)
            ip.fragmentOffset = 8
            #expect(ip.fragmentField == 0x2001)
            #expect(!ip.hasValidChecksum)
            ip.updateChecksum()
            #expect(ip.hasValidChecksum)
        }
    }
    /// Each TTL, each time against a checksum computed anew.
    @Test func decrementsTimeToLive() {
        on(WireVectors.ipv4) {
            let ip = IPv4($0)
            ip.timeToLive = 255
            ip.updateChecksum()
            for expected in (0..<255).reversed() {
                ip.decrementTimeToLive()
                let updated = ip.checksum
                ip.updateChecksum()
                #expect(ip.timeToLive == UInt8(expected) && updated == ip.checksum)
            }
        }
    }
    @Test(arguments: [
        ("none", "", false, 20), ("end of list hides the rest", "00830704", false, 20), ("loose source route", "8303040183030401", true, 28),
        ("strict, after a NOP", "01890304", true, 24), ("router alert", "94040000", false, 24), ("length 0", "07000000", true, 0),
        ("length 1", "07010000", true, 0),
        ("past the header", "07050000", true, 0), ("type without length", "01010107", true, 0),
    ]) func options(_ name: String, _ text: String, _ hasSourceRoute: Bool, _ copied: Int) {
        let options = octets(text)
        var bytes = Array(WireVectors.ipv4.prefix(20)) + options
        bytes[0] = 0x45 + UInt8(options.count / 4)
        on(bytes) {
            #expect(IPv4($0).hasSourceRoute == hasSourceRoute)
            #expect(IPv4($0).copiedHeaderLength == copied)
        }
    }
}
