public import NetTypes

/// A translation that the first packet of a flow is asked about: of its destination, where it enters a VRF, or of its source, where it leaves one. All packets of the
/// flow, and its replies, are translated as the first was.
///
/// Only vifs that keep flows, and tunnels, are translated for.
public struct NATRuleSpec: Hashable, Sendable {
    public enum Kind: Hashable, Sendable {
        case destination(Destination)
        case source(Source)
    }
    public var id: NATRuleID
    public var name: String
    public var kind: Kind
    public var cookie: UInt64
    public init(id: NATRuleID, name: String, kind: Kind, cookie: UInt64 = 0) {
        self.id = id
        self.name = name
        self.kind = kind
        self.cookie = cookie
    }

    /// What is sent to an address goes to one of the backends.
    public struct Destination: Hashable, Sendable {
        public var vrf: VRFID
        public var address: IPAddress
        public var match: Match
        /// None that takes new flows: those are dropped.
        public var backends: [Backend]
        public var affinity: Affinity
        public init(vrf: VRFID, address: IPAddress, match: Match = .all, backends: [Backend], affinity: Affinity = .connection) {
            self.vrf = vrf
            self.address = address
            self.match = match
            self.backends = backends
            self.affinity = affinity
        }
        public static let backendCapacity = ECMPBuckets.maximumMembers
    }

    /// Which packets to the address. A port goes before a range, and a range before all.
    public enum Match: Hashable, Sendable {
        case all
        /// TCP (6) or UDP (17), one port.
        case port(proto: UInt8, UInt16)
        /// Ports of TCP and UDP, and identifiers of ICMP echo.
        case range(ClosedRange<UInt16>)
    }

    /// What of a flow chooses its backend: the same always has the same, as long as it takes new flows.
    public enum Affinity: UInt8, Hashable, Sendable, CaseIterable { case connection, client }

    public struct Backend: Hashable, Sendable {
        /// Nil: as in the packet.
        public var address: IPAddress?
        public var port: UInt16?
        /// The VRF that the packet is routed in.
        public var vrf: VRFID
        /// It keeps the flows it has and gets no new ones.
        public var isDraining: Bool
        public init(address: IPAddress? = nil, port: UInt16? = nil, vrf: VRFID, isDraining: Bool = false) {
            self.address = address
            self.port = port
            self.vrf = vrf
            self.isDraining = isDraining
        }
    }

    /// What goes from these addresses to where their VRF has no route leaves by another VRF, with another source. The longest prefix decides.
    public struct Source: Hashable, Sendable {
        public var vrf: VRFID
        public var prefix: IPPrefix
        public var outside: VRFID
        public var address: IPAddress
        /// The ports of the address that are this router's; nil: all, and packets keep theirs: the prefix is one host's.
        public var ports: ClosedRange<UInt16>?
        public init(vrf: VRFID, prefix: IPPrefix, outside: VRFID, address: IPAddress, ports: ClosedRange<UInt16>? = nil) {
            self.vrf = vrf
            self.prefix = prefix
            self.outside = outside
            self.address = address
            self.ports = ports
        }
    }
}
