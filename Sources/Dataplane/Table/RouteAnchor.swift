/// Where in the address a front's 16 bits lie: behind the octets that nearly all prefixes of its trie have in common.
struct RouteAnchor: Equatable {
    static let size = 64
    /// The common octets, first in the top one of `high`; what follows them is zero, here and in the masks.
    private(set) var high: UInt64 = 0
    private(set) var low: UInt64 = 0
    private(set) var maskHigh: UInt64 = 0
    private(set) var maskLow: UInt64 = 0
    /// How many they are, 0…14.
    private(set) var octets = 0

    init() {}

    /// Of no address.
    static var none: RouteAnchor {
        var anchor = RouteAnchor()
        anchor.high = 1
        return anchor
    }

    @inline(__always) init(reading p: UnsafeMutableRawPointer) {
        high = p.load64(0)
        low = p.load64(8)
        maskHigh = p.load64(16)
        maskLow = p.load64(24)
        octets = Int(truncatingIfNeeded: p.load64(32))
    }

    func write(to p: UnsafeMutableRawPointer) {
        p.store64(0, high)
        p.store64(8, low)
        p.store64(16, maskHigh)
        p.store64(24, maskLow)
        p.store64(32, UInt64(octets))
    }

    /// A few octets, first in the top one of the word; what is behind them means nothing.
    struct Octets {
        let word: UInt64
        let count: Int
    }

    mutating func append(_ more: Octets) {
        for index in 0..<more.count {
            let octet = more.word >> UInt64(56 - 8 * index) & 0xFF
            if octets < 8 {
                high |= octet << UInt64(56 - 8 * octets)
                maskHigh |= 0xFF << UInt64(56 - 8 * octets)
            } else {
                low |= octet << UInt64(120 - 8 * octets)
                maskLow |= 0xFF << UInt64(120 - 8 * octets)
            }
            octets += 1
        }
    }

    func octet(_ index: Int) -> Int { RouteKey(high: high, low: low, length: 128).octet(index) }

    @inline(__always) func holds(_ high: UInt64, _ low: UInt64) -> Bool { (high ^ self.high) & maskHigh | (low ^ self.low) & maskLow == 0 }

    /// Which entry of the front speaks about an address that it holds.
    @inline(__always) func entry(_ high: UInt64, _ low: UInt64) -> Int {
        Int(truncatingIfNeeded: Self.skip(high, low, octets: octets).high &>> 48)
    }

    /// An address without its first octets, up to 16.
    @inline(__always) static func skip(_ high: UInt64, _ low: UInt64, octets: Int) -> (high: UInt64, low: UInt64) {
        let bits = UInt64(truncatingIfNeeded: octets &* 8)
        if octets >= 8 { return (octets == 16 ? 0 : low &<< bits, 0) }
        return octets == 0 ? (high, low) : (high &<< bits | low &>> (64 &- bits), low &<< bits)
    }
}
