import CPlatform
import NetTypes
import Synchronization

/// Which sub-interface a tagged frame belongs to: (parent vif, tags) → vif.
///
/// # What it is
/// A hash table that is never changed: a change builds the next one and publishes it. There are thousands of sub-interfaces at most and they change
/// seldom, so the copy is cheap and a lookup has no races to think of.
///
/// # Thread-safety
/// `reader`: any online worker. `set`: the control thread. The old table is freed after a grace period.
final class VLANTable: @unchecked Sendable {
    static let none = UInt32.max

    /// The tags of a frame as one number: the outer tag's kind, its VLAN id, and the inner one's (0: there is one tag only).
    struct Tags: Hashable {
        let rawValue: UInt32
        init(isService: Bool, outer: UInt16, inner: UInt16) {
            rawValue = (isService ? 1 << 24 : 0) | UInt32(outer & 0xFFF) << 12 | UInt32(inner & 0xFFF)
        }
        var isService: Bool { rawValue >> 24 != 0 }
        var outer: UInt16 { UInt16(truncatingIfNeeded: rawValue >> 12 & 0xFFF) }
        var inner: UInt16 { UInt16(truncatingIfNeeded: rawValue & 0xFFF) }
    }

    fileprivate struct Slot {
        /// Parent over tags; `free` when there is none.
        var key: UInt64
        var vif: UInt32
        static let free = UInt64.max
    }

    private let quiescence: Quiescence
    /// What workers look up with.
    let reader: Reader
    private var entries: [UInt64: UInt32] = [:]
    /// How many sub-interfaces each parent has.
    private var children: [UInt32: Int] = [:]

    init(quiescence: Quiescence) {
        self.quiescence = quiescence
        let published = UnsafeMutablePointer<Atomic<UInt>>.allocate(capacity: 1)
        published.initialize(to: Atomic(UInt(bitPattern: Self.build([:]))))
        reader = Reader(published: published)
    }

    deinit {
        reader.table?.deallocate()
        reader.published.deinitialize(count: 1)
        reader.published.deallocate()
    }

    private static func key(_ parent: UInt32, _ tags: Tags) -> UInt64 { UInt64(parent) << 32 | UInt64(tags.rawValue) }
    private static func hash(_ key: UInt64) -> Int { Int(truncatingIfNeeded: foldedMultiply(key ^ 0x9E37_79B9_7F4A_7C15, 0xC2B2_AE3D_27D4_EB4F)) }

    /// Where the table in force is said, which never changes: trivial, so that a lookup counts no references.
    struct Reader {
        fileprivate let published: UnsafeMutablePointer<Atomic<UInt>>
        fileprivate var table: UnsafeMutablePointer<Slot>? { UnsafeMutablePointer(bitPattern: published.pointee.load(ordering: .acquiring)) }

        /// The sub-interface, or `none`. Complexity: one or two cache lines.
        func lookup(parent: UInt32, _ tags: Tags) -> UInt32 {
            guard let table else { return VLANTable.none }
            // The first slot is a header: its vif is the mask.
            let mask = Int(table[0].vif), key = VLANTable.key(parent, tags)
            var at = VLANTable.hash(key) & mask
            while table[1 &+ at].key != Slot.free {
                if table[1 &+ at].key == key { return table[1 &+ at].vif }
                at = (at &+ 1) & mask
            }
            return VLANTable.none
        }
    }

    // MARK: Control thread

    /// Who has these tags on this parent.
    func owner(parent: UInt32, _ tags: Tags) -> UInt32? { entries[Self.key(parent, tags)] }

    /// Takes `old` out and puts `new` in, in one step for the workers.
    func set(vif: UInt32, old: (parent: UInt32, tags: Tags)?, new: (parent: UInt32, tags: Tags)?) {
        if let old, let new, old.parent == new.parent, old.tags == new.tags { return }
        if let old {
            entries[Self.key(old.parent, old.tags)] = nil
            let left = (children[old.parent] ?? 1) - 1
            children[old.parent] = left == 0 ? nil : left
        }
        if let new {
            entries[Self.key(new.parent, new.tags)] = vif
            children[new.parent, default: 0] += 1
        }
        nonisolated(unsafe) let before = reader.table
        reader.published.pointee.store(UInt(bitPattern: Self.build(entries)), ordering: .releasing)
        quiescence.retire { before?.deallocate() }
    }

    var count: Int { entries.count }
    /// It has sub-interfaces.
    func isParent(_ vif: UInt32) -> Bool { children[vif] != nil }

    /// At most half full, so that every probe ends.
    private static func build(_ entries: [UInt64: UInt32]) -> UnsafeMutablePointer<Slot> {
        var size = 8
        while size < entries.count * 2 { size *= 2 }
        let table = UnsafeMutablePointer<Slot>.allocate(capacity: size + 1)
        table.initialize(repeating: Slot(key: Slot.free, vif: 0), count: size + 1)
        table[0].vif = UInt32(size - 1)
        for (key, vif) in entries {
            var at = hash(key) & (size - 1)
            while table[1 + at].key != Slot.free { at = (at + 1) & (size - 1) }
            table[1 + at] = Slot(key: key, vif: vif)
        }
        return table
    }
}
