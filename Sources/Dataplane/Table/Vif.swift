import CPlatform
import NetTypes

/// A virtual interface as the workers see it: an immutable record, replaced as a whole and freed after quiescence.
struct Vif {
    var id: UInt32
    var kind: VifSpec.Kind
    var flags: Flags
    var vrf: UInt32
    /// Our MAC on this vif, 48 bits.
    var mac: UInt64
    /// Largest IP packet that leaves by this vif.
    var mtu: UInt32
    /// Index of its port in the router's port list.
    var port: UInt32
    /// A sub-interface's tags, where `flags` has `tagged`.
    var tags: VLANTable.Tags
    /// Our addresses: the gateway of the workload, the VTEP on the fabric. Zero: none.
    var ipv4: UInt32
    var ipv6: IPv6Address
    /// Second IPv4 and IPv6 address, for networks with more than one subnet.
    var ipv4Second: UInt32
    var ipv6Second: IPv6Address
    /// The workload's MAC; zero: not known.
    var workloadMAC: UInt64
    /// The workload's addresses, for antispoofing: up to `maximumWorkloadAddresses`, in `workload`.
    var workloadCount: UInt32
    var workload: UnsafeMutablePointer<IPv6Address>?
    /// What else antispoofing lets through: `allowedCount` pairs, in `allowed`.
    var allowedCount: UInt32 = 0
    var allowed: UnsafeMutablePointer<AllowedPair>?
    /// A workload is behind it.
    var isWorkload: Bool { kind == .virtual || kind == .vlan }
    /// QoS map of what comes in; 0: none.
    var qosMap: UInt8 = 0
    /// The policies that connections to the workload have to pass, and those that connections from it have to; 0 behind the last.
    var ingressPolicies = Policies(repeating: 0), egressPolicies = Policies(repeating: 0)
    typealias Policies = SIMD4<UInt32>
    static let policyCapacity = 4
    /// Of a sub-interface: the vif whose frames it takes its own from.
    var parent: UInt32 = ForwardingTables.noVif

    struct Flags: OptionSet {
        let rawValue: UInt32
        static let keepsFlows = Flags(rawValue: 1 << 0)
        static let bridges = Flags(rawValue: 1 << 1)
        static let antispoof = Flags(rawValue: 1 << 2)
        /// The port hands over unfinished checksums.
        static let unfinishedChecksums = Flags(rawValue: 1 << 3)
        /// The port hands over TCP frames above the MTU.
        static let oversizedSegments = Flags(rawValue: 1 << 4)
        /// The port cuts TCP packets, and UDP packets of several datagrams.
        static let cutsSegments = Flags(rawValue: 1 << 20), cutsDatagrams = Flags(rawValue: 1 << 21)
        /// Tunnel packets are taken from known endpoints only.
        static let checksTunnelSource = Flags(rawValue: 1 << 16)
        /// Routed packets whose source has no route are dropped …
        static let looseReversePath = Flags(rawValue: 1 << 17)
        /// … or none that leads out by this vif.
        static let strictReversePath = Flags(rawValue: 1 << 18)
        /// Senders are told by ICMP that there is no way.
        static let sendsUnreachables = Flags(rawValue: 1 << 19)
        /// There is a QoS map.
        static let marks = Flags(rawValue: 1 << 22)
        static let checksReversePath: Flags = [.looseReversePath, .strictReversePath]
        /// … here, or perhaps on a sub-interface.
        static let mayCheckReversePath: Flags = [.looseReversePath, .strictReversePath, .trunk]
        /// Frames to unknown addresses are flooded.
        static let floodsUnknownUnicast = Flags(rawValue: 1 << 8)
        /// IGMP and MLD go to the control program instead of being flooded.
        static let trapsGroupReports = Flags(rawValue: 1 << 9)
        /// The control program answers its DHCP, DHCPv6 and router solicitations.
        static let services = Flags(rawValue: 1 << 23)
        /// Source addresses are learned: its VRF learns, and it bridges.
        static let learns = Flags(rawValue: 1 << 10)
        /// A VLAN sub-interface.
        static let tagged = Flags(rawValue: 1 << 11)
        /// It has sub-interfaces, or is the agent's: a burst of its port is of several vifs.
        static let trunk = Flags(rawValue: 1 << 12)
        /// Each packet of a burst that begins with one of these has to be asked for its own vif.
        static let sharesPort: Flags = [.tagged, .trunk]
    }

    /// Workload addresses are kept as IPv6 addresses, IPv4 as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2).
    func isWorkloadAddress(_ address: IPv6Address) -> Bool {
        guard let workload else { return false }
        for index in 0..<Int(workloadCount) where workload[index] == address { return true }
        return false
    }

    static func mapped(_ address: UInt32) -> IPv6Address { IPv6Address(high: 0, low: 0x0000_FFFF_0000_0000 | UInt64(address)) }

    func owns(ipv4 address: UInt32) -> Bool { address != 0 && (address == ipv4 || address == ipv4Second) }
    func owns(ipv6 address: IPv6Address) -> Bool {
        address != .any && (address == ipv6 || address == ipv6Second || (flags.contains(.services) && address == linkLocal))
    }

    /// Under which workloads know their router: made from our MAC (RFC 4291 appendix A).
    var linkLocal: IPv6Address {
        let identifier = (mac ^ 0x0200_0000_0000) & 0xFFFF_FF00_0000
        return IPv6Address(high: 0xFE80_0000_0000_0000, low: identifier << 16 | 0xFF_FE00_0000 | mac & 0xFF_FFFF)
    }
}
