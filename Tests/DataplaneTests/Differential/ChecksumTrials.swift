import NetTypes
import Testing

@testable import Dataplane

/// The Internet checksum against the text of RFC 1071: 16-bit words in network order, one after the other.
@Suite struct ChecksumTrials {
    private static func slowSum(_ octets: ArraySlice<UInt8>) -> UInt16 {
        var sum: UInt32 = 0
        var at = octets.startIndex
        while at < octets.endIndex {
            sum += UInt32(octets[at]) << 8 | (at + 1 < octets.endIndex ? UInt32(octets[at + 1]) : 0)
            sum = (sum & 0xFFFF) + sum >> 16
            at += 2
        }
        return UInt16((sum & 0xFFFF) + sum >> 16)
    }
    /// Equal as one's-complement numbers: 0 and 0xffff are both zero.
    private static func isSame(_ a: UInt16, _ b: UInt16) -> Bool { a == b || (a == 0 || a == 0xFFFF) && (b == 0 || b == 0xFFFF) }

    private static func interesting(_ random: inout RandomSource) -> UInt16 {
        random.hits(3) ? [0, 1, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF][random.below(6)] : UInt16(truncatingIfNeeded: random.next())
    }

    @Test func sums() {
        trials("sum", count: 6, operations: 60_000, firstSeed: 100) { trial, steps throws(Trial.Disagreement) in
            var memory = trial.random.octets(2000)
            while trial.operation < steps {
                trial.step()
                if trial.random.hits(64) { memory = trial.random.hits(4) ? [UInt8](repeating: 0xFF, count: 2000) : trial.random.octets(2000) }
                let begin = trial.random.below(17), count = trial.random.hits(8) ? trial.random.below(1980) : trial.random.below(80)
                let right = Self.slowSum(memory[begin..<begin + count])
                let answer = memory.withUnsafeBytes { Checksum.fold(Checksum.sum($0.baseAddress! + begin, count)) }
                try trial.check(answer == right, "sum of \(count) octets at \(begin): \(answer), not \(right)")
            }
        }
    }

    /// RFC 1624: a changed word, at an even and at an odd offset, a changed address.
    @Test func updates() {
        trials("update", count: 6, operations: 200_000, firstSeed: 200) { trial, steps throws(Trial.Disagreement) in
            var packet = trial.random.octets(64)
            while trial.operation < steps {
                trial.step()
                if trial.random.hits(32) {
                    packet = trial.random.hits(4) ? [UInt8](repeating: trial.random.hits(2) ? 0 : 0xFF, count: 64) : trial.random.octets(64)
                }
                let old = ~Self.slowSum(packet[...])
                let size = [2, 2, 4, 16][trial.random.below(4)], isOdd = size == 2 && trial.random.hits(2)
                let at = trial.random.below((64 - size) / 2) * 2 + (isOdd ? 1 : 0)
                let before = Array(packet[at..<at + size])
                for index in stride(from: 0, to: size, by: 2) {
                    let word = Self.interesting(&trial.random)
                    packet[at + index] = UInt8(word >> 8)
                    packet[at + index + 1] = UInt8(word & 0xFF)
                }
                let after = Array(packet[at..<at + size])
                func number(_ octets: [UInt8]) -> UInt64 { octets.reduce(0) { $0 << 8 | UInt64($1) } }
                func address(_ octets: [UInt8]) -> IPv6Address { IPv6Address(high: number(Array(octets[..<8])), low: number(Array(octets[8...]))) }
                let answer: UInt16 =
                    switch size {
                    case 2 where isOdd: Checksum.updateOdd(old, from: UInt16(number(before)), to: UInt16(number(after)))
                    case 2: Checksum.update(old, from: UInt16(number(before)), to: UInt16(number(after)))
                    case 4: Checksum.update(old, from: UInt32(number(before)), to: UInt32(number(after)))
                    default: Checksum.update(old, from: address(before), to: address(after))
                    }
                let right = ~Self.slowSum(packet[...])
                try trial.check(Self.isSame(answer, right), "update of \(size) octets at \(at), \(before) to \(after): \(answer), not \(right)")
            }
        }
    }

