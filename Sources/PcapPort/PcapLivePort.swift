import CPcap
public import CPlatform
public import Dataplane
import Synchronization

/// A live interface through a packet socket: promiscuous, immediate, and deaf to what leaves by the interface, its own frames included. TCP frames above the
/// MTU may be transmitted, and UDP frames of several datagrams (Linux 6.2): the kernel, or the device, cuts them.
///
/// Opening brings the interface up. An MTU above the interface's is set on it; one below only limits what the router sends, so
/// that the interface goes on accepting what its peer sends. While the interface is down, what is sent counts as transmit errors, and all
/// goes on when it is up again. When it disappears, that is a receive error, and the port works again within a second
/// after an interface of that name is back. VLAN tags that the kernel took out of the frame are put back.
///
/// Thread-safety: as `Port`.
public final class PcapLivePort: Port, @unchecked Sendable {
    private let live: OpaquePointer
    /// The last counters, once closed. The lock also keeps `close` from pulling the device away under `statistics`.
    private let final = Mutex<PortStatistics?>(nil)
    /// Where frames that wait at close go.
    private let pool = Mutex<BufferPool?>(nil)
    private let knowsPool = Atomic<Bool>(false)
    /// Where a burst is received, with the buffers it did not need; of the receiving thread.
    private let buffers = UnsafeMutablePointer<vr_frame>.allocate(capacity: 2 * Int(VR_BURST))

    /// `mtu` 0: the interface's.
    public init(name: String, interface: String, mtu: Int = 0) throws(PortError) {
        guard mtu == 0 || (68...65535).contains(mtu) else { throw PortError("an MTU of \(mtu) is not within 68…65535") }
        var failed = vr_pcap_failed()
        guard let live = vr_pcap_live_open(interface, &failed) else {
            throw PcapLivePort.error(failed, interface: interface)
        }
        let own = Int(vr_interface_mtu(interface))
        if mtu > own, own >= 0 {
            let result = vr_interface_set_mtu(interface, Int32(truncatingIfNeeded: mtu))
            if result < 0 {
                vr_pcap_live_close(live)
                vr_pcap_live_free(live)
                let reason = "the interface has \(own) and refuses more (error \(-result))"
                throw PortError("the MTU of \(interface) cannot be set to \(mtu): \(reason); lower the port's MTU or set it to 0")
            }
        }
        self.live = live
        super.init(
            name: name, driver: "libpcap", device: interface, mtu: mtu > 0 ? mtu : (own > 0 ? min(own, 65535) : 1500),
            traits: vr_pcap_cuts_datagrams() != 0
                ? [.unfinishedChecksums, .oversizedSegments, .cutsSegments, .gainsByJoining, .cutsDatagrams]
                : [.unfinishedChecksums, .oversizedSegments, .cutsSegments, .gainsByJoining])
    }

    private static func error(_ failed: vr_pcap_failed, interface: String) -> PortError {
        let advice: String
        switch failed.reason {
        case VR_PCAP_NO_INTERFACE:
            advice = "there is no such interface in this network namespace; create it first, or correct the name (`ip link` lists them)"
        case VR_PCAP_NO_PERMISSION:
            advice = "no permission (\(failed.detail)); run as root or grant CAP_NET_RAW and CAP_NET_ADMIN"
        case VR_PCAP_NOT_ETHERNET:
            advice = "it is of link type \(failed.detail); only Ethernet (EN10MB) can be routed"
        default: advice = failed.detail
        }
        return PortError("interface \(interface) cannot be opened: \(advice)")
    }

    public override func receive(queue: Int, pool: BufferPool, lane: Int, into frames: UnsafeMutablePointer<vr_frame>, capacity: Int) -> Int {
        guard vr_pcap_live_has_frames(live) != 0 else { return 0 }
        if !knowsPool.load(ordering: .relaxed) {
            self.pool.withLock { $0 = pool }
            knowsPool.store(true, ordering: .relaxed)
        }
        let empty = pool.allocate(lane: lane, into: buffers, count: min(capacity, Int(VR_BURST)))
        var left: Int32 = 0
        let filled = Int(vr_pcap_live_receive(live, buffers, Int32(truncatingIfNeeded: empty), &left))
        frames.update(from: buffers, count: filled)
        if left > 0 { pool.release(lane: lane, buffers + filled, count: Int(left)) }
        return filled
    }

    public override func transmit(queue: Int, pool: BufferPool, lane: Int, _ frames: UnsafeMutablePointer<vr_frame>, count: Int) -> Int {
        let taken = Int(vr_pcap_live_transmit(live, frames, Int32(truncatingIfNeeded: count)))
        if taken > 0 { pool.release(lane: lane, frames, count: taken) }
        return taken
    }

    public override func pollDescriptor(queue: Int) -> Int32 { vr_pcap_live_descriptor(live) }

    public override func link() -> PortLink {
        let running = vr_interface_is_running(device)
        return PortLink(state: running < 0 ? .absent : running == 0 ? .down : .up)
    }

    public override func statistics() -> PortStatistics { final.withLock { $0 ?? counters() } }

    private func counters() -> PortStatistics {
        var counters = vr_pcap_counters()
        vr_pcap_live_counters(live, &counters)
        return PortStatistics(counters)
    }

    public override func close() {
        final.withLock { final in
            guard final == nil else { return }
            final = counters()
            withUnsafeTemporaryAllocation(of: vr_frame.self, capacity: Int(VR_BURST)) { waiting in
                let buffers = waiting.baseAddress.unsafelyUnwrapped, count = Int(vr_pcap_live_drain(live, buffers))
                if count > 0 { pool.withLock { $0?.release(lane: BufferPool.laneCount - 1, buffers, count: count) } }
            }
            vr_pcap_live_close(live)
        }
    }

    deinit {
        close()
        vr_pcap_live_free(live)
        buffers.deallocate()
    }
}
