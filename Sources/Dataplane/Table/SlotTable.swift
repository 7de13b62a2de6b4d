/// A table from an id to a pointer to an immutable record: vifs, next hops. A change publishes a new record in the place of the old one, so a
/// reader sees either and never a mixture; the old record is freed after a grace period.
///
/// # Thread-safety
/// Readers: any online worker, `load` alone; the pointer is good until the worker quiesces. Writer and iteration: the control thread.
final class SlotTable<Record>: @unchecked Sendable {
    private let memory: ReservedMemory
    let reader: Reader
    private var slots: UnsafeMutableRawPointer { reader.slots }
    private let quiescence: Quiescence
    private var ids: IndexSet
    var capacity: Int { reader.capacity }

    /// Where the slots lie, which never changes: trivial, so that a worker may keep it at hand for a burst.
    struct Reader {
        fileprivate let slots: UnsafeMutableRawPointer
        fileprivate let capacity: Int

        /// The record, nil when there is none; any id is safe. Complexity: one load.
        @inline(__always) func load(_ id: UInt32) -> UnsafePointer<Record>? {
            guard Int(id) < capacity else { return nil }
            return UnsafePointer(bitPattern: UInt(slots.load64(Int(id) &* 8)))
        }
    }

    init(capacity: Int, quiescence: Quiescence) {
        self.quiescence = quiescence
        memory = ReservedMemory(size: max(capacity, 1) * 8)
        reader = Reader(slots: memory.base, capacity: capacity)
        ids = IndexSet(capacity: capacity)
    }

    deinit {
        var next = ids.first(from: 0)
        while let id = next {
            if let record = mutable(id) { Self.free(record) }
            next = ids.first(from: id &+ 1)
        }
    }

    /// The record, nil when there is none; any id is safe. Complexity: one load.
    @inline(__always) func load(_ id: UInt32) -> UnsafePointer<Record>? { reader.load(id) }

    private func mutable(_ id: UInt32) -> UnsafeMutablePointer<Record>? {
        UnsafeMutablePointer(bitPattern: UInt(slots.load64(Int(id) * 8)))
    }

    private static func free(_ record: UnsafeMutablePointer<Record>) {
        record.deinitialize(count: 1)
        record.deallocate()
    }

    /// Creates or replaces. False: the id is out of range.
    func publish(_ id: UInt32, _ record: Record) -> Bool {
        guard Int(id) < capacity else { return false }
        let old = mutable(id)
        let new = UnsafeMutablePointer<Record>.allocate(capacity: 1)
        new.initialize(to: record)
        slots.release64(Int(id) * 8, UInt64(UInt(bitPattern: new)))
        ids.insert(id)
        if let old { quiescence.retire { Self.free(old) } }
        return true
    }

    /// False: there was none.
    func remove(_ id: UInt32) -> Bool {
        guard Int(id) < capacity, let old = mutable(id) else { return false }
        slots.release64(Int(id) * 8, 0)
        ids.remove(id)
        quiescence.retire { Self.free(old) }
        return true
    }

    /// The smallest id ≥ `id` that has a record.
    func first(from id: UInt32) -> UInt32? { ids.first(from: id) }
    var count: Int { ids.count }
    var memoryBytes: Int { count * (8 + MemoryLayout<Record>.stride) + ids.memoryBytes }
}
