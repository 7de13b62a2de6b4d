import NetTypes

/// Reads fields in network order from octets that nobody has checked: past the end there is nil, never a trap.
struct WireReader {
    let octets: [UInt8]
    private(set) var at: Int
    let end: Int

    /// `range` is within `octets`.
    init(_ octets: [UInt8], _ range: Range<Int>? = nil) {
        self.octets = octets
        at = range?.lowerBound ?? 0
        end = range?.upperBound ?? octets.count
    }

    var remaining: Int { end - at }

    mutating func octet() -> UInt8? {
        guard at < end else { return nil }
        defer { at += 1 }
        return octets[at]
    }
    mutating func word16() -> UInt16? {
        guard remaining >= 2 else { return nil }
        defer { at += 2 }
        return UInt16(octets[at]) << 8 | UInt16(octets[at + 1])
    }
    mutating func word32() -> UInt32? {
        guard let high = peek(2), let low = peek(2, after: 2) else { return nil }
        at += 4
        return UInt32(high) << 16 | UInt32(low)
    }
    mutating func take(_ count: Int) -> ArraySlice<UInt8>? {
        guard count >= 0, count <= remaining else { return nil }
        defer { at += count }
        return octets[at..<at + count]
    }
    mutating func skip(_ count: Int) -> Bool { take(count) != nil }

    private func peek(_ count: Int, after: Int = 0) -> UInt16? {
        guard remaining >= after + count else { return nil }
        return UInt16(octets[at + after]) << 8 | UInt16(octets[at + after + 1])
    }
}

/// The other direction.
extension [UInt8] {
    mutating func append(word16 value: UInt16) { self += [UInt8(value >> 8), UInt8(value & 0xFF)] }
    mutating func append(word32 value: UInt32) {
        append(word16: UInt16(value >> 16))
        append(word16: UInt16(value & 0xFFFF))
    }
    mutating func set(_ at: Int, word16 value: UInt16) {
        self[at] = UInt8(value >> 8)
        self[at + 1] = UInt8(value & 0xFF)
    }
}

/// The Internet checksum (RFC 1071): the ones' complement sum that makes a packet add up to zero.
struct InternetChecksum {
    private var sum: UInt64 = 0

    mutating func add(_ octets: some Collection<UInt8>) {
        var high = true
        for octet in octets {
            sum &+= high ? UInt64(octet) << 8 : UInt64(octet)
            high.toggle()
        }
    }
    mutating func add(word16 value: Int) { sum &+= UInt64(UInt16(truncatingIfNeeded: value)) }

    var value: UInt16 {
        var folded = sum
        while folded > 0xFFFF { folded = folded >> 16 + folded & 0xFFFF }
        return ~UInt16(folded)
    }
}
