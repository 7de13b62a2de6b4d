import CPlatform
import Synchronization

/// Flows: the connections the router knows, one table for all workers.
///
/// # What it is
/// A flow is a pair of entries, one per direction, each found by its own key (5-tuple and VRF) and each knowing the other. Entries are 112 octets
/// (`FlowEntry`) in one array; a hash table of 64-octet buckets finds them: eight times a 16-bit signature and an entry index. A lookup that hits
/// touches the bucket and the first half of the entry; a miss touches one.
///
/// A key belongs to its *primary* bucket. When that is full it goes into one of two alternates, and the primary counts how many of its keys are
/// elsewhere, so that a lookup reads an alternate only when there is something to find. Entries never move. At full capacity half of the bucket slots are in use, at most five of eight where it
/// is no power of two.
/// When all three are full, a key that is in one of them as its primary is put into one of its own alternates to make room. Keys only ever move that way, from
/// where a lookup reads first to where it reads later, and are in the new place before they leave the old, so a lookup meanwhile finds them. So a table holds
/// as many entries as its capacity says: for a key to find no slot, two dozen others would need full alternates too, and since the hash is keyed with a secret, nobody can arrange that.
///
/// # Life of an entry
/// free → live (`insertPair`) → dying (`remove`, `age`: not found any more) → free, after a grace period. A worker that found an entry may use it until it
/// quiesces. Indices start at 1; 0 means none. Each flow has a generation, which no other of the last billions of flows has.
///
/// # Lanes
/// A *lane* is a caller that inserts and removes: workers have lanes 0 …< n, the control thread has the last one, n. Each lane has its own
/// free list and its own limbo, so the common insertion and ageing touch nothing shared but the buckets.
///
/// # Thread-safety
/// - `lookup`: any online worker; no locks, no waiting.
/// - `insertPair`, `remove`: any lane, concurrently. Each bucket has a lock word that is tried, never waited for: when another lane holds one, the answer is *busy* and the
///   caller goes on without the flow (a worker) or tries again (the control thread). Locks are held for tens of instructions. They are tried in order of bucket, so of two lanes one always gets on.
/// - `age`: each worker lane for its own slice.
/// - `firstLive`, `snapshot`, counters: the control thread, at any time.
final class FlowTable: @unchecked Sendable {
    static let none: UInt32 = 0

    enum Status: UInt8, Sendable {
        case inserted
        /// The forward key has an entry already; `Insertion` names it.
        case exists
        /// The forward key is new but the reverse key belongs to another flow, which `Insertion` names.
        case conflict
        /// No entry is free, or no bucket slot. Counted.
        case full
        /// Another lane was changing the same bucket. Counted.
        case busy
    }

    struct Insertion: Sendable {
        var status: Status
        var index: UInt32 = FlowTable.none
        var reverse: UInt32 = FlowTable.none
    }

    /// What a new flow starts with.
    struct Template: Sendable {
        /// `FlowAction.rawValue`, of both directions. `nat`: what each direction's packets become is what the other's key says.
        var action: UInt8 = 0
        var cookie: UInt64 = 0
        /// Of the forward direction.
        var ingressVif: UInt32 = .max
        /// The vif by which it leaves, which its replies come in by.
        var egressVif: UInt32 = .max
        /// `FlowDropReason.rawValue`.
        var dropReason: UInt8 = 0
        /// Milliseconds.
        var now: UInt32
        /// Made by a control program.
        var isProgrammed = false
        /// The keys are a translation, also where the action is drop.
        var translates = false
        /// See `FlowPair`.
        var returnVRF = ForwardingTables.noVRF
        /// The vif that it counts for.
        var owner = ForwardingTables.noVif
        /// Of both directions; 0: none.
        var mirror: UInt8 = 0
        /// `fat` and `wide`.
        var flags: FlowEntry.Flags = []
        /// Given by `insert`.
        var generation: UInt32 = 0
    }

    /// Milliseconds without a packet in either direction after which a flow goes.
    struct Timeouts: Sendable {
        var idle: UInt32 = 180_000
        /// A TCP connection that nobody has answered.
        var opening: UInt32 = 10_000
        /// A flow whose action is drop.
        var dropped: UInt32 = 10_000
        /// A TCP connection closed by both ends or reset: what is still on the way, an acknowledgement that was overtaken or data that crossed an RST, has come by then and makes no
        /// flow of its own, which a policy might deny or which would idle for long.
        var closed: UInt32 = 5
    }

