import Testing

@testable import Dataplane

/// The next frame's length, and what is then in a buffer of `capacity` octets.
private func next(_ segmenter: inout Segmenter, _ capacity: Int) -> (Int, [UInt8]) {
    var length = 0
    let bytes = written(capacity) { length = segmenter.next(into: $0, capacity: capacity) }
    return (length, bytes)
}

/// All segments; nil when the packet is not to be segmented.
private func segments(_ frame: [UInt8], mtu: Int) -> [[UInt8]]? {
    on(frame) { p in
        var segmenter = Segmenter(p, length: frame.count, mtu: mtu)
        guard segmenter.isPossible else {
            #expect(segmenter.count == 0 && segmenter.isDone)
            return nil
        }
        var result: [[UInt8]] = []
        while !segmenter.isDone {
            let (length, bytes) = next(&segmenter, mtu + 22)
            #expect(length > 0)
            guard length > 0 else { break }
            result.append(Array(bytes.prefix(length)))
        }
        #expect(result.count == segmenter.count)
        let (length, untouched) = next(&segmenter, 100)
        #expect(length == 0 && untouched.allSatisfy { $0 == 0xEE })
        return result
    }
}

@Suite struct SegmenterTests {
    @Test func ipv4() {
        #expect(
            segments(ComposeVectors.oversized4, mtu: 116) == [ComposeVectors.segment4x0, ComposeVectors.segment4x1, ComposeVectors.segment4x2])
    }
    @Test func ipv6() {
        #expect(
            segments(ComposeVectors.oversized6, mtu: 120) == [ComposeVectors.segment6x0, ComposeVectors.segment6x1, ComposeVectors.segment6x2])
    }
    /// The checksum the kernel left unfinished does not show in the segments.
    @Test func unfinishedChecksum() {
        #expect(segments(changing(changing(ComposeVectors.oversized6, 74, to: 1), 75, to: 2), mtu: 120)?[0] == ComposeVectors.segment6x0)
    }
    @Test func fitsInOne() {
        #expect(segments(ComposeVectors.oversized4, mtu: 186) == [ComposeVectors.oversized4])
        #expect(segments(ComposeVectors.oversized6, mtu: 190) == [ComposeVectors.oversized6])
        #expect(segments(ComposeVectors.oversized4 + [0, 0], mtu: 186) == [ComposeVectors.oversized4], "padding goes")
    }
    @Test func withoutData() {
        let frame = Array(ComposeVectors.syn)
        let bare = Array(ComposeVectors.udp4.prefix(14)) + frame
        #expect(segments(bare, mtu: 48) == [bare])
        #expect(segments(bare, mtu: 47) == nil)
    }
    @Test func refused() {
        let frame = ComposeVectors.oversized4
        #expect(segments(ComposeVectors.udp4, mtu: 30) == nil, "UDP")
        #expect(segments(changing(frame, 20, to: 0x20), mtu: 116) == nil, "a fragment")
        #expect(segments(frame, mtu: 56) == nil && segments(frame, mtu: 0) == nil && segments(frame, mtu: -1) == nil, "no room for data")
        #expect(segments(frame, mtu: 57)?.count == 130, "one octet each")
        let flags = 14 + 24 + 13
        #expect(segments(changing(frame, flags, to: 0x12), mtu: 116) == nil, "SYN")
        #expect(segments(changing(frame, flags, to: 0x14), mtu: 116) == nil, "RST")
        #expect(segments(changing(frame, 14 + 24 + 12, to: 0x40), mtu: 116) == nil, "TCP header too short")
        #expect(segments(Array(frame.dropLast()), mtu: 116) == nil, "cut")
        #expect(segments(ComposeVectors.arpRequest, mtu: 116) == nil, "ARP")
    }
    @Test func waitsForRoom() {
        on(ComposeVectors.oversized4) { p in
            var segmenter = Segmenter(p, length: ComposeVectors.oversized4.count, mtu: 116)
            let (none, untouched) = next(&segmenter, 129)
            #expect(none == 0 && untouched.allSatisfy { $0 == 0xEE })
            let (length, bytes) = next(&segmenter, 130)
            #expect(length == 130 && bytes == ComposeVectors.segment4x0)
        }
    }
    /// Any MTU: segments fit, are right by their own checksums, follow one another, and give the data back.
    @Test(arguments: [false, true]) func rejoins(_ isIPv6: Bool) {
        let frame = isIPv6 ? ComposeVectors.oversized6 : ComposeVectors.oversized4
        let network = isIPv6 ? 18 : 14
        let headers = frame.count - network - 130
        for mtu in (headers + 1)...(headers + 131) {
            var joined: [UInt8] = []
            for piece in segments(frame, mtu: mtu)! {
                on(piece) { p in
                    let packet = p + network, available = piece.count - network
                    #expect(available <= mtu)
                    let tcp = TCP(packet + (isIPv6 ? 40 : 24))
                    let length = available - (isIPv6 ? 40 : 24)
                    let sum: UInt32
                    if isIPv6 {
                        #expect(IPv6.check(packet, available: available) && IPv6(packet).totalLength == available)
                        sum = Checksum.pseudoHeader(IPv6(packet), proto: .tcp, length: length)
                    } else {
                        #expect(IPv4.check(packet, available: available) && IPv4(packet).totalLength == available && IPv4(packet).hasValidChecksum)
                        sum = Checksum.pseudoHeader(IPv4(packet), proto: .tcp, length: length)
                    }
                    #expect(Checksum.finish(sum &+ Checksum.sum(tcp.p, length)) == 0)
                    #expect(tcp.sequence == (isIPv6 ? 1000 : 0xFFFF_FFD0) &+ UInt32(joined.count))
                    joined += contents(tcp.payload, length - tcp.headerLength)
                }
            }
            #expect(joined == Array(frame.suffix(130)), "MTU \(mtu)")
        }
    }
    /// 64 KiB, as a kernel makes them.
    @Test func largest() {
        var frame = Array(ComposeVectors.oversized4.prefix(14 + 56)) + (0..<65479).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
        (frame[16], frame[17]) = (0xFF, 0xFF)
        let pieces = segments(frame, mtu: 1500)!
        #expect(pieces.count == 46)
        #expect(pieces.flatMap { $0[70...] } == Array(frame[70...]))
    }
}
