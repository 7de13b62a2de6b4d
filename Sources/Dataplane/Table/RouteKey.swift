import NetTypes

/// A prefix as the route trie sees it: 128 bits, most significant first, and a length; an IPv4 prefix is in the top 32 bits.
/// Bits past the length are zero. Ordered by address, then length.
struct RouteKey: Hashable, Comparable, Sendable {
    let high: UInt64
    let low: UInt64
    let length: UInt8

    init(high: UInt64, low: UInt64, length: UInt8) {
        let length = min(length, 128)
        self.high = high & (length >= 64 ? ~0 : ~(~0 >> UInt64(length)))
        self.low = length <= 64 ? 0 : low & (length == 128 ? ~0 : ~(~0 >> UInt64(length - 64)))
        self.length = length
    }

    init(ipv4 address: UInt32, length: UInt8) { self.init(high: UInt64(address) << 32, low: 0, length: min(length, 32)) }

    init(_ prefix: IPPrefix) {
        let length = UInt8(truncatingIfNeeded: prefix.length)
        switch prefix.address {
        case .v4(let address): self.init(ipv4: address.rawValue, length: length)
        case .v6(let address): self.init(high: address.high, low: address.low, length: length)
        }
    }

    /// Nil when an IPv4 prefix is asked for and the length exceeds 32.
    func prefix(isIPv4: Bool) -> IPPrefix? {
        let address: IPAddress =
            isIPv4 ? .v4(IPv4Address(rawValue: UInt32(truncatingIfNeeded: high >> 32))) : .v6(IPv6Address(high: high, low: low))
        return IPPrefix(masking: address, length: Int(length))
    }

    /// Octet 0…15 of the address.
    @inline(__always) func octet(_ index: Int) -> Int {
        Int(truncatingIfNeeded: (index < 8 ? high &>> UInt64(56 &- 8 &* index) : low &>> UInt64(120 &- 8 &* index)) & 0xFF)
    }

    /// The octet that the prefix ends in.
    @inline(__always) var terminal: Int { length == 0 ? 0 : (Int(length) &- 1) / 8 }

    static func < (a: RouteKey, b: RouteKey) -> Bool {
        a.high != b.high ? a.high < b.high : a.low != b.low ? a.low < b.low : a.length < b.length
    }
}

/// An IPv6 address as two numbers in host order.
struct IPv6Words: Hashable, Sendable {
    var high: UInt64
    var low: UInt64
}
