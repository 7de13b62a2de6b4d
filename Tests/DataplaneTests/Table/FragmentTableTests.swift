import Synchronization
import Testing

@testable import Dataplane

@Suite struct FragmentTableTests {
    private static func key(_ identification: UInt32, vrf: UInt32 = 1) -> FragmentTable.Key {
        .init(
            sourceHigh: 0, sourceLow: 0x0A01_000B, destinationHigh: 0, destinationLow: 0x0A01_000D, identification: identification, vrf: vrf,
            kind: 17 | 4 << 8)
    }
    private static func mark(_ table: FragmentTable, _ id: UInt32, _ offset: Int, _ length: Int, last: Bool = false) -> FragmentTable.Outcome? {
        guard let entry = table.entry(key(id), proto: 17, vif: 3, now: 0) else { return nil }
        if offset == 0 { entry.pointee.state.insert(.hasFirst) }
        let outcome = table.mark(entry, offset: offset, length: length, isLast: last)
        if table.isComplete(entry) { table.release(entry) }
        return outcome
    }
    private static func inUse(_ table: FragmentTable) -> Int { table.inUse.load(ordering: .relaxed) }

    @Test func aCompleteDatagramLeavesNothing() {
        let table = FragmentTable(capacity: 64, vifCapacity: 8)
        #expect(Self.mark(table, 1, 0, 1480) == .fine && Self.mark(table, 1, 2960, 40, last: true) == .fine && Self.inUse(table) == 1)
        #expect(Self.mark(table, 1, 1480, 1480) == .fine)
        #expect(Self.inUse(table) == 0)
    }

    /// The largest datagram there is: bits to the end of the map, a last octet alone.
    @Test func reachesTheEnd() {
        let table = FragmentTable(capacity: 16, vifCapacity: 8)
        for offset in stride(from: 65_528, through: 0, by: -8) {
            #expect(Self.mark(table, 1, offset, offset == 65_528 ? 7 : 8, last: offset == 65_528) == .fine)
        }
        #expect(Self.inUse(table) == 0)
    }

    @Test func overlapsAreSeenInAnyOrder() {
        for (first, second) in [((0, 24), (16, 24)), ((16, 24), (0, 24)), ((8, 8), (0, 24)), ((0, 520), (512, 8 + 512)), ((64, 8), (0, 65_528))] {
            let table = FragmentTable(capacity: 16, vifCapacity: 8)
            #expect(Self.mark(table, 1, first.0, first.1) == .fine)
            #expect(Self.mark(table, 1, second.0, second.1) == .overlap, "\(first) \(second)")
            #expect(table.entry(Self.key(1), proto: 17, vif: 3, now: 0)?.pointee.state.contains(.refused) == true)
        }
    }

    @Test func duplicatesAreNotOverlaps() {
        let table = FragmentTable(capacity: 16, vifCapacity: 8)
        #expect(Self.mark(table, 1, 0, 24) == .fine && Self.mark(table, 1, 0, 24) == .duplicate && Self.mark(table, 1, 8, 8) == .duplicate)
        #expect(Self.mark(table, 1, 24, 9, last: true) == .fine)
        #expect(Self.inUse(table) == 0)
    }

    @Test func twoEndsContradict() {
        let table = FragmentTable(capacity: 16, vifCapacity: 8)
        #expect(Self.mark(table, 1, 24, 9, last: true) == .fine)
        #expect(Self.mark(table, 1, 40, 8) == .overlap)
        #expect(Self.mark(table, 2, 24, 9, last: true) == .fine && Self.mark(table, 2, 8, 8, last: true) == .overlap)
        #expect(Self.mark(table, 3, 800, 8) == .fine && Self.mark(table, 3, 0, 8, last: true) == .overlap)
    }

    @Test func diesAfterTwoSeconds() {
        let table = FragmentTable(capacity: 16, vifCapacity: 8)
        let start = UInt32.max - 500  // the clock wraps meanwhile
        let entry = table.entry(Self.key(1), proto: 17, vif: 3, now: start)
        #expect(table.mark(entry!, offset: 8, length: 8, isLast: false) == .fine)
        #expect(table.entry(Self.key(1), proto: 17, vif: 3, now: start &+ 1999)?.pointee.seen == 8)
        #expect(table.entry(Self.key(1), proto: 17, vif: 3, now: start &+ 2000)?.pointee.seen == 0)
        #expect(Self.inUse(table) == 1)
    }

    /// One vif cannot take more than half; when its flood is over, its entries are free again.
    @Test func aFloodTakesHalfAtMost() {
        let table = FragmentTable(capacity: 256, vifCapacity: 8)
        let taken = (0..<10_000).count { table.entry(Self.key(UInt32($0)), proto: 17, vif: 3, now: 1000) != nil }
        #expect(taken == 128 && Self.inUse(table) == 128)
        let others = (0..<64).count { table.entry(Self.key(UInt32($0), vrf: 2), proto: 17, vif: 4, now: 1000) != nil }
        #expect(others > 40)
        #expect(table.entry(Self.key(70_000), proto: 17, vif: 3, now: 2999) == nil)
        let again = (0..<128).count { table.entry(Self.key(UInt32(80_000 + $0)), proto: 17, vif: 3, now: 3101) != nil }
        #expect(again > 100)
    }

    /// Against a model: a set of units of 8 octets.
    @Test func randomPiecesAgainstAModel() {
        var random = RandomSource(seed: 11)
        for _ in 0..<2000 {
            let table = FragmentTable(capacity: 16, vifCapacity: 8)
            var units: Set<Int> = []
            for _ in 0..<12 {
                let offset = random.below(40) * 8, length = (1 + random.below(20)) * 8
                let wanted = Set(offset / 8..<(offset + length) / 8)
                let expected: FragmentTable.Outcome = wanted.isDisjoint(with: units) ? .fine : wanted.isSubset(of: units) ? .duplicate : .overlap
                #expect(Self.mark(table, 1, offset, length) == expected)
                guard expected == .fine else {
                    if expected == .overlap { break }
                    continue
                }
                units.formUnion(wanted)
            }
        }
    }
}
