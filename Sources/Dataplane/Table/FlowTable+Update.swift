import CPlatform
import Synchronization

// Insertion, removal, ageing, reading.
extension FlowTable {
    /// Offset of `FlowEntry.life`.
    static let lifeOffset = 100

    /// Buckets held by one update: at most the primary and both alternates of two keys. Taken by try-lock only.
    private struct Locks {
        private var held: SIMD8<Int32> = .init(repeating: -1)
        private var count = 0

        mutating func take(_ bucket: Int, of table: FlowTable) -> Bool {
            let name = Int32(truncatingIfNeeded: bucket)
            for index in 0..<count where held[index] == name { return true }
            guard table.bucket(bucket).tryLock() else { return false }
            held[count] = name
            count &+= 1
            return true
        }

        func releaseAll(of table: FlowTable) {
            for index in 0..<count { table.bucket(Int(held[index])).unlock() }
        }
    }

    private struct Place {
        var bucket: Int
        var slot: Int
        var status: Status
    }

    /// Makes a flow: both entries, or, when one key serves both directions, the one. Bounded: waits for nobody.
    func insertPair(lane: Int, forward: UnsafePointer<FlowKey>, reverse: UnsafePointer<FlowKey>, _ template: Template) -> Insertion {
        let forwardHash = hash(forward), reverseHash = hash(reverse)
        // Both are likely misses: let them overlap with each other and with what follows.
        vr_prefetch_write(bucket(primary(forwardHash)).base)
        vr_prefetch_write(bucket(primary(reverseHash)).base)
        let isSelfReverse = forward.pointee == reverse.pointee
        let index = pool.take(lane)
        guard index != Self.none else {
            pool.countFull(lane)
            return Insertion(status: .full)
        }
        let reverseIndex = isSelfReverse ? index : pool.take(lane)
        guard reverseIndex != Self.none else {
            pool.give(lane, index)
            pool.countFull(lane)
            return Insertion(status: .full)
        }

        var locks = Locks()
        let result = place(
            &locks, forward, forwardHash, reverse, reverseHash, isSelfReverse: isSelfReverse, index: index, reverseIndex: reverseIndex, template)
        locks.releaseAll(of: self)
        switch result.status {
        case .inserted:
            pool.countInserted(lane, isSelfReverse ? 1 : 2)
            return result
        case .full: pool.countFull(lane)
        case .busy: pool.countBusy(lane)
        case .exists, .conflict: break
        }
        pool.give(lane, index)
        if !isSelfReverse { pool.give(lane, reverseIndex) }
        return result
    }

    private func place(
        _ locks: inout Locks, _ forward: UnsafePointer<FlowKey>, _ forwardHash: UInt64, _ reverse: UnsafePointer<FlowKey>,
        _ reverseHash: UInt64, isSelfReverse: Bool, index: UInt32, reverseIndex: UInt32, _ template: Template
    ) -> Insertion {
        // Whoever inserts a key holds its primary bucket, so what is not found now is not being inserted by another.
        let first = min(primary(forwardHash), primary(reverseHash)), second = max(primary(forwardHash), primary(reverseHash))
        guard locks.take(first, of: self), locks.take(second, of: self) else { return Insertion(status: .busy) }
        let existing = lookup(forward, hash: forwardHash)
        if existing != Self.none { return Insertion(status: .exists, index: existing, reverse: entry(existing).reverse) }
        let other = isSelfReverse ? Self.none : lookup(reverse, hash: reverseHash)
        if other != Self.none { return Insertion(status: .conflict, index: other, reverse: entry(other).reverse) }

        let forwardPlace = findSlot(&locks, forwardHash, except: nil)
        guard forwardPlace.status == .inserted else { return Insertion(status: forwardPlace.status) }
        var reversePlace = forwardPlace
        if !isSelfReverse {
            reversePlace = findSlot(&locks, reverseHash, except: forwardPlace)
            guard reversePlace.status == .inserted else { return Insertion(status: reversePlace.status) }
            fill(reverseIndex, reverse, reverseHash, template, other: forward, reverse: index, isForward: false)
        }
        fill(index, forward, forwardHash, template, other: reverse, reverse: reverseIndex, isForward: true)
        if !isSelfReverse { publish(reversePlace, reverseHash, reverseIndex) }
        publish(forwardPlace, forwardHash, index)
        return Insertion(status: .inserted, index: index, reverse: reverseIndex)
    }

