public import NetTypes

public enum Encapsulation: UInt8, Hashable, Sendable, CaseIterable { case vxlan, mplsOverUDP, mplsOverGRE }

public struct NextHopSpec: Hashable, Sendable {
    public enum Kind: Hashable, Sendable {
        case discard
        /// For the router itself: gateway echo, host, agent.
        case receive(vif: VifID)
        /// To a local workload. `destination` nil: the frame leaves as it is (bridged); else an Ethernet header destination/source is written (routed).
        case encap(vif: VifID, destination: MACAddress?, source: MACAddress)
        case tunnel(Tunnel)
        /// On the fabric, address not resolved yet: traps to the agent.
        case resolve(vif: VifID)
        /// Lookup continues in another VRF. `bridges`: an inner Ethernet frame is looked up by MAC first. `routerMAC`: frames from VXLAN to this address are
        /// routed (EVPN type 5, RFC 9136); nil: the gateway's.
        case vrf(VRFID, bridges: Bool, routerMAC: MACAddress? = nil)
        /// One member by a hash of these fields of the packet. A change of members moves as few flows as can be.
        case ecmp([Member], hash: HashFields = .all)
        /// Stands for another next hop: what names this one is switched to another target in one write.
        case indirect(NextHopID)
        /// A copy to each member that the split-horizon rules allow. For bridge entries of group addresses, and for labels.
        case multicast(Multicast)
    }
    /// A composite multicast next hop. A frame from a workload goes to all members but the one it came from; a frame from an EVPN peer to the local ones
    /// only; a frame from the fabric's tree to the local ones and on along the tree, never to EVPN peers.
    public struct Multicast: Hashable, Sendable {
        /// The network: of frames that arrive behind a label.
        public var vrf: VRFID
        /// Encap next hops without a destination, one for each local vif.
        public var local: [NextHopID]
        /// Ingress replication: tunnel next hops, with the VNI or label that the far end expects.
        public var evpn: [Member]
        /// Neighbours in the fabric's distribution tree.
        public var fabric: [Member]
        /// VNI in the VXLAN header that frames have behind an MPLS label; VXLAN members have their own.
        public var vni: VNI
        public init(vrf: VRFID, local: [NextHopID] = [], evpn: [Member] = [], fabric: [Member] = [], vni: VNI = VNI(0)) {
            self.vrf = vrf
            self.local = local
            self.evpn = evpn
            self.fabric = fabric
            self.vni = vni
        }
        public static let capacity = 4096
        var members: [NextHopID] { local + evpn.map(\.nextHop) + fabric.map(\.nextHop) }
    }
    public struct Tunnel: Hashable, Sendable {
        public var encapsulation: Encapsulation
        /// Outer addresses: ours and the remote VTEP's; one family.
        public var source: IPAddress
        public var destination: IPAddress
        /// The fabric vif, and the Ethernet header on it.
        public var vif: VifID
        public var destinationMAC: MACAddress
        public var sourceMAC: MACAddress
        /// Destination of the inner Ethernet header that routed packets get in VXLAN.
        public var routerMAC: MACAddress
        public init(
            encapsulation: Encapsulation, source: IPAddress, destination: IPAddress, vif: VifID, destinationMAC: MACAddress,
            sourceMAC: MACAddress, routerMAC: MACAddress = .gateway
        ) {
            self.encapsulation = encapsulation
            self.source = source
            self.destination = destination
            self.vif = vif
            self.destinationMAC = destinationMAC
            self.sourceMAC = sourceMAC
            self.routerMAC = routerMAC
        }
    }
    public struct Member: Hashable, Sendable {
        public var nextHop: NextHopID
        /// MPLS label or VNI pushed towards this member; nil: none.
        public var label: UInt32?
        public init(nextHop: NextHopID, label: UInt32? = nil) {
            self.nextHop = nextHop
            self.label = label
        }
    }
    public var id: NextHopID
    public var kind: Kind
    public var cookie: UInt64
    public init(id: NextHopID, kind: Kind, cookie: UInt64 = 0) {
        self.id = id
        self.kind = kind
        self.cookie = cookie
    }
}
