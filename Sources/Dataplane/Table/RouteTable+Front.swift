/// Which fronts are in use. A front is 65,536 UInt32, by the 16 bits of the address behind its anchor; numbers start at 1.
struct FrontPool {
    static let size = 65_536 * 4
    static let maximum = 1024
    var free: [UInt32] = []
    var next: UInt32 = 1
    var limbo = Limbo()
    /// A bit for every part of 256 entries that may hold anything, by number less one and the first of the two octets.
    var parts: [UInt64] = []
    var filledCount = 0
    var filledBytes: Int { filledCount * 1024 }
    /// By number less one: while the trie has so many routes, nobody asks whether most of them are still behind the anchor.
    var settled: [ClosedRange<Int>] = []
    /// Tries whose front was taken because the way to its anchor is gone: how many updates they have yet to wait for another.
    var waiting: [UInt32: Int] = [:]

    private func place(_ number: UInt32, _ octet: Int) -> (word: Int, bit: UInt64) { (Int(number - 1) * 4 + octet >> 6, 1 << UInt64(octet & 63)) }

    func isFilled(_ number: UInt32, _ octet: Int) -> Bool {
        let (word, bit) = place(number, octet)
        return parts[word] & bit != 0
    }

    mutating func fill(_ number: UInt32, _ octet: Int) {
        let (word, bit) = place(number, octet)
        if parts[word] & bit == 0 { filledCount += 1 }
        parts[word] |= bit
    }

    mutating func empty(_ number: UInt32, _ octet: Int) {
        let (word, bit) = place(number, octet)
        if parts[word] & bit != 0 { filledCount -= 1 }
        parts[word] &= ~bit
    }
}

// Keeping fronts equal to what the nodes say. Control thread only; see "Front" in `RouteTable`.
extension RouteTable {
    /// Brings the front up to date after the insertion or removal of a prefix; gives a trie a front when it has become large, takes it when it is small again.
    func updateFront(_ root: UInt32, _ key: RouteKey) {
        let number = reader.frontNumber(root), count = Int(counts[Int(root)])
        guard number != 0 else {
            if count >= frontThreshold, isTimeForFront(root) { addFront(root) }
            return
        }
        if count < frontThreshold / 4 { return removeFront(root) }
        if !frontPool.settled[Int(number) - 1].contains(count), moveFront(root) { return }
        let anchor = reader.anchor(number), octets = anchor.octets, length = Int(key.length) - 8 * octets
        // Most updates: below what the front leads to, and perhaps that itself.
        if length > 16, change.depth >= octets + 2, anchor.holds(key.high, key.low) {
            if change.depth > octets + 2 { return }
            let entry = reader.front(number) + anchor.entry(key.high, key.low) * 4
            if entry.load32(0) == change.old { return entry.release32(0, change.new) }
        }
        if change.shape <= octets, octets > 0, (0..<change.shape).allSatisfy({ key.octet($0) == anchor.octet($0) }), head(root, anchor) == nil {
            // Building a front costs as much as a few thousand updates: not with each that breaks one.
            frontPool.waiting[root] = max(count / 4, frontThreshold)
            return removeFront(root)
        }
        // Prefixes that do not begin with the anchor lead elsewhere, and those that end in it are covers of nodes above.
        guard length > 0 || octets == 0, anchor.holds(key.high, key.low), let head = head(root, anchor) else { return }
        let first = key.octet(octets)
        if length <= 8 {
            for octet in first..<(first + 1 << (8 - length)) { refreshPart(number, head, octet) }
        } else if length < 16 || change.shape < octets + 2 {
            refreshPart(number, head, first)
        } else {
            refresh(number, first, key.octet(octets + 1), below: second(head, first))
        }
    }

    // MARK: Coming, going and moving

    private func isTimeForFront(_ root: UInt32) -> Bool {
        guard !frontPool.waiting.isEmpty, let left = frontPool.waiting[root] else { return true }
        frontPool.waiting[root] = left > 1 ? left - 1 : nil
        return left <= 1
    }

