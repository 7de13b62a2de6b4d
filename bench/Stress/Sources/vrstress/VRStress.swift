import CPlatform
import Dataplane
import Foundation
import NetTypes
import Synchronization

/// Workers forward every kind of traffic while control threads change every kind of object, for as long as asked. Built for ThreadSanitizer (`./run stress`) it finds
/// data races; in any build it checks that
/// - counters add up at every reading: received + generated = forwarded + dropped + trapped + consumed;
/// - at the end they agree with what the ports saw, every buffer is back, and the flow table's count of its flows, of each network's and of each direction's is right;
/// - traffic that no change concerns, or that is decided again and stays as it is, loses nothing and stays in order within each flow;
/// - in half a minute and more, everything that it is about has happened: flows were translated, denied, held, answered, left unanswered for their time, removed.
///
/// With an even seed the flow table is always full.
@main struct VRStress {
    static func main() {
        var seconds = 10, workers = 2, controls = 2, seed: UInt64 = 1
        var arguments = CommandLine.arguments.dropFirst()
        while let word = arguments.popFirst() {
            guard let value = arguments.popFirst().flatMap(Int.init), value > 0 else { usage("'\(word)' needs a number above 0") }
            switch word {
            case "--seconds": seconds = value
            case "--workers" where value <= 64: workers = value
            case "--controls" where value <= 8: controls = value
            case "--seed": seed = UInt64(value)
            default: usage("'\(word) \(value)' is not understood")
            }
        }
        do { exit(try Stress(workers: workers, controls: controls, seed: seed).run(seconds: seconds) ? 0 : 1) } catch {
            print("vrstress: \(error)")
            exit(1)
        }
    }

    static func usage(_ message: String) -> Never {
        print("vrstress: \(message)\nusage: vrstress [--seconds 10] [--workers 2 (at most 64)] [--controls 2 (at most 8)] [--seed 1]")
        exit(2)
    }
}

final class Stress: @unchecked Sendable {
    let ledger = Ledger()
    let pool: HeapBufferPool
    let router: Router
    let clean: (a: CleanPort, b: CleanPort)
    private let loops: [StressPort]
    private let faults = Atomic<Int>(0)
    private let isOver = Atomic<Bool>(false)
    private let traps = Atomic<Int>(0)
    private let trapped = TrappedFlows()
    private let findings = NSLock()
    private var found = Findings()
    private let churned = Atomic<Int>(0)
    private let refused = Atomic<Int>(0)
    let controls: Int
    let seed: UInt64
    let workers: Int

    init(workers: Int, controls: Int, seed: UInt64) throws {
        self.controls = controls
        self.seed = seed
        self.workers = workers
        let ledger = ledger
        // Fewer buffers than a ring between two workers has places (512): the flood around the clean wire cannot make the router drop from it for want of room.
        pool = try HeapBufferPool(bufferSize: 4096, capacity: 480)
        let a = CleanPort(name: "clean-a", template: Program.cleanFrame(from: 8, to: 9), ledger: ledger)
        let b = CleanPort(name: "clean-b", template: Program.cleanFrame(from: 9, to: 8), ledger: ledger)
        a.peer = b
        b.peer = a
        clean = (a, b)
        var named: [String: Dataplane.Port] = ["clean-a": a, "clean-b": b]
        var loops = [StressPort(name: "fabric", templates: Template.fabric(), queues: 2, transmitQueues: 1, seed: seed, ledger: ledger)]
        for index in 0..<4 {
            loops.append(
                StressPort(
                    name: "w\(index)", templates: Template.workload(index), queues: 1, transmitQueues: 1, seed: seed &+ UInt64(index) &* 31,
                    ledger: ledger,
                    traits: index == 0 ? [.unfinishedChecksums, .oversizedSegments] : []))
        }
        loops.append(StressPort(name: "outside", templates: Template.outside(), queues: 1, transmitQueues: 1, seed: seed &+ 999, ledger: ledger))
        loops.append(StressPort(name: "watch", templates: [], queues: 1, transmitQueues: 1, seed: seed, ledger: ledger))
        for port in loops { named[port.name] = port }
        self.loops = loops
        let ports = named
        var configuration = RouterConfiguration(
            cores: Array(repeating: nil, count: workers), idle: .adaptive, flowCapacity: seed % 2 == 0 ? 4096 : 16_384)
        // Queues that nobody assigned move as often as they can.
        var policy = RebalancePolicy()
        (policy.interval, policy.leastGain, policy.leastLoad, policy.rest) = (1, 0.01, 0, 1)
        configuration.rebalance = policy
        router = Router(configuration, pool: pool) { spec throws(PortError) in
            ports[spec.name]
                ?? StressPort(
                    name: spec.name, templates: Template.workload(1), queues: 2, transmitQueues: 4, seed: 9, ledger: ledger, rarity: 200, opened: true
                )
        }
    }

