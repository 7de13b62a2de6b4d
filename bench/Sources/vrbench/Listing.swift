import CPlatform
import Dataplane
import Foundation
import Synchronization
import Workloads

/// What a list of all flows costs the forwarding: a worker on one core forwards packets of a million established flows, while a thread on another reads the whole table again and again,
/// by the call that the programming API's lists are made of (`Router.flows`), a thousand entries at a time.
///
/// In turns: half a second without lists, half a second with, both from windows of two milliseconds, of which the median counts. The figure is the median of the pairs' ratios, with its range. A second pair
/// of columns is for a thread in the lister's place that reads as much memory and nothing of the router's: what the machine's memory and caches have to do with it.
enum Listing {
    static let heading =
        "workload".trailing(16) + "beside it".trailing(32) + "Mpps alone".leading(11) + "beside".leading(9) + "ratio (range)".leading(22)
        + "entries/s".leading(12)
        + "pairs".leading(7)

    private enum Company: String, CaseIterable { case lists = "lists of all flows", memory = "a reader of other memory" }

    static func run(quick: Bool) throws -> [Figure] {
        let permitted = Machine.current.permitted
        guard permitted.count >= 2 else { throw MeasureError(description: "--listing needs two cores: one forwards, one reads") }
        say(heading)
        let million = quick ? 250_000 : 1_000_000
        let traffics = [Traffic(flows: 10_000, routes: 10_000), Traffic(flows: million, routes: 10_000)]
        return try traffics.flatMap { traffic in
            let workload = Workload.route("W6", Traffic.short(traffic.flows), traffic, flows: true)
            return try measure(workload, cores: (permitted[0], permitted[1]), pairs: quick ? 5 : 15)
        }
    }