    private func addFront(_ root: UInt32) {
        if frontPool.free.isEmpty, frontPool.limbo.count > 0 { collectFronts() }
        let number: UInt32
        if let free = frontPool.free.popLast() {
            number = free
        } else {
            guard frontPool.next <= UInt32(FrontPool.maximum) else { return }
            number = frontPool.next
            frontPool.next += 1
            frontPool.settled.append(0...0)
            frontPool.parts += [0, 0, 0, 0]
        }
        settle(root, number)
        let anchor = bestAnchor(root)
        anchor.write(to: reader.anchors + Int(number - 1) * RouteAnchor.size)
        if let head = head(root, anchor) { for octet in 0..<256 { refreshPart(number, head, octet) } }
        roots.release32(Int(root) * 8 + 4, number)
    }

    private func settle(_ root: UInt32, _ number: UInt32) {
        let count = Int(counts[Int(root)])
        frontPool.settled[Int(number) - 1] = count / 4...count * 4
    }

    func removeFront(_ root: UInt32) {
        let number = reader.frontNumber(root)
        guard number != 0 else { return }
        roots.release32(Int(root) * 8 + 4, 0)
        frontPool.limbo.push(UInt64(number))
        collectFronts()
    }

    /// As a trie has grown or shrunk: a front where most of its routes are now. False: it stands there already.
    private func moveFront(_ root: UInt32) -> Bool {
        let number = reader.frontNumber(root)
        settle(root, number)
        if bestAnchor(root) == reader.anchor(number) { return false }
        removeFront(root)
        addFront(root)
        return true
    }

    /// A front that no reader can hold is emptied for its next use.
    private func collectFronts() {
        var freed: [UInt32] = []
        frontPool.limbo.collect(quiescence) { freed.append(UInt32(truncatingIfNeeded: $0)) }
        for number in freed {
            let front = reader.front(number)
            for octet in 0..<256 where frontPool.isFilled(number, octet) {
                for entry in 0..<256 { front.store32((octet << 8 | entry) * 4, 0) }
                frontPool.empty(number, octet)
            }
            frontPool.free.append(number)
        }
    }

    // MARK: Entries

    /// Brings the 256 entries of one part up to date.
    private func refreshPart(_ number: UInt32, _ head: RouteNode, _ octet: Int) {
        let second = second(head, octet)
        // What a part would say is nothing, as it does already.
        if second == nil, !frontPool.isFilled(number, octet) { return }
        for low in 0..<256 { refresh(number, octet, low, below: second) }
    }

    private func refresh(_ number: UInt32, _ octet: Int, _ low: Int, below second: RouteNode?) {
        let entry = reader.front(number) + (octet << 8 | low) * 4, old = entry.load32(0)
        // A cover is of a prefix that ends in the node above, whose changes refresh the part.
        let new = second.map { $0.value(UInt64(low)) != 0 ? $0.value(UInt64(low)) : $0.cover } ?? 0
        guard old != new else { return }
        if old == 0 { frontPool.fill(number, octet) }
        entry.release32(0, new)
    }

    /// The node below the one at the anchor whose values the entries of a part repeat. A leaf here costs a lookup one node and a bag one line: not worth a part of the
    /// front; a path has been looked at by nobody who comes from the front.
    private func second(_ head: RouteNode, _ octet: Int) -> RouteNode? {
        let value = head.value(UInt64(octet))
        guard value >= RouteNode.childBit, value < RouteBag.first, case let second = node(value), second.pathCount == 0 else { return nil }
        return second
    }

    // MARK: Where the routes are

