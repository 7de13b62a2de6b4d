/// The device of a DPDK port as written: a PCI address, or the name of a vdev and its arguments (`net_tap0,iface=tap0`).
/// Completes what a driver's defaults get wrong for a router.
struct DeviceArguments {
    let name: Substring
    private var arguments: [(key: Substring, value: Substring?)]
    var list: [(key: Substring, value: Substring?)] { arguments }

    /// nil when there is no device name.
    init?(_ text: String) {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false)
        guard let first = parts.first, !first.isEmpty, !parts.contains(where: \.isEmpty) else { return nil }
        name = first
        arguments = parts.dropFirst().map { part in
            let halves = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return (halves[0], halves.count == 2 ? halves[1] : nil)
        }
    }

    subscript(key: String) -> Substring? {
        get { arguments.first { $0.key == key }?.value }
        set {
            arguments.removeAll { $0.key == key }
            if let newValue { arguments.append((Substring(key), newValue)) }
        }
    }

    var text: String {
        var text = String(name)
        for (key, value) in arguments {
            text += ",\(key)"
            if let value { text += "=\(value)" }
        }
        return text
    }

    /// net_memif is the client unless told otherwise.
    var isMemifClient: Bool { name.hasPrefix("net_memif") && self["role"] != "server" }

    /// For buffers of `room` octets (headroom not counted) and `queues` queues; of a bond, `members` by name.
    mutating func complete(room: Int, queues: Int, members: [DeviceArguments] = []) {
        switch DriverArguments.driver(of: name)?.name {
        case "net_af_packet": completePacketRings(room: room, queues: queues)
        case "net_vhost", "net_virtio_user": if queues > 1, self["queues"] == nil { self["queues"] = Substring(String(queues)) }
        case "net_af_xdp": if queues > 1, self["queue_count"] == nil { self["queue_count"] = Substring(String(queues)) }
        case "net_memif":
            // A path is meant as one; the driver would take it for an abstract name.
            if self["socket"]?.hasPrefix("/") == true, self["socket-abstract"] == nil { self["socket-abstract"] = "no" }
        case "net_bonding": arguments += members.map { ("slave", $0.name) }
        default: break
        }
    }

    private mutating func completePacketRings(room: Int, queues: Int) {
        if queues > 1, self["qpairs"] == nil { self["qpairs"] = Substring(String(queues)) }
        let ring = PacketRing(room: room, frameSize: self["framesz"].flatMap { Int($0) }, blockSize: self["blocksz"].flatMap { Int($0) })
        if self["framesz"] == nil { self["framesz"] = Substring(String(ring.frameSize)) }
        if self["blocksz"] == nil { self["blocksz"] = Substring(String(ring.blockSize)) }
        if self["framecnt"] == nil { self["framecnt"] = Substring(String(ring.frameCount)) }
    }
}

/// The dimensions of net_af_packet's rings (packet_mmap, Linux Documentation/networking/packet_mmap.rst).
///
/// Its default slots of 2048 octets cut longer frames short without a word, so a slot is as large as a buffer can take. The
/// kernel wants slots in multiples of 16 octets and blocks in whole pages, the driver blocks without a gap at the end, and wants
/// a slot's data to fit a buffer: slots are in multiples of 128 and a block is a multiple of slots and pages.
/// Each queue has two rings of about 16 MiB.
struct PacketRing: Equatable {
    /// A slot has a header of 32 octets more than the driver compares with the buffer (TPACKET2_HDRLEN − sizeof(sockaddr_ll)).
    private static let slotHeader = 32
    /// Holds a frame of 65,342 octets; larger does not fit an mbuf.
    private static let largest = 65408
    private static let page = 4096

    let frameSize: Int, blockSize: Int, frameCount: Int

    init(room: Int, frameSize given: Int? = nil, blockSize givenBlock: Int? = nil) {
        let fitting = min(max(room + Self.slotHeader, 256), Self.largest) / 128 * 128
        let size = given.flatMap { (16...1 << 20).contains($0) ? $0 : nil } ?? fitting
        var unit = size
        while unit % Self.page != 0 && unit < 1 << 26 { unit += size }
        let block = givenBlock.flatMap { $0 >= size && $0 <= 1 << 30 ? $0 : nil } ?? unit * max(1, (1 << 20) / unit)
        let perBlock = block / size
        let wanted = min(max(16 << 20 / size, 256), 2048)
        frameSize = size
        blockSize = block
        frameCount = (wanted + perBlock - 1) / perBlock * perBlock
    }
}
