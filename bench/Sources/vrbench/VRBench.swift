import ArgumentParser
import CPlatform
import Foundation
import Workloads

@main struct VRBench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "vrbench", abstract: "What a packet costs in the data plane, on one core.",
        discussion: """
            Every workload runs between a replay port and a counting port in one thread. Before it is measured, one pass over the trace must come out \
            whole: every packet, with the right size, counted by its flow, and right to the octet where it is looked at. Figures are TSC cycles (tenth \
            percentile of many windows) with receiving, copying and freeing the packet included; W0 is what that alone costs. Instructions are counted \
            where the processor lets a program count them.
            """)

    @Flag(help: "Fewer windows, a quarter of the large tables: under five minutes.") var quick = false
    @Option(help: "Only workloads whose name begins with one of these, comma-separated: W1,W6-10k.") var only: String?
    @Option(help: "Also write the figures to this file: a JSON array, one object per workload.") var json: String?
    @Option(help: "Core to run on.") var core: Int32 = 0
    @Flag(help: "List the workloads and exit.") var list = false
    @Flag(
        help: """
            Ours beside dpdk-testpmd and Open vSwitch (DPDK datapath) on the same packets from the same DPDK device, in turns. Needs root and two cores.
            """) var compare = false
    @Flag(help: "The sweeps instead: rate against flows, routes, VRFs and vifs. --only names them.") var sweep = false
    @Option(help: "Packets a second on so many workers instead, each pinned to a core of its own: a list of numbers such as 1,2.") var workers:
        String?
    @Option(help: "The sweeps, with a chart (SVG) of each in this folder.") var plots: String?
    @Flag(
        help:
            "Count instructions per packet with callgrind instead, exactly and without the processor's counters; slow, best with --only and --quick.")
    var instructions = false
    @Flag(help: "What the packets and new flows of other vifs lose while one vif floods the worker, instead.") var attack = false
    @Flag(help: "What forwarding loses while all flows are listed again and again, instead. Needs two cores.") var listing = false
    @Option(help: "Check instructions per packet against the budgets in this file; also needs valgrind.") var budgets: String?
    @Option(help: "Write them to this file instead.") var recordBudgets: String?
    @Option(help: .hidden) var once: String?
    @Option(help: .hidden) var turns = 0
    @Flag(help: .hidden) var kernelForwarding = false
    @Option(help: "With --compare: pairs of runs that must count.") var pairs = 5

    mutating func run() throws {
        if kernelForwarding { return try KernelForwarding.serve() }
        let chosen = only?.split(separator: ",").map(String.init)
        func wants(_ name: String) -> Bool { chosen?.contains(where: name.hasPrefix) ?? true }
        if let once { return try Callgrind.serve(once, turns: turns, quick: quick) }
        if instructions { return _ = try Callgrind.measure(quick: quick, wants: wants) }
        if let recordBudgets { return try Budgets.record(to: recordBudgets) }
        if let budgets {
            guard try Budgets.check(against: budgets) else { throw ExitCode.failure }
            return
        }
        if attack {
            _ = vr_pin_thread(core)
            return try Attack.run(quick: quick)
        }
        if listing {
            let figures = try Listing.run(quick: quick)
            if let json { try Figure.json(figures).write(toFile: json, atomically: true, encoding: .utf8) }
            return
        }
        let suite = Suite(quick: quick)
        if list {
            for (name, title) in suite.titles where wants(name) { say(name.trailing(22) + title) }
            return
        }
        let figures: [Figure]
        var failures = 0
        if let workers {
            let counts = try Scaling.counts(workers),
                named = Workload.catalogue(quick: quick).filter { chosen == nil ? Scaling.usual.contains($0.name) : wants($0.name) }
            guard !named.isEmpty else { throw ValidationError("--only names no workload that packets pass through (W1 to W7, W9)") }
            say(Scaling.heading)
            let figures = try named.flatMap { try Scaling(workload: $0, quick: quick).run(counts) }
            if let json { try Figure.json(figures).write(toFile: json, atomically: true, encoding: .utf8) }
            return
        }
        if compare {
            (figures, failures) = try Site.use(core: core) { try Comparison(site: $0, pairs: max(2, pairs), quick: quick).run(wants: wants) }
        } else if sweep || plots != nil {
            _ = vr_pin_thread(core)
            let effort = Effort(windows: 101, window: 16_000)
            let floor = try measureFloor("10k", Traffic(flows: 10_000, routes: 10_000), effort, floor: nil)
            say("I/O alone: \(String(format: "%.1f", floor.cycles)) cycles")
            figures =
                try [floor] + Sweep.all(quick: quick).filter { wants($0.name) }.flatMap { try $0.run(quick: quick, floor: floor.cycles, to: plots) }
        } else {
            _ = vr_pin_thread(core)
            figures = try suite.run(wants: wants)
        }
        if let json { try Figure.json(figures).write(toFile: json, atomically: true, encoding: .utf8) }
        if failures > 0 { throw ExitCode.failure }
    }
}
