import CPlatform
import Synchronization
import Testing

@testable import Dataplane

@Suite struct RouteBagTests {
    private func table() -> (RouteTable, UInt32) {
        let table = RouteTable(quiescence: Quiescence(workerCount: 0), maximumBytes: 256 << 20)
        return (table, table.createRoot())
    }

    /// Against one comparison after the other, with what looks like lanes behind the last one.
    @Test func firstLaneThatFits() {
        var random = RandomSource(seed: 21)
        for round in 0..<20_000 {
            let count = round % RouteBag.capacity + 1, base = UInt32(truncatingIfNeeded: random.next())
            let lanes = (0..<(RouteBag.capacity + 16)).map { _ in
                RouteBag.lane(base ^ UInt32(1) << UInt32(random.below(32)), bits: 1 + random.below(RouteBag.bits))
            }
            let key = base ^ UInt32(1) << UInt32(random.below(32))
            let slow = lanes[..<count].firstIndex { (key ^ $0) >> UInt32(32 - RouteBag.bits($0)) == 0 } ?? count
            let found = lanes.withUnsafeBytes { vr_first_prefix($0.baseAddress, UInt32(count), key) }
            #expect(found == slow || found >= count && slow == count, "\(count) lanes: \(found), not \(slow)")
        }
    }

    @Test func laneSaysItsBits() {
        for bits in 1...RouteBag.bits {
            let lane = RouteBag.lane(0xABCD_EF97, bits: bits)
            #expect(RouteBag.bits(lane) == bits)
            #expect(RouteBag.prefix(lane) == 0xABCD_EF97 & ~(UInt32.max >> UInt32(bits)))
        }
    }

    /// One more than a bag holds becomes a node with bags; when half are left they are one bag again, of the size it had.
    @Test func bagsBurstAndAreGathered() {
        let (table, root) = table()
        func key(_ index: Int) -> RouteKey { RouteKey(ipv4: 0x0A00_0000 | UInt32(index * 37 % 256) << 16 | UInt32(index) << 8, length: 24) }
        var sizes: [Int] = []
        for index in 0..<40 {
            _ = table.insert(root, key(index), leaf: UInt32(index + 1))
            table.collect()
            sizes.append(table.nodeBytes)
        }
        #expect(table.node(table.first(root)).value(10) < RouteBag.first, "40 routes are a node")
        for index in (0..<40).reversed() {
            for other in 0...index { #expect(table.exact(root, key(other)) == UInt32(other + 1)) }
            #expect(table.remove(root, key(index)) == UInt32(index + 1))
            table.collect()
            if index > 0, index <= RouteBag.capacity / 2 { #expect(table.nodeBytes == sizes[index - 1], "with \(index) routes") }
        }
        #expect(sizes[31] - sizes[0] <= 32 * 8)
    }

    /// What a route may take, where routes are few and far apart: small VRFs, and IPv6.
    @Test(arguments: [true, false]) func routesFarApartCostLittle(isIPv4: Bool) {
        let (table, first) = table()
        var random = RandomSource(seed: 4), keys = Set<RouteKey>()
        let before = table.nodeBytes
        for vrf in 0..<(isIPv4 ? 300 : 1) {
            let root = vrf == 0 ? first : table.createRoot()
            for _ in 0..<(isIPv4 ? 100 : 100_000) {
                let key =
                    isIPv4
                    ? RouteKey(ipv4: UInt32(truncatingIfNeeded: random.next()) & 0x7FFF_FFFF, length: random.below(10) == 0 ? 32 : 24)
                    : RouteKey(
                        high: 0x2001_0DB8_0000_0000 | random.next() >> 32, low: random.next(), length: random.below(10) == 0 ? 128 : 64)
                keys.insert(key)
                _ = table.insert(root, key, leaf: 1)
            }
        }
        table.collect()
        #expect(Double(table.nodeBytes - before) / Double(table.routeCount) <= 24)
    }

    /// Routes under one that stays come and go, so that bags become nodes and bags again and children change places: who looks up an address meanwhile finds a route
    /// that holds it, and never one from above the one that stays.
    @Test func aRouteThatStaysIsFoundWhateverChangesUnderIt() {
        let quiescence = Quiescence(workerCount: 2)
        let table = RouteTable(quiescence: quiescence, maximumBytes: 64 << 20, frontThreshold: 20)
        let root = table.createRoot()
        let network: UInt64 = 0x2001_0DB8_0000_0000
        _ = table.insert(root, RouteKey(high: 0, low: 0, length: 0), leaf: 1)
        _ = table.insert(root, RouteKey(high: network, low: 0, length: 35), leaf: 35)
        let stop = Atomic(false), wrong = Atomic(0), looked = Atomic(0)
        @Sendable func address(_ random: inout RandomSource) -> (UInt64, UInt64) {
            let high = network | UInt64(random.below(5)) << 24 | UInt64(random.below(3)) << 16 | UInt64(random.below(2)) << 5
            return (high, UInt64(random.below(3)) << 56 | UInt64(random.below(2)))
        }
        let readers = (0..<2).map { worker in
            TestThread {
                var random = RandomSource(seed: UInt64(worker) + 50)
                var addresses = [IPv6Words](repeating: IPv6Words(high: 0, low: 0), count: 32), leaves = [UInt32](repeating: 0, count: 32)
                let roots = leaves.map { _ in root }
                quiescence.online(worker)
                while !stop.load(ordering: .relaxed) {
                    for index in 0..<32 {
                        let (high, low) = address(&random)
                        addresses[index] = IPv6Words(high: high, low: low)
                    }
                    table.lookupIPv6(roots: roots, addresses: addresses, leaves: &leaves, count: 32)
                    for index in 0..<32 {
                        for leaf in [leaves[index], table.lookupIPv6(root, addresses[index].high, addresses[index].low)] {
                            // The leaf of a route is its length, and below it its address's lowest octets.
                            let key = RouteKey(high: addresses[index].high, low: addresses[index].low, length: UInt8(leaf & 0xFF))
                            if leaf & 0xFF < 35 || leaf >> 8 != Self.mark(key) { wrong.add(1, ordering: .relaxed) }
                        }
                    }
                    looked.add(32, ordering: .relaxed)
                    quiescence.quiesce(worker)
                }
                quiescence.offline(worker)
            }
        }
        var random = RandomSource(seed: 7)
        let lengths = [36, 40, 41, 47, 48, 56, 57, 60, 63, 64, 65, 72, 73, 80, 96, 100, 120, 127, 128]
        for step in 0..<60_000 {
            let (high, low) = address(&random)
            let key = RouteKey(high: high, low: low, length: UInt8(lengths[random.below(lengths.count)]))
            // Waves, so that everything grows and shrinks.
            if random.below(10) < (step / 3000 % 2 == 0 ? 3 : 7) {
                _ = table.remove(root, key)
            } else {
                _ = table.insert(root, key, leaf: Self.mark(key) << 8 | UInt32(key.length))
            }
        }
        while looked.load(ordering: .relaxed) < 100_000 {}
        stop.store(true, ordering: .relaxed)
        for reader in readers { reader.join() }
        #expect(wrong.load(ordering: .relaxed) == 0)
    }

    private static func mark(_ key: RouteKey) -> UInt32 {
        key.length == 35 ? 0 : UInt32(truncatingIfNeeded: (key.high ^ key.high >> 19 ^ key.low ^ key.low >> 41) & 0x7F_FFFF)
    }
}
