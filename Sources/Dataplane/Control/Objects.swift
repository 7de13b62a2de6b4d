public import NetTypes

/// The objects of the programming API as values: what a control program may create, read back and delete.
/// They carry no pointers; `Router` turns them into table entries that are ready to run.
///
/// Every object has a `cookie`: an opaque number chosen by who programs it, read back unchanged, so that a program can
/// recognise (and sweep) its own objects. It does not take part in forwarding.

/// What a port is made of; opened by the drivers registered with the router.
public struct PortSpec: Hashable, Sendable {
    public enum Driver: Hashable, Sendable {
        /// A live interface through libpcap.
        case pcap(interface: String)
        /// Capture files: frames are read from `input` (nil: none) and written to `output` (nil: discarded).
        case pcapFile(input: String?, output: String?)
        /// A DPDK ethdev: a PCI address, or vdev arguments such as `net_af_packet0,iface=eth0`.
        /// `members`: devices that are plugged in before it, for `net_bonding` to join.
        case dpdk(device: String, members: [String] = [])
        /// What is transmitted is received again.
        case loopback
        /// The frames of a capture file, from memory, over and over: `count` packets in all, nil without end. What is transmitted is discarded.
        case replay(file: String, count: Int?)
        /// Nothing is received; what is transmitted is counted.
        case sink
    }
    public var name: String
    public var driver: Driver
    /// Largest IP packet in octets; 0: what the device says, else 1500.
    public var mtu: Int
    /// Receive queues to ask for; 0: one.
    public var queues: Int
    /// Whether received packets are spread over the workers by a hash of their (inner) flow; nil: when the port has too few queues for the workers, see `Router.publishPlans`.
    public var spread: Bool?
    public var cookie: UInt64
    public init(name: String, driver: Driver, mtu: Int = 0, queues: Int = 0, spread: Bool? = nil, cookie: UInt64 = 0) {
        self.spread = spread
        self.name = name
        self.driver = driver
        self.mtu = mtu
        self.queues = queues
        self.cookie = cookie
    }
}

/// A virtual interface.
public struct VifSpec: Hashable, Sendable {
    public enum Kind: UInt8, Hashable, Sendable, CaseIterable { case host, agent, physical, virtual, vlan, monitoring }
    public var id: VifID
    public var name: String
    public var kind: Kind
    /// Name of the port it sits on.
    public var port: String
    public var vrf: VRFID
    /// Our own address on this interface: the gateway MAC on a workload vif, the device's own on a fabric vif.
    public var mac: MACAddress
    /// Largest IP packet sent out of the vif; 0: the port's MTU.
    public var mtu: Int
    /// Our addresses on this vif: the gateway on a workload vif (source of ICMP errors, answers ARP, ND and echo), the tunnel endpoint (VTEP) on a physical vif.
    public var addresses: [IPAddress]
    /// Workload addresses behind a virtual vif, for antispoofing and display.
    public var workloadMAC: MACAddress?
    public var workloadAddresses: [IPAddress]
    /// Flows are kept for packets of this vif (letter P in `vif --list`).
    public var keepsFlows: Bool
    /// Packets to an unknown peer MAC are bridged; false: routed only.
    public var bridges: Bool
    /// Source MAC and address must be the workload's.
    public var antispoof: Bool
    /// With `antispoof`: what else the workload may send from, up to `allowedPairCapacity`.
    public var allowedPairs: [AllowedAddressPair] = []
    public static let allowedPairCapacity = 64
    /// Physical vif: tunnel packets are taken only from the far ends of tunnels that are programmed.
    public var checksTunnelSource = false
    public var reversePath = ReversePathCheck.none
    /// Monitoring vif: the vif whose frames, received and sent, it gets copies of.
    public var monitors: VifID?
    /// Virtual vif: the workload is told by ICMP when there is no way for its packets.
    public var sendsUnreachables = false
    /// Frames it sends to unknown addresses are flooded; the VRF may say the same of all its vifs.
    public var floodsUnknownUnicast = false
    /// IGMP and MLD it sends go to the control program instead of being flooded.
    public var trapsGroupReports = false
    /// Virtual vif: its DHCP, DHCPv6 and router solicitations go to the control program (letter D in `vif --list`). False: they are flooded like any other
    /// broadcast, and trapped as `l3Protocol` where nothing is flooded.
    public var services = false
    /// Kind `vlan`: the parent and the tags; `port` is then empty. Nil for every other kind.
    public var vlan: VLANSpec?
    /// Marks what comes in; 0: nothing is marked.
    public var qosMap: UInt8 = 0
    /// Policies that connections to the workload, and from it, have to pass: all of a list, up to `policyCapacity`. Where there are any, flows are kept.
    public var ingressPolicies: [PolicyID] = [], egressPolicies: [PolicyID] = []
    public static let policyCapacity = 4
    /// Flows (pairs) that may count for it, and new ones per second, of a second's worth at once; 0: no limit but the table's.
    public var flowLimit: UInt32 = 0, flowRate: UInt32 = 0
    /// Connections of the workload that are one flow; the first rule that fits counts.
    public var fatFlows: [FatFlowRule] = []
    public var cookie: UInt64
    public init(
        id: VifID, name: String, kind: Kind, port: String, vrf: VRFID, mac: MACAddress, mtu: Int = 0, addresses: [IPAddress] = [],
        workloadMAC: MACAddress? = nil, workloadAddresses: [IPAddress] = [], keepsFlows: Bool = false, bridges: Bool = true,
        antispoof: Bool = false, floodsUnknownUnicast: Bool = false, trapsGroupReports: Bool = false, vlan: VLANSpec? = nil, cookie: UInt64 = 0
    ) {
        self.id = id
        self.name = name
        self.kind = kind
        self.port = port
        self.vrf = vrf
        self.mac = mac
        self.mtu = mtu
        self.addresses = addresses
        self.workloadMAC = workloadMAC
        self.workloadAddresses = workloadAddresses
        self.keepsFlows = keepsFlows
        self.bridges = bridges
        self.antispoof = antispoof
        self.floodsUnknownUnicast = floodsUnknownUnicast
        self.trapsGroupReports = trapsGroupReports
        self.vlan = vlan
        self.cookie = cookie
    }
}

