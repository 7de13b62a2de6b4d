import CPlatform

// Insertion and removal. Control thread only.
extension RouteTable {
    /// What happens to the list of prefixes of a node while it is rebuilt.
    private enum PrefixChange {
        case none
        case addExact(slot: Int)
        case addShorter(name: Int, leaf: UInt32)
        case setShorter(index: Int, leaf: UInt32)
        case removeExact(index: Int)
        case removeShorter(index: Int)
    }

    /// What the slots of a range become.
    private enum SlotChange {
        /// Slots that `keep` does not name get the leaf; where a child is, it becomes the child's cover.
        case leaf(UInt32, keep: SlotMask)
        /// The one slot gets this value, whatever it holds.
        case value(UInt32)
    }

    /// Adds or replaces a route. Returns the old leaf, 0 when there was none, `none` when the arena is full or the leaf or root is invalid.
    /// Complexity: the nodes on the way, and a copy of one.
    func insert(_ root: UInt32, _ key: RouteKey, leaf: UInt32) -> UInt32 {
        guard leaf != 0, leaf < RouteNode.childBit, Int(root) < counts.count, first(root) != 0 else { return Self.none }
        collectIfDue()
        guard hasRoomForUpdate() else { return Self.none }
        shapeChanged = false
        let terminal = key.length == 0 ? 0 : (Int(key.length) - 1) / 8
        var link = roots + Int(root) * 8
        var depth = 0
        while true {
            var node = self.node(link.load32(0))
            let path = node.pathCount
            var matched = 0
            while matched < path, depth + matched < terminal, key.octet(depth + matched) == node.pathOctet(matched) { matched += 1 }
            if matched < path {
                split(link, node, at: matched)
                node = self.node(link.load32(0))
            }
            depth += matched
            if depth == terminal {
                let old = addPrefix(link, node, key, leaf: leaf)
                if old == 0 {
                    counts[Int(root)] += 1
                    routeCount += 1
                }
                updateFront(root, key)
                return old
            }
            let slot = key.octet(depth)
            let run = node.run(UInt64(slot))
            let value = node.values[run]
            if value < RouteNode.childBit {
                let child = makeBranch(key, from: depth + 1, terminal: terminal, cover: value)
                rebuild(link, node, slot...slot, .value(child), .none)
                // Down into what was just made: the last node of the branch is where the prefix ends.
                continueInto(&link, slot: slot)
            } else {
                link = UnsafeMutableRawPointer(node.values + run)
            }
            depth += 1
        }
    }

    // MARK: Prefetching

    /// For routes that are about to be inserted: what decides where their nodes are.
    @inline(__always) func prefetchFront(_ root: UInt32, _ key: RouteKey) {
        guard Int(root) < maximumRoots else { return }
        let number = roots.load32(Int(root) &* 8 &+ 4)
        if number == 0 { return }
        let entry = Int(truncatingIfNeeded: key.high &>> 48)
        vr_prefetch(fronts + (Int(number &- 1) &* FrontPool.size &+ entry &* 4))
    }

    /// And then the nodes.
    @inline(__always) func prefetchNode(_ root: UInt32, _ key: RouteKey) {
        guard Int(root) < maximumRoots else { return }
        var next = reader.front(root, key.high)
        if next < RouteNode.childBit { next = node(first(root)).value(key.high &>> 56) }
        guard next >= RouteNode.childBit else { return }
        let base = node(next).base
        vr_prefetch(base)
        vr_prefetch(base + 64)
    }

    /// The leaf of exactly this prefix; 0: no such route.
    func exact(_ root: UInt32, _ key: RouteKey) -> UInt32 {
        guard Int(root) < counts.count else { return 0 }
        let terminal = key.length == 0 ? 0 : (Int(key.length) - 1) / 8
        var reference = first(root)
        var depth = 0
        while true {
            let node = self.node(reference)
            for index in 0..<node.pathCount {
                guard depth + index < terminal, key.octet(depth + index) == node.pathOctet(index) else { return 0 }
            }
            depth += node.pathCount
            if depth == terminal { return find(node, key)?.leaf ?? 0 }
            reference = node.value(UInt64(key.octet(depth)))
            guard reference >= RouteNode.childBit else { return 0 }
            depth += 1
        }
    }

