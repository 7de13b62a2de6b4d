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
        change = RouteChange()
        let old = insert(below: roots + Int(root) * 8, key, leaf: leaf)
        if old == 0 {
            counts[Int(root)] += 1
            routeCount += 1
        }
        updateFront(root, key)
        return old
    }

    private func insert(below root: UnsafeMutableRawPointer, _ key: RouteKey, leaf: UInt32) -> UInt32 {
        let terminal = key.terminal
        var link = root
        var depth = 0
        while true {
            let reference = link.load32(0)
            if reference >= RouteBag.first {
                switch insert(intoBag: link, key, depth: depth, leaf: leaf) {
                case .done(let old): return old
                case .below(let lane, let octets):
                    link = UnsafeMutableRawPointer(bag(reference).values + lane)
                    depth += octets
                }
                continue
            }
            let node = self.node(reference)
            let path = node.pathCount
            var matched = 0
            while matched < path, depth + matched < terminal, key.octet(depth + matched) == node.pathOctet(matched) { matched += 1 }
            if matched < path {
                split(link, node, at: matched, key, depth: depth, leaf: leaf)
                return 0
            }
            depth += path
            if depth == terminal { return addPrefix(link, node, key, depth: depth - path, leaf: leaf) }
            let slot = key.octet(depth)
            let run = node.run(UInt64(slot))
            let value = node.values[run]
            depth += 1
            if value < RouteNode.childBit {
                let child = withItems { items in
                    items.append(Self.item(key, after: depth, value: leaf))
                    return build(items.base, 1, cover: value)
                }
                rebuild(link, node, slot...slot, .value(child), .none, depth: depth - 1 - path)
                return 0
            }
            link = UnsafeMutableRawPointer(node.values + run)
        }
    }

    // MARK: Prefetching

    /// For routes that are about to be inserted: what decides where their nodes are.
    @inline(__always) func prefetchFront(_ root: UInt32, _ key: RouteKey) {
        if let (entry, _) = reader.frontEntry(root, key.high, key.low) { vr_prefetch(entry) }
    }

    /// And then the nodes.
    @inline(__always) func prefetchNode(_ root: UInt32, _ key: RouteKey) {
        var next = reader.frontEntry(root, key.high, key.low)?.entry.load32(0) ?? 0
        if next < RouteNode.childBit { next = node(first(root)).value(key.high &>> 56) }
        guard next >= RouteNode.childBit else { return }
        let base = node(next).base
        vr_prefetch(base)
        vr_prefetch(base + 64)
        vr_prefetch(base + 128)
    }

    // MARK: Removal

    /// The leaf of exactly this prefix; 0: no such route.
    func exact(_ root: UInt32, _ key: RouteKey) -> UInt32 {
        guard Int(root) < counts.count else { return 0 }
        return withUnsafeTemporaryAllocation(of: Step.self, capacity: Self.maximumSteps) { steps in
            var count = 0
            switch find(root, key, steps, &count) {
            case .nothing: return 0
            case .lane(let lane): return bag(steps[count - 1].link.load32(0)).values[lane]
            case .prefix(let found): return found.leaf
            }
        }
    }

    /// Deletes a route; what it hid becomes visible again. Returns its leaf, 0 when there was no such route.
    func remove(_ root: UInt32, _ key: RouteKey) -> UInt32 {
        guard Int(root) < counts.count, first(root) != 0 else { return 0 }
        // Now, as nodes on the way may not move afterwards.
        collectIfDue()
        return withUnsafeTemporaryAllocation(of: Step.self, capacity: Self.maximumSteps) { steps in
            var count = 0
            let place = find(root, key, steps, &count)
            if case .nothing = place { return 0 }
            change = RouteChange()
            counts[Int(root)] -= 1
            routeCount -= 1
            let last = steps[count - 1], leaf: UInt32
            if case .prefix(let found) = place {
                leaf = found.leaf
                let node = self.node(last.link.load32(0))
                if node.prefixCount == 1, count > 1, !hasChildren(node) {
                    vanish(steps, count - 1)
                } else {
                    let background = background(node, slot: found.slots.lowerBound, shorterThan: found.length)
                    let change: PrefixChange = found.length == 8 ? .removeExact(index: found.index) : .removeShorter(index: found.index)
                    rebuild(last.link, node, found.slots, .leaf(background, keep: longer(node, than: found)), change, depth: last.depth)
                    tidy(steps, count - 1)
                }
            } else if case .lane(let lane) = place {
                leaf = bag(last.link.load32(0)).values[lane]
                removeLane(lane, steps, count - 1)
            } else {
                leaf = 0
            }
            updateFront(root, key)
            return leaf
        }
    }

    /// One node or bag on the way to a prefix.
    private struct Step {
        /// What refers to it.
        var link: UnsafeMutableRawPointer
        /// Octets of the address before its path.
        var depth: Int
        /// The slot or lane that the way goes on by; in the last one without meaning.
        var way: Int
    }

    /// A node for each octet of an IPv6 address, and no more.
    private static let maximumSteps = 17

    private enum Place {
        case nothing
        /// A lane of the bag that the last step leads to.
        case lane(Int)
        /// A prefix of the node that the last step leads to.
        case prefix(Found)
    }

    /// The way to exactly this prefix.
    private func find(_ root: UInt32, _ key: RouteKey, _ steps: UnsafeMutableBufferPointer<Step>, _ count: inout Int) -> Place {
        let terminal = key.terminal
        var link = roots + Int(root) * 8
        var depth = 0
        while true {
            let reference = link.load32(0)
            (steps.baseAddress.unsafelyUnwrapped + count).initialize(to: Step(link: link, depth: depth, way: 0))
            count += 1
            if reference >= RouteBag.first {
                let bag = bag(reference), path = bag.pathCount, lanes = bag.lanes, values = bag.values, lanesCount = bag.count
                var item = Self.item(key, after: depth, value: 0)
                guard item.bits > 8 * path, path == 0 || (item.high ^ bag.path) & RouteNode.pathMask(UInt64(path)) == 0 else { return .nothing }
                item.drop(8 * path)
                let prefix = UInt32(truncatingIfNeeded: item.high >> 32)
                var at = 0, below = false
                while at < lanesCount, values[at] >= RouteNode.childBit {
                    let bits = RouteBag.bits(lanes[at])
                    if item.bits > bits, (prefix ^ lanes[at]) >> UInt32(32 - bits) == 0 {
                        steps[count - 1].way = at
                        link = UnsafeMutableRawPointer(values + at)
                        depth += path + bits / 8
                        below = true
                        break
                    }
                    at += 1
                }
                if below { continue }
                guard item.bits <= RouteBag.bits else { return .nothing }
                let lane = RouteBag.lane(prefix, bits: item.bits)
                while at < lanesCount {
                    if lanes[at] == lane { return .lane(at) }
                    at += 1
                }
                return .nothing
            }
            let node = self.node(reference)
            for index in 0..<node.pathCount {
                guard depth + index < terminal, key.octet(depth + index) == node.pathOctet(index) else { return .nothing }
            }
            depth += node.pathCount
            if depth == terminal { return find(node, key).map { .prefix($0) } ?? .nothing }
            let slot = key.octet(depth), run = node.run(UInt64(slot))
            steps[count - 1].way = slot
            guard node.values[run] >= RouteNode.childBit else { return .nothing }
            link = UnsafeMutableRawPointer(node.values + run)
            depth += 1
        }
    }

    /// Takes a lane out of the bag at step `index`, and the bag away when it was the last.
    private func removeLane(_ lane: Int, _ steps: UnsafeMutableBufferPointer<Step>, _ index: Int) {
        let link = steps[index].link
        if bag(link.load32(0)).count == 1 { return vanish(steps, index) }
        remove(lane: lane, fromBag: link, depth: steps[index].depth)
        if index > 0 { tidy(steps, index - 1) }
    }

    /// Takes away the node or bag at step `index`, which has no prefix left, and what was there only for it.
    private func vanish(_ steps: UnsafeMutableBufferPointer<Step>, _ index: Int) {
        let going = steps[index].link.load32(0), above = steps[index - 1]
        defer { retire(going) }
        change.shape = min(change.shape, above.depth)
        if above.link.load32(0) >= RouteBag.first { return removeLane(above.way, steps, index - 1) }
        let node = self.node(above.link.load32(0))
        if index > 1, node.prefixCount == 0, !hasChildren(node, besides: above.way) { return vanish(steps, index - 1) }
        rebuild(above.link, node, above.way...above.way, .value(reader.cover(going)), .none, depth: above.depth)
        tidy(steps, index - 1)
    }

    /// After something has gone below step `index`: nodes that have become small become bags.
    private func tidy(_ steps: UnsafeMutableBufferPointer<Step>, _ index: Int) {
        var at = index
        while at > 0, steps[at].link.load32(0) < RouteBag.first, gather(steps[at].link, depth: steps[at].depth) { at -= 1 }
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
            return Found(index: index, leaf: value < RouteNode.childBit ? value : reader.cover(value), length: 8, slots: slots)
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

    func hasChildren(_ node: RouteNode, besides slot: Int = -1) -> Bool {
        let spared = slot < 0 ? -1 : node.run(UInt64(slot))
        for index in 0..<node.runCount where index != spared && node.values[index] >= RouteNode.childBit { return true }
        return false
    }

    // MARK: Changing the shape of the trie

    private func addPrefix(_ link: UnsafeMutableRawPointer, _ node: RouteNode, _ key: RouteKey, depth: Int, leaf: UInt32) -> UInt32 {
        if let found = find(node, key) {
            guard found.leaf != leaf else { return leaf }
            let change: PrefixChange = found.length == 8 ? .none : .setShorter(index: found.index, leaf: leaf)
            rebuild(link, node, found.slots, .leaf(leaf, keep: longer(node, than: found)), change, depth: depth)
            return found.leaf
        }
        let (length, slots) = extent(key)
        let change: PrefixChange =
            length == 8 ? .addExact(slot: slots.lowerBound) : .addShorter(name: 1 << length | slots.lowerBound >> (8 - length), leaf: leaf)
        rebuild(link, node, slots, .leaf(leaf, keep: longer(node, than: length, in: slots)), change, depth: depth)
        return 0
    }

    /// A route that leaves the path of a node after `count` octets, or ends there: a bag takes its place, with the node below.
    private func split(_ link: UnsafeMutableRawPointer, _ node: RouteNode, at count: Int, _ key: RouteKey, depth: Int, leaf: UInt32) {
        let units = node.units, length = node.pathCount, path = node.path & RouteNode.pathMask(UInt64(length))
        let lower = allocateOrTrap(units), below = self.node(lower)
        below.base.copyMemory(from: node.base, byteCount: units * RouteNode.unit)
        below.base.store32(32, 0)
        below.base.store64(40, RouteNode.path(path << UInt64(8 * (count + 1)), count: length - count - 1, exact: node.exactCount))
        withItems { items in
            items.append(
                RouteItem(high: path & RouteNode.pathMask(UInt64(count + 1)), low: 0, bits: 8 * (count + 1), value: lower | RouteNode.childBit))
            items.append(Self.item(key, after: depth, value: leaf))
            items.sort()
            replace(link, build(items.base, 2, cover: node.cover), depth: depth)
        }
    }

    // MARK: Building a node

    /// Makes the next state of the node at `depth` in the scratch node and publishes it: in place when no run begins or ends and the size stays, else as a new node.
    private func rebuild(
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
    func writeCounts(_ node: RouteNode, shorter: Int) {
        let first = node.base.load64(0).nonzeroBitCount
        let second = first + node.base.load64(8).nonzeroBitCount
        let third = second + node.base.load64(16).nonzeroBitCount
        node.base.store32(36, UInt32(first | second << 8 | third << 16 | shorter << 24))
    }

    // MARK: Memory

    /// More than one update can take: two nodes of the largest size, and three bags for every route of a full one. Kept free of insertions, so that removals always find room.
    private func hasRoomForUpdate() -> Bool {
        if arena.untouchedUnits >= 2048 { return true }
        quiescence.synchronize()
        collect()
        return arena.untouchedUnits + arena.freeUnits / 4 >= 2048
    }

    func allocateOrTrap(_ units: Int) -> UInt32 {
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
