import CPlatform
import Glibc
import NetTypes
import Synchronization
import Testing

@testable import Dataplane

/// Learning of source addresses: local and remote, moves, ageing, limits. The clock is the router's own second counter, set by hand.
@Suite struct LearningTests {
    static func router(ageing: UInt32 = 0, limit: UInt32 = 0) -> TestRouter {
        let test = FloodTests.router(tree: false, vrf: VRFSpec(id: .init(1), name: "blue", learnsMACs: true, macAgeing: ageing, macLimit: limit))
        // The workloads' own entries go: they are to be learned.
        #expect(test.router.apply([.delete(.bridgeEntry(.init(1), TestRouter.a)), .delete(.bridgeEntry(.init(1), TestRouter.c))]) == [.ok, .ok])
        return test
    }

    static func entry(_ test: TestRouter, _ mac: MACAddress) -> BridgeEntryReading? {
        test.router.bridgeEntries(vrf: .init(1), after: nil, limit: 100).first { $0.spec.mac == mac }
    }

    static func ageAt(_ test: TestRouter, _ seconds: UInt32) {
        test.router.tables.learnClock.store(seconds, ordering: .relaxed)
        test.router.state.withLock { test.router.ageLearned(&$0) }
    }

    private let far = MACAddress("02:00:00:00:01:33")!

    private func fromPeer(_ source: String = "10.0.0.13", mac: UInt8 = 0x33) -> [UInt8] {
        var frame = GoldenBridging.remoteARPFromPeer
        frame.replaceSubrange(26..<30, with: IPv4Address(source)!.bytes)
        frame.replaceSubrange(24..<26, with: [0, 0])
        frame.withUnsafeMutableBytes { IPv4($0.baseAddress! + 14).updateChecksum() }
        // Inner source MAC.
        frame[50 + 11] = mac
        return frame
    }

    @Test func localAddressesLeadToTheirVif() {
        let test = Self.router()
        test.send(GoldenBridging.answer, from: test.blue2)
        #expect(test.allDrops == ["no_l2_route": 1])
        test.send(GoldenBridging.untagged, from: test.blue1)
        #expect(test.blue2.take() == [GoldenBridging.untagged])
        test.send(GoldenBridging.answer, from: test.blue2)
        #expect(test.blue1.take() == [GoldenBridging.answer])
        let spec = BridgeEntrySpec(vrf: .init(1), mac: TestRouter.a, nextHop: .init(31))
        #expect(Self.entry(test, TestRouter.a) == .init(spec: spec, learned: .init(moves: 0, idleSeconds: 0)))
        #expect(test.router.status().learning == LearningStatistics(learned: 2))
    }

    @Test func remoteAddressesLeadToTheirPeer() {
        let test = Self.router()
        test.send(fromPeer(), from: test.fabric)
        #expect(Self.entry(test, far)?.spec == BridgeEntrySpec(vrf: .init(1), mac: far, nextHop: .init(7), label: 5001))
        // A far end without a tunnel next hop is not believed.
        test.send(fromPeer("10.0.0.77", mac: 0x34), from: test.fabric)
        #expect(Self.entry(test, MACAddress("02:00:00:00:01:34")!) == nil)
        #expect(test.router.status().learning.withoutNextHop == 1)
    }

    @Test func aStationMoves() {
        let test = Self.router()
        test.send(fromPeer(), from: test.fabric)
        test.send(fromPeer("10.0.0.12"), from: test.fabric)
        #expect(Self.entry(test, far)?.spec.nextHop == NextHopID(2) && Self.entry(test, far)?.learned?.moves == 1)
        var local = GoldenBridging.untagged
        local[11] = 0x33
        test.send(local, from: test.blue1)
        #expect(Self.entry(test, far)?.spec.nextHop == NextHopID(31) && Self.entry(test, far)?.learned?.moves == 2)
        #expect(test.router.status().learning == LearningStatistics(learned: 1, moved: 2))
    }

    @Test func whatIsNotSeenIsForgotten() {
        let test = Self.router()
        test.send(GoldenBridging.untagged, from: test.blue1)
        Self.ageAt(test, 200)
        #expect(Self.entry(test, TestRouter.a)?.learned?.idleSeconds == 200)
        // Seen again: its time starts anew.
        test.send(GoldenBridging.untagged, from: test.blue1)
        Self.ageAt(test, 499)
        #expect(Self.entry(test, TestRouter.a)?.learned?.idleSeconds == 299)
        Self.ageAt(test, 500)
        #expect(Self.entry(test, TestRouter.a) == nil)
        #expect(test.router.status().learning.aged == 1)
        let short = Self.router(ageing: 5)
        short.send(GoldenBridging.untagged, from: short.blue1)
        Self.ageAt(short, 5)
        #expect(Self.entry(short, TestRouter.a) == nil)
    }

    @Test func programmedEntriesWin() {
        let test = Self.router()
        // b is programmed behind 10.0.0.12; a frame from it here changes nothing.
        var frame = GoldenBridging.untagged
        frame[11] = 0x13
        test.send(frame, from: test.blue1)
        #expect(Self.entry(test, TestRouter.b)?.spec.nextHop == NextHopID(1) && Self.entry(test, TestRouter.b)?.learned == nil)
        // A learned one that is then programmed is a program's, and does not age.
        test.send(GoldenBridging.untagged, from: test.blue1)
        #expect(Self.entry(test, TestRouter.a)?.learned != nil)
        #expect(test.router.apply([.upsert(.bridgeEntry(BridgeEntrySpec(vrf: .init(1), mac: TestRouter.a, nextHop: .init(31), cookie: 5)))]) == [.ok])
        Self.ageAt(test, 10_000)
        #expect(Self.entry(test, TestRouter.a) == .init(spec: .init(vrf: .init(1), mac: TestRouter.a, nextHop: .init(31), cookie: 5), learned: nil))
        #expect(test.router.apply([.delete(.bridgeEntry(.init(1), TestRouter.a))]) == [.ok])
    }