    /// A free slot for a key whose primary bucket is held; takes the lock of an alternate when the primary is full.
    private func findSlot(_ locks: inout Locks, _ hash: UInt64, except taken: Place?) -> Place {
        let primary = primary(hash), alternate = alternate(hash)
        var candidate = primary
        for attempt in 0..<3 {
            guard locks.take(candidate, of: self) else { return Place(bucket: 0, slot: 0, status: .busy) }
            if let slot = bucket(candidate).freeSlot(except: taken?.bucket == candidate ? taken?.slot ?? -1 : -1) {
                return Place(bucket: candidate, slot: slot, status: .inserted)
            }
            candidate = attempt == 0 ? alternate : alternate ^ 1
        }
        return Place(bucket: 0, slot: 0, status: .full)
    }

    private func fill(
        _ index: UInt32, _ key: UnsafePointer<FlowKey>, _ hash: UInt64, _ template: Template, other: UnsafePointer<FlowKey>, reverse: UInt32,
        isForward: Bool
    ) {
        let entry = entry(index)
        let generation = entry.generation &+ 1
        entry.begin(key)
        entry.action = template.action
        if template.action == FlowAction.nat.rawValue { entry.translation = FlowRewrite(key.pointee, becomes: other.pointee.reversed) }
        var flags: FlowEntry.Flags = isForward ? .forward : []
        if template.isProgrammed { flags.insert(.programmed) }
        if template.action == FlowAction.nat.rawValue { flags.insert(.translates) }
        entry.flags = flags
        entry.dropReason = template.dropReason
        // 49152–65535, the dynamic ports (RFC 7348 section 5, RFC 7510 section 3).
        entry.pointee.udpSourcePort = 0xC000 | UInt16(truncatingIfNeeded: hash &>> 32)
        entry.pointee.generation = generation
        entry.qosMap = 0
        entry.ingressVif = isForward ? template.ingressVif : template.egressVif
        entry.lastSeen = template.now
        entry.pointee.created = template.now
        entry.reverse = reverse
        entry.cookie = template.cookie
        UnsafeMutableRawPointer(entry).release32(Self.lifeOffset, Life.live)
    }

    private func publish(_ place: Place, _ hash: UInt64, _ index: UInt32) {
        let primary = primary(hash)
        // Before the key can be found elsewhere, its primary bucket says so.
        if place.bucket != primary { bucket(primary).addOverflow(1) }
        bucket(place.bucket).set(place.slot, signature: FlowBucket.signature(hash), index: index)
    }

    // MARK: Removal

    /// Removes a flow, by either of its entries. False: busy, or already gone; the control thread tries again while `isLive`.
    ///
    /// A caller that is not an online worker passes the generation it read with the index, so that it cannot remove a flow that has taken its place since.
    func remove(lane: Int, index: UInt32, generation: UInt8? = nil) -> Bool {
        guard index != Self.none, Int(index) <= capacity else { return false }
        let other = entry(index).reverse
        guard other != Self.none, Int(other) <= capacity else { return false }
        let leader = entry(index).isForward ? index : other
        // One remover per flow.
        guard life(leader).pointee.compareExchange(expected: Life.live, desired: Life.dying, ordering: .acquiringAndReleasing).exchanged else {
            return false
        }
        if let generation, entry(index).generation != generation {
            life(leader).pointee.store(Life.live, ordering: .releasing)
            return false
        }
        let follower = entry(leader).reverse
        var locks = Locks()
        guard let first = locate(&locks, leader), let second = follower == leader ? first : locate(&locks, follower) else {
            locks.releaseAll(of: self)
            life(leader).pointee.store(Life.live, ordering: .releasing)
            pool.countBusy(lane)
            return false
        }
        unpublish(first.place, first.primary)
        if follower != leader {
            unpublish(second.place, second.primary)
            life(follower).pointee.store(Life.dying, ordering: .releasing)
            pool.retire(lane, follower)
        }
        locks.releaseAll(of: self)
        pool.retire(lane, leader)
        pool.countRemoved(lane, follower == leader ? 1 : 2)
        return true
    }

    /// Where an entry is, with its primary bucket and the one it is in held; nil: busy.
    private func locate(_ locks: inout Locks, _ index: UInt32) -> (place: Place, primary: Int)? {
        var key = entry(index).pointee.key
        let hash = hash(&key)
        let primary = primary(hash), alternate = alternate(hash)
        var candidate = primary
        for attempt in 0..<3 {
            if attempt > 0 { candidate = attempt == 1 ? alternate : alternate ^ 1 }
            guard bucket(candidate).slot(of: index) != nil else { continue }
            guard locks.take(primary, of: self), locks.take(candidate, of: self), let slot = bucket(candidate).slot(of: index) else { return nil }
            return (Place(bucket: candidate, slot: slot, status: .inserted), primary)
        }
        return nil
    }

