import CPlatform

// Lookups of a burst: all packets go down one node per pass, and a pass prefetches the nodes of the next, so that the misses of
// a burst overlap instead of adding up.
extension RouteReader {
    /// A packet that has not reached its leaf.
    private struct Walk {
        var high: UInt64
        var low: UInt64
        var node: UInt32
        var best: UInt32
        var packet: UInt32
        /// The walk began at the front: if it finds nothing, the nodes above decide.
        var isFromFront: Bool
    }

    /// A node's header and its first values, or a bag of up to eight routes, are in these two lines, whatever the alignment.
    @inline(__always) private func prefetch(_ reference: UInt32) {
        let base = node(reference).base
        vr_prefetch(base)
        vr_prefetch(base + 63)
    }

    // MARK: IPv4

    /// Where lookups in one trie begin, found once for many.
    struct Start {
        fileprivate var root: UInt32
        fileprivate var first: UInt32
        /// The front; nil: there is none.
        fileprivate var front: UnsafeMutableRawPointer?
    }

    /// Any root id is safe.
    @inline(__always) func start(_ root: UInt32) -> Start {
        let number = Int(root) < maximumRoots ? roots.load32(Int(root) &* 8 &+ 4) : 0
        return Start(root: root, first: first(root), front: number == 0 ? nil : fronts + Int(number &- 1) &* FrontPool.size)
    }

    /// A lookup on its way. Of `packet`, the walk knows only that it is below 2^31.
    struct Step {
        fileprivate static let fromFront: UInt32 = 1 << 31
        /// What is left of the address, first octet on top.
        fileprivate var key: UInt32
        fileprivate var node: UInt32
        fileprivate var best: UInt32
        /// And whether the walk began at the front: if it finds nothing, the nodes above decide.
        fileprivate var packet: UInt32

        /// Over the octets of a path; false when the address has others.
        @inline(__always) fileprivate mutating func skip(_ path: UInt64, _ length: UInt64) -> Bool {
            let wide = UInt64(key) &<< 32
            guard (wide ^ path) & RouteNode.pathMask(length) == 0 else { return false }
            key = UInt32(truncatingIfNeeded: (wide &<< (8 &* length)) &>> 32)
            return true
        }
    }

    /// Begins a lookup: the leaf when one load settles it, else 0 and the step that `walk` is to go on from, its node prefetched.
    @inline(__always) func begin(_ start: Start, _ address: UInt32, packet: Int, _ step: UnsafeMutablePointer<Step>) -> UInt32 {
        let packet = UInt32(truncatingIfNeeded: packet)
        let value = start.front.map { $0.load32(Int(address &>> 16) &* 4) } ?? 0
        if value != 0 {
            if value < RouteNode.childBit { return value }
            step.initialize(to: Step(key: address &<< 16, node: value, best: 0, packet: packet | Step.fromFront))
            prefetch(value)
        } else {
            step.initialize(to: Step(key: address, node: start.first, best: 0, packet: packet))
            prefetch(start.first)
        }
        return 0
    }

    /// Goes down with all of them until each has its leaf. `restart` says where a packet's lookup began and with which address; `finish` gets the leaf, 0: no route.
    @inline(__always) func walk(
        _ steps: UnsafeMutablePointer<Step>, _ count: Int, restart: (Int) -> (root: UInt32, address: UInt32), finish: (Int, UInt32) -> Void
    ) {
        let nodes = nodes
        var left = count
        while left > 0 {
            var kept = 0
            for index in 0..<left {
                var step = steps[index]
                let memory = nodes + Int(step.node & Self.indexMask) &* RouteNode.unit
                var value: UInt32 = 0
                if step.node >= RouteBag.first {
                    let bag = RouteBag(base: memory)
                    value = bag.value(&step.key)
                    // A leaf is deeper than any cover.
                    if value &- 1 >= RouteNode.childBit &- 1, case let cover = bag.cover, cover != 0 { step.best = cover }
                } else {
                    let node = RouteNode(base: memory), cover = node.cover, path = node.path
                    if cover != 0 { step.best = cover }
                    let length = RouteNode.pathLength(path)
                    if length == 0 || step.skip(path, length) {
                        value = node.value(UInt64(step.key &>> 24))
                        step.key &<<= 8
                    }
                }
                if value >= RouteNode.childBit {
                    prefetch(value)
                    step.node = value
                    steps[kept] = step
                    kept &+= 1
                    continue
                }
                let packet = Int(step.packet & ~Step.fromFront)
                var leaf = value != 0 ? value : step.best
                if leaf == 0, step.packet & Step.fromFront != 0 {
                    let (root, address) = restart(packet)
                    leaf = fromRoot(root, (UInt64(address) &<< 32, 0))
                }
                finish(packet, leaf)
            }
            left = kept
        }
    }

