import CPlatform
import NetTypes
import Synchronization

// Which worker polls which queue, and who sends on which.
extension Router {
    /// The way of a receive queue's packets: who polls it, and whether they are spread from there over all workers.
    struct QueueWay: Hashable {
        var worker: Int
        var isSpread: Bool
    }

    /// For each new receive queue the worker that has the fewest.
    func chooseWorkers(_ queues: Int, _ state: State) -> [Int] {
        var load = Array(repeating: 0, count: workers.count)
        for entry in state.ports.values { for worker in entry.receiveWorkers { load[worker] += 1 } }
        return (0..<queues).map { _ in
            let worker = load.indices.min { load[$0] < load[$1] } ?? 0
            load[worker] += 1
            return worker
        }
    }

    /// The owner of each transmit queue of a port that has fewer than there are workers: who polls the receive queue of that number if it can be, so that one worker has the whole
    /// device; else who owns the fewest. It stays the owner while the port is there, which keeps the order of what is on the way to it. Empty: every worker has a queue of its own.
    func chooseOwners(_ port: Port, receiveWorkers: [Int], _ state: State) -> [Int] {
        guard port.transmitQueueCount < workers.count else { return [] }
        var load = Array(repeating: 0, count: workers.count)
        for entry in state.ports.values { for worker in entry.transmitOwners { load[worker] += 1 } }
        var owners: [Int] = []
        for queue in 0..<port.transmitQueueCount {
            let preferred = receiveWorkers.indices.contains(queue) ? receiveWorkers[queue] : nil
            if let preferred, !owners.contains(preferred) {
                owners.append(preferred)
            } else {
                owners.append(load.indices.filter { !owners.contains($0) }.min { load[$0] < load[$1] } ?? 0)
            }
        }
        return owners
    }

    /// Gives a receive queue to a worker and keeps it there; nil: lets the router choose again, from the next look at the loads on. Loses no packet and keeps
    /// the order of every flow.
    public func assign(port name: String, queue: Int, worker: Int?) -> RouterOutcome {
        state.withLock { state in
            guard let entry = state.ports[name] else { return .notFound("port \(name): does not exist") }
            guard entry.receiveWorkers.indices.contains(queue) else {
                return .notFound("port \(name): has no receive queue \(queue); it has \(entry.receiveWorkers.count)")
            }
            guard let worker else {
                state.ports[name]?.fixedQueues.remove(queue)
                return .ok
            }
            guard workers.indices.contains(worker) else { return .notFound("worker \(worker): does not exist; there are \(workers.count)") }
            state.ports[name]?.fixedQueues.insert(queue)
            guard entry.receiveWorkers[queue] != worker else { return .ok }
            state.ports[name]?.receiveWorkers[queue] = worker
            publishPlans(&state)
            return .ok
        }
    }

    /// Gives every worker its receive queues and the transmit queues. A queue that changes hands, or whose packets begin or cease to be spread, is first polled by nobody until every packet it
    /// has delivered has left the workers; its frames wait in the device meanwhile. So none is lost and no flow's order changes.
    func publishPlans(_ state: inout State) {
        let vifByPort = Dictionary(
            state.vifs.values.filter { $0.kind != .vlan }.map { ($0.port, $0) }, uniquingKeysWith: { $0.id < $1.id ? $0 : $1 })
        let queueCount = state.ports.values.reduce(0) { $0 + $1.receiveWorkers.count }
        var isMoving = false
        for (name, entry) in state.ports {
            let isSpread = spreads(entry, vifByPort[name]?.kind, queueCount: queueCount)
            let ways = entry.receiveWorkers.map { QueueWay(worker: $0, isSpread: isSpread) }
            state.ports[name]?.ways = ways.indices.map { entry.ways.indices.contains($0) && entry.ways[$0] != ways[$0] ? nil : ways[$0] }
            if state.ports[name]?.ways.contains(nil) ?? false { isMoving = true }
        }
        let vifs = vifByPort.mapValues { $0.id.rawValue }
        if isMoving {
            publish(vifs, &state)
            settleWorkers()
            for (name, entry) in state.ports {
                let isSpread = spreads(entry, vifByPort[name]?.kind, queueCount: queueCount)
                state.ports[name]?.ways = entry.receiveWorkers.map { QueueWay(worker: $0, isSpread: isSpread) }
            }
        }
        publish(vifs, &state)
    }

