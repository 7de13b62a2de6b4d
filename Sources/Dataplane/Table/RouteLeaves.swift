import CPlatform

/// What a route yields: the next hop and what goes with it. Immutable once interned.
struct RouteLeaf: Hashable, Sendable {
    static let noLabel = UInt32.max
    var nextHop: UInt32
    /// MPLS label or VNI to push towards a tunnel; `noLabel`: none.
    var label: UInt32 = RouteLeaf.noLabel
    /// The address to answer ARP and ND with; 0: the gateway's.
    var mac: UInt64 = 0
    /// Meaning is the caller's (proxies, …).
    var flags: UInt16 = 0
    var cookie: UInt64 = 0
}

/// The results that routes share: deduplicated, reference-counted, at stable indices from 1, so that a leaf of a route trie is one 31-bit number
/// and 250,000 routes over 50 next hops cost 50 entries.
///
/// An entry is 32 octets: next hop, label, MAC and flags, which readers load; cookie, reference count and hash chain, which are
/// the control thread's. The hash is a chained table of indices that doubles; readers never see it.
///
/// # Thread-safety
/// The control thread interns and releases. Workers read by an index they got from a trie, which was published after the entry was filled; an
/// entry whose last reference is released is reused only after a grace period.
final class RouteLeaves: @unchecked Sendable {
    private enum Offset {
        static let nextHop = 0, label = 4, mac = 8, cookie = 16, references = 24, chain = 28
        static let stride = 32
    }
    private let memory: ReservedMemory
    let reader: Reader
    private let quiescence: Quiescence
    private var limbo = Limbo()
    private var free: [UInt32] = []
    @exclusivity(unchecked) private var buckets = [UInt32](repeating: 0, count: 64)
    private var used: UInt32 = 1
    private let capacity: UInt32
    private let seed = randomSeed()
    @exclusivity(unchecked) private(set) var count = 0

    init(quiescence: Quiescence, capacity: Int = 1 << 22) {
        self.quiescence = quiescence
        self.capacity = UInt32(min(max(capacity, 1), 1 << 30))
        memory = ReservedMemory(size: (Int(self.capacity) + 1) * Offset.stride)
        reader = Reader(entries: memory.base)
    }

    private func entry(_ index: UInt32) -> UnsafeMutableRawPointer { reader.entry(index) }

    // MARK: Readers

    /// Lookups: where the entries lie, which never changes. Trivial, so that a worker may pass it around without counting references. Any index is one that a
    /// route table returned, not 0.
    struct Reader {
        fileprivate let entries: UnsafeMutableRawPointer
        @inline(__always) fileprivate func entry(_ index: UInt32) -> UnsafeMutableRawPointer { entries + Int(index) &* Offset.stride }

        @inline(__always) func nextHop(_ index: UInt32) -> UInt32 { entry(index).load32(Offset.nextHop) }
        @inline(__always) func label(_ index: UInt32) -> UInt32 { entry(index).load32(Offset.label) }
        /// Next hop and, in the upper half, label: as `Packet.target`.
        @inline(__always) func target(_ index: UInt32) -> UInt64 { UInt64(littleEndian: entry(index).load64(Offset.nextHop)) }
        @inline(__always) func mac(_ index: UInt32) -> UInt64 { entry(index).load64(Offset.mac) & 0xFFFF_FFFF_FFFF }
        @inline(__always) func flags(_ index: UInt32) -> UInt16 { UInt16(truncatingIfNeeded: entry(index).load64(Offset.mac) >> 48) }
    }

    func nextHop(_ index: UInt32) -> UInt32 { reader.nextHop(index) }
    func label(_ index: UInt32) -> UInt32 { reader.label(index) }
    func mac(_ index: UInt32) -> UInt64 { reader.mac(index) }
    func flags(_ index: UInt32) -> UInt16 { reader.flags(index) }

    // MARK: Control thread

    subscript(index: UInt32) -> RouteLeaf {
        let at = entry(index)
        return RouteLeaf(
            nextHop: at.load32(Offset.nextHop), label: at.load32(Offset.label), mac: mac(index), flags: flags(index),
            cookie: at.load64(Offset.cookie))
    }

    private func hash(_ leaf: RouteLeaf) -> UInt64 {
        let first = foldedMultiply(UInt64(leaf.nextHop) << 32 | UInt64(leaf.label), seed | 1)
        return foldedMultiply(first ^ leaf.mac ^ UInt64(leaf.flags) << 48, 0x9E37_79B9_7F4A_7C15 ^ leaf.cookie)
    }

    /// The index of an equal entry, or a new one; takes one reference. 0: the table is full.
    func intern(_ leaf: RouteLeaf) -> UInt32 {
        var bucket = Int(truncatingIfNeeded: hash(leaf)) & (buckets.count - 1)
        var at = buckets[bucket]
        while at != 0 {
            if self[at] == leaf {
                entry(at).store32(Offset.references, entry(at).load32(Offset.references) &+ 1)
                return at
            }
            at = entry(at).load32(Offset.chain)
        }
        let index = allocate()
        guard index != 0 else { return 0 }
        let new = entry(index)
        new.store32(Offset.nextHop, leaf.nextHop)
        new.store32(Offset.label, leaf.label)
        new.store64(Offset.mac, leaf.mac & 0xFFFF_FFFF_FFFF | UInt64(leaf.flags) << 48)
        new.store64(Offset.cookie, leaf.cookie)
        new.store32(Offset.references, 1)
        count += 1
        if count > buckets.count {
            grow()
            bucket = Int(truncatingIfNeeded: hash(leaf)) & (buckets.count - 1)
        }
        new.store32(Offset.chain, buckets[bucket])
        buckets[bucket] = index
        return index
    }

    /// Gives one reference back. The entry stays readable for workers that hold its index until they quiesce.
    func release(_ index: UInt32) {
        guard index != 0, index < used else { return }
        let references = entry(index).load32(Offset.references)
        guard references > 0 else { return }
        entry(index).store32(Offset.references, references &- 1)
        guard references == 1 else { return }
        let bucket = Int(truncatingIfNeeded: hash(self[index])) & (buckets.count - 1)
        if buckets[bucket] == index {
            buckets[bucket] = entry(index).load32(Offset.chain)
        } else {
            var at = buckets[bucket]
            while at != 0 {
                let next = entry(at).load32(Offset.chain)
                if next == index {
                    entry(at).store32(Offset.chain, entry(index).load32(Offset.chain))
                    break
                }
                at = next
            }
        }
        count -= 1
        limbo.push(UInt64(index))
        if limbo.openCount >= 256 { collect() }
    }

    private func collect() { limbo.collect(quiescence) { free.append(UInt32(truncatingIfNeeded: $0)) } }

    private func allocate() -> UInt32 {
        if free.isEmpty, limbo.count > 0 { collect() }
        if let index = free.popLast() { return index }
        guard used <= capacity else { return 0 }
        defer { used += 1 }
        return used
    }

    private func grow() {
        let old = buckets
        buckets = [UInt32](repeating: 0, count: old.count * 2)
        for head in old {
            var at = head
            while at != 0 {
                let next = entry(at).load32(Offset.chain)
                let bucket = Int(truncatingIfNeeded: hash(self[at])) & (buckets.count - 1)
                entry(at).store32(Offset.chain, buckets[bucket])
                buckets[bucket] = at
                at = next
            }
        }
    }

    func references(_ index: UInt32) -> UInt32 { entry(index).load32(Offset.references) }
    var memoryBytes: Int { Int(used) * Offset.stride + buckets.count * 4 }
}
