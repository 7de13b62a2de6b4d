import CPlatform

// Removal, and the exact look-up, which goes the same way. Control thread only.
extension RouteTable {
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
}
