import CPlatform
import Dataplane
import Workloads

/// W8: every packet is the first of its flow, and its pair of entries is made in the worker's way of the packet. The table begins empty and untouched, so
/// that the page faults of its memory are in the figure; so are parsing, the route lookup and sending. One window is 1/64 of the flows.
enum NewFlows {
    struct Variant {
        var workload: Workload
        var title: String
        /// Flows a second.
        var target: Double
    }

    static func variants(quick: Bool) -> [Variant] {
        let million = quick ? 250_000 : 1_000_000, short = Traffic.short(million)
        let plain = Traffic(flows: million, routes: 10_000), ipv6 = Traffic(flows: million, routes: 10_000, family: .ipv6)
        let millions = Traffic(flows: 4_000_000, routes: 10_000)
        let large = [Variant(workload: .route("W8", "4M", millions, flows: true), title: "new flows, \(millions.description)", target: 0)]
        return [
            Variant(workload: .firstPackets(million), title: "new flows, \(plain.description)", target: 4e6),
            Variant(workload: .route("W8", "\(short)-v6", ipv6, flows: true), title: "new flows, \(ipv6.description)", target: 4e6),
            Variant(
                workload: .translated("\(short)-nat", plain, services: 1000), title: "new flows, shared external address and 1,000 services",
                target: 3e6),
            Variant(
                workload: .guarded("\(short)-1k-rules", plain, rules: 1000, groups: 100), title: "new flows, 1,000 rules over 100 groups", target: 2e6
            ),
            Variant(
                workload: .guarded("\(short)-10k-rules", plain, rules: 10_000, groups: 1000), title: "new flows, 10,000 rules over 1,000 groups",
                target: 0),
        ] + (quick ? [] : large)
    }

    static func measure(_ variant: Variant, floor: Double?) throws -> Figure {
        let workload = variant.workload
        var figure = Figure(id: "W8", variant: workload.variant, title: variant.title), watch = Stopwatch()
        var seconds = 0.0, packets = 0
        for round in 0..<(variant.workload.variant == "4M" ? 1 : 3) {
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
            if let policies = status.tables.first(where: { $0.name == "policy" }), policies.used > 0 {
                figure.memory["policy"] = policies.memoryBytes
            }
            figure.bytesPerEntry = Double(entries.memoryBytes) / Double(entries.used)
            figure.entry = "flow entry"
        }
        watch.finish(&figure, floor: floor)
        // Setting up is not even: the windows in which memory is touched first cost more. So the rate is over all of them, by the time that the thread
        // had a core.
        figure.perSecond = Double(packets) / max(seconds, .leastNonzeroMagnitude)
        if variant.target > 0 { figure.targetCycles = Double(vr_tsc_hz()) / variant.target }
        return figure
    }
}