    func run(seconds: Int) throws -> Bool {
        let token = router.addTrapListener { [self] packet in
            traps.add(1, ordering: .relaxed)
            if let flow = packet.flow { trapped.add(flow.key) }
        }
        router.start()
        let outcomes = router.apply(Program.base())
        for outcome in outcomes where outcome != .ok { fault("the base program was refused: \(outcome)") }
        clean.a.open()
        clean.b.open()
        // Its flows are known before others can fill the flow table.
        let start = Date().addingTimeInterval(20)
        while min(clean.a.arrived.load(ordering: .relaxed), clean.b.arrived.load(ordering: .relaxed)) < 10 * CleanPort.flows, Date() < start {
            usleep(100)
        }
        for port in loops { port.open() }
        var threads: [Thread] = []
        let running = Atomic<Int>(controls)
        let counter = Box(running)
        for lane in 0..<controls {
            let thread = Thread { [self] in
                var churn = Churn(lane: lane, seed: seed, trapped: trapped)
                while !isOver.load(ordering: .relaxed) { churn.step(router) }
                churned.add(churn.operations, ordering: .relaxed)
                refused.add(churn.refused, ordering: .relaxed)
                churn.capture = nil
                findings.withLock { found.add(churn.findings) }
                counter.value.subtract(1, ordering: .releasing)
            }
            thread.stackSize = 1 << 22
            threads.append(thread)
            thread.start()
        }
        let end = Date().addingTimeInterval(Double(seconds))
        var readings = 0
        while Date() < end {
            let totals = router.status().totals
            if !totals.isBalanced { fault("counters do not add up while running: \(totals)") }
            readings += 1
            usleep(5000)
        }
        isOver.store(true, ordering: .relaxed)
        while counter.value.load(ordering: .acquiring) > 0 { usleep(1000) }
        // What is under way arrives; then nothing may be missing.
        for port in loops { port.shut() }
        clean.a.shut()
        clean.b.shut()
        let patience = Date().addingTimeInterval(20)
        while !isDrained, Date() < patience { usleep(1000) }
        router.removeTrapListener(token)
        router.stop()
        for lane in 0..<controls { for suffix in ["", ".1", ".2"] { unlink(Program.path(lane: UInt32(lane)) + suffix) } }
        return check(readings: readings, isLong: seconds >= 30)
    }

    private var isDrained: Bool {
        clean.a.sent.load(ordering: .acquiring) == clean.b.arrived.load(ordering: .acquiring)
            && clean.b.sent.load(ordering: .acquiring) == clean.a.arrived.load(ordering: .acquiring)
    }

