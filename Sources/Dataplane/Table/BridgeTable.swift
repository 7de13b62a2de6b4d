import CPlatform
import Synchronization

/// Where a MAC address is, per VRF: (VRF, MAC) → next hop, label.
///
/// # What it is
/// A hash table of 64-octet buckets, each four times {key: 16 bits of VRF over 48 of MAC; value: next hop and label in one word}. A key may be in either of two
/// buckets; entries never move, so a reader that looks in both cannot miss one. A zero key is a free slot: no station has the address 00:00:00:00:00:00.
/// When both buckets are full, or three slots of four are in use, a table of twice the size is built and published, and the old one retired.
/// The hash is keyed with a secret of the process. Cookies, and where and when a learned address was seen (`BridgeTable+Learning`), are beside the buckets; what a VRF holds is kept as a list of keys, for ordered reading.
///
/// # Thread-safety
/// `lookup` and `sight`: any online worker, without locks. Everything else: the control thread.
/// A reader loads key, value and key again: a slot that was freed and given to another key between the first two loads is seen by the third.
final class BridgeTable: @unchecked Sendable {
    static let noNextHop = UInt32.max
    static let maximumVRF: UInt32 = 0xFFFF

    struct Value: Hashable, Sendable {
        var nextHop: UInt32
        /// MPLS label or VNI; `UInt32.max`: none.
        var label: UInt32
    }

    /// The memory of one size of the table: a header line with the bucket mask, the buckets, the cookies.
    struct Storage {
        static let header = 64, bucketSize = 64, slots = 4, besideSize = 24
        let base: UnsafeMutableRawPointer

        @inline(__always) var mask: Int { Int(truncatingIfNeeded: base.load64(0)) }
        @inline(__always) func slot(_ bucket: Int, _ slot: Int) -> UnsafeMutableRawPointer {
            base + (Self.header &+ bucket &* Self.bucketSize &+ slot &* 16)
        }
        /// Cookie, `Meta`, and the time a learned address was last seen.
        @inline(__always) func beside(_ bucket: Int, _ slot: Int) -> UnsafeMutableRawPointer {
            base + (Self.header &+ (mask &+ 1) &* Self.bucketSize &+ (bucket &* Self.slots &+ slot) &* Self.besideSize)
        }
        func cookie(_ bucket: Int, _ slot: Int) -> UnsafeMutableRawPointer { beside(bucket, slot) }
        static func size(buckets: Int) -> Int { header + buckets * (bucketSize + slots * besideSize) }
        var size: Int { Self.size(buckets: mask + 1) }
        static func make(buckets: Int) -> Storage {
            guard let base = vr_reserve(size(buckets: buckets)) else {
                preconditionFailure("cannot reserve memory for \(buckets * slots) bridge entries")
            }
            base.store64(0, UInt64(buckets - 1))
            return Storage(base: base)
        }
        func free() { vr_unreserve(base, size) }
    }

    /// A VRF's keys in order of arrival; some may be gone or listed twice. Exact: sorted, and all there.
    private struct Members {
        var macs: [UInt64] = []
        var count = 0
        var isExact = true
    }

    private let quiescence: Quiescence
    let capacity: Int
    private let published: UnsafeMutablePointer<Atomic<UInt64>>
    let reader: Reader
    private var members: [UInt32: Members] = [:]
    private(set) var count = 0

    /// `capacity`: the most entries; memory is taken as they come.
    init(quiescence: Quiescence, capacity: Int = 1 << 20) {
        self.quiescence = quiescence
        self.capacity = capacity
        published = .allocate(capacity: 1)
        published.initialize(to: Atomic(UInt64(UInt(bitPattern: Storage.make(buckets: 16).base))))
        reader = Reader(published: published, seed: randomSeed(), seed2: randomSeed() | 1)
    }

    deinit {
        storage.free()
        published.deinitialize(count: 1)
        published.deallocate()
    }

    var storage: Storage { reader.storage }
    private func hash(_ key: UInt64) -> UInt64 { reader.hash(key) }
    @inline(__always) static func key(_ vrf: UInt32, _ mac: UInt64) -> UInt64 { UInt64(vrf) &<< 48 | mac & 0xFFFF_FFFF_FFFF }
    @inline(__always) static func first(_ hash: UInt64, _ mask: Int) -> Int { Int(truncatingIfNeeded: hash) & mask }
    /// Never the first one.
    @inline(__always) static func second(_ hash: UInt64, _ mask: Int) -> Int {
        (Int(truncatingIfNeeded: hash) ^ (Int(truncatingIfNeeded: hash &>> 32) | 1)) & mask
    }

    // MARK: Lookup

    /// Lookups: what they need of the table, which never changes while it is there. Trivial, so that a worker may pass it around without counting references.
    struct Reader {
        fileprivate let published: UnsafeMutablePointer<Atomic<UInt64>>
        fileprivate let seed: UInt64, seed2: UInt64

