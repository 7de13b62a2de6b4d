import Synchronization
import Testing

@testable import Dataplane

/// Which flows go when, with a clock of the test's.
@Suite("Ageing and eviction of flows") struct FlowAgeingTests {
    private func insert(_ table: FlowTable, _ port: UInt16, proto: UInt8 = 17, to destination: UInt16 = 53, owner: UInt32 = 3, now: UInt32 = 0)
        -> UInt32
    {
        var forward = FlowKey(
            vrf: 1, proto: proto, ipv4Source: 0x0A00_0001, ipv4Destination: 0x0A00_0002, sourcePort: port, destinationPort: destination)
        var reverse = forward.reversed
        return table.insertPair(lane: 0, forward: &forward, reverse: &reverse, FlowTable.Template(now: now, owner: owner)).index
    }

    @Test("Ports and protocols have times of their own") func times() {
        let table = FlowTable(capacity: 1024, laneCount: 2, quiescence: Quiescence(workerCount: 0))
        #expect(
            table.ageing.set(17, 53, 5000) && table.ageing.set(17, 0, 60_000) && table.ageing.set(0, 0, 300_000) && table.ageing.set(6, 0, 600_000))
        #expect(!table.ageing.set(1, 53, 1))
        table.ageing.shortest.store(5000, ordering: .relaxed)
        let dns = insert(table, 1000), other = insert(table, 1001, to: 54), icmp = insert(table, 7, proto: 1, to: 7), tcp = insert(table, 5, proto: 6)
        // The source's port counts where the destination's has no time.
        let answer = insert(table, 53, to: 55)
        func live() -> [Bool] { [dns, other, icmp, tcp, answer].map(table.isLive) }
        _ = table.age(lane: 0, now: 4999, budget: 1024)
        #expect(live() == [true, true, true, true, true])
        _ = table.age(lane: 0, now: 5000, budget: 1024)
        #expect(live() == [false, true, true, true, false])
        _ = table.age(lane: 0, now: 180_000, budget: 1024)
        #expect(live() == [false, false, true, true, false])
        _ = table.age(lane: 0, now: 300_000, budget: 1024)
        #expect(live() == [false, false, false, true, false])
        _ = table.age(lane: 0, now: 600_000, budget: 1024)
        #expect(table.count == 0 && table.pool.aged == 5)
    }

    @Test("A flow that goes before it is counted leaves no trace in who has flows") func countedLate() {
        let quotas = FlowQuotas(capacity: 8)
        quotas.subtract(3)
        #expect(quotas.count(3) == 0 && quotas.activeCount == 0)
        quotas.add(3, 1)
        #expect(quotas.count(3) == 0 && quotas.activeCount == 0)
        quotas.subtract(3)
        quotas.add(3, 5)
        #expect(quotas.count(3) == 4 && quotas.activeCount == 1)
        for _ in 0..<4 { quotas.subtract(3) }
        #expect(quotas.count(3) == 0 && quotas.activeCount == 0)
        // Those of a burst that are not counted yet count against its limit.
        quotas.set(3, limit: 6, rate: 0, tscHz: 1)
        quotas.add(3, 2)
        #expect(quotas.refuses(3, now: 0, pending: 3) == nil && quotas.refuses(3, now: 0, pending: 4) == .limit)
    }

    @Test("The offender's unanswered flows make room, and only so many") func eviction() {
        let table = FlowTable(capacity: 256, laneCount: 2, quiescence: Quiescence(workerCount: 0))
        var flood: [UInt32] = [], other: [UInt32] = []
        for port in 0..<123 { flood.append(insert(table, 1000 + UInt16(port))) }
        for port in 0..<4 { other.append(insert(table, 5000 + UInt16(port), owner: 4)) }
        // Answered ones stay.
        for index in flood[..<60] { table.entry(table.entry(index).reverse).count(bytes: 1, now: 0) }
        #expect(table.vifQuotas.count(3) == 123 && table.vifQuotas.count(4) == 4 && table.vrfQuotas.count(1) == 127)
        #expect(table.age(lane: 0, now: 1000, budget: 1024) == 14)
        // 120 flows are shared: 4 are owner 4's. Of the 116 that are left a sixteenth is made free, so that owner 3 has room for new ones of its own.
        #expect(table.vifQuotas.count(3) == 109 && table.pool.evicted == 14 && table.vifQuotas.reading(3).evicted == 14 && !table.isOverShare(3))
        #expect(flood[..<60].allSatisfy(table.isLive) && other.allSatisfy(table.isLive))
        let gone = flood.first { !table.isLive($0) }!
        #expect(table.isTraceOfEvicted(gone) && !table.isTraceOfEvicted(other[0]))
        #expect(table.trace(table.entry(gone).reverse, of: gone)?.key.sourcePort == 53)
    }

    @Test("A share is what is left when those who take less have theirs") func share() {
        let quotas = FlowQuotas(capacity: 16)
        for (id, count) in [(UInt32(1), 10), (2, 20), (3, 500), (4, 400)] { for _ in 0..<count { quotas.add(id) } }
        #expect(quotas.fairShare(of: 630) == 300)
        #expect(quotas.fairShare(of: 2000) == 500)
        for _ in 0..<10 { quotas.subtract(1) }
        #expect(quotas.activeCount == 3 && quotas.count(1) == 0 && quotas.fairShare(of: 620) == 300)
        // What is not there has none, and no limits.
        #expect(quotas.count(16) == 0 && quotas.refuses(99, now: 0) == nil)
    }

    @Test("A generation is 32 bits: an entry that is used again and again is not mistaken for an older one") func generation() {
        let table = FlowTable(capacity: 2, laneCount: 1, quiescence: Quiescence(workerCount: 0))
        var first: UInt32?
        for round in 0..<600 {
            let index = insert(table, UInt16(round) + 1)
            #expect(index != FlowTable.none)
            if first == nil { first = table.entry(index).generation }
            #expect(!(round > 0 && table.remove(lane: 0, index: index, generation: first)))
            #expect(table.remove(lane: 0, index: index, generation: table.entry(index).generation))
            table.pool.collect(0)
        }
    }
}
