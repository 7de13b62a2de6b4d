import CBench
import CPlatform
import Foundation

/// A trace in the file that the `feed` plugin replays: header, index, frames on cache lines.
enum TraceFile {
    static func write(_ frames: [[UInt8]], to path: String) throws {
        let head = MemoryLayout<vb_trace>.size + frames.count * MemoryLayout<vb_frame>.size
        var line = (head + 63) / 64, index: [UInt32] = []
        index.reserveCapacity(frames.count * 2)
        for frame in frames {
            index += [UInt32(line), UInt32(frame.count)]
            line += (frame.count + 63) / 64
        }
        var octets = [UInt8](repeating: 0, count: line * 64)
        octets.withUnsafeMutableBytes { out in
            out.storeBytes(of: vb_trace(magic: UInt32(VB_TRACE_MAGIC), count: UInt32(frames.count), size: UInt64(line * 64)), as: vb_trace.self)
            index.withUnsafeBytes { out[MemoryLayout<vb_trace>.size...].copyBytes(from: $0) }
            for (position, frame) in frames.enumerated() { out[(Int(index[position * 2]) * 64)...].copyBytes(from: frame) }
        }
        try Data(octets).write(to: URL(fileURLWithPath: path))
    }
}

/// What the `feed` plugin writes while a program runs.
struct FeedReader {
    private let feed: UnsafePointer<vb_feed>

    /// nil until the program has made the file.
    init?(path: String) {
        guard let size = try? FileManager.default.attributesOfItem(atPath: path)[.size] as? UInt64, size == vb_feed_size(),
            let address = vb_map(path, Int(size))
        else { return nil }
        feed = address.assumingMemoryBound(to: vb_feed.self)
    }

    func close() { vb_unmap(feed, Int(vb_feed_size())) }

    var totals: vb_feed_totals { vb_feed_read(feed) }
    func windows(_ range: Range<UInt64>) -> [vb_window] { range.map { vb_feed_window(feed, $0) } }

    /// The first packets that were sent.
    var samples: [[UInt8]] {
        (0..<totals.sample_count).map { index in
            var length: UInt32 = 0
            guard let octets = vb_feed_sample(feed, index, &length) else { return [] }
            return Array(UnsafeBufferPointer(start: octets, count: Int(length)))
        }
    }
}

/// One run of one program.
struct FeedRun {
    /// TSC cycles per packet: tenth percentile of the windows.
    var cycles: Double
    var instructions: Double?
    var packets: Int
    /// Of first packets: flows.
    var perSecond: Double?
}

/// Waits for a running program to be warm, times it for a second, and checks what it sent.
struct FeedWatch {
    var path: String
    /// Packets that have to pass before timing.
    var warmUp: Int
    var seconds = 1.0
    /// Octets of a packet that leaves, on average over the trace.
    var octets: Double
    /// Packets that have to be looked at.
    var samples = 32
    /// Whether a packet that left is right.
    var isRight: ([UInt8]) -> Bool

    func run(_ program: Running) throws -> FeedRun {
        let reader = try wait(program, until: warmUp)
        defer { reader.close() }
        let begun = reader.totals
        // Longer where the machine gives the program too little time.
        for _ in 0..<20 {
            Thread.sleep(forTimeInterval: seconds)
            try program.check()
            if reader.totals.window_count >= begun.window_count + 100 { break }
        }
        let ended = reader.totals
        let received = Double(ended.received - begun.received), sent = Double(ended.transmitted - begun.transmitted)
        guard received > 0, abs(sent / received - 1) < 0.001 else {
            throw MeasureError(description: "\(program.name): \(Int(received)) packets received and \(Int(sent)) sent")
        }
        try checkPackets(program, reader, size: Double(ended.transmitted_bytes - begun.transmitted_bytes) / sent)
        let first = max(begun.window_count + 1, ended.window_count - min(ended.window_count, UInt64(VB_WINDOW_COUNT) - 256))
        let windows = reader.windows(min(first, ended.window_count)..<ended.window_count).filter { $0.packets > 0 }
        guard windows.count >= 50 else { throw MeasureError(description: "\(program.name): got through \(windows.count) windows of packets only") }
        let cycles = windows.map { Double($0.tsc) / Double($0.packets) }.sorted()
        let instructions = windows.map { Double($0.counters.instructions) / Double($0.packets) }.sorted()
        return FeedRun(
            cycles: cycles[cycles.count / 10], instructions: ended.has_counters != 0 ? instructions[instructions.count / 2] : nil,
            packets: windows.reduce(0) { $0 + Int($1.packets) })
    }

    /// Of the size that is expected, and right to the octet where they are looked at.
    func checkPackets(_ program: Running, _ reader: FeedReader, size: Double) throws {
        guard abs(size / octets - 1) < 0.001 else {
            throw MeasureError(description: "\(program.name): packets of \(size) octets left, not of \(octets)")
        }
        let samples = reader.samples
        guard samples.count >= self.samples else { throw MeasureError(description: "\(program.name): only \(samples.count) packets were looked at") }
        if let wrong = samples.first(where: { !isRight($0) }) {
            throw MeasureError(description: "\(program.name): a packet left that is none of those expected: \(hexadecimal(wrong))")
        }
    }

    func wait(_ program: Running, until packets: Int) throws -> FeedReader {
        let deadline = vr_monotonic_ns() + 120_000_000_000
        var reader: FeedReader?
        while vr_monotonic_ns() < deadline {
            try program.check()
            reader = reader ?? FeedReader(path: path)
            // Sent, not received: testpmd throws away what it receives before it forwards.
            if let reader, reader.totals.transmitted >= UInt64(packets), reader.totals.window_count > 8 { return reader }
            Thread.sleep(forTimeInterval: 0.02)
        }
        let seen = reader?.totals.received ?? 0, sent = reader?.totals.transmitted ?? 0
        reader?.close()
        throw MeasureError(description: "\(program.name): received \(seen) and sent \(sent) packets in two minutes; \(program.log())")
    }
}

func hexadecimal(_ octets: [UInt8]) -> String { octets.map { $0 < 16 ? "0" + String($0, radix: 16) : String($0, radix: 16) }.joined() }
