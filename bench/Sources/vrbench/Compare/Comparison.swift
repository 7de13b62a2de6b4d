import CPlatform
import Foundation
import Workloads

/// Ours beside other programs, on the same packets, from the same device, in turns.
///
/// A pair is one run of ours and one of the peer; every run is a process of its own, so that the placement of memory differs. A pair does not count when
/// either program's run differs from its run before by more than 5 %: then the machine was busy with something else. At least `pairs` must count.
/// Before a run counts, every packet must have left, in the right size, and those that were looked at must be right to the octet.
struct Comparison {
    var site: Site
    var pairs: Int
    var quick: Bool

    struct Match {
        /// Ours: a workload, or "W0-10k" for receiving and sending alone.
        var workload: Workload
        var peers: [any Peer]
    }

    private func matches() -> [Match] {
        let all = Workload.catalogue(quick: false)
        func named(_ name: String) -> Workload? { all.first { $0.name == name } }
        let small = Traffic(flows: 10_000, routes: 10_000)
        var floor = Workload.route("W0", "10k", small)
        floor.title = "I/O alone"
        floor.expected = { came, _ in came }
        var matches = [Match(workload: floor, peers: [Testpmd(mode: "io"), Testpmd(mode: "macswap")])]
        func ovs(_ name: String, _ scenario: String, _ pipeline: OpenVSwitch.Pipeline) {
            guard let workload = named(name) else { return }
            matches.append(Match(workload: workload, peers: [OpenVSwitch(scenario: scenario, pipeline: pipeline, workload: workload)]))
        }
        ovs("W1-1", "one rule, one flow", .route(Traffic(flows: 1, routes: 1).prefixes))
        ovs("W1-10k", "10k rules on the destination, 10k flows", .route(small.prefixes))
        ovs("W3-encap-10k", "VXLAN port, 10k flows", .push)
        ovs("W3-decap-10k", "VXLAN port, 10k flows", .pop)
        ovs("W6-10k", "connection tracking, 10k connections, 10k rules", .tracked(small.prefixes))
        ovs("W7-10k", "connection tracking with source NAT, 10k connections, 10k rules", .translated(small.prefixes))
        ovs("W9-4", "select group of four, 10k flows", .ecmp(4))
        if !quick {
            ovs("W6-1M-10kroutes", "connection tracking, 1M connections, 10k rules", .tracked(small.prefixes))
        }
        let first = Workload.firstPackets(quick ? 250_000 : 1_000_000)
        matches.append(
            Match(
                workload: first,
                peers: [
                    OpenVSwitch(
                        scenario: "connection tracking of first packets, looked up, then committed: three rules, as many flows of the datapath",
                        pipeline: .committed(looksFirst: true), workload: first),
                    OpenVSwitch(
                        scenario: "the same, ct(commit) at once: one rule, one flow of the datapath", pipeline: .committed(looksFirst: false),
                        workload: first),
                ]))
        // Those for which there is only a recorded figure: ours from the same device.
        for entry in Recorded.vpp where !matches.contains(where: { $0.workload.name == entry.workload }) && !(quick && entry.workload.contains("1M"))
        {
            if let workload = named(entry.workload) { matches.append(Match(workload: workload, peers: [])) }
        }
        return matches
    }

    /// The figures of ours, with the peers' beside them, and how many peers failed.
    func run(wants: (String) -> Bool) throws -> (figures: [Figure], failures: Int) {
        let scale = try (0..<3).map { _ in try Testpmd.calibrate(site) }.sorted()[1]
        say(
            String(
                format: "dpdk-testpmd macswap over plain net_null: %.1f cycles; recorded figures are scaled by %.2f", scale, scale / Recorded.macswap)
        )
        say(
            "ours, peer: cycles per packet, median of the pairs that count (tenth percentile within a run), each with the cost of net_null and its feed in it"
        )
        say("workload           ours  instr    peer  instr   ratio (range)       pairs  program: scenario")
        var figures: [Figure] = [], failures: [String] = []
        for match in matches() where wants(match.workload.name) {
            let trace = match.workload.trace()
            try TraceFile.write(trace, to: site.tracePath)
            var figure = Figure(id: match.workload.id, variant: match.workload.variant, title: match.workload.title + ", net_null")
            for (program, scenario, once) in faces(match, trace) {
                do { try face(match.workload, program, scenario, trace, &figure, once) } catch {
                    failures.append("\(match.workload.name), \(program): \(error)")
                    say("\(match.workload.name.trailing(16)) \(program): \(scenario): failed; the reason is at the end")
                }
            }
            if match.peers.isEmpty { try alone(match.workload, trace, &figure) }
            recorded(&figure, scale)
            figures.append(figure)
        }
        for failure in failures { say(failure) }
        return (figures, failures.count)
    }

