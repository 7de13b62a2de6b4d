import NetTypes
import Testing

@testable import Dataplane

/// RFC 6040 section 4.2, figure 4: rows are the inner field, columns the outer one, in the order Not-ECT, ECT(0), ECT(1), CE. `nil`: drop.
@Suite struct ECNTests {
    static let order: [UInt8] = [0, 2, 1, 3]
    static let figure: [[UInt8?]] = [
        [0, 0, 0, nil],
        [2, 2, 1, 3],
        [1, 1, 1, 3],
        [3, 3, 3, 3],
    ]

    @Test func tableOfTheRFC() {
        for (row, inner) in Self.order.enumerated() {
            for (column, outer) in Self.order.enumerated() {
                #expect(ECN.decapsulated(inner: inner, outer: outer) == Self.figure[row][column], "inner \(inner) outer \(outer)")
            }
        }
    }

    /// The same through the whole pipeline, over both fabrics, with the inner checksum.
    @Test(arguments: [false, true]) func throughTheRouter(overIPv6: Bool) {
        for (row, inner) in Self.order.enumerated() {
            for (column, outer) in Self.order.enumerated() {
                let test = OverlayIPv6Tests.router()
                var frame = overIPv6 ? GoldenOverlay.backInMPLSoUDP : Golden.backInMPLSoUDP
                let at = overIPv6 ? 66 : 46
                frame.withUnsafeMutableBytes { bytes in
                    let ip = IPv4(bytes.baseAddress! + at)
                    ip.ecn = inner
                    ip.dscp = 46
                    ip.updateChecksum()
                    if overIPv6 {
                        IPv6(bytes.baseAddress! + 14).trafficClass = 10 << 2 | outer
                    } else {
                        let ip = IPv4(bytes.baseAddress! + 14)
                        ip.typeOfService = 10 << 2 | outer
                        ip.updateChecksum()
                    }
                }
                test.send(frame, from: test.fabric)
                let out = test.blue1.take()
                if let expected = Self.figure[row][column] {
                    // The DSCP is the sender's own: what the fabric made of the outer one stays there (RFC 2983, pipe model).
                    #expect(out.map { $0[15] } == [46 << 2 | expected], "inner \(inner) outer \(outer)")
                    #expect(out.allSatisfy { frame in frame.withUnsafeBytes { IPv4(reading: $0.baseAddress! + 14).hasValidChecksum } })
                } else {
                    #expect(out.isEmpty && test.allDrops == ["invalid_packet": 1])
                }
            }
        }
    }

    /// IPv6 inside has the field across two octets.
    @Test func innerIPv6() {
        for (row, inner) in Self.order.enumerated() {
            for (column, outer) in Self.order.enumerated() {
                let test = TestRouter()
                var frame = Golden.bridgedBackInVXLAN
                let ipv6 =
                    hex("6000000000103a40 fd000001000000000000000000000013 fd000001000000000000000000000011") + [128, 0, 0, 0]
                    + Array(repeating: 0, count: 12)
                frame = Array(frame[..<62]) + [0x86, 0xDD] + ipv6
                frame.withUnsafeMutableBytes { bytes in
                    IPv6(bytes.baseAddress! + 64).trafficClass = 46 << 2 | inner
                    let ip = IPv4(bytes.baseAddress! + 14)
                    ip.totalLength = bytes.count - 14
                    ip.ecn = outer
                    ip.updateChecksum()
                    UDP(bytes.baseAddress! + 34).length = bytes.count - 34
                }
                test.send(frame, from: test.fabric)
                let out = test.blue1.take().map { frame in frame.withUnsafeBytes { IPv6(reading: $0.baseAddress! + 14).trafficClass } }
                #expect(out == (Self.figure[row][column].map { [46 << 2 | $0] } ?? []), "inner \(inner) outer \(outer)")
            }
        }
    }

    /// What has no such field counts as Not-ECT.
    @Test func notIP() {
        for (column, outer) in Self.order.enumerated() {
            let test = TestRouter()
            var frame = Array(Golden.bridgedBackInVXLAN[..<62]) + [0x88, 0xB5] + Array(repeating: 7, count: 46)
            frame.withUnsafeMutableBytes { bytes in
                let ip = IPv4(bytes.baseAddress! + 14)
                ip.totalLength = bytes.count - 14
                ip.ecn = outer
                ip.updateChecksum()
                UDP(bytes.baseAddress! + 34).length = bytes.count - 34
            }
            test.send(frame, from: test.fabric)
            #expect(test.blue1.take().count == (Self.figure[0][column] == nil ? 0 : 1), "outer \(outer)")
        }
    }
}
