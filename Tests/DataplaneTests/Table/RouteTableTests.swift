import NetTypes
import Synchronization
import Testing

@testable import Dataplane

@Suite struct RouteTableTests {
    private func table() -> (RouteTable, UInt32) {
        let table = RouteTable(quiescence: Quiescence(workerCount: 0), maximumBytes: 64 << 20)
        return (table, table.createRoot())
    }
    private func key(_ text: String) throws -> RouteKey { RouteKey(try #require(IPPrefix(text))) }

    @Test func emptyTrieFindsNothing() {
        let (table, root) = table()
        #expect(table.lookupIPv4(root, 0x0A00_0001) == 0)
        #expect(table.lookupIPv6(root, 1, 2) == 0)
        #expect(table.lookupIPv4(RouteTable.none, 1) == 0)
        #expect(table.lookupIPv4(root + 1, 1) == 0)
    }

    @Test func longestPrefixWins() throws {
        let (table, root) = table()
        #expect(table.insert(root, try key("0.0.0.0/0"), leaf: 1) == 0)
        #expect(table.insert(root, try key("10.0.0.0/8"), leaf: 2) == 0)
        #expect(table.insert(root, try key("10.1.0.0/20"), leaf: 3) == 0)
        #expect(table.insert(root, try key("10.1.2.3/32"), leaf: 4) == 0)
        #expect(table.lookupIPv4(root, 0x0B00_0000) == 1)
        #expect(table.lookupIPv4(root, 0x0AFF_0000) == 2)
        #expect(table.lookupIPv4(root, 0x0A01_0F00) == 3)
        #expect(table.lookupIPv4(root, 0x0A01_0203) == 4)
        #expect(table.lookupIPv4(root, 0x0A01_1000) == 2)
        #expect(table.routeCount(root) == 4)
    }

    @Test func replacementAndRemovalGiveTheOldLeaf() throws {
        let (table, root) = table()
        let prefix = try key("10.1.2.0/24")
        #expect(table.insert(root, prefix, leaf: 7) == 0)
        #expect(table.insert(root, prefix, leaf: 8) == 7)
        #expect(table.exact(root, prefix) == 8)
        #expect(table.exact(root, try key("10.1.2.0/25")) == 0)
        #expect(table.remove(root, try key("10.1.2.0/25")) == 0)
        #expect(table.remove(root, prefix) == 8)
        #expect(table.remove(root, prefix) == 0)
        #expect(table.lookupIPv4(root, 0x0A01_0201) == 0)
        #expect(table.routeCount(root) == 0)
    }

    @Test func leavesAndRootsOutOfRangeAreRefused() throws {
        let (table, root) = table()
        #expect(table.insert(root, try key("10.0.0.0/8"), leaf: 0) == RouteTable.none)
        #expect(table.insert(root, try key("10.0.0.0/8"), leaf: 1 << 31) == RouteTable.none)
        #expect(table.insert(root + 1, try key("10.0.0.0/8"), leaf: 1) == RouteTable.none)
        #expect(table.remove(root + 1, try key("10.0.0.0/8")) == 0)
    }

    @Test func aRemovedPrefixUncoversTheOneItHid() throws {
        let (table, root) = table()
        _ = table.insert(root, try key("10.0.0.0/9"), leaf: 1)
        _ = table.insert(root, try key("10.0.0.0/10"), leaf: 2)
        _ = table.insert(root, try key("10.0.0.0/16"), leaf: 3)
        _ = table.insert(root, try key("10.0.1.0/24"), leaf: 4)
        #expect(table.lookupIPv4(root, 0x0A00_0200) == 3)
        #expect(table.remove(root, try key("10.0.0.0/16")) == 3)
        #expect(table.lookupIPv4(root, 0x0A00_0200) == 2)
        #expect(table.lookupIPv4(root, 0x0A00_0100) == 4)
        #expect(table.remove(root, try key("10.0.0.0/10")) == 2)
        #expect(table.lookupIPv4(root, 0x0A00_0200) == 1)
    }

    @Test func emptiedTrieGoesBackToItsFirstSize() throws {
        let (table, root) = table()
        let before = table.nodeBytes
        for octet in 0..<200 { _ = table.insert(root, RouteKey(ipv4: UInt32(octet) << 24 | 77, length: 32), leaf: 5) }
        #expect(table.nodeBytes > before)
        for octet in 0..<200 { #expect(table.remove(root, RouteKey(ipv4: UInt32(octet) << 24 | 77, length: 32)) == 5) }
        table.collect()
        #expect(table.nodeBytes == before)
    }

    @Test func pathsAreJoinedAgainWhenABranchGoes() throws {
        let (table, root) = table()
        _ = table.insert(root, try key("10.1.2.3/32"), leaf: 1)
        table.collect()
        let before = table.nodeBytes
        for branch in ["10.9.0.0/16", "10.1.9.0/24", "10.1.2.9/32"] {
            _ = table.insert(root, try key(branch), leaf: 2)
            #expect(table.lookupIPv4(root, 0x0A01_0203) == 1)
            #expect(table.remove(root, try key(branch)) == 2)
            #expect(table.lookupIPv4(root, 0x0A01_0203) == 1)
            table.collect()
            #expect(table.nodeBytes == before, "after \(branch)")
        }
    }

    @Test func hostRoutesAreCompressedByPaths() throws {
        let (table, root) = table()
        var before = table.nodeBytes
        _ = table.insert(root, try key("10.1.2.3/32"), leaf: 1)
        table.collect()
        // One lane of 24 bits.
        #expect(table.nodeBytes - before == 16)
        before = table.nodeBytes
        let root6 = table.createRoot()
        _ = table.insert(root6, try key("fd00:1::10/128"), leaf: 2)
        table.collect()
        // The root, and two bags of six octets of path, the second three octets behind the first.
        #expect(table.nodeBytes - before == 64 + 2 * 32)
        #expect(table.lookupIPv6(root6, 0xFD00_0001_0000_0000, 0x10) == 2)
        #expect(table.lookupIPv6(root6, 0xFD00_0001_0000_0000, 0x11) == 0)
        #expect(table.lookupIPv6(root6, 0xFD00_0001_0000_0001, 0x10) == 0)
    }

    @Test func destroyedTrieReleasesEveryLeafAndItsIdIsReused() throws {
        let (table, root) = table()
        let before = table.nodeBytes
        for value in 1...50 { _ = table.insert(root, RouteKey(ipv4: UInt32(value) << 12, length: 24), leaf: UInt32(value)) }
        var leaves: [UInt32] = []
        table.destroyRoot(root) { leaves.append($0) }
        #expect(leaves.sorted() == Array(1...50))
        #expect(table.lookupIPv4(root, 1 << 12) == 0)
        #expect(table.routeCount == 0)
        table.collect()
        #expect(table.nodeBytes == before - 64)
        #expect(table.createRoot() == root)
        #expect(table.lookupIPv4(root, 1 << 12) == 0)
    }

    @Test func orderedReadingInPages() throws {
        let (table, root) = table()
        var random = RandomSource(seed: 5)
        var all: [RouteKey: UInt32] = [:]
        for value in 1...3000 {
            let key = RouteKey(high: random.next(), low: random.next(), length: UInt8(random.below(129)))
            all[key] = UInt32(value)
            _ = table.insert(root, key, leaf: UInt32(value))
        }
        let expected = all.keys.sorted()
        var read: [RouteKey] = []
        while true {
            var page: [RouteKey] = []
            table.forEach(root, after: read.last) { key, leaf in
                #expect(all[key] == leaf)
                page.append(key)
                return page.count < 97
            }
            if page.isEmpty { break }
            read += page
        }
        #expect(read == expected)
    }

    /// Random insertions, replacements and removals against a dictionary, with lookups single and in bursts; IPv4 and IPv6; always, sometimes and
    /// never with a front.
    @Test(
        arguments: [(true, 11, 1), (true, 12, 400), (false, 13, 1), (false, 14, 400), (true, 15, .max), (false, 16, .max)] as [(Bool, UInt64, Int)])
    func agreesWithANaiveTable(isIPv4: Bool, seed: UInt64, frontThreshold: Int) {
        let table = RouteTable(quiescence: Quiescence(workerCount: 0), maximumBytes: 64 << 20, frontThreshold: frontThreshold)
        let root = table.createRoot()
        var random = RandomSource(seed: seed)
        var routes: [RouteKey: UInt32] = [:]
        let bits = isIPv4 ? 32 : 128
        // A small universe of addresses, so that prefixes nest, share nodes and are hit.
        func address() -> (UInt64, UInt64) {
            let octets: [UInt64] = [0, 1, 2, 127, 128, 129, 254, 255]
            var high: UInt64 = 0, low: UInt64 = 0
            for _ in 0..<8 {
                high = high << 8 | (random.below(3) == 0 ? octets[random.below(8)] : 10)
                low = low << 8 | (random.below(3) == 0 ? octets[random.below(8)] : 10)
            }
            return isIPv4 ? (high & 0xFFFF_FFFF_0000_0000, 0) : (high, low)
        }
        func naive(_ high: UInt64, _ low: UInt64) -> UInt32 {
            for length in stride(from: bits, through: 0, by: -1) {
                if let leaf = routes[RouteKey(high: high, low: low, length: UInt8(length))] { return leaf }
            }
            return 0
        }
        var keys: [RouteKey] = []
        // Fronts make short prefixes slow in a debug build.
        for step in 0..<(frontThreshold == .max ? 40_000 : 8_000) {
            // Waves of growth and shrinking.
            let grows = step / 2000 % 2 == 0
            if random.below(10) < (grows ? 7 : 3) || keys.isEmpty {
                let (high, low) = address()
                let key = RouteKey(high: high, low: low, length: UInt8(random.below(bits + 1)))
                let leaf = UInt32(random.below(40) + 1)
                let old = routes.updateValue(leaf, forKey: key)
                if old == nil { keys.append(key) }
                #expect(table.insert(root, key, leaf: leaf) == old ?? 0)
            } else {
                let at = random.below(keys.count)
                let key = keys[at]
                keys.swapAt(at, keys.count - 1)
                keys.removeLast()
                #expect(table.remove(root, key) == routes.removeValue(forKey: key) ?? 0)
            }
            if step % 10 == 0 {
                let (high, low) = address()
                let expected = naive(high, low)
                #expect(table.lookupIPv6(root, high, low) == expected)
                if isIPv4 { #expect(table.lookupIPv4(root, UInt32(high >> 32)) == expected) }
            }
            if step % 500 == 0 {
                let addresses = (0..<32).map { _ in address() }
                let roots = [UInt32](repeating: root, count: 32)
                var leaves = [UInt32](repeating: 99, count: 32)
                if isIPv4 {
                    table.lookupIPv4(roots: roots, addresses: addresses.map { UInt32($0.0 >> 32) }, leaves: &leaves, count: 32)
                } else {
                    table.lookupIPv6(roots: roots, addresses: addresses.map { IPv6Words(high: $0.0, low: $0.1) }, leaves: &leaves, count: 32)
                }
                #expect(leaves == addresses.map { naive($0.0, $0.1) })
                #expect(table.routeCount(root) == routes.count)
            }
        }
        for key in keys.shuffled(using: &random) { #expect(table.remove(root, key) == routes[key]) }
        table.collect()
        #expect(table.routeCount == 0)
        #expect(table.nodeBytes == 2 * 64)
        // Without a route no front knows anything.
        let front = table.reader.frontNumber(root)
        if front != 0 { for entry in 0..<65_536 { #expect(table.reader.front(front).load32(entry * 4) == 0) } }
    }

    /// What a lookup returns from the front is what it returns without: every address block, after every kind of change.
    @Test func frontsFollowTheNodes() throws {
        let table = RouteTable(quiescence: Quiescence(workerCount: 0), maximumBytes: 64 << 20, frontThreshold: 3)
        let root = table.createRoot()
        let steps: [(String, UInt32)] = [
            ("10.1.0.0/16", 1), ("10.2.3.0/24", 2), ("10.2.4.4/32", 3), ("0.0.0.0/0", 4), ("10.0.0.0/9", 5), ("8.0.0.0/6", 6), ("10.2.3.0/24", 0),
            ("10.1.0.0/16", 7), ("10.2.4.4/32", 0), ("10.1.1.1/32", 8), ("10.0.0.0/9", 0), ("10.1.0.0/16", 0), ("0.0.0.0/0", 0), ("10.1.1.0/31", 9),
        ]
        var routes: [RouteKey: UInt32] = [:]
        var fromFront = 0
        // As many as no bag holds, so that there is a node for 10.0.0.0/8.
        for second in 0..<40 { _ = table.insert(root, RouteKey(ipv4: 0x0A80_0000 | UInt32(second) << 16, length: 24), leaf: 77) }
        for (text, leaf) in steps {
            let key = try key(text)
            if leaf == 0 { _ = table.remove(root, key) } else { _ = table.insert(root, key, leaf: leaf) }
            routes[key] = leaf == 0 ? nil : leaf
            for address in [0x0A01_0101, 0x0A01_0001, 0x0A02_0304, 0x0A02_0404, 0x0A02_0405, 0x0AFF_0000, 0x0900_0000, 0x0100_0000] as [UInt32] {
                let expected = (0...32).reversed().lazy.compactMap { routes[RouteKey(ipv4: address, length: $0)] }.first ?? 0
                #expect(table.lookupIPv4(root, address) == expected, "\(address) after \(text) -> \(leaf)")
                if let found = table.reader.frontEntry(root, UInt64(address) << 32, 0), found.entry.load32(0) != 0 { fromFront += 1 }
            }
        }
        #expect(fromFront > 20)
    }

    /// A front stands behind what most prefixes have in common, and moves when most are elsewhere; addresses outside are found all the same.
    @Test func frontsStandWhereTheRoutesAre() {
        let table = RouteTable(quiescence: Quiescence(workerCount: 0), maximumBytes: 64 << 20, frontThreshold: 16)
        let root = table.createRoot()
        var routes: [RouteKey: UInt32] = [:]
        func insert(_ high: UInt64, _ low: UInt64, _ length: UInt8) {
            let key = RouteKey(high: high, low: low, length: length)
            routes[key] = UInt32(routes.count + 1)
            _ = table.insert(root, key, leaf: UInt32(routes.count))
        }
        func agrees(_ high: UInt64, _ low: UInt64) -> Bool {
            let right = (0...128).reversed().lazy.compactMap { routes[RouteKey(high: high, low: low, length: UInt8($0))] }.first ?? 0
            var leaves: [UInt32] = [.max]
            table.lookupIPv6(roots: [root], addresses: [IPv6Words(high: high, low: low)], leaves: &leaves, count: 1)
            return table.lookupIPv6(root, high, low) == right && leaves == [right]
        }
        insert(0, 0, 0)
        insert(0x2001_0DB8_0000_0000, 0, 32)
        insert(0x2A00_0000_0000_0000, 0, 12)
        for site in 0..<100 as Range<UInt64> { insert(0x2001_0DB8_0000_0000 | site << 20, 0, 64) }
        #expect(table.reader.anchor(table.reader.frontNumber(root)).octets == 4)
        for site in 0..<120 as Range<UInt64> { #expect(agrees(0x2001_0DB8_0000_0000 | site << 20, site)) }
        #expect(agrees(0x2001_0DB9_0000_0000, 1) && agrees(0x2A01_0000_0000_0000, 1) && agrees(1, 1) && agrees(0x2001_0DB8_FFFF_FFFF, 0))
        // Hosts of one /64: the last two octets.
        for host in 0..<1000 as Range<UInt64> { insert(0xFD00_0001_0002_0003, host * 7, 128) }
        #expect(table.reader.anchor(table.reader.frontNumber(root)).octets == 14)
        for host in 0..<7000 as Range<UInt64> { #expect(agrees(0xFD00_0001_0002_0003, host)) }
        for site in 0..<120 as Range<UInt64> { #expect(agrees(0x2001_0DB8_0000_0000 | site << 20, site)) }
        for key in routes.keys.filter({ $0.length == 128 }) {
            routes[key] = nil
            _ = table.remove(root, key)
        }
        for host in 0..<70 as Range<UInt64> { #expect(agrees(0xFD00_0001_0002_0003, host)) }
    }

    /// A worker looks up addresses whose routes come and go under it: it must see a route that holds the address, or the default route, never
    /// anything else and never freed memory.
    @Test func readersAgainstAWriter() {
        let quiescence = Quiescence(workerCount: 2)
        let table = RouteTable(quiescence: quiescence, maximumBytes: 64 << 20, frontThreshold: 20)
        let root = table.createRoot()
        _ = table.insert(root, RouteKey(ipv4: 0, length: 0), leaf: 1)
        let stop = Atomic(false), wrong = Atomic(0), hits = Atomic(0)
        // The leaf says which prefix it belongs to: octet two of the address, and the length.
        let readers = (0..<2).map { worker in
            TestThread {
                var random = RandomSource(seed: UInt64(worker) + 5)
                var addresses = [UInt32](repeating: 0, count: 32), leaves = addresses
                let roots = [UInt32](repeating: root, count: 32)
                quiescence.online(worker)
                while !stop.load(ordering: .relaxed) {
                    for index in 0..<32 {
                        addresses[index] = 0x0A00_0000 | UInt32(random.below(16)) << 16 | UInt32(random.below(4)) << 8 | UInt32(random.below(3))
                    }
                    table.lookupIPv4(roots: roots, addresses: addresses, leaves: &leaves, count: 32)
                    for index in 0..<32 {
                        for leaf in [leaves[index], table.lookupIPv4(root, addresses[index])] where leaf != 1 {
                            let key = RouteKey(ipv4: addresses[index], length: UInt8(leaf & 0xFF))
                            if leaf >> 8 != UInt32(key.high >> 40) { wrong.add(1, ordering: .relaxed) } else { hits.add(1, ordering: .relaxed) }
                        }
                    }
                    quiescence.quiesce(worker)
                }
                quiescence.offline(worker)
            }
        }
        var random = RandomSource(seed: 99)
        for _ in 0..<60_000 {
            let address = 0x0A00_0000 | UInt32(random.below(16)) << 16 | UInt32(random.below(4)) << 8 | UInt32(random.below(3))
            let key = RouteKey(ipv4: address, length: UInt8([8, 12, 15, 16, 17, 22, 24, 30, 31, 32][random.below(10)]))
            if random.below(2) == 0 {
                _ = table.remove(root, key)
            } else {
                _ = table.insert(root, key, leaf: UInt32(key.high >> 40) << 8 | UInt32(key.length))
            }
        }
        while hits.load(ordering: .relaxed) < 1000 {}
        stop.store(true, ordering: .relaxed)
        for reader in readers { reader.join() }
        #expect(wrong.load(ordering: .relaxed) == 0)
    }

    /// The same while fronts come, go and stand elsewhere: IPv6 routes of three networks by turns, each with the number of its network in its leaf.
    @Test func readersAgainstMovingFronts() {
        let quiescence = Quiescence(workerCount: 2)
        let table = RouteTable(quiescence: quiescence, maximumBytes: 64 << 20, frontThreshold: 16)
        let root = table.createRoot()
        _ = table.insert(root, RouteKey(high: 0, low: 0, length: 0), leaf: 99)
        let networks: [(high: UInt64, shift: UInt64)] = [(0x2001_0DB8_0000_0000, 16), (0xFD00_0001_0002_0000, 0), (0x2A00_0000_0000_0000, 40)]
        let stop = Atomic(false), wrong = Atomic(0), hits = Atomic(0)
        let readers = (0..<2).map { worker in
            TestThread {
                var random = RandomSource(seed: UInt64(worker) + 5)
                var addresses = [IPv6Words](repeating: IPv6Words(high: 0, low: 0), count: 32), leaves = [UInt32](repeating: 0, count: 32)
                let roots = [UInt32](repeating: root, count: 32)
                quiescence.online(worker)
                while !stop.load(ordering: .relaxed) {
                    let network = random.below(3)
                    for index in 0..<32 {
                        addresses[index] = IPv6Words(
                            high: networks[network].high | UInt64(random.below(256)) << networks[network].shift, low: random.next())
                    }
                    table.lookupIPv6(roots: roots, addresses: addresses, leaves: &leaves, count: 32)
                    for index in 0..<32 {
                        for leaf in [leaves[index], table.lookupIPv6(root, addresses[index].high, addresses[index].low)] where leaf != 99 {
                            if leaf != UInt32(network + 1) { wrong.add(1, ordering: .relaxed) } else { hits.add(1, ordering: .relaxed) }
                        }
                    }
                    quiescence.quiesce(worker)
                }
                quiescence.offline(worker)
            }
        }
        var anchors = Set<Int>()
        var turn = 0
        while turn < 60 || (turn < 2000 && hits.load(ordering: .relaxed) < 1000) {
            let network = turn % 3
            let keys = (0..<256).map { RouteKey(high: networks[network].high | $0 << networks[network].shift, low: 0, length: 64) }
            for key in keys { _ = table.insert(root, key, leaf: UInt32(network + 1)) }
            let number = table.reader.frontNumber(root)
            if number != 0 { anchors.insert(table.reader.anchor(number).octets) }
            for key in keys { _ = table.remove(root, key) }
            turn += 1
        }
        stop.store(true, ordering: .relaxed)
        for reader in readers { reader.join() }
        #expect(wrong.load(ordering: .relaxed) == 0)
        #expect(hits.load(ordering: .relaxed) >= 1000)
        #expect(anchors.count > 1)
    }

    /// A route outside what all had in common may take the node that a front rests on: the front goes with it, and another comes when the trie has changed enough.
    @Test func aFrontGoesWithTheNodeItRestsOn() {
        let table = RouteTable(quiescence: Quiescence(workerCount: 0), maximumBytes: 64 << 20, frontThreshold: 64)
        let root = table.createRoot()
        let base: UInt64 = 0x2001_0DB8_0000_0000
        // A node behind four octets, with 40 children of some routes each.
        for site in 0..<40 as Range<UInt64> {
            for net in 0..<4 as Range<UInt64> { _ = table.insert(root, RouteKey(high: base | site << 24 | net << 12, low: 0, length: 64), leaf: 1) }
        }
        #expect(table.reader.frontNumber(root) != 0)
        let octets = table.reader.anchor(table.reader.frontNumber(root)).octets
        #expect(octets >= 4)
        // Others keep the trie large while those go.
        for site in 0..<200 as Range<UInt64> {
            _ = table.insert(root, RouteKey(high: 0x2A00_0000_0000_0000 | site << 40, low: 0, length: 48), leaf: 2)
        }
        for site in 0..<40 as Range<UInt64> {
            for net in 0..<4 as Range<UInt64> {
                #expect(table.remove(root, RouteKey(high: base | site << 24 | net << 12, low: 0, length: 64)) == 1)
                #expect(table.lookupIPv6(root, base | site << 24 | net << 12, 7) == 0)
            }
        }
        let number = table.reader.frontNumber(root)
        #expect(number == 0 || table.reader.anchor(number).octets != octets)
        #expect(table.lookupIPv6(root, 0x2A00_0000_0000_0000 | 7 << 40, 7) == 2)
        for site in 200..<400 as Range<UInt64> {
            _ = table.insert(root, RouteKey(high: 0x2A00_0000_0000_0000 | site << 40, low: 0, length: 48), leaf: 2)
        }
        #expect(table.reader.frontNumber(root) != 0)
    }

    @Test func manySmallTriesCostLittle() {
        let table = RouteTable(quiescence: Quiescence(workerCount: 0), maximumBytes: 256 << 20)
        let empty = table.nodeBytes
        for vrf in 0..<1000 {
            let root = table.createRoot()
            for host in 0..<10 {
                _ = table.insert(root, RouteKey(ipv4: 0x0A01_0000 | UInt32(vrf & 255) << 8 | UInt32(host * 9), length: 32), leaf: 1)
            }
        }
        table.collect()
        let perTrie = (table.nodeBytes - empty) / 1000
        #expect(perTrie <= 64 + 160, "octets of a VRF with ten host routes of one subnet: \(perTrie)")
    }
}