    @Test func limitsRefuseAndCount() {
        let test = Self.router(limit: 3)
        for station in 0..<10 {
            var frame = GoldenBridging.untagged
            frame[10] = 0x77
            frame[11] = UInt8(station)
            test.send(frame, from: test.blue1)
        }
        let learned = test.router.bridgeEntries(vrf: .init(1), after: nil, limit: 100).filter { $0.learned != nil }
        #expect(learned.count == 3)
        #expect(test.router.status().learning == LearningStatistics(learned: 3, overLimit: 7))
    }

    /// Learned entries go with their next hop, their VRF's wish to learn, and are no reason to keep a VRF.
    @Test func learnedEntriesKeepNothing() {
        let test = Self.router()
        test.send(fromPeer(), from: test.fabric)
        #expect(Self.entry(test, far) != nil)
        let composite = FloodTests.composite(evpn: false, tree: false)
        #expect(test.router.apply([.upsert(composite), .delete(.nextHop(.init(7)))]) == [.ok, .ok])
        #expect(Self.entry(test, far) == nil)
        test.send(GoldenBridging.untagged, from: test.blue1)
        #expect(Self.entry(test, TestRouter.a) != nil)
        #expect(test.router.apply([.upsert(.vrf(VRFSpec(id: .init(1), name: "blue")))]) == [.ok])
        #expect(Self.entry(test, TestRouter.a) == nil)
        test.send(GoldenBridging.untagged, from: test.blue1)
        #expect(Self.entry(test, TestRouter.a) == nil)
    }

    /// The table grows while it is full of learned entries; each keeps its place and time.
    @Test func learnedEntriesSurviveGrowth() {
        let table = BridgeTable(quiescence: Quiescence(workerCount: 0))
        for mac in 1...500 as ClosedRange<UInt64> {
            #expect(table.learn(vrf: 1, mac: mac, nextHop: 9, label: .max, .init(location: .init(vif: UInt32(mac)), moves: 2), now: UInt32(mac)))
        }
        for mac in 1...500 as ClosedRange<UInt64> {
            let found = table.meta(vrf: 1, mac: mac)
            #expect(found?.meta == .init(location: .init(vif: UInt32(mac)), moves: 2) && found?.seen == UInt32(mac))
            #expect(table.sight(vrf: 1, mac: mac, at: .init(vif: UInt32(mac)), now: 1000) == .known)
            #expect(table.sight(vrf: 1, mac: mac, at: .init(farHigh: 0, farLow: mac), now: 1000) == .elsewhere)
        }
        #expect(table.sight(vrf: 2, mac: 1, at: .init(vif: 1), now: 0) == .unknown)
        #expect(table.meta(vrf: 1, mac: 7)?.seen == 1000)
    }

    @Test func aFullQueueForgets() {
        let queue = LearnQueue()
        for mac in 0..<2000 { _ = queue.report(.init(mac: UInt64(mac) + 1, vrf: 1, label: .max, vif: 3, isRemote: false), milliseconds: 0) }
        #expect(queue.lost.load(ordering: .relaxed) == 2000 - 1024)
        var taken = 0
        while let report = queue.take() {
            taken += 1
            #expect(report.mac == UInt64(taken))
        }
        #expect(taken == 1024)
        // Once in 20 ms.
        let report = LearnQueue.Report(mac: 5, vrf: 1, label: .max, vif: 3, isRemote: false)
        #expect(queue.report(report, milliseconds: 100) && !queue.report(report, milliseconds: 119))
        #expect(queue.take() == report && queue.take() == nil)
        #expect(queue.report(report, milliseconds: 120))
    }

    /// The reader sleeps when it has found nothing: what comes after that wakes it, however close it comes.
    @Test func noReportIsSleptThrough() {
        let queue = LearnQueue(), pairs = 100_000
        let reading = Reading()
        let reader = TestThread {
            var taken = 0, heard = 0
            while true {
                while queue.take() != nil { taken += 1 }
                if taken == 2 * pairs { return }
                // Asleep until the bell has rung once more.
                reading.asleep.store(heard, ordering: .sequentiallyConsistent)
                while reading.rung.load(ordering: .sequentiallyConsistent) == heard { vr_pause() }
                heard = reading.rung.load(ordering: .sequentiallyConsistent)
            }
        }
        var missed = 0
        for pair in 0..<pairs {
            // The second comes while the first is taken, now a little earlier and now a little later.
            for mac in [2 * pair + 1, 2 * pair + 2] {
                for _ in 0..<(mac & 1) * (pair & 63) { vr_pause() }
                let isToWake = queue.report(.init(mac: UInt64(mac), vrf: 1, label: .max, vif: 3, isRemote: false), milliseconds: UInt32(mac) &* 20)
                if isToWake { reading.rung.add(1, ordering: .sequentiallyConsistent) }
            }
            while !queue.isEmpty {
                sched_yield()
                let rung = reading.rung.load(ordering: .sequentiallyConsistent)
                guard reading.asleep.load(ordering: .sequentiallyConsistent) == rung, !queue.isEmpty else { continue }
                // It sleeps, nothing has rung since, and there is a report.
                missed += 1
                reading.rung.add(1, ordering: .sequentiallyConsistent)
            }
        }
        reader.join()
        #expect(missed == 0)
    }

    private final class Reading: Sendable {
        /// How often the bell has rung; and how often it had when the reader went to sleep.
        let rung = Atomic<Int>(0), asleep = Atomic<Int>(-1)
    }
}
