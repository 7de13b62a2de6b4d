import CPlatform

// Bags: insertion and removal of lanes, when a bag becomes a node and the other way round. Control thread only.
extension RouteTable {
    func bag(_ reference: UInt32) -> RouteBag { reader.bag(reference) }

    // MARK: Items

    /// Adds the lanes of a bag to a list, with `prefix` before them.
    func read(_ bag: RouteBag, _ items: inout RouteItems, after prefix: UInt64 = 0, _ prefixBits: Int = 0) {
        let lanes = bag.lanes, values = bag.values, path = bag.path, pathBits = bag.pathCount * 8
        for index in 0..<bag.count {
            var item = RouteItem(high: UInt64(RouteBag.prefix(lanes[index])) << 32, low: 0, bits: RouteBag.bits(lanes[index]), value: values[index])
            item.prepend(path, pathBits)
            item.prepend(prefix, prefixBits)
            items.append(item)
        }
    }

    /// `body` with a list of items of its own.
    func withItems<Result>(_ body: (inout RouteItems) -> Result) -> Result {
        withUnsafeTemporaryAllocation(of: RouteItem.self, capacity: RouteItems.capacity) {
            var items = RouteItems(base: $0.baseAddress.unsafelyUnwrapped)
            return body(&items)
        }
    }

    /// The part of a key behind its first `octets` octets.
    static func item(_ key: RouteKey, after octets: Int, value: UInt32) -> RouteItem {
        var item = RouteItem(high: key.high, low: key.low, bits: Int(key.length), value: value)
        item.drop(8 * octets)
        return item
    }

    // MARK: Insertion

    /// What there is to do after a bag was looked at.
    enum BagInsertion {
        /// The old leaf, 0: there was none.
        case done(UInt32)
        /// The route belongs below this lane.
        case below(lane: Int, octets: Int)
    }

    /// Inserts a route into the bag that `link` leads to, whose first octet is octet `depth` of the address.
    func insert(intoBag link: UnsafeMutableRawPointer, _ key: RouteKey, depth: Int, leaf: UInt32) -> BagInsertion {
        let reference = link.load32(0), bag = bag(reference)
        let path = bag.pathCount, item = Self.item(key, after: depth, value: leaf)
        let isOnPath = path == 0 || (item.high ^ bag.path) & RouteNode.pathMask(UInt64(path)) == 0
        let bits = item.bits - 8 * path
        if isOnPath, bits > 0 {
            let prefix = UInt32(truncatingIfNeeded: (item.high << UInt64(8 * path) | (path == 0 ? 0 : item.low >> UInt64(64 - 8 * path))) >> 32)
            let lanes = bag.lanes, values = bag.values, count = bag.count
            var at = 0
            while at < count, values[at] >= RouteNode.childBit {
                let childBits = RouteBag.bits(lanes[at])
                if bits > childBits, (prefix ^ lanes[at]) >> UInt32(32 - childBits) == 0 { return .below(lane: at, octets: path + childBits / 8) }
                at += 1
            }
            if bits <= RouteBag.bits {
                let lane = RouteBag.lane(prefix, bits: bits)
                // From the longest to the shortest: the lowest 1 goes up.
                let mark = lane & (0 &- lane)
                while at < count, lanes[at] & (0 &- lanes[at]) < mark { at += 1 }
                let place = at
                while at < count, lanes[at] & (0 &- lanes[at]) == mark {
                    if lanes[at] == lane {
                        let old = values[at]
                        UnsafeMutableRawPointer(values + at).release32(0, leaf)
                        if values[0] >= RouteNode.childBit { refreshCovers(bag) }
                        return .done(old)
                    }
                    at += 1
                }
                if count < RouteBag.capacity {
                    let units = RouteBag.units(lanes: count + 1, path: path)
                    let index = allocateOrTrap(units)
                    let new = RouteBag(base: arena.base + Int(index) * RouteNode.unit)
                    new.begin(cover: bag.cover, lanes: count + 1, path: bag.path, pathCount: path)
                    let newLanes = new.lanes, newValues = new.values
                    newLanes.update(from: lanes, count: place)
                    newLanes[place] = lane
                    (newLanes + place + 1).update(from: lanes + place, count: count - place)
                    newValues.update(from: values, count: place)
                    newValues[place] = leaf
                    (newValues + place + 1).update(from: values + place, count: count - place)
                    if newValues[0] >= RouteNode.childBit { refreshCovers(new) }
                    replace(link, index | RouteBag.first, depth: depth)
                    return .done(0)
                }
            }
        }
        withItems { items in
            read(bag, &items)
            items.append(item)
            items.sort()
            replace(link, build(items.base, items.count, cover: bag.cover), depth: depth)
        }
        return .done(0)
    }

