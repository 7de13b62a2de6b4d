import CPlatform
import Testing

@testable import Dataplane

/// How fast workers go through their slices of the flow table, whether packets come to them or not.
@Suite("The pace of ageing") struct AgeingPaceTests {
    /// Steps until nothing is due at `now`.
    private func steps(_ pace: inout AgeingPace, _ now: UInt64) -> Int {
        var steps = 0
        while pace.isDue(now), steps < 1000 {
            pace.step(now, isRoundOver: false)
            steps += 1
        }
        return steps
    }

    @Test("A step in each interval; who was away makes up for it, but not for all of a long time") func pace() {
        var pace = AgeingPace(interval: 10)
        #expect(steps(&pace, 100_000) == Int(AgeingPace.mostSteps))
        #expect(steps(&pace, 100_020) == 2 && !pace.isDue(100_020) && pace.isDue(100_021))
        #expect(steps(&pace, 101_020) == 100, "as many as of a worker that never slept")
        #expect(steps(&pace, 200_020) == Int(AgeingPace.mostSteps))
        // Whose slice has been gone through has nothing to make up for.
        pace.step(300_020, isRoundOver: true)
        #expect(!pace.isDue(300_030) && pace.isDue(300_031))
        // A clock that begins.
        var new = AgeingPace(interval: 10)
        #expect(steps(&new, 35) == 4)
    }

    @Test("A round is over with the last entry of the slice") func round() {
        let table = FlowTable(capacity: 4096, laneCount: 2, quiescence: Quiescence(workerCount: 0))
        for port in 0..<500 {
            var forward = FlowKey(vrf: 1, proto: 17, ipv4Source: 1, ipv4Destination: 2, sourcePort: UInt16(port), destinationPort: 53)
            var reverse = forward.reversed
            _ = table.insertPair(lane: 0, forward: &forward, reverse: &reverse, FlowTable.Template(now: 0))
        }
        var rounds: [Bool] = []
        for _ in 0..<8 {
            _ = table.age(lane: 0, now: 1, budget: 256)
            rounds.append(table.hasAgedAll(lane: 0))
        }
        #expect(rounds.filter { $0 }.count == 1 || rounds.filter { $0 }.count == 2)
        #expect(rounds[0] == false)
    }

    @Test("Workers to which nothing comes age what lies in their slices all the same", arguments: [RouterConfiguration.IdlePolicy.adaptive, .sleep])
    func sleeping(idle: RouterConfiguration.IdlePolicy) throws {
        var configuration = RouterConfiguration(cores: [nil, nil], flowCapacity: 262_144)
        configuration.idle = idle
        let router = Router(configuration, pool: try HeapBufferPool(bufferSize: 2048, capacity: 64)) { spec throws(PortError) in
            throw PortError("no such device")
        }
        let flows = router.tables.flows
        for number in 0..<UInt32(100_000) {
            var forward = FlowKey(vrf: 1, proto: 17, ipv4Source: number, ipv4Destination: 0x0A00_0001, sourcePort: 7, destinationPort: 53)
            var reverse = forward.reversed
            // Due since long.
            let result = flows.insertPair(lane: 2, forward: &forward, reverse: &reverse, FlowTable.Template(now: 0 &- 3_600_000))
            #expect(result.status == .inserted)
        }
        router.start()
        defer { router.stop() }
        let start = vr_monotonic_ns()
        // At a slice of 256 entries after each sleep of 100 ms it would be 39 s.
        while flows.count > 0, vr_monotonic_ns() - start < 15_000_000_000 { vr_pause() }
        #expect(flows.count == 0)
    }
}