    enum Life: UInt32 { case free, live, dying }

    let capacity: Int
    let laneCount: Int
    let timeouts: Timeouts
    let quiescence: Quiescence
    let hash: FlowHash
    /// What workers look up with.
    let reader: FlowReader
    private let bucketMemory: ReservedMemory
    private let entryMemory: ReservedMemory
    let buckets: UnsafeMutableRawPointer
    let entries: UnsafeMutablePointer<FlowEntry>
    let bucketMask: Int
    let pool: FlowEntryPool
    /// Flows by the vif that they count for, and by VRF.
    let vifQuotas: FlowQuotas
    let vrfQuotas: FlowQuotas
    let ageing = FlowAgeingTimes()
    /// See `pressure`.
    let pressureWord = Atomic<UInt64>(0)
    /// Milliseconds: when it was last looked how full the table is.
    let pressureChecked = Atomic<UInt32>(0)

    /// `capacity` entries: half as many flows. Memory is touched as flows come. `load`: entries per bucket, of eight slots, at full capacity, at most.
    init(
        capacity: Int, laneCount: Int, quiescence: Quiescence, timeouts: Timeouts = Timeouts(), load: Int = 5, vifCapacity: Int = 4352,
        vrfCapacity: Int = 4096
    ) {
        self.capacity = min(max(capacity, 2), Int(FlowEntry.indexMask))
        self.laneCount = max(laneCount, 1)
        self.timeouts = timeouts
        self.quiescence = quiescence
        vifQuotas = FlowQuotas(capacity: vifCapacity)
        vrfQuotas = FlowQuotas(capacity: vrfCapacity)
        var count = 16
        while count * load < self.capacity { count *= 2 }
        bucketMask = count - 1
        bucketMemory = ReservedMemory(size: count * FlowBucket.size, hugePages: true)
        entryMemory = ReservedMemory(size: (self.capacity + 1) * MemoryLayout<FlowEntry>.stride, hugePages: true)
        buckets = bucketMemory.base
        entries = entryMemory.base.assumingMemoryBound(to: FlowEntry.self)
        hash = FlowHash()
        reader = FlowReader(buckets: buckets, entries: entries, bucketMask: bucketMask, hash: hash)
        pool = FlowEntryPool(entries: entries, capacity: self.capacity, laneCount: self.laneCount, quiescence: quiescence)
    }

    func entry(_ index: UInt32) -> UnsafeMutablePointer<FlowEntry> { reader.entry(index) }
    func bucket(_ index: Int) -> FlowBucket { reader.bucket(index) }
    func primary(_ hash: UInt64) -> Int { reader.primary(hash) }
    func alternate(_ hash: UInt64) -> Int { reader.alternate(hash) }
    func lookup(_ key: UnsafePointer<FlowKey>, hash: UInt64) -> UInt32 { reader.lookup(key, hash: hash) }
    func lookup(keys: UnsafePointer<FlowKey>, hashes: UnsafeMutablePointer<UInt64>, indices: UnsafeMutablePointer<UInt32>, count: Int) {
        reader.lookup(keys: keys, hashes: hashes, indices: indices, count: count)
    }
}

/// Lookups in a `FlowTable`: where its memory lies and its hash, which never change while the table is there. Trivial, so that a worker may pass it around
/// without counting references.
///
/// # Thread-safety
/// Any online worker, without locks.
struct FlowReader {
    let buckets: UnsafeMutableRawPointer
    let entries: UnsafeMutablePointer<FlowEntry>
    let bucketMask: Int
    let hash: FlowHash

    /// The entry of an index that `lookup` returned, or of any index up to the capacity.
    @inline(__always) func entry(_ index: UInt32) -> UnsafeMutablePointer<FlowEntry> { entries + Int(index) }

