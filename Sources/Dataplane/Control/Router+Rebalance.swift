import CPlatform
import Glibc
import Synchronization

// Queues follow the load: what the workers measured since the last look, given to `RebalancePolicy`, and its answer carried out.
extension Router {
    struct QueueName: Hashable {
        /// The port's, which another port may have later: the load begins at 0 then, and is taken for 0.
        var port: String
        var queue: Int
    }

    struct Balance {
        /// TSC at the last look; 0: there was none.
        var lookedAt: UInt64 = 0
        /// Cycles then, by worker and by queue.
        var busy: [UInt64] = []
        var cycles: [QueueName: UInt64] = [:]
        /// Looks for which a queue is still left alone.
        var resting: [QueueName: Int] = [:]
        var moves: UInt64 = 0
        var latest: [QueueMove] = []
    }

    /// On the thread that looks after things, several times a second.
    func rebalanceIfDue(_ state: inout State) {
        guard mesh != nil, let policy = configuration.rebalance else { return }
        let now = vr_tsc()
        guard state.balance.lookedAt == 0 || now &- state.balance.lookedAt >= UInt64(policy.interval) &* vr_tsc_hz() else { return }
        rebalance(&state, policy, now: now)
    }

    /// Looks at the loads since the last look, and moves queues. Returns how many.
    @discardableResult func rebalance(_ state: inout State, _ policy: RebalancePolicy, now: UInt64) -> Int {
        let busy = workers.map { $0.counters.read()[WorkerCounters.Field.busyCycles.rawValue] }
        var cycles: [QueueName: UInt64] = [:], names: [QueueName] = [], queues: [RebalancePolicy.Queue] = []
        let time = Double(now &- state.balance.lookedAt), isFirst = state.balance.lookedAt == 0
        func share(_ value: UInt64, _ before: UInt64) -> Double { value >= before ? min(1, Double(value - before) / max(time, 1)) : 0 }
        for entry in state.ports.values {
            for (queue, worker) in entry.receiveWorkers.enumerated() {
                let name = QueueName(port: entry.spec.name, queue: queue), spent = entry.loads.load(queue).pointee.cycles.load(ordering: .relaxed)
                cycles[name] = spent
                // One that was not there before has no load yet.
                guard let before = state.balance.cycles[name] else { continue }
                names.append(name)
                queues.append(
                    .init(
                        worker: worker, load: share(spent, before), mayMove: !entry.fixedQueues.contains(queue) && state.balance.resting[name] == nil)
                )
            }
        }
        let shares = isFirst ? [] : zip(busy, state.balance.busy).map { share($0, $1) }
        state.balance.resting = state.balance.resting.compactMapValues { $0 > 1 ? $0 - 1 : nil }
        (state.balance.busy, state.balance.cycles, state.balance.lookedAt) = (busy, cycles, now)
        guard !isFirst else { return 0 }
        let moves = policy.moves(busy: shares, queues: queues)
        for move in moves {
            let name = names[move.queue]
            state.ports[name.port]?.receiveWorkers[name.queue] = move.worker
            state.balance.resting[name] = policy.rest
            state.balance.moves += 1
            state.balance.latest.append(
                QueueMove(
                    port: name.port, queue: name.queue, from: queues[move.queue].worker, to: move.worker, uptimeNanoseconds: uptimeNanoseconds))
        }
        state.balance.latest.removeFirst(max(0, state.balance.latest.count - RebalancePolicy.remembered))
        if !moves.isEmpty { publishPlans(&state) }
        return moves.count
    }

    /// By worker, in the order of ports and queues.
    func queueReadings(_ state: State) -> [[QueueReading]] {
        var out: [[QueueReading]] = workers.map { _ in [] }
        for entry in state.ports.values.sorted(by: { $0.spec.name < $1.spec.name }) {
            for (queue, worker) in entry.receiveWorkers.enumerated() {
                let load = entry.loads.load(queue)
                out[worker].append(
                    QueueReading(
                        port: entry.spec.name, queue: queue, packets: load.pointee.packets.load(ordering: .relaxed),
                        cycles: load.pointee.cycles.load(ordering: .relaxed),
                        isSpread: entry.ways.indices.contains(queue) && entry.ways[queue]?.isSpread ?? false,
                        isFixed: entry.fixedQueues.contains(queue)))
            }
        }
        return out
    }
}

extension Worker {
    /// Why its thread is not on its core; nil: it is, or there is nothing to say.
    var pinError: String? {
        let result = pinResult.load(ordering: .acquiring)
        guard let core, result > 0 else { return nil }
        return "worker \(id) could not be pinned to core \(core): \(String(cString: strerror(result))); it runs on any core"
    }
}