    /// Deletes a route; what it hid becomes visible again. Returns its leaf, 0 when there was no such route.
    func remove(_ root: UInt32, _ key: RouteKey) -> UInt32 {
        guard Int(root) < counts.count, first(root) != 0 else { return 0 }
        let terminal = key.length == 0 ? 0 : (Int(key.length) - 1) / 8
        var links: [(link: UnsafeMutableRawPointer, slot: Int)] = []
        var link = roots + Int(root) * 8
        var depth = 0
        while true {
            let node = self.node(link.load32(0))
            for index in 0..<node.pathCount {
                guard depth + index < terminal, key.octet(depth + index) == node.pathOctet(index) else { return 0 }
            }
            depth += node.pathCount
            let slot = key.octet(depth)
            links.append((link, slot))
            if depth == terminal { break }
            let run = node.run(UInt64(slot))
            guard node.values[run] >= RouteNode.childBit else { return 0 }
            link = UnsafeMutableRawPointer(node.values + run)
            depth += 1
        }
        let node = self.node(link.load32(0))
        guard let found = find(node, key) else { return 0 }
        collectIfDue()
        shapeChanged = false
        counts[Int(root)] -= 1
        routeCount -= 1
        let isAlone = node.prefixCount == 1 && !hasChildren(node)
        if isAlone, links.count > 1 {
            detach(links)
        } else {
            let background = background(node, slot: key.octet(terminal), shorterThan: found.length)
            let change: PrefixChange = found.length == 8 ? .removeExact(index: found.index) : .removeShorter(index: found.index)
            rebuild(link, node, found.slots, .leaf(background, keep: longer(node, than: found)), change)
            if links.count > 1 { collapse(link) }
        }
        updateFront(root, key)
        return found.leaf
    }

    // MARK: Finding a prefix in its node

    private struct Found {
        var index: Int
        var leaf: UInt32
        /// Bits within the node, 0…8.
        var length: Int
        var slots: ClosedRange<Int>
    }

    /// Bits of a prefix within the node it ends in, and the slots it covers there.
    private func extent(_ key: RouteKey) -> (length: Int, slots: ClosedRange<Int>) {
        guard key.length > 0 else { return (0, 0...255) }
        let terminal = (Int(key.length) - 1) / 8
        let length = Int(key.length) - 8 * terminal
        let slot = key.octet(terminal)
        return (length, slot...(slot + (1 << (8 - length)) - 1))
    }

    private func find(_ node: RouteNode, _ key: RouteKey) -> Found? {
        let (length, slots) = extent(key)
        if length == 8 {
            guard let index = node.exactIndex(slots.lowerBound) else { return nil }
            let value = node.value(UInt64(slots.lowerBound))
            return Found(index: index, leaf: value < RouteNode.childBit ? value : self.node(value).cover, length: 8, slots: slots)
        }
        guard let index = node.shorterIndex(1 << length | slots.lowerBound >> (8 - length)) else { return nil }
        return Found(index: index, leaf: node.shorterLeaves[index], length: length, slots: slots)
    }

    /// The leaf of the longest prefix of the node that holds the slot and is shorter than `length`; 0: none.
    private func background(_ node: RouteNode, slot: Int, shorterThan length: Int) -> UInt32 {
        let names = node.shorterNames
        var best = 0, leaf: UInt32 = 0
        for index in 0..<node.shorterCount {
            let name = Int(names[index]), bits = Self.bits(name)
            // A longer name is a larger number.
            if bits < length, name > best, (slot | 256) >> (8 - bits) == name {
                best = name
                leaf = node.shorterLeaves[index]
            }
        }
        return leaf
    }

    /// Length of the prefix with this name, 0…7.
    private static func bits(_ name: Int) -> Int { Int.bitWidth - 1 - name.leadingZeroBitCount }

    /// The slots that prefixes longer than the one found, inside it, own.
    private func longer(_ node: RouteNode, than found: Found) -> SlotMask { longer(node, than: found.length, in: found.slots) }

    private func longer(_ node: RouteNode, than length: Int, in slots: ClosedRange<Int>) -> SlotMask {
        var mask = SlotMask()
        guard length < 8 else { return mask }
        let exact = node.exactSlots
        for index in 0..<node.exactCount { mask.insert(Int(exact[index])) }
        let names = node.shorterNames
        for index in 0..<node.shorterCount {
            let name = Int(names[index]), bits = Self.bits(name)
            guard bits > length else { continue }
            let start = (name << (8 - bits)) & 255
            guard slots.contains(start) else { continue }
            mask.insert(start...(start + (1 << (8 - bits)) - 1))
        }
        return mask
    }

