import CPlatform

/// What is below a node or bag, as the changes of bags see it: a route, or a child that is taken over as it is.
struct RouteItem {
    /// Bits from the depth that is looked at, first in the top one of `high`.
    var high: UInt64
    var low: UInt64
    var bits: Int
    /// A leaf, or a reference.
    var value: UInt32

    var isChild: Bool { value >= RouteNode.childBit }

    /// Leaves out the first `count` bits.
    mutating func drop(_ count: Int) {
        bits -= count
        if count >= 64 {
            high = low << UInt64(count - 64)
            low = 0
        } else if count > 0 {
            high = high << UInt64(count) | low >> UInt64(64 - count)
            low <<= UInt64(count)
        }
    }

    /// Puts `count` bits, 0…63, first in the top one of `prefix` and nothing behind them, before the others.
    mutating func prepend(_ prefix: UInt64, _ count: Int) {
        bits += count
        guard count > 0 else { return }
        low = low >> UInt64(count) | high << UInt64(64 - count)
        high = high >> UInt64(count) | prefix
    }

    /// By address, then length; a prefix before a child that begins with the same bits.
    static func precedes(_ a: RouteItem, _ b: RouteItem) -> Bool {
        a.high != b.high ? a.high < b.high : a.low != b.low ? a.low < b.low : a.bits != b.bits ? a.bits < b.bits : !a.isChild && b.isChild
    }
}

/// A list of items in memory that is there already: more than one bag and one route more, and more than a node that becomes a bag.
struct RouteItems {
    static let capacity = 2 * RouteBag.capacity
    let base: UnsafeMutablePointer<RouteItem>
    var count = 0

    mutating func append(_ item: RouteItem) {
        precondition(count < Self.capacity, "more items than a bag and a route")
        (base + count).initialize(to: item)
        count += 1
    }

    mutating func remove(at index: Int) {
        count -= 1
        (base + index).update(from: base + index + 1, count: count - index)
    }

    /// They are few, and mostly in order.
    func sort() {
        var at = 1
        while at < count {
            let item = base[at]
            var to = at
            while to > 0, RouteItem.precedes(item, base[to - 1]) {
                base[to] = base[to - 1]
                to -= 1
            }
            base[to] = item
            at += 1
        }
    }
}

// Bags: insertion and removal of lanes, and what makes bags of routes and nodes of bags. Control thread only.
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

    // MARK: Building

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
    private func lane(_ items: UnsafeMutablePointer<RouteItem>, _ at: Int, _ count: Int) -> (end: Int, isShared: Bool) {
        var end = at, isShared = false
        while end < count, items[end].bits > 24, (items[end].high ^ items[at].high) >> 40 == 0 {
            if items[end].bits > (items[end].isChild ? 24 : RouteBag.bits) { isShared = true }
            end += 1
        }
        return isShared ? (end, true) : (at + 1, false)
    }

    /// A node of items that are too many for a bag.
    private func buildNode(_ items: UnsafeMutablePointer<RouteItem>, _ count: Int, path: UInt64, octets: Int, cover: UInt32) -> UInt32 {
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

    private func write(
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
    private func refreshCovers(_ bag: RouteBag) {
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
    private func covered(_ child: UInt32, by cover: UInt32) -> UInt32 {
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
    private func lengthened(_ item: RouteItem, cover: UInt32) -> UInt32? {
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