    @inline(__always) func bucket(_ index: Int) -> FlowBucket { FlowBucket(base: buckets + index &* FlowBucket.size) }
    @inline(__always) func primary(_ hash: UInt64) -> Int { Int(truncatingIfNeeded: hash) & bucketMask }
    /// The first alternate; the second is its neighbour. Neither is ever the primary: bit 1 differs.
    @inline(__always) func alternate(_ hash: UInt64) -> Int {
        (Int(truncatingIfNeeded: hash) ^ (Int(FlowBucket.signature(hash)) &* 0x9E37_79B1 | 2)) & bucketMask
    }

    // MARK: Lookup

    /// The entry of a key, 0: none. `hash` is `self.hash(key)`.
    @inline(__always) func lookup(_ key: UnsafePointer<FlowKey>, hash: UInt64) -> UInt32 {
        let primary = bucket(primary(hash))
        let found = find(in: primary, key, FlowBucket.signature(hash))
        if found != FlowTable.none || primary.overflow == 0 { return found }
        return lookupAlternates(key, hash)
    }

    @inline(never) private func lookupAlternates(_ key: UnsafePointer<FlowKey>, _ hash: UInt64) -> UInt32 {
        let alternate = alternate(hash), signature = FlowBucket.signature(hash)
        let found = find(in: bucket(alternate), key, signature)
        return found != FlowTable.none ? found : find(in: bucket(alternate ^ 1), key, signature)
    }

    @inline(__always) private func find(in bucket: FlowBucket, _ key: UnsafePointer<FlowKey>, _ signature: UInt16) -> UInt32 {
        var word = 0
        while word < 2 {
            var matches = bucket.matches(word, signature)
            while matches != 0 {
                let index = bucket.index(word &* 4 &+ matches.trailingZeroBitCount &>> 4)
                if index != FlowTable.none, isEqual(index, key) { return index }
                matches &= matches &- 1
            }
            word &+= 1
        }
        return FlowTable.none
    }

    /// An entry begins with its key. Of IPv4 the second half of the addresses is always zero.
    @inline(__always) private func isEqual(_ index: UInt32, _ key: UnsafePointer<FlowKey>) -> Bool {
        let a = UnsafeRawPointer(entries + Int(index)), b = UnsafeRawPointer(key)
        var difference = a.load(as: UInt64.self) ^ b.load(as: UInt64.self)
        difference |= a.load(fromByteOffset: 8, as: UInt64.self) ^ b.load(fromByteOffset: 8, as: UInt64.self)
        difference |= UInt64(a.load(fromByteOffset: 40, as: UInt16.self) ^ b.load(fromByteOffset: 40, as: UInt16.self))
        if key.pointee.family != 6 { return difference == 0 }
        difference |= a.load(fromByteOffset: 16, as: UInt64.self) ^ b.load(fromByteOffset: 16, as: UInt64.self)
        difference |= a.load(fromByteOffset: 24, as: UInt64.self) ^ b.load(fromByteOffset: 24, as: UInt64.self)
        difference |= a.load(fromByteOffset: 32, as: UInt64.self) ^ b.load(fromByteOffset: 32, as: UInt64.self)
        return difference == 0
    }

    // A burst's lookups in three passes, so that their misses overlap: `begin` for each key, `continueLookups`, `finish` for each.

    /// Hashes a key and prefetches its bucket.
    @inline(__always) func begin(_ key: UnsafePointer<FlowKey>) -> UInt64 {
        let hash = hash(key)
        vr_prefetch(bucket(primary(hash)).base)
        return hash
    }

    /// Reads the signatures and prefetches the entry that is likely the right one.
    @inline(__always) func continueLookups(_ hashes: UnsafePointer<UInt64>, _ candidates: UnsafeMutablePointer<UInt32>, count: Int) {
        for packet in 0..<count {
            let hash = hashes[packet]
            let candidate = bucket(primary(hash)).firstCandidate(FlowBucket.signature(hash))
            candidates[packet] = candidate
            vr_prefetch(entries + Int(candidate))
            vr_prefetch_write(UnsafeRawPointer(entries + Int(candidate)) + 64)
            vr_prefetch_write(UnsafeRawPointer(entries + Int(candidate)) + FlowEntry.busySize)
        }
    }

    /// The entry, `none` when there is none.
    @inline(__always) func finish(_ key: UnsafePointer<FlowKey>, _ hash: UInt64, candidate: UInt32) -> UInt32 {
        candidate != FlowTable.none && isEqual(candidate, key) ? candidate : lookup(key, hash: hash)
    }

