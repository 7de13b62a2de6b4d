import Testing

@testable import Dataplane

@Suite struct IndexTableTests {
    @Test func setLookupRemove() {
        let table = IndexTable(capacity: 1 << 20)
        #expect(table.lookup(16) == IndexTable.none)
        #expect(table.set(16, nextHop: 0, cookie: 7))
        #expect(table.lookup(16) == 0)
        #expect(table.cookie(16) == 7)
        #expect(table.set(16, nextHop: 9, cookie: 8))
        #expect(table.lookup(16) == 9)
        #expect(table.count == 1)
        #expect(table.remove(16))
        #expect(!table.remove(16))
        #expect(table.lookup(16) == IndexTable.none)
        #expect(table.count == 0)
    }

    @Test func keysAndNextHopsOutOfRangeAreRefused() {
        let table = IndexTable(capacity: 1 << 20)
        #expect(!table.set(1 << 20, nextHop: 1, cookie: 0))
        #expect(!table.set(1, nextHop: IndexTable.none, cookie: 0))
        #expect(table.lookup(.max) == IndexTable.none)
        #expect(!table.remove(.max))
        #expect(table.first(from: .max) == nil)
    }

    @Test(arguments: [1, 64, 65, 4096, 4097, 1 << 24]) func orderedWalk(capacity: Int) {
        var random = RandomSource(seed: UInt64(capacity))
        var set = IndexSet(capacity: capacity), reference = Set<UInt32>()
        for _ in 0..<400 {
            let value = UInt32(random.below(capacity))
            if random.below(3) == 0 {
                set.remove(value)
                reference.remove(value)
            } else {
                set.insert(value)
                reference.insert(value)
            }
        }
        var walked: [UInt32] = [], next = set.first(from: 0)
        while let value = next {
            walked.append(value)
            next = set.first(from: value + 1)
        }
        #expect(walked == reference.sorted())
        #expect(set.count == reference.count)
        let from = UInt32(random.below(capacity))
        #expect(set.first(from: from) == reference.filter { $0 >= from }.min())
    }
}

@Suite struct SlotTableTests {
    @Test func publishesReplacesAndRetires() throws {
        let quiescence = Quiescence(workerCount: 1)
        let table = SlotTable<ScribbledRecord>(capacity: 8, quiescence: quiescence)
        quiescence.online(0)
        #expect(table.publish(3, ScribbledRecord(1)))
        let first = try #require(table.load(3))
        #expect(table.publish(3, ScribbledRecord(2)))
        #expect(table.load(3)?.pointee.first == 2)
        #expect(first.pointee.first == 1)
        quiescence.reclaim()
        #expect(first.pointee.isWhole && quiescence.pendingCount == 1)
        #expect(!table.publish(8, ScribbledRecord(1)))
        #expect(table.load(8) == nil && table.load(.max) == nil)
        #expect(table.first(from: 0) == 3 && table.first(from: 4) == nil)
        #expect(table.remove(3))
        #expect(!table.remove(3))
        #expect(table.count == 0)
        quiescence.offline(0)
        quiescence.synchronize()
        #expect(quiescence.pendingCount == 0)
    }
}

@Suite struct RouteLeavesTests {
    @Test func equalLeavesShareAnEntry() {
        let leaves = RouteLeaves(quiescence: Quiescence(workerCount: 0))
        let a = leaves.intern(RouteLeaf(nextHop: 5, label: 16, mac: 0x0200_0000_0001, flags: 3, cookie: 9))
        let b = leaves.intern(RouteLeaf(nextHop: 5, label: 16, mac: 0x0200_0000_0001, flags: 3, cookie: 9))
        let c = leaves.intern(RouteLeaf(nextHop: 5, label: 17, mac: 0x0200_0000_0001, flags: 3, cookie: 9))
        #expect(a == b && a != c && a != 0)
        #expect(leaves.count == 2)
        #expect(leaves.references(a) == 2)
        #expect(leaves.nextHop(a) == 5 && leaves.label(a) == 16 && leaves.mac(a) == 0x0200_0000_0001 && leaves.flags(a) == 3)
        #expect(leaves[a].cookie == 9)
        leaves.release(a)
        #expect(leaves.count == 2)
        leaves.release(b)
        #expect(leaves.count == 1)
    }

    @Test func anEntryIsReusedOnlyAfterAGracePeriod() {
        let quiescence = Quiescence(workerCount: 1)
        let leaves = RouteLeaves(quiescence: quiescence, capacity: 1)
        quiescence.online(0)
        let a = leaves.intern(RouteLeaf(nextHop: 5))
        leaves.release(a)
        #expect(leaves.intern(RouteLeaf(nextHop: 6)) == 0)
        #expect(leaves.nextHop(a) == 5)
        quiescence.quiesce(0)
        #expect(leaves.intern(RouteLeaf(nextHop: 6)) == a)
        #expect(leaves.nextHop(a) == 6)
    }

