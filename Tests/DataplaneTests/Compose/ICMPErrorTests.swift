import NetTypes
import Testing

@testable import Dataplane

private let gatewayMAC: UInt64 = 0x0000_5E00_0100
private let gateway: UInt32 = 0x0A01_0001
private let gateway6 = IPv6Address("fd00:1::1")!

private func error4(_ kind: ICMPError.Kind, _ frame: [UInt8], capacity: Int = 2000) -> [UInt8]? {
    var length = 0
    let bytes = on(frame) { source in
        written(capacity) {
            length = ICMPError.makeIPv4(
                kind, about: source, length: frame.count, into: $0, capacity: capacity, mac: gatewayMAC, address: gateway)
        }
    }
    #expect(length != 0 || bytes.allSatisfy { $0 == 0xEE })
    return length == 0 ? nil : Array(bytes.prefix(length))
}
private func error6(_ kind: ICMPError.Kind, _ frame: [UInt8], capacity: Int = 2000) -> [UInt8]? {
    var length = 0
    let bytes = on(frame) { source in
        written(capacity) {
            length = ICMPError.makeIPv6(
                kind, about: source, length: frame.count, into: $0, capacity: capacity, mac: gatewayMAC, address: gateway6)
        }
    }
    #expect(length != 0 || bytes.allSatisfy { $0 == 0xEE })
    return length == 0 ? nil : Array(bytes.prefix(length))
}

