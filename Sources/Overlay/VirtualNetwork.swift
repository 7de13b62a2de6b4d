public import NetTypes
import StrictYAML

/// A virtual network: subnets that share a VRF on every node that has a port of it, and how their traffic crosses the fabric.
public struct VirtualNetwork: Hashable, Sendable {
    public struct Subnet: Hashable, Sendable {
        public var prefix: IPPrefix
        /// The address that every node answers for, with the MAC address 00:00:5e:00:01:00.
        public var gateway: IPAddress
        public init(prefix: IPPrefix, gateway: IPAddress? = nil) {
            self.prefix = prefix
            self.gateway = gateway ?? prefix.firstHost
        }
    }
    public enum Encapsulation: String, CaseIterable, Hashable, Sendable { case vxlan, mplsOverUDP }
    /// `l2l3` bridges frames between workloads and routes for them; `l3` routes only.
    public enum Forwarding: String, CaseIterable, Hashable, Sendable { case l2l3, l3 }

    public var metadata: ObjectMetadata
    public var subnets: [Subnet]
    /// Nil until the controller has assigned one.
    public var vni: VNI?
    public var encapsulation: Encapsulation
    public var forwarding: Forwarding
    /// What workloads should use, in octets of IP packet.
    public var mtu: Int?
    /// Frames to MAC addresses that nobody told go to every port of the network, and are not dropped.
    public var floodUnknownUnicast: Bool
    /// Connections that a node keeps for it at most; 0: no limit of its own.
    public var flowLimit: Int = 0
    /// What its workloads are told by DHCP, router advertisements and DNS.
    public var dhcp: NetworkServices
    /// The names of its NetworkPolicies, in the order in which their rules are asked.
    public var policies: [String] = []
    public static let policyCapacity = 8
    /// Connections of its ports that are one flow, behind those that the port itself says.
    public var fatFlows: [FatFlow] = []

    public var name: String { metadata.name }
    public var uid: String? { metadata.uid }
    public var generation: Int { metadata.generation }

    public init(
        metadata: ObjectMetadata, subnets: [Subnet], vni: VNI? = nil, encapsulation: Encapsulation = .vxlan, forwarding: Forwarding? = nil,
        mtu: Int? = nil, floodUnknownUnicast: Bool = false, dhcp: NetworkServices = NetworkServices()
    ) {
        self.metadata = metadata
        self.subnets = subnets
        self.vni = vni
        self.encapsulation = encapsulation
        self.forwarding = forwarding ?? Self.defaultForwarding(encapsulation)
        self.mtu = mtu
        self.floodUnknownUnicast = floodUnknownUnicast
        self.dhcp = dhcp
    }

    static func defaultForwarding(_ encapsulation: Encapsulation) -> Forwarding { encapsulation == .vxlan ? .l2l3 : .l3 }

    /// The subnet that holds the address.
    public func subnet(of address: IPAddress) -> Subnet? { subnets.first { $0.prefix.contains(address) } }

    init(metadata: ObjectMetadata, spec node: ConfigNode) throws(ConfigError) {
        let fields = try node.mapping(keys: [
            "subnets", "vni", "encapsulation", "forwarding", "mtu", "floodUnknownUnicast", "flowLimit", "fatFlows", "dhcp", "policies",
        ])
        let items = try fields.required("subnets")
        var subnets: [Subnet] = []
        for item in try items.list() {
            let subnet = try Subnet(item)
            if let other = subnets.first(where: { $0.prefix.contains(subnet.prefix) || subnet.prefix.contains($0.prefix) }) {
                throw item.error("\(subnet.prefix) overlaps \(other.prefix) of the same network")
            }
            subnets.append(subnet)
        }
        guard !subnets.isEmpty else { throw items.error("at least one subnet is needed") }
        let vni = try fields["vni"]?.integer(in: 1...Int(VNI.maximum))
        let encapsulation = try fields["encapsulation"]?.choice(Encapsulation.self) ?? .vxlan
        let forwarding = try fields["forwarding"]?.choice(Forwarding.self)
        if forwarding == .l2l3, encapsulation == .mplsOverUDP, let at = fields["forwarding"] {
            throw at.error("l2l3 needs encapsulation vxlan: MPLS over UDP carries IP packets only; use l3, or encapsulation: vxlan")
        }
        let floods = try fields["floodUnknownUnicast"]?.boolean() ?? false
        if floods, forwarding ?? Self.defaultForwarding(encapsulation) != .l2l3, let at = fields["floodUnknownUnicast"] {
            throw at.error("a network that only routes floods nothing; remove this, or use forwarding: l2l3")
        }
        // 68 (RFC 791) to what fits one IP packet; IPv6 asks for 1280 (RFC 8200 section 5).
        let least = subnets.contains { !$0.prefix.isIPv4 } ? 1280 : 68
        self.init(
            metadata: metadata, subnets: subnets, vni: vni.map { VNI(UInt32($0)) }, encapsulation: encapsulation, forwarding: forwarding,
            mtu: try fields["mtu"]?.integer(in: least...65535), floodUnknownUnicast: floods,
            dhcp: try fields["dhcp"].map { node throws(ConfigError) in try NetworkServices(node) } ?? NetworkServices())
        flowLimit = try fields["flowLimit"]?.integer(in: 1...1 << 28) ?? 0
        fatFlows = try fields["fatFlows"].map { node throws(ConfigError) in try FatFlow.list(node) } ?? []
        guard let given = fields["policies"] else { return }
        for item in try given.list() {
            let name = try item.objectName(.networkPolicy)
            if policies.contains(name) { throw item.error("\(name) is listed twice") }
            policies.append(name)
        }
        if policies.count > Self.policyCapacity { throw given.error("\(policies.count) policies; a network has \(Self.policyCapacity) at most") }
    }

