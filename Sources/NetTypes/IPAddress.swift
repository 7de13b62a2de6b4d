/// An IPv4 address as a number in host order: 10.0.0.1 is 0x0a000001.
public struct IPv4Address: Hashable, Sendable, Comparable, CustomStringConvertible, LosslessStringConvertible {
    public var rawValue: UInt32
    @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }
    @inlinable public init(_ a: UInt8, _ b: UInt8, _ c: UInt8, _ d: UInt8) {
        rawValue = UInt32(a) << 24 | UInt32(b) << 16 | UInt32(c) << 8 | UInt32(d)
    }
    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 4 else { return nil }
        rawValue = bytes.reduce(0) { $0 << 8 | UInt32($1) }
    }
    /// Four decimal octets; no leading zeros beyond "0" itself, no short forms.
    public init?(_ text: String) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var value: UInt32 = 0
        for part in parts {
            guard (1...3).contains(part.count), part.allSatisfy({ $0.isASCII && $0.isNumber }), let octet = UInt8(part),
                part.count == 1 || part.first != "0"
            else { return nil }
            value = value << 8 | UInt32(octet)
        }
        rawValue = value
    }
    public static let any = IPv4Address(rawValue: 0)
    @inlinable public var isMulticast: Bool { rawValue >> 28 == 0xE }
    @inlinable public var isBroadcast: Bool { rawValue == .max }
    @inlinable public var isLinkLocal: Bool { rawValue >> 16 == 0xA9FE }
    @inlinable public static func < (a: IPv4Address, b: IPv4Address) -> Bool { a.rawValue < b.rawValue }
    public var bytes: [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: rawValue >> (24 - 8 * UInt32($0))) } }
    public var description: String { bytes.map(String.init).joined(separator: ".") }
}

/// An IPv6 address as two 64-bit halves in host order.
public struct IPv6Address: Hashable, Sendable, Comparable, CustomStringConvertible, LosslessStringConvertible {
    public var high: UInt64
    public var low: UInt64
    @inlinable public init(high: UInt64, low: UInt64) { self.high = high; self.low = low }
    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 16 else { return nil }
        high = bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
        low = bytes.dropFirst(8).reduce(0) { $0 << 8 | UInt64($1) }
    }
    public static let any = IPv6Address(high: 0, low: 0)
    @inlinable public var isMulticast: Bool { high >> 56 == 0xFF }
    @inlinable public var isLinkLocal: Bool { high >> 54 == 0x3FA }
    @inlinable public static func < (a: IPv6Address, b: IPv6Address) -> Bool { a.high != b.high ? a.high < b.high : a.low < b.low }
    public var bytes: [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: high >> (56 - 8 * UInt64($0))) }
            + (0..<8).map { UInt8(truncatingIfNeeded: low >> (56 - 8 * UInt64($0))) }
    }
    /// The solicited-node multicast address ff02::1:ffXX:XXXX (RFC 4291 section 2.7.1).
    public var solicitedNode: IPv6Address { IPv6Address(high: 0xFF02_0000_0000_0000, low: 0x0000_0001_FF00_0000 | (low & 0xFF_FFFF)) }
    var groups: [UInt16] {
        (0..<4).map { UInt16(truncatingIfNeeded: high >> (48 - 16 * UInt64($0))) }
            + (0..<4).map { UInt16(truncatingIfNeeded: low >> (48 - 16 * UInt64($0))) }
    }

    /// The forms of RFC 4291 section 2.2, the dotted IPv4 tail included; no zone.
    public init?(_ text: String) {
        guard !text.isEmpty, text.utf8.count <= 45 else { return nil }
        func groups(_ part: Substring) -> [UInt16]? {
            if part.isEmpty { return [] }
            var out: [UInt16] = []
            let pieces = part.split(separator: ":", omittingEmptySubsequences: false)
            for (index, piece) in pieces.enumerated() {
                if index == pieces.count - 1, piece.contains(".") {
                    guard let tail = IPv4Address(String(piece)) else { return nil }
                    out += [UInt16(tail.rawValue >> 16), UInt16(truncatingIfNeeded: tail.rawValue)]
                } else {
                    guard (1...4).contains(piece.count), piece.allSatisfy({ $0.isASCII && $0.isHexDigit }), let value = UInt16(piece, radix: 16)
                    else { return nil }
                    out.append(value)
                }
            }
            return out
        }
        var all: [UInt16]
        if let gap = text.firstRange(of: "::") {
            let head = text[..<gap.lowerBound], tail = text[gap.upperBound...]
            guard !head.contains("."), let front = groups(head), let back = groups(tail), front.count + back.count <= 7 else { return nil }
            all = front + Array(repeating: 0, count: 8 - front.count - back.count) + back
        } else {
            guard let exact = groups(text[...]), exact.count == 8 else { return nil }
            all = exact
        }
        high = all[..<4].reduce(0) { $0 << 16 | UInt64($1) }
        low = all[4...].reduce(0) { $0 << 16 | UInt64($1) }
    }

    /// RFC 5952: lower case, longest run of zero groups (two or more, the first of equals) as `::`.
    public var description: String {
        let groups = groups
        var best = 0..<0
        var index = 0
        while index < 8 {
            guard groups[index] == 0 else { index += 1; continue }
            var end = index
            while end < 8, groups[end] == 0 { end += 1 }
            if end - index > best.count { best = index..<end }
            index = end
        }
        func join(_ part: ArraySlice<UInt16>) -> String { part.map { String($0, radix: 16) }.joined(separator: ":") }
        guard best.count >= 2 else { return join(groups[...]) }
        return join(groups[..<best.lowerBound]) + "::" + join(groups[best.upperBound...])
    }
}

/// An address of either family.
public enum IPAddress: Hashable, Sendable, Comparable, CustomStringConvertible, LosslessStringConvertible {
    case v4(IPv4Address)
    case v6(IPv6Address)

    public init?(_ text: String) {
        if let address = IPv4Address(text) { self = .v4(address) } else if let address = IPv6Address(text) { self = .v6(address) } else { return nil }
    }
    /// 4 or 16 octets in network order.
    public init?(bytes: some Collection<UInt8>) {
        if let address = IPv4Address(bytes: bytes) {
            self = .v4(address)
        } else if let address = IPv6Address(bytes: bytes) {
            self = .v6(address)
        } else {
            return nil
        }
    }
    public var bytes: [UInt8] {
        switch self {
        case .v4(let a): a.bytes;
        case .v6(let a): a.bytes
        }
    }
    public var isIPv4: Bool { if case .v4 = self { true } else { false } }
    public var isMulticast: Bool {
        switch self {
        case .v4(let a): a.isMulticast;
        case .v6(let a): a.isMulticast
        }
    }
    /// 32 or 128.
    public var bitWidth: Int { isIPv4 ? 32 : 128 }
    public var description: String {
        switch self {
        case .v4(let a): a.description;
        case .v6(let a): a.description
        }
    }
    public static func < (a: IPAddress, b: IPAddress) -> Bool {
        switch (a, b) {
        case (.v4(let x), .v4(let y)): x < y
        case (.v6(let x), .v6(let y)): x < y
        case (.v4, .v6): true
        case (.v6, .v4): false
        }
    }
}
