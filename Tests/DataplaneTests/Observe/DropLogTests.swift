import CPlatform
import NetTypes
import Synchronization
import Testing

@testable import Dataplane

@Suite struct DropLogTests {
    @Test func tellsWhichPacketWhereAndWhy() throws {
        let test = TestRouter()
        // To 10.9.9.9, of which VRF 1 has no route: UDP 1000 → 2000 from blue1. The checksum is adjusted by hand: 0a03 0009 becomes 0a09 0909.
        var frame = Golden.routed
        frame.replaceSubrange(30..<34, with: [10, 9, 9, 9])
        frame.replaceSubrange(24..<26, with: [0x5D, 0x81])
        let before = vr_wall_ns()
        test.send(frame, from: test.blue1)
        #expect(test.allDrops == ["no_route": 1])
        let record = try #require(test.router.dropLog().first)
        #expect(test.router.dropLog().count == 1)
        #expect(record.worker == 0 && record.number == 1)
        #expect(record.reason == .noRoute)
        #expect(record.vif == VifID(3) && record.vrf == VRFID(1))
        #expect(record.summary.source == IPAddress("10.1.0.11") && record.summary.destination == IPAddress("10.9.9.9"))
        #expect(record.summary.proto == 17 && record.summary.sourcePort == 1000 && record.summary.destinationPort == 2000)
        #expect(record.length == frame.count)
        #expect(record.octets == Array(frame.prefix(64)))
        #expect(record.stage == "Lookup" && record.line > 0)
        // The clock of the record is the wall clock, within the time the test takes and the second its frequency was measured with.
        #expect(record.time > before - 1_000_000_000 && record.time < vr_wall_ns() + 1_000_000_000)
    }

    @Test func namesTheStage() {
        let test = TestRouter()
        var badChecksum = Golden.routed
        badChecksum[24] ^= 1
        test.send(Array(Golden.routed.prefix(10)), badChecksum, Golden.routedTTL1, from: test.blue1)
        let log = test.router.dropLog()
        #expect(log.map(\.reason) == [.pull, .checksumError, .ttlExceeded])
        #expect(log.map(\.stage) == ["VifInput", "VifInput", "NextHopOutput"])
        #expect(log[0].octets == Array(Golden.routed.prefix(10)) && log[0].summary.source == nil)
    }

    @Test func keepsTheNewestAndClears() {
        let test = TestRouter()
        var bad = Golden.routed
        bad[24] ^= 1
        for _ in 0..<250 { test.blue1.input.append(bad) }
        test.run()
        let log = test.router.dropLog()
        #expect(log.count == 200)
        #expect(log.first?.number == 51 && log.last?.number == 250)
        #expect(test.router.dropLog(after: [0: 240]).map(\.number) == Array(241...250))
        #expect(test.router.dropLog(worker: 1).isEmpty)
        test.router.clearDropLog()
        #expect(test.router.dropLog().isEmpty)
        test.send(bad, from: test.blue1)
        #expect(test.router.dropLog().map(\.number) == [251])
    }

    /// What a port does not take is a drop too, and is seen on the vif it would have left by.
    @Test func seesWhatThePortRefused() {
        let test = TestRouter()
        test.fabric.transmitCapacity = 0
        test.send(Golden.routed, from: test.blue1)
        let record = test.router.dropLog().first
        #expect(record?.reason == .transmitQueueFull && record?.vif == VifID(0) && record?.stage == "Settle")
        #expect(record?.summary.destination == IPAddress("10.0.0.12") && record?.summary.destinationPort == 4789)
    }

    /// One thread overwrites a small log as fast as it can, the other reads: no record mixes two packets.
    @Test func readersNeverSeeAMixture() throws {
        let log = DropLog(capacity: 8)
        let pool = try HeapBufferPool(bufferSize: 2048, capacity: 8)
        var frame = vr_frame()
        #expect(pool.allocate(lane: 0, into: &frame, count: 1) == 1)
        frame.length = 64
        nonisolated(unsafe) let shared = frame
        let isDone = Atomic<Bool>(false)
        let writer = TestThread {
            for number in 0..<UInt32(200_000) {
                shared.start.initializeMemory(as: UInt8.self, repeating: UInt8(truncatingIfNeeded: number), count: 64)
                log.record(shared, .misc, vif: number, nextHop: number, vrf: number, DropLog.Place(file: 0, line: number), now: UInt64(number))
            }
            isDone.store(true, ordering: .releasing)
        }
        var after: UInt64 = 0
        while !isDone.load(ordering: .acquiring) {
            for entry in log.entries(after: after) {
                let number = UInt32(entry.number - 1)
                #expect(entry.vif == number && entry.nextHop == number && entry.vrf == number && entry.place.line == number)
                #expect(entry.frame == Array(repeating: UInt8(truncatingIfNeeded: number), count: 64))
                after = entry.number
            }
        }
        writer.join()
        #expect(log.count == 200_000)
        #expect(log.entries(after: 0).map(\.number) == Array(199_993...200_000))
        pool.release(lane: 0, &frame, count: 1)
    }

    @Test func anAddressThatIsNoTextIsNotFollowed() {
        #expect(vr_image_text_length(0) == 0)
        #expect(vr_image_text_length(.max) == 0)
        #expect(vr_image_text_length(1) == 0)
    }
}

@Suite struct FrameSummaryTests {
    @Test func readsTaggedIPv6WithExtensions() {
        // 802.1Q 7, IPv6 fd00::1 → fd00::2, hop-by-hop (8 octets), TCP 80 → 81.
        let frame = hex(
            "020000000001 020000000002 8100 0007 86dd 60000000 001c 00 40"
                + "fd000000000000000000000000000001 fd000000000000000000000000000002 0600010400000000 0050 0051")
        let summary = FrameSummary(frame)
        #expect(summary.vlans == [7] && summary.etherType == 0x86DD && summary.proto == 6)
        #expect(summary.source == IPAddress("fd00::1") && summary.destination == IPAddress("fd00::2"))
        #expect(summary.sourcePort == 80 && summary.destinationPort == 81)
    }

    @Test func anyPrefixIsSafe() {
        for frame in [Golden.routed, Golden.bridgedInVXLAN, hex("ffffffffffff0200000000028100000781000008 86dd6000")] {
            for length in 0...frame.count { _ = FrameSummary(Array(frame.prefix(length))) }
        }
    }
}
