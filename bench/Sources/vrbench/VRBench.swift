import ArgumentParser
import CPlatform
import Foundation

@main struct VRBench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "vrbench", abstract: "Cycles per packet of the data plane, one core, 64-octet packets from memory.",
        discussion: """
            Every workload runs between a replay port and a counting port in one thread. Before it is measured, one pass over the trace must come out \
            whole: every packet, with the right size. Figures are TSC cycles, receiving, copying and freeing the packet included; W0 is what that alone costs.
            """)

    @Flag(help: "Fewer windows and smaller large tables: under five minutes.") var quick = false
    @Option(help: "Only workloads whose id begins with one of these, comma-separated: W1,W6.") var only: String?
    @Option(help: "Also write the figures to this file, one JSON object per workload.") var json: String?
    @Option(help: "Core to run on.") var core: Int32 = 0

    mutating func run() throws {
        _ = vr_pin_thread(core)
        let windows = quick ? 41 : 101, window = quick ? 64_000 : 320_000
        let chosen = only?.split(separator: ",").map(String.init)
        var lines: [String] = []
        print("TSC \(vr_tsc_hz() / 1_000_000) MHz, core \(core), \(windows) windows of \(window) packets")
        print("id       cycles/packet   p10   ns   Mpps   floor x   spread   workload")
        let floor = try measureFloor(windows: windows, window: window)
        report(floor, floor, &lines)
        for workload in Workload.catalogue(quick: quick) where chosen?.contains(where: workload.id.hasPrefix) ?? true {
            report(try measure(workload, windows: windows, window: window), floor, &lines)
        }
        if let json { try (lines.joined(separator: "\n") + "\n").write(toFile: json, atomically: true, encoding: .utf8) }
    }

    private func report(_ figure: Figure, _ floor: Figure, _ lines: inout [String]) {
        func number(_ value: Double, _ width: Int, _ digits: Int = 1) -> String {
            let text = String(format: "%.\(digits)f", value)
            return String(repeating: " ", count: max(0, width - text.count)) + text
        }
        let id = figure.id + String(repeating: " ", count: max(0, 7 - figure.id.count))
        let rate = 1000 / figure.nanoseconds
        print(
            "\(id) \(number(figure.median, 14)) \(number(figure.p10, 5)) \(number(figure.nanoseconds, 4)) \(number(rate, 6)) \(number(figure.median / floor.median, 9)) "
                + "\(number(figure.spread * 100, 7))%   \(figure.title)")
        let memory = figure.memory.sorted { $0.key < $1.key }.map { "\"\($0.key)\":\($0.value)" }.joined(separator: ",")
        lines.append(
            "{\"id\":\"\(figure.id)\",\"title\":\"\(figure.title)\",\"packets\":\(figure.packets),\"cycles_per_packet\":\(number(figure.median, 0, 2)),"
                + "\"cycles_per_packet_p10\":\(number(figure.p10, 0, 2)),\"ns_per_packet\":\(number(figure.nanoseconds, 0, 3)),"
                + "\"ratio_to_floor\":\(number(figure.median / floor.median, 0, 3)),\"objects\":\(figure.objects),\"objects_per_second\":\(Int(figure.loadRate)),"
                + "\"memory_bytes\":{\(memory)}}")
    }
}
