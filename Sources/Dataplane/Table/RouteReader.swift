import CPlatform

/// Lookups in a `RouteTable`: where its memory lies, which never changes while the table is there. Trivial, so that a worker may keep a copy and pass it around
/// without counting references.
///
/// # Thread-safety
/// Any online worker, without locks. A leaf that a lookup returned is good until the worker quiesces.
struct RouteReader {
    let nodes: UnsafeMutableRawPointer
    let roots: UnsafeMutableRawPointer
    let fronts: UnsafeMutableRawPointer
    /// By number of the front less one.
    let anchors: UnsafeMutableRawPointer
    let maximumRoots: Int

    /// Of a reference, what says where in the arena it leads; the rest says to what.
    static let indexMask = ~RouteBag.first

    @inline(__always) private func memory(_ reference: UInt32) -> UnsafeMutableRawPointer {
        nodes + Int(reference & Self.indexMask) &* RouteNode.unit
    }
    @inline(__always) func node(_ reference: UInt32) -> RouteNode { RouteNode(base: memory(reference)) }
    @inline(__always) func bag(_ reference: UInt32) -> RouteBag { RouteBag(base: memory(reference)) }

    /// The cover of a child of either kind.
    func cover(_ child: UInt32) -> UInt32 { child >= RouteBag.first ? bag(child).cover : node(child).cover }
    /// Control thread.
    func setCover(_ child: UInt32, _ cover: UInt32) { memory(child).store32(child >= RouteBag.first ? 0 : 32, cover) }

    /// Arena index of a root's first node; the empty node for an id that is not a root.
    @inline(__always) func first(_ root: UInt32) -> UInt32 { Int(root) < maximumRoots ? roots.load32(Int(root) &* 8) : 0 }

    /// The number of its front; 0: none.
    @inline(__always) func frontNumber(_ root: UInt32) -> UInt32 { Int(root) < maximumRoots ? roots.load32(Int(root) &* 8 &+ 4) : 0 }
    @inline(__always) func anchor(_ number: UInt32) -> RouteAnchor { RouteAnchor(reading: anchors + Int(number &- 1) &* RouteAnchor.size) }
    @inline(__always) func front(_ number: UInt32) -> UnsafeMutableRawPointer { fronts + Int(number &- 1) &* FrontPool.size }

    /// The place in the front that speaks about an address, and how many octets of the address are behind it; nil: none does.
    @inline(__always) func frontEntry(_ root: UInt32, _ high: UInt64, _ low: UInt64) -> (entry: UnsafeMutableRawPointer, octets: Int)? {
        let number = frontNumber(root)
        guard number != 0, case let anchor = anchor(number), anchor.holds(high, low) else { return nil }
        return (front(number) + anchor.entry(high, low) &* 4, anchor.octets &+ 2)
    }

    // MARK: Lookup

    /// The leaf of the longest prefix that holds the address (host order), 0: none. Any root id is safe.
    /// Complexity: at most 4 nodes, each one or two cache lines.
    @inline(__always) func lookupIPv4(_ root: UInt32, _ address: UInt32) -> UInt32 {
        let key = UInt64(address) &<< 32
        if let (entry, octets) = frontEntry(root, key, 0), case let value = entry.load32(0), value != 0 {
            if value < RouteNode.childBit { return value }
            let leaf = walkIPv4(value, RouteAnchor.skip(key, 0, octets: octets).high)
            if leaf != 0 { return leaf }
        }
        return walkIPv4(first(root), key)
    }

    @inline(__always) private func walkIPv4(_ start: UInt32, _ key: UInt64) -> UInt32 {
        var reference = start
        var key = key
        var best: UInt32 = 0
        while true {
            if reference >= RouteBag.first {
                let bag = bag(reference)
                var rest = UInt32(truncatingIfNeeded: key &>> 32)
                reference = bag.value(&rest)
                if reference &- 1 < RouteNode.childBit &- 1 { return reference }
                let cover = bag.cover
                if cover != 0 { best = cover }
                if reference == 0 { return best }
                key = UInt64(rest) &<< 32
                continue
            }
            let node = self.node(reference)
            let cover = node.cover, path = node.path
            if cover != 0 { best = cover }
            let length = RouteNode.pathLength(path)
            if length != 0 {
                if (key ^ path) & RouteNode.pathMask(length) != 0 { return best }
                key &<<= 8 &* length
            }
            let value = node.value(key &>> 56)
            if value < RouteNode.childBit { return value != 0 ? value : best }
            reference = value
            key &<<= 8
        }
    }

    /// The same for IPv6. Complexity: at most 16 nodes; a node per allocation boundary that the table knows, in practice 3…6, and 1…2 behind a front.
    @inline(__always) func lookupIPv6(_ root: UInt32, _ high: UInt64, _ low: UInt64) -> UInt32 {
        if let (entry, octets) = frontEntry(root, high, low), case let value = entry.load32(0), value != 0 {
            if value < RouteNode.childBit { return value }
            let rest = RouteAnchor.skip(high, low, octets: octets), leaf = walkIPv6(value, rest.high, rest.low)
            if leaf != 0 { return leaf }
        }
        return walkIPv6(first(root), high, low)
    }

    @inline(__always) func walkIPv6(_ start: UInt32, _ high: UInt64, _ low: UInt64) -> UInt32 {
        var reference = start
        var high = high, low = low
        var best: UInt32 = 0
        while true {
            if reference >= RouteBag.first {
                let bag = bag(reference)
                reference = bag.value(&high, &low)
                if reference &- 1 < RouteNode.childBit &- 1 { return reference }
                let cover = bag.cover
                if cover != 0 { best = cover }
                if reference == 0 { return best }
                continue
            }
            let node = self.node(reference)
            let cover = node.cover, path = node.path
            if cover != 0 { best = cover }
            let length = RouteNode.pathLength(path)
            if length != 0 {
                if (high ^ path) & RouteNode.pathMask(length) != 0 { return best }
                high = high &<< (8 &* length) | low &>> (64 &- 8 &* length)
                low &<<= 8 &* length
            }
            let value = node.value(high &>> 56)
            if value < RouteNode.childBit { return value != 0 ? value : best }
            reference = value
            high = high &<< 8 | low &>> 56
            low &<<= 8
        }
    }
}
