import CPlatform
import NetTypes
import Synchronization
import Testing

@testable import Dataplane

/// The policy as a function from loads to moves.
@Suite struct RebalancePolicyTests {
    private func moves(policy: RebalancePolicy = RebalancePolicy(), _ busy: [Double], _ queues: [(worker: Int, load: Double)], fixed: Set<Int> = [])
        -> [RebalancePolicy.Move]
    {
        policy.moves(
            busy: busy, queues: queues.enumerated().map { .init(worker: $1.worker, load: $1.load, mayMove: !fixed.contains($0)) })
    }

    @Test func theQueueThatEvensOutMostGoesToTheIdlestWorker() {
        // 0.9 and 0.1 and 0.3: of 0.5, 0.3 and 0.1 the 0.3 brings both nearest to each other (0.6 and 0.4), the 0.5 no nearer (0.4 and 0.6) and it comes later.
        let queues = [(0, 0.3), (0, 0.1), (0, 0.5), (1, 0.1), (2, 0.3)].map { (worker: $0.0, load: $0.1) }
        var policy = RebalancePolicy()
        policy.mostMoves = 1
        let move = moves(policy: policy, [0.9, 0.1, 0.3], queues)
        #expect(move.count == 1 && move[0].worker == 1 && [0, 2].contains(move[0].queue))
    }

    @Test func nothingMovesWithoutNeed() {
        // Even loads; uneven ones that leave every worker time; a difference too small to be worth it.
        #expect(moves([0.9, 0.9], [(0, 0.5), (0, 0.4), (1, 0.9)]).isEmpty)
        #expect(moves([0.45, 0], [(0, 0.2), (0, 0.25)]).isEmpty)
        #expect(moves([0.6, 0.45], [(0, 0.3), (0, 0.3), (1, 0.45)]).isEmpty)
        #expect(moves([0.6, 0], [(0, 0.55), (0, 0.05)]).isEmpty)
    }

    /// Whoever gets the one queue that fills a worker is as full.
    @Test func aQueueThatIsTheWholeLoadStays() {
        #expect(moves([1, 0], [(0, 1)]).isEmpty)
        #expect(moves([1, 0], [(0, 0.97), (0, 0.03)]).isEmpty)
        #expect(moves([1, 0.5], [(0, 0.5), (0, 0.5), (1, 0.5)]).isEmpty)
    }

    /// What a worker does beside its queues (packets that others gave it) counts for its load and cannot be moved.
    @Test func workThatIsNoQueuesOwnCounts() {
        #expect(moves([0.95, 0.2], [(0, 0.2), (1, 0.2)]) == [.init(queue: 0, worker: 1)])
        #expect(moves([0.95, 0.9], [(0, 0.2), (1, 0.1)]).isEmpty)
    }

    @Test func fixedQueuesStay() {
        #expect(moves([0.9, 0.1], [(0, 0.4), (0, 0.3), (0, 0.2)], fixed: [0]).first == .init(queue: 1, worker: 1))
        #expect(moves([0.9, 0.1], [(0, 0.4), (0, 0.5)], fixed: [0, 1]).isEmpty)
    }

    @Test func movesAreBoundedAndEachQueueMovesOnce() {
        let queues = (0..<8).map { _ in (worker: 0, load: 0.12) }
        for most in 0...4 {
            var policy = RebalancePolicy()
            policy.mostMoves = most
            let chosen = moves(policy: policy, [0.96, 0, 0, 0], queues)
            #expect(chosen.count == most)
            #expect(Set(chosen.map(\.queue)).count == most)
            #expect(Set(chosen.map(\.worker)).count == min(most, 3))
        }
        var policy = RebalancePolicy()
        policy.mostMoves = 100
        policy.leastLoad = 0
        // 0.96 over four workers: two each, and not one move more.
        let all = moves(policy: policy, [0.96, 0, 0, 0], queues)
        #expect(all.count == 6 && (1...3).allSatisfy { worker in all.count { $0.worker == worker } == 2 })
    }

