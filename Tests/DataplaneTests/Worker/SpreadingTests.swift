import CPlatform
import NetTypes
import Synchronization
import Testing

@testable import Dataplane

/// Several workers in one thread, turn by turn: what each of them does is repeatable.
@Suite struct SpreadingTests {
    private func run(_ lab: SequenceLab) {
        #expect(lab.router.apply(lab.objects).allSatisfy { $0 == .ok })
        lab.source.isOpen.store(true, ordering: .releasing)
        lab.router.runUntilExhausted()
    }

    private func check(_ lab: SequenceLab, total: Int, _ location: SourceLocation = #_sourceLocation) {
        let status = lab.router.status()
        #expect(lab.sink.count.load(ordering: .relaxed) == total, sourceLocation: location)
        #expect(lab.sink.disorder.load(ordering: .relaxed) == 0, sourceLocation: location)
        #expect(status.totals.isBalanced && status.totals.received == UInt64(total), "\(status.totals)", sourceLocation: location)
        #expect(status.workers.allSatisfy { $0.counters.isBalanced }, sourceLocation: location)
        #expect(status.buffersInUse == 0, sourceLocation: location)
    }

    @Test(arguments: [2, 3, 8]) func aSingleQueueIsSpreadOverAllWorkers(workers: Int) throws {
        let lab = try SequenceLab(total: 6400, workers: workers, spread: true)
        run(lab)
        check(lab, total: 6400)
        let readings = lab.router.status().workers
        // 64 flows and a hash of this process's own: of eight workers one may come away empty (once in 600 runs), never two.
        #expect(readings.count { $0.counters.received > 0 } >= max(2, workers - 1), "\(readings.map(\.counters.received))")
        #expect(readings[0].spread == 6400 - readings[0].counters.received)
        // Each flow has one pair of entries: both workers agree on whose it is.
        #expect(lab.router.status().tables.first { $0.name == "flow" }?.used == 128)
    }

    @Test func aSingleQueueStaysWithItsWorkerWhenToldSo() throws {
        let lab = try SequenceLab(total: 640, workers: 2, spread: false)
        run(lab)
        check(lab, total: 640)
        #expect(lab.router.status().workers.map(\.counters.received) == [640, 0])
    }

    @Test func oneWorkerHasNobodyToSpreadTo() throws {
        let lab = try SequenceLab(total: 640, workers: 1, spread: true)
        run(lab)
        check(lab, total: 640)
        #expect(lab.router.mesh == nil)
    }

    /// The sink's one transmit queue belongs to the worker that polls the sink; the other hands its frames over.
    @Test func oneWorkerOwnsATransmitQueue() throws {
        let lab = try SequenceLab(total: 6400, workers: 2, spread: false)
        run(lab)
        check(lab, total: 6400)
        let readings = lab.router.status().workers
        #expect(lab.sink.lanes.load(ordering: .relaxed) == 0b10)
        #expect(readings[0].counters.handedOver == 6400 && readings[1].counters.takenOver == 6400)
        #expect(readings[0].counters.forwarded == 0 && readings[1].counters.forwarded == 6400)
    }

    @Test func enoughTransmitQueuesNeedNoHandingOver() throws {
        let flows = 64, sink = SequenceSink("sink", flows: flows, transmitQueues: 2)
        let source = SequenceSource("source", total: 640, flows: flows, window: 256, to: sink)
        let router = Router(RouterConfiguration(cores: [nil, nil], flowCapacity: 256), pool: try HeapBufferPool(bufferSize: 2048, capacity: 1024)) {
            spec throws(PortError) in
            spec.name == "sink" ? sink : source
        }
        let lab = try SequenceLab(total: 1, workers: 2, spread: true)
        #expect(router.apply(lab.objects).allSatisfy { $0 == .ok })
        source.isOpen.store(true, ordering: .releasing)
        router.runUntilExhausted()
        #expect(sink.count.load(ordering: .relaxed) == 640 && sink.lanes.load(ordering: .relaxed) == 0b11)
        #expect(router.status().totals.handedOver == 0)
    }

