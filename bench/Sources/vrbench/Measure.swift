import CPlatform
import Dataplane
import NetTypes

/// One figure: TSC cycles per packet over many windows.
struct Figure {
    var id: String
    var title: String
    var packets: Int
    var median: Double
    var p10: Double
    var spread: Double
    var nanoseconds: Double
    var loadRate: Double
    var objects: Int
    var memory: [String: Int]
}

struct MeasureError: Error, CustomStringConvertible { var description: String }

/// Runs one workload in the calling thread: program, check one pass, warm up, then measure `windows` windows of about `window` packets.
func measure(_ workload: Workload, windows: Int, window: Int) throws -> Figure {
    let trace = workload.trace()
    let source = ReplayPort(name: workload.fromFabric ? "fabric" : "source", frames: trace)
    let sink = CountingPort(name: "sink")
    let idle = CountingPort(name: "idle")
    let pool = try HeapBufferPool(bufferSize: 2048, capacity: 4096)
    let isTunnel = workload.octetsOut > 60
    let router = Router(RouterConfiguration(cores: [0], idle: .poll, flowCapacity: 1 << 22), pool: pool) { spec throws(PortError) in
        if spec.name == source.name { return source }
        return spec.name == (isTunnel ? "fabric" : "destination") ? sink : idle
    }
    let objects = workload.objects()
    let begun = vr_monotonic_ns()
    let outcomes = router.apply(objects.map(RouterOperation.upsert))
    let took = Double(vr_monotonic_ns() - begun) / 1e9
    for (object, outcome) in zip(objects, outcomes) where outcome != .ok {
        throw MeasureError(description: "\(workload.id): \(object) was refused: \(outcome)")
    }

    // Proof of work: one pass over the trace; every packet leaves, with the right size.
    let pass = (trace.count + 31) / 32
    router.run(turns: pass)
    let first = router.status().totals, out = sink.statistics()
    guard first.received == first.forwarded, first.forwarded == out.transmittedPackets, out.transmittedPackets > 0 else {
        let drops = router.status().drops.filter { $0.packets > 0 }.map { "\($0.reason.label) \($0.packets)" }
        throw MeasureError(description: "\(workload.id): \(first.received) received, \(out.transmittedPackets) left by the right port: \(drops)")
    }
    guard out.transmittedBytes == out.transmittedPackets * UInt64(workload.octetsOut) else {
        throw MeasureError(
            description:
                "\(workload.id): packets of \(Double(out.transmittedBytes) / Double(out.transmittedPackets)) octets left, not \(workload.octetsOut)")
    }
    let flows = router.status().tables.first { $0.name == "flow" }?.used ?? 0
    guard flows >= workload.flows / 2 * 2 * 98 / 100 else {
        throw MeasureError(description: "\(workload.id): \(flows) flow entries, not \(workload.flows)")
    }
    router.run(turns: pass)

    let turns = max(1, window / 32)
    var samples: [Double] = []
    for _ in 0..<windows {
        let before = source.receivedCount
        let start = vr_tsc()
        router.run(turns: turns)
        let cycles = vr_tsc() - start
        samples.append(Double(cycles) / Double(source.receivedCount - before))
    }
    samples.sort()
    let status = router.status()
    guard status.totals.isBalanced, status.totals.dropped == 0 else {
        throw MeasureError(description: "\(workload.id): counters do not add up: \(status.totals)")
    }
    let median = samples[samples.count / 2]
    return Figure(
        id: workload.id, title: workload.title, packets: windows * turns * 32, median: median, p10: samples[samples.count / 10],
        spread: (samples[samples.count * 9 / 10] - samples[samples.count / 10]) / median, nanoseconds: median / Double(vr_tsc_hz()) * 1e9,
        loadRate: Double(objects.count) / took, objects: objects.count,
        memory: Dictionary(uniqueKeysWithValues: status.tables.map { ($0.name, $0.memoryBytes) }))
}

/// The floor: the same ports and buffers, and nothing between.
func measureFloor(windows: Int, window: Int) throws -> Figure {
    let trace = Workload.routed(10_000, over: 10_000)
    let source = ReplayPort(name: "source", frames: trace), sink = CountingPort(name: "sink")
    let pool = try HeapBufferPool(bufferSize: 2048, capacity: 4096)
    let frames = UnsafeMutablePointer<vr_frame>.allocate(capacity: 32)
    defer { frames.deallocate() }
    var samples: [Double] = []
    for _ in 0..<windows {
        var packets = 0
        let start = vr_tsc()
        while packets < window {
            let count = source.receive(queue: 0, pool: pool, lane: 0, into: frames, capacity: 32)
            packets += sink.transmit(queue: 0, pool: pool, lane: 0, frames, count: count)
        }
        samples.append(Double(vr_tsc() - start) / Double(packets))
    }
    samples.sort()
    let median = samples[samples.count / 2]
    return Figure(
        id: "W0", title: "I/O floor: replay port to counting port, nothing between", packets: windows * window, median: median,
        p10: samples[samples.count / 10],
        spread: (samples[samples.count * 9 / 10] - samples[samples.count / 10]) / median, nanoseconds: median / Double(vr_tsc_hz()) * 1e9,
        loadRate: 0, objects: 0,
        memory: [:])
}
