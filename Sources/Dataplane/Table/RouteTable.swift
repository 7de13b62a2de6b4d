import CPlatform

/// Longest-prefix match for every VRF and both families: thousands of tries in one arena.
///
/// # What it is
/// Each (VRF, family) is a *root*, a small id. A trie consumes the address eight bits at a time, so a node speaks about 256 *slots*; a slot leads
/// to a child or holds a *leaf* (a number of the caller's, 1 … 2^31 - 1; see `RouteLeaves`). Three things make it small:
/// - runs: neighbouring slots with equal values are one run. A bitmap marks where runs begin, so the value of a slot is
///   `values[popcount(bitmap up to the slot) - 1]`; a node with four /24s is 96 octets instead of a kilobyte;
/// - bags: where fewer than 33 routes are, they lie side by side in a `RouteBag`, 8 octets each, whatever their lengths; more become a node, and a node under which
///   16 are left becomes a bag again. A table of nodes alone took 20 octets per route where routes are dense and 90 to 100 where they lie apart: small VRFs, IPv6. With
///   bags it is 10 to 20 in all of these (bench/RESULTS.md);
/// - paths: a node or bag may carry up to six octets that the address must have before it is looked at, so a lonely host route does not
///   cost a node per octet: an IPv4 host route alone in its VRF is one bag of 16 octets beside the root, an IPv6 one two of 32.
/// An empty root is 64 octets.
///
/// # Cover
/// A leaf of a prefix shorter than a child's slot is not pushed down into the child's values. The child has one word for it, its *cover*: the
/// longest of its parent's own prefixes that holds the slot or lane leading to it. The lookup remembers the last cover that was not 0 and returns it when it ends
/// without a leaf. So a change of a prefix touches the one node in which the prefix ends, and the covers of that node's children; nothing deeper.
///
/// # RIB
/// A bag is a list of prefixes. A node also lists the prefixes that end in it, so that a deletion finds what comes back in its place without help from outside.
/// See `RouteNode` for the layout: one octet for a prefix that ends on an octet boundary, five for another.
///
/// # Front
/// A trie with many routes gets a *front*: an array over 16 bits of the address that says where the nodes lead for them, to a child or a leaf; 0 means
/// that it does not know, and the lookup begins at the root. A lookup that the front sent to a child and that ends with nothing begins again at the root as well, so covers
/// above the child need no place in the front. Only the parts of the array are filled under which routes are: a kilobyte per 256 neighbours.
///
/// Which 16 bits is what the front's *anchor* says: those behind the octets that three quarters of the routes have in common, so a VRF of 10.0.0.0/8 is entered by its
/// second and third octet, and one of 2001:db8::/32 by its fifth and sixth. Addresses outside begin at the root. When there are four times as many routes as at the last review, or a quarter of them,
/// it is asked where they are now. An anchor never changes: a front elsewhere is another front, and the old one is free after a grace period. What a front says rests on
/// one node, the one at the anchor; when an update takes that away, the front goes in the same update.
///
/// # Updates
/// The new state of a node is built beside it and published by one 32-bit release store in its parent (or in the table of roots); the old node is
/// retired; so is a bag's. No retired node is freed, nor a grace period begun, before the update that retired it is over and the front has been brought up to date. When no run begins or ends, values are changed in place, each with one store. A reader sees each
/// address's route before or after, never anything else. A bag's prefixes never change in place, only their leaves.
///
/// # Thread-safety
/// Lookups: any online worker, without locks. Everything else: the control thread. A leaf that a lookup returned is good until the worker quiesces.
///
/// # Sources
/// Bitmap-compressed multibit tries: Degermark et al., "Small forwarding tables for fast routing lookups", SIGCOMM 1997; Asai and Ohara, "Poptrie", SIGCOMM 2015.
final class RouteTable: @unchecked Sendable {
    /// Not a root; and `insert`'s answer when the arena is full.
    static let none = UInt32.max

    let quiescence: Quiescence
    // What insertions change is one thread's, and no call here passes one of these on while it uses it: that needs no check at run time, of which there would be a dozen per route.
    @exclusivity(unchecked) var arena: RouteArena
    @exclusivity(unchecked) var limbo = Limbo()
    /// Per root: arena index of its first node, then number of its front, 0 none; UInt32 each.
    private let rootMemory: ReservedMemory
    private let frontMemory: ReservedMemory
    private let anchorMemory: ReservedMemory
    /// What workers look up with.
    let reader: RouteReader
    var roots: UnsafeMutableRawPointer { reader.roots }
    let maximumRoots: Int
    /// Routes from which on a trie has a front.
    let frontThreshold: Int
    @exclusivity(unchecked) var frontPool = FrontPool()
    /// What an update did to nodes and bags on the way to its prefix, for the front.
    @exclusivity(unchecked) var change = RouteChange()
    @exclusivity(unchecked) var counts: [Int32] = []
    var freeRoots: [UInt32] = []
    var rootLimbo = Limbo()
    /// Where the new state of a node is built.
    let scratch: RouteNode
    @exclusivity(unchecked) var routeCount = 0

