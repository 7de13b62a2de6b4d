import Dataplane
import Foundation
import Workloads

/// Instructions per packet by callgrind: the same program is run twice under it, the second time with more packets, and the difference divided by
/// how many more they were. So neither programming the router nor the proof is in the figure. The ageing of flows
/// is left out. It is the same on every machine of one architecture, whatever else runs there, which makes it what regressions are gated on.
enum Callgrind {
    private static let turns = (few: 64, many: 6208)

    /// Under callgrind: programs, proves, and forwards `turns` bursts.
    static func serve(_ name: String, turns: Int, quick: Bool) throws {
        guard let workload = Workload.catalogue(quick: quick).first(where: { $0.name == name }) else {
            throw MeasureError(description: "there is no workload \(name)")
        }
        let bench = try Bench(workload)
        try bench.prove()
        bench.router.run(turns: turns)
    }

    /// Counts and prints; by name.
    @discardableResult static func measure(quick: Bool, wants: (String) -> Bool) throws -> [String: Double] {
        // Valgrind of Debian 12 gives up on the debug information of a Swift program.
        let stripped = NSTemporaryDirectory() + "vrbench-\(getpid())"
        try command(["strip", "--strip-debug", "-o", stripped, "/proc/self/exe".resolved])
        defer { try? FileManager.default.removeItem(atPath: stripped) }
        say("workload              instructions per packet")
        var figures: [String: Double] = [:]
        for workload in Workload.catalogue(quick: quick) where wants(workload.name) {
            let few = try count(stripped, workload.name, turns: turns.few, quick: quick),
                many = try count(stripped, workload.name, turns: turns.many, quick: quick)
            let figure = Double(many - few) / Double((turns.many - turns.few) * 32)
            figures[workload.name] = figure
            say(workload.name.trailing(21) + String(format: "%9.1f", figure) + "  " + workload.title)
        }
        return figures
    }

    private static func count(_ executable: String, _ name: String, turns: Int, quick: Bool) throws -> Int {
        let profile = executable + ".profile"
        defer { try? FileManager.default.removeItem(atPath: profile) }
        var words = ["valgrind", "--tool=callgrind", "--callgrind-out-file=" + profile]
        words += [executable, "--once", name, "--turns", "\(turns)"] + (quick ? ["--quick"] : [])
        // Hash tables used in programming the router would differ from run to run.
        let text = try command(words, environment: ["SWIFT_DETERMINISTIC_HASHING": "1"])
        guard let line = text.split(separator: "\n").last(where: { $0.contains("Collected :") }),
            let value = line.split(separator: " ").last.flatMap({ Int($0) })
        else { throw MeasureError(description: "callgrind did not say what it counted: \(text)") }
        return value - (try ageing(profile))
    }

    /// What ageing flows took: a share of each millisecond, and so of how slow valgrind is, not of the packets. It stays a function of its own.
    private static func ageing(_ profile: String) throws -> Int {
        let functions = try command(["callgrind_annotate", "--threshold=100", profile])
        return functions.split(separator: "\n").filter { $0.contains("9FlowTableC3age") }.reduce(0) { sum, line in
            sum + (line.split(separator: " ").first.flatMap { Int($0.filter(\.isNumber)) } ?? 0)
        }
    }
}

extension String {
    /// The path without symbolic links.
    fileprivate var resolved: String { URL(fileURLWithPath: self).resolvingSymlinksInPath().path }
}
