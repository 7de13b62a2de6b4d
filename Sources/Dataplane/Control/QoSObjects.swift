/// How the packets of a class are marked.
public struct ForwardingClassSpec: Hashable, Sendable {
    public var id: UInt8
    /// Of the IP header, inner and outer: 6 bits.
    public var dscp: UInt8
    /// Of the MPLS label: 3 bits (EXP).
    public var trafficClass: UInt8
    /// Of the VLAN tag that a frame leaves with: 3 bits (IEEE 802.1Q priority code point, 802.1p).
    public var vlanPriority: UInt8
    public var cookie: UInt64
    public init(id: UInt8, dscp: UInt8, trafficClass: UInt8, vlanPriority: UInt8 = 0, cookie: UInt64 = 0) {
        self.id = id
        self.dscp = dscp
        self.trafficClass = trafficClass
        self.vlanPriority = vlanPriority
        self.cookie = cookie
    }
}

/// Which class a packet is of, by what it carries. What is not mentioned is left as it is.
public struct QoSMapSpec: Hashable, Sendable {
    /// From 1; 0 stands for no map where one is named.
    public var id: UInt8
    /// DSCP → forwarding class.
    public var dscp: [UInt8: UInt8]
    /// Traffic class of the MPLS label a packet came under → forwarding class.
    public var trafficClass: [UInt8: UInt8]
    /// Priority of the VLAN tag that a frame came with → forwarding class, for frames that are not IP.
    public var vlanPriority: [UInt8: UInt8]
    public var cookie: UInt64
    public init(
        id: UInt8, dscp: [UInt8: UInt8] = [:], trafficClass: [UInt8: UInt8] = [:], vlanPriority: [UInt8: UInt8] = [:], cookie: UInt64 = 0
    ) {
        self.id = id
        self.dscp = dscp
        self.trafficClass = trafficClass
        self.vlanPriority = vlanPriority
        self.cookie = cookie
    }
}
