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
    @Flag(help: .hidden) var kernelForwarding = false
    @Option(help: "With --compare: pairs of runs that must count.") var pairs = 5

    mutating func run() throws {
        if kernelForwarding { return try KernelForwarding.serve() }
        let chosen = only?.split(separator: ",").map(String.init)
        func wants(_ name: String) -> Bool { chosen?.contains(where: name.hasPrefix) ?? true }
        let suite = Suite(quick: quick)
        if list {
            for (name, title) in suite.titles where wants(name) { print(name.trailing(22) + title) }
            return
        }
        let figures: [Figure]
        if compare {
            figures = try Site.use(core: core) { try Comparison(site: $0, pairs: max(2, pairs), quick: quick).run(wants: wants) }
        } else {
            _ = vr_pin_thread(core)
            figures = try suite.run(wants: wants)
        }
        if let json { try Figure.json(figures).write(toFile: json, atomically: true, encoding: .utf8) }
    }
}