        @inline(__always) var storage: Storage {
            guard let base = UnsafeMutableRawPointer(bitPattern: UInt(published.pointee.load(ordering: .acquiring))) else {
                preconditionFailure("bridge table without storage")
            }
            return Storage(base: base)
        }
        @inline(__always) func hash(_ key: UInt64) -> UInt64 { foldedMultiply(key ^ seed, seed2) }

        /// Nil: unknown. Complexity: one or two cache lines.
        @inline(__always) func lookup(vrf: UInt32, mac: UInt64) -> Value? {
            let key = BridgeTable.key(vrf, mac)
            guard vrf <= BridgeTable.maximumVRF, mac & 0xFFFF_FFFF_FFFF != 0, let value = find(storage, key, hash(key)) else { return nil }
            return Value(nextHop: UInt32(truncatingIfNeeded: value &>> 32), label: UInt32(truncatingIfNeeded: value))
        }

        /// `count` ≤ `VR_BURST` lookups, the buckets of all prefetched before the first is read; next hop `noNextHop`: unknown.
        @inline(__always) func lookup(
            vrfs: UnsafePointer<UInt32>, macs: UnsafePointer<UInt64>, nextHops: UnsafeMutablePointer<UInt32>, labels: UnsafeMutablePointer<UInt32>,
            count: Int
        ) {
            let storage = storage, mask = storage.mask
            withUnsafeTemporaryAllocation(of: UInt64.self, capacity: Int(VR_BURST)) { hashes in
                guard let hashes = hashes.baseAddress else { return }
                for packet in 0..<count {
                    let hash = hash(BridgeTable.key(vrfs[packet], macs[packet]))
                    hashes[packet] = hash
                    vr_prefetch(storage.slot(BridgeTable.first(hash, mask), 0))
                }
                for packet in 0..<count {
                    let mac = macs[packet], vrf = vrfs[packet]
                    var value = UInt64(BridgeTable.noNextHop) &<< 32 | UInt64(UInt32.max)
                    if vrf <= BridgeTable.maximumVRF, mac != 0, let found = find(storage, BridgeTable.key(vrf, mac), hashes[packet]) { value = found }
                    nextHops[packet] = UInt32(truncatingIfNeeded: value &>> 32)
                    labels[packet] = UInt32(truncatingIfNeeded: value)
                }
            }
        }

        @inline(__always) private func find(_ storage: Storage, _ key: UInt64, _ hash: UInt64) -> UInt64? {
            let mask = storage.mask, first = BridgeTable.first(hash, mask)
            return find(storage, first, key) ?? find(storage, BridgeTable.second(hash, mask), key)
        }

        @inline(__always) private func find(_ storage: Storage, _ bucket: Int, _ key: UInt64) -> UInt64? {
            var slot = storage.slot(bucket, 0)
            let end = slot + Storage.bucketSize
            repeat {
                if slot.acquire64(0) == key {
                    let value = slot.acquire64(8)
                    if slot.load64(0) == key { return value }
                }
                slot += 16
            } while slot != end
            return nil
        }
    }

    func lookup(vrf: UInt32, mac: UInt64) -> Value? { reader.lookup(vrf: vrf, mac: mac) }
    func lookup(
        vrfs: UnsafePointer<UInt32>, macs: UnsafePointer<UInt64>, nextHops: UnsafeMutablePointer<UInt32>, labels: UnsafeMutablePointer<UInt32>,
        count: Int
    ) {
        reader.lookup(vrfs: vrfs, macs: macs, nextHops: nextHops, labels: labels, count: count)
    }

    // MARK: Control thread

    /// Adds or replaces. False: the VRF id exceeds 65535, the MAC is zero, the next hop is `noNextHop`, or the table is full.
    func insert(vrf: UInt32, mac: UInt64, nextHop: UInt32, label: UInt32, cookie: UInt64) -> Bool {
        let mac = mac & 0xFFFF_FFFF_FFFF
        guard vrf <= Self.maximumVRF, mac != 0, nextHop != Self.noNextHop else { return false }
        let key = Self.key(vrf, mac), value = UInt64(nextHop) << 32 | UInt64(label)
        if let (bucket, slot) = locate(storage, key) {
            storage.cookie(bucket, slot).store64(0, cookie)
            storage.beside(bucket, slot).store64(8, 0)
            storage.slot(bucket, slot).release64(8, value)
            return true
        }
        guard count < capacity else { return false }
        if (count + 1) * 4 > (storage.mask + 1) * Storage.slots * 3 { grow() }
        while !Self.place(storage, key, hash(key), value, cookie) { grow() }
        count += 1
        note(vrf, mac)
        return true
    }

    /// False: there was none.
    func remove(vrf: UInt32, mac: UInt64) -> Bool {
        let mac = mac & 0xFFFF_FFFF_FFFF
        guard vrf <= Self.maximumVRF, mac != 0, let (bucket, slot) = locate(storage, Self.key(vrf, mac)) else { return false }
        storage.slot(bucket, slot).release64(0, 0)
        count -= 1
        members[vrf]?.count -= 1
        members[vrf]?.isExact = false
        if members[vrf]?.count == 0 { members[vrf] = nil }
        return true
    }

