import NetTypes

/// Antispoofing beyond the common packet: from which MAC and IP addresses a workload may send, and what it may claim in ARP and neighbour discovery.
///
/// Of a vif with `antispoof`, each frame is from the workload's MAC with one of its addresses, or from an allowed pair: a prefix with a MAC of its own, or with the
/// workload's. From link-local addresses, which workloads choose themselves, and without an address where one is asked for (DHCP, ARP probes, duplicate address detection),
/// every MAC that may send at all may. Router advertisements are the router's.
///
/// - Verdicts: none but drops. - Drops: invalidSource, counted for the vif as `spoofed`.
extension Worker {
    @inline(never) func refuseSource(_ packet: inout Packet) {
        vifCounters.add(packet.ingress.pointee.id, .spoofed, 1)
        packet.settle(.drop(.invalidSource))
    }

    /// Whether an IP packet's MAC and source go together; its MAC may send.
    @inline(never) func isFromAllowedPair(_ packet: Packet) -> Bool {
        let vif = packet.ingress, mac = Ethernet(packet.data).source
        switch packet.family {
        case .ipv4: return vif.pointee.allows(mac, Vif.mapped(IPv4(packet.network).source)) || asksForAddress(packet)
        case .ipv6:
            let source = IPv6(packet.network).source
            return source.isOfLink || vif.pointee.allows(mac, source)
        case .none: return false
        }
    }

    /// Whether a packet that may be neighbour discovery (RFC 4861) claims only what is its sender's.
    @inline(never) func claimsItsOwn(_ packet: Packet) -> Bool {
        let vif = packet.ingress, type = ICMPv6(packet.transport).type, length = packet.length &- Int(packet.l4)
        let optionsAt: Int
        switch type {
        case .routerAdvertisement: return false
        case .routerSolicitation: optionsAt = RouterSolicitation.optionsOffset
        case .neighbourSolicitation, .neighbourAdvertisement: optionsAt = NeighbourMessage.optionsOffset
        default: return true
        }
        // What is cut off is for those who answer to refuse.
        guard length >= optionsAt else { return true }
        let options = NeighbourOptions(packet.transport + optionsAt, length: length &- optionsAt)
        if options.hasSource, !vif.pointee.allows(options.source) { return false }
        if options.hasTarget, !vif.pointee.allows(options.target) { return false }
        guard type == .neighbourAdvertisement else { return true }
        let target = NeighbourMessage(packet.transport).target
        return target.isLinkLocal || vif.pointee.allows(options.hasTarget ? options.target : Ethernet(packet.data).source, target)
    }
}

extension Vif {
    /// As the workers see it: an IPv4 prefix is one of mapped addresses.
    struct AllowedPair {
        /// 0: the workload's.
        var mac: UInt64
        var address: IPv6Address
        var mask: IPv6Address

        init(_ pair: AllowedAddressPair) {
            mac = pair.mac?.rawValue ?? 0
            let length: Int
            switch pair.prefix.address {
            case .v4(let a): (address, length) = (Vif.mapped(a.rawValue), 96 + pair.prefix.length)
            case .v6(let a): (address, length) = (a, pair.prefix.length)
            }
            mask = IPv6Address(
                high: length == 0 ? 0 : length >= 64 ? .max : .max << UInt64(64 - length), low: length <= 64 ? 0 : .max << UInt64(128 - length))
        }
    }

    /// Whether frames may come from this MAC.
    func allows(_ mac: UInt64) -> Bool {
        if mac == workloadMAC { return true }
        for index in 0..<Int(allowedCount) where allowed.unsafelyUnwrapped[index].mac == mac { return true }
        return false
    }

    /// Whether packets may come from this MAC with this address.
    func allows(_ mac: UInt64, _ address: IPv6Address) -> Bool {
        if mac == workloadMAC, isWorkloadAddress(address) { return true }
        for index in 0..<Int(allowedCount) {
            let pair = allowed.unsafelyUnwrapped + index
            // ::/0 is of IPv6: a mapped address is IPv4's.
            let isOfFamily = pair.pointee.address.isMapped == address.isMapped
            if (pair.pointee.mac == 0 ? workloadMAC : pair.pointee.mac) == mac, isOfFamily,
                address.high & pair.pointee.mask.high == pair.pointee.address.high,
                address.low & pair.pointee.mask.low == pair.pointee.address.low
            {
                return true
            }
        }
        return false
    }
}

extension IPv6Address {
    /// ::ffff:0:0/96 (RFC 4291 section 2.5.5.2).
    fileprivate var isMapped: Bool { high == 0 && low >> 32 == 0xFFFF }
}
