import CPcap
import CPlatform
import Dataplane

/// The frames of a capture file, in memory: what a `ReplayPort` repeats.
enum CaptureFrames {
    /// Octets of frames that are held at most: a trace for a benchmark, not an archive.
    private static let largest = 1 << 30
    /// No packet buffer holds more.
    private static let longestFrame = 65535

    /// Every frame of the file. Unlike a port that reads a file, this refuses one that is damaged or has frames that cannot be repeated whole.
    static func read(_ path: String) throws(PortError) -> [[UInt8]] {
        var failed = vr_pcap_failed()
        guard let file = vr_pcap_file_open(path, nil, &failed) else { throw PcapFilePort.error(failed, path: path) }
        defer { vr_pcap_file_close(file) }
        let buffer = UnsafeMutablePointer<UInt8>.allocate(capacity: longestFrame)
        defer { buffer.deallocate() }
        var frames: [[UInt8]] = [], octets = 0
        while true {
            var frame = vr_frame()
            frame.data = buffer
            frame.tailroom = UInt32(longestFrame)
            guard vr_pcap_file_read(file, &frame, 1) == 1 else { break }
            frames.append(Array(UnsafeBufferPointer(start: buffer, count: Int(frame.length))))
            octets += Int(frame.length)
            guard octets <= largest else { throw PortError("\(path) has more than \(largest >> 20) MiB of frames; replay fewer") }
        }
        var counters = vr_pcap_counters()
        vr_pcap_file_counters(file, &counters)
        guard counters.receive_errors == 0 else {
            let reason = "\(counters.receive_errors) of its records were cut short when captured, are no Ethernet frames, or are damaged"
            throw PortError("\(path) cannot be replayed: \(reason); capture whole frames (tcpdump -s 0)")
        }
        guard !frames.isEmpty else { throw PortError("\(path) cannot be replayed: there is no frame in it") }
        return frames
    }
}
