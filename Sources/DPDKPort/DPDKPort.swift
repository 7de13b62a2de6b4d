#if DPDK
import CDPDK
import CPcap
public import CPlatform
public import Dataplane
import Synchronization

/// Any DPDK ethdev: a NIC by its PCI address (bound to vfio-pci), or a vdev such as `net_tap0,iface=tap0`, `net_af_packet0,iface=eth0`,
/// `net_pcap0,rx_pcap=in.pcap,tx_pcap=out.pcap`, `net_ring0`, `net_null0`, `net_memif0,…`. Plugged in when opened and unplugged when
/// closed, while others run.
///
/// MTU: a NIC is configured with it. Behind net_tap and net_af_packet is a kernel interface: that of net_tap gets the MTU, that of net_af_packet
/// is raised to it if it is lower, and both are brought up. Elsewhere it is the number that the router goes by.
/// net_af_packet's rings are dimensioned by the buffers (see `PacketRing`) unless the arguments give `framesz`, `blocksz` or `framecnt`: frames
/// up to the buffer size less 320 octets pass. So for the kernel's TCP bursts (GSO, up to 64 KiB) buffers must be of 65,535 octets, the default.
/// An outer VLAN tag that the kernel took out is put back with TPID 0x8100, whatever it was: that driver does not look.
/// net_af_xdp has buffers of a page, so an MTU of about 3500 at most, and carries no GSO frames.
///
/// TCP packets above the MTU: a device that offers to cut them (TCP_TSO, with the checksums of IPv4 and TCP) is given them whole; what it then cannot cut after
/// all is cut here. net_virtio_user takes them from the pipeline and gives them to it where the host's side agrees and, to receive them, buffers have the default
/// size; net_vhost does with `tso=1`, and cuts them itself for a guest that has not agreed: on a way that ends on this machine nobody ever does. No device is
/// asked to join what it receives (LRO), nor to check checksums: the pipeline checks the one that it goes by.
///
/// net_bonding joins `members`, which are plugged in before it and unplugged after it.
///
/// Link: net_vhost and net_memif are up while the other side is connected; they wait for it and take it back when it returns. A kernel
/// interface is asked itself where the driver (net_af_packet) does not look.
///
/// Thread-safety: as `Port`.
public final class DPDKPort: Port, @unchecked Sendable {
    private let port: OpaquePointer
    private let cuts: Bool
    /// Whether the other side cuts TCP packets has to be asked at every burst.
    private let isToBeCutFor: Bool
    /// The kernel interface that tells the link in the driver's place.
    private let watchedInterface: String?
    /// Of net_tap: the descriptor that knows its interface; -1: there is none. The driver's, so of use until `close`.
    private let tapDescriptor: Int32
    /// Of segments that were made here and that the device did not take.
    private let lost = Atomic<UInt64>(0)
    /// The last counters, once closed. The lock also keeps `close` from pulling the device away under `statistics`.
    private let final = Mutex<PortStatistics?>(nil)

    /// Opens the port that `spec` describes, a `.dpdk`.
    public static func open(_ spec: PortSpec) throws(PortError) -> Port {
        guard case .dpdk(let device, let members) = spec.driver else { throw PortError("not a DPDK port; give it `dpdk`") }
        return try DPDKPort(name: spec.name, device: device, members: members, mtu: spec.mtu, queues: spec.queues)
    }

