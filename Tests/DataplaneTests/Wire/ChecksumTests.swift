import NetTypes
import Testing

@testable import Dataplane

/// RFC 1071 as written: one word after the other.
private func naiveSum(_ bytes: [UInt8]) -> UInt16 {
    var sum: UInt32 = 0
    for index in stride(from: 0, to: bytes.count, by: 2) {
        sum += UInt32(bytes[index]) << 8 | (index + 1 < bytes.count ? UInt32(bytes[index + 1]) : 0)
        sum = (sum & 0xFFFF) + (sum >> 16)
    }
    return UInt16(sum)
}

@Suite struct ChecksumTests {
    /// The example of RFC 1071 section 3.
    @Test func rfcExample() {
        on(octets("0001f203f4f5f6f7")) { #expect(Checksum.fold(Checksum.sum($0, 8)) == 0xDDF2) }
    }
    @Test func everyLengthAndAlignment() {
        var random = RandomSource(seed: 1)
        let memory = GuardedMemory(capacity: 4096)
        for length in Array(0...130) + [255, 256, 1023, 1460, 2047] {
            let bytes = (0..<length).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            for alignment in 0..<8 {
                // Both ways: the end at the guard page, and every start address modulo 8.
                let p = memory.start + alignment
                bytes.withUnsafeBytes { if length > 0 { p.copyMemory(from: $0.baseAddress!, byteCount: length) } }
                #expect(Checksum.fold(Checksum.sum(p, length)) == naiveSum(bytes), "\(length) octets at \(alignment)")
            }
            #expect(Checksum.fold(Checksum.sum(memory.place(bytes), length)) == naiveSum(bytes), "\(length) octets at the end")
        }
    }
    /// The largest carries: 64 KiB of ones.
    @Test func largest() {
        let bytes = [UInt8](repeating: 0xFF, count: 65535)
        on(bytes) { #expect(Checksum.fold(Checksum.sum($0, bytes.count)) == naiveSum(bytes)) }
    }
    @Test func nothing() { on([1]) { #expect(Checksum.sum($0, 0) == 0 && Checksum.sum($0, -1) == 0) } }
    @Test func udpZeroIsSentAsOnes() {
        #expect(Checksum.finish(0xFFFF) == 0 && Checksum.finishUDP(0xFFFF) == 0xFFFF && Checksum.finishUDP(1) == 0xFFFE)
    }

    @Test func pseudoHeaderIPv4() {
        let bytes = WireVectors.udp4Packet
        on(bytes) {
            let ip = IPv4($0)
            #expect(Checksum.finish(Checksum.pseudoHeader(ip, proto: .udp, length: 11) &+ Checksum.sum($0 + 20, 11)) == 0)
            UDP(ip.payload).checksum = 0
            #expect(Checksum.finishUDP(Checksum.pseudoHeader(ip, proto: .udp, length: 11) &+ Checksum.sum($0 + 20, 11)) == 0x0C9C)
        }
    }
    @Test func pseudoHeaderIPv6() {
        on(WireVectors.tcp6Packet) {
            let ip = IPv6($0)
            #expect(Checksum.finish(Checksum.pseudoHeader(ip, proto: .tcp, length: 27) &+ Checksum.sum($0 + 40, 27)) == 0)
        }
    }
    @Test func pseudoHeaderExtremes() {
        let ones = IPv6Address(high: .max, low: .max)
        let sum = Checksum.pseudoHeader(source: ones, destination: ones, proto: IPProtocol(255), length: 0xFFFF_FFFF)
        var bytes = [UInt8](repeating: 0xFF, count: 36) + [0, 0, 0, 255]
        #expect(Checksum.fold(sum) == naiveSum(bytes))
        bytes = [UInt8](repeating: 0xFF, count: 8) + [0, 255, 0xFF, 0xFF]
        #expect(Checksum.fold(Checksum.pseudoHeader(source: .max, destination: .max, proto: IPProtocol(255), length: 0xFFFF)) == naiveSum(bytes))
    }

    /// The case that RFC 1141 got wrong: RFC 1624 section 4.
    @Test func rfc1624Example() { #expect(Checksum.update(0xDD2F, from: 0x5555 as UInt16, to: 0x3285) == 0x0000) }

    /// Changes of 16, 32 and 128 bits, at even and odd offsets, against a checksum computed anew.
    @Test func incremental() {
        var random = RandomSource(seed: 2)
        let memory = GuardedMemory(capacity: 64)
        for _ in 0..<4000 {
            let bytes = (0..<64).map { _ in random.below(4) == 0 ? (random.below(2) == 0 ? 0 : 0xFF) : UInt8(truncatingIfNeeded: random.next()) }
            let p = memory.place(bytes)
            let before = Checksum.finish(Checksum.sum(p, 64))
            func after() -> UInt16 { Checksum.finish(Checksum.sum(p, 64)) }
            func same(_ a: UInt16, _ b: UInt16) -> Bool { a == b || (a == 0 && b == 0xFFFF) || (a == 0xFFFF && b == 0) }
            switch random.below(4) {
            case 0:
                let offset = random.below(32) * 2, value = UInt16(truncatingIfNeeded: random.next())
                let updated = Checksum.update(before, from: p.word16(offset), to: value)
                p.set(offset, word16: value)
                #expect(same(updated, after()))
            case 1:
                let offset = random.below(31) * 2 + 1, value = UInt16(truncatingIfNeeded: random.next())
                let updated = Checksum.updateOdd(before, from: p.word16(offset), to: value)
                p.set(offset, word16: value)
                #expect(same(updated, after()))
            case 2:
                let offset = random.below(31) * 2, value = UInt32(truncatingIfNeeded: random.next())
                let updated = Checksum.update(before, from: p.word32(offset), to: value)
                p.set(offset, word32: value)
                #expect(same(updated, after()))
            default:
                let offset = random.below(25) * 2, value = IPv6Address(high: random.next(), low: random.next())
                let updated = Checksum.update(before, from: p.ipv6(offset), to: value)
                p.set(offset, ipv6: value)
                #expect(same(updated, after()))
            }
        }
    }
}
