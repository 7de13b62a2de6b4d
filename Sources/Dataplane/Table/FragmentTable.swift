import CPlatform
import Synchronization

/// The datagrams of which fragments are passing: what their first fragments said of ports, and which octets have come.
///
/// One table per worker, not one for all: NICs, and the software spreading, place all pieces of a datagram by its addresses alone, because only the first has ports, so
/// they meet in one worker; and what no other core touches needs no lock and no grace period. A fragment that should come by another worker all the same finds no entry there,
/// and is treated as one that came before the first.
///
/// Entries are found by VRF, addresses, identification and, for IPv4, protocol (RFC 791 section 3.2, RFC 8200 section 4.5), under a keyed hash, in sets of 8. An entry lives for 2 s
/// from its first packet, or until its datagram is complete; a dead one is taken over by the next. So a flood that never completes anything holds the table for 2 s at a time, and only
/// what one vif may hold of it: half. A bitmap per entry, a bit for 8 octets, tells which have come: overlaps are seen whatever the order.
///
/// # Thread-safety
/// Owned by one worker; `inUse` may be read by any thread, as a number of the moment.
final class FragmentTable: @unchecked Sendable {
    struct Key {
        var sourceHigh: UInt64, sourceLow: UInt64, destinationHigh: UInt64, destinationLow: UInt64
        var identification: UInt32
        var vrf: UInt32
        /// IPv4: protocol | 4 << 8; IPv6: 6 << 8.
        var kind: UInt16
    }

    /// 72 octets of what is known of a datagram.
    struct Entry {
        var key: Key
        var state: State
        /// Of the IP packet's protocol field.
        var proto: UInt8
        var vif: UInt32
        /// Milliseconds, wrapping.
        var created: UInt32
        /// Source and destination port as they lie in a flow's key, source in the high half; valid with `hasPorts`.
        var ports: UInt32
        /// Octets that have come, and that there are (0: the last fragment has not come).
        var seen: UInt32
        var total: UInt32
    }

    struct State: OptionSet {
        let rawValue: UInt8
        static let used = State(rawValue: 1 << 0)
        /// The first fragment has come.
        static let hasFirst = State(rawValue: 1 << 1)
        static let hasPorts = State(rawValue: 1 << 2)
        /// Pieces overlapped: what is left of the datagram is dropped (RFC 5722 section 4).
        static let refused = State(rawValue: 1 << 3)
        /// Later pieces wait for the first.
        static let holds = State(rawValue: 1 << 4)
    }

    enum Outcome: Equatable {
        case fine
        /// Octets that had come already, and the same ones: a duplicate, dropped alone.
        case duplicate
        /// Overlaps with others, or contradicts the end that was seen: the datagram is refused.
        case overlap
    }

    static let lifetime: UInt32 = 2000
    static let ways = 8
    private static let bitmapSize = 1024
    private let entries: UnsafeMutablePointer<Entry>
    private let bitmaps: ReservedMemory
    private let memory: ReservedMemory
    private let setMask: Int
    private let seed = randomSeed()
    /// Entries of each vif.
    private let perVif: UnsafeMutablePointer<UInt32>
    private let vifCapacity: Int
    private var lastSweep: UInt32 = 0
    let inUse = Atomic<Int>(0)
    let capacity: Int

    /// `capacity` is rounded up to a power of two, at least 16.
    init(capacity: Int, vifCapacity: Int) {
        self.vifCapacity = vifCapacity
        perVif = .allocate(capacity: vifCapacity)
        perVif.initialize(repeating: 0, count: vifCapacity)
        var size = 16
        while size < capacity { size *= 2 }
        self.capacity = size
        setMask = size / FragmentTable.ways - 1
        memory = ReservedMemory(size: size * MemoryLayout<Entry>.stride)
        bitmaps = ReservedMemory(size: size * FragmentTable.bitmapSize)
        // All-zero memory is an array of unused entries.
        entries = memory.base.bindMemory(to: Entry.self, capacity: size)
    }

    deinit { perVif.deallocate() }

    var memoryBytes: Int { inUse.load(ordering: .relaxed) * (MemoryLayout<Entry>.stride + FragmentTable.bitmapSize) }

    /// The datagram's entry, made when there is none; nil when its set, or its vif's share of the table, is full.
    func entry(_ key: Key, proto: UInt8, vif: UInt32, now: UInt32) -> UnsafeMutablePointer<Entry>? {
        let set = entries + (hash(key) & setMask) &* FragmentTable.ways
        var free: UnsafeMutablePointer<Entry>?
        for way in 0..<FragmentTable.ways {
            let entry = set + way
            let isLive = entry.pointee.state.contains(.used) && now &- entry.pointee.created < FragmentTable.lifetime
            if isLive, FragmentTable.isSame(entry.pointee.key, key) { return entry }
            if !isLive, free == nil { free = entry }
        }
        guard let entry = free else { return nil }
        if entry.pointee.state.contains(.used) { release(entry) }
        guard Int(vif) < vifCapacity else { return nil }
        if Int(perVif[Int(vif)]) >= capacity / 2 {
            // Once in a while the dead are counted out.
            guard now &- lastSweep > 100 else { return nil }
            sweep(now)
            guard Int(perVif[Int(vif)]) < capacity / 2 else { return nil }
        }
        count(vif, 1)
        entry.initialize(to: Entry(key: key, state: .used, proto: proto, vif: vif, created: now, ports: 0, seen: 0, total: 0))
        bitmap(entry).initializeMemory(as: UInt8.self, repeating: 0, count: FragmentTable.bitmapSize)
        return entry
    }

