import CRuntimeCounters
import Dataplane
import Testing

#if DEBUG
private let isOptimized = false
#else
private let isOptimized = true
#endif

/// In steady state a burst costs no allocation, no free, no retain and no release. An unoptimised build keeps no such promise and is not asked.
@Suite struct ZeroBudgetTests {
    private func count(_ body: () -> Void) -> vr_runtime_counts {
        var counts = vr_runtime_counts()
        vr_begin_counting()
        body()
        vr_end_counting(&counts)
        return counts
    }

    private final class Thing { var value = 0 }

    /// Else all else would pass.
    @Test(.enabled(if: vr_counts_are_possible() != 0)) func countingCounts() {
        let memory = count { vr_allocate_once() }
        #expect(memory.allocations == 1 && memory.frees == 1 && memory.retains == 0)
        #expect(memory.site_count == 2 && memory.sites.0.0 != nil)
        var kept: [Thing] = []
        kept.reserveCapacity(4)
        let object = count { kept.append(Thing()) }
        #expect(object.objects == 1 && object.allocations == 1)
        // The runtime's own releases, of an array's elements for one, are not seen; what they free is.
        let last = Unmanaged.passRetained(Thing())
        let again = count { _ = last.retain() }
        #expect(again.retains >= 1 && again.objects == 0)
        last.release()
        let gone = count { last.release() }
        #expect(gone.releases >= 1 && gone.frees == 1)
        #expect(count {}.site_count == 0)
    }

    @Test(.enabled(if: isOptimized && vr_counts_are_possible() != 0), arguments: Steady.all) func steadyState(_ workload: Steady) async throws {
        let (router, refused) = try workload.router()
        #expect(refused == [])
        let capture = workload.capture.flatMap { router.startCapture($0).capture }
        #expect((capture == nil) == (workload.capture == nil))
        // Flows come into being, lists get their size.
        router.run(turns: 64)
        let once = count { router.run(turns: 100) }, thrice = count { router.run(turns: 300) }
        let totals = router.status().totals
        let drops = router.status().drops.filter { $0.packets > 0 }.map { "\($0.reason) \($0.packets)" }
        #expect(
            totals.received == 464 * 32 && totals.generated == totals.received * UInt64(workload.copies)
                && totals.forwarded == totals.received + totals.generated, "\(totals) \(drops)")
        // A file's thread writes when it comes to it.
        let expected = workload.copies > 0 ? totals.generated : totals.received * 2, deadline = ContinuousClock.now + .seconds(20)
        while let mirror = router.mirrors(after: nil, limit: 1).first, mirror.copies < expected, mirror.lost == 0, ContinuousClock.now < deadline {
            try await Task.sleep(for: .milliseconds(5))
        }
        for mirror in router.mirrors(after: nil, limit: 10) { #expect(mirror.copies == expected && mirror.lost == 0, "\(mirror)") }
        if let capture { #expect(capture.take(limit: .max).count == Int(totals.received) && capture.lost == 0) }
        // What a call of `run` costs by itself is in both.
        func perBurst(_ counter: KeyPath<vr_runtime_counts, UInt64>) -> Int { Int(thrice[keyPath: counter]) - Int(once[keyPath: counter]) }
        #expect(perBurst(\.allocations) == 0, "\(places(thrice))")
        #expect(perBurst(\.frees) == 0, "\(places(thrice))")
        #expect(perBurst(\.retains) == 0, "\(places(thrice))")
        #expect(perBurst(\.releases) == 0, "\(places(thrice))")
    }

    /// The first sites as addresses in this program, for `addr2line -fie PROGRAM ADDRESS...`.
    private func places(_ counts: vr_runtime_counts) -> String {
        withUnsafeBytes(of: counts.sites) { bytes in
            let addresses = bytes.bindMemory(to: UnsafeRawPointer?.self)
            return (0..<Int(counts.site_count)).map { site in
                (0..<6).map { "0x" + String(vr_code_offset(addresses[site * Int(VR_SITE_DEPTH) + $0]), radix: 16) }.joined(separator: " < ")
            }.joined(separator: "; ")
        }
    }
}
