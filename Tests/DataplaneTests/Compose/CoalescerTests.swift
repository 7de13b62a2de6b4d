import CPlatform
import Testing

@testable import Dataplane

/// A TCP segment as Linux sends it, by hand: 12 octets of options with timestamps, checksums right.
struct TestSegment {
    var isIPv6 = false
    var sequence: UInt32 = 1000
    var acknowledgment: UInt32 = 77
    var flags: UInt8 = 0x10
    var window: UInt16 = 501
    var timestamp: UInt32 = 0x01020304
    var sourcePort: UInt16 = 40000
    var timeToLive: UInt8 = 64
    var typeOfService: UInt8 = 0
    var fragmentField: UInt16 = 0x4000
    var identification: UInt16 = 7
    var data: [UInt8] = []

    var frame: [UInt8] {
        func octets(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * $0)) } }
        func octets(_ value: UInt16) -> [UInt8] { [UInt8(value >> 8), UInt8(truncatingIfNeeded: value)] }
        func sum(_ words: [UInt8]) -> UInt32 {
            stride(from: 0, to: words.count, by: 2).reduce(0) { $0 + UInt32(words[$1]) << 8 + UInt32($1 + 1 < words.count ? words[$1 + 1] : 0) }
        }
        func complement(_ sum: UInt32) -> UInt16 {
            var sum = sum
            while sum >> 16 != 0 { sum = sum & 0xFFFF + sum >> 16 }
            return ~UInt16(sum)
        }
        var tcp = octets(sourcePort) + octets(UInt16(5001)) + octets(sequence) + octets(acknowledgment) + [0x80, flags] + octets(window)
        tcp += [0, 0, 0, 0, 1, 1, 8, 10] + octets(timestamp) + octets(UInt32(99)) + data
        let source: [UInt8] = isIPv6 ? [0xFD] + [UInt8](repeating: 0, count: 14) + [1] : [10, 1, 0, 11]
        let destination: [UInt8] = isIPv6 ? [0xFD] + [UInt8](repeating: 0, count: 14) + [2] : [10, 1, 0, 12]
        let checksum = complement(sum(source + destination) + 6 + UInt32(tcp.count) + sum(tcp))
        tcp.replaceSubrange(16..<18, with: octets(checksum))
        let ethernet: [UInt8] = [2, 0, 0, 0, 1, 0x12, 2, 0, 0, 0, 1, 0x11] + (isIPv6 ? [0x86, 0xDD] : [8, 0])
        if isIPv6 {
            return ethernet + [0x60 | typeOfService >> 4, typeOfService << 4, 0, 0] + octets(UInt16(tcp.count)) + [6, timeToLive] + source
                + destination + tcp
        }
        var ip: [UInt8] = [0x45, typeOfService] + octets(UInt16(20 + tcp.count)) + octets(identification) + octets(fragmentField)
        ip += [timeToLive, 6, 0, 0] + source + destination
        ip.replaceSubrange(10..<12, with: octets(complement(sum(ip))))
        return ethernet + ip + tcp
    }
}

@Suite struct CoalescerTests {
    /// What is left of the frames, each with its mark (0: none), after joining; every buffer is accounted for.
    private func join(_ frames: [[UInt8]], vifs: [UInt32]? = nil, room: Int = 69_824) throws -> [(frame: [UInt8], size: Int)] {
        let pool = try HeapBufferPool(bufferSize: room, capacity: 64)
        let memory = UnsafeMutablePointer<vr_frame>.allocate(capacity: 64), ways = UnsafeMutablePointer<UInt32>.allocate(capacity: 64)
        defer {
            memory.deallocate()
            ways.deallocate()
        }
        #expect(pool.allocate(lane: 0, into: memory, count: frames.count) == frames.count)
        for (index, frame) in frames.enumerated() {
            for (offset, octet) in frame.enumerated() { memory[index].data[offset] = octet }
            memory[index].length = UInt32(frame.count)
            memory[index].tailroom -= UInt32(frame.count)
            ways[index] = vifs?[index] ?? 4
        }
        let left = Coalescer(memory).join(frames.count, ways) { frame in
            withUnsafePointer(to: frame) { pool.release(lane: 0, UnsafeMutablePointer(mutating: $0), count: 1) }
        }
        let result = (0..<left).map { index in
            (
                frame: Array(UnsafeBufferPointer(start: memory[index].data, count: Int(memory[index].length))),
                size: memory[index].isSegmented ? Int(memory[index].tailroom & ~VR_SEGMENTED) : 0
            )
        }
        pool.release(lane: 0, memory, count: left)
        #expect(pool.inUse == 0)
        return result
    }

