import CPlatform
import Synchronization

/// A flow on its way into the table.
struct FlowPair {
    var reverse: FlowKey
    let forwardHash: UInt64
    var reverseHash: UInt64 = 0
    /// The entries that it will have; 0: there were none.
    var index = FlowTable.none, reverseIndex = FlowTable.none
    /// One key serves both directions.
    var isSelfReverse = false
    /// Of a first packet that is translated: how, and `DropReason.rawValue` where it cannot be.
    var translation = Worker.PairTranslation.none
    var refusal: UInt8 = 0
    /// The VRF that its replies are routed in, where that is not the forward key's.
    var returnVRF = ForwardingTables.noVRF

    init(reverse: FlowKey, forwardHash: UInt64) {
        self.reverse = reverse
        self.forwardHash = forwardHash
    }
}

// Insertion, removal, ageing, reading.
extension FlowTable {
    /// Buckets held by one update: at most the primary and both alternates of two keys, and one more for each where a key was moved to. Taken by try-lock only.
    private struct Locks {
        private var held: SIMD8<Int32> = .init(repeating: -1)
        private var count = 0

        /// The two primaries, in order of bucket, before any other.
        @inline(__always) mutating func takeBoth(_ first: Int, _ second: Int, of table: FlowTable) -> Bool {
            guard table.bucket(first).tryLock() else { return false }
            held[0] = Int32(truncatingIfNeeded: first)
            count = 1
            if second == first { return true }
            guard table.bucket(second).tryLock() else { return false }
            held[1] = Int32(truncatingIfNeeded: second)
            count = 2
            return true
        }

        mutating func take(_ bucket: Int, of table: FlowTable) -> Bool {
            let name = Int32(truncatingIfNeeded: bucket)
            for index in 0..<count where held[index] == name { return true }
            guard table.bucket(bucket).tryLock() else { return false }
            held[count] = name
            count &+= 1
            return true
        }

        /// Of a bucket that is not needed: whether it was not held before; nil: another lane has it.
        mutating func takeSpare(_ bucket: Int, of table: FlowTable) -> Bool? {
            let before = count
            guard before < held.scalarCount, take(bucket, of: table) else { return nil }
            return count > before
        }

        mutating func releaseLast(of table: FlowTable) {
            count &-= 1
            table.bucket(Int(held[count])).unlock()
            held[count] = -1
        }

        @inline(__always) func releaseAll(of table: FlowTable) {
            if count > 0 { table.bucket(Int(held[0])).unlock() }
            if count > 1 { table.bucket(Int(held[1])).unlock() }
            if count > 2 { releaseRest(of: table) }
        }
        @inline(never) private func releaseRest(of table: FlowTable) {
            for index in 2..<count { table.bucket(Int(held[index])).unlock() }
        }
    }

    private struct Place {
        var bucket: Int
        var slot: Int
        var status: Status
    }

    /// Makes a flow: both entries, or, when one key serves both directions, the one. Bounded: waits for nobody.
    func insertPair(lane: Int, forward: UnsafePointer<FlowKey>, reverse: UnsafePointer<FlowKey>, _ template: Template) -> Insertion {
        var pair = FlowPair(reverse: reverse.pointee, forwardHash: hash(forward))
        prepare(lane: lane, forward, &pair)
        var template = template
        let result = insert(lane: lane, forward, &pair, &template)
        if result.status == .inserted { countFlows(1, owner: template.owner, vrf: forward.pointee.vrf) }
        return result
    }

    /// Counts flows that were inserted for the vif and the VRF that they belong to.
    @inline(__always) func countFlows(_ count: Int32, owner: UInt32, vrf: UInt32) {
        vifQuotas.add(owner, count)
        vrfQuotas.add(vrf, count)
    }

    /// The first half of making a flow: hashes, takes entries, and asks for all that the second half, `insert`, will touch. `insert` has to follow.
    @inline(__always) func prepare(lane: Int, _ forward: UnsafePointer<FlowKey>, _ pair: UnsafeMutablePointer<FlowPair>) {
        let reverseHash = withUnsafePointer(to: &pair.pointee.reverse) { hash($0) }
        pair.pointee.reverseHash = reverseHash
        vr_prefetch_write(bucket(primary(pair.pointee.forwardHash)).base)
        vr_prefetch_write(bucket(primary(reverseHash)).base)
        // Compared only where they may be one: the reverse key has just been written in other pieces than a comparison reads.
        pair.pointee.isSelfReverse = reverseHash == pair.pointee.forwardHash && forward.pointee == pair.pointee.reverse
        takeEntries(lane, pair)
        prefetchEntry(pair.pointee.index)
        prefetchEntry(pair.pointee.reverseIndex)
    }

