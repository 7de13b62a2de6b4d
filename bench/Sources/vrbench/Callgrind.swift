import Dataplane
import Foundation
import Workloads

/// Instructions per packet by callgrind: the same program is run twice under it, the second time with more packets, and the difference divided by
/// how many more they were. So neither programming the router nor the proof is in the figure. It is exact: the same on every machine of one
/// architecture, whatever else runs there, which makes it what regressions are gated on.
enum Callgrind {
    private static let turns = (few: 64, many: 1088)

    /// Under callgrind: programs, proves, and forwards `turns` bursts.
    static func serve(_ name: String, turns: Int, quick: Bool) throws {
        guard let workload = Workload.catalogue(quick: quick).first(where: { $0.name == name }) else {
            throw MeasureError(description: "there is no workload \(name)")
        }
        let bench = try Bench(workload)
        try bench.prove()
        bench.router.run(turns: turns)
    }

    static func run(quick: Bool, wants: (String) -> Bool) throws {
        // Valgrind of Debian 12 gives up on the debug information of a Swift program.
        let stripped = NSTemporaryDirectory() + "vrbench-\(getpid())"
        try command(["strip", "--strip-debug", "-o", stripped, "/proc/self/exe".resolved])
        defer { try? FileManager.default.removeItem(atPath: stripped) }
        say("workload              instructions per packet")
        for workload in Workload.catalogue(quick: quick) where wants(workload.name) {
            let few = try count(stripped, workload.name, turns: turns.few, quick: quick),
                many = try count(stripped, workload.name, turns: turns.many, quick: quick)
            say(
                workload.name.trailing(21) + String(format: "%9.1f", Double(many - few) / Double((turns.many - turns.few) * 32)) + "  "
                    + workload.title)
        }
    }

    private static func count(_ executable: String, _ name: String, turns: Int, quick: Bool) throws -> Int {
        var words = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", executable, "--once", name]
        words += ["--turns", "\(turns)"] + (quick ? ["--quick"] : [])
        let text = try command(words)
        guard let line = text.split(separator: "\n").last(where: { $0.contains("Collected :") }),
            let value = line.split(separator: " ").last.flatMap({ Int($0) })
        else { throw MeasureError(description: "callgrind did not say what it counted: \(text)") }
        return value
    }
}

extension String {
    /// The path without symbolic links.
    fileprivate var resolved: String { URL(fileURLWithPath: self).resolvingSymlinksInPath().path }
}
