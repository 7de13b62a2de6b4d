/// What a value of a packet (an address, a port) stands for: the value space cut into intervals, each with a number. Trivial: a worker copies it freely.
///
/// Where the intervals begin lies in one ascending array whose first element is 0, the numbers in another. Complexity of a lookup: log₂ of the number of intervals, without a branch
/// that depends on the value.
///
/// # Thread-safety
/// Immutable. Freed by who owns the memory it lies in, after quiescence.
struct IntervalMap<Key: FixedWidthInteger & UnsignedInteger> {
    let starts: UnsafeMutablePointer<Key>
    let values: UnsafeMutablePointer<UInt32>
    let count: Int

    /// `intervals` in ascending order of their starts, the first of which is 0.
    init(_ intervals: [(start: Key, value: UInt32)]) {
        count = max(intervals.count, 1)
        starts = .allocate(capacity: count)
        values = .allocate(capacity: count)
        starts.initialize(repeating: 0, count: count)
        values.initialize(repeating: 0, count: count)
        for (index, interval) in intervals.enumerated() {
            starts[index] = interval.start
            values[index] = interval.value
        }
    }

    func deallocate() {
        starts.deallocate()
        values.deallocate()
    }

    var memoryBytes: Int { count * (MemoryLayout<Key>.stride + 4) }

    @inline(__always) func lookup(_ key: Key) -> UInt32 {
        var base = 0, left = count
        while left > 1 {
            let half = left &>> 1
            base = starts[base &+ half] <= key ? base &+ half : base
            left &-= half
        }
        return values[base]
    }
}