    /// `mtu` 0: what the device has. `queues` 0: one; fewer where the device has fewer.
    public init(name: String, device: String, members: [String] = [], mtu: Int = 0, queues: Int = 0) throws(PortError) {
        guard let pool = DPDKBufferPool.shared else {
            throw PortError("DPDK is not started; add `dpdk: {eal: []}` to the configuration")
        }
        guard mtu == 0 || (68...65535).contains(mtu) else { throw PortError("an MTU of \(mtu) is not within 68…65535") }
        guard (0...128).contains(queues) else { throw PortError("\(queues) queues are not within 0…128") }
        var (arguments, joined) = try DPDK.deviceArguments(device, members: members)
        let room = pool.bufferSize - Int(vr_dpdk_headroom())
        for index in joined.indices { joined[index].complete(room: room, queues: queues) }
        arguments.complete(room: room, queues: queues, members: joined)

        var facts = vr_dpdk_facts()
        var failed = vr_dpdk_failed()
        let opened = withCStrings([arguments.text] + joined.map(\.text)) { texts in
            var request = vr_dpdk_request(
                device: texts[0], members: texts + 1, member_count: Int32(joined.count), pool: pool.pool,
                wants_segments: arguments["tso"] == "1" ? 1 : 0, waits_for_peer: arguments.isMemifClient ? 1 : 0, mtu: Int32(mtu),
                queues: Int32(queues), headroom: Int32(BufferPool.headroom))
            return vr_dpdk_port_open(&request, &facts, &failed)
        }
        guard let opened else {
            let culprit = joined.indices.contains(Int(facts.failed_member)) ? joined[Int(facts.failed_member)] : arguments
            throw PortError("DPDK device \(culprit.text): \(DPDKPort.advise(failed, culprit))")
        }

        let driver = DPDKPort.string(facts.driver), interface = DPDKPort.string(facts.interface)
        var actual = mtu > 0 ? mtu : (facts.mtu > 0 ? Int(facts.mtu) : 1500)
        if !interface.isEmpty {
            do { actual = try DPDKPort.settle(interface, driver: driver, mtu: mtu, limit: Int(facts.mtu)) } catch {
                vr_dpdk_port_close(opened)
                vr_dpdk_port_free(opened)
                throw PortError("DPDK device \(device): \(error)")
            }
        }
        var traits: PortTraits = facts.hashes != 0 ? .receiveHash : []
        for part in [arguments] + joined { traits.formUnion(DPDKPort.traits(part)) }
        if facts.cuts != 0 { traits.insert(.cutsSegments) }
        if facts.gains_by_joining != 0 { traits.insert(.gainsByJoining) }
        if facts.hands_uncut != 0 { traits.insert(.oversizedSegments) }
        port = opened
        cuts = facts.cuts != 0
        isToBeCutFor = driver == "net_vhost" && facts.cuts != 0
        watchedInterface = (driver == "net_af_packet" || driver == "net_af_xdp") && !interface.isEmpty ? interface : nil
        tapDescriptor = driver == "net_tap" ? vr_dpdk_tap_descriptor(interface) : -1
        super.init(
            name: name, driver: driver, device: device, mtu: actual, receiveQueueCount: Int(facts.queues), transmitQueueCount: Int(facts.queues),
            traits: traits)
    }

    /// What a software device hands over as a kernel or a guest left it.
    private static func traits(_ arguments: DeviceArguments) -> PortTraits {
        switch DriverArguments.driver(of: arguments.name)?.name {
        case "net_af_packet": [.unfinishedChecksums, .oversizedSegments]
        case "net_tap", "net_af_xdp", "net_vhost", "net_virtio_user", "net_memif": .unfinishedChecksums
        default: []
        }
    }

    /// Brings the kernel interface behind a vdev up and sets its MTU; returns the MTU the port has.
    private static func settle(_ interface: String, driver: String, mtu: Int, limit: Int) throws(PortError) -> Int {
        guard driver != "net_tap" || mtu <= limit else {
            throw PortError("net_tap of this DPDK release carries an MTU of at most \(limit); use net_af_packet on a veth, or libpcap, for \(mtu)")
        }
        let up = vr_interface_bring_up(interface), own = Int(vr_interface_mtu(interface))
        guard up >= 0, own >= 0 else { throw PortError("interface \(interface) cannot be brought up (error \(-min(Int(up), own)))") }
        guard mtu > 0, driver == "net_tap" ? mtu != own : mtu > own else { return mtu > 0 ? mtu : min(own, 65535) }
        let result = vr_interface_set_mtu(interface, Int32(mtu))
        guard result >= 0 else {
            throw PortError("interface \(interface) has an MTU of \(own) and refuses \(mtu) (error \(-result)); give the port another MTU, or 0")
        }
        return mtu
    }

    /// What DPDK said, and what to do about it where that is known.
    private static func advise(_ failed: vr_dpdk_failed, _ arguments: DeviceArguments) -> String {
        var text = failed.detail
        if let interface = arguments["iface"], arguments.name.hasPrefix("net_af_packet"), vr_interface_mtu(String(interface)) < 0 {
            text += "; there is no interface \(interface) in this network namespace"
        } else if text.contains("failed to parse device") {
            text += "; no DPDK driver goes by that name: correct it, or install the driver (Debian: librte-net-…)"
        }
        return text
    }

    private static func string<Text>(_ text: Text) -> String {
        withUnsafeBytes(of: text) { octets in
            String(decoding: octets.prefix { $0 != 0 }, as: UTF8.self)
        }
    }

