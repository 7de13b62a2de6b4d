import Foundation

/// What a packet may cost in instructions, per compiler: a file that is committed, `bench/Budgets/<compiler>.json`, and checked by CI. callgrind's count is
/// the same on every machine of one architecture, so a change of two per cent is a change of the code, better or worse; better is recorded too, or the
/// next change could give it away unseen.
struct Budgets {
    /// Fewer instructions or more, as a share of the budget.
    private static let tolerance = 0.02
    /// A route in either family, tunnels in and out, flows, flows with translation, and a choice of paths.
    private static let workloads = ["W1-10k", "W1-10k-v6", "W3-encap-10k", "W3-decap-10k", "W4-decap-10k", "W6-10k", "W7-10k", "W9-4"]

    /// Workload to instructions per packet; ordered by name where it is written.
    typealias Figures = [String: Double]

    static func record(to path: String) throws {
        let figures = try measure()
        let lines = figures.sorted { $0.key < $1.key }.map { "  \"\($0.key)\": \(String(format: "%.1f", $0.value))" }
        try FileManager.default.createDirectory(
            at: URL(fileURLWithPath: path).deletingLastPathComponent(), withIntermediateDirectories: true)
        try ("{\n" + lines.joined(separator: ",\n") + "\n}\n").write(toFile: path, atomically: true, encoding: .utf8)
        say("recorded in \(path)")
    }

    /// False: a workload is out of its budget.
    static func check(against path: String) throws -> Bool {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw MeasureError(description: "there is no \(path) for this compiler; record it with --record-budgets \(path)")
        }
        let budgets = try JSONDecoder().decode(Figures.self, from: data), figures = try measure()
        var isWithin = true
        for workload in workloads {
            guard let budget = budgets[workload], let figure = figures[workload] else {
                say("\(workload): no budget in \(path); record them again")
                isWithin = false
                continue
            }
            let difference = figure / budget - 1
            guard abs(difference) > tolerance else { continue }
            isWithin = false
            let text = String(format: "%.1f instructions per packet, budget %.1f (%+.1f %%)", figure, budget, difference * 100)
            say("\(workload): \(text)" + (difference < 0 ? "; better: record it" : ""))
        }
        return isWithin
    }

    private static func measure() throws -> Figures { try Callgrind.measure(quick: true) { workloads.contains($0) } }
}
