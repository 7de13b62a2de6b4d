import ArgumentParser
import DataplaneAPI

/// How full the router's tables are, and which option of vrouter.yaml makes them larger.
struct TablesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tables", abstract: "Shows the use, capacity and memory of every table of the data plane.",
        discussion: "EXAMPLES\n  vrctl tables\n  vrctl tables -o json")
    @OptionGroup var outputOptions: OutputOptions
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withRouter { router in
            let tables = try await router.status().tables
            Context.current.output.write(outputOptions.output == .json ? TablesLayout.json(tables).pretty + "\n" : TablesLayout.text(tables))
        }
    }
}

enum TablesLayout {
    /// In the order of the router; what is bounded by memory alone has no capacity.
    static func text(_ tables: [Dataplane_V1_TableUsage]) -> String {
        var columns = Columns("Table", "Used", "Capacity", "Use", "Memory")
        for table in tables {
            let share = table.capacity > 0 ? oneDecimal(Double(table.used) / Double(table.capacity) * 100) + " %" : "-"
            columns.add(table.name, "\(table.used)", table.capacity > 0 ? "\(table.capacity)" : "memory", share, memory(table.memoryBytes))
        }
        return columns.text
    }

    static func json(_ tables: [Dataplane_V1_TableUsage]) -> JSON {
        [
            "tables": .array(
                tables.map {
                    [
                        "name": JSON($0.name), "used": JSON($0.used), "capacity": $0.capacity > 0 ? JSON($0.capacity) : .null,
                        "memoryBytes": JSON($0.memoryBytes),
                    ]
                })
        ]
    }

    private static func memory(_ bytes: UInt64) -> String {
        bytes >= 1 << 20 ? oneDecimal(Double(bytes) / 1_048_576) + " MiB" : oneDecimal(Double(bytes) / 1024) + " KiB"
    }
}

/// What each worker does: measured over a moment, or since the start.
struct WorkersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "workers", abstract: "Shows what each worker of the data plane does: load, packets, cycles per packet, drops.",
        discussion: "Measured over one second; --total: since the start.\n\nEXAMPLES\n  vrctl workers\n  vrctl workers --total -o json")
    @Flag(help: "Since the start of vrouter, without a measurement.") var total = false
    @OptionGroup var outputOptions: OutputOptions
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withRouter { router in
            var earlier: API.Status?
            if !total {
                earlier = try await router.status()
                try await Context.current.pause(.seconds(1))
            }
            let status = try await router.status()
            let rows = WorkerRow.rows(status, earlier: earlier)
            Context.current.output.write(outputOptions.output == .json ? WorkerRow.json(rows).pretty + "\n" : WorkerRow.text(rows))
        }
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
        return [
            "workers": .array(
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
                    ]
                })
        ]
    }
}
