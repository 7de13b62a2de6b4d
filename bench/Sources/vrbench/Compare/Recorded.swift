/// Figures of programs that have no Debian package, recorded elsewhere: VPP v23.06, 64-octet packets, one core, 2.6 GHz TSC, on a machine where
/// `dpdk-testpmd` macswap over `net_null` takes 17 cycles a packet. About 7 of their cycles are for replaying and copying a packet, which ours pay too.
/// They are budgets, not measurements: they are scaled by what macswap takes here, and always printed as recorded.
enum Recorded {
    static let macswap = 17.0

    struct Entry {
        var workload: String
        var scenario: String
        var cycles: Double
        /// Ours may cost this share of it.
        var target: Double
    }

    static let vpp = [
        Entry(workload: "W1-10k", scenario: "ip4, 10k routes, 10k flows", cycles: 51.8, target: 0.6),
        Entry(workload: "W2-1M", scenario: "ip4, 250k routes, 1M flows", cycles: 118, target: 0.4),
        Entry(workload: "W3-encap-10k", scenario: "VXLAN encapsulation, 10k flows", cycles: 70.5, target: 0.6),
        Entry(workload: "W3-decap-10k", scenario: "VXLAN decapsulation, 10k flows", cycles: 96.1, target: 0.6),
        Entry(workload: "W4-encap-10k", scenario: "MPLS over UDP encapsulation", cycles: 74.4, target: 0.6),
        Entry(workload: "W4-decap-10k", scenario: "MPLS over UDP decapsulation, 10k routes", cycles: 129.6, target: 0.4),
        Entry(workload: "W5-encap-10k", scenario: "MPLS over GRE encapsulation", cycles: 89.6, target: 0.6),
        Entry(workload: "W5-decap-10k", scenario: "MPLS over GRE decapsulation, 10k routes", cycles: 119.5, target: 0.4),
        Entry(workload: "W6-10k", scenario: "reflexive ACL, 10k sessions, 10k routes", cycles: 101.8, target: 0.5),
        Entry(workload: "W7-10k", scenario: "NAT44-ED, 10k sessions, 10k routes", cycles: 120.7, target: 0.45),
        Entry(workload: "W6+W4-10k-nat", scenario: "ACL, NAT and MPLS over UDP together, about", cycles: 200, target: 0.5),
        Entry(workload: "W7-1M", scenario: "NAT44-ED, 1M sessions, 250k routes", cycles: 453, target: 0.25),
        Entry(workload: "W6-1M", scenario: "reflexive ACL, 1M sessions, 250k routes", cycles: 278, target: 0.4),
    ]
}
