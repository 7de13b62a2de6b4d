import CBench
import CPlatform
import Foundation

// W8 beside another program: every packet is the first of a new flow, so a run is one pass over the trace by a program that has just begun, with nothing in its table.
extension FeedWatch {
    /// Waits until `packets` have left, all that there are, and checks them. Windows of a table that fills are not alike, so the figure is the mean of all of them, by the time that the
    /// thread had a core.
    func runOnce(_ program: Running, packets: Int) throws -> FeedRun {
        let reader = try wait(program, until: packets)
        defer { reader.close() }
        // Whatever else the program still had to send.
        Thread.sleep(forTimeInterval: 0.2)
        try program.check()
        let totals = reader.totals
        guard totals.received == UInt64(packets), totals.transmitted == totals.received else {
            throw MeasureError(
                description: "\(program.name): \(totals.received) first packets received and \(totals.transmitted) sent, of \(packets)")
        }
        try checkPackets(program, reader, size: Double(totals.transmitted_bytes) / Double(packets))
        // The first window, in which the program also learns what to do with such packets, has no beginning and is not in here.
        let windows = reader.windows(0..<totals.window_count).filter { $0.packets > 0 }
        let counted = windows.reduce(0) { $0 + Int($1.packets) }, nanoseconds = windows.reduce(0) { $0 + Double($1.thread_ns) }
        guard counted >= packets * 3 / 4, nanoseconds > 0 else {
            throw MeasureError(description: "\(program.name): only \(counted) of \(packets) packets were in \(windows.count) windows")
        }
        let instructions = windows.reduce(0) { $0 + Double($1.counters.instructions) } / Double(counted), rate = Double(counted) / nanoseconds * 1e9
        return FeedRun(
            cycles: Double(vr_tsc_hz()) / rate, instructions: totals.has_counters != 0 ? instructions : nil, packets: counted, perSecond: rate)
    }
}

/// Memory that the machine has at hand. A virtual machine may give free memory back to its host a few seconds after; what is touched first then costs 0.4 ms per MiB instead of 0.05,
/// more than all else that a new flow costs, whoever's flow it is. So as much as the larger of two programs will want is touched before each of them begins.
enum MemoryAtHand {
    static func prepare(_ size: Int = 2 << 30) throws {
        guard let memory = vr_reserve(size) else { throw MeasureError(description: "no address space") }
        vr_prefer_huge_pages(memory, size)
        for offset in stride(from: 0, to: size, by: 4096) { memory.storeBytes(of: 1, toByteOffset: offset, as: UInt8.self) }
        vr_unreserve(memory, size)
    }
}

extension Ours {
    /// Proof of work: what `vrbench-dpdk --first-packets` says of its flow table when they have all come.
    static func prove(_ running: Running, flows: Int) throws {
        let deadline = vr_monotonic_ns() + 30_000_000_000
        while vr_monotonic_ns() < deadline {
            try running.check()
            if let line = running.output.split(separator: "\n").first(where: { $0.hasPrefix("flow entries ") }) {
                guard line == "flow entries \(flows * 2), forwarded \(flows)" else { throw MeasureError(description: "\(flows) new flows: \(line)") }
                return
            }
            Thread.sleep(forTimeInterval: 0.02)
        }
        throw MeasureError(description: "\(running.name) says nothing of its flow table; \(running.log())")
    }
}

extension OpenVSwitchSession {
    /// Before any packet: room for that many connections (the default is 3,000,000).
    func makeRoom(connections: Int) throws {
        try control(["dpctl/ct-set-maxconns", "\(connections)"])
    }

    /// Proof of work: a connection for each packet, made in the datapath: the slow path was asked only until it had answered.
    func prove(connections: Int) throws {
        let count = Int(try control(["dpctl/ct-get-nconns"]).trimmingCharacters(in: .whitespacesAndNewlines))
        guard count == connections else {
            throw MeasureError(description: "ovs-vswitchd tracks \(count.map { "\($0)" } ?? "nobody knows how many") connections, not \(connections)")
        }
        let misses = try control(["dpif-netdev/pmd-stats-show"]).split(separator: "\n").filter { $0.contains("miss with success upcall:") }
            .compactMap { $0.split(separator: ":").last.flatMap { Int($0.trimmingCharacters(in: .whitespaces)) } }.reduce(0, +)
        guard (1...256).contains(misses) else { throw MeasureError(description: "ovs-vswitchd asked its slow path \(misses) times") }
    }
}