    @inline(__always) private func prefetchEntry(_ index: UInt32) {
        vr_prefetch_write(entry(index))
        vr_prefetch_write(UnsafeRawPointer(entry(index)) + 64)
        vr_prefetch_write(UnsafeRawPointer(entry(index)) + (MemoryLayout<FlowEntry>.size - 1))
    }

    @inline(__always) private func takeEntries(_ lane: Int, _ pair: UnsafeMutablePointer<FlowPair>) {
        let index = pool.take(lane)
        if index == Self.none { return }
        if pair.pointee.isSelfReverse {
            (pair.pointee.index, pair.pointee.reverseIndex) = (index, index)
            return
        }
        let reverseIndex = pool.take(lane)
        if reverseIndex == Self.none { return pool.give(lane, index) }
        (pair.pointee.index, pair.pointee.reverseIndex) = (index, reverseIndex)
    }

    /// The second half. Of a flow that is inserted the caller does `countFlows`. `template`: gets its generation; where it is, as a copy would wait for the stores that have just made it.
    func insert(
        lane: Int, _ forward: UnsafePointer<FlowKey>, _ pair: UnsafeMutablePointer<FlowPair>, _ template: UnsafeMutablePointer<Template>
    ) -> Insertion {
        // Others may have given theirs back since.
        if pair.pointee.index == Self.none { takeEntries(lane, pair) }
        guard pair.pointee.index != Self.none else {
            pool.countFull(lane)
            return Insertion(status: .full)
        }
        var locks = Locks()
        template.pointee.generation = pool.nextGeneration(lane)
        let result = place(&locks, forward, pair, template)
        locks.releaseAll(of: self)
        switch result.status {
        case .inserted:
            pool.countInserted(lane, pair.pointee.isSelfReverse ? 1 : 2)
            return result
        case .full: pool.countFull(lane)
        case .busy: pool.countBusy(lane)
        case .exists, .conflict: break
        }
        discard(lane: lane, pair)
        return result
    }

    /// Gives back what `prepare` took, in place of `insert`.
    func discard(lane: Int, _ pair: UnsafeMutablePointer<FlowPair>) {
        guard pair.pointee.index != Self.none else { return }
        pool.give(lane, pair.pointee.index)
        if !pair.pointee.isSelfReverse { pool.give(lane, pair.pointee.reverseIndex) }
    }

