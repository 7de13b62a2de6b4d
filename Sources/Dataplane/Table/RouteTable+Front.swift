/// Which fronts are in use. A front is 65,536 UInt32, by the first 16 bits of the address; numbers start at 1.
struct FrontPool {
    static let size = 65_536 * 4
    static let maximum = 1024
    var free: [UInt32] = []
    var next: UInt32 = 1
    var limbo = Limbo()
    /// Parts of 256 entries that hold anything, as number << 8 | first octet of the address.
    var parts = Set<UInt32>()
    var filledBytes: Int { parts.count * 1024 }
}

// Keeping fronts equal to what the nodes say. Control thread only; see "Front" in `RouteTable`.
extension RouteTable {
    /// Brings the front up to date after the insertion or removal of a prefix; gives a trie a front when it has become large, takes it when it is small again.
    func updateFront(_ root: UInt32, _ key: RouteKey) {
        let number = roots.load32(Int(root) * 8 + 4), count = Int(counts[Int(root)])
        if number == 0 {
            if count >= frontThreshold { addFront(root) }
            return
        }
        if count < frontThreshold / 4 {
            removeFront(root)
        } else if key.length <= 8 {
            let first = key.octet(0)
            for octet in first..<(first + 1 << (8 - Int(key.length))) { refreshPart(root, number, octet) }
        } else if key.length < 16 || shapeChanged {
            refreshPart(root, number, key.octet(0))
        } else {
            refresh(root, number, key.octet(0) << 8 | key.octet(1))
        }
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
        }
        for octet in 0..<256 { refreshPart(root, number, octet) }
        roots.release32(Int(root) * 8 + 4, number)
    }

    func removeFront(_ root: UInt32) {
        let number = roots.load32(Int(root) * 8 + 4)
        guard number != 0 else { return }
        roots.release32(Int(root) * 8 + 4, 0)
        frontPool.limbo.push(UInt64(number))
        collectFronts()
    }

    /// A front that no reader can hold is emptied for its next use.
    private func collectFronts() {
        let fronts = fronts
        var freed: [UInt32] = []
        frontPool.limbo.collect(quiescence) { freed.append(UInt32(truncatingIfNeeded: $0)) }
        for number in freed {
            for octet in 0..<UInt32(256) where frontPool.parts.remove(number << 8 | octet) != nil {
                for entry in 0..<256 { fronts.store32(offset(number, Int(octet) << 8 | entry), 0) }
            }
            frontPool.free.append(number)
        }
    }

    private func refreshPart(_ root: UInt32, _ number: UInt32, _ octet: Int) {
        for low in 0..<256 { refresh(root, number, octet << 8 | low) }
    }

    private func refresh(_ root: UInt32, _ number: UInt32, _ entry: Int) {
        let offset = offset(number, entry), old = fronts.load32(offset), new = lead(root, entry)
        guard old != new else { return }
        if old == 0 { frontPool.parts.insert(number << 8 | UInt32(entry >> 8)) }
        fronts.release32(offset, new)
    }

    private func offset(_ number: UInt32, _ entry: Int) -> Int { Int(number - 1) * FrontPool.size + entry * 4 }

    /// Where two nodes lead for these first 16 bits; 0 when they do not, or when the second one has a path or is a bag.
    private func lead(_ root: UInt32, _ entry: Int) -> UInt32 {
        let value = node(first(root)).value(UInt64(entry >> 8))
        // A leaf here costs a lookup one node: not worth a part of the front.
        guard value >= RouteNode.childBit else { return 0 }
        guard value < RouteBag.first else { return 0 }
        let second = node(value)
        guard second.pathCount == 0 else { return 0 }
        let next = second.value(UInt64(entry & 255))
        return next != 0 ? next : second.cover
    }
}
