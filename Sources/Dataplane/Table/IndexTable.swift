/// A flat table from a small number to a next hop: MPLS label (2^20) and VNI (2^24). One array of next-hop ids plus one, so that the zeroes
/// of untouched memory mean *none*: a table of every VNI costs only the pages in use. A lookup is one load.
///
/// # Thread-safety
/// Readers: any thread, `lookup` alone. Writer and iteration: the control thread. An entry is one word, so nothing is ever retired.
final class IndexTable: @unchecked Sendable {
    static let none = UInt32.max
    private let memory: ReservedMemory
    /// The memory's first octet, which never changes: readers need not ask its owner.
    private let ids: UnsafeMutableRawPointer
    private let cookies: ReservedMemory
    private var keys: IndexSet
    let capacity: Int

    init(capacity: Int) {
        self.capacity = capacity
        memory = ReservedMemory(size: max(capacity, 1) * 4)
        ids = memory.base
        cookies = ReservedMemory(size: max(capacity, 1) * 8)
        keys = IndexSet(capacity: capacity)
    }

    /// The next-hop id, or `none`; any key is safe. Complexity: one load.
    @inline(__always) func lookup(_ key: UInt32) -> UInt32 {
        guard Int(key) < capacity else { return Self.none }
        return ids.load32(Int(key) &* 4) &- 1
    }

    /// False: the key is out of range, or the next hop is `none`.
    func set(_ key: UInt32, nextHop: UInt32, cookie: UInt64) -> Bool {
        guard Int(key) < capacity, nextHop != Self.none else { return false }
        cookies.base.store64(Int(key) * 8, cookie)
        ids.release32(Int(key) * 4, nextHop &+ 1)
        keys.insert(key)
        return true
    }

    /// False: it was not set.
    func remove(_ key: UInt32) -> Bool {
        guard Int(key) < capacity, ids.load32(Int(key) * 4) != 0 else { return false }
        ids.release32(Int(key) * 4, 0)
        cookies.base.store64(Int(key) * 8, 0)
        keys.remove(key)
        return true
    }

    /// The cookie it was set with; 0 when it is not set.
    func cookie(_ key: UInt32) -> UInt64 { Int(key) < capacity ? cookies.base.load64(Int(key) * 8) : 0 }

    /// The smallest key ≥ `key` that is set.
    func first(from key: UInt32) -> UInt32? { keys.first(from: key) }
    var count: Int { keys.count }
    /// What the entries take, pages in use not rounded up.
    var memoryBytes: Int { count * 12 + keys.memoryBytes }
}

/// A set of small numbers that is walked in order without touching what is not there: a bitmap under bitmaps, 64 to one. Control thread only.
struct IndexSet: ~Copyable {
    private let words: ReservedMemory
    /// Index of the first word of each level; level 0 has one bit per number.
    private let starts: [Int]
    private let capacity: Int
    private(set) var count = 0

    init(capacity: Int) {
        self.capacity = max(capacity, 1)
        var starts: [Int] = [], at = 0, size = self.capacity
        repeat {
            size = (size + 63) / 64
            starts.append(at)
            at += size
        } while size > 1
        self.starts = starts
        words = ReservedMemory(size: at * 8)
    }

    private func word(_ level: Int, _ index: Int) -> UnsafeMutablePointer<UInt64> {
        (words.base + (starts[level] + index) * 8).assumingMemoryBound(to: UInt64.self)
    }

    func contains(_ value: UInt32) -> Bool { Int(value) < capacity && word(0, Int(value) >> 6).pointee >> UInt64(value & 63) & 1 == 1 }

    mutating func insert(_ value: UInt32) {
        guard Int(value) < capacity, !contains(value) else { return }
        count += 1
        var at = Int(value)
        for level in starts.indices {
            word(level, at >> 6).pointee |= 1 << UInt64(at & 63)
            at >>= 6
        }
    }

    mutating func remove(_ value: UInt32) {
        guard contains(value) else { return }
        count -= 1
        var at = Int(value)
        for level in starts.indices {
            let word = word(level, at >> 6)
            word.pointee &= ~(1 << UInt64(at & 63))
            if word.pointee != 0 { return }
            at >>= 6
        }
    }

    /// The smallest member ≥ `value`. Complexity: one word per level up and one per level down.
    func first(from value: UInt32) -> UInt32? {
        guard Int(value) < capacity else { return nil }
        var at = Int(value), level = 0
        // Up: the first level whose word has a bit at or after the position …
        while true {
            let size = level + 1 < starts.count ? starts[level + 1] - starts[level] : 1
            if at >> 6 < size {
                let rest = word(level, at >> 6).pointee & (~0 << UInt64(at & 63))
                if rest != 0 {
                    at = at & ~63 | rest.trailingZeroBitCount
                    break
                }
            }
            at = at >> 6 + 1
            level += 1
            if level == starts.count { return nil }
        }
        // … and down to the smallest number under it.
        while level > 0 {
            level -= 1
            at = at << 6 | word(level, at).pointee.trailingZeroBitCount
        }
        return UInt32(at)
    }

    /// An upper bound: one word of each level per member.
    var memoryBytes: Int { count * starts.count * 8 }
}