    /// The peers of a match, each as what makes one run of it.
    private func faces(_ match: Match, _ trace: [[UInt8]]) -> [(String, String, () throws -> FeedRun)] {
        var faces: [(String, String, () throws -> FeedRun)] = match.peers.map { peer in
            (
                peer.program, peer.scenario,
                {
                    try? FileManager.default.removeItem(atPath: site.outPath("peer"))
                    if match.workload.id == "W8" { return try firstPackets(peer, trace) }
                    let session = try peer.start(site)
                    defer { session.end() }
                    return try watch("peer", trace, peer.added, peer.isRight).run(session.running)
                }
            )
        }
        if match.workload.name == "W1-1" {
            faces.append(
                (
                    KernelForwarding.program, KernelForwarding.scenario,
                    {
                        let result = try KernelForwarding.run(site)
                        return FeedRun(cycles: result.cycles, instructions: nil, packets: result.packets)
                    }
                ))
        }
        return faces
    }

    private func watch(_ side: String, _ trace: [[UInt8]], _ added: Int, _ isRight: @escaping ([UInt8], [UInt8]) -> Bool) -> FeedWatch {
        let octets = Double(trace.reduce(0) { $0 + $1.count }) / Double(trace.count), early = Array(trace.prefix(20_000))
        // Open vSwitch puts one of a hundred packets into its exact-match cache: it is warm after some hundreds of packets of every flow.
        let warmUp = side == "ours" ? max(trace.count * 2, 2_000_000) : max(trace.count * 4, 6_000_000)
        return FeedWatch(
            path: site.outPath(side), warmUp: warmUp, seconds: quick ? 0.5 : 1, octets: octets + Double(added),
            isRight: { left in early.contains { isRight($0, left) } })
    }

    private var once: Site {
        var site = site
        site.replaysOnce = true
        return site
    }

    /// A new program, an empty table, one pass; the table must then have a connection for each packet.
    private func firstPackets(_ peer: any Peer, _ trace: [[UInt8]]) throws -> FeedRun {
        try MemoryAtHand.prepare()
        let session = try peer.start(once)
        defer { session.end() }
        let run = try watch("peer", trace, peer.added, peer.isRight).runOnce(session.running, packets: trace.count)
        // It takes what is sent to port 0 for invalid: 15 of a million.
        try (session as? OpenVSwitchSession)?.prove(connections: trace.count { $0[36] != 0 || $0[37] != 0 })
        return run
    }

    private func own(_ workload: Workload, _ trace: [[UInt8]]) throws -> FeedRun {
        try? FileManager.default.removeItem(atPath: site.outPath("ours"))
        if workload.id == "W8" {
            try MemoryAtHand.prepare()
            let running = try Ours.start(workload.name, once, firstPackets: trace.count)
            defer { running.end() }
            let run = try watch("ours", trace, workload.added) { $1 == workload.expected($0, $1) }.runOnce(running, packets: trace.count)
            try Ours.prove(running, flows: trace.count)
            return run
        }
        let running = try Ours.start(workload.name, site)
        defer { running.end() }
        return try watch("ours", trace, workload.added) { $1 == workload.expected($0, $1) }.run(running)
    }

    private func alone(_ workload: Workload, _ trace: [[UInt8]], _ figure: inout Figure) throws {
        let runs = try (0..<pairs).map { _ in try own(workload, trace) }.sorted { $0.cycles < $1.cycles }, middle = runs[runs.count / 2]
        figure.cycles = middle.cycles
        figure.median = middle.cycles
        figure.instructions = middle.instructions
        figure.packets = runs.reduce(0) { $0 + $1.packets }
        figure.nanoseconds = middle.cycles / Double(vr_tsc_hz()) * 1e9
        say(
            workload.name.trailing(16) + String(format: "%7.1f", middle.cycles)
                + (middle.instructions.map { String(format: "%.0f", $0) } ?? "-").leading(7)
                + String(format: "%43d", runs.count) + "  (alone)")
    }