    var spec: ConfigValue {
        var fields: [ConfigValue.Field] = [
            .init(
                "subnets",
                .list(subnets.map { .map([.init("prefix", .string($0.prefix.description)), .init("gateway", .string($0.gateway.description))]) }))
        ]
        if let vni { fields.append(.init("vni", .integer(Int(vni.rawValue)))) }
        fields.append(.init("encapsulation", .string(encapsulation.rawValue)))
        fields.append(.init("forwarding", .string(forwarding.rawValue)))
        if let mtu { fields.append(.init("mtu", .integer(mtu))) }
        if floodUnknownUnicast { fields.append(.init("floodUnknownUnicast", .boolean(true))) }
        if flowLimit > 0 { fields.append(.init("flowLimit", .integer(flowLimit))) }
        if !fatFlows.isEmpty { fields.append(.init("fatFlows", .list(fatFlows.map(\.value)))) }
        if let dhcp = dhcp.value { fields.append(.init("dhcp", dhcp)) }
        if !policies.isEmpty { fields.append(.init("policies", .list(policies.map { .string($0) }))) }
        return .map(fields)
    }
}

extension VirtualNetwork.Subnet {
    init(_ node: ConfigNode) throws(ConfigError) {
        let fields = try node.mapping(keys: ["prefix", "gateway"])
        let at = try fields.required("prefix")
        let prefix = try at.prefix()
        if prefix.address.isMulticast { throw at.error("\(prefix) is a multicast range") }
        if prefix.length == 0 { throw at.error("\(prefix) holds every address; a subnet is smaller") }
        self.init(prefix: prefix)
        guard let given = fields["gateway"] else { return }
        gateway = try given.address()
        guard prefix.contains(gateway) else { throw given.error("\(gateway) is not in \(prefix)") }
        guard !isReserved(gateway) else { throw given.error("\(gateway) is the network or broadcast address of \(prefix)") }
    }

    /// The network address, and for IPv4 the broadcast address, where the prefix is long enough to have them (RFC 3021).
    public func isReserved(_ address: IPAddress) -> Bool {
        guard prefix.length < prefix.address.bitWidth - 1 else { return false }
        return address == prefix.address || (prefix.isIPv4 && address == prefix.lastAddress)
    }
}

extension IPPrefix {
    /// The first address a host may have: the one after the network address, or the first where there is none (RFC 3021, RFC 6164).
    public var firstHost: IPAddress {
        guard length < address.bitWidth - 1 else { return address }
        switch address {
        case .v4(let a): return .v4(IPv4Address(rawValue: a.rawValue | 1))
        case .v6(let a): return .v6(IPv6Address(high: a.high, low: a.low | 1))
        }
    }
    /// The last address of the prefix; of an IPv4 subnet the broadcast address.
    public var lastAddress: IPAddress {
        switch address {
        case .v4(let a): .v4(IPv4Address(rawValue: a.rawValue | (length == 0 ? .max : ~(.max << (32 - UInt32(length))))))
        case .v6(let a):
            .v6(
                IPv6Address(
                    high: a.high | (length >= 64 ? 0 : .max >> UInt64(length)),
                    low: a.low | (length <= 64 ? .max : (length == 128 ? 0 : .max >> UInt64(length - 64)))))
        }
    }
}
