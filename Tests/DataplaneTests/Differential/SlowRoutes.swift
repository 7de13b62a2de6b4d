@testable import Dataplane

/// Routes of one VRF as a trie of single bits: the longest prefix is the last leaf on the way down. Nothing to get wrong.
struct SlowRoutes {
    private struct Node {
        var zero: Int32 = 0
        var one: Int32 = 0
        /// 0: no route ends here.
        var leaf: UInt32 = 0
    }
    private var nodes = [Node()]
    private(set) var leaves: [RouteKey: UInt32] = [:]
    /// The keys in no order, for choosing one at random.
    private(set) var keys: [RouteKey] = []
    private var places: [RouteKey: Int] = [:]

    private static func bit(_ high: UInt64, _ low: UInt64, _ at: Int) -> Bool {
        (at < 64 ? high >> UInt64(63 - at) : low >> UInt64(127 - at)) & 1 == 1
    }

    /// The leaf that was there before, 0: none.
    mutating func insert(_ key: RouteKey, _ leaf: UInt32) -> UInt32 {
        var at = 0
        for index in 0..<Int(key.length) {
            let isOne = Self.bit(key.high, key.low, index)
            var child = isOne ? nodes[at].one : nodes[at].zero
            if child == 0 {
                child = Int32(nodes.count)
                nodes.append(Node())
                if isOne { nodes[at].one = child } else { nodes[at].zero = child }
            }
            at = Int(child)
        }
        let old = nodes[at].leaf
        nodes[at].leaf = leaf
        leaves[key] = leaf
        if old == 0 {
            places[key] = keys.count
            keys.append(key)
        }
        return old
    }

    mutating func remove(_ key: RouteKey) -> UInt32 {
        guard let old = leaves.removeValue(forKey: key), let place = places.removeValue(forKey: key) else { return 0 }
        var at = 0
        for index in 0..<Int(key.length) { at = Int(Self.bit(key.high, key.low, index) ? nodes[at].one : nodes[at].zero) }
        nodes[at].leaf = 0
        if let last = keys.popLast(), last != key {
            keys[place] = last
            places[last] = place
        }
        return old
    }

    func lookup(_ high: UInt64, _ low: UInt64) -> UInt32 {
        var at = 0, found = nodes[0].leaf, index = 0
        while index < 128 {
            let child = Self.bit(high, low, index) ? nodes[at].one : nodes[at].zero
            if child == 0 { break }
            at = Int(child)
            if nodes[at].leaf != 0 { found = nodes[at].leaf }
            index += 1
        }
        return found
    }
}
