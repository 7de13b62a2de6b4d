import CBench
import CPlatform
import Dataplane
import NetTypes
import Workloads

struct MeasureError: Error, CustomStringConvertible { var description: String }

/// How long a workload is measured. Windows of less than a millisecond: where other programs want the core too, enough of them are undisturbed.
struct Effort {
    var windows: Int
    /// Packets of a window.
    var window: Int
}

/// A router between ports in memory, programmed for a workload.
struct Bench {
    let workload: Workload
    let trace: [[UInt8]]
    let source: ReplayPort
    let sinks: [String: CountingPort]
    let router: Router
    let objects: Int
    let objectsPerSecond: Double
    /// Distinct 5-tuples of the trace.
    let flows: Int

    init(_ workload: Workload) throws {
        self.workload = workload
        let trace = workload.trace()
        self.trace = trace
        // The first packets of a trace are its flows' only ones, except where it was drawn by Zipf's law.
        let distinct = workload.keepsFlows ? Set(trace).count : 0
        flows = distinct
        let source = ReplayPort(name: workload.receivingPort, frames: trace, mtu: Program.mtu)
        self.source = source
        let objects = workload.objects()
        var sinks: [String: CountingPort] = [:]
        for case .port(let spec) in objects { sinks[spec.name] = CountingPort(name: spec.name, mtu: Program.mtu) }
        self.sinks = sinks
        // Two entries per flow, what the lanes keep at hand, and an eighth: in a table that is nearly full a vif has no more than its share.
        let capacity = max(1 << 19, distinct * 9 / 4 + 1024)
        // A port that packets come in by and leave by would need both halves; no workload has one.
        router = Router(
            RouterConfiguration(cores: [0], idle: .poll, flowCapacity: capacity), pool: try HeapBufferPool(bufferSize: 2048, capacity: 4096)
        ) { [sinks] spec throws(PortError) in
            if spec.name == source.name { return source }
            guard let sink = sinks[spec.name] else { throw PortError("no port \(spec.name)") }
            return sink
        }
        let begun = vr_monotonic_ns()
        let outcomes = router.apply(objects.map(RouterOperation.upsert))
        objectsPerSecond = Double(objects.count) / (Double(vr_monotonic_ns() - begun) / 1e9)
        self.objects = objects.count
        for (object, outcome) in zip(objects, outcomes) where outcome != .ok {
            throw MeasureError(description: "\(workload.name): \(object) was refused: \(outcome)")
        }
    }

    private func sent() -> (packets: UInt64, octets: UInt64) {
        var packets: UInt64 = 0, octets: UInt64 = 0
        for (name, sink) in sinks where name.hasPrefix(workload.transmittingPort) {
            packets += sink.statistics().transmittedPackets
            octets += sink.statistics().transmittedBytes
        }
        return (packets, octets)
    }

    /// Proof of work: one pass over the trace comes out whole, in the right size; flow counters have seen every packet; frames that are looked at are
    /// right to the octet.
    func prove() throws {
        func refuse(_ text: String) -> MeasureError { MeasureError(description: "\(workload.name): \(text)") }
        router.run(turns: (trace.count + 31) / 32)
        let totals = router.status().totals, out = sent()
        guard totals.received == UInt64(source.receivedCount), totals.received == totals.forwarded, totals.forwarded == out.packets else {
            let drops = router.status().drops.filter { $0.packets > 0 }.map { "\($0.reason.label) \($0.packets)" }
            throw refuse("\(totals.received) received, \(out.packets) left by \(workload.transmittingPort): \(drops)")
        }
        let passes = source.receivedCount / trace.count
        var octets = trace.reduce(0) { $0 + $1.count } * passes + trace.prefix(source.receivedCount % trace.count).reduce(0) { $0 + $1.count }
        octets += workload.added * source.receivedCount
        guard out.octets == UInt64(octets) else { throw refuse("\(out.octets) octets left, not \(octets)") }
        if workload.keepsFlows {
            let (packets, entries) = countedByFlows()
            guard entries >= flows * 2 * 98 / 100, packets == totals.received else {
                throw refuse("\(entries) flow entries for \(flows) flows counted \(packets) of \(totals.received) packets")
            }
        }
        for sink in sinks.values { sink.keepsSample = true }
        defer { for sink in sinks.values { sink.keepsSample = false } }
        for _ in 0..<16 {
            let before = sinks.mapValues { $0.statistics().transmittedPackets }
            router.run(turns: 1)
            // Where the burst was spread over ports, the last frame of the burst is the last one of its port.
            guard let last = trace.dropFirst((source.receivedCount - 1) % trace.count).first else { continue }
            let left = sinks.filter { $0.value.statistics().transmittedPackets > before[$0.key] ?? 0 }.map(\.value.sample)
            guard left.contains(where: { $0 == Array(workload.expected(last, $0).prefix(256)) }) else {
                let seen = left.first ?? []
                throw refuse("a frame left as\n  \(hex(seen))\nnot as\n  \(hex(Array(workload.expected(last, seen).prefix(256))))")
            }
        }
    }

