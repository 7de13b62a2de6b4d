import Testing

@testable import Dataplane

@Suite struct RouteArenaTests {
    @Test func neighboursAreJoined() {
        var arena = RouteArena(maximumBytes: 1 << 20)
        let a = arena.allocate(2), b = arena.allocate(3), c = arena.allocate(4), last = arena.allocate(2)
        let used = arena.untouchedUnits
        arena.free(a, 2)
        arena.free(c, 4)
        arena.free(b, 3)
        // One block of nine now lies where the three were.
        #expect(arena.allocate(9) == a)
        #expect(arena.untouchedUnits == used && arena.freeUnits == 0)
        arena.free(a, 9)
        #expect(arena.allocate(2) == a && arena.allocate(7) == a + 2)
        arena.free(last, 2)
    }

    @Test func refusesWhenFull() {
        var arena = RouteArena(maximumBytes: 0)
        var count = 0
        while arena.allocate(163) != 0 { count += 1 }
        #expect(count == (8192 - RouteNode.emptyUnits) / 163)
        #expect(arena.allocate(163) == 0)
    }

    /// Blocks never overlap, and when all have come back every granule is free.
    @Test func randomUse() {
        var arena = RouteArena(maximumBytes: 8 << 20)
        var random = RandomSource(seed: 6)
        var held: [(block: UInt32, units: Int)] = []
        var owner = [Int](repeating: 0, count: (8 << 20) / RouteNode.unit)
        var expected = 0, collisions = 0
        for step in 1...60_000 {
            if random.below(100) < (step / 10_000 % 2 == 0 ? 60 : 40) || held.isEmpty {
                let units = random.below(20) == 0 ? 1 + random.below(163) : 1 + random.below(4)
                let block = arena.allocate(units)
                guard block != 0 else { continue }
                for granule in Int(block)..<(Int(block) + units) {
                    if owner[granule] != 0 { collisions += 1 }
                    owner[granule] = step
                    arena.base.store64(granule * RouteNode.unit, UInt64(step))
                }
                held.append((block, units))
                expected += units
            } else {
                let at = random.below(held.count)
                held.swapAt(at, held.count - 1)
                let (block, units) = held.removeLast()
                for granule in Int(block)..<(Int(block) + units) {
                    if arena.base.load64(granule * RouteNode.unit) != UInt64(owner[granule]) { collisions += 1 }
                    owner[granule] = 0
                }
                arena.free(block, units)
                expected -= units
            }
        }
        #expect(collisions == 0)
        #expect(arena.usedBytes == (expected + RouteNode.emptyUnits) * RouteNode.unit)
        for (block, units) in held { arena.free(block, units) }
        #expect(arena.usedBytes == RouteNode.emptyUnits * RouteNode.unit)
    }
}