    private func hasChildren(_ node: RouteNode) -> Bool {
        for index in 0..<node.runCount where node.values[index] >= RouteNode.childBit { return true }
        return false
    }

    // MARK: Changing the shape of the trie

    private func addPrefix(_ link: UnsafeMutableRawPointer, _ node: RouteNode, _ key: RouteKey, leaf: UInt32) -> UInt32 {
        if let found = find(node, key) {
            guard found.leaf != leaf else { return leaf }
            let change: PrefixChange = found.length == 8 ? .none : .setShorter(index: found.index, leaf: leaf)
            rebuild(link, node, found.slots, .leaf(leaf, keep: longer(node, than: found)), change)
            return found.leaf
        }
        let (length, slots) = extent(key)
        let change: PrefixChange =
            length == 8 ? .addExact(slot: slots.lowerBound) : .addShorter(name: 1 << length | slots.lowerBound >> (8 - length), leaf: leaf)
        rebuild(link, node, slots, .leaf(leaf, keep: longer(node, than: length, in: slots)), change)
        return 0
    }

    /// Empty nodes that lead from octet `depth` of the key to its octet `terminal`, paths filled; returns the reference of the first.
    private func makeBranch(_ key: RouteKey, from depth: Int, terminal: Int, cover: UInt32) -> UInt32 {
        let path = min(terminal - depth, RouteNode.maximumPath)
        var octets: UInt64 = 0
        for index in 0..<path { octets |= UInt64(key.octet(depth + index)) << UInt64(56 - 8 * index) }
        let reference = allocateOrTrap(2)
        let node = self.node(reference)
        node.initializeEmpty()
        node.base.store32(32, cover)
        node.base.store64(40, RouteNode.path(octets, count: path, exact: 0))
        return reference | RouteNode.childBit
    }

    /// Moves a link to where it points to next, through `slot` of the node it points to now.
    private func continueInto(_ link: inout UnsafeMutableRawPointer, slot: Int) {
        let node = self.node(link.load32(0))
        link = UnsafeMutableRawPointer(node.values + node.run(UInt64(slot)))
    }

    /// Puts a new node before `node` that takes the first `count` octets of its path; the next octet becomes the new node's slot.
    private func split(_ link: UnsafeMutableRawPointer, _ node: RouteNode, at count: Int) {
        shapeChanged = true
        let units = node.units, path = node.path, length = node.pathCount
        let slot = node.pathOctet(count)
        let lower = allocateOrTrap(units), upper = allocateOrTrap(2)
        let below = self.node(lower), above = self.node(upper)
        below.base.copyMemory(from: node.base, byteCount: units * RouteNode.unit)
        below.base.store32(32, 0)
        below.base.store64(40, RouteNode.path(path << UInt64(8 * (count + 1)), count: length - count - 1, exact: node.exactCount))
        above.initializeEmpty()
        above.base.store32(32, node.cover)
        above.base.store64(40, RouteNode.path(path, count: count, exact: 0))
        // Up to three runs: none before the slot, the child, none after. Two granules hold four.
        let values = above.values
        var runs = 0
        func begin(_ at: Int, _ value: UInt32) {
            let word = (at >> 6) * 8
            above.base.store64(word, above.base.load64(word) | 1 << UInt64(at & 63))
            values[runs] = value
            runs += 1
        }
        if slot > 0 { begin(0, 0) }
        begin(slot, lower | RouteNode.childBit)
        if slot < 255 { begin(slot + 1, 0) }
        writeCounts(above, shorter: 0)
        publish(link, upper, retiring: node)
    }

    /// Removes the last node of the way, and those above it that were there only for it.
    private func detach(_ links: [(link: UnsafeMutableRawPointer, slot: Int)]) {
        var last = links.count - 1
        while last > 1, node(links[last - 1].link.load32(0)).onlyChild != nil { last -= 1 }
        let going = links[last...].map { $0.link.load32(0) }
        let (link, slot) = links[last - 1]
        rebuild(link, node(link.load32(0)), slot...slot, .value(node(going[0]).cover), .none)
        for reference in going { retire(reference) }
        if last - 1 > 0 { collapse(link) }
    }

