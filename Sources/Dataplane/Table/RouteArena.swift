/// The memory of every node of every trie: one block of reserved address space cut into granules of 16 octets, with one list of free blocks per size.
///
/// A wanted size is taken from the smallest free block that holds it; only when there is none does the arena touch new memory. A block that comes back is joined with free
/// neighbours, so the small blocks that a growing node leaves behind become large ones again. A free block is linked both ways through its first two
/// words; one octet per granule, beside the arena, holds the size of a free block at its first and last granule and 0 elsewhere.
///
/// # Thread-safety
/// Control thread only; what it hands out is read by workers. A block comes back here only after a grace period (`RouteTable` holds it in limbo until then).
struct RouteArena: ~Copyable {
    /// Free blocks are not joined beyond this many granules: the largest node needs 163.
    private static let largest = 255
    private let memory: ReservedMemory
    private let sizes: ReservedMemory
    private let capacity: Int
    private var next: Int
    /// By size in granules: first free block, 0 none.
    private var heads = [UInt32](repeating: 0, count: RouteArena.largest + 1)
    /// Bit n: a block of n granules is free.
    private var available: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
    private(set) var freeUnits = 0

    init(maximumBytes: Int) {
        capacity = min(max(maximumBytes / RouteNode.unit, 8192), Int(RouteReader.indexMask))
        // A bag is read in steps of 64 octets, also the last one.
        memory = ReservedMemory(size: capacity * RouteNode.unit + 64, hugePages: true)
        sizes = ReservedMemory(size: capacity)
        // Index 0 is the node that every root points to that is not in use: one run, no route.
        RouteNode(base: memory.base).initializeEmpty()
        next = RouteNode.emptyUnits
    }

    var base: UnsafeMutableRawPointer { memory.base }
    /// Granules never handed out yet.
    var untouchedUnits: Int { capacity - next }
    var memoryBytes: Int { next * (RouteNode.unit + 1) }
    var usedBytes: Int { (next - freeUnits) * RouteNode.unit }

    /// The index of a block of `units` granules; 0: none left.
    mutating func allocate(_ units: Int) -> UInt32 {
        let found = smallestFree(from: units)
        if found != 0 {
            let block = Int(heads[found])
            unlink(block, found)
            if found > units { link(block + units, found - units) }
            return UInt32(block)
        }
        guard next + units <= capacity else { return 0 }
        defer { next += units }
        return UInt32(next)
    }

    mutating func free(_ block: UInt32, _ units: Int) {
        var block = Int(block), units = units
        let right = block + units
        if right < next, case let size = self.size(right), size != 0, units + size <= Self.largest {
            unlink(right, size)
            units += size
        }
        if case let size = self.size(block - 1), size != 0, units + size <= Self.largest {
            unlink(block - size, size)
            block -= size
            units += size
        }
        link(block, units)
    }

    // MARK: Free blocks

    /// Size of the free block that begins or ends at this granule; 0: none does.
    private func size(_ granule: Int) -> Int { Int(sizes.base.load(fromByteOffset: granule, as: UInt8.self)) }

    private func setSize(_ block: Int, _ units: Int, to size: Int) {
        sizes.base.storeBytes(of: UInt8(truncatingIfNeeded: size), toByteOffset: block, as: UInt8.self)
        sizes.base.storeBytes(of: UInt8(truncatingIfNeeded: size), toByteOffset: block + units - 1, as: UInt8.self)
    }

    private func setLinks(_ block: Int, previous: UInt32, next: UInt32) {
        base.store32(block * RouteNode.unit, next)
        base.store32(block * RouteNode.unit + 4, previous)
    }

    private mutating func link(_ block: Int, _ units: Int) {
        let head = heads[units]
        setLinks(block, previous: 0, next: head)
        if head != 0 { base.store32(Int(head) * RouteNode.unit + 4, UInt32(block)) }
        heads[units] = UInt32(block)
        setSize(block, units, to: units)
        setAvailable(units, true)
        freeUnits += units
    }

    private mutating func unlink(_ block: Int, _ units: Int) {
        let following = base.load32(block * RouteNode.unit), previous = base.load32(block * RouteNode.unit + 4)
        if following != 0 { base.store32(Int(following) * RouteNode.unit + 4, previous) }
        if previous != 0 { base.store32(Int(previous) * RouteNode.unit, following) } else { heads[units] = following }
        if heads[units] == 0 { setAvailable(units, false) }
        setSize(block, units, to: 0)
        freeUnits -= units
    }

    private mutating func setAvailable(_ units: Int, _ value: Bool) {
        let bit: UInt64 = 1 &<< UInt64(units & 63)
        func set(_ word: inout UInt64) { word = value ? word | bit : word & ~bit }
        switch units >> 6 {
        case 0: set(&available.0)
        case 1: set(&available.1)
        case 2: set(&available.2)
        default: set(&available.3)
        }
    }

    private func smallestFree(from units: Int) -> Int {
        var word = units >> 6, mask: UInt64 = ~0 &<< UInt64(units & 63)
        while word < 4 {
            let bits = (word == 0 ? available.0 : word == 1 ? available.1 : word == 2 ? available.2 : available.3) & mask
            if bits != 0 { return word << 6 | bits.trailingZeroBitCount }
            mask = ~0
            word += 1
        }
        return 0
    }
}