    /// Whatever the loads: each move lowers the higher of its two workers by what was asked at least, the busiest never rises, and a second look finds nothing to undo.
    @Test func everyMoveIsAGain() {
        var random = RandomSource(seed: 7)
        for _ in 0..<5000 {
            let workers = 2 + random.below(5)
            var queues = (0..<random.below(12)).map { _ in (worker: random.below(workers), load: Double(random.below(1000)) / 1000) }
            var busy = Array(repeating: 0.0, count: workers)
            for queue in queues { busy[queue.worker] += queue.load }
            var policy = RebalancePolicy()
            policy.mostMoves = random.below(6)
            let moves = moves(policy: policy, busy, queues)
            #expect(moves.count <= policy.mostMoves)
            for move in moves {
                let from = queues[move.queue].worker, load = queues[move.queue].load, before = busy[from]
                #expect(busy[from] == busy.max() && before >= policy.leastLoad)
                busy[from] -= load
                busy[move.worker] += load
                #expect(max(busy[from], busy[move.worker]) <= before - policy.leastGain + 1e-9)
                queues[move.queue].worker = move.worker
            }
            if moves.count < policy.mostMoves { #expect(self.moves(policy: policy, busy, queues, fixed: Set(moves.map(\.queue))).isEmpty) }
        }
    }
}

/// Loads as measured, and queues that really move.
@Suite(.ownThread) struct RebalancingTests {
    /// Ports of one queue each: a and c come to worker 0, b to worker 1.
    private func lab(_ policy: RebalancePolicy?, names: [String] = ["a", "b", "c"]) throws -> (Router, [String: DripPort]) {
        var configuration = RouterConfiguration(cores: [nil, nil], idle: .poll, flowCapacity: 256)
        configuration.rebalance = policy
        let ports = Dictionary(uniqueKeysWithValues: names.map { ($0, DripPort($0)) })
        let router = Router(configuration, pool: try HeapBufferPool(bufferSize: 2048, capacity: 1024)) { spec throws(PortError) in
            guard let port = ports[spec.name] else { throw PortError("no such port") }
            return port
        }
        #expect(
            router.apply(names.map { .upsert(.port(PortSpec(name: $0, driver: .loopback, spread: false))) }).allSatisfy { $0 == .ok })
        return (router, ports)
    }

    private func workers(_ router: Router) -> [String: Int] { router.state.withLock { $0.ports.mapValues { $0.receiveWorkers[0] } } }

    private func look(_ router: Router, _ policy: RebalancePolicy, after cycles: UInt64) -> Int {
        router.state.withLock { state in router.rebalance(&state, policy, now: max(state.balance.lookedAt, 1) + cycles) }
    }

    /// Loads are put where the workers would put them: what is done with them does not depend on the machine's speed.
    private func load(_ router: Router, _ port: String, _ cycles: UInt64) {
        router.state.withLock { state in
            guard let entry = state.ports[port] else { return }
            _ = entry.loads.load(0).pointee.cycles.add(cycles, ordering: .relaxed)
            let worker = router.workers[entry.receiveWorkers[0]]
            worker.counters.add(.busyCycles, Int(cycles))
            worker.counters.publish()
        }
    }

    @Test func anOverloadedWorkerGivesAQueueAway() throws {
        let policy = RebalancePolicy(), (router, _) = try lab(policy)
        #expect(workers(router) == ["a": 0, "b": 1, "c": 0])
        #expect(look(router, policy, after: 1000) == 0)
        load(router, "a", 500)
        load(router, "c", 450)
        load(router, "b", 10)
        #expect(look(router, policy, after: 1000) == 1)
        #expect([["a": 1, "b": 1, "c": 0], ["a": 0, "b": 1, "c": 1]].contains(workers(router)))
        let reading = router.status().rebalance
        #expect(reading.moves == 1 && reading.latest.count == 1 && reading.latest[0].from == 0 && reading.latest[0].to == 1)
        // It rests: even if it is now the other worker that has too much.
        let moved = reading.latest[0].port
        for _ in 0..<policy.rest - 1 {
            load(router, moved, 500)
            load(router, "b", 450)
            #expect(look(router, policy, after: 1000) <= 1)
            #expect(workers(router)[moved] == 1)
        }
        router.stop()
    }