    private func countedByFlows() -> (packets: UInt64, entries: Int) {
        var packets: UInt64 = 0, entries = 0, at: UInt32? = 0
        while let from = at {
            let page = router.flows(from: from, limit: 16384)
            entries += page.flows.count
            for flow in page.flows { packets += flow.packets }
            at = page.next
        }
        return (packets, entries)
    }

    private func hex(_ octets: [UInt8]) -> String {
        octets.map { $0 < 16 ? "0" + String($0, radix: 16) : String($0, radix: 16) }.joined()
    }
}

/// Programs, proves, warms up, and measures.
func measure(_ workload: Workload, _ effort: Effort, floor: Double?) throws -> Figure {
    let bench = try Bench(workload)
    try bench.prove()
    bench.router.run(turns: (bench.trace.count + 31) / 32)

    var figure = Figure(id: workload.id, variant: workload.variant, title: workload.title), watch = Stopwatch()
    let turns = max(1, effort.window / 32)
    watch.begin()
    for _ in 0..<effort.windows {
        let before = bench.source.receivedCount
        bench.router.run(turns: turns)
        watch.mark(bench.source.receivedCount - before)
    }
    watch.finish(&figure, floor: floor)

    let status = bench.router.status()
    guard status.totals.isBalanced, status.totals.dropped == 0 else {
        throw MeasureError(description: "\(workload.name): counters do not add up: \(status.totals)")
    }
    figure.targetCycles = workload.target > 0 ? workload.target : nil
    figure.objects = bench.objects
    figure.objectsPerSecond = bench.objectsPerSecond
    figure.memory = Dictionary(uniqueKeysWithValues: status.tables.map { ($0.name, $0.memoryBytes) })
    let table = workload.keepsFlows ? "flow" : "route"
    if let usage = status.tables.first(where: { $0.name == table }), usage.used >= 1000 {
        figure.bytesPerEntry = Double(usage.memoryBytes) / Double(usage.used)
        figure.entry = table == "flow" ? "flow entry" : table
    }
    return figure
}

/// The floor: the same ports and buffers, and nothing between.
func measureFloor(_ variant: String, _ traffic: Traffic, _ effort: Effort, floor: Double?) throws -> Figure {
    let source = ReplayPort(name: "source", frames: traffic.frames()), sink = CountingPort(name: "sink")
    let pool = try HeapBufferPool(bufferSize: 2048, capacity: 4096)
    let frames = UnsafeMutablePointer<vr_frame>.allocate(capacity: 32)
    defer { frames.deallocate() }
    var figure = Figure(id: "W0", variant: variant, title: "I/O alone: replay port to counting port, nothing between, \(traffic.description)")
    figure.targetCycles = variant == "10k" ? 14.4 : nil
    var watch = Stopwatch()
    // So short that one disturbance could cover all of it: ten times as many windows as elsewhere.
    for round in 0..<2 {
        watch.begin()
        for _ in 0..<(round == 0 ? 100 : effort.windows * 10) {
            var packets = 0
            while packets < effort.window {
                let count = source.receive(queue: 0, pool: pool, lane: 0, into: frames, capacity: 32)
                packets += sink.transmit(queue: 0, pool: pool, lane: 0, frames, count: count)
            }
            watch.mark(packets)
        }
    }
    watch.finish(&figure, floor: floor)
    return figure
}
