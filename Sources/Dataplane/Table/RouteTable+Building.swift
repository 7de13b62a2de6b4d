import CPlatform

// Bags and nodes made of a list of routes, and the covers of their children. Control thread only.
extension RouteTable {
    /// A bag of the items, or a node when they are too many for one; returns its reference. Items are in order and are changed; nothing lies beneath a child's bits.
    func build(_ items: UnsafeMutablePointer<RouteItem>, _ count: Int, cover: UInt32) -> UInt32 {
        if count == 1, items[0].isChild {
            if items[0].bits == 0 { return covered(items[0].value, by: cover) }
            if let joined = lengthened(items[0], cover: cover) { return joined }
        }
        // When one is too long for a lane: the octets that all have in common, as far as each goes on behind them.
        var octets = 0
        for index in 0..<count where items[index].bits > (items[index].isChild ? 24 : RouteBag.bits) { octets = RouteNode.maximumPath }
        let first = items[0], last = items[count - 1]
        let common = first.high != last.high ? (first.high ^ last.high).leadingZeroBitCount : 64
        octets = min(octets, common / 8)
        for index in 0..<count { octets = min(octets, (items[index].bits - (items[index].isChild ? 8 : 1)) / 8) }
        let path = octets == 0 ? 0 : first.high & RouteNode.pathMask(UInt64(octets))
        for index in 0..<count { items[index].drop(8 * octets) }

        var lanes = 0, children = 0, at = 0
        while at < count {
            let (end, isShared) = lane(items, at, count)
            lanes += 1
            if isShared || items[at].isChild { children += 1 }
            at = end
        }
        guard lanes <= RouteBag.capacity else { return buildNode(items, count, path: path, octets: octets, cover: cover) }

        let index = allocateOrTrap(RouteBag.units(lanes: lanes, path: octets))
        let bag = RouteBag(base: arena.base + Int(index) * RouteNode.unit)
        bag.begin(cover: cover, lanes: lanes, path: path, pathCount: octets)
        let into = bag.lanes, values = bag.values
        var child = 0, leaf = children
        at = 0
        while at < count {
            let (end, isShared) = lane(items, at, count), prefix = UInt32(truncatingIfNeeded: items[at].high >> 32)
            if isShared {
                for index in at..<end { items[index].drop(24) }
                into[child] = RouteBag.lane(prefix, bits: 24)
                values[child] = build(items + at, end - at, cover: 0)
                child += 1
            } else if items[at].isChild {
                into[child] = RouteBag.lane(prefix, bits: items[at].bits)
                values[child] = items[at].value
                child += 1
            } else {
                let lane = RouteBag.lane(prefix, bits: items[at].bits)
                var place = leaf
                while place > children, RouteBag.bits(into[place - 1]) < items[at].bits {
                    into[place] = into[place - 1]
                    values[place] = values[place - 1]
                    place -= 1
                }
                into[place] = lane
                values[place] = items[at].value
                leaf += 1
            }
            at = end
        }
        refreshCovers(bag)
        return index | RouteBag.first
    }

    /// The items that share the lane of item `at`: all with its first 24 bits, when one of them is too long for a lane; else it alone.
    func lane(_ items: UnsafeMutablePointer<RouteItem>, _ at: Int, _ count: Int) -> (end: Int, isShared: Bool) {
        var end = at, isShared = false
        while end < count, items[end].bits > 24, (items[end].high ^ items[at].high) >> 40 == 0 {
            if items[end].bits > (items[end].isChild ? 24 : RouteBag.bits) { isShared = true }
            end += 1
        }
        return isShared ? (end, true) : (at + 1, false)
    }