    /// Publishes what takes the place of a node or bag other than a root.
    func replace(_ link: UnsafeMutableRawPointer, _ reference: UInt32, depth: Int) {
        let old = link.load32(0)
        link.release32(0, reference)
        retire(old)
        change.shape = min(change.shape, depth)
        change.note(depth: depth, old, reference)
    }

    // MARK: Removal

    /// Takes a lane out of the bag that `link` leads to; there are others.
    func remove(lane: Int, fromBag link: UnsafeMutableRawPointer, depth: Int) {
        let bag = bag(link.load32(0)), count = bag.count - 1
        // Few enough that the path may be a longer one from now on.
        guard count > 4 else {
            return withItems { items in
                read(bag, &items)
                items.remove(at: lane)
                items.sort()
                replace(link, build(items.base, items.count, cover: bag.cover), depth: depth)
            }
        }
        let index = allocateOrTrap(RouteBag.units(lanes: count, path: bag.pathCount))
        let new = RouteBag(base: arena.base + Int(index) * RouteNode.unit)
        new.begin(cover: bag.cover, lanes: count, path: bag.path, pathCount: bag.pathCount)
        new.lanes.update(from: bag.lanes, count: lane)
        (new.lanes + lane).update(from: bag.lanes + lane + 1, count: count - lane)
        new.values.update(from: bag.values, count: lane)
        (new.values + lane).update(from: bag.values + lane + 1, count: count - lane)
        if new.values[0] >= RouteNode.childBit { refreshCovers(new) }
        replace(link, index | RouteBag.first, depth: depth)
    }

    /// Makes a bag of a node, not a root, that has become small; its bags become part of it. True when it did.
    func gather(_ link: UnsafeMutableRawPointer, depth: Int) -> Bool {
        let node = self.node(link.load32(0)), limit = RouteBag.capacity / 2
        var total = node.prefixCount
        for index in 0..<node.runCount where node.values[index] >= RouteNode.childBit {
            total += node.values[index] >= RouteBag.first ? bag(node.values[index]).count : 1
            if total > limit { return false }
        }
        guard total <= limit else { return false }
        withItems { items in
            let path = node.path & RouteNode.pathMask(6), pathBits = 8 * node.pathCount
            for index in 0..<node.shorterCount {
                let name = UInt64(node.shorterNames[index]), bits = 63 - name.leadingZeroBitCount
                var item = RouteItem(high: bits == 0 ? 0 : name << UInt64(64 - bits), low: 0, bits: bits, value: node.shorterLeaves[index])
                item.prepend(path, pathBits)
                items.append(item)
            }
            for index in 0..<node.exactCount {
                let slot = UInt64(node.exactSlots[index]), value = node.value(slot)
                let leaf = value < RouteNode.childBit ? value : reader.cover(value)
                var item = RouteItem(high: slot << 56, low: 0, bits: 8, value: leaf)
                item.prepend(path, pathBits)
                items.append(item)
            }
            var consumed: (count: Int, bags: SIMD16<UInt32>) = (0, .zero)
            node.forEachRun { slot, value in
                guard value >= RouteNode.childBit else { return }
                let prefix = path | UInt64(slot) << UInt64(56 - pathBits)
                if value >= RouteBag.first {
                    read(bag(value), &items, after: prefix, pathBits + 8)
                    consumed.bags[consumed.count] = value
                    consumed.count += 1
                } else {
                    items.append(RouteItem(high: prefix, low: 0, bits: pathBits + 8, value: value))
                }
            }
            items.sort()
            replace(link, build(items.base, items.count, cover: node.cover), depth: depth)
            for index in 0..<consumed.count { retire(consumed.bags[index]) }
        }
        return true
    }
}
