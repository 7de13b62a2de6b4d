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