    /// A node of items that are too many for a bag.
    func buildNode(_ items: UnsafeMutablePointer<RouteItem>, _ count: Int, path: UInt64, octets: Int, cover: UInt32) -> UInt32 {
        withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 256) { slots in
            slots.update(repeating: 0)
            // Own prefixes, from the shortest on; every one is at most a node's slot long.
            var shorter = 0, exact = 0
            for bits in 0...8 {
                for index in 0..<count where !items[index].isChild && items[index].bits == bits {
                    let from = Int(truncatingIfNeeded: items[index].high >> 56)
                    for slot in from..<(from + 1 << (8 - bits)) { slots[slot] = items[index].value }
                    if bits == 8 { exact += 1 } else { shorter += 1 }
                }
            }
            return withUnsafeTemporaryAllocation(of: RouteItem.self, capacity: count) { own in
                // What ends here aside: the rest lies together by its first octet.
                var ownCount = 0, kept = 0
                for index in 0..<count {
                    if !items[index].isChild, items[index].bits <= 8 {
                        (own.baseAddress.unsafelyUnwrapped + ownCount).initialize(to: items[index])
                        ownCount += 1
                    } else {
                        items[kept] = items[index]
                        kept += 1
                    }
                }
                var at = 0
                while at < kept {
                    let slot = Int(truncatingIfNeeded: items[at].high >> 56)
                    var end = at
                    while end < kept, Int(truncatingIfNeeded: items[end].high >> 56) == slot {
                        items[end].drop(8)
                        end += 1
                    }
                    slots[slot] = build(items + at, end - at, cover: slots[slot])
                    at = end
                }
                return write(slots, own, ownCount, shorter: shorter, exact: exact, path: path, octets: octets, cover: cover)
            }
        }
    }

    func write(
        _ slots: UnsafeMutableBufferPointer<UInt32>, _ own: UnsafeMutableBufferPointer<RouteItem>, _ ownCount: Int, shorter: Int, exact: Int,
        path: UInt64, octets: Int, cover: UInt32
    ) -> UInt32 {
        var runs = 1
        for slot in 1..<256 where slots[slot] != slots[slot - 1] { runs += 1 }
        let index = allocateOrTrap(RouteNode.units(RouteNode.size(runs: runs, shorter: shorter, exact: exact)))
        let node = self.node(index)
        node.initializeEmpty()
        node.base.store32(32, cover)
        node.base.store64(40, RouteNode.path(path, count: octets, exact: exact))
        var run = 0
        node.values[0] = slots[0]
        for slot in 1..<256 where slots[slot] != slots[slot - 1] {
            let word = (slot >> 6) * 8
            node.base.store64(word, node.base.load64(word) | 1 << UInt64(slot & 63))
            run += 1
            node.values[run] = slots[slot]
        }
        writeCounts(node, shorter: shorter)
        let leaves = node.shorterLeaves, names = node.shorterNames, exactSlots = node.exactSlots
        var shorterAt = 0, exactAt = 0
        for index in 0..<ownCount {
            let slot = Int(truncatingIfNeeded: own[index].high >> 56), bits = own[index].bits
            if bits == 8 {
                exactSlots[exactAt] = UInt8(truncatingIfNeeded: slot)
                exactAt += 1
            } else {
                leaves[shorterAt] = own[index].value
                names[shorterAt] = UInt8(truncatingIfNeeded: 1 << bits | slot >> (8 - bits))
                shorterAt += 1
            }
        }
        return index | RouteNode.childBit
    }

    // MARK: Children

    /// Gives each child of a bag its cover: the longest of the bag's prefixes that holds the lane. Of a bag that is published, only leaves may have been replaced.
    func refreshCovers(_ bag: RouteBag) {
        let lanes = bag.lanes, values = bag.values, count = bag.count, children = bag.childCount
        for child in 0..<children {
            let bits = RouteBag.bits(lanes[child])
            var leaf: UInt32 = 0, at = children
            while at < count {
                let length = RouteBag.bits(lanes[at])
                if length <= bits, (lanes[at] ^ lanes[child]) >> UInt32(32 - length) == 0 {
                    leaf = values[at]
                    break
                }
                at += 1
            }
            let old = values[child], new = covered(old, by: leaf)
            if new != old { UnsafeMutableRawPointer(values + child).release32(0, new) }
        }
    }

    /// The child with this cover. A cover is changed in place, but not taken away: who is on the way to the child from above does not know yet what holds instead.
    func covered(_ child: UInt32, by cover: UInt32) -> UInt32 {
        let old = reader.cover(child)
        if old == cover { return child }
        if cover != 0 {
            reader.setCover(child, cover)
            return child
        }
        let units = units(child), index = allocateOrTrap(units)
        let copy = arena.base + Int(index) * RouteNode.unit
        copy.copyMemory(from: arena.base + Int(child & RouteReader.indexMask) * RouteNode.unit, byteCount: units * RouteNode.unit)
        retire(child)
        let reference = index | child & RouteBag.first
        reader.setCover(reference, 0)
        return reference
    }

    /// A child with the octets that lead to it put before its path; nil when they are too many.
    func lengthened(_ item: RouteItem, cover: UInt32) -> UInt32? {
        let octets = item.bits / 8, prefix = item.high, child = item.value
        if child >= RouteBag.first {
            let old = bag(child), length = octets + old.pathCount
            guard length <= RouteNode.maximumPath else { return nil }
            let index = allocateOrTrap(RouteBag.units(lanes: old.count, path: length))
            let new = RouteBag(base: arena.base + Int(index) * RouteNode.unit)
            new.begin(cover: cover, lanes: old.count, path: prefix | old.path >> UInt64(8 * octets), pathCount: length)
            new.lanes.update(from: old.lanes, count: old.count)
            new.values.update(from: old.values, count: old.count)
            retire(child)
            return index | RouteBag.first
        }
        let old = node(child), length = octets + old.pathCount, units = old.units
        guard length <= RouteNode.maximumPath else { return nil }
        let index = allocateOrTrap(units), new = node(index)
        new.base.copyMemory(from: old.base, byteCount: units * RouteNode.unit)
        new.base.store32(32, cover)
        let path = prefix | (old.path & RouteNode.pathMask(6)) >> UInt64(8 * octets)
        new.base.store64(40, RouteNode.path(path, count: length, exact: old.exactCount))
        retire(child)
        return index | RouteNode.childBit
    }
}
