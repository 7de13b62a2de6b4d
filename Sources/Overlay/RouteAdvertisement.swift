public import NetTypes

/// A route as an agent and the controller tell it to each other: a destination in a VRF and the tunnel ends it is behind.
/// Follows draft-ietf-l3vpn-end-system in the shape OpenSDN deploys; the XML is in `RouteAdvertisement+XML.swift`.
public struct RouteAdvertisement: Hashable, Sendable {
    public enum Destination: Hashable, Sendable {
        /// An IPv4 or IPv6 prefix: AFI 1 or 2, SAFI 1.
        case inet(IPPrefix)
        /// A MAC address, with the address its owner has where that is known: AFI 25, SAFI 242.
        case evpn(MACAddress, IPPrefix?)
    }
    public enum Encapsulation: String, CaseIterable, Hashable, Sendable, Comparable {
        case vxlan, mplsOverUDP = "udp", mplsOverGRE = "gre"
        private var rank: Int {
            switch self {
            case .vxlan: 0;
            case .mplsOverUDP: 1;
            case .mplsOverGRE: 2
            }
        }
        public static func < (a: Encapsulation, b: Encapsulation) -> Bool { a.rank < b.rank }
    }
    public struct NextHop: Hashable, Sendable {
        /// The tunnel end (VTEP).
        public var address: IPAddress
        /// An MPLS label; a VNI when the encapsulation is VXLAN.
        public var label: UInt32
        /// In order of preference.
        public var encapsulations: [Encapsulation]
        /// The MAC address to send to behind the tunnel, where it is told.
        public var mac: MACAddress?

        public init(address: IPAddress, label: UInt32, encapsulations: [Encapsulation], mac: MACAddress? = nil) {
            self.address = address
            self.label = label
            self.encapsulations = encapsulations
            self.mac = mac
        }
    }

    public var vrf: String
    public var destination: Destination
    public var nextHops: [NextHop]
    /// Rises when a workload moves; the highest wins.
    public var sequence: UInt32
    /// The highest wins; 100 unless told.
    public var localPreference: UInt32

    public static let defaultLocalPreference: UInt32 = 100

    public init(
        vrf: String, destination: Destination, nextHops: [NextHop], sequence: UInt32 = 0, localPreference: UInt32 = defaultLocalPreference
    ) {
        self.vrf = vrf
        self.destination = destination
        self.nextHops = nextHops
        self.sequence = sequence
        self.localPreference = localPreference
    }

    /// The pubsub node this route is published on: `1/1/blue/10.1.0.11/32`.
    public var node: String { "\(RouteNode(vrf: vrf, destination: destination))" }
}

extension RouteAdvertisement.Destination: CustomStringConvertible {
    public var family: RouteFamily {
        switch self {
        case .inet(let prefix): prefix.isIPv4 ? .inet : .inet6
        case .evpn: .evpn
        }
    }

    /// The item id: `10.1.0.11/32`; `02:00:00:00:01:11,10.1.0.11/32`, with `0.0.0.0/32` for a MAC address alone.
    public var description: String {
        switch self {
        case .inet(let prefix): prefix.description
        case .evpn(let mac, let prefix): "\(mac),\(prefix?.description ?? Self.noAddress)"
        }
    }

    static let noAddress = "0.0.0.0/32"

    /// That this tunnel end wants a copy of every broadcast, unknown unicast and multicast frame of the VRF: EVPN route type 3 (RFC 7432 section 7.3) in
    /// OpenSDN's form, the broadcast address with the originator's: `ff:ff:ff:ff:ff:ff,10.0.0.11/32`.
    public static func inclusiveMulticast(of originator: IPAddress) -> Self { .evpn(.broadcast, IPPrefix(host: originator)) }

    /// Whether it is such a route, whoever's.
    public var isInclusiveMulticast: Bool { if case .evpn(.broadcast, _) = self { true } else { false } }

    /// From an item id. Nil when it is not one of this family.
    public init?(_ text: String, family: RouteFamily) {
        switch family {
        case .inet, .inet6:
            guard let prefix = IPPrefix(text), prefix.isIPv4 == (family == .inet) else { return nil }
            self = .inet(prefix)
        case .evpn:
            let parts = text.split(separator: ",", omittingEmptySubsequences: false)
            guard parts.count == 2, let mac = MACAddress(String(parts[0])), let prefix = IPPrefix(String(parts[1])) else { return nil }
            let isNone = prefix.isHost && (prefix.address == .v4(.any) || prefix.address == .v6(.any))
            self = .evpn(mac, isNone ? nil : prefix)
        }
    }
}

/// What a route table carries, by its numbers in node names.
public enum RouteFamily: String, CaseIterable, Hashable, Sendable {
    case inet = "1/1", inet6 = "2/1", evpn = "25/242"
    public var afi: UInt16 {
        switch self {
        case .inet: 1;
        case .inet6: 2;
        case .evpn: 25
        }
    }
    public var safi: UInt8 { self == .evpn ? 242 : 1 }
}

/// A pubsub node of the route exchange: `<afi>/<safi>/<vrf>` for a table, `<afi>/<safi>/<vrf>/<destination>` for one route. A VRF name may
/// hold ':' but not '/'.
public struct RouteNode: Hashable, Sendable, CustomStringConvertible {
    public var family: RouteFamily
    public var vrf: String
    /// Nil for the table as a whole.
    public var destination: RouteAdvertisement.Destination?

    /// End-of-RIB: everything known was told.
    public static let endOfRIB = "0/0/EndOfRib"
    /// The id of the one, empty, item of that node.
    public static let endOfRIBItemID = "end-of-rib"

    public init(table family: RouteFamily, vrf: String) {
        self.family = family
        self.vrf = vrf
    }
    public init(vrf: String, destination: RouteAdvertisement.Destination) {
        family = destination.family
        self.vrf = vrf
        self.destination = destination
    }

    /// Nil when the text is neither; a family that is not carried here is nil too.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false)
        guard parts.count >= 3, let family = RouteFamily(rawValue: "\(parts[0])/\(parts[1])"), Self.isVRFName(parts[2]) else { return nil }
        self.init(table: family, vrf: String(parts[2]))
        guard parts.count == 4 else { return }
        guard let destination = RouteAdvertisement.Destination(String(parts[3]), family: family) else { return nil }
        self.destination = destination
    }

    /// 1 to 253 octets of printable ASCII without '/' and space.
    public static func isVRFName(_ text: some StringProtocol) -> Bool {
        (1...253).contains(text.utf8.count) && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "/") }
    }

    public var description: String { "\(family.rawValue)/\(vrf)" + (destination.map { "/\($0)" } ?? "") }
}
