// Ordered reading of a trie. Control thread only.
extension RouteTable {
    /// Calls `body` with every route after `after` (nil: from the first) in order of address, then length, until it returns false.
    /// Complexity: subtrees that lie wholly before `after` are skipped.
    func forEach(_ root: UInt32, after: RouteKey?, _ body: (RouteKey, UInt32) -> Bool) {
        guard Int(root) < counts.count else { return }
        _ = visit(first(root), high: 0, low: 0, depth: 0, after: after, body)
    }

    /// False: `body` asked to stop.
    private func visit(
        _ reference: UInt32, high: UInt64, low: UInt64, depth: Int, after: RouteKey?, _ body: (RouteKey, UInt32) -> Bool
    ) -> Bool {
        if reference >= RouteBag.first { return visit(bag(reference), high: high, low: low, depth: depth, after: after, body) }
        let node = self.node(reference)
        var high = high, low = low
        for index in 0..<node.pathCount { Self.set(&high, &low, octet: depth + index, node.pathOctet(index)) }
        let depth = depth + node.pathCount
        var exact = SlotMask()
        for index in 0..<node.exactCount { exact.insert(Int(node.exactSlots[index])) }
        let names = (0..<node.shorterCount).map { (name: Int(node.shorterNames[$0]), leaf: node.shorterLeaves[$0]) }.sorted { $0.name < $1.name }
        var run = -1
        for slot in 0...255 {
            if node.bit(slot) { run += 1 }
            var slotHigh = high, slotLow = low
            Self.set(&slotHigh, &slotLow, octet: depth, slot)
            // Longer names are larger numbers, so prefixes that start at one slot come in order of length.
            for (name, leaf) in names {
                let length = Int.bitWidth - 1 - name.leadingZeroBitCount
                guard (name << (8 - length)) & 255 == slot else { continue }
                let key = RouteKey(high: slotHigh, low: slotLow, length: UInt8(depth * 8 + length))
                if after.map({ $0 < key }) ?? true, !body(key, leaf) { return false }
            }
            let value = node.values[run]
            if exact.contains(slot) {
                let key = RouteKey(high: slotHigh, low: slotLow, length: UInt8(depth * 8 + 8))
                let leaf = value < RouteNode.childBit ? value : reader.cover(value)
                if after.map({ $0 < key }) ?? true, !body(key, leaf) { return false }
            }
            if value >= RouteNode.childBit, !isBefore(slotHigh, slotLow, octets: depth + 1, after) {
                guard visit(value, high: slotHigh, low: slotLow, depth: depth + 1, after: after, body) else { return false }
            }
        }
        return true
    }

    private func visit(_ bag: RouteBag, high: UInt64, low: UInt64, depth: Int, after: RouteKey?, _ body: (RouteKey, UInt32) -> Bool) -> Bool {
        withItems { items in
            read(bag, &items)
            items.sort()
            for index in 0..<items.count {
                let item = items.base[index], shift = UInt64(8 * depth)
                // Swift's shifts are smart: by 64 and more, everything goes.
                let itemHigh = high | item.high >> shift
                let itemLow = low | item.low >> shift | (depth <= 8 ? item.high << (64 - shift) : item.high >> (shift - 64))
                if item.isChild {
                    let octets = depth + item.bits / 8
                    if !isBefore(itemHigh, itemLow, octets: octets, after),
                        !visit(item.value, high: itemHigh, low: itemLow, depth: octets, after: after, body)
                    {
                        return false
                    }
                } else {
                    let key = RouteKey(high: itemHigh, low: itemLow, length: UInt8(8 * depth + item.bits))
                    if after.map({ $0 < key }) ?? true, !body(key, item.value) { return false }
                }
            }
            return true
        }
    }

    /// Every address that starts with the first `octets` octets is below `after`.
    private func isBefore(_ high: UInt64, _ low: UInt64, octets: Int, _ after: RouteKey?) -> Bool {
        guard let after else { return false }
        let length = UInt8(octets * 8)
        let bound = RouteKey(high: after.high, low: after.low, length: length)
        let own = RouteKey(high: high, low: low, length: length)
        return own < bound
    }

    private static func set(_ high: inout UInt64, _ low: inout UInt64, octet: Int, _ value: Int) {
        if octet < 8 { high |= UInt64(value) << UInt64(56 - 8 * octet) } else { low |= UInt64(value) << UInt64(120 - 8 * octet) }
    }
}
