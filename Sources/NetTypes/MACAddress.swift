/// An IEEE 802 48-bit address, kept in the low 48 bits of a word, first octet most significant.
public struct MACAddress: Hashable, Sendable, Comparable, CustomStringConvertible, LosslessStringConvertible {
    /// The address as a number: 00:00:5e:00:01:00 is 0x00005e000100.
    public var rawValue: UInt64

    @inlinable public init(rawValue: UInt64) { self.rawValue = rawValue & 0xFFFF_FFFF_FFFF }

    /// Six octets in transmission order; nil when there are not six.
    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 6 else { return nil }
        rawValue = bytes.reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// `02:00:5e:10:00:01`, also with `-`; each part one or two hexadecimal digits.
    public init?(_ text: String) {
        let separator: Character = text.contains("-") ? "-" : ":"
        let parts = text.split(separator: separator, omittingEmptySubsequences: false)
        guard parts.count == 6 else { return nil }
        var value: UInt64 = 0
        for part in parts {
            guard (1...2).contains(part.count), part.allSatisfy(\.isHexDigit), let octet = UInt64(part, radix: 16) else { return nil }
            value = value << 8 | octet
        }
        rawValue = value
    }

    public static let zero = MACAddress(rawValue: 0)
    public static let broadcast = MACAddress(rawValue: 0xFFFF_FFFF_FFFF)
    /// The gateway of every virtual network, on every node: the VRRP address 00:00:5e:00:01:00 (RFC 5798).
    public static let gateway = MACAddress(rawValue: 0x0000_5E00_0100)

    @inlinable public var isMulticast: Bool { rawValue & 0x0100_0000_0000 != 0 }
    @inlinable public static func < (a: MACAddress, b: MACAddress) -> Bool { a.rawValue < b.rawValue }

    public var bytes: [UInt8] { (0..<6).map { UInt8(truncatingIfNeeded: rawValue >> (40 - 8 * UInt64($0))) } }
    public var description: String { bytes.map { hexOctet($0) }.joined(separator: ":") }
}

func hexOctet(_ value: UInt8) -> String {
    let text = String(value, radix: 16)
    return text.count == 1 ? "0" + text : text
}
