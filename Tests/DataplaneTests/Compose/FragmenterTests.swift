import Testing

@testable import Dataplane

/// The next frame's length, and what is then in a buffer of `capacity` octets.
private func next(_ fragmenter: inout Fragmenter, _ capacity: Int) -> (Int, [UInt8]) {
    var length = 0
    let bytes = written(capacity) { length = fragmenter.next(into: $0, capacity: capacity) }
    return (length, bytes)
}

/// All fragments; nil when the packet is not to be fragmented.
private func fragments(_ frame: [UInt8], mtu: Int) -> [[UInt8]]? {
    on(frame) { p in
        var fragmenter = Fragmenter(p, length: frame.count, mtu: mtu)
        guard fragmenter.isPossible else {
            #expect(fragmenter.count == 0 && fragmenter.isDone)
            return nil
        }
        var result: [[UInt8]] = []
        while !fragmenter.isDone {
            // As much room as the MTU and the largest link header want.
            let (length, bytes) = next(&fragmenter, mtu + 22)
            #expect(length > 0)
            guard length > 0 else { break }
            result.append(Array(bytes.prefix(length)))
        }
        #expect(result.count == fragmenter.count)
        let (length, untouched) = next(&fragmenter, 100)
        #expect(length == 0 && untouched.allSatisfy { $0 == 0xEE })
        return result
    }
}

@Suite struct FragmenterTests {
    @Test func datagram() {
        #expect(
            fragments(ComposeVectors.datagram, mtu: 68)
                == [ComposeVectors.datagramFragment0, ComposeVectors.datagramFragment1, ComposeVectors.datagramFragment2])
    }
    @Test func optionsByTheirCopiedFlag() {
        #expect(
            fragments(ComposeVectors.optioned, mtu: 84)
                == [ComposeVectors.optionedFragment0, ComposeVectors.optionedFragment1, ComposeVectors.optionedFragment2])
    }
    @Test func fragmentOfAFragment() {
        #expect(fragments(ComposeVectors.middle, mtu: 70) == [ComposeVectors.middleFragment0, ComposeVectors.middleFragment1])
    }
    @Test func fitsUnchanged() {
        #expect(fragments(ComposeVectors.datagram, mtu: 128) == [ComposeVectors.datagram])
        #expect(fragments(changing(ComposeVectors.datagram, 20, to: 0x40), mtu: 128) == [ComposeVectors.datagram].map { changing($0, 20, to: 0x40) })
        #expect(fragments(ComposeVectors.datagram + [0, 0, 0], mtu: 128) == [ComposeVectors.datagram], "padding goes")
    }
    @Test func refused() {
        #expect(fragments(changing(ComposeVectors.datagram, 20, to: 0x40), mtu: 127) == nil, "don't fragment")
        #expect(fragments(ComposeVectors.datagram, mtu: 27) == nil, "no room for 8 octets")
        #expect(fragments(ComposeVectors.datagram, mtu: 0) == nil && fragments(ComposeVectors.datagram, mtu: -1) == nil, "no MTU")
        #expect(fragments(ComposeVectors.optioned, mtu: 47) == nil, "no room for options and 8 octets")
        #expect(fragments(changing(ComposeVectors.optioned, 35, to: 0), mtu: 84) == nil, "option of length 0")
        var far = ComposeVectors.datagram
        (far[20], far[21]) = (0x1F, 0xFF)
        #expect(fragments(far, mtu: 68) == nil, "ends past offset 65535")
        var uneven = ComposeVectors.datagram
        uneven[20] = 0x20
        #expect(fragments(uneven, mtu: 68) == nil, "108 octets with more to follow is no multiple of 8")
        #expect(fragments(ComposeVectors.offending6, mtu: 20) == nil && fragments(ComposeVectors.arpRequest, mtu: 20) == nil, "no IPv4")
        #expect(fragments(Array(ComposeVectors.datagram.dropLast()), mtu: 68) == nil, "cut")
    }
    @Test func waitsForRoom() {
        on(ComposeVectors.datagram) { p in
            var fragmenter = Fragmenter(p, length: ComposeVectors.datagram.count, mtu: 68)
            let (none, untouched) = next(&fragmenter, 81)
            #expect(none == 0 && untouched.allSatisfy { $0 == 0xEE })
            #expect(!fragmenter.isDone)
            let (length, bytes) = next(&fragmenter, 82)
            #expect(length == 82 && bytes == ComposeVectors.datagramFragment0)
        }
    }
    /// Any MTU: the pieces fit, are well formed, and joined at their offsets give the datagram.
    @Test(arguments: [ComposeVectors.datagram, ComposeVectors.optioned, ComposeVectors.middle]) func rejoins(_ frame: [UInt8]) {
        let (header, base) = on(frame) { (IPv4($0 + 14).headerLength, IPv4($0 + 14).fragmentOffset) }
        let more = on(frame) { IPv4($0 + 14).moreFragments }
        for mtu in (header + 8)...(frame.count - 14) {
            var joined: [UInt8] = []
            let pieces = fragments(frame, mtu: mtu)!
            for (index, piece) in pieces.enumerated() {
                on(piece) { p in
                    let ip = IPv4(p + 14)
                    #expect(IPv4.check(ip.p, available: piece.count - 14) && ip.totalLength == piece.count - 14 && ip.totalLength <= mtu)
                    #expect(ip.hasValidChecksum)
                    #expect(ip.fragmentOffset == base + joined.count)
                    #expect(ip.moreFragments == (index + 1 < pieces.count || more))
                    joined += contents(ip.payload, ip.payloadLength)
                }
            }
            #expect(joined == Array(frame[(14 + header)...]), "MTU \(mtu)")
        }
    }
}