    /// A worker that does not keep up costs packets, each counted, and holds nobody up.
    @Test func aFullRingDropsAndCounts() throws {
        let lab = try SequenceLab(total: 3200, window: 3200, workers: 2, spread: true)
        #expect(lab.router.apply(lab.objects).allSatisfy { $0 == .ok })
        lab.source.isOpen.store(true, ordering: .releasing)
        // Only the worker that polls the source runs.
        let poller = lab.router.workers[0], quiescence = lab.router.tables.quiescence
        quiescence.online(0)
        for _ in 0..<120 { _ = poller.turn() }
        quiescence.offline(0)
        poller.counters.publish()
        var status = lab.router.status()
        let lost = status.drops.first { $0.reason == .workerQueueFull }?.packets ?? 0
        // Half of the packets were the other's: 512 wait for it, and what the poller wanted to be sent waits in a ring of the same size.
        #expect(status.workers[0].spread == 512 && lost > 1000 && status.workers[0].counters.isBalanced)
        #expect(status.workers[0].counters.handedOver == 512)
        lab.router.run(turns: 1)
        status = lab.router.status()
        #expect(status.totals.isBalanced && status.totals.received == 3200 && status.totals.forwarded == 3200 - lost && status.buffersInUse == 0)
        #expect(UInt64(lab.sink.count.load(ordering: .relaxed)) == 3200 - lost)
    }

    // MARK: - Policy

    private func spreads(_ router: Router, _ port: String) -> [Bool] {
        router.state.withLock { $0.ports[port]?.ways.map { $0?.isSpread ?? false } ?? [] }
    }

    @Test func byDefaultTheFabricAndFewPortsAreSpread() throws {
        let test = { (workers: Int, queues: Int) throws -> Router in
            Router(RouterConfiguration(cores: Array(repeating: nil, count: workers), flowCapacity: 256), pool: try HeapBufferPool(capacity: 64)) {
                spec throws(PortError) in
                PolicyPort(spec.name, queues: spec.name == "fabric" ? queues : 1)
            }
        }
        func program(_ router: Router, workloads: Int) {
            let operations: [RouterOperation] =
                [
                    .upsert(.port(PortSpec(name: "fabric", driver: .loopback))),
                    .upsert(.vif(VifSpec(id: .init(0), name: "fabric", kind: .physical, port: "fabric", vrf: .init(0), mac: .zero))),
                ] + (0..<workloads).map { .upsert(.port(PortSpec(name: "w\($0)", driver: .loopback))) }
            #expect(router.apply(operations).allSatisfy { $0 == .ok })
        }
        let few = try test(4, 1)
        program(few, workloads: 1)
        #expect(spreads(few, "fabric") == [true] && spreads(few, "w0") == [true])
        // Enough queues for everybody: only the fabric's, which carries everyone's traffic, is still spread.
        program(few, workloads: 3)
        #expect(spreads(few, "fabric") == [true] && spreads(few, "w0") == [false])
        let queued = try test(2, 2)
        program(queued, workloads: 1)
        #expect(spreads(queued, "fabric") == [false, false] && spreads(queued, "w0") == [false])
        // On request, and back.
        #expect(queued.apply([.upsert(.port(PortSpec(name: "w0", driver: .loopback, spread: true)))]) == [.ok])
        #expect(spreads(queued, "w0") == [true])
        #expect(queued.apply([.upsert(.port(PortSpec(name: "w0", driver: .loopback)))]) == [.ok])
        #expect(spreads(queued, "w0") == [false])
        let alone = try test(1, 1)
        program(alone, workloads: 1)
        #expect(spreads(alone, "fabric") == [false])
    }

    @Test func refusesWorkersAndQueuesThatAreNotThere() throws {
        let lab = try SequenceLab(total: 1, workers: 2)
        #expect(lab.router.apply(lab.objects).allSatisfy { $0 == .ok })
        #expect(lab.router.assign(port: "nowhere", queue: 0, worker: 0) == .notFound("port nowhere: does not exist"))
        #expect(lab.router.assign(port: "source", queue: 1, worker: 0) == .notFound("port source: has no receive queue 1; it has 1"))
        #expect(lab.router.assign(port: "source", queue: 0, worker: 2) == .notFound("worker 2: does not exist; there are 2"))
        #expect(lab.router.assign(port: "source", queue: 0, worker: 1) == .ok && lab.router.assign(port: "source", queue: 0, worker: 1) == .ok)
    }
}

private final class PolicyPort: Port, @unchecked Sendable {
    init(_ name: String, queues: Int) {
        super.init(name: name, driver: "test", device: name, mtu: 1500, receiveQueueCount: queues, transmitQueueCount: queues)
    }
}
