/// An address prefix of either family; bits past the length are zero.
public struct IPPrefix: Hashable, Sendable, Comparable, CustomStringConvertible, LosslessStringConvertible {
    public let address: IPAddress
    public let length: Int

    /// Clears the host bits. Nil when the length does not fit the family.
    public init?(masking address: IPAddress, length: Int) {
        guard (0...address.bitWidth).contains(length) else { return nil }
        self.length = length
        switch address {
        case .v4(let a): self.address = .v4(IPv4Address(rawValue: a.rawValue & (length == 0 ? 0 : .max << (32 - UInt32(length)))))
        case .v6(let a):
            let high: UInt64 = length == 0 ? 0 : (length >= 64 ? .max : .max << (64 - UInt64(length)))
            let low: UInt64 = length <= 64 ? 0 : (length == 128 ? .max : .max << (128 - UInt64(length)))
            self.address = .v6(IPv6Address(high: a.high & high, low: a.low & low))
        }
    }

    /// The prefix that holds this one address: /32 or /128.
    public init(host address: IPAddress) { self.address = address; length = address.bitWidth }

    /// `10.0.0.0/24`; an address alone is a host prefix. Nil when host bits are set: that is nearly always a mistake.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), let address = IPAddress(String(parts[0])) else { return nil }
        if parts.count == 1 { self.init(host: address); return }
        guard parts[1].allSatisfy({ $0.isASCII && $0.isNumber }), parts[1].count <= 3, let length = Int(parts[1]),
            let prefix = IPPrefix(masking: address, length: length), prefix.address == address
        else { return nil }
        self = prefix
    }

    public var isIPv4: Bool { address.isIPv4 }
    public var isHost: Bool { length == address.bitWidth }
    public func contains(_ other: IPAddress) -> Bool {
        guard other.isIPv4 == isIPv4, let masked = IPPrefix(masking: other, length: length) else { return false }
        return masked.address == address
    }
    public func contains(_ other: IPPrefix) -> Bool { other.length >= length && contains(other.address) }
    public static func < (a: IPPrefix, b: IPPrefix) -> Bool { a.address != b.address ? a.address < b.address : a.length < b.length }
    public var description: String { "\(address)/\(length)" }

    /// The two prefixes that are one bit longer; nil: it is one address.
    public var halves: (IPPrefix, IPPrefix)? {
        guard length < address.bitWidth, let low = IPPrefix(masking: address, length: length + 1) else { return nil }
        let upper: IPAddress =
            switch address {
            case .v4(let a): .v4(IPv4Address(rawValue: a.rawValue | 1 << (31 - UInt32(length))))
            case .v6(let a):
                length < 64
                    ? .v6(IPv6Address(high: a.high | 1 << (63 - UInt64(length)), low: a.low))
                    : .v6(IPv6Address(high: a.high, low: a.low | 1 << (127 - UInt64(length))))
            }
        return IPPrefix(masking: upper, length: length + 1).map { (low, $0) }
    }

    /// The fewest prefixes that make up this one without those. At most as many for each of them as an address has bits.
    public func subtracting(_ others: [IPPrefix]) -> [IPPrefix] {
        let inside = others.filter { contains($0) || $0.contains(self) }
        if inside.isEmpty { return [self] }
        if inside.contains(where: { $0.contains(self) }) { return [] }
        guard let (low, high) = halves else { return [] }
        return low.subtracting(inside) + high.subtracting(inside)
    }
}