@Suite struct ICMPErrorIPv4Tests {
    @Test func messages() {
        let about = ComposeVectors.offending
        #expect(error4(.timeExceeded, about) == ComposeVectors.timeExceeded)
        #expect(error4(.noRoute, about) == ComposeVectors.netUnreachable)
        #expect(error4(.hostUnreachable, about) == ComposeVectors.hostUnreachable)
        #expect(error4(.portUnreachable, about) == ComposeVectors.portUnreachable)
        #expect(error4(.prohibited, about) == ComposeVectors.prohibited)
        #expect(error4(.packetTooBig(mtu: 1400), about) == ComposeVectors.fragmentationNeeded)
    }
    @Test func paddingIsNotQuoted() { #expect(error4(.timeExceeded, ComposeVectors.offending + [1, 2, 3, 4]) == ComposeVectors.timeExceeded) }
    @Test func mtuIsLimitedToItsField() { #expect(error4(.packetTooBig(mtu: 100_000), ComposeVectors.offending)?[40...41] == [0xFF, 0xFF]) }
    /// 576 octets from the IP header on, and right checksums.
    @Test func quotesAsMuchAsFits() {
        var about = Array(ComposeVectors.offending.prefix(34)) + (0..<1480).map { UInt8(truncatingIfNeeded: $0) }
        (about[16], about[17]) = (0x05, 0xDC)
        let made = error4(.packetTooBig(mtu: 1400), about, capacity: 590)!
        #expect(made.count == 14 + 576)
        #expect(Array(made[42...]) == Array(about[14..<(14 + 548)]))
        on(made) {
            #expect(IPv4.check($0 + 14, available: 576) && IPv4($0 + 14).hasValidChecksum)
            #expect(ICMPv4($0 + 34).hasValidChecksum(length: 556))
        }
        #expect(error4(.packetTooBig(mtu: 1400), about, capacity: 589) == nil)
    }
    @Test func keepsVLANTag() {
        let about = Array(ComposeVectors.offending[..<12]) + octets("81000064") + ComposeVectors.offending[12...]
        let expected = Array(ComposeVectors.timeExceeded[..<12]) + octets("81000064") + ComposeVectors.timeExceeded[12...]
        #expect(error4(.timeExceeded, about) == expected)
    }
    /// RFC 1812 section 4.3.2.7.
    @Test func silence() {
        let about = ComposeVectors.offending
        for error in [ComposeVectors.timeExceeded, ComposeVectors.netUnreachable] { #expect(error4(.timeExceeded, error) == nil, "an ICMP error") }
        #expect(error4(.timeExceeded, ComposeVectors.echoRequest) != nil, "an echo request is no error")
        #expect(error4(.timeExceeded, changing(about, 21, to: 1)) == nil, "a later fragment")
        #expect(error4(.timeExceeded, changing(about, 20, to: 0x20)) != nil, "the first fragment")
        #expect(error4(.timeExceeded, changing(about, 30, to: 0xE1)) == nil, "to a group")
        var broadcast = about
        broadcast.replaceSubrange(30..<34, with: [255, 255, 255, 255])
        #expect(error4(.timeExceeded, broadcast) == nil, "to everybody")
        #expect(error4(.timeExceeded, changing(about, 0, to: 1)) == nil, "to a group of stations")
        #expect(error4(.timeExceeded, changing(about, 6, to: 1)) == nil, "from a group of stations")
        for first in [0, 127, 224, 255] as [UInt8] { #expect(error4(.timeExceeded, changing(about, 26, to: first)) == nil, "from \(first)/8") }
        #expect(error4(.timeExceeded, ComposeVectors.offending6) == nil, "IPv6")
        #expect(error4(.timeExceeded, Array(about.dropLast())) == nil, "cut")
        var bare = Array(about.prefix(34))
        (bare[17], bare[23]) = (20, 1)
        #expect(error4(.timeExceeded, bare) == nil, "ICMP without a type")
    }
}

@Suite struct ICMPErrorIPv6Tests {
    @Test func messages() {
        let about = ComposeVectors.offending6
        #expect(error6(.timeExceeded, about) == ComposeVectors.timeExceeded6)
        #expect(error6(.noRoute, about) == ComposeVectors.noRoute6)
        #expect(error6(.prohibited, about) == ComposeVectors.prohibited6)
        #expect(error6(.hostUnreachable, about) == ComposeVectors.addressUnreachable6)
        #expect(error6(.portUnreachable, about) == ComposeVectors.portUnreachable6)
        #expect(error6(.packetTooBig(mtu: 1400), about) == ComposeVectors.packetTooBig6)
    }
    /// 1280 octets from the IPv6 header on.
    @Test func quotesAsMuchAsFits() {
        var about = Array(ComposeVectors.offending6.prefix(54)) + (0..<1460).map { UInt8(truncatingIfNeeded: $0) }
        (about[18], about[19]) = (0x05, 0xB4)
        let made = error6(.packetTooBig(mtu: 1400), about, capacity: 1294)!
        #expect(made.count == 14 + 1280)
        #expect(Array(made[62...]) == Array(about[14..<(14 + 1232)]))
        on(made) {
            #expect(IPv6.check($0 + 14, available: 1280))
            #expect(ICMPv6($0 + 54).hasValidChecksum(ip: IPv6($0 + 14), length: 1240))
        }
        #expect(error6(.packetTooBig(mtu: 1400), about, capacity: 1293) == nil)
    }
    /// RFC 4443 section 2.4 (e).
    @Test func silence() {
        let about = ComposeVectors.offending6
        #expect(error6(.timeExceeded, ComposeVectors.timeExceeded6) == nil, "an ICMPv6 error")
        #expect(error6(.timeExceeded, changing(ComposeVectors.timeExceeded6, 54, to: 137)) == nil, "a redirect")
        #expect(error6(.timeExceeded, ComposeVectors.echoRequest6) != nil, "an echo request is no error")
        let toGroup = changing(about, 38, to: 0xFF)
        #expect(error6(.timeExceeded, toGroup) == nil, "to a group")
        #expect(error6(.packetTooBig(mtu: 1400), toGroup) != nil, "the exception: packet too big")
        #expect(error6(.timeExceeded, changing(about, 0, to: 0x33)) == nil, "to a group of stations")
        #expect(error6(.timeExceeded, changing(about, 6, to: 0x33)) == nil, "from a group of stations")
        #expect(error6(.packetTooBig(mtu: 1400), changing(about, 6, to: 0x33)) == nil, "from a group of stations")
        #expect(error6(.timeExceeded, changing(about, 22, to: 0xFF)) == nil, "from a group")
        for last in [0, 1] as [UInt8] {
            var unspecified = about
            for index in 22..<37 { unspecified[index] = 0 }
            unspecified[37] = last
            #expect(error6(.timeExceeded, unspecified) == nil, "from :: or ::1")
        }
        let later = Array(about[..<14]) + WireVectors.ipv6LaterFragment
        #expect(error6(.timeExceeded, later) == nil, "a later fragment")
        #expect(error6(.timeExceeded, ComposeVectors.offending) == nil, "IPv4")
        #expect(error6(.timeExceeded, Array(about.dropLast())) == nil, "cut")
    }
}