    /// `count` lookups at once.
    func lookup(keys: UnsafePointer<FlowKey>, hashes: UnsafeMutablePointer<UInt64>, indices: UnsafeMutablePointer<UInt32>, count: Int) {
        for packet in 0..<count { hashes[packet] = begin(keys + packet) }
        continueLookups(hashes, indices, count: count)
        for packet in 0..<count { indices[packet] = finish(keys + packet, hashes[packet], candidate: indices[packet]) }
    }
}

/// A bucket of the flow table: one cache line.
///
///      0  8 × UInt16  signatures, 0: slot is free; as two words
///     16  8 × UInt32  entry indices
///     48  UInt32      lock: 1 while a lane changes the bucket
///     52  UInt32      keys whose primary bucket this is that are in an alternate
struct FlowBucket {
    static let size = 64, slots = 8
    private static let ones: UInt64 = 0x0001_0001_0001_0001
    private static let tops: UInt64 = 0x8000_8000_8000_8000
    let base: UnsafeMutableRawPointer

    /// 16 bits of the hash that do not choose the bucket; never 0.
    @inline(__always) static func signature(_ hash: UInt64) -> UInt16 {
        let bits = UInt16(truncatingIfNeeded: hash &>> 48)
        return bits != 0 ? bits : 1
    }

    /// The top bit of each 16-bit part of the word that equals the signature. Above a true match a false one is possible; the comparison of keys sorts it out.
    @inline(__always) func matches(_ word: Int, _ signature: UInt16) -> UInt64 {
        let difference = base.acquire64(word &* 8) ^ (UInt64(signature) &* Self.ones)
        return (difference &- Self.ones) & ~difference & Self.tops
    }

    @inline(__always) func index(_ slot: Int) -> UInt32 { base.acquire32(16 &+ slot &* 4) }
    @inline(__always) var overflow: UInt32 { base.load32(52) }

    @inline(__always) func firstCandidate(_ signature: UInt16) -> UInt32 {
        let low = matches(0, signature)
        if low != 0 { return index(low.trailingZeroBitCount &>> 4) }
        let high = matches(1, signature)
        return high != 0 ? index(4 &+ high.trailingZeroBitCount &>> 4) : FlowTable.none
    }

    // MARK: With the lock held

    func tryLock() -> Bool { base.atomic32(48).pointee.compareExchange(expected: 0, desired: 1, ordering: .acquiring).exchanged }
    func unlock() { base.release32(48, 0) }

    /// The lowest free slot other than `taken`; -1: none.
    @inline(__always) func freeSlot(except taken: Int = -1) -> Int {
        // As in `matches`: what lies above a true match may be a false one, so slots are taken from the lowest on, and one that is taken counts as full.
        var low = base.load64(0), high = base.load64(8)
        if taken >= 4 { high |= 1 &<< UInt64((taken &- 4) &* 16) } else if taken >= 0 { low |= 1 &<< UInt64(taken &* 16) }
        low = (low &- Self.ones) & ~low & Self.tops
        if low != 0 { return low.trailingZeroBitCount &>> 4 }
        high = (high &- Self.ones) & ~high & Self.tops
        return high != 0 ? 4 &+ high.trailingZeroBitCount &>> 4 : -1
    }

    func signature(_ slot: Int) -> UInt16 {
        UInt16(truncatingIfNeeded: base.load64((slot &>> 2) &* 8) &>> UInt64((slot & 3) &* 16))
    }

    /// Index first: who sees the signature sees it. Released as well: who still sees an older signature that is the same sees an entry, not its beginnings.
    func set(_ slot: Int, signature: UInt16, index: UInt32) {
        base.release32(16 &+ slot &* 4, index)
        let word = (slot &>> 2) &* 8, shift = UInt64((slot & 3) &* 16)
        base.release64(word, base.load64(word) & ~(0xFFFF &<< shift) | UInt64(signature) &<< shift)
    }

    func slot(of index: UInt32) -> Int? {
        for slot in 0..<Self.slots where self.index(slot) == index && signature(slot) != 0 { return slot }
        return nil
    }

    func addOverflow(_ difference: Int32) { base.release32(52, base.load32(52) &+ UInt32(bitPattern: difference)) }
}