    @Test func fixedQueuesStayUntilTheyAreLetGo() throws {
        let policy = RebalancePolicy(), (router, _) = try lab(policy)
        #expect(router.assign(port: "a", queue: 0, worker: 0) == .ok && router.assign(port: "c", queue: 0, worker: 0) == .ok)
        #expect(router.status().workers[0].queues.map(\.isFixed) == [true, true])
        _ = look(router, policy, after: 1000)
        load(router, "a", 500)
        load(router, "c", 450)
        #expect(look(router, policy, after: 1000) == 0)
        #expect(router.assign(port: "c", queue: 0, worker: nil) == .ok)
        load(router, "a", 500)
        load(router, "c", 450)
        #expect(look(router, policy, after: 1000) == 1)
        #expect(workers(router) == ["a": 0, "b": 1, "c": 1])
        router.stop()
    }

    @Test func aPortThatIsNewHasNoLoadYet() throws {
        let policy = RebalancePolicy(), (router, _) = try lab(policy)
        _ = look(router, policy, after: 1000)
        #expect(router.apply([.delete(.port("c")), .delete(.port("b"))]) == [.ok, .ok])
        #expect(look(router, policy, after: 1000) == 0)
        #expect(router.apply([.upsert(.port(PortSpec(name: "c", driver: .loopback, spread: false)))]) == [.ok])
        #expect(router.assign(port: "c", queue: 0, worker: 0) == .ok && router.assign(port: "c", queue: 0, worker: nil) == .ok)
        load(router, "c", 900)
        load(router, "a", 50)
        // Seen for the first time: nothing is known about it.
        #expect(look(router, policy, after: 1000) == 0)
        load(router, "c", 600)
        load(router, "a", 350)
        #expect(look(router, policy, after: 1000) == 1)
        router.stop()
    }

    /// Packets are counted for the queue that brought them, and its time where there are several workers.
    @Test(arguments: [1, 2]) func queuesAreCounted(workers: Int) throws {
        let lab = try SequenceLab(total: 640, workers: workers, spread: false)
        #expect(lab.router.apply(lab.objects).allSatisfy { $0 == .ok })
        lab.source.isOpen.store(true, ordering: .releasing)
        lab.router.runUntilExhausted()
        let queues = lab.router.status().workers.flatMap(\.queues)
        #expect(queues.map(\.port).sorted() == ["sink", "source"])
        let source = try #require(queues.first { $0.port == "source" }), sink = try #require(queues.first { $0.port == "sink" })
        #expect(source.packets == 640 && sink.packets == 0 && sink.cycles == 0)
        #expect((source.cycles > 0) == (workers > 1))
        #expect(!source.isSpread && !source.isFixed)
    }

    /// On threads: two ports that always have packets come to one worker; it keeps one of them.
    @Test func unevenQueuesAreEvenedOutWhileRunning() async throws {
        var policy = RebalancePolicy()
        policy.interval = 1
        let (router, ports) = try lab(policy)
        for name in ["a", "c"] {
            #expect(router.assign(port: name, queue: 0, worker: 0) == .ok && router.assign(port: name, queue: 0, worker: nil) == .ok)
        }
        router.start()
        for name in ["a", "c"] { ports[name]?.isOpen.store(true, ordering: .relaxed) }
        let deadline = ContinuousClock.now + .seconds(60)
        while router.status().rebalance.moves == 0, ContinuousClock.now < deadline { try await Task.sleep(for: .milliseconds(20)) }
        let placed = workers(router)
        #expect(placed["a"] != placed["c"], "\(placed) \(router.status().workers.map { ($0.busyCycles, $0.queues) })")
        router.stop()
        #expect(router.status().totals.isBalanced)
    }
}

/// Always has a burst for whoever polls it; nothing sits on it, so what it brings is dropped.
private final class DripPort: Port, @unchecked Sendable {
    let isOpen = Atomic<Bool>(false)
    init(_ name: String) { super.init(name: name, driver: "test", device: name, mtu: 1500) }
    override func receive(queue: Int, pool: BufferPool, lane: Int, into frames: UnsafeMutablePointer<vr_frame>, capacity: Int) -> Int {
        guard isOpen.load(ordering: .relaxed) else { return 0 }
        let count = pool.allocate(lane: lane, into: frames, count: capacity)
        for index in 0..<count {
            frames[index].start.initializeMemory(as: UInt8.self, repeating: 0, count: 60)
            frames[index].length = 60
            frames[index].tailroom -= 60
        }
        return count
    }
}
