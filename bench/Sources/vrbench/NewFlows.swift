import CPlatform
import Dataplane
import Workloads

/// W8: every packet is the first of its flow, and its pair of entries is made in the worker's way of the packet. The table begins empty and untouched, so
/// that the page faults of its memory are in the figure; so are parsing, the route lookup and sending. One window is 1/64 of the flows.
enum NewFlows {
    static func variants(quick: Bool) -> [(String, Traffic)] {
        let million = quick ? 250_000 : 1_000_000
        return [
            (Traffic.short(million), Traffic(flows: million, routes: 10_000)),
            ("\(Traffic.short(million))-v6", Traffic(flows: million, routes: 10_000, family: .ipv6)),
        ]
    }

    static func title(_ traffic: Traffic) -> String { "new flows, \(traffic.description)" }

    static func measure(_ variant: String, _ traffic: Traffic, floor: Double?) throws -> Figure {
        var figure = Figure(id: "W8", variant: variant, title: title(traffic)), watch = Stopwatch()
        let workload = Workload.route("W8", variant, traffic, flows: true)
        var seconds = 0.0, packets = 0
        for round in 0..<3 {
            let bench = try Bench(workload)
            if round == 0 { watch.begin() } else { watch.pause() }
            let begun = threadSeconds()
            let turns = max(1, bench.trace.count / 32 / 64)
            for _ in 0..<64 {
                let before = bench.source.receivedCount
                bench.router.run(turns: turns)
                watch.mark(bench.source.receivedCount - before)
            }
            seconds += threadSeconds() - begun
            packets += bench.source.receivedCount
            let status = bench.router.status()
            let entries = status.tables.first { $0.name == "flow" }
            guard let entries, entries.used == bench.source.receivedCount * 2, status.totals.forwarded == UInt64(bench.source.receivedCount) else {
                throw MeasureError(
                    description:
                        "\(workload.name): \(entries?.used ?? 0) flow entries after \(bench.source.receivedCount) new flows: \(status.totals)")
            }
            figure.memory = ["flow": entries.memoryBytes]
            figure.bytesPerEntry = Double(entries.memoryBytes) / Double(entries.used)
            figure.entry = "flow entry"
        }
        watch.finish(&figure, floor: floor)
        // Setting up is not even: the windows in which memory is touched first cost more. So the rate is over all of them, by the time that the thread
        // had a core.
        figure.perSecond = Double(packets) / max(seconds, .leastNonzeroMagnitude)
        figure.targetCycles = Double(vr_tsc_hz()) / 4e6
        return figure
    }
}
