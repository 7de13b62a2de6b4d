import CPlatform

/// A bag: up to 32 routes of one part of a route trie, side by side, where a node and a child for each would be far more. A view over arena memory; see `RouteTable` for
/// what it means among nodes.
///
///      0  UInt32      cover, as in a node
///      4  UInt8       number of lanes
///      5  UInt8       octets of path, 0…6
///      8  UInt64      path octets, first in the top one; only when there are any
///         UInt32 each lanes: the bits of the prefix behind the path, first in the top one, then a 1, then zeroes
///         UInt32 each values of the lanes: a leaf, or a child (`RouteNode.childBit` …)
///
/// There is a path only where a prefix would be too long for a lane without. A lane has 1…31 bits. What an address begins with is compared with four or sixteen lanes at a time: two numbers have the first bits in common when what differs lies at and
/// below the 1 that ends the lane's bits. Lanes with children come first, the others follow from the longest to the shortest, so the first that fits is the one.
/// A child's lane has 8, 16 or 24 bits, and everything beneath it is the child's: no other lane's prefix begins with it.
///
/// A bag is its own RIB: a lane with a leaf is a route. A route alone takes 16 octets, of many in one bag each takes 8.
struct RouteBag {
    /// Beside `RouteNode.childBit`, in the reference to a bag.
    static let bit: UInt32 = 0x4000_0000
    /// References from here on are of bags, those below of nodes.
    static let first = RouteNode.childBit | bit
    /// Lanes at most. A bag that would have more becomes a node.
    static let capacity = 32
    /// Bits of a lane at most.
    static let bits = 31

    let base: UnsafeMutableRawPointer

    @inline(__always) var cover: UInt32 { base.load32(0) }
    @inline(__always) private var shape: UInt32 { base.load32(4) }
    @inline(__always) var count: Int { Int(shape & 0xFF) }
    @inline(__always) var pathCount: Int { Int(shape &>> 8 & 0xFF) }
    /// Path octets, first in the top one; 0 when there are none.
    @inline(__always) var path: UInt64 { pathCount == 0 ? 0 : base.load64(8) }
    @inline(__always) private func lanesOffset(_ pathCount: Int) -> Int { pathCount == 0 ? 8 : 16 }
    var lanes: UnsafeMutablePointer<UInt32> { (base + lanesOffset(pathCount)).assumingMemoryBound(to: UInt32.self) }
    var values: UnsafeMutablePointer<UInt32> { lanes + count }

    static func size(lanes: Int, path: Int) -> Int { (path == 0 ? 8 : 16) + lanes * 8 }
    static func units(lanes: Int, path: Int) -> Int { RouteNode.units(size(lanes: lanes, path: path)) }
    var units: Int { Self.units(lanes: count, path: pathCount) }

    /// Everything but lanes and values. `path`: octets first in the top one, nothing behind them.
    func begin(cover: UInt32, lanes: Int, path: UInt64, pathCount: Int) {
        base.store32(0, cover)
        base.store32(4, UInt32(lanes | pathCount << 8))
        if pathCount > 0 { base.store64(8, path) }
    }

    /// Lanes with children.
    var childCount: Int {
        let values = values, count = count
        var at = 0
        while at < count, values[at] >= RouteNode.childBit { at &+= 1 }
        return at
    }

    // MARK: Lanes

    /// The lane of a prefix of `bits` bits, 1…31, first in the top one.
    @inline(__always) static func lane(_ prefix: UInt32, bits: Int) -> UInt32 {
        prefix & ~(UInt32.max &>> UInt32(bits)) | 0x8000_0000 &>> UInt32(bits)
    }
    @inline(__always) static func bits(_ lane: UInt32) -> Int { 31 &- lane.trailingZeroBitCount }
    @inline(__always) static func prefix(_ lane: UInt32) -> UInt32 { lane & (lane &- 1) }

    // MARK: Lookup

    /// What an IPv4 address whose rest, first octet on top, is `key` finds: a leaf, a child, or 0. With a child, the rest is what is behind its lane.
    @inline(__always) func value(_ key: inout UInt32) -> UInt32 {
        let shape = shape
        var at = 8
        if shape > 0xFF {
            let length = UInt64(shape &>> 8), wide = UInt64(key) &<< 32
            if (wide ^ base.load64(8)) & RouteNode.pathMask(length) != 0 { return 0 }
            key = UInt32(truncatingIfNeeded: (wide &<< (8 &* length)) &>> 32)
            at = 16
        }
        let count = shape & 0xFF
        let lane = vr_first_prefix(base + at, count, key)
        if lane >= count { return 0 }
        let value = base.load32(at &+ Int(count &+ lane) &* 4)
        if value >= RouteNode.childBit { key &<<= UInt32(truncatingIfNeeded: Self.bits(base.load32(at &+ Int(lane) &* 4))) }
        return value
    }

    /// What an IPv6 address whose rest is `high`, `low` finds: a leaf, a child, or 0. With a child, the rest is what is behind its lane.
    @inline(__always) func value(_ high: inout UInt64, _ low: inout UInt64) -> UInt32 {
        let shape = shape
        var at = 8
        if shape > 0xFF {
            let length = UInt64(shape &>> 8)
            if (high ^ base.load64(8)) & RouteNode.pathMask(length) != 0 { return 0 }
            high = high &<< (8 &* length) | low &>> (64 &- 8 &* length)
            low &<<= 8 &* length
            at = 16
        }
        let count = shape & 0xFF, key = UInt32(truncatingIfNeeded: high &>> 32)
        let lane = vr_first_prefix(base + at, count, key)
        if lane >= count { return 0 }
        let value = base.load32(at &+ Int(count &+ lane) &* 4)
        if value < RouteNode.childBit { return value }
        let bits = UInt64(truncatingIfNeeded: Self.bits(base.load32(at &+ Int(lane) &* 4)))
        high = high &<< bits | low &>> (64 &- bits)
        low &<<= bits
        return value
    }
}
