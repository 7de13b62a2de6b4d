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
        var packet: Int
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
        walk(count, leaves) { Walk(high: UInt64(addresses[$0]) &<< 32, low: 0, node: first(roots[$0]), best: 0, packet: $0) }
    }

    @inline(__always) func lookupIPv6(
        roots: UnsafePointer<UInt32>, addresses: UnsafePointer<IPv6Words>, leaves: UnsafeMutablePointer<UInt32>, count: Int
    ) {
        walk(count, leaves) {
            Walk(high: addresses[$0].high, low: addresses[$0].low, node: first(roots[$0]), best: 0, packet: $0)
        }
    }

    @inline(__always) private func walk(_ count: Int, _ leaves: UnsafeMutablePointer<UInt32>, _ start: (Int) -> Walk) {
        withUnsafeTemporaryAllocation(of: Walk.self, capacity: Int(VR_BURST)) { walks in
            guard let walks = walks.baseAddress else { return }
            var begin = 0
            while begin < count {
                var left = min(count &- begin, Int(VR_BURST))
                for index in 0..<left {
                    walks[index] = start(begin &+ index)
                    prefetch(walks[index].node)
                }
                begin &+= left
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
                                leaves[walk.packet] = walk.best
                                continue
                            }
                            walk.high = walk.high &<< (8 &* length) | walk.low &>> (64 &- 8 &* length)
                            walk.low &<<= 8 &* length
                        }
                        let value = node.value(walk.high &>> 56)
                        if value < RouteNode.childBit {
                            leaves[walk.packet] = value != 0 ? value : walk.best
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
}
