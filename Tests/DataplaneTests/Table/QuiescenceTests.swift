import Synchronization
import Testing

@testable import Dataplane

#if canImport(Glibc)
import Glibc
#endif

@Suite struct QuiescenceTests {
    @Test func nothingIsFreedWhileAReaderIsOnline() {
        let quiescence = Quiescence(workerCount: 2)
        var freed = 0
        quiescence.online(0)
        quiescence.retire { freed += 1 }
        quiescence.reclaim()
        quiescence.reclaim()
        #expect(freed == 0)
        quiescence.quiesce(0)
        quiescence.reclaim()
        #expect(freed == 1)
        #expect(quiescence.pendingCount == 0)
    }

    @Test func everyOnlineWorkerMustHavePassed() {
        let quiescence = Quiescence(workerCount: 3)
        var freed = 0
        quiescence.online(0)
        quiescence.online(2)
        quiescence.retire { freed += 1 }
        quiescence.reclaim()
        quiescence.quiesce(0)
        quiescence.reclaim()
        #expect(freed == 0)
        quiescence.offline(2)
        quiescence.reclaim()
        #expect(freed == 1)
    }

    @Test func aWorkerThatComesOnlineLaterHoldsNothingUp() {
        let quiescence = Quiescence(workerCount: 1)
        let number = quiescence.advance()
        quiescence.online(0)
        #expect(quiescence.passed() >= number)
        let later = quiescence.advance()
        #expect(quiescence.passed() < later)
        quiescence.quiesce(0)
        #expect(quiescence.passed() == later)
    }

    @Test func withNobodyOnlineReclamationIsImmediate() {
        let quiescence = Quiescence(workerCount: 4)
        var freed = 0
        quiescence.retire { freed += 1 }
        quiescence.reclaim()
        #expect(freed == 1)
    }

    @Test func limboKeepsTwoGenerations() {
        let quiescence = Quiescence(workerCount: 1)
        var limbo = Limbo()
        var freed: [UInt64] = []
        quiescence.online(0)
        limbo.push(1)
        limbo.collect(quiescence) { freed.append($0) }
        limbo.push(2)
        limbo.collect(quiescence) { freed.append($0) }
        #expect(freed.isEmpty && limbo.count == 2)
        quiescence.quiesce(0)
        limbo.collect(quiescence) { freed.append($0) }
        #expect(freed == [1])
        quiescence.quiesce(0)
        limbo.collect(quiescence) { freed.append($0) }
        #expect(freed == [1, 2])
    }

    /// A reader that follows a published pointer must never see freed memory: the writer scribbles over every record before it frees it.
    @Test func readersNeverSeeWhatWasFreed() {
        let quiescence = Quiescence(workerCount: 2)
        let table = SlotTable<ScribbledRecord>(capacity: 4, quiescence: quiescence)
        let stop = Atomic(false), torn = Atomic(0), reads = Atomic(0)
        _ = table.publish(0, ScribbledRecord(0))
        let readers = (0..<2).map { worker in
            TestThread {
                quiescence.online(worker)
                while !stop.load(ordering: .relaxed) {
                    for _ in 0..<16 {
                        guard let record = table.load(0) else { continue }
                        if !record.pointee.isWhole { torn.add(1, ordering: .relaxed) }
                        reads.add(1, ordering: .relaxed)
                    }
                    quiescence.quiesce(worker)
                    if reads.load(ordering: .relaxed) % 64 == 0 {
                        quiescence.offline(worker)
                        quiescence.online(worker)
                    }
                }
                quiescence.offline(worker)
            }
        }
        for value in 1...5_000 {
            _ = table.publish(0, ScribbledRecord(UInt64(value)))
            quiescence.reclaim()
        }
        while reads.load(ordering: .relaxed) < 1000 { sched_yield() }
        stop.store(true, ordering: .relaxed)
        for reader in readers { reader.join() }
        quiescence.synchronize()
        #expect(torn.load(ordering: .relaxed) == 0)
        #expect(quiescence.pendingCount == 0)
        #expect(table.load(0)?.pointee.first == 5_000)
    }
}

/// Four words that must agree; a new record in reused memory changes them one by one.
struct ScribbledRecord {
    var first: UInt64, second: UInt64, third: UInt64, check: UInt64
    init(_ value: UInt64) { first = value; second = value ^ 0xFF; third = value &* 3; check = ~value }
    var isWhole: Bool { second == first ^ 0xFF && third == first &* 3 && check == ~first }
}

/// An operating-system thread that runs a closure; the tests' stand-in for a worker.
final class TestThread: @unchecked Sendable {
    private var thread = pthread_t()
    private final class Body { let run: @Sendable () -> Void; init(_ run: @escaping @Sendable () -> Void) { self.run = run } }
    init(_ run: @escaping @Sendable () -> Void) {
        let body = Unmanaged.passRetained(Body(run)).toOpaque()
        pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            }, body)
    }
    func join() { pthread_join(thread, nil) }
}