    /// Marks `length` octets from `offset` (a multiple of 8, and all in all at most 65535) as come; `isLast`: they end the datagram.
    func mark(_ entry: UnsafeMutablePointer<Entry>, offset: Int, length: Int, isLast: Bool) -> Outcome {
        let end = offset &+ length, total = Int(entry.pointee.total)
        let first = offset &>> 3, last = (end &+ 7) &>> 3
        let words = bitmap(entry).assumingMemoryBound(to: UInt64.self)
        var overlapping = 0
        FragmentTable.forEachWord(first, last) { word, mask in overlapping &+= (words[word] & mask).nonzeroBitCount }
        if overlapping > 0 { return overlapping == last &- first && (!isLast || total == end) ? .duplicate : refuse(entry) }
        if total != 0, isLast || end > total { return refuse(entry) }
        if isLast {
            // Nothing may have come from behind the end.
            if Int(entry.pointee.seen) > offset, highest(words) > last { return refuse(entry) }
            entry.pointee.total = UInt32(truncatingIfNeeded: end)
        }
        FragmentTable.forEachWord(first, last) { word, mask in words[word] |= mask }
        entry.pointee.seen &+= UInt32(truncatingIfNeeded: length)
        return .fine
    }

    /// Every octet has come: nothing more is to be expected.
    func isComplete(_ entry: UnsafeMutablePointer<Entry>) -> Bool {
        entry.pointee.total != 0 && entry.pointee.seen == entry.pointee.total && entry.pointee.state.contains(.hasFirst)
    }

    func release(_ entry: UnsafeMutablePointer<Entry>) {
        guard entry.pointee.state.contains(.used) else { return }
        entry.pointee.state = []
        count(entry.pointee.vif, -1)
    }

    private func count(_ vif: UInt32, _ difference: Int) {
        perVif[Int(vif)] = UInt32(truncatingIfNeeded: Int(perVif[Int(vif)]) &+ difference)
        inUse.store(inUse.load(ordering: .relaxed) &+ difference, ordering: .relaxed)
    }

    private func refuse(_ entry: UnsafeMutablePointer<Entry>) -> Outcome {
        entry.pointee.state.insert(.refused)
        return .overlap
    }

    private func sweep(_ now: UInt32) {
        lastSweep = now
        for index in 0..<capacity where entries[index].state.contains(.used) && now &- entries[index].created >= FragmentTable.lifetime {
            release(entries + index)
        }
    }

    private func bitmap(_ entry: UnsafeMutablePointer<Entry>) -> UnsafeMutableRawPointer {
        bitmaps.base + (entry - entries) &* FragmentTable.bitmapSize
    }

    /// One more than the number of the highest bit that is set.
    private func highest(_ words: UnsafeMutablePointer<UInt64>) -> Int {
        for word in stride(from: FragmentTable.bitmapSize / 8 - 1, through: 0, by: -1) where words[word] != 0 {
            return word &* 64 &+ 64 &- words[word].leadingZeroBitCount
        }
        return 0
    }

    /// The words that hold bits `first` ..< `last`, each with a mask of them. Both are at most 8192.
    @inline(__always) private static func forEachWord(_ first: Int, _ last: Int, _ body: (Int, UInt64) -> Void) {
        var bit = first
        while bit < last {
            let word = bit &>> 6, low = bit & 63
            let count = min(64 &- low, last &- bit)
            body(word, (count == 64 ? UInt64.max : (1 &<< UInt64(count)) &- 1) &<< UInt64(low))
            bit &+= count
        }
    }

    private func hash(_ key: Key) -> Int {
        let a = foldedMultiply(key.sourceHigh ^ seed, key.sourceLow ^ UInt64(key.identification) &<< 32 ^ UInt64(key.vrf))
        return Int(truncatingIfNeeded: foldedMultiply(a ^ key.destinationHigh, key.destinationLow ^ UInt64(key.kind) &<< 48 ^ ~seed))
    }

    static func isSame(_ a: Key, _ b: Key) -> Bool {
        a.identification == b.identification && a.vrf == b.vrf && a.kind == b.kind && a.sourceLow == b.sourceLow
            && a.destinationLow == b.destinationLow
            && a.sourceHigh == b.sourceHigh && a.destinationHigh == b.destinationHigh
    }
}