    private func checkFlows(_ statistics: FlowStatistics) {
        var entries: [UInt32: FlowReading] = [:], from: UInt32? = 0
        while let start = from {
            let page = router.flows(from: start, limit: 1024)
            for flow in page.flows { entries[flow.index] = flow }
            from = page.next
        }
        if entries.count != statistics.entries || statistics.created != statistics.removed + UInt64(entries.count) {
            fault(
                "\(entries.count) flow entries are there; \(statistics.created) were made, \(statistics.removed) removed, \(statistics.entries) counted"
            )
        }
        let lone = entries.values.count { flow in flow.reverseIndex.flatMap { entries[$0]?.reverseIndex } != flow.index }
        if lone > 0 { fault("\(lone) flow entries have no other direction") }
        for vrf in router.vrfs(after: nil, limit: 1000) {
            let flows = entries.values.count { $0.isForward && $0.spec.key.vrf == vrf.spec.id }
            if flows != vrf.flows.flows { fault("VRF \(vrf.spec.id) has \(flows) flows, \(vrf.flows.flows) counted") }
        }
    }

    private func check(readings: Int, isLong: Bool) -> Bool {
        let status = router.status(), totals = status.totals
        let received = ledger.received.load(ordering: .relaxed), transmitted = ledger.transmitted.load(ordering: .relaxed)
        if !totals.isBalanced { fault("counters do not add up at the end: \(totals)") }
        // Packets sent in by the control side as received count too.
        if totals.received < received { fault("the ports delivered \(received) packets, the router counted \(totals.received)") }
        if totals.forwarded != transmitted { fault("the router counted \(totals.forwarded) forwarded packets, the ports took \(transmitted)") }
        checkFlows(status.flows)
        var happened = findings.withLock { Findings.all.map { ($0.0, found[keyPath: $0.1]) } }
        happened += [
            ("told of held flows", trapped.count), ("unanswered", Int(status.flows.unanswered)), ("aged", Int(status.flows.aged)),
            ("copies of frames", Int(router.mirrors(after: nil, limit: 1000).reduce(0) { $0 + $1.copies })),
        ]
        if seed % 2 == 0 { happened.append(("evicted", Int(status.flows.evicted))) }
        if isLong { for (what, count) in happened where count == 0 { fault("\(what): 0; the run shows nothing about them") } }
        if status.buffersInUse != 0 { fault("\(status.buffersInUse) buffers are missing") }
        for (from, to) in [(clean.a, clean.b), (clean.b, clean.a)] {
            let sent = from.sent.load(ordering: .relaxed), arrived = to.arrived.load(ordering: .relaxed)
            if sent != arrived || sent == 0 { fault("\(from.name) sent \(sent) packets that no change concerns, \(arrived) arrived") }
            let disorder = to.disorder.load(ordering: .relaxed)
            if disorder != 0 { fault("\(disorder) packets came out of order at \(to.name)") }
        }
        let drops = status.drops.filter { $0.packets > 0 }.map { "\($0.reason.name) \($0.packets)" }.joined(separator: ", ")
        print(
            "received \(totals.received) + generated \(totals.generated) = forwarded \(totals.forwarded) + dropped \(totals.dropped) + trapped \(totals.trapped) + consumed \(totals.consumed)"
        )
        print(
            "clean \(clean.a.sent.load(ordering: .relaxed)) + \(clean.b.sent.load(ordering: .relaxed)); changes \(churned.load(ordering: .relaxed)), \(refused.load(ordering: .relaxed)) of them refused; readings \(readings); queues moved by load \(status.rebalance.moves)"
        )
        print("flows: " + happened.map { "\($0.0) \($0.1)" }.joined(separator: ", ") + ", closed \(status.flows.closed)")
        print("drops since they were last cleared: \(drops)")
        let faults = faults.load(ordering: .relaxed)
        print(faults == 0 ? "no fault" : "\(faults) faults")
        return faults == 0
    }

    private func fault(_ text: String) {
        print("FAULT: \(text)")
        faults.add(1, ordering: .relaxed)
    }
}

/// A counter that several threads hold.
final class Box: Sendable {
    let value: Atomic<Int>
    init(_ value: consuming Atomic<Int>) { self.value = value }
}
