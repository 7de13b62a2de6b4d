import CPcap
public import CPlatform
public import Dataplane
import Synchronization

/// A port whose received frames come from a capture file and whose transmitted frames go to another.
///
/// Records that were cut short when captured, are no Ethernet frame or do not fit a buffer count as receive errors and are
/// skipped. A damaged file ends where the damage begins, with one receive error. The output is a microsecond pcap; its n-th frame,
/// from 0, has the time n µs after the epoch, so that a run can be compared with the one before octet by octet.
///
/// Thread-safety: as `Port`.
public final class PcapFilePort: Port, @unchecked Sendable {
    private let file: OpaquePointer
    /// The last counters, once closed.
    private let final = Mutex<PortStatistics?>(nil)

    /// `input` nil: nothing is received. `output` nil: what is transmitted is counted and discarded. `mtu` 0: 1500.
    public init(name: String, input: String?, output: String?, mtu: Int = 0) throws(PortError) {
        guard mtu == 0 || (68...65535).contains(mtu) else { throw PortError("an MTU of \(mtu) is not within 68…65535") }
        var failed = vr_pcap_failed()
        guard let file = vr_pcap_file_open(input, output, &failed) else {
            throw PcapFilePort.error(failed, path: (failed.output == 1 ? output : input) ?? "")
        }
        self.file = file
        let device = [input.map { "in \($0)" }, output.map { "out \($0)" }].compactMap { $0 }.joined(separator: ", ")
        super.init(name: name, driver: "capture file", device: device, mtu: mtu == 0 ? 1500 : mtu)
    }

    static func error(_ failed: vr_pcap_failed, path: String) -> PortError {
        if failed.reason == VR_PCAP_NOT_ETHERNET {
            return PortError("\(path) is a capture of link type \(failed.detail); only Ethernet (EN10MB) can be routed")
        }
        let purpose = failed.output == 1 ? "written" : "read"
        // libpcap begins some of its texts with the path, not all.
        let prefix = "\(path): "
        let detail = failed.detail.hasPrefix(prefix) ? String(failed.detail.dropFirst(prefix.count)) : failed.detail
        return PortError("\(path) cannot be \(purpose): \(detail)")
    }

    public override func receive(queue: Int, pool: BufferPool, lane: Int, into frames: UnsafeMutablePointer<vr_frame>, capacity: Int) -> Int {
        if isExhausted { return 0 }
        return receiveBurst(pool: pool, lane: lane, into: frames, capacity: capacity) { vr_pcap_file_read(file, $0, $1) }
    }

    public override func transmit(queue: Int, pool: BufferPool, lane: Int, _ frames: UnsafeMutablePointer<vr_frame>, count: Int) -> Int {
        let taken = Int(vr_pcap_file_write(file, frames, Int32(truncatingIfNeeded: count)))
        pool.release(lane: lane, frames, count: taken)
        return taken
    }

    public override var isExhausted: Bool { vr_pcap_file_ended(file) != 0 }

    public override func statistics() -> PortStatistics { final.withLock { $0 ?? counters() } }

    private func counters() -> PortStatistics {
        var counters = vr_pcap_counters()
        vr_pcap_file_counters(file, &counters)
        return PortStatistics(counters)
    }

    public override func close() {
        final.withLock { final in
            guard final == nil else { return }
            vr_pcap_file_flush(file)
            final = counters()
        }
    }

    deinit {
        close()
        vr_pcap_file_close(file)
    }
}