    public override func receive(queue: Int, pool: BufferPool, lane: Int, into frames: UnsafeMutablePointer<vr_frame>, capacity: Int) -> Int {
        Int(vr_dpdk_receive(port, Int32(truncatingIfNeeded: queue), frames, Int32(truncatingIfNeeded: capacity)))
    }

    public override func transmit(queue: Int, pool: BufferPool, lane: Int, _ frames: UnsafeMutablePointer<vr_frame>, count: Int) -> Int {
        guard cuts else { return Int(vr_dpdk_transmit(port, Int32(truncatingIfNeeded: queue), frames, Int32(truncatingIfNeeded: count))) }
        if isToBeCutFor, vr_dpdk_port_is_to_be_cut_for(port) != 0 { return transmitCut(queue, pool, lane, frames, count) }
        var isToBeCut: Int32 = 0
        let taken = Int(
            vr_dpdk_transmit_uncut(port, Int32(truncatingIfNeeded: queue), frames, Int32(truncatingIfNeeded: count), &isToBeCut))
        return isToBeCut == 0 ? taken : taken + transmitCut(queue, pool, lane, frames + taken, count - taken)
    }

    /// Cuts first what was left to the port to cut: for a guest or a device that does not take it. The port has taken everything then.
    private func transmitCut(
        _ queue: Int, _ pool: BufferPool, _ lane: Int, _ frames: UnsafeMutablePointer<vr_frame>, _ count: Int
    ) -> Int {
        withUnsafeTemporaryAllocation(of: vr_frame.self, capacity: Int(VR_BURST)) { burst in
            guard let pieces = burst.baseAddress else { return 0 }
            var filled = 0
            func send() {
                let sent = Int(vr_dpdk_transmit(port, Int32(truncatingIfNeeded: queue), pieces, Int32(truncatingIfNeeded: filled)))
                pool.release(lane: lane, pieces + sent, count: filled - sent)
                lost.add(UInt64(filled - sent), ordering: .relaxed)
                filled = 0
            }
            for index in 0..<count {
                guard var cutter = FrameCutter(frames[index]) else {
                    (pieces + filled).initialize(to: frames[index])
                    filled += 1
                    if filled == Int(VR_BURST) { send() }
                    continue
                }
                while let piece = cutter.next(pool: pool, lane: lane) {
                    (pieces + filled).initialize(to: piece)
                    filled += 1
                    if filled == Int(VR_BURST) { send() }
                }
                if !cutter.isDone { lost.add(1, ordering: .relaxed) }
                pool.release(lane: lane, frames + index, count: 1)
            }
            if filled > 0 { send() }
            return count
        }
    }

    public override func statistics() -> PortStatistics { final.withLock { $0 ?? counters() } }

    public override func link() -> PortLink {
        final.withLock { final in
            guard final == nil else { return PortLink(state: .down) }
            if let watchedInterface {
                let running = vr_interface_is_running(watchedInterface)
                return PortLink(state: running < 0 ? .absent : running == 0 ? .down : .up)
            }
            if tapDescriptor >= 0 { return PortLink(state: vr_dpdk_tap_is_up(tapDescriptor) != 0 ? .up : .down) }
            var link = vr_dpdk_link()
            guard vr_dpdk_port_link(port, &link) == 0 else { return PortLink(state: .unknown) }
            return PortLink(state: link.is_up != 0 ? .up : .down, speed: Int(link.speed))
        }
    }

    private func counters() -> PortStatistics {
        var counters = vr_dpdk_counters()
        vr_dpdk_port_counters(port, &counters)
        var statistics = PortStatistics()
        statistics.receivedPackets = counters.received_packets
        statistics.receivedBytes = counters.received_bytes
        statistics.receiveMissed = counters.receive_missed
        statistics.receiveErrors = counters.receive_errors
        statistics.transmittedPackets = counters.transmitted_packets
        statistics.transmittedBytes = counters.transmitted_bytes
        statistics.transmitErrors = counters.transmit_errors + lost.load(ordering: .relaxed)
        statistics.transmittedUncut = counters.transmitted_uncut
        return statistics
    }

    public override func close() {
        final.withLock { final in
            guard final == nil else { return }
            final = counters()
            vr_dpdk_port_close(port)
        }
    }

    deinit {
        close()
        vr_dpdk_port_free(port)
    }
}
#endif
