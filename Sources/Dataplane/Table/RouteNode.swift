import CPlatform

/// One node of the route trie: a view over arena memory. See `RouteTable` for what it means; this is its layout.
///
///      0  4 × UInt64  bit s is set when a run of equal values begins at slot s; bit 0 always is
///     32  UInt32      cover: the longest of the *parent's* own prefixes that holds the slot or lane leading here; 0 none
///     36  4 × UInt8   runs that begin before slot 64, 128, 192; number of shorter prefixes
///     40  UInt64      path compression: up to 6 octets, first in the top one; bits 15…4 number of exact prefixes; bits 2…0 number of octets
///     48  UInt32 each values of the runs: a child (`childBit` | arena index), a leaf, or 0
///         UInt32 each leaves of the shorter prefixes
///         UInt8 each  slots of the exact prefixes
///         UInt8 each  names of the shorter prefixes
///
/// The values, bitmap, cover and path are what workers read; the rest is the node's RIB, for the control thread. A prefix that ends in this node
/// with 8 bits is *exact*: its leaf is its slot's value, or, when the slot leads to a child, that child's cover, so it costs one octet. A *shorter* one, of
/// 0…7 bits, may be hidden by longer ones everywhere, so its leaf is kept; its name is its bits with a 1 before them: 1, 2…3, 4…7, … 128…255.
struct RouteNode {
    static let childBit: UInt32 = 0x8000_0000
    static let valuesOffset = 48
    static let maximumPath = 6
    /// Arena granule in octets; a node takes as many as it needs.
    static let unit = 16
    /// Of a node with 256 runs, 256 exact and 255 shorter prefixes.
    static let maximumSize = valuesOffset + 256 * 4 + 256 + 255 * 5

    let base: UnsafeMutableRawPointer

    // MARK: What workers read

    @inline(__always) var cover: UInt32 { base.load32(32) }
    /// Path octets and their number; see `pathLength`, `pathMask`.
    @inline(__always) var path: UInt64 { base.load64(40) }
    @inline(__always) static func pathLength(_ path: UInt64) -> UInt64 { path & 7 }
    /// The bits of the key that a path of `length` ≥ 1 octets speaks about.
    @inline(__always) static func pathMask(_ length: UInt64) -> UInt64 { ~(~0 &>> (8 &* length)) }

    /// Index of the run that holds `slot`.
    @inline(__always) func run(_ slot: UInt64) -> Int {
        let word = slot &>> 6
        let bits = base.load64(Int(truncatingIfNeeded: word &<< 3)) &<< (63 &- (slot & 63))
        let before = (UInt64(base.load32(36)) &<< 8) &>> (word &<< 3) & 0xFF
        return Int(truncatingIfNeeded: before &+ vr_popcount64(bits)) &- 1
    }

    @inline(__always) func value(_ slot: UInt64) -> UInt32 { base.load32(Self.valuesOffset &+ run(slot) &* 4) }

    // MARK: What the control thread reads

    func bit(_ slot: Int) -> Bool { base.load64((slot >> 6) * 8) &>> UInt64(slot & 63) & 1 == 1 }
    var runCount: Int { Int(base.load32(36) >> 16 & 0xFF) + Int(vr_popcount64(base.load64(24))) }
    var shorterCount: Int { Int(base.load32(36) >> 24) }
    var exactCount: Int { Int(truncatingIfNeeded: path >> 4 & 0xFFF) }
    var prefixCount: Int { shorterCount + exactCount }
    var pathCount: Int { Int(truncatingIfNeeded: path & 7) }
    func pathOctet(_ index: Int) -> Int { Int(truncatingIfNeeded: path >> UInt64(56 - 8 * index) & 0xFF) }

    var values: UnsafeMutablePointer<UInt32> { (base + Self.valuesOffset).assumingMemoryBound(to: UInt32.self) }
    var shorterLeaves: UnsafeMutablePointer<UInt32> { values + runCount }
    var exactSlots: UnsafeMutablePointer<UInt8> {
        (base + (Self.valuesOffset + (runCount + shorterCount) * 4)).assumingMemoryBound(to: UInt8.self)
    }
    var shorterNames: UnsafeMutablePointer<UInt8> { exactSlots + exactCount }

    static func size(runs: Int, shorter: Int, exact: Int) -> Int { valuesOffset + runs * 4 + shorter * 5 + exact }
    static func units(_ size: Int) -> Int { (size + unit - 1) / unit }
    var units: Int { Self.units(Self.size(runs: runCount, shorter: shorterCount, exact: exactCount)) }

    /// Granules of a node without prefixes and at most four runs.
    static let emptyUnits = units(size(runs: 4, shorter: 0, exact: 0))

    /// One run of no leaf, no prefix, no path, no cover: `emptyUnits`.
    func initializeEmpty() {
        base.initializeMemory(as: UInt8.self, repeating: 0, count: Self.emptyUnits * Self.unit)
        base.store64(0, 1)
        base.store32(36, 0x01_01_01)
    }

    func exactIndex(_ slot: Int) -> Int? {
        let slots = exactSlots, count = exactCount
        var index = 0
        while index < count {
            if slots[index] == UInt8(truncatingIfNeeded: slot) { return index }
            index &+= 1
        }
        return nil
    }

    func shorterIndex(_ name: Int) -> Int? {
        let names = shorterNames, count = shorterCount
        var index = 0
        while index < count {
            if names[index] == UInt8(truncatingIfNeeded: name) { return index }
            index &+= 1
        }
        return nil
    }

    /// Calls `body` with the first slot and the value of every run.
    func forEachRun(_ body: (_ slot: Int, _ value: UInt32) -> Void) {
        var run = 0
        for word in 0..<4 {
            var bits = base.load64(word * 8)
            while bits != 0 {
                body(word << 6 | bits.trailingZeroBitCount, values[run])
                run += 1
                bits &= bits - 1
            }
        }
    }

    /// The octets of a path as the node stores them, its number of exact prefixes untouched.
    static func path(_ octets: UInt64, count: Int, exact: Int) -> UInt64 {
        let kept = count == 0 ? 0 : octets & pathMask(UInt64(count))
        return kept | UInt64(exact) << 4 | UInt64(count)
    }
}