    private func face(
        _ workload: Workload, _ program: String, _ scenario: String, _ trace: [[UInt8]], _ figure: inout Figure, _ peer: () throws -> FeedRun
    ) throws {
        var ours: [FeedRun] = [], theirs: [FeedRun] = [], kept: [Int] = []
        for attempt in 0..<(pairs * 4) {
            ours.append(try own(workload, trace))
            theirs.append(try peer())
            // The first pair is judged by the second.
            if attempt == 1, steady(ours, 1), steady(theirs, 1) { kept.append(0) }
            if attempt > 0, steady(ours, attempt), steady(theirs, attempt) { kept.append(attempt) }
            if kept.count >= pairs { break }
        }
        func middle(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
        guard kept.count >= pairs else {
            say(
                workload.name.trailing(16) + String(format: "%7.1f        %8.1f", middle(ours.map(\.cycles)), middle(theirs.map(\.cycles)))
                    + "  no ratio: only \(kept.count) of \(ours.count) pairs are steady, the machine is too busy; \(program): \(scenario)")
            return
        }
        let ratios = kept.map { ours[$0].cycles / theirs[$0].cycles }.sorted()
        let own = middle(kept.map { ours[$0].cycles }), other = middle(kept.map { theirs[$0].cycles })
        let result = PeerFigure(
            program: program, scenario: scenario, origin: "measured", cycles: other, instructions: theirs[kept[0]].instructions,
            ratio: middle(ratios), ratioLow: ratios.first, ratioHigh: ratios.last, pairs: kept.count, discarded: ours.count - kept.count,
            perSecond: theirs[kept[0]].perSecond.map { _ in middle(kept.compactMap { theirs[$0].perSecond }) })
        figure.peers.append(result)
        figure.cycles = own
        figure.median = own
        figure.instructions = ours[kept[0]].instructions
        figure.packets = kept.reduce(0) { $0 + ours[$1].packets }
        figure.nanoseconds = own / Double(vr_tsc_hz()) * 1e9
        var rates = ""
        if let perSecond = result.perSecond {
            let own = middle(kept.compactMap { ours[$0].perSecond })
            figure.perSecond = own
            rates = String(format: "; new flows a second: %.2f M and %.2f M", own / 1e6, perSecond / 1e6)
        }
        func count(_ value: Double?) -> String { (value.map { String(format: "%.0f", $0) } ?? "-").leading(7) }
        say(
            workload.name.trailing(16) + String(format: "%7.1f", own) + count(figure.instructions) + String(format: "%8.1f", other)
                + count(result.instructions)
                + String(format: "   %.2f (%.2f–%.2f)", middle(ratios), ratios.first ?? 0, ratios.last ?? 0)
                + "   \(kept.count) of \(ours.count)".leading(12)
                + "  \(program): \(scenario)\(rates)")
    }

    private func steady(_ runs: [FeedRun], _ at: Int) -> Bool { abs(runs[at].cycles / runs[at - 1].cycles - 1) <= 0.05 }

    private func recorded(_ figure: inout Figure, _ scale: Double) {
        for entry in Recorded.vpp where entry.workload == figure.name {
            let cycles = entry.cycles * scale / Recorded.macswap
            figure.peers.append(
                PeerFigure(
                    program: "VPP 23.06", scenario: entry.scenario, origin: "recorded", cycles: cycles, instructions: nil,
                    ratio: figure.cycles > 0 ? figure.cycles / cycles : nil, ratioLow: nil, ratioHigh: nil, pairs: 0, discarded: 0))
            figure.targetCycles = cycles * entry.target
            say(
                figure.name.trailing(16) + "recorded elsewhere, not measured: VPP 23.06, \(entry.scenario): \(entry.cycles) cycles there, "
                    + String(format: "%.1f scaled to here", cycles))
        }
    }
}