    /// Removes everything a VRF has.
    func removeAll(vrf: UInt32) {
        for mac in members[vrf]?.macs ?? [] { _ = remove(vrf: vrf, mac: mac) }
    }

    func entry(vrf: UInt32, mac: UInt64) -> (nextHop: UInt32, label: UInt32, cookie: UInt64)? {
        guard vrf <= Self.maximumVRF, mac & 0xFFFF_FFFF_FFFF != 0, let (bucket, slot) = locate(storage, Self.key(vrf, mac)) else { return nil }
        let value = storage.slot(bucket, slot).load64(8)
        return (UInt32(truncatingIfNeeded: value >> 32), UInt32(truncatingIfNeeded: value), storage.cookie(bucket, slot).load64(0))
    }

    /// Calls `body` for the VRF's entries after `mac` (nil: from the first), in order, until it returns false.
    /// Complexity: sorts the VRF's keys when they have changed since the last call, then O(log n) to the place.
    func forEach(vrf: UInt32, after mac: UInt64?, _ body: (UInt64, UInt32, UInt32, UInt64) -> Bool) {
        guard members[vrf] != nil else { return }
        tidy(vrf)
        guard let macs = members[vrf]?.macs else { return }
        var low = 0, high = macs.count
        if let mac {
            while low < high {
                let middle = (low + high) / 2
                if macs[middle] <= mac { low = middle + 1 } else { high = middle }
            }
        }
        for at in macs[low...] {
            guard let entry = entry(vrf: vrf, mac: at) else { continue }
            guard body(at, entry.nextHop, entry.label, entry.cookie) else { return }
        }
    }

    func count(vrf: UInt32) -> Int { members[vrf]?.count ?? 0 }
    var memoryBytes: Int { storage.size + members.values.reduce(0) { $0 + $1.macs.count * 8 } }

    private func note(_ vrf: UInt32, _ mac: UInt64) {
        members[vrf, default: Members()].count += 1
        if let last = members[vrf]?.macs.last, last >= mac { members[vrf]?.isExact = false }
        members[vrf]?.macs.append(mac)
        // Keys that came and went must not pile up.
        if let held = members[vrf], held.macs.count > 2 * held.count + 64 { tidy(vrf) }
    }

    /// Sorts a VRF's keys and drops those that are gone or listed twice.
    private func tidy(_ vrf: UInt32) {
        guard let held = members[vrf], !held.isExact else { return }
        var macs = held.macs.sorted()
        var kept = 0
        for mac in macs where (kept == 0 || macs[kept - 1] != mac) && locate(storage, Self.key(vrf, mac)) != nil {
            macs[kept] = mac
            kept += 1
        }
        macs.removeSubrange(kept...)
        members[vrf] = Members(macs: macs, count: kept, isExact: true)
    }

    func locate(_ storage: Storage, _ key: UInt64) -> (bucket: Int, slot: Int)? {
        let hash = hash(key), mask = storage.mask
        for bucket in [Self.first(hash, mask), Self.second(hash, mask)] {
            for slot in 0..<Storage.slots where storage.slot(bucket, slot).load64(0) == key { return (bucket, slot) }
        }
        return nil
    }

    /// Into the emptier of its two buckets; false: both are full.
    private static func place(_ storage: Storage, _ key: UInt64, _ hash: UInt64, _ value: UInt64, _ cookie: UInt64) -> Bool {
        let first = first(hash, storage.mask), second = second(hash, storage.mask)
        func used(_ bucket: Int) -> Int { (0..<Storage.slots).reduce(0) { $0 + (storage.slot(bucket, $1).load64(0) == 0 ? 0 : 1) } }
        let bucket = used(second) < used(first) ? second : first
        for index in 0..<Storage.slots where storage.slot(bucket, index).load64(0) == 0 {
            storage.cookie(bucket, index).store64(0, cookie)
            storage.beside(bucket, index).store64(8, 0)
            storage.slot(bucket, index).release64(8, value)
            storage.slot(bucket, index).release64(0, key)
            return true
        }
        return false
    }

    /// Publishes a copy with twice the buckets, or more if the keys will not fit.
    private func grow() {
        let old = storage
        var buckets = (old.mask + 1) * 2
        while true {
            let new = Storage.make(buckets: buckets)
            if copy(old, into: new) {
                published.pointee.store(UInt64(UInt(bitPattern: new.base)), ordering: .releasing)
                quiescence.retire { old.free() }
                return
            }
            new.free()
            buckets *= 2
        }
    }

    private func copy(_ old: Storage, into new: Storage) -> Bool {
        for bucket in 0...old.mask {
            for index in 0..<Storage.slots {
                let slot = old.slot(bucket, index), key = slot.load64(0)
                guard key != 0 else { continue }
                guard Self.place(new, key, hash(key), slot.load64(8), old.cookie(bucket, index).load64(0)) else { return false }
                if let (at, place) = locate(new, key) {
                    new.beside(at, place).store64(8, old.beside(bucket, index).load64(8))
                    new.beside(at, place).store64(16, old.beside(bucket, index).load64(16))
                }
            }
        }
        return true
    }
}