    /// `count` lookups, each in its own trie. Addresses in host order; leaf 0: no route. Any root id is safe.
    func lookupIPv4(
        roots: UnsafePointer<UInt32>, addresses: UnsafePointer<UInt32>, leaves: UnsafeMutablePointer<UInt32>, count: Int
    ) {
        withUnsafeTemporaryAllocation(of: Step.self, capacity: Int(VR_BURST)) { steps in
            guard let steps = steps.baseAddress else { return }
            var at = 0
            while at < count {
                let end = min(count, at &+ Int(VR_BURST))
                var left = 0
                while at < end {
                    let leaf = begin(start(roots[at]), addresses[at], packet: at, steps + left)
                    if leaf != 0 { leaves[at] = leaf } else { left &+= 1 }
                    at &+= 1
                }
                walk(steps, left, restart: { (roots[$0], addresses[$0]) }, finish: { leaves[$0] = $1 })
            }
        }
    }

    // MARK: IPv6

    @inline(__always) func lookupIPv6(
        roots: UnsafePointer<UInt32>, addresses: UnsafePointer<IPv6Words>, leaves: UnsafeMutablePointer<UInt32>, count: Int
    ) {
        walk(count, roots, leaves) { (addresses[$0].high, addresses[$0].low) }
    }

    @inline(__always) private func walk(
        _ count: Int, _ roots: UnsafePointer<UInt32>, _ leaves: UnsafeMutablePointer<UInt32>, _ address: (Int) -> (high: UInt64, low: UInt64)
    ) {
        withUnsafeTemporaryAllocation(of: Walk.self, capacity: Int(VR_BURST)) { walks in
            guard let walks = walks.baseAddress else { return }
            @inline(__always) func finish(_ walk: Walk, _ leaf: UInt32) {
                let packet = Int(walk.packet)
                leaves[packet] = leaf != 0 || !walk.isFromFront ? leaf : fromRoot(roots[packet], address(packet))
            }
            var begin = 0
            while begin < count {
                let end = min(count, begin &+ Int(VR_BURST))
                var left = 0
                for packet in begin..<end {
                    let (high, low) = address(packet)
                    let start = front(roots[packet], high)
                    if start != 0, start < RouteNode.childBit {
                        leaves[packet] = start
                        continue
                    }
                    walks[left] =
                        start != 0
                        ? Walk(
                            high: high &<< 16 | low &>> 48, low: low &<< 16, node: start, best: 0, packet: UInt32(truncatingIfNeeded: packet),
                            isFromFront: true)
                        : Walk(
                            high: high, low: low, node: first(roots[packet]), best: 0, packet: UInt32(truncatingIfNeeded: packet),
                            isFromFront: false)
                    prefetch(walks[left].node)
                    left &+= 1
                }
                begin = end
                while left > 0 {
                    var kept = 0
                    for index in 0..<left {
                        var walk = walks[index]
                        if walk.node >= RouteBag.first {
                            let bag = self.bag(walk.node), value = bag.value(&walk.high, &walk.low)
                            // A leaf is deeper than any cover.
                            if value &- 1 >= RouteNode.childBit &- 1, case let cover = bag.cover, cover != 0 { walk.best = cover }
                            if value < RouteNode.childBit {
                                finish(walk, value != 0 ? value : walk.best)
                            } else {
                                prefetch(value)
                                walk.node = value
                                walks[kept] = walk
                                kept &+= 1
                            }
                            continue
                        }
                        let node = self.node(walk.node)
                        let cover = node.cover, path = node.path
                        if cover != 0 { walk.best = cover }
                        let length = RouteNode.pathLength(path)
                        if length != 0 {
                            if (walk.high ^ path) & RouteNode.pathMask(length) != 0 {
                                finish(walk, walk.best)
                                continue
                            }
                            walk.high = walk.high &<< (8 &* length) | walk.low &>> (64 &- 8 &* length)
                            walk.low &<<= 8 &* length
                        }
                        let value = node.value(walk.high &>> 56)
                        if value < RouteNode.childBit {
                            finish(walk, value != 0 ? value : walk.best)
                            continue
                        }
                        prefetch(value)
                        walk.node = value
                        walk.high = walk.high &<< 8 | walk.low &>> 56
                        walk.low &<<= 8
                        walks[kept] = walk
                        kept &+= 1
                    }
                    left = kept
                }
            }
        }
    }

    @inline(never) private func fromRoot(_ root: UInt32, _ address: (high: UInt64, low: UInt64)) -> UInt32 {
        walkIPv6(first(root), address.high, address.low)
    }
}
