import CPlatform

// Lookups of a burst: all packets go down one node per pass, and a pass prefetches the nodes of the next, so that the misses of
// a burst overlap instead of adding up.
extension RouteTable {
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

    /// A node's header and its first four values are in these two lines, whatever its alignment.
    @inline(__always) private func prefetch(_ reference: UInt32) {
        let base = node(reference).base
        vr_prefetch(base)
        vr_prefetch(base + 63)
    }

    /// `count` lookups, each in its own trie. Addresses in host order; leaf 0: no route. Any root id is safe.
    @inline(__always) func lookupIPv4(
        roots: UnsafePointer<UInt32>, addresses: UnsafePointer<UInt32>, leaves: UnsafeMutablePointer<UInt32>, count: Int
    ) {
        walk(count, roots, leaves) { (UInt64(addresses[$0]) &<< 32, 0) }
    }

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