    /// Header checks and changes: five loads for 20 octets, a loop for options, the TTL's shortcut.
    @Test func headers() {
        trials("header", count: 6, operations: 120_000, firstSeed: 300) { trial, steps throws(Trial.Disagreement) in
            while trial.operation < steps {
                trial.step()
                var header = trial.random.octets(60)
                let length = trial.random.hits(3) ? 20 + 4 * trial.random.below(11) : 20
                if trial.random.hits(4) { for index in 1..<length { header[index] = trial.random.hits(2) ? 0 : 0xFF } }
                header[0] = 0x40 | UInt8(length / 4)
                header[8] = max(header[8], 1)
                if trial.random.hits(2) {
                    (header[10], header[11]) = (0, 0)
                    let value = ~Self.slowSum(header[..<length])
                    (header[10], header[11]) = (UInt8(value >> 8), UInt8(value & 0xFF))
                    if trial.random.hits(4) { header[1 + trial.random.below(length - 1)] ^= 1 << UInt8(trial.random.below(8)) }
                }
                header[8] = max(header[8], 1)
                let right = Self.slowSum(header[..<length]) == 0xFFFF
                let (answer, after) = header.withUnsafeMutableBytes { bytes in
                    let ip = IPv4(bytes.baseAddress!)
                    let answer = ip.hasValidChecksum
                    ip.decrementTimeToLive()
                    return (answer, ip.hasValidChecksum)
                }
                try trial.check(answer == right, "\(header[..<length]): valid \(answer), not \(right)")
                try trial.check(after == right, "\(header[..<length]) with one hop less: valid \(after), not \(right)")
                try trial.check((Self.slowSum(header[..<length]) == 0xFFFF) == right, "\(header[..<length]) is not what one hop less makes")
                header.withUnsafeMutableBytes { IPv4($0.baseAddress!).updateChecksum() }
                try trial.check(Self.slowSum(header[..<length]) == 0xFFFF, "updateChecksum of \(header[..<length])")
            }
        }
    }

    /// TCP and UDP over IPv4 and IPv6: pseudo-header, finish, and what a kernel leaves unfinished.
    @Test func transport() {
        trials("transport checksum", count: 4, operations: 60_000, firstSeed: 400) { trial, steps throws(Trial.Disagreement) in
            while trial.operation < steps {
                trial.step()
                let isIPv6 = trial.random.hits(2), isTCP = trial.random.hits(2)
                let payload = trial.random.below(60), transportLength = (isTCP ? 20 : 8) + payload
                let proto: UInt8 = isTCP ? 6 : 17
                var transport = trial.random.hits(4) ? [UInt8](repeating: 0xFF, count: transportLength) : trial.random.octets(transportLength)
                if isTCP { transport[12] = 0x50 } else { (transport[4], transport[5]) = (UInt8(transportLength >> 8), UInt8(transportLength & 0xFF)) }
                let addresses = trial.random.octets(isIPv6 ? 32 : 8)
                let tail: [UInt8] =
                    isIPv6
                    ? [0, 0, 0, UInt8(transportLength), 0, 0, 0, proto] : [0, proto, UInt8(transportLength >> 8), UInt8(transportLength & 0xFF)]
                let at = isTCP ? 16 : 6
                (transport[at], transport[at + 1]) = (0, 0)
                var right = ~Self.slowSum((addresses + tail + transport)[...])
                if !isTCP, right == 0 { right = 0xFFFF }
                // As Linux leaves it: the pseudo-header's sum, with the length or without.
                let withoutLength: [UInt8] = isIPv6 ? [0, 0, 0, 0, 0, 0, 0, proto] : [0, proto, 0, 0]
                let partial = Self.slowSum((addresses + (trial.random.hits(2) ? tail : withoutLength))[...])
                (transport[at], transport[at + 1]) = (UInt8(partial >> 8), UInt8(partial & 0xFF))
                let total = transportLength + 20
                let network: [UInt8] =
                    isIPv6
                    ? [0x60, 0, 0, 0, UInt8(transportLength >> 8), UInt8(transportLength & 0xFF), proto, 64] + addresses
                    : [0x45, 0, UInt8(total >> 8), UInt8(total & 0xFF), 0, 0, 0, 0, 64, proto, 0, 0] + addresses
                var frame = [UInt8](repeating: 2, count: 12) + (isIPv6 ? [0x86, 0xDD] : [8, 0]) + network + transport
                let finished = frame.withUnsafeMutableBytes { ChecksumOffload.finish($0.baseAddress!, length: $0.count) }
                let place = 14 + network.count + at
                let answer = UInt16(frame[place]) << 8 | UInt16(frame[place + 1])
                try trial.check(finished && answer == right, "\(frame): \(answer), not \(right)")
                // Done once, it is done.
                let copy = frame
                _ = frame.withUnsafeMutableBytes { ChecksumOffload.finish($0.baseAddress!, length: $0.count) }
                try trial.check(frame == copy, "\(copy) finished twice")
            }
        }
    }
}
