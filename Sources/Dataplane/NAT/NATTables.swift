import Synchronization

/// The table of translations in force, and how it is replaced.
///
/// # Thread-safety
/// Workers `load`; the record is good until they quiesce. The control thread publishes.
final class NATTables: @unchecked Sendable {
    /// A `NATReader` of its own allocation; nil while nothing is translated.
    private let current = Atomic<UnsafeMutablePointer<NATReader>?>(nil)
    private let quiescence: Quiescence
    /// Of its hashes: one for all tables, so that a flow's backend does not change with the table.
    let seed = randomSeed()

    init(quiescence: Quiescence) { self.quiescence = quiescence }

    deinit { if let last = current.load(ordering: .relaxed) { Self.free(last) } }

    @inline(__always) func load() -> UnsafePointer<NATReader>? { UnsafePointer(current.load(ordering: .acquiring)) }

    /// Nil: there is nothing to translate any more.
    func publish(_ table: NATTable?) {
        var new: UnsafeMutablePointer<NATReader>?
        if let table {
            new = .allocate(capacity: 1)
            new?.initialize(to: NATReader(table))
        }
        if let old = current.exchange(new, ordering: .acquiringAndReleasing) {
            nonisolated(unsafe) let retired = old
            quiescence.retire { Self.free(retired) }
        }
    }

    private static func free(_ reader: UnsafeMutablePointer<NATReader>) {
        reader.pointee.deallocate()
        reader.deinitialize(count: 1)
        reader.deallocate()
    }

    var memoryBytes: Int { load()?.pointee.memoryBytes ?? 0 }
}