    /// As configured; else a port is spread when it has fewer queues than there are workers and either carries the traffic of all workloads (the fabric's) or is one of so few that
    /// some worker would have no queue at all.
    private func spreads(_ entry: PortEntry, _ kind: VifSpec.Kind?, queueCount: Int) -> Bool {
        guard workers.count > 1, !entry.receiveWorkers.isEmpty else { return false }
        if let wanted = entry.spec.spread { return wanted }
        return entry.receiveWorkers.count < workers.count && (kind == .physical || queueCount < workers.count)
    }

    /// Publishes plans in which queues without a way (nil) are left out.
    private func publish(_ vifByPort: [String: UInt32], _ state: inout State) {
        var receive: [[WorkerPlan.ReceiveQueue]] = workers.map { _ in [] }
        var loads: [QueueLoads] = []
        for entry in state.ports.values.sorted(by: { $0.index < $1.index }) {
            loads.append(entry.loads)
            for (queue, way) in entry.ways.enumerated() {
                guard let way else { continue }
                receive[way.worker].append(
                    WorkerPlan.ReceiveQueue(
                        port: .passUnretained(entry.port), queue: queue, vif: vifByPort[entry.spec.name] ?? WorkerPlan.noVif,
                        descriptor: entry.port.pollDescriptor(queue: queue), isSpread: way.isSpread,
                        hashes: entry.port.traits.contains(.receiveHash), load: entry.loads.load(queue)))
            }
        }
        let ports = state.portSlots.compactMap { $0 }
        let owners = Dictionary(state.ports.values.map { ($0.index, $0.transmitOwners) }, uniquingKeysWith: { first, _ in first })
        let old = state.plans
        state.plans = workers.map { worker in
            let transmit: [WorkerPlan.TransmitQueue?] = state.portSlots.enumerated().map { index, port in
                guard let port, port.transmitQueueCount > 0 else { return nil }
                let owners = owners[index] ?? []
                let queue = owners.isEmpty ? worker.id : owners.firstIndex(of: worker.id) ?? worker.id % owners.count
                return WorkerPlan.TransmitQueue(
                    port: .passUnretained(port), queue: queue, owner: owners.isEmpty ? worker.id : owners[queue],
                    gainsByJoining: port.traits.contains(.gainsByJoining))
            }
            return WorkerPlan(receive: receive[worker.id], transmit: transmit, ports: ports, loads: loads)
        }
        for (worker, plan) in zip(workers, state.plans) {
            worker.plan.store(Unmanaged.passUnretained(plan).toOpaque(), ordering: .releasing)
            worker.bell.ring()
        }
        tables.quiescence.retire { withExtendedLifetime(old) {} }
    }

    /// Waits until no worker can still hold what was published before.
    func synchronizeWorkers() {
        for worker in workers { worker.bell.ring() }
        tables.quiescence.synchronize()
    }

    /// Waits until no worker, and no packet on its way between workers, can still hold what was published before.
    func settleWorkers() {
        synchronizeWorkers()
        guard let mesh else { return }
        // Received packets first: what becomes of them goes through the other kind of ring.
        for kind in WorkerMesh.Kind.allCases {
            let mark = mesh.mark(kind)
            var patience = Patience()
            while !mesh.hasPassed(mark, kind) {
                for worker in workers { worker.bell.ring() }
                patience.wait()
            }
            synchronizeWorkers()
        }
    }
}
