public import NetTypes

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
