import NetTypes

/// A next hop ready to run: an immutable record with its rewrite octets prepared, replaced as a whole and freed after quiescence.
struct NextHop {
    /// `tunnel`: outer Ethernet + IPv4 + UDP (+ VXLAN) or GRE (+ MPLS), the changing fields zero. The record's first octets: a pointer to
    /// the record is a pointer to these.
    var rewrite: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0, 0)
    var id: UInt32
    var kind: Kind
    var encapsulation: Encapsulation
    /// `vrf`: look the inner Ethernet frame up by MAC first.
    var bridges: Bool
    /// `encap`: an Ethernet header is written.
    var rewrites: Bool
    /// Octets in `rewrite`: what the tunnel adds in front of its payload.
    var rewriteLength: UInt8
    /// `tunnel`: octets of the outer IP packet that are not the inner IP packet's.
    var payloadOverhead: UInt8
    /// `ecmp`: 32 less the bits of a bucket's number.
    var bucketShift: UInt8
    /// `ecmp`: `HashFields.rawValue`.
    var hashFields: UInt8
    /// Outgoing vif; `receive`: the vif whose addresses are meant.
    var vif: UInt32
    /// `vrf`: where the lookup goes on.
    var vrf: UInt32
    /// Destination and source address, as they lie in memory, of the Ethernet header that routed packets get: of the frame (`encap`), or of the inner frame
    /// (`tunnel`, VXLAN).
    private var header: (UInt64, UInt32) = (0, 0)
    /// `tunnel`: the endpoints.
    var outerDestination: UInt32
    var outerSource: UInt32
    /// `tunnel`: sum of the outer IPv4 header's constant 16-bit words, unfolded.
    var outerSum: UInt32
    /// `ecmp`: the buckets of `ECMPBuckets`, a power of two of them; a flow's is the top bits of its hash.
    var memberCount: UInt32
    var members: UnsafeMutablePointer<Member>?
    /// `indirect`: the next hop it stands for.
    var target: UInt32
    /// `vrf`: inner frames to this address are routed.
    var routerMAC: UInt64
    /// `tunnelIPv6`: the octets in front of the payload, and the endpoints.
    var outerIPv6: UnsafeMutablePointer<OuterIPv6>?
    /// `multicast`: members.
    var multicast: UnsafeMutablePointer<MulticastSet>?
    /// `vrf`: source addresses of frames from VXLAN are learned.
    var learns = false

    enum Kind: UInt8 {
        case discard, receive, encap, tunnel, tunnelIPv6, resolve, multicast
        // Those that lead to others (`NextHopChain`) come last: that a record is one of them is one comparison.
        case vrf, ecmp, indirect

        @inline(__always) var leadsOn: Bool { rawValue >= Kind.vrf.rawValue }
    }

    struct Member: Hashable {
        var nextHop: UInt32
        var label: UInt32
    }

    init(id: UInt32, kind: Kind) {
        self.id = id
        self.kind = kind
        encapsulation = .vxlan
        bridges = false
        rewrites = false
        rewriteLength = 0
        payloadOverhead = 0
        vif = 0
        vrf = 0
        outerDestination = 0
        outerSource = 0
        outerSum = 0
        memberCount = 0
        members = nil
        bucketShift = 0
        hashFields = HashFields.all.rawValue
        target = 0
        routerMAC = 0
        outerIPv6 = nil
        multicast = nil
    }

    mutating func setHeader(destination: UInt64, source: UInt64) {
        header = ((destination << 16 | source >> 32).bigEndian, UInt32(truncatingIfNeeded: source).bigEndian)
    }

    /// Destination and source of a routed packet's Ethernet header; the type stays.
    @inline(__always) func writeHeader(_ frame: UnsafeMutableRawPointer) {
        frame.storeBytes(of: header.0, as: UInt64.self)
        frame.storeBytes(of: header.1, toByteOffset: 8, as: UInt32.self)
    }

    static var discard: NextHop { NextHop(id: 0, kind: .discard) }

    /// A tunnel over IPv4. Don't Fragment is set on the outer header: the far end has no use for fragments it would have to reassemble, so
    /// packets are made to fit before they are encapsulated.
    init(tunnel: NextHopSpec.Tunnel, id: UInt32, source: IPv4Address, destination: IPv4Address) {
        self.init(id: id, kind: .tunnel)
        encapsulation = tunnel.encapsulation
        vif = tunnel.vif.rawValue
        rewrites = true
        setHeader(destination: tunnel.routerMAC.rawValue, source: MACAddress.gateway.rawValue)
        outerSource = source.rawValue
        outerDestination = destination.rawValue
        let length = tunnel.encapsulation.overhead
        rewriteLength = UInt8(length)
        payloadOverhead = UInt8(-encapsulation.innerMTU(0))
        withUnsafeMutableBytes(of: &rewrite) { bytes in
            guard let p = bytes.baseAddress else { return }
            Ethernet.Fields(destination: tunnel.destinationMAC.rawValue, source: tunnel.sourceMAC.rawValue, type: .ipv4).emit(to: p)
            let isGRE = tunnel.encapsulation == .mplsOverGRE
            IPv4.Fields(
                totalLength: 0, doNotFragment: true, timeToLive: 64, proto: isGRE ? .gre : .udp, source: source.rawValue,
                destination: destination.rawValue
            ).emit(to: p + Ethernet.size)
            IPv4(p + Ethernet.size).checksum = 0
            outerSum = Checksum.sum(p + Ethernet.size, IPv4.size)
            let transport = p + Ethernet.size + IPv4.size
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

extension Encapsulation {
    /// Octets in front of the payload, outer Ethernet header included: VXLAN's payload is an Ethernet frame, MPLS's an IP packet.
    var overhead: Int {
        switch self {
        case .vxlan: Ethernet.size + IPv4.size + UDP.size + VXLAN.size
        case .mplsOverUDP: Ethernet.size + IPv4.size + UDP.size + MPLS.size
        case .mplsOverGRE: Ethernet.size + IPv4.size + GRE.size + MPLS.size
        }
    }

    /// Largest inner IP packet when the outer IP packet may have `mtu` octets.
    func innerMTU(_ mtu: Int) -> Int { mtu - (overhead - Ethernet.size) - (self == .vxlan ? Ethernet.size : 0) }
}
