import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Long random runs of a data structure against a slow one that is obviously right.
///
/// A *trial* is one such run: a seed, and a number of operations chosen by it. What the fast and the slow structure answer is compared at each; the first
/// difference ends the trial and is reported with the seed and the number of the operation, which is all that is needed to see it again.
///
/// The default run has fixed seeds, so that it says the same today and tomorrow. More of them, from a seed of the moment:
///
///     VROUTER_TRIALS=50 swift test --filter Trials          fifty times as many (also: ./run trials 50)
///     VROUTER_TRIAL_SEED=1234 swift test --filter flows     only the trial with this seed
struct Trial {
    let name: String
    let seed: UInt64
    var random: RandomSource
    /// Operations so far; what the trial counts as one is up to it.
    private(set) var operation = 0

    /// The next operation begins.
    mutating func step(_ operations: Int = 1) { operation += operations }

    /// The two structures must agree; if not the trial is over.
    @inline(__always) func check(_ agrees: Bool, _ difference: @autoclosure () -> String) throws(Disagreement) {
        if !agrees { throw Disagreement(text: difference()) }
    }

    struct Disagreement: Error { var text: String }
}

/// Runs `count` trials, or what the environment asks for. In a debug build `steps` is a twentieth of `operations`.
func trials(
    _ name: String, count: Int, operations: Int, firstSeed: UInt64, _ location: SourceLocation = #_sourceLocation,
    _ body: (inout Trial, _ steps: Int) throws(Trial.Disagreement) -> Void
) {
    var seeds = (0..<UInt64(count)).map { firstSeed &+ $0 &* 2 }
    if let chosen = environment("VROUTER_TRIAL_SEED") {
        seeds = [chosen]
    } else if let times = environment("VROUTER_TRIALS") {
        // The generator's seeds are odd: every other number would be a trial twice.
        let begin = UInt64.random(in: 0...(.max)) & ~1
        seeds = (0..<UInt64(count) &* min(times, 1 << 20)).map { begin &+ $0 &* 2 }
    }
    #if DEBUG
    let steps = max(operations / 20, 500)
    #else
    let steps = operations
    #endif
    for seed in seeds {
        var trial = Trial(name: name, seed: seed, random: RandomSource(seed: seed))
        // Neighbouring seeds begin alike in this generator.
        for _ in 0..<8 { _ = trial.random.next() }
        do {
            try body(&trial, steps)
        } catch {
            Issue.record("\(name), VROUTER_TRIAL_SEED=\(seed), operation \(trial.operation): \(error.text)", sourceLocation: location)
            return
        }
    }
}

private func environment(_ name: String) -> UInt64? { getenv(name).flatMap { UInt64(String(cString: $0)) } }

extension RandomSource {
    mutating func octets(_ count: Int) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(count + 8)
        while out.count < count { withUnsafeBytes(of: next()) { out.append(contentsOf: $0) } }
        out.removeLast(out.count - count)
        return out
    }
    /// One in `odds`.
    mutating func hits(_ odds: Int) -> Bool { below(odds) == 0 }
}
