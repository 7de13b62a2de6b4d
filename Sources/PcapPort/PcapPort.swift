import CPcap
public import Dataplane

/// Ports through libpcap: a live interface, or capture files in and out. They need neither hugepages nor DPDK, and files need no
/// privilege: the ports of the embedded default and of every test.
///
/// Formats: what libpcap reads (pcap with microsecond or nanosecond times, pcapng), link type Ethernet
/// (draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng). libpcap itself, and all C, is behind `CPcap`; one C call moves a burst.
public enum PcapPort {
    /// Opens the port that `spec` describes, a `.pcap`, a `.pcapFile` or a `.replay`.
    public static func open(_ spec: PortSpec) throws(PortError) -> Port {
        switch spec.driver {
        case .pcap(let interface):
            return try PcapLivePort(name: spec.name, interface: interface, mtu: spec.mtu)
        case .pcapFile(let input, let output):
            return try PcapFilePort(name: spec.name, input: input, output: output, mtu: spec.mtu)
        case .replay(let file, let count):
            return ReplayPort(name: spec.name, frames: try CaptureFrames.read(file), count: count ?? .max, mtu: spec.mtu == 0 ? 1500 : spec.mtu)
        case .dpdk, .loopback, .sink:
            throw PortError("not a port of the libpcap driver; give it `pcap`, `pcapFile` or `replay`")
        }
    }
}

extension vr_pcap_failed {
    /// The text of libpcap or of the kernel.
    var detail: String {
        withUnsafeBytes(of: text) { octets in
            String(decoding: octets.prefix { $0 != 0 }, as: UTF8.self)
        }
    }
}

extension PortStatistics {
    init(_ counters: vr_pcap_counters) {
        self.init()
        receivedPackets = counters.received_packets
        receivedBytes = counters.received_bytes
        receiveMissed = counters.receive_missed
        receiveErrors = counters.receive_errors
        transmittedPackets = counters.transmitted_packets
        transmittedBytes = counters.transmitted_bytes
        transmitErrors = counters.transmit_errors
        transmittedUncut = counters.transmitted_uncut
    }
}

/// Allocates up to `capacity` buffers, lets `fill` put frames into the first of them, and gives the others back.
@inline(__always)
func receiveBurst(
    pool: BufferPool, lane: Int, into frames: UnsafeMutablePointer<vr_frame>, capacity: Int,
    fill: (UnsafeMutablePointer<vr_frame>, Int32) -> Int32
) -> Int {
    let empty = pool.allocate(lane: lane, into: frames, count: min(capacity, Int(VR_BURST)))
    guard empty > 0 else { return 0 }
    let filled = Int(fill(frames, Int32(truncatingIfNeeded: empty)))
    if filled < empty { pool.release(lane: lane, frames + filled, count: empty - filled) }
    return filled
}