    init(quiescence: Quiescence, maximumRoots: Int = 1 << 17, maximumBytes: Int = 1 << 30, frontThreshold: Int = 2048) {
        self.quiescence = quiescence
        self.maximumRoots = maximumRoots
        arena = RouteArena(maximumBytes: maximumBytes)
        self.frontThreshold = frontThreshold
        rootMemory = ReservedMemory(size: max(maximumRoots, 1) * 8)
        frontMemory = ReservedMemory(size: FrontPool.maximum * FrontPool.size)
        anchorMemory = ReservedMemory(size: FrontPool.maximum * RouteAnchor.size)
        reader = RouteReader(
            nodes: arena.base, roots: rootMemory.base, fronts: frontMemory.base, anchors: anchorMemory.base, maximumRoots: maximumRoots)
        scratch = RouteNode(base: .allocate(byteCount: RouteNode.maximumSize + RouteNode.unit, alignment: 64))
    }

    deinit { scratch.base.deallocate() }

    func node(_ reference: UInt32) -> RouteNode { reader.node(reference) }
    func first(_ root: UInt32) -> UInt32 { reader.first(root) }

    // MARK: Lookup, as `RouteReader` has it

    func lookupIPv4(_ root: UInt32, _ address: UInt32) -> UInt32 { reader.lookupIPv4(root, address) }
    func lookupIPv6(_ root: UInt32, _ high: UInt64, _ low: UInt64) -> UInt32 { reader.lookupIPv6(root, high, low) }
    func lookupIPv4(roots: UnsafePointer<UInt32>, addresses: UnsafePointer<UInt32>, leaves: UnsafeMutablePointer<UInt32>, count: Int) {
        reader.lookupIPv4(roots: roots, addresses: addresses, leaves: leaves, count: count)
    }
    func lookupIPv6(roots: UnsafePointer<UInt32>, addresses: UnsafePointer<IPv6Words>, leaves: UnsafeMutablePointer<UInt32>, count: Int) {
        reader.lookupIPv6(roots: roots, addresses: addresses, leaves: leaves, count: count)
    }

    // MARK: Roots

    /// A new, empty trie; `none` when there are `maximumRoots`.
    func createRoot() -> UInt32 {
        collectIfDue()
        if freeRoots.isEmpty { rootLimbo.collect(quiescence) { freeRoots.append(UInt32(truncatingIfNeeded: $0)) } }
        let root: UInt32
        if let free = freeRoots.popLast() {
            root = free
        } else {
            guard counts.count < maximumRoots else { return Self.none }
            root = UInt32(counts.count)
            counts.append(0)
        }
        counts[Int(root)] = 0
        let index = allocate(RouteNode.emptyUnits)
        guard index != 0 else {
            freeRoots.append(root)
            return Self.none
        }
        node(index).initializeEmpty()
        roots.release64(Int(root) * 8, UInt64(index))
        return root
    }

    /// Deletes a trie; `release` gets the leaf of every route that was there. The id means an empty trie until it is used again, after a grace period.
    func destroyRoot(_ root: UInt32, _ release: (UInt32) -> Void) {
        collectIfDue()
        guard Int(root) < counts.count, first(root) != 0 else { return }
        forEach(root, after: nil) { _, leaf in
            release(leaf)
            return true
        }
        let top = first(root)
        removeFront(root)
        frontPool.waiting[root] = nil
        roots.release64(Int(root) * 8, 0)
        retireSubtree(top)
        routeCount -= Int(counts[Int(root)])
        counts[Int(root)] = 0
        rootLimbo.push(UInt64(root))
    }

    private func retireSubtree(_ reference: UInt32) {
        let values = reference >= RouteBag.first ? bag(reference).values : node(reference).values
        let count = reference >= RouteBag.first ? bag(reference).count : node(reference).runCount
        for index in 0..<count where values[index] >= RouteNode.childBit { retireSubtree(values[index]) }
        retire(reference)
    }

    /// Routes of one trie.
    func routeCount(_ root: UInt32) -> Int { Int(root) < counts.count ? Int(counts[Int(root)]) : 0 }
    /// Memory touched: nodes in use, in limbo and free, roots and fronts.
    var memoryBytes: Int { arena.memoryBytes + counts.count * 12 + frontPool.filledBytes }
    /// Octets of nodes in use or in limbo.
    var nodeBytes: Int { arena.usedBytes }

    // MARK: Memory

    /// Fresh space for a node: its arena index; 0: the arena is full.
    func allocate(_ units: Int) -> UInt32 { arena.allocate(units) }

    /// A node or bag that no reader will find any more.
    func retire(_ reference: UInt32) { limbo.push(UInt64(reference & RouteReader.indexMask) | UInt64(units(reference)) << 32) }

    /// Granules that it takes.
    func units(_ reference: UInt32) -> Int { reference >= RouteBag.first ? bag(reference).units : node(reference).units }

    /// At the beginning of an update, never within one.
    func collectIfDue() {
        if limbo.openCount >= 64 { collect() }
    }

    func collect() {
        limbo.collect(quiescence) { arena.free(UInt32(truncatingIfNeeded: $0), Int($0 >> 32)) }
    }

}

/// What an update did to nodes and bags on the way to its prefix. Depths are octets of the prefix before a node or bag, its path not counted.
struct RouteChange {
    /// The least depth at which nodes or bags came, went or became the other; none: `max`.
    var shape = Int.max
    /// The least depth at which one got a new copy, or leads to something else; what it was and what it is.
    private(set) var depth = Int.max
    private(set) var old: UInt32 = 0
    private(set) var new: UInt32 = 0

    mutating func note(depth: Int, _ old: UInt32, _ new: UInt32) {
        if depth < self.depth {
            self.depth = depth
            self.old = old
            self.new = new
        } else if depth == self.depth {
            self.new = new
        }
    }
}