/// Addresses that a workload may send from, and the MAC with which; nil: its own.
public struct AllowedAddressPair: Hashable, Sendable {
    public var prefix: IPPrefix
    public var mac: MACAddress?
    public init(prefix: IPPrefix, mac: MACAddress? = nil) {
        self.prefix = prefix
        self.mac = mac
    }
}

/// What is asked of the source address of packets that are routed (RFC 3704).
public enum ReversePathCheck: UInt8, Hashable, Sendable, CaseIterable {
    case none
    /// There is a route to it.
    case loose
    /// There is one that leads out by the vif the packet came in by.
    case strict
}

/// The tags of a VLAN sub-interface (IEEE 802.1Q, 802.1ad).
public struct VLANSpec: Hashable, Sendable {
    /// The EtherType of the outer tag.
    public enum TagProtocol: UInt8, Hashable, Sendable, CaseIterable {
        /// 0x8100.
        case customer
        /// 0x88a8.
        case service
    }
    /// The vif whose port carries the tagged frames.
    public var parent: VifID
    /// VLAN id of the outer tag, 1 to 4094.
    public var id: UInt16
    /// VLAN id of a second tag (always 0x8100) behind the first; nil: there is one tag.
    public var innerID: UInt16?
    public var tagProtocol: TagProtocol
    public init(parent: VifID, id: UInt16, innerID: UInt16? = nil, tagProtocol: TagProtocol? = nil) {
        self.parent = parent
        self.id = id
        self.innerID = innerID
        self.tagProtocol = tagProtocol ?? (innerID == nil ? .customer : .service)
    }
}

public struct VRFSpec: Hashable, Sendable {
    public var id: VRFID
    public var name: String
    /// Frames to unknown MAC addresses take the VRF's broadcast entry; false: only those of vifs that say so.
    public var floodsUnknownUnicast: Bool
    /// Source MAC addresses are learned from vifs that bridge, and from VXLAN.
    public var learnsMACs: Bool
    /// Seconds after which a learned address that has not been seen is forgotten; 0: 300.
    public var macAgeing: UInt32
    /// Learned addresses at most; 0: no limit but the router's.
    public var macLimit: UInt32
    /// Flows (pairs) at most; 0: no limit but the table's.
    public var flowLimit: UInt32 = 0
    public var cookie: UInt64
    public init(
        id: VRFID, name: String, floodsUnknownUnicast: Bool = false, learnsMACs: Bool = false, macAgeing: UInt32 = 0, macLimit: UInt32 = 0,
        cookie: UInt64 = 0
    ) {
        self.id = id
        self.name = name
        self.floodsUnknownUnicast = floodsUnknownUnicast
        self.learnsMACs = learnsMACs
        self.macAgeing = macAgeing
        self.macLimit = macLimit
        self.cookie = cookie
    }
}

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

public struct RouteSpec: Hashable, Sendable {
    public var vrf: VRFID
    public var prefix: IPPrefix
    public var nextHop: NextHopID
    /// MPLS label or VNI to push when the next hop is a tunnel; nil: none.
    public var label: UInt32?
    /// Answer ARP and ND for addresses under this route (letter P).
    public var proxies: Bool
    /// The MAC to answer with; nil: the gateway's.
    public var mac: MACAddress?
    public var cookie: UInt64
    public init(
        vrf: VRFID, prefix: IPPrefix, nextHop: NextHopID, label: UInt32? = nil, proxies: Bool = false, mac: MACAddress? = nil,
        cookie: UInt64 = 0
    ) {
        self.vrf = vrf
        self.prefix = prefix
        self.nextHop = nextHop
        self.label = label
        self.proxies = proxies
        self.mac = mac
        self.cookie = cookie
    }
}

