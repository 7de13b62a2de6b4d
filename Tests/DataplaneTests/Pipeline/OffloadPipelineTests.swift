import CPlatform
import NetTypes
import Testing

@testable import Dataplane

/// Ports that cut what they transmit: packets that a kernel left uncut reach them whole, and are what the router would have cut itself.
@Suite struct OffloadPipelineTests {
    /// 20,000 octets of data from blue1, MTU 9000, as its kernel leaves it to the device.
    private func oversized(to mac: MACAddress, address: UInt8) -> [UInt8] {
        var frame = TestSegment(flags: 0x18, data: (0..<20_000).map { UInt8(truncatingIfNeeded: $0 &* 13) }).frame
        frame.replaceSubrange(0..<6, with: octets(mac))
        frame[33] = address
        // The destination has changed: the header's checksum anew. That of TCP is the device's to compute.
        frame.replaceSubrange(24..<26, with: [0, 0])
        frame.withUnsafeMutableBytes { IPv4($0.baseAddress! + 14).updateChecksum() }
        return frame
    }

    private func octets(_ mac: MACAddress) -> [UInt8] { (0..<6).map { UInt8(truncatingIfNeeded: mac.rawValue >> (40 - 8 * $0)) } }

    private static let workload: PortTraits = [.unfinishedChecksums, .oversizedSegments]

    @Test func toALocalWorkloadItStaysWhole() {
        let frame = oversized(to: TestRouter.c, address: 12)
        let plain = TestRouter(workloadTraits: Self.workload)
        plain.send(frame, from: plain.blue1)
        let segments = plain.blue2.take()
        #expect(segments.count == 14)

        let cutting = TestRouter(workloadTraits: Self.workload, blue2Traits: .cutsSegments)
        cutting.send(frame, from: cutting.blue1)
        #expect(cutting.blue2.sizes == [1448])
        let whole = cutting.blue2.take()
        #expect(whole.count == 1 && whole[0].count == frame.count)
        // Everything but the TCP checksum.
        #expect(whole[0][..<50] == frame[..<50] && whole[0][52...] == frame[52...])
        // What the port makes of it is what the router makes where the port does not.
        on(whole[0]) { p in
            var segmenter = Segmenter(p, length: whole[0].count, mtu: 1500), index = 0
            while !segmenter.isDone, index < segments.count {
                var length = 0
                let bytes = written(1600) { length = segmenter.next(into: $0, capacity: 1600) }
                #expect(Array(bytes.prefix(length)) == segments[index])
                index += 1
            }
            #expect(index == 14)
        }
    }

    @Test func segmentsFromATunnelAreJoined() {
        // What node1 sends to blue3 is, with the addresses of the tunnel turned round, what it receives from there.
        let frame = oversized(to: TestRouter.c, address: 12)
        let plain = TestRouter(workloadTraits: Self.workload)
        plain.send(frame, from: plain.blue1)
        let segments = plain.blue2.take()
        let tunneled = segments.map { segment -> [UInt8] in
            let total = 20 + 8 + 8 + segment.count
            var outer: [UInt8] = octets(TestRouter.fabricMAC) + octets(TestRouter.peerMAC) + [8, 0, 0x45, 0]
            outer += [UInt8(total >> 8), UInt8(total & 255), 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 12, 10, 0, 0, 11]
            outer.withUnsafeMutableBytes { IPv4($0.baseAddress! + 14).updateChecksum() }
            outer += [0xC0, 0, 0x12, 0xB5, UInt8((total - 20) >> 8), UInt8((total - 20) & 255), 0, 0, 8, 0, 0, 0, 0, 0x13, 0x89, 0]
            return outer + segment
        }
        let nic = TestRouter(blue2Traits: .cutsSegments)
        nic.fabric.input += tunneled
        nic.run()
        #expect(nic.blue2.sizes.isEmpty && nic.blue2.take() == segments)

        let router = TestRouter(blue2Traits: [.cutsSegments, .gainsByJoining])
        router.fabric.input += tunneled
        router.run()
        let joined = router.blue2.take()
        #expect(joined.count == 1 && joined[0].count == frame.count)
        #expect(joined[0][66...] == frame[66...])
        #expect(router.blue2.sizes == [1448])
    }

