/// The memory of every node of every trie: one block of reserved address space cut into granules of 32 octets, with one free list per size.
///
/// A free block keeps the index of the next of its size in its first word. When no block of the wanted size is free, the smallest one that leaves a
/// remainder of a useful size is cut; only then does the arena touch new memory. Blocks are not joined again: the sizes of a routing
/// table's nodes are stable, and a remainder of two granules is the commonest node of all.
///
/// # Thread-safety
/// Control thread only; what it hands out is read by workers. A block comes back here only after a grace period (`RouteTable` holds it in limbo until then).
struct RouteArena: ~Copyable {
    private let memory: ReservedMemory
    private let capacity: Int
    private var next: Int
    /// By size in granules: first free block, 0 none.
    private var heads = [UInt32](repeating: 0, count: 128)
    /// Bit n: a block of n granules is free.
    private var available: (UInt64, UInt64) = (0, 0)
    private(set) var freeUnits = 0

    init(maximumBytes: Int) {
        capacity = min(max(maximumBytes / RouteNode.unit, 4096), 1 << 30)
        memory = ReservedMemory(size: capacity * RouteNode.unit)
        // Index 0 is the node that every root points to that is not in use: one run, no route.
        RouteNode(base: memory.base).initializeEmpty()
        next = 2
    }

    var base: UnsafeMutableRawPointer { memory.base }
    /// Granules never handed out yet.
    var untouchedUnits: Int { capacity - next }
    var memoryBytes: Int { next * RouteNode.unit }

    /// The index of a block of `units` granules; 0: none left.
    mutating func allocate(_ units: Int) -> UInt32 {
        let head = heads[units]
        if head != 0 {
            pop(units, head)
            return head
        }
        let larger = smallestFree(from: units + 2)
        if larger != 0 {
            let block = heads[larger]
            pop(larger, block)
            free(block + UInt32(units), larger - units)
            return block
        }
        guard next + units <= capacity else { return 0 }
        defer { next += units }
        return UInt32(next)
    }

    mutating func free(_ block: UInt32, _ units: Int) {
        base.store32(Int(block) * RouteNode.unit, heads[units])
        heads[units] = block
        if units < 64 { available.0 |= 1 << UInt64(units) } else { available.1 |= 1 << UInt64(units - 64) }
        freeUnits += units
    }

    private mutating func pop(_ units: Int, _ head: UInt32) {
        let following = base.load32(Int(head) * RouteNode.unit)
        heads[units] = following
        if following == 0 {
            if units < 64 { available.0 &= ~(1 << UInt64(units)) } else { available.1 &= ~(1 << UInt64(units - 64)) }
        }
        freeUnits -= units
    }

    private func smallestFree(from units: Int) -> Int {
        if units < 64 {
            let low = available.0 & (~0 << UInt64(units))
            if low != 0 { return low.trailingZeroBitCount }
            return available.1 != 0 ? 64 + available.1.trailingZeroBitCount : 0
        }
        guard units < 128 else { return 0 }
        let high = available.1 & (~0 << UInt64(units - 64))
        return high != 0 ? 64 + high.trailingZeroBitCount : 0
    }
}
