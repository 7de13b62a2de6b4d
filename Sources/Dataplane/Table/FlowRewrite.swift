/// What a flow's packets become: addresses, ports, and what that does to their checksums (RFC 3022; RFC 1624 section 3). Worked out once, when the flow is made,
/// so that a packet costs two stores and two additions.
///
/// Of IPv4 it lies in the entry, in the words that IPv6 addresses take; of IPv6 (NAT66) the new addresses are read from the reverse entry's key.
struct FlowRewrite: Equatable {
    /// IPv4: source << 32 | destination.
    var addresses: UInt64
    /// Source port << 16 | destination port; ICMP echo: the identifier, twice.
    var ports: UInt32
    /// What the header checksum's sum grows by, folded.
    var networkSum: UInt16
    /// The same of the transport checksum.
    var transportSum: UInt16
    var vrf: UInt32

    init(addresses: UInt64, ports: UInt32, networkSum: UInt16, transportSum: UInt16, vrf: UInt32) {
        self.addresses = addresses
        self.ports = ports
        self.networkSum = networkSum
        self.transportSum = transportSum
        self.vrf = vrf
    }

    /// From the key that packets have to the one they get. Both of one family and protocol.
    init(_ old: FlowKey, becomes new: FlowKey) {
        addresses = new.a0
        ports = UInt32(new.sourcePort) << 16 | UInt32(new.destinationPort)
        vrf = new.vrf
        var network: UInt32 = 0
        for (from, to) in [(old.a0, new.a0), (old.a1, new.a1), (old.a2, new.a2), (old.a3, new.a3)] {
            network &+= Self.difference(from, to)
        }
        networkSum = Checksum.fold(network)
        // An ICMP checksum covers no addresses, and the identifier once; the ICMPv6 one covers addresses (RFC 4443 section 2.3).
        let sourcePort = UInt32(~old.sourcePort) &+ UInt32(new.sourcePort),
            destinationPort = UInt32(~old.destinationPort) &+ UInt32(new.destinationPort)
        switch IPProtocol(old.proto) {
        case .icmp: transportSum = Checksum.fold(sourcePort)
        case .icmpv6: transportSum = Checksum.fold(UInt32(networkSum) &+ sourcePort)
        default: transportSum = Checksum.fold(UInt32(networkSum) &+ sourcePort &+ destinationPort)
        }
    }

    /// ~m + m' over the four 16-bit words.
    private static func difference(_ old: UInt64, _ new: UInt64) -> UInt32 {
        var sum: UInt32 = 0
        for shift in stride(from: UInt64(0), to: 64, by: 16) {
            sum &+= UInt32(~UInt16(truncatingIfNeeded: old >> shift)) &+ UInt32(UInt16(truncatingIfNeeded: new >> shift))
        }
        return sum
    }

    /// HC' = ~(~HC + ~m + m').
    @inline(__always) static func update(_ checksum: UInt16, by sum: UInt16) -> UInt16 {
        let total = UInt32(~checksum) &+ UInt32(sum)
        return ~UInt16(truncatingIfNeeded: (total & 0xFFFF) &+ total &>> 16)
    }
}