    /// One UDP packet for the port to cut: cut as RFC 768 and Linux have it, it is the packets that the router makes itself.
    @Test func intoATunnelItIsOnePacketOfManyDatagrams() {
        let frame = oversized(to: TestRouter.b, address: 13)
        let plain = TestRouter(workloadTraits: Self.workload)
        plain.send(frame, from: plain.blue1)
        let packets = plain.fabric.take().map(withoutEntropy)
        #expect(packets.count == 15)

        let router = TestRouter(workloadTraits: Self.workload, fabricTraits: [.cutsSegments, .cutsDatagrams])
        router.send(frame, from: router.blue1)
        #expect(router.fabric.sizes == [8 + 14 + 52 + 1398])
        let whole = router.fabric.take().map(withoutEntropy)
        #expect(whole.count == 1)
        guard let only = whole.first else { return }
        var cut: [[UInt8]] = [], at = 42
        while at < only.count {
            let size = min(8 + 14 + 52 + 1398, only.count - at), total = 28 + size
            var packet = Array(only[..<42]) + only[at..<at + size]
            packet.replaceSubrange(16..<18, with: [UInt8(total >> 8), UInt8(total & 255)])
            packet.replaceSubrange(38..<40, with: [UInt8((total - 20) >> 8), UInt8((total - 20) & 255)])
            packet.withUnsafeMutableBytes { IPv4($0.baseAddress! + 14).updateChecksum() }
            cut.append(packet)
            at += size
        }
        #expect(cut == packets)
    }

    /// More than one outer packet holds.
    @Test func noOuterPacketIsTooLarge() {
        var frame = oversized(to: TestRouter.b, address: 13)
        frame += [UInt8](repeating: 5, count: 65_535 + 14 - frame.count)
        frame.replaceSubrange(16..<18, with: [0xFF, 0xFF])
        frame.withUnsafeMutableBytes { IPv4($0.baseAddress! + 14).updateChecksum() }
        let router = TestRouter(workloadTraits: Self.workload, fabricTraits: .cutsDatagrams)
        router.send(frame, from: router.blue1)
        let whole = router.fabric.take()
        #expect(whole.count == 2)
        #expect(whole.allSatisfy { $0.count <= 65_535 + 14 && Int($0[16]) << 8 + Int($0[17]) == $0.count - 14 })
    }

    /// A pool that is dry before the first datagram: the packet is dropped, for a reason.
    @Test func withoutBuffersItIsDropped() {
        let router = TestRouter(workloadTraits: Self.workload, fabricTraits: [.cutsSegments, .cutsDatagrams])
        let frames = UnsafeMutablePointer<vr_frame>.allocate(capacity: 512)
        defer { frames.deallocate() }
        // All but one, which the received packet gets.
        let taken = router.pool.allocate(lane: 0, into: frames, count: 511)
        router.blue1.input.append(oversized(to: TestRouter.b, address: 13))
        router.router.run(turns: 3)
        router.pool.release(lane: 0, frames, count: taken)
        router.run()
        #expect(router.fabric.take().isEmpty && router.allDrops == ["head_allocation": 1])
    }

    @Test func aSynIsNotLeftToThePort() {
        var frame = oversized(to: TestRouter.c, address: 12)
        frame[47] = 0x12
        let router = TestRouter(workloadTraits: Self.workload, blue2Traits: .cutsSegments)
        router.send(frame, from: router.blue1)
        #expect(router.blue2.take().isEmpty)
        #expect(router.drops(.fragmentError) == 1)
    }
}
