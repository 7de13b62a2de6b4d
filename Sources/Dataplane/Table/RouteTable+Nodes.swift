import CPlatform

// The next state of a node: built beside the old one, or in place where a reader cannot tell. Control thread only.
extension RouteTable {
    /// What happens to the list of prefixes of a node while it is rebuilt.
    enum PrefixChange {
        case none
        case addExact(slot: Int)
        case addShorter(name: Int, leaf: UInt32)
        case setShorter(index: Int, leaf: UInt32)
        case removeExact(index: Int)
        case removeShorter(index: Int)
    }

    /// What the slots of a range become.
    enum SlotChange {
        /// Slots that `keep` does not name get the leaf; where a child is, it becomes the child's cover.
        case leaf(UInt32, keep: SlotMask)
        /// The one slot gets this value, whatever it holds.
        case value(UInt32)
    }

    /// Makes the next state of the node at `depth` in the scratch node and publishes it: in place when no run begins or ends and the size stays, else as a new node.
    func rebuild(
        _ link: UnsafeMutableRawPointer, _ node: RouteNode, _ slots: ClosedRange<Int>, _ change: SlotChange, _ prefixes: PrefixChange, depth: Int
    ) {
        let before = link.load32(0)
        scratch.base.copyMemory(from: node.base, byteCount: RouteNode.valuesOffset)
        let runs = rebuildRuns(node, slots, change)
        let shorter = node.shorterCount, exact = node.exactCount
        let (newShorter, newExact) = Self.counts(shorter, exact, prefixes)
        scratch.base.store64(40, RouteNode.path(node.path, count: node.pathCount, exact: newExact))
        writeCounts(scratch, shorter: newShorter)
        copyPrefixes(node, prefixes)
        let units = RouteNode.units(RouteNode.size(runs: runs, shorter: newShorter, exact: newExact))
        let sameRuns = (0..<4).allSatisfy { scratch.base.load64($0 * 8) == node.base.load64($0 * 8) }
        if sameRuns, units == node.units {
            for index in 0..<runs where node.values[index] != scratch.values[index] {
                node.base.release32(RouteNode.valuesOffset + index * 4, scratch.values[index])
            }
            // The rest is the control thread's own; workers read of these two words only what has not changed.
            node.base.store32(36, scratch.base.load32(36))
            node.base.store64(40, scratch.base.load64(40))
            let start = RouteNode.valuesOffset + runs * 4
            (node.base + start).copyMemory(from: scratch.base + start, byteCount: newShorter * 5 + newExact)
            self.change.note(depth: depth, before, before)
            return
        }
        let index = allocateOrTrap(units)
        self.node(index).base.copyMemory(from: scratch.base, byteCount: units * RouteNode.unit)
        let after = index | before & RouteNode.childBit
        link.release32(0, after)
        retire(before)
        self.change.note(depth: depth, before, after)
    }

    /// Fills bitmap and values of the scratch node; returns the number of runs.
    func rebuildRuns(_ node: RouteNode, _ slots: ClosedRange<Int>, _ change: SlotChange) -> Int {
        let old = node.values, new = scratch.values, total = node.runCount
        var run = node.run(UInt64(slots.lowerBound))
        var count = node.bit(slots.lowerBound) ? run : run + 1
        new.update(from: old, count: count)
        var current = old[run]
        /// The value of slot `at` in the new node: begins a run unless it continues the one before.
        func emit(_ at: Int, _ value: UInt32) {
            let word = (at >> 6) * 8, bit: UInt64 = 1 << UInt64(at & 63)
            if at == 0 || new[count - 1] != value {
                scratch.base.store64(word, scratch.base.load64(word) | bit)
                new[count] = value
                count += 1
            } else {
                scratch.base.store64(word, scratch.base.load64(word) & ~bit)
            }
        }
        for slot in slots {
            if slot != slots.lowerBound, node.bit(slot) {
                run += 1
                current = old[run]
            }
            switch change {
            case .value(let value): emit(slot, value)
            case .leaf(let leaf, let keep):
                if keep.contains(slot) {
                    emit(slot, current)
                } else if current >= RouteNode.childBit {
                    reader.setCover(current, leaf)
                    emit(slot, current)
                } else {
                    emit(slot, leaf)
                }
            }
        }
        if slots.upperBound < 255 {
            if node.bit(slots.upperBound + 1) {
                run += 1
                current = old[run]
            }
            emit(slots.upperBound + 1, current)
            (new + count).update(from: old + run + 1, count: total - run - 1)
            count += total - run - 1
        }
        return count
    }

    static func counts(_ shorter: Int, _ exact: Int, _ change: PrefixChange) -> (shorter: Int, exact: Int) {
        switch change {
        case .none, .setShorter: (shorter, exact)
        case .addExact: (shorter, exact + 1)
        case .addShorter: (shorter + 1, exact)
        case .removeExact: (shorter, exact - 1)
        case .removeShorter: (shorter - 1, exact)
        }
    }

    /// Fills the prefix lists of the scratch node, whose counts are set.
    func copyPrefixes(_ node: RouteNode, _ change: PrefixChange) {
        let leaves = scratch.shorterLeaves, slots = scratch.exactSlots, names = scratch.shorterNames
        let shorter = node.shorterCount, exact = node.exactCount
        // The last one takes the place of the one that goes.
        leaves.update(from: node.shorterLeaves, count: min(shorter, scratch.shorterCount))
        names.update(from: node.shorterNames, count: min(shorter, scratch.shorterCount))
        slots.update(from: node.exactSlots, count: min(exact, scratch.exactCount))
        switch change {
        case .none: break
        case .setShorter(let index, let leaf): leaves[index] = leaf
        case .addExact(let slot): slots[exact] = UInt8(truncatingIfNeeded: slot)
        case .addShorter(let name, let leaf):
            leaves[shorter] = leaf
            names[shorter] = UInt8(truncatingIfNeeded: name)
        case .removeExact(let index): if index < exact - 1 { slots[index] = node.exactSlots[exact - 1] }
        case .removeShorter(let index):
            if index < shorter - 1 {
                leaves[index] = node.shorterLeaves[shorter - 1]
                names[index] = node.shorterNames[shorter - 1]
            }
        }
    }

    /// Sets the word of counts from the bitmap.
    func writeCounts(_ node: RouteNode, shorter: Int) {
        let first = node.base.load64(0).nonzeroBitCount
        let second = first + node.base.load64(8).nonzeroBitCount
        let third = second + node.base.load64(16).nonzeroBitCount
        node.base.store32(36, UInt32(first | second << 8 | third << 16 | shorter << 24))
    }
}
