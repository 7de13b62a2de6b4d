import DataplaneAPI

/// The data plane's part of `vrctl status`.
struct RouterSection {
    var status: API.Status
    /// A reading a moment earlier: what the workers do now, not since the start. Nil: since the start.
    var earlier: API.Status?

    var isBalanced: Bool {
        let totals = status.totals
        let taken = status.workers.reduce(0) { $0 &+ $1.takenOver }, handed = status.workers.reduce(0) { $0 &+ $1.handedOver }
        return totals.received &+ totals.generated &+ taken
            == totals.forwarded &+ totals.dropped &+ totals.trapped &+ totals.consumed &+ handed
    }
    /// Frames on their way from one worker to the one that sends them.
    private var underWay: UInt64 { status.workers.reduce(0) { $0 &+ $1.handedOver &- $1.takenOver } }
    var problems: [String] {
        (isBalanced ? [] : ["packet counters do not add up"]) + status.workers.map(\.pinError).filter { !$0.isEmpty }.map(printable)
    }

    /// Share of the time in which a worker had packets, in percent.
    func busyPercent(_ worker: Dataplane_V1_Worker) -> Double? {
        let before = earlier?.instance == status.instance ? earlier?.workers.first { $0.id == worker.id } : nil
        let cycles = Double(worker.busyCycles) - Double(before?.busyCycles ?? 0)
        let nanoseconds = Double(status.uptimeNs) - Double(before == nil ? 0 : earlier?.uptimeNs ?? 0)
        guard status.tscHz > 0, nanoseconds > 0, cycles >= 0 else { return nil }
        return min(100, cycles / Double(status.tscHz) / (nanoseconds / 1e9) * 100)
    }

    var lines: [String] {
        let totals = status.totals
        let uptime = durationText(seconds: status.uptimeNs / 1_000_000_000)
        var out = ["version \(printable(status.version))   up \(uptime)   instance \(printable(status.instance))"]
        out.append(
            "packets   received \(totals.received) + generated \(totals.generated) = forwarded \(totals.forwarded) + dropped \(totals.dropped)"
                + " + trapped \(totals.trapped) + consumed \(totals.consumed)"
                + (underWay > 0 ? " + under way \(underWay)   " : "   ") + (isBalanced ? Style.good("balanced") : Style.bad("NOT BALANCED")))
        for worker in status.workers {
            let busy = busyPercent(worker).map { "busy \(oneDecimal($0)) %" } ?? "busy -"
            out.append(
                "worker \(worker.id)   \(worker.core < 0 ? "not pinned" : "core \(worker.core)")   \(busy)   received \(worker.counters.received)"
                    + "   forwarded \(worker.counters.forwarded)   dropped \(worker.counters.dropped)")
        }
        let tables = status.tables.map { "\(printable($0.name)) \($0.used)" + ($0.capacity > 0 ? "/\($0.capacity)" : "") }
        out.append("tables    " + (tables.isEmpty ? "-" : tables.joined(separator: "   ")))
        out.append("buffers   \(status.buffersInUse) of \(status.buffersCapacity) in use")
        let drops = status.drops.filter { $0.packets > 0 }.sorted { $0.packets > $1.packets }
        out.append("drops     " + (drops.isEmpty ? "none" : drops.prefix(5).map { "\(printable($0.label)) \($0.packets)" }.joined(separator: "   ")))
        return out
    }

    var json: JSON {
        func counters(_ value: Dataplane_V1_Counters) -> JSON {
            [
                "received": JSON(value.received), "generated": JSON(value.generated), "forwarded": JSON(value.forwarded),
                "dropped": JSON(value.dropped), "trapped": JSON(value.trapped), "consumed": JSON(value.consumed),
            ]
        }
        return [
            "version": JSON(status.version), "instance": JSON(status.instance), "uptimeSeconds": JSON(status.uptimeNs / 1_000_000_000),
            "counters": counters(status.totals), "balanced": JSON(isBalanced),
            "workers": .array(
                status.workers.map { worker in
                    [
                        "id": JSON(worker.id), "core": worker.core < 0 ? .null : JSON(worker.core),
                        "busyPercent": busyPercent(worker).map { .number(($0 * 10).rounded() / 10) } ?? .null, "counters": counters(worker.counters),
                        "polls": JSON(worker.polls), "idlePolls": JSON(worker.idlePolls), "sleeps": JSON(worker.sleeps),
                        "bursts": JSON(worker.bursts),
                    ]
                }),
            "tables": .array(
                status.tables.map {
                    [
                        "name": JSON($0.name), "used": JSON($0.used), "capacity": $0.capacity > 0 ? JSON($0.capacity) : .null,
                        "memoryBytes": JSON($0.memoryBytes),
                    ]
                }),
            "buffers": ["inUse": JSON(status.buffersInUse), "capacity": JSON(status.buffersCapacity)],
            "drops": .array(
                status.drops.filter { $0.packets > 0 }.map { ["name": JSON($0.name), "label": JSON($0.label), "packets": JSON($0.packets)] }),
        ]
    }
}
