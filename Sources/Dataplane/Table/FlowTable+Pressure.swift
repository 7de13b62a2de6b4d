import Synchronization

/// A table that fills up: what is done before nobody finds room any more.
///
/// | entries in use | what happens |
/// |---|---|
/// | from 13/16 | flows of owners near or above their fair share go when nobody has answered them and they have been idle for a second |
/// | from 15/16 | owners above their share get no new flows; the last sixteenth is for the others |
/// | from 31/32 | flows of owners near or above it go when nobody has answered them, or after 10 s of idleness |
///
/// The fair share is max-min fair (`FlowQuotas.fairShare`): one workload that floods is alone above it, whatever the others have.
extension FlowTable {
    struct Pressure {
        /// 0: none.
        var level: UInt32 = 0
        /// Pairs.
        var share = Int.max
        /// Owners with more lose flows to make room. A little less than the share, so that who is at its share finds room for new flows in the place of its own old ones.
        var evictionShare: Int { share - share >> 4 }
    }

    var pressure: Pressure {
        let word = pressureWord.load(ordering: .relaxed)
        return word == 0 ? Pressure() : Pressure(level: UInt32(truncatingIfNeeded: word & 3), share: Int(word >> 2))
    }

    /// Looks how full the table is. By one lane, every 10 ms; in a small table before each burst of new flows, as it fills up within less.
    func updatePressure() {
        let used = count
        guard used >= capacity / 16 * 13 else { return pressureWord.store(0, ordering: .relaxed) }
        let level: UInt64 = used >= capacity / 32 * 31 ? 3 : used >= capacity / 16 * 15 ? 2 : 1
        let share = vifQuotas.fairShare(of: capacity / 32 * 15)
        pressureWord.store(UInt64(share) << 2 | level, ordering: .relaxed)
    }

    /// Whether an owner may not have another flow because the table is nearly full, and it has more of it than its share.
    @inline(__always) func isOverShare(_ owner: UInt32, pending: Int32 = 0) -> Bool {
        let word = pressureWord.load(ordering: .relaxed)
        return word & 2 != 0 && vifQuotas.count(owner) + Int(pending) >= Int(word >> 2)
    }
}
