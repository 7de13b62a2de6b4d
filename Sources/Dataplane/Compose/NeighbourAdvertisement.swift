import NetTypes

/// The answer to a neighbour solicitation (RFC 4861 section 7.2.4).
enum NeighbourAdvertisement {
    /// Octets after the link header: IPv6, message, one option.
    static let size = IPv6.size + NeighbourMessage.size + NeighbourOptions.linkLayerSize

    /// Writes to `p` an advertisement that the solicitation's target is at `mac`. It goes back to the asker with S set; when the asker has no
    /// address yet (duplicate address detection), to all nodes, ff02::1, with S clear. `isRouter` sets R; `overrides` sets O: the
    /// RFC wants it clear when answering for somebody else (proxy) or for an anycast address.
    /// `frame` is the solicitation; it may be the same memory as `p`.
    static func make(
        from frame: UnsafeRawPointer, length: Int, into p: UnsafeMutableRawPointer, capacity: Int, mac: UInt64, isRouter: Bool, overrides: Bool
    ) -> Int {
        guard let asked = NeighbourSolicitation(frame, length: length) else { return 0 }
        let total = asked.linkSize &+ size
        guard capacity >= total else { return 0 }
        p.copyMemory(from: frame, byteCount: asked.linkSize)
        let ethernet = Ethernet(p)
        ethernet.source = mac
        ethernet.destination = asked.isDuplicateDetection ? 0x3333_0000_0001 : asked.mac
        let ip = IPv6(p + asked.linkSize)
        IPv6.Fields(
            payloadLength: size &- IPv6.size, nextHeader: .icmpv6, hopLimit: 255, source: asked.target,
            destination: asked.isDuplicateDetection ? IPv6Address(high: 0xFF02_0000_0000_0000, low: 1) : asked.source
        ).emit(to: ip.p)
        let message = NeighbourMessage(ip.payload)
        NeighbourMessage.Fields(
            type: .neighbourAdvertisement, isRouter: isRouter, isSolicited: !asked.isDuplicateDetection, overrides: overrides, target: asked.target
        ).emit(to: message.p)
        NeighbourOptions.emit(type: NeighbourOptions.targetLinkLayer, mac: mac, to: message.p + NeighbourMessage.optionsOffset)
        message.header.updateChecksum(ip: ip, length: size &- IPv6.size)
        return total
    }
}
