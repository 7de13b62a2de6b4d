import DataplaneAPI

/// `vrctl workers`: the workers, their queues, and how queues follow the load.
enum WorkersLayout {
    static func text(_ status: API.Status, earlier: API.Status?) -> String {
        var text = WorkerRow.text(WorkerRow.rows(status, earlier: earlier))
        let queues = QueueRow.rows(status, earlier: earlier)
        if !queues.isEmpty { text += "\n" + QueueRow.text(queues) }
        text += "\n" + rebalancing(status) + "\n"
        for worker in status.workers where !worker.pinError.isEmpty { text += Style.bad(printable(worker.pinError)) + "\n" }
        return text
    }

    static func json(_ status: API.Status, earlier: API.Status?) -> JSON {
        let moves = status.rebalancing
        return [
            "workers": WorkerRow.json(WorkerRow.rows(status, earlier: earlier)), "queues": QueueRow.json(QueueRow.rows(status, earlier: earlier)),
            "rebalancing": [
                "intervalSeconds": moves.intervalS > 0 ? JSON(moves.intervalS) : .null, "moves": JSON(moves.moves),
                "latest": .array(
                    moves.latest.map {
                        [
                            "port": JSON($0.port), "queue": JSON($0.queue), "from": JSON($0.fromWorker), "to": JSON($0.toWorker),
                            "uptimeSeconds": JSON($0.uptimeNs / 1_000_000_000),
                        ]
                    }),
            ],
        ]
    }

    private static func rebalancing(_ status: API.Status) -> String {
        let state = status.rebalancing
        guard state.intervalS > 0 else {
            return "Queues stay where they are" + (status.workers.count > 1 ? " (rebalance: none)" : ": there is one worker")
        }
        var text = "Queues follow the load: looked at every \(state.intervalS) s, \(state.moves) moved"
        if let last = state.latest.last {
            let age = (status.uptimeNs - min(status.uptimeNs, last.uptimeNs)) / 1_000_000_000
            text +=
                "; last \(durationText(seconds: age)) ago, \(printable(last.port)) queue \(last.queue) from worker \(last.fromWorker) to \(last.toWorker)"
        }
        return text
    }
}

/// A receive queue, in the time measured.
struct QueueRow {
    var queue: Dataplane_V1_ReceiveQueue
    var worker: UInt32
    var packetsPerSecond: UInt64
    /// Of its worker's time; nil: not measured.
    var sharePercent: Double?
    var cyclesPerPacket: Double?

    static func rows(_ status: API.Status, earlier: API.Status?) -> [QueueRow] {
        let earlier = earlier?.instance == status.instance ? earlier : nil
        let before = Dictionary(
            (earlier?.workers.flatMap(\.queues) ?? []).map { ("\($0.port)\n\($0.queue)", $0) }, uniquingKeysWith: { first, _ in first })
        let seconds = max(0, Double(status.uptimeNs) - Double(earlier?.uptimeNs ?? 0)) / 1e9
        return status.workers.flatMap { worker in
            worker.queues.map { queue in
                // Another port of that name began again at 0.
                let old = before["\(queue.port)\n\(queue.queue)"].flatMap { $0.packets <= queue.packets && $0.cycles <= queue.cycles ? $0 : nil }
                let packets = Double(queue.packets - (old?.packets ?? 0)), cycles = Double(queue.cycles - (old?.cycles ?? 0))
                let isMeasured = status.workers.count > 1 && status.tscHz > 0 && seconds > 0
                return QueueRow(
                    queue: queue, worker: worker.id, packetsPerSecond: rate(old?.packets ?? 0, queue.packets, over: seconds),
                    sharePercent: isMeasured ? min(100, cycles / Double(status.tscHz) / seconds * 100) : nil,
                    cyclesPerPacket: isMeasured && packets > 0 ? cycles / packets : nil)
            }
        }.sorted { ($0.queue.port, $0.queue.queue) < ($1.queue.port, $1.queue.queue) }
    }

    static func text(_ rows: [QueueRow]) -> String {
        var columns = Columns("Port", "Queue", "Worker", "Packets/s", "Of its worker's time", "Cycles/packet", "Packets", "Remarks")
        for row in rows {
            let remarks = [row.queue.isSpread ? "spread over all workers" : nil, row.queue.isFixed ? "assigned" : nil].compactMap { $0 }
            columns.add(
                printable(row.queue.port), "\(row.queue.queue)", "\(row.worker)", "\(row.packetsPerSecond)",
                row.sharePercent.map { oneDecimal($0) + " %" } ?? "-", row.cyclesPerPacket.map(oneDecimal) ?? "-", "\(row.queue.packets)",
                remarks.isEmpty ? "-" : remarks.joined(separator: ", "))
        }
        return columns.text
    }

