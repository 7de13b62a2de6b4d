import NetTypes

/// What a tunnel over IPv6 puts in front of its payload, ready to copy: Ethernet, IPv6, and UDP with VXLAN or room for an MPLS label, or GRE with room for one.
/// It hangs on the next hop's record, is made with it and freed with it, so that the record of the others stays small.
struct OuterIPv6 {
    /// Octets of the longest: 14 + 40 + 8 + 8.
    static let capacity = 72
    /// The octets; the changing fields (traffic class, flow label, lengths, source port, VNI, label) are zero. First in the record: a pointer to the record
    /// is a pointer to these.
    var rewrite: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0, 0, 0, 0)
    var source: IPv6Address
    var destination: IPv6Address

    /// Hop limit 64 whatever the inner packet has (pipe model): the fabric's hops are not the overlay's.
    init(_ tunnel: NextHopSpec.Tunnel, source: IPv6Address, destination: IPv6Address) {
        self.source = source
        self.destination = destination
        withUnsafeMutableBytes(of: &rewrite) { bytes in
            guard let p = bytes.baseAddress else { return }
            Ethernet.Fields(destination: tunnel.destinationMAC.rawValue, source: tunnel.sourceMAC.rawValue, type: .ipv6).emit(to: p)
            let isGRE = tunnel.encapsulation == .mplsOverGRE
            IPv6.Fields(payloadLength: 0, nextHeader: isGRE ? .gre : .udp, source: source, destination: destination).emit(to: p + Ethernet.size)
            let transport = p + (Ethernet.size + IPv6.size)
            // The UDP checksum is zero: allowed for tunnels over IPv6 (RFC 6935 section 5), used within its limits (RFC 6936 section 4): one kind of
            // payload per port, the ports are told apart by the receiver, and what is inside has its own checksum.
            switch tunnel.encapsulation {
            case .vxlan:
                UDP.Fields(sourcePort: 0, destinationPort: UDP.vxlanPort, length: 0).emit(to: transport)
                VXLAN.Fields(vni: 0).emit(to: transport + UDP.size)
            case .mplsOverUDP: UDP.Fields(sourcePort: 0, destinationPort: UDP.mplsPort, length: 0).emit(to: transport)
            case .mplsOverGRE: GRE.Fields(type: .mpls).emit(to: transport)
            }
        }
    }
}

extension NextHop {
    /// A tunnel over IPv6. The record owns `outerIPv6`; who takes the record out of the table retires it.
    init(tunnel: NextHopSpec.Tunnel, id: UInt32, source: IPv6Address, destination: IPv6Address) {
        self.init(id: id, kind: .tunnelIPv6)
        encapsulation = tunnel.encapsulation
        vif = tunnel.vif.rawValue
        rewrites = true
        setHeader(destination: tunnel.routerMAC.rawValue, source: MACAddress.gateway.rawValue)
        rewriteLength = UInt8(truncatingIfNeeded: tunnel.encapsulation.overhead(isIPv6: true))
        let outer = UnsafeMutablePointer<OuterIPv6>.allocate(capacity: 1)
        outer.initialize(to: OuterIPv6(tunnel, source: source, destination: destination))
        outerIPv6 = outer
    }
}

extension Encapsulation {
    /// Octets in front of the payload, outer Ethernet header included.
    func overhead(isIPv6: Bool) -> Int { overhead &+ (isIPv6 ? IPv6.size - IPv4.size : 0) }

    /// Largest inner IP packet when the outer IP packet may have `mtu` octets.
    func innerMTU(_ mtu: Int, isIPv6: Bool) -> Int { innerMTU(mtu) &- (isIPv6 ? IPv6.size - IPv4.size : 0) }
}