    /// Joins a node (not a root) that has one child and no prefix with that child, when the paths fit into one.
    private func collapse(_ link: UnsafeMutableRawPointer) {
        let node = self.node(link.load32(0))
        guard let (slot, reference) = node.onlyChild else { return }
        let child = self.node(reference)
        let length = node.pathCount + 1 + child.pathCount
        guard length <= RouteNode.maximumPath, arena.untouchedUnits >= 128 else { return }
        shapeChanged = true
        let units = child.units
        let index = allocateOrTrap(units)
        let joined = self.node(index)
        joined.base.copyMemory(from: child.base, byteCount: units * RouteNode.unit)
        joined.base.store32(32, node.cover)
        let upper = RouteNode.path(node.path, count: node.pathCount, exact: 0) & ~0xFFFF
        let octets = upper | UInt64(slot) << UInt64(56 - 8 * node.pathCount) | (child.path & ~0xFFFF) >> UInt64(8 * (node.pathCount + 1))
        joined.base.store64(40, RouteNode.path(octets, count: length, exact: child.exactCount))
        publish(link, index, retiring: node)
        retire(reference)
    }

    // MARK: Building a node

    /// Makes the node's next state in the scratch node and publishes it: in place when no run begins or ends and the size stays, else as a new node.
    private func rebuild(
        _ link: UnsafeMutableRawPointer, _ node: RouteNode, _ slots: ClosedRange<Int>, _ change: SlotChange, _ prefixes: PrefixChange
    ) {
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
            return
        }
        let index = allocateOrTrap(units)
        self.node(index).base.copyMemory(from: scratch.base, byteCount: units * RouteNode.unit)
        publish(link, index, retiring: node)
    }

    /// Fills bitmap and values of the scratch node; returns the number of runs.
    private func rebuildRuns(_ node: RouteNode, _ slots: ClosedRange<Int>, _ change: SlotChange) -> Int {
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
                    self.node(current).base.store32(32, leaf)
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

    private static func counts(_ shorter: Int, _ exact: Int, _ change: PrefixChange) -> (shorter: Int, exact: Int) {
        switch change {
        case .none, .setShorter: (shorter, exact)
        case .addExact: (shorter, exact + 1)
        case .addShorter: (shorter + 1, exact)
        case .removeExact: (shorter, exact - 1)
        case .removeShorter: (shorter - 1, exact)
        }
    }

    /// Fills the prefix lists of the scratch node, whose counts are set.
    private func copyPrefixes(_ node: RouteNode, _ change: PrefixChange) {
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
    private func writeCounts(_ node: RouteNode, shorter: Int) {
        let first = node.base.load64(0).nonzeroBitCount
        let second = first + node.base.load64(8).nonzeroBitCount
        let third = second + node.base.load64(16).nonzeroBitCount
        node.base.store32(36, UInt32(first | second << 8 | third << 16 | shorter << 24))
    }

    private func publish(_ link: UnsafeMutableRawPointer, _ index: UInt32, retiring old: RouteNode) {
        let before = link.load32(0)
        link.release32(0, index | before & RouteNode.childBit)
        retire(before)
    }

    // MARK: Memory

    /// More than one update can take: two nodes of the largest size and a branch. Kept free of insertions, so that removals always find room.
    private func hasRoomForUpdate() -> Bool {
        if arena.untouchedUnits >= 1024 { return true }
        quiescence.synchronize()
        collect()
        return arena.untouchedUnits + arena.freeUnits / 4 >= 1024
    }

    private func allocateOrTrap(_ units: Int) -> UInt32 {
        let index = allocate(units)
        precondition(index != 0, "route arena full in spite of its reserve")
        return index
    }
}

/// A set of slots, 256 bits.
struct SlotMask {
    private var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

    func contains(_ slot: Int) -> Bool {
        let word =
            switch slot >> 6 {
            case 0: words.0
            case 1: words.1
            case 2: words.2
            default: words.3
            }
        return word &>> UInt64(slot & 63) & 1 == 1
    }

    mutating func insert(_ slot: Int) {
        let bit: UInt64 = 1 &<< UInt64(slot & 63)
        switch slot >> 6 {
        case 0: words.0 |= bit
        case 1: words.1 |= bit
        case 2: words.2 |= bit
        default: words.3 |= bit
        }
    }

    mutating func insert(_ slots: ClosedRange<Int>) { for slot in slots { insert(slot) } }
}
