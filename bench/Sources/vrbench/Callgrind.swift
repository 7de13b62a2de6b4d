import CBench
import Dataplane
import Foundation
import Workloads

/// Instructions per packet by callgrind, which counts only while turns are taken in `vb_measured`: neither programming the router nor the proof nor a first pass over the trace,
/// in which flows come to be, is in the figure. Nor is the ageing of flows, which takes a share of each millisecond and so depends on how slow valgrind is. What is left is the same
/// from run to run to a few hundredths of a per cent (the rest: which flows share a bucket, by the hash seed of the process), on every machine of one architecture, whatever else runs there,
/// which makes it what regressions are gated on.
enum Callgrind {
    private static let turns = 4096

    /// Under callgrind: programs, proves, passes over the trace once more, and forwards `turns` bursts.
    static func serve(_ name: String, turns: Int, quick: Bool) throws {
        guard let workload = Workload.catalogue(quick: quick).first(where: { $0.name == name }) else {
            throw MeasureError(description: "there is no workload \(name)")
        }
        let bench = try Bench(workload)
        try bench.prove()
        bench.router.run(turns: (bench.trace.count + 31) / 32)
        let before = bench.source.receivedCount
        var measured = (router: bench.router, turns: turns)
        withUnsafeMutablePointer(to: &measured) {
            vb_measured(
                { context in
                    guard let measured = context?.assumingMemoryBound(to: (router: Router, turns: Int).self) else { return }
                    measured.pointee.router.run(turns: measured.pointee.turns)
                }, $0)
        }
        guard bench.source.receivedCount - before == turns * 32 else {
            throw MeasureError(description: "\(name): \(bench.source.receivedCount - before) packets in \(turns) turns")
        }
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
            let figure = Double(try count(stripped, workload.name, quick: quick)) / Double(turns * 32)
            figures[workload.name] = figure
            say(workload.name.trailing(21) + String(format: "%9.1f", figure) + "  " + workload.title)
        }
        return figures
    }

    private static func count(_ executable: String, _ name: String, quick: Bool) throws -> Int {
        // Entering a function that is named here begins to count where nothing is counted, and stops counting where something is; leaving it does the reverse.
        // So what ages before the measurement is counted, and forgotten when that begins.
        var words = [
            "valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--zero-before=vb_measured", "--toggle-collect=vb_measured",
            "--toggle-collect=\(ageing)",
        ]
        words += [executable, "--once", name, "--turns", "\(turns)"] + (quick ? ["--quick"] : [])
        let text = try command(words, environment: ["SWIFT_DETERMINISTIC_HASHING": "1"])
        guard let line = text.split(separator: "\n").last(where: { $0.contains("Collected :") }),
            let value = line.split(separator: " ").last.flatMap({ Int($0) }), value > 0
        else { throw MeasureError(description: "callgrind did not say what it counted: \(text)") }
        return value
    }

    /// `FlowTable.age`, as the linker knows it.
    private static let ageing = "*9FlowTableC3age*"
}

extension String {
    /// The path without symbolic links.
    fileprivate var resolved: String { URL(fileURLWithPath: self).resolvingSymlinksInPath().path }
}