    private func unpublish(_ place: Place, _ primary: Int) {
        bucket(place.bucket).set(place.slot, signature: 0, index: Self.none)
        if place.bucket != primary { bucket(primary).addOverflow(-1) }
    }

    // MARK: Ageing

    /// Examines at most `budget` entries of the lane's slice and removes the flows that are due; also recycles what the lane removed
    /// before. Returns the number of flows removed. `now` in milliseconds. Called by each worker once per loop; the control lane has no slice.
    func age(lane: Int, now: UInt32, budget: Int) -> Int {
        pool.collect(lane)
        let slices = max(laneCount - 1, 1)
        let end = pool.end
        guard lane < slices, end > 1 else { return 0 }
        var index = pool.cursor(lane), left = budget, removed = 0
        // Slices are chunks of 64 entries dealt out in turn.
        while left > 0 {
            if index >= end {
                // A full round is enough for one call.
                index = 1
                break
            }
            if (Int(index) >> 6) % slices != lane {
                index = (index | 63) &+ 1
                left &-= 1
                continue
            }
            if isDue(index, now), remove(lane: lane, index: index) { removed &+= 1 }
            index &+= 1
            left &-= 1
        }
        pool.setCursor(lane, index)
        return removed
    }

    /// Only the forward entry speaks for a flow.
    @inline(__always) private func isDue(_ index: UInt32, _ now: UInt32) -> Bool {
        let entry = entry(index)
        guard life(index).pointee.load(ordering: .acquiring) == Life.live, entry.isForward else { return false }
        let reverse = self.entry(entry.reverse)
        // Another worker's clock may be ahead of ours.
        let idle = min(max(0, Int32(bitPattern: now &- entry.lastSeen)), max(0, Int32(bitPattern: now &- reverse.lastSeen)))
        return idle >= Int32(clamping: timeout(entry, reverse))
    }

    private func timeout(_ entry: UnsafeMutablePointer<FlowEntry>, _ reverse: UnsafeMutablePointer<FlowEntry>) -> UInt32 {
        if entry.action == FlowTable.dropAction { return timeouts.dropped }
        guard entry.pointee.proto == 6 else { return timeouts.idle }
        if FlowTCP.isClosed(entry.tcpState, reverse.tcpState) { return timeouts.closed }
        return FlowTCP.isOpening(entry.tcpState, reverse.tcpState) ? timeouts.opening : timeouts.idle
    }

    /// `FlowAction.drop.rawValue`.
    static let dropAction: UInt8 = 1

    // MARK: Reading

    @inline(__always) private func life(_ index: UInt32) -> UnsafeMutablePointer<Atomic<UInt32>> {
        UnsafeMutableRawPointer(entry(index)).atomic32(Self.lifeOffset)
    }

    func isLive(_ index: UInt32) -> Bool {
        index != Self.none && Int(index) <= capacity && life(index).pointee.load(ordering: .acquiring) == Life.live
    }

    /// The smallest index ≥ `from` that is live: reading by index.
    func firstLive(from: UInt32) -> UInt32? {
        let end = pool.end
        var index = max(from, 1)
        while index < end {
            if isLive(index) { return index }
            index += 1
        }
        return nil
    }

    /// A copy of a live entry; nil when it is not, or was recycled meanwhile. Its counters may be of slightly different moments.
    func snapshot(_ index: UInt32) -> FlowEntry? {
        guard isLive(index) else { return nil }
        let copy = entry(index).copy()
        return isLive(index) && entry(index).generation == copy.generation ? copy : nil
    }

    /// Live entries.
    var count: Int { Int(truncatingIfNeeded: pool.inserted &- pool.removed) }
    /// Insertions refused for lack of room.
    var fullCount: UInt64 { pool.full }
    /// Insertions and removals put off because another lane was at the same bucket.
    var busyCount: UInt64 { pool.busy }
    /// Memory touched: the entries ever used, and at most one bucket for each.
    var memoryBytes: Int { Int(pool.end - 1) * MemoryLayout<FlowEntry>.stride + min(Int(pool.end - 1), bucketMask + 1) * FlowBucket.size }
}
