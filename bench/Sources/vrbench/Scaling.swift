import CPlatform
import Dataplane
import Foundation
import NetTypes
import Workloads

/// The same workload on one worker, on two, and so on: packets a second by the clock, with every worker on a core of its own.
///
/// Twice: `queues`, where the source has a receive queue for each worker and each flow comes by one of them, as from a NIC with RSS; and `spread`, where it has a single queue, whose
/// packets the worker that polls it distributes by software. The sink has a transmit queue for each worker either way.
///
/// The rate is that of what has left the router, in windows of two milliseconds; the figure is their ninetieth percentile, as other programs can only make a window slower. After the run
/// every packet that was received must have left or be counted as dropped for want of room between two workers.
struct Scaling {
    enum Source: String, CaseIterable { case queues, spread }

    let workload: Workload
    let quick: Bool

    static let heading =
        "workload".trailing(22) + "source".trailing(10) + "workers".leading(8) + "Mpps".leading(9) + "× one".leading(8)
        + "lost between workers".leading(23)

    /// The workloads that are measured when none is named.
    static let usual = ["W1-10k", "W6-10k", "W3-encap-10k", "W3-decap-10k"]

    /// "1,2" as numbers; refuses what this machine cannot measure.
    static func counts(_ text: String) throws -> [Int] {
        let permitted = Machine.current.permitted
        return try text.split(separator: ",", omittingEmptySubsequences: false).map { word in
            guard let count = Int(word), (1...64).contains(count) else {
                throw MeasureError(description: "--workers \(text): '\(word)' is not a number of workers from 1 to 64")
            }
            guard count <= permitted.count else {
                throw MeasureError(
                    description:
                        "--workers \(text): \(count) workers need as many cores; this process may use \(permitted.count) (\(Machine.text(permitted)))"
                )
            }
            return count
        }
    }

    /// One line for each source and number of workers.
    func run(_ counts: [Int]) throws -> [Figure] {
        var figures: [Figure] = []
        let trace = workload.trace(), objects = workload.objects()
        for source in Source.allCases {
            var single: Double?
            for count in counts {
                // With one worker there is nobody to spread to.
                let run = try measure(trace, objects, source, workers: count)
                if count == 1 { single = run.rate }
                say(
                    workload.name.trailing(22) + source.rawValue.trailing(10) + "\(count)".leading(8)
                        + String(format: "%.1f", run.rate / 1e6).leading(9)
                        + (single.map { String(format: "%.2f", run.rate / $0) } ?? "-").leading(8)
                        + String(format: "%.2f %%", run.lost * 100).leading(23))
                var figure = Figure(
                    id: workload.id, variant: "\(workload.variant)-\(source.rawValue)-\(count)",
                    title: "\(workload.title), \(count) workers, \(source.rawValue)")
                figure.packets = run.packets
                figure.perSecond = run.rate
                figure.nanoseconds = 1e9 / max(run.rate, 1)
                figure.cycles = Double(vr_tsc_hz()) / max(run.rate, 1)
                figures.append(figure)
            }
        }
        return figures
    }