    /// The node that the anchor's octets, all of them, lead to, its path being their end; nil: there is none.
    private func head(_ root: UInt32, _ anchor: RouteAnchor) -> RouteNode? {
        var reference = first(root), depth = 0
        while true {
            if reference >= RouteBag.first {
                guard let (child, octets) = child(bag(reference), anchor, from: depth) else { return nil }
                reference = child
                depth += octets
                continue
            }
            let node = self.node(reference)
            guard depth + node.pathCount <= anchor.octets else { return nil }
            for index in 0..<node.pathCount where node.pathOctet(index) != anchor.octet(depth + index) { return nil }
            depth += node.pathCount
            if depth == anchor.octets { return node }
            reference = node.value(UInt64(anchor.octet(depth)))
            guard reference >= RouteNode.childBit else { return nil }
            depth += 1
        }
    }

    /// The child of a bag on the way to the anchor, whose octets before `depth` led to the bag, and how many more lead to the child.
    private func child(_ bag: RouteBag, _ anchor: RouteAnchor, from depth: Int) -> (reference: UInt32, octets: Int)? {
        let path = bag.pathCount, left = anchor.octets - depth
        guard path <= left else { return nil }
        let rest = RouteAnchor.skip(anchor.high, anchor.low, octets: depth)
        guard path == 0 || (rest.high ^ bag.path) & RouteNode.pathMask(UInt64(path)) == 0 else { return nil }
        let key = UInt32(truncatingIfNeeded: RouteAnchor.skip(rest.high, rest.low, octets: path).high >> 32)
        for lane in 0..<bag.childCount {
            let bits = RouteBag.bits(bag.lanes[lane])
            if path + bits / 8 <= left, (key ^ bag.lanes[lane]) >> UInt32(32 - bits) == 0 { return (bag.values[lane], path + bits / 8) }
        }
        return nil
    }

    /// The octets that lead to the deepest node that has children and three quarters of the trie's routes.
    private func bestAnchor(_ root: UInt32) -> RouteAnchor {
        let wanted = max(1, Int(counts[Int(root)]) * 3 / 4)
        var best = RouteAnchor(), way = RouteAnchor(), next = first(root)
        while true {
            var found: UInt32 = 0
            forEachChild(next) { path, step, child in
                guard found == 0, routeCount(under: child, upTo: wanted) >= wanted else { return }
                found = child
                way.append(path)
                way.append(step)
            }
            guard found != 0 else { return best }
            next = found
            guard found < RouteBag.first else { continue }
            let node = self.node(found)
            guard hasChildren(node) else { return best }
            best = way
            best.append(RouteAnchor.Octets(word: node.path, count: node.pathCount))
        }
    }

    /// The children of a node or bag, each with the path and the octets that lead to it behind that.
    private func forEachChild(_ reference: UInt32, _ body: (_ path: RouteAnchor.Octets, _ step: RouteAnchor.Octets, _ child: UInt32) -> Void) {
        if reference >= RouteBag.first {
            let bag = bag(reference), path = RouteAnchor.Octets(word: bag.path, count: bag.pathCount)
            for index in 0..<bag.childCount {
                let lane = bag.lanes[index]
                body(path, RouteAnchor.Octets(word: UInt64(RouteBag.prefix(lane)) << 32, count: RouteBag.bits(lane) / 8), bag.values[index])
            }
            return
        }
        let node = self.node(reference), path = RouteAnchor.Octets(word: node.path, count: node.pathCount)
        node.forEachRun { slot, value in
            if value >= RouteNode.childBit { body(path, RouteAnchor.Octets(word: UInt64(slot) << 56, count: 1), value) }
        }
    }

    /// Prefixes that end in the node or bag or in those under it. Stops counting when there are `limit`.
    private func routeCount(under reference: UInt32, upTo limit: Int) -> Int {
        var count = reference >= RouteBag.first ? bag(reference).count - bag(reference).childCount : node(reference).prefixCount
        forEachChild(reference) { _, _, child in
            if count < limit { count += routeCount(under: child, upTo: limit - count) }
        }
        return count
    }
}