    private func place(
        _ locks: inout Locks, _ forward: UnsafePointer<FlowKey>, _ pair: UnsafeMutablePointer<FlowPair>, _ template: UnsafePointer<Template>
    ) -> Insertion {
        let forwardHash = pair.pointee.forwardHash, reverseHash = pair.pointee.reverseHash, isSelfReverse = pair.pointee.isSelfReverse
        let index = pair.pointee.index, reverseIndex = pair.pointee.reverseIndex
        return withUnsafePointer(to: &pair.pointee.reverse) { reverse in
            // Whoever inserts a key holds its primary bucket, so what is not found now is not being inserted by another.
            let first = min(primary(forwardHash), primary(reverseHash)), second = max(primary(forwardHash), primary(reverseHash))
            guard locks.takeBoth(first, second, of: self) else { return Insertion(status: .busy) }
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
                fill(reverseIndex, reverse, template, other: forward, reverse: index, isForward: false)
            }
            fill(index, forward, template, other: reverse, reverse: reverseIndex, isForward: true)
            if !isSelfReverse { publish(reversePlace, reverseHash, reverseIndex) }
            publish(forwardPlace, forwardHash, index)
            return Insertion(status: .inserted, index: index, reverse: reverseIndex)
        }
    }

    /// A free slot for a key whose primary bucket is held; takes the lock of an alternate when the primary is full.
    @inline(__always) private func findSlot(_ locks: inout Locks, _ hash: UInt64, except taken: Place?) -> Place {
        let primary = primary(hash)
        let slot = bucket(primary).freeSlot(except: taken?.bucket == primary ? taken?.slot ?? -1 : -1)
        if slot >= 0 { return Place(bucket: primary, slot: slot, status: .inserted) }
        return findElsewhere(&locks, hash, except: taken)
    }

    @inline(never) private func findElsewhere(_ locks: inout Locks, _ hash: UInt64, except taken: Place?) -> Place {
        let alternate = alternate(hash)
        for attempt in 0..<2 {
            let candidate = alternate ^ attempt
            guard locks.take(candidate, of: self) else { return Place(bucket: 0, slot: 0, status: .busy) }
            let slot = bucket(candidate).freeSlot(except: taken?.bucket == candidate ? taken?.slot ?? -1 : -1)
            if slot >= 0 { return Place(bucket: candidate, slot: slot, status: .inserted) }
        }
        for attempt in 0..<3 {
            let candidate = attempt == 0 ? primary(hash) : alternate ^ (attempt - 1)
            if let slot = makeRoom(&locks, in: candidate, except: taken) { return Place(bucket: candidate, slot: slot, status: .inserted) }
        }
        return Place(bucket: 0, slot: 0, status: .full)
    }

    /// Moves a key that is in this bucket, which is held, as its primary into one of its alternates; the slot that is free now. Nil: none could go.
    private func makeRoom(_ locks: inout Locks, in full: Int, except taken: Place?) -> Int? {
        for slot in 0..<FlowBucket.slots {
            if taken?.bucket == full, taken?.slot == slot { continue }
            let index = bucket(full).index(slot), signature = bucket(full).signature(slot)
            guard index != Self.none, signature != 0 else { continue }
            // It stands while its bucket is held: whoever removes it holds that too.
            var key = entry(index).pointee.key
            let hash = hash(&key)
            guard primary(hash) == full else { continue }
            let alternate = alternate(hash)
            for attempt in 0..<2 {
                let other = alternate ^ attempt
                let exception = taken?.bucket == other ? taken?.slot ?? -1 : -1
                guard bucket(other).freeSlot(except: exception) >= 0, let isNew = locks.takeSpare(other, of: self) else { continue }
                let free = bucket(other).freeSlot(except: exception)
                guard free >= 0 else {
                    if isNew { locks.releaseLast(of: self) }
                    continue
                }
                // There before it leaves here, and the primary says so before: a lookup reads this bucket, that count, then the other.
                bucket(full).addOverflow(1)
                bucket(other).set(free, signature: signature, index: index)
                bucket(full).set(slot, signature: 0, index: Self.none)
                return slot
            }
        }
        return nil
    }

    /// Writes an entry by whole words: others may look at its `life` meanwhile.
    @inline(__always) private func fill(
        _ index: UInt32, _ key: UnsafePointer<FlowKey>, _ template: UnsafePointer<Template>, other: UnsafePointer<FlowKey>, reverse: UInt32,
        isForward: Bool
    ) {
        let entry = entry(index)
        var flags: FlowEntry.Flags = isForward ? template.pointee.flags.union(.forward) : template.pointee.flags
        if template.pointee.isProgrammed { flags.insert(.programmed) }
        let translates = template.pointee.translates || template.pointee.action == FlowAction.nat.rawValue
        if translates { flags.insert(.translates) }
        entry.begin(
            key, action: template.pointee.action, flags: flags,
            generation: template.pointee.generation,
            mirror: template.pointee.mirror, owner: template.pointee.owner,
            ingressVif: isForward ? template.pointee.ingressVif : template.pointee.egressVif, now: template.pointee.now,
            reverse: reverse, cookie: template.pointee.cookie)
        if template.pointee.dropReason != 0 { entry.dropReason = template.pointee.dropReason }
        if translates {
            var rewrite = FlowRewrite(key.pointee, becomes: other.pointee.reversed)
            if !isForward, template.pointee.returnVRF != ForwardingTables.noVRF { rewrite.vrf = template.pointee.returnVRF }
            entry.translation = rewrite
        }
        entry.become(.live)
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
    func remove(lane: Int, index: UInt32, generation: UInt32? = nil, cause: RemovalCause = .requested) -> Bool {
        guard index != Self.none, Int(index) <= capacity else { return false }
        let other = entry(index).reverse
        guard other != Self.none, Int(other) <= capacity else { return false }
        let leader = entry(index).isForward ? index : other
        // One remover per flow.
        guard entry(leader).beginToDie() else { return false }
        // An entry that is free keeps its generation, and what it names may be another flow's by now.
        if let generation, entry(index).generation != generation || entry(leader).generation != generation {
            entry(leader).become(.live)
            return false
        }
        let follower = entry(leader).reverse
        let owner = entry(leader).owner, vrf = entry(leader).pointee.vrf
        var locks = Locks()
        guard let first = locate(&locks, leader), let second = follower == leader ? first : locate(&locks, follower) else {
            locks.releaseAll(of: self)
            entry(leader).become(.live)
            pool.countBusy(lane)
            return false
        }
        if cause == .closed || cause == .evicted {
            for index in [leader, follower] { entry(index).flags.insert(.evicted) }
        }
        unpublish(first.place, first.primary)
        if follower != leader {
            unpublish(second.place, second.primary)
            entry(follower).become(.dying)
            pool.retire(lane, follower)
        }
        locks.releaseAll(of: self)
        pool.retire(lane, leader)
        pool.countRemoved(lane, follower == leader ? 1 : 2)
        pool.count(lane, cause)
        vifQuotas.subtract(owner)
        vrfQuotas.subtract(vrf)
        if cause == .evicted { vifQuotas.noteEviction(owner) }
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

    // MARK: Reading

    func isLive(_ index: UInt32) -> Bool {
        index != Self.none && Int(index) <= capacity && entry(index).life == .live
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