public struct BridgeEntrySpec: Hashable, Sendable {
    public var vrf: VRFID
    public var mac: MACAddress
    public var nextHop: NextHopID
    /// MPLS label or VNI to push when the next hop is a tunnel; nil: none.
    public var label: UInt32?
    public var cookie: UInt64
    public init(vrf: VRFID, mac: MACAddress, nextHop: NextHopID, label: UInt32? = nil, cookie: UInt64 = 0) {
        self.vrf = vrf
        self.mac = mac
        self.nextHop = nextHop
        self.label = label
        self.cookie = cookie
    }
}

/// Incoming MPLS label → next hop.
public struct LabelSpec: Hashable, Sendable {
    public var label: Label
    public var nextHop: NextHopID
    public var cookie: UInt64
    public init(label: Label, nextHop: NextHopID, cookie: UInt64 = 0) {
        self.label = label
        self.nextHop = nextHop
        self.cookie = cookie
    }
}

/// Incoming VNI → next hop (a `.vrf` next hop).
public struct VNISpec: Hashable, Sendable {
    public var vni: VNI
    public var nextHop: NextHopID
    public var cookie: UInt64
    public init(vni: VNI, nextHop: NextHopID, cookie: UInt64 = 0) {
        self.vni = vni
        self.nextHop = nextHop
        self.cookie = cookie
    }
}

public struct FlowKeySpec: Hashable, Sendable {
    public var vrf: VRFID
    public var source: IPAddress
    public var destination: IPAddress
    /// IP protocol number.
    public var proto: UInt8
    /// Ports; ICMP echo: identifier and 0.
    public var sourcePort: UInt16
    public var destinationPort: UInt16
    /// Of a request to change or delete: the flow must be the one that had this generation; nil: whichever has the key. Nil in readings.
    public var generation: UInt32?
    public init(
        vrf: VRFID, source: IPAddress, destination: IPAddress, proto: UInt8, sourcePort: UInt16, destinationPort: UInt16, generation: UInt32? = nil
    ) {
        self.generation = generation
        self.vrf = vrf
        self.source = source
        self.destination = destination
        self.proto = proto
        self.sourcePort = sourcePort
        self.destinationPort = destinationPort
    }
}

/// How long idle flows are kept.
public struct FlowAgeingSpec: Hashable, Sendable {
    /// IP protocol number; 0: of every protocol that has no time of its own.
    public var proto: UInt8
    /// Of the destination, or of the source where that has none; 0: all.
    public var port: UInt16
    /// 1 to 604 800.
    public var seconds: UInt32
    public var cookie: UInt64
    public init(proto: UInt8, port: UInt16 = 0, seconds: UInt32, cookie: UInt64 = 0) {
        self.proto = proto
        self.port = port
        self.seconds = seconds
        self.cookie = cookie
    }
}

/// What a time is for.
public struct FlowAgeingID: Hashable, Comparable, Sendable {
    public var proto: UInt8
    public var port: UInt16
    public init(proto: UInt8, port: UInt16) {
        self.proto = proto
        self.port = port
    }
    public static func < (a: Self, b: Self) -> Bool { (a.proto, a.port) < (b.proto, b.port) }
}

public enum FlowAction: UInt8, Hashable, Sendable, CaseIterable {
    case forward, drop
    /// Forward with other addresses or ports; see `FlowSpec.translation`.
    case nat
    /// It waits for a decision. In readings only: the router holds what a policy says to trap.
    case hold
}

/// What a flow's packets are given in place of their own; nil keeps what they have. Replies get the originals back.
public struct FlowTranslation: Hashable, Sendable {
    public var source: IPAddress?
    public var destination: IPAddress?
    /// ICMP echo: the identifier, which stands for both ports.
    public var sourcePort: UInt16?
    public var destinationPort: UInt16?
    /// The VRF that the translated packet is routed in, and that replies come from.
    public var vrf: VRFID?
    public init(
        source: IPAddress? = nil, destination: IPAddress? = nil, sourcePort: UInt16? = nil, destinationPort: UInt16? = nil, vrf: VRFID? = nil
    ) {
        self.source = source
        self.destination = destination
        self.sourcePort = sourcePort
        self.destinationPort = destinationPort
        self.vrf = vrf
    }
}

/// A flow as programmed; adding one adds its reverse too.
public struct FlowSpec: Hashable, Sendable {
    public var key: FlowKeySpec
    public var action: FlowAction
    /// With action `nat`, and only then.
    public var translation: FlowTranslation?
    /// Marks its packets, both directions; 0: the vif's map.
    public var qosMap: UInt8 = 0
    /// A mirror (1 to 255) that its packets, both directions, are copied to; 0: none.
    public var mirror: UInt8 = 0
    public var cookie: UInt64
    public init(key: FlowKeySpec, action: FlowAction, translation: FlowTranslation? = nil, cookie: UInt64 = 0) {
        self.key = key
        self.action = action
        self.translation = translation
        self.cookie = cookie
    }
}