    private func measure(_ trace: [[UInt8]], _ objects: [RouterObject], _ kind: Source, workers: Int) throws -> (
        rate: Double, lost: Double, packets: Int
    ) {
        // Of a trace in which every flow has one frame, every n-th; where flows repeat, all of a flow's frames by one queue.
        let queues = kind == .queues ? workers : 1
        var shares: [[[UInt8]]] = Array(repeating: [], count: queues)
        for frame in trace { shares[queues == 1 ? 0 : Int(UInt(bitPattern: frame.hashValue) % UInt(queues))].append(frame) }
        let source = QueuedReplay(name: workload.receivingPort, shares: shares, transmitQueues: workers)
        let sink = QueuedSink(name: workload.transmittingPort, queues: workers)
        var configuration = RouterConfiguration(cores: Machine.current.permitted.prefix(workers).map { $0 }, idle: .poll)
        while configuration.flowCapacity < trace.count * 3 { configuration.flowCapacity *= 2 }
        configuration.rebalance = nil
        let router = Router(configuration, pool: try HeapBufferPool(bufferSize: 2048, capacity: 4096 * workers)) { spec throws(PortError) in
            switch spec.name {
            case source.name: source
            case sink.name: sink
            default: CountingPort(name: spec.name, mtu: Program.mtu)
            }
        }
        let operations = objects.map { object in
            if case .port(var spec) = object, spec.name == source.name {
                spec.spread = kind == .spread
                return RouterOperation.upsert(.port(spec))
            }
            return .upsert(object)
        }
        for (operation, outcome) in zip(operations, router.apply(operations)) where outcome != .ok {
            throw MeasureError(description: "\(workload.name): \(operation) was refused: \(outcome)")
        }
        for queue in 0..<queues {
            guard case .ok = router.assign(port: source.name, queue: queue, worker: queue) else {
                throw MeasureError(description: "\(workload.name): queue \(queue) has no worker")
            }
        }
        router.start()
        if let fault = router.status().workers.compactMap(\.pinError).first { throw MeasureError(description: fault) }
        // Two passes over the trace: flows are there, caches warm.
        let patience = vr_monotonic_ns() + 60_000_000_000
        while sink.packets < UInt64(trace.count * 2), vr_monotonic_ns() < patience { vr_nap(1_000_000) }
        var rates: [Double] = []
        var at = vr_monotonic_ns(), sent = sink.packets
        for _ in 0..<(quick ? 250 : 1000) {
            vr_nap(2_000_000)
            let now = vr_monotonic_ns(), packets = sink.packets
            rates.append(Double(packets - sent) / Double(now - at) * 1e9)
            (at, sent) = (now, packets)
        }
        router.stop()
        let status = router.status(), drops = status.drops.first { $0.reason == .workerQueueFull }?.packets ?? 0
        guard status.totals.isBalanced, status.totals.received == UInt64(source.received), status.totals.forwarded == sink.packets,
            status.totals.dropped == drops, status.buffersInUse == 0
        else {
            throw MeasureError(description: "\(workload.name): counters do not add up: \(status.totals), \(source.received) in, \(sink.packets) out")
        }
        rates.sort()
        return (rates[rates.count * 9 / 10], Double(drops) / Double(max(status.totals.received, 1)), Int(status.totals.forwarded))
    }
}

/// Ports by queue, called without being counted, with a port that nobody uses between two of them: what one worker writes lies on no cache line of another.
private struct Queues<Queue: Dataplane.Port> {
    private let kept: [Queue]
    private let hands: UnsafeMutablePointer<Unmanaged<Queue>>
    let count: Int

    init(_ count: Int, _ make: (Int) -> Queue) {
        kept = (0..<count * 2).map { make($0 / 2) }
        hands = .allocate(capacity: max(count, 1))
        for queue in 0..<count { (hands + queue).initialize(to: .passUnretained(kept[queue * 2])) }
        self.count = count
    }

    @inline(__always) subscript(_ queue: Int) -> Unmanaged<Queue> { hands[queue] }
    func sum<Value: AdditiveArithmetic>(_ value: (Queue) -> Value) -> Value {
        (0..<count).reduce(.zero) { $0 + value(kept[$1 * 2]) }
    }
    func free() { hands.deallocate() }
}

/// A port with several receive queues, each a replay of its own.
private final class QueuedReplay: Dataplane.Port, @unchecked Sendable {
    private let replays: Queues<ReplayPort>

    init(name: String, shares: [[[UInt8]]], transmitQueues: Int) {
        replays = Queues(shares.count) { ReplayPort(name: "\(name)-\($0)", frames: shares[$0]) }
        super.init(name: name, driver: "replay", device: name, mtu: Program.mtu, receiveQueueCount: shares.count, transmitQueueCount: transmitQueues)
    }

    deinit { replays.free() }

    override func receive(queue: Int, pool: BufferPool, lane: Int, into frames: UnsafeMutablePointer<vr_frame>, capacity: Int) -> Int {
        replays[queue]._withUnsafeGuaranteedRef { $0.receive(queue: 0, pool: pool, lane: lane, into: frames, capacity: capacity) }
    }

    /// When no worker runs.
    var received: Int { replays.sum(\.receivedCount) }
}

/// A port with several transmit queues, each counted by itself.
private final class QueuedSink: Dataplane.Port, @unchecked Sendable {
    private let sinks: Queues<CountingPort>

    init(name: String, queues: Int) {
        sinks = Queues(queues) { CountingPort(name: "\(name)-\($0)") }
        super.init(name: name, driver: "counting", device: name, mtu: Program.mtu, transmitQueueCount: queues)
    }

    deinit { sinks.free() }

    override func transmit(queue: Int, pool: BufferPool, lane: Int, _ frames: UnsafeMutablePointer<vr_frame>, count: Int) -> Int {
        sinks[queue]._withUnsafeGuaranteedRef { $0.transmit(queue: 0, pool: pool, lane: lane, frames, count: count) }
    }

    var packets: UInt64 { sinks.sum { $0.statistics().transmittedPackets } }
}
