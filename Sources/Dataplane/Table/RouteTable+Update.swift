import CPlatform

// Insertion, and what insertion and removal have in common. Control thread only.
extension RouteTable {
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

    // MARK: Finding a prefix in its node

    struct Found {
        var index: Int
        var leaf: UInt32
        /// Bits within the node, 0…8.
        var length: Int
        var slots: ClosedRange<Int>
    }

    /// Bits of a prefix within the node it ends in, and the slots it covers there.
    func extent(_ key: RouteKey) -> (length: Int, slots: ClosedRange<Int>) {
        guard key.length > 0 else { return (0, 0...255) }
        let terminal = (Int(key.length) - 1) / 8
        let length = Int(key.length) - 8 * terminal
        let slot = key.octet(terminal)
        return (length, slot...(slot + (1 << (8 - length)) - 1))
    }

    func find(_ node: RouteNode, _ key: RouteKey) -> Found? {
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
    func background(_ node: RouteNode, slot: Int, shorterThan length: Int) -> UInt32 {
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
    static func bits(_ name: Int) -> Int { Int.bitWidth - 1 - name.leadingZeroBitCount }

    /// The slots that prefixes longer than the one found, inside it, own.
    func longer(_ node: RouteNode, than found: Found) -> SlotMask { longer(node, than: found.length, in: found.slots) }

    func longer(_ node: RouteNode, than length: Int, in slots: ClosedRange<Int>) -> SlotMask {
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

    // MARK: Memory

    /// More than one update can take: two nodes of the largest size, and three bags for every route of a full one. Kept free of insertions, so that removals always find room.
    func hasRoomForUpdate() -> Bool {
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