    private func octets(_ count: Int, from: Int = 0) -> [UInt8] { (from..<from + count).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8) } }

    /// Segments of `sizes` octets that follow each other.
    private func stream(_ sizes: [Int], isIPv6: Bool = false, _ change: (Int, inout TestSegment) -> Void = { _, _ in }) -> [[UInt8]] {
        var at = 0
        return sizes.enumerated().map { index, size in
            var segment = TestSegment(
                isIPv6: isIPv6, sequence: 0xFFFF_FF00 &+ UInt32(at), identification: UInt16(index), data: octets(size, from: at))
            at += size
            change(index, &segment)
            return segment.frame
        }
    }

    @Test(arguments: [false, true]) func aStreamBecomesOnePacket(_ isIPv6: Bool) throws {
        let sizes = [1398, 1398, 1398, 600]
        let joined = try join(stream(sizes, isIPv6: isIPv6) { index, segment in if index == 3 { segment.flags = 0x18 } })
        #expect(joined.count == 1 && joined[0].size == 1398)
        let whole = TestSegment(isIPv6: isIPv6, sequence: 0xFFFF_FF00, flags: 0x18, identification: 0, data: octets(4794)).frame
        // All but the TCP checksum, which is the port's.
        let checksum = (isIPv6 ? 54 : 34) + 16
        var (got, expected) = (joined[0].frame, whole)
        for offset in [checksum, checksum + 1] { (got[offset], expected[offset]) = (0, 0) }
        #expect(got == expected)
        // And cut again, the segments are those that came.
        on(whole) { p in
            var segmenter = Segmenter(p, length: whole.count, mtu: (isIPv6 ? 72 : 52) + 1398), index = 0
            let frames = stream(sizes, isIPv6: isIPv6) { index, segment in if index == 3 { segment.flags = 0x18 } }
            while !segmenter.isDone, index < 4 {
                var length = 0
                let bytes = written(2000) { length = segmenter.next(into: $0, capacity: 2000) }
                #expect(Array(bytes.prefix(length)) == frames[index])
                index += 1
            }
            #expect(index == 4)
        }
    }

    /// What may be different in the second segment, so that it does not belong to the first.
    private func changes() -> [(what: String, change: (inout TestSegment) -> Void)] {
        [
            ("another acknowledgment", { $0.acknowledgment += 1 }), ("another window", { $0.window += 1 }),
            ("another timestamp", { $0.timestamp += 1 }),
            ("another connection", { $0.sourcePort += 1 }), ("another TTL", { $0.timeToLive -= 1 }), ("congestion marked", { $0.typeOfService = 3 }),
            ("no Don't Fragment", { $0.fragmentField = 0 }), ("a fragment", { $0.fragmentField = 0x2000 }), ("FIN", { $0.flags = 0x11 }),
            ("ECE", { $0.flags = 0x50 }), ("CWR", { $0.flags = 0x90 }), ("URG", { $0.flags = 0x30 }), ("RST", { $0.flags = 0x14 }),
            ("a gap", { $0.sequence += 1 }), ("an overlap", { $0.sequence -= 1 }), ("larger", { $0.data.append(1) }), ("no data", { $0.data = [] }),
        ]
    }

    @Test(arguments: [false, true]) func whatDoesNotBelongTogetherIsLeftAlone(_ isIPv6: Bool) throws {
        for (what, change) in changes() where !(isIPv6 && what.contains("ragment")) {
            let frames = stream([1000, 1000], isIPv6: isIPv6) { index, segment in if index == 1 { change(&segment) } }
            let joined = try join(frames)
            #expect(joined.map(\.frame) == frames, "\(what)")
            #expect(joined.map(\.size) == [0, 0], "\(what)")
        }
    }

    @Test func aDamagedSegmentStaysDamaged() throws {
        for damaged in 0..<3 {
            var frames = stream([1000, 1000, 1000])
            frames[damaged][200] ^= 1
            let joined = try join(frames)
            #expect(joined.contains { $0.frame == frames[damaged] }, "segment \(damaged) was joined")
            #expect(joined.count == (damaged == 1 ? 3 : 2))
        }
    }

    @Test func pushAndShortSegmentsEndAPacket() throws {
        let frames = stream([1000, 1000, 1000, 500, 1000, 1000]) { index, segment in if index == 1 { segment.flags = 0x18 } }
        let joined = try join(frames)
        // 0 and 1, which has PSH; 2 and 3, which is short; 4 and 5.
        #expect(joined.map { $0.frame.count - 66 } == [2000, 1500, 2000])
        #expect(joined.map { $0.frame[47] } == [0x18, 0x10, 0x10])
        #expect(joined.map(\.size) == [1000, 1000, 1000])
    }

    @Test func otherFramesStayWhereTheyAre() throws {
        var frames = stream([1000, 1000, 1000, 1000])
        frames.insert(ComposeVectors.arpRequest, at: 2)
        frames.append(ComposeVectors.udp4)
        let joined = try join(frames)
        #expect(joined.map { $0.frame.count } == [2066, ComposeVectors.arpRequest.count, 2066, ComposeVectors.udp4.count])
        #expect(try join(stream([1000, 1000]), vifs: [4, 5]).count == 2, "another way out")
        #expect(try join([Array(stream([1000, 1000])[0]) + [0], stream([1000, 1000])[1]]).count == 2, "padding")
        #expect(try join([]).isEmpty)
    }

    @Test func noPacketIsTooLarge() throws {
        let joined = try join(stream(Array(repeating: 2500, count: 32)))
        #expect(joined.map { $0.frame.count - 66 } == [65_000, 15_000])
        // A buffer that is full takes no more.
        #expect(try join(stream([1000, 1000, 1000]), room: 2400).map { $0.frame.count - 66 } == [2000, 1000])
    }
}
