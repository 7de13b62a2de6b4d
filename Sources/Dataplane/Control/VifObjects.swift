public import NetTypes

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
