import CPlatform

// Lookups of a burst: all packets go down one node per pass, and a pass prefetches the nodes of the next, so that the misses of
// a burst overlap instead of adding up.
extension RouteReader {
    /// A node's header and its first values, or a bag of up to eight routes, are in these two lines, whatever the alignment.
    @inline(__always) private func prefetch(_ reference: UInt32) {
        let base = node(reference).base
        vr_prefetch(base)
        vr_prefetch(base + 63)
    }

    // MARK: IPv4

    /// Where lookups in one trie begin, found once for many.
    struct Start {
        fileprivate let first: UInt32
        /// The front: about addresses from `base` on, 2^`shift` per entry.
        fileprivate let front: UnsafeMutableRawPointer
        fileprivate let base: UInt32
        fileprivate let shift: UInt32
        /// Entries that the front has; 0 without one.
        fileprivate let limit: UInt32
    }

    /// Any root id is safe.
    @inline(__always) func start(_ root: UInt32) -> Start {
        let number = frontNumber(root), first = first(root)
        guard number != 0 else { return Start(first: first, front: fronts, base: 0, shift: 16, limit: 0) }
        let anchor = anchor(number)
        return Start(
            first: first, front: front(number), base: UInt32(truncatingIfNeeded: anchor.high &>> 32),
            shift: UInt32(truncatingIfNeeded: 16 &- anchor.octets &* 8), limit: 65_536)
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
        let entry = (address &- start.base) &>> start.shift
        let value = entry < start.limit ? start.front.load32(Int(entry) &* 4) : 0
        if value != 0 {
            if value < RouteNode.childBit { return value }
            // All 32 bits are behind a front that only has leaves, so that the shift is never one by 32.
            step.initialize(to: Step(key: address &<< (0 &- start.shift), node: value, best: 0, packet: packet | Step.fromFront))
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
        var end = steps + count
        while end > steps {
            var at = steps, kept = steps
            while at < end {
                var step = at.pointee
                at += 1
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
                    kept.pointee = step
                    kept += 1
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
            end = kept
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

    /// As `Start`.
    struct StartIPv6 {
        fileprivate let first: UInt32
        fileprivate let front: UnsafeMutableRawPointer
        /// Without a front, one that holds no address.
        fileprivate let anchor: RouteAnchor
    }

    /// Any root id is safe.
    @inline(__always) func startIPv6(_ root: UInt32) -> StartIPv6 {
        let number = frontNumber(root), first = first(root)
        return number == 0
            ? StartIPv6(first: first, front: fronts, anchor: .none) : StartIPv6(first: first, front: front(number), anchor: anchor(number))
    }

    /// As `Step`.
    struct StepIPv6 {
        fileprivate var high: UInt64
        fileprivate var low: UInt64
        fileprivate var node: UInt32
        fileprivate var best: UInt32
        fileprivate var packet: UInt32

        @inline(__always) fileprivate mutating func skip(_ bits: UInt64) {
            high = high &<< bits | low &>> (64 &- bits)
            low &<<= bits
        }
    }

    /// As for IPv4.
    @inline(__always) func begin(
        _ start: borrowing StartIPv6, _ high: UInt64, _ low: UInt64, packet: Int, _ step: UnsafeMutablePointer<StepIPv6>
    ) -> UInt32 {
        let packet = UInt32(truncatingIfNeeded: packet)
        if start.anchor.holds(high, low), case let value = start.front.load32(start.anchor.entry(high, low) &* 4), value != 0 {
            if value < RouteNode.childBit { return value }
            let rest = RouteAnchor.skip(high, low, octets: start.anchor.octets &+ 2)
            step.initialize(to: StepIPv6(high: rest.high, low: rest.low, node: value, best: 0, packet: packet | Step.fromFront))
            prefetch(value)
        } else {
            step.initialize(to: StepIPv6(high: high, low: low, node: start.first, best: 0, packet: packet))
            prefetch(start.first)
        }
        return 0
    }

    /// As for IPv4.
    @inline(__always) func walk(
        _ steps: UnsafeMutablePointer<StepIPv6>, _ count: Int, restart: (Int) -> (root: UInt32, address: (high: UInt64, low: UInt64)),
        finish: (Int, UInt32) -> Void
    ) {
        var end = steps + count
        while end > steps {
            var at = steps, kept = steps
            while at < end {
                var step = at.pointee
                at += 1
                var value: UInt32 = 0
                if step.node >= RouteBag.first {
                    let bag = self.bag(step.node)
                    value = bag.value(&step.high, &step.low)
                    // A leaf is deeper than any cover.
                    if value &- 1 >= RouteNode.childBit &- 1, case let cover = bag.cover, cover != 0 { step.best = cover }
                } else {
                    let node = self.node(step.node), cover = node.cover, path = node.path
                    if cover != 0 { step.best = cover }
                    let length = RouteNode.pathLength(path)
                    let isOnPath = length == 0 || (step.high ^ path) & RouteNode.pathMask(length) == 0
                    if isOnPath {
                        if length != 0 { step.skip(8 &* length) }
                        value = node.value(step.high &>> 56)
                        step.skip(8)
                    }
                }
                if value >= RouteNode.childBit {
                    prefetch(value)
                    step.node = value
                    kept.pointee = step
                    kept += 1
                    continue
                }
                let packet = Int(step.packet & ~Step.fromFront)
                var leaf = value != 0 ? value : step.best
                if leaf == 0, step.packet & Step.fromFront != 0 {
                    let (root, address) = restart(packet)
                    leaf = fromRoot(root, address)
                }
                finish(packet, leaf)
            }
            end = kept
        }
    }

    /// `count` lookups, each in its own trie, as for IPv4.
    func lookupIPv6(
        roots: UnsafePointer<UInt32>, addresses: UnsafePointer<IPv6Words>, leaves: UnsafeMutablePointer<UInt32>, count: Int
    ) {
        withUnsafeTemporaryAllocation(of: StepIPv6.self, capacity: Int(VR_BURST)) { steps in
            guard let steps = steps.baseAddress else { return }
            var at = 0
            while at < count {
                let end = min(count, at &+ Int(VR_BURST))
                var left = 0
                while at < end {
                    let leaf = begin(startIPv6(roots[at]), addresses[at].high, addresses[at].low, packet: at, steps + left)
                    if leaf != 0 { leaves[at] = leaf } else { left &+= 1 }
                    at &+= 1
                }
                walk(
                    steps, left, restart: { (roots[$0], (addresses[$0].high, addresses[$0].low)) }, finish: { leaves[$0] = $1 })
            }
        }
    }

    @inline(never) private func fromRoot(_ root: UInt32, _ address: (high: UInt64, low: UInt64)) -> UInt32 {
        walkIPv6(first(root), address.high, address.low)
    }
}
