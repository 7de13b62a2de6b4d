/// How many objects name each next hop: a number per id, counted up and down by every route that comes and goes.
///
/// # Thread-safety
/// Under the router's lock.
final class ReferenceCounts: @unchecked Sendable {
    private let memory: ReservedMemory
    private let counts: UnsafeMutablePointer<UInt32>
    let capacity: Int

    /// Ids below `capacity`. Memory is touched as ids are used.
    init(capacity: Int) {
        self.capacity = max(capacity, 1)
        memory = ReservedMemory(size: self.capacity * 4)
        counts = memory.base.assumingMemoryBound(to: UInt32.self)
    }

    subscript(id: UInt32) -> Int { Int(id) < capacity ? Int(counts[Int(id)]) : 0 }
    func increment(_ id: UInt32) { if Int(id) < capacity { counts[Int(id)] &+= 1 } }
    /// At 0 it stays there.
    func decrement(_ id: UInt32) { if Int(id) < capacity, counts[Int(id)] > 0 { counts[Int(id)] &-= 1 } }
    func clear(_ id: UInt32) { if Int(id) < capacity { counts[Int(id)] = 0 } }
}
