import NetTypes

/// The members of a composite multicast next hop, in three parts that the split-horizon rules treat each in its own way: local vifs, EVPN peers (ingress
/// replication), and neighbours in the fabric's distribution tree. It hangs on the next hop's record, is made with it and freed with it.
///
/// A tunnel member carries the far end's address beside its next hop's id: what a decapsulated packet's outer source is compared with, without
/// touching as many next hops as there are peers. When a member's tunnel changes, the composite's record is made anew.
///
/// # Thread-safety
/// Immutable once published.
struct MulticastSet {
    /// Parts of the replication tree; the raw values are the order in memory.
    enum Part: Int { case local, evpn, fabric }

    struct Member {
        var nextHop: UInt32
        /// VNI or MPLS label; `Packet.noLabel` for a local member.
        var label: UInt32
        /// The tunnel's far end, an IPv4 address as ::ffff:a.b.c.d; `any` for a local member.
        var far: IPv6Address
        var isVXLAN: Bool
    }

    /// Where each part begins in `members`; the last is the count of all.
    private let bounds: (Int, Int, Int, Int)
    private let members: UnsafeMutablePointer<Member>
    /// VNI in the VXLAN header that frames have behind an MPLS label.
    let vni: UInt32

    init(local: [Member], evpn: [Member], fabric: [Member], vni: UInt32) {
        bounds = (0, local.count, local.count + evpn.count, local.count + evpn.count + fabric.count)
        members = .allocate(capacity: max(1, bounds.3))
        for (index, member) in (local + evpn + fabric).enumerated() { (members + index).initialize(to: member) }
        self.vni = vni
    }

    func free() { members.deallocate() }

    @inline(__always) func part(_ part: Part) -> UnsafeBufferPointer<Member> {
        switch part {
        case .local: UnsafeBufferPointer(start: members, count: bounds.1)
        case .evpn: UnsafeBufferPointer(start: members + bounds.1, count: bounds.2 &- bounds.1)
        case .fabric: UnsafeBufferPointer(start: members + bounds.2, count: bounds.3 &- bounds.2)
        }
    }

    /// The part a packet from this outer source came through; nil: it is no member. A peer that is in both parts counts as an EVPN peer: that rule sends less.
    /// Complexity: linear in the tunnel members.
    func part(from source: IPv6Address, isVXLAN: Bool) -> Part? {
        for member in part(.evpn) where member.far == source && member.isVXLAN == isVXLAN { return .evpn }
        for member in part(.fabric) where member.far == source && member.isVXLAN == isVXLAN { return .fabric }
        return nil
    }
}

extension IPAddress {
    /// As 128 bits, IPv4 as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2).
    var mapped: IPv6Address {
        switch self {
        case .v4(let address): Vif.mapped(address.rawValue)
        case .v6(let address): address
        }
    }
}
