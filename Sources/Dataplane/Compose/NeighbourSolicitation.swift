import NetTypes

/// A valid neighbour solicitation: what the router needs of it to decide and to answer.
struct NeighbourSolicitation: Equatable {
    /// The address asked for.
    let target: IPv6Address
    /// Who asks; `::` in duplicate address detection (RFC 4862 section 5.4).
    let source: IPv6Address
    /// Where the answer goes: the source link-layer address option, or the Ethernet source when there is none.
    let mac: UInt64
    /// Octets of the Ethernet header with its VLAN tags.
    let linkSize: Int
    /// The asker wants to use the address itself.
    var isDuplicateDetection: Bool { source.isUnspecified }

    /// Nil unless `frame` holds a solicitation that RFC 4861 section 7.1.1 lets a node process: hop limit 255 (so it comes from this
    /// link), a right checksum, code 0, at least 24 octets, a unicast target, well-formed options; from `::` only to a
    /// solicited-node address and without source link-layer option. A fragment is never valid (RFC 6980).
    init?(_ frame: UnsafeRawPointer, length: Int) {
        guard let link = LinkHeader(frame, length: length), link.type == .ipv6,
            IPv6.check(frame + link.size, available: length &- link.size)
        else { return nil }
        let ip = IPv6(reading: frame + link.size)
        guard ip.hopLimit == 255 else { return nil }
        let headers = ip.headers()
        guard headers.outcome == .upperLayer, headers.proto == .icmpv6, headers.fragmentHeader == 0, !headers.hasSegmentsLeft else { return nil }
        let size = ip.totalLength &- headers.offset
        let message = NeighbourMessage(ip.p + headers.offset)
        guard NeighbourMessage.check(message.p, available: size), message.header.type == .neighbourSolicitation, message.header.code == 0,
            message.header.hasValidChecksum(ip: ip, length: size)
        else { return nil }
        let options = NeighbourOptions(message.p + NeighbourMessage.optionsOffset, length: size &- NeighbourMessage.size)
        let target = message.target, source = ip.source, destination = ip.destination
        guard options.isValid, !target.isMulticast, !target.isUnspecified, !source.isMulticast else { return nil }
        if source.isUnspecified {
            // ff02::1:ff00:0/104
            guard destination.high == 0xFF02_0000_0000_0000, destination.low >> 24 == 0x01_FF, !options.hasSource else { return nil }
        }
        let mac = options.hasSource ? options.source : Ethernet(reading: frame).source
        guard mac != 0, !Ethernet.isMulticast(mac) else { return nil }
        self.target = target
        self.source = source
        self.mac = mac
        linkSize = link.size
    }
}