    @Test func agreesWithADictionary() {
        let leaves = RouteLeaves(quiescence: Quiescence(workerCount: 0))
        var random = RandomSource(seed: 3)
        var held: [UInt32: (leaf: RouteLeaf, references: Int)] = [:]
        for _ in 0..<20_000 {
            if random.below(5) < 3 || held.isEmpty {
                let leaf = RouteLeaf(nextHop: UInt32(random.below(60)), label: UInt32(random.below(20)), cookie: UInt64(random.below(3)))
                let index = leaves.intern(leaf)
                #expect(held[index].map { $0.leaf == leaf } ?? true)
                held[index, default: (leaf, 0)].references += 1
            } else if let (index, entry) = held.randomElement(using: &random) {
                #expect(leaves[index] == entry.leaf && leaves.references(index) == UInt32(entry.references))
                leaves.release(index)
                held[index] = entry.references == 1 ? nil : (entry.leaf, entry.references - 1)
            }
            #expect(leaves.count == held.count)
        }
    }
}

@Suite struct BridgeTableTests {
    @Test func insertReplaceRemove() {
        let table = BridgeTable(quiescence: Quiescence(workerCount: 0))
        #expect(table.insert(vrf: 1, mac: 0x02, nextHop: 5, label: 5000, cookie: 1))
        #expect(table.lookup(vrf: 1, mac: 0x02) == BridgeTable.Value(nextHop: 5, label: 5000))
        #expect(table.lookup(vrf: 2, mac: 0x02) == nil)
        #expect(table.insert(vrf: 1, mac: 0x02, nextHop: 6, label: .max, cookie: 2))
        #expect(table.lookup(vrf: 1, mac: 0x02)?.nextHop == 6)
        #expect(table.entry(vrf: 1, mac: 0x02)?.cookie == 2)
        #expect(table.count == 1 && table.count(vrf: 1) == 1)
        #expect(table.remove(vrf: 1, mac: 0x02))
        #expect(!table.remove(vrf: 1, mac: 0x02))
        #expect(table.count == 0 && table.count(vrf: 1) == 0)
    }

    @Test func whatCannotBeAKeyIsRefused() {
        let table = BridgeTable(quiescence: Quiescence(workerCount: 0), capacity: 2)
        #expect(!table.insert(vrf: 0x1_0000, mac: 2, nextHop: 1, label: 0, cookie: 0))
        #expect(!table.insert(vrf: 0, mac: 0, nextHop: 1, label: 0, cookie: 0))
        #expect(!table.insert(vrf: 0, mac: 1 << 48, nextHop: 1, label: 0, cookie: 0))
        #expect(table.lookup(vrf: 0, mac: 0) == nil)
        #expect(table.lookup(vrf: 0x1_0000, mac: 2) == nil)
        #expect(table.insert(vrf: 0, mac: 1, nextHop: 1, label: 0, cookie: 0))
        #expect(table.insert(vrf: 0, mac: 2, nextHop: 1, label: 0, cookie: 0))
        #expect(!table.insert(vrf: 0, mac: 3, nextHop: 1, label: 0, cookie: 0))
    }

    @Test func agreesWithADictionary() {
        let table = BridgeTable(quiescence: Quiescence(workerCount: 0))
        var random = RandomSource(seed: 8)
        var reference: [UInt32: [UInt64: UInt64]] = [:]
        for step in 0..<60_000 {
            let vrf = UInt32(random.below(5)), mac = UInt64(random.below(4000)) + 1
            if random.below(10) < 6 {
                let cookie = random.next()
                #expect(table.insert(vrf: vrf, mac: mac, nextHop: UInt32(cookie & 0xFFFF), label: UInt32(step), cookie: cookie))
                reference[vrf, default: [:]][mac] = cookie
            } else {
                #expect(table.remove(vrf: vrf, mac: mac) == (reference[vrf]?.removeValue(forKey: mac) != nil))
            }
            #expect(table.entry(vrf: vrf, mac: mac)?.cookie == reference[vrf]?[mac])
            #expect(table.lookup(vrf: vrf, mac: mac)?.nextHop == reference[vrf]?[mac].map { UInt32($0 & 0xFFFF) })
        }
        #expect(table.count == reference.values.reduce(0) { $0 + $1.count })
        for vrf in 0..<UInt32(5) {
            #expect(table.count(vrf: vrf) == reference[vrf]?.count ?? 0)
            var read: [UInt64] = []
            while true {
                var page: [UInt64] = []
                table.forEach(vrf: vrf, after: read.last) { mac, _, _, _ in
                    page.append(mac)
                    return page.count < 333
                }
                if page.isEmpty { break }
                read += page
            }
            #expect(read == reference[vrf]?.keys.sorted() ?? [])
        }
        let macs = (1...32).map { UInt64($0 * 50) }, vrfs = [UInt32](repeating: 2, count: 32)
        var nextHops = [UInt32](repeating: 0, count: 32), labels = nextHops
        table.lookup(vrfs: vrfs, macs: macs, nextHops: &nextHops, labels: &labels, count: 32)
        #expect(nextHops == macs.map { reference[2]?[$0].map { UInt32($0 & 0xFFFF) } ?? BridgeTable.noNextHop })
        table.removeAll(vrf: 2)
        #expect(table.count(vrf: 2) == 0 && table.lookup(vrf: 2, mac: macs[0]) == nil)
    }
}