    static func json(_ rows: [QueueRow]) -> JSON {
        func number(_ value: Double?) -> JSON { value.map { .number(($0 * 10).rounded() / 10) } ?? .null }
        return .array(
            rows.map { row in
                [
                    "port": JSON(row.queue.port), "queue": JSON(row.queue.queue), "worker": JSON(row.worker),
                    "packetsPerSecond": JSON(row.packetsPerSecond), "sharePercent": number(row.sharePercent),
                    "cyclesPerPacket": number(row.cyclesPerPacket), "packets": JSON(row.queue.packets), "isSpread": JSON(row.queue.isSpread),
                    "isAssigned": JSON(row.queue.isFixed),
                ]
            })
    }
}

struct WorkerRow {
    var worker: Dataplane_V1_Worker
    /// In the time measured: packets received and dropped per second, cycles for each, share of the time without packets.
    var packetsPerSecond: UInt64, dropsPerSecond: UInt64
    var cyclesPerPacket: Double?, packetsPerBurst: Double?, idlePercent: Double?

    static func rows(_ status: API.Status, earlier: API.Status?) -> [WorkerRow] {
        let earlier = earlier?.instance == status.instance ? earlier : nil
        let seconds = max(0, Double(status.uptimeNs) - Double(earlier?.uptimeNs ?? 0)) / 1e9
        return status.workers.map { worker in
            let before = earlier?.workers.first { $0.id == worker.id }
            func difference(_ value: UInt64, _ old: UInt64?) -> Double { max(0, Double(value) - Double(old ?? 0)) }
            let packets = difference(worker.counters.received, before?.counters.received), cycles = difference(worker.busyCycles, before?.busyCycles)
            let bursts = difference(worker.bursts, before?.bursts)
            return WorkerRow(
                worker: worker, packetsPerSecond: rate(before?.counters.received ?? 0, worker.counters.received, over: seconds),
                dropsPerSecond: rate(before?.counters.dropped ?? 0, worker.counters.dropped, over: seconds),
                cyclesPerPacket: packets > 0 ? cycles / packets : nil, packetsPerBurst: bursts > 0 ? packets / bursts : nil,
                idlePercent: status.tscHz > 0 && seconds > 0 ? 100 - min(100, cycles / Double(status.tscHz) / seconds * 100) : nil)
        }
    }

    static func text(_ rows: [WorkerRow]) -> String {
        var columns = Columns(
            "Worker", "Core", "Idle", "Packets/s", "Cycles/packet", "Packets/burst", "Drops/s", "Received", "Dropped", "Most dropped for")
        for row in rows {
            let worst = row.worker.drops.max { $0.packets < $1.packets }
            columns.add(
                "\(row.worker.id)", row.worker.core < 0 ? "-" : "\(row.worker.core)", row.idlePercent.map { oneDecimal($0) + " %" } ?? "-",
                "\(row.packetsPerSecond)", row.cyclesPerPacket.map(oneDecimal) ?? "-", row.packetsPerBurst.map(oneDecimal) ?? "-",
                "\(row.dropsPerSecond)",
                "\(row.worker.counters.received)", "\(row.worker.counters.dropped)", worst?.label ?? "-")
        }
        return columns.text
    }

    static func json(_ rows: [WorkerRow]) -> JSON {
        func number(_ value: Double?) -> JSON { value.map { .number(($0 * 10).rounded() / 10) } ?? .null }
        return .array(
            rows.map { row in
                [
                    "id": JSON(row.worker.id), "core": row.worker.core < 0 ? .null : JSON(row.worker.core),
                    "idlePercent": number(row.idlePercent),
                    "packetsPerSecond": JSON(row.packetsPerSecond), "dropsPerSecond": JSON(row.dropsPerSecond),
                    "cyclesPerPacket": number(row.cyclesPerPacket), "packetsPerBurst": number(row.packetsPerBurst),
                    "received": JSON(row.worker.counters.received), "forwarded": JSON(row.worker.counters.forwarded),
                    "dropped": JSON(row.worker.counters.dropped), "trapped": JSON(row.worker.counters.trapped),
                    "polls": JSON(row.worker.polls), "idlePolls": JSON(row.worker.idlePolls), "sleeps": JSON(row.worker.sleeps),
                    "drops": .array(row.worker.drops.map { ["name": JSON($0.name), "label": JSON($0.label), "packets": JSON($0.packets)] }),
                    "spread": JSON(row.worker.spread), "handedOver": JSON(row.worker.handedOver), "takenOver": JSON(row.worker.takenOver),
                    "pinError": row.worker.pinError.isEmpty ? .null : JSON(row.worker.pinError),
                ]
            })
    }
}