    private static func measure(_ workload: Workload, cores: (Int, Int), pairs: Int) throws -> [Figure] {
        let trace = workload.trace(), source = ReplayPort(name: workload.receivingPort, frames: trace, mtu: Program.mtu)
        let sink = CountingPort(name: workload.transmittingPort, mtu: Program.mtu)
        var configuration = RouterConfiguration(cores: [cores.0], idle: .poll, flowCapacity: max(1 << 19, trace.count * 9 / 4 + 1024))
        configuration.rebalance = nil
        let router = Router(configuration, pool: try HeapBufferPool(bufferSize: 2048, capacity: 4096)) { spec throws(PortError) in
            switch spec.name {
            case source.name: source
            case sink.name: sink
            default: CountingPort(name: spec.name, mtu: Program.mtu)
            }
        }
        let objects = workload.objects()
        for (object, outcome) in zip(objects, router.apply(objects.map(RouterOperation.upsert))) where outcome != .ok {
            throw MeasureError(description: "\(workload.name): \(object) was refused: \(outcome)")
        }
        router.start()
        defer { router.stop() }
        if let fault = router.status().workers.compactMap(\.pinError).first { throw MeasureError(description: fault) }
        let patience = vr_monotonic_ns() + 60_000_000_000
        while sink.statistics().transmittedPackets < UInt64(trace.count * 3), vr_monotonic_ns() < patience { vr_nap(1_000_000) }
        let entries = router.status().tables.first { $0.name == "flow" }?.used ?? 0
        guard entries == trace.count * 2 else {
            throw MeasureError(description: "\(workload.name): \(entries) flow entries for \(trace.count) flows")
        }

        var figures: [Figure] = []
        for company in Company.allCases {
            let reader = Reader(router, core: Int32(cores.1), memory: company == .memory ? entries * 144 : 0)
            let thread = Thread { reader.run() }
            thread.start()
            defer { reader.end() }
            var alone: [Double] = [], beside: [Double] = [], read = 0, seconds = 0.0
            for _ in 0..<pairs {
                alone.append(rate(sink))
                let before = reader.entries.load(ordering: .relaxed), begun = vr_monotonic_ns()
                reader.isReading.store(true, ordering: .relaxed)
                beside.append(rate(sink))
                reader.isReading.store(false, ordering: .relaxed)
                seconds += Double(vr_monotonic_ns() - begun) / 1e9
                read += reader.entries.load(ordering: .relaxed) - before
                vr_nap(5_000_000)
            }
            guard read > 0 else { throw MeasureError(description: "\(workload.name): nothing was read") }
            func middle(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
            let ratios = zip(beside, alone).map { $0 / $1 }.sorted()
            say(
                workload.name.trailing(16) + company.rawValue.trailing(32) + String(format: "%.1f", middle(alone) / 1e6).leading(11)
                    + String(format: "%.1f", middle(beside) / 1e6).leading(9)
                    + String(format: "%.3f (%.2f–%.2f)", middle(ratios), ratios.first ?? 0, ratios.last ?? 0).leading(22)
                    + String(format: "%.1f M", Double(read) / seconds / 1e6).leading(12) + "\(pairs)".leading(7))
            var figure = Figure(
                id: workload.id, variant: "\(workload.variant)-beside-\(company)", title: "\(workload.title), beside \(company.rawValue)")
            figure.perSecond = middle(beside)
            figure.nanoseconds = 1e9 / middle(beside)
            figure.cycles = Double(vr_tsc_hz()) / middle(beside)
            figure.base = workload.name
            figure.cyclesToBase = 1 / middle(ratios)
            figures.append(figure)
        }
        let status = router.status()
        guard status.totals.isBalanced || status.totals.dropped == 0 else { throw MeasureError(description: "\(workload.name): \(status.totals)") }
        return figures
    }

    /// Packets a second: the median of windows.
    private static func rate(_ sink: CountingPort) -> Double {
        var rates: [Double] = [], at = vr_monotonic_ns(), sent = sink.statistics().transmittedPackets
        for _ in 0..<200 {
            vr_nap(2_000_000)
            let now = vr_monotonic_ns(), packets = sink.statistics().transmittedPackets
            rates.append(Double(packets - sent) / Double(now - at) * 1e9)
            (at, sent) = (now, packets)
        }
        rates.sort()
        return rates[rates.count / 2]
    }

    /// Reads on a core of its own, while it is told to.
    private final class Reader: Sendable {
        private let router: Router
        private let core: Int32
        /// Octets of memory that is read in place of the table; 0: the table is.
        private let memory: Int
        let isReading = Atomic<Bool>(false)
        let entries = Atomic<Int>(0)
        private let isEnding = Atomic<Bool>(false)
        private let hasEnded = Atomic<Bool>(false)

        init(_ router: Router, core: Int32, memory: Int) {
            self.router = router
            self.core = core
            self.memory = memory
        }

        func run() {
            _ = vr_pin_thread(core)
            let other = [UInt64](repeating: 1, count: memory / 8)
            var sum: UInt64 = 0
            while !isEnding.load(ordering: .relaxed) {
                if !isReading.load(ordering: .relaxed) {
                    vr_nap(1_000_000)
                } else if memory > 0 {
                    read(other, &sum)
                } else {
                    list(&sum)
                }
            }
            // What was read has been used for something.
            if sum == 1 { say("") }
            hasEnded.store(true, ordering: .releasing)
        }

        private func list(_ sum: inout UInt64) {
            var from: UInt32? = 0
            while let index = from, isReading.load(ordering: .relaxed) {
                var count = 0
                from = router.flows(from: index, limit: 1024, scan: 16_384, matching: FlowFilter()) {
                    count += 1
                    sum &+= $0.packets
                }
                entries.add(count, ordering: .relaxed)
            }
        }

        private func read(_ other: [UInt64], _ sum: inout UInt64) {
            for start in stride(from: 0, to: other.count - 18 * 1024, by: 18 * 1024) where isReading.load(ordering: .relaxed) {
                for offset in stride(from: 0, to: 18 * 1024, by: 8) { sum &+= other[start + offset] }
                entries.add(1024, ordering: .relaxed)
            }
        }

        func end() {
            isEnding.store(true, ordering: .relaxed)
            while !hasEnded.load(ordering: .acquiring) { vr_nap(1_000_000) }
        }
    }
}
