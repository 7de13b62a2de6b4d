import NetTypes

/// What a workload has asked of the network, and got. In `GET /status`, per port.
public struct ServiceStatistics: Codable, Hashable, Sendable {
    /// One protocol by which addresses are given.
    public struct Leases: Codable, Hashable, Sendable {
        /// `offered`, `bound`, `released` or `declined`: the last that happened. Nil: nothing yet.
        public var state: String?
        /// The address given last.
        public var address: String?
        public var requests = 0
        public var acknowledged = 0
        /// Told no, or not answered.
        public var refused = 0
    }
    public struct Questions: Codable, Hashable, Sendable {
        /// Answered from the network's own names, from the cache, and by another name server.
        public var local = 0
        public var cached = 0
        public var forwarded = 0
        /// Told that the server fails: no other one answered, or too much was under way.
        public var failed = 0
        /// What is not answered here: zone transfers, other classes, malformed questions.
        public var refused = 0
    }
    public var dhcp = Leases()
    public var dhcpv6 = Leases()
    public var routerAdvertisements = 0
    public var dns = Questions()
    /// Requests to link-local services.
    public var linkLocal = 0

    mutating func count(_ outcome: DHCPv6Server.Outcome) {
        dhcpv6.requests += 1
        switch outcome {
        case .offered(let address): (dhcpv6.state, dhcpv6.address) = ("offered", address.description)
        case .acknowledged(let address):
            (dhcpv6.state, dhcpv6.address) = ("bound", address.description)
            dhcpv6.acknowledged += 1
        case .informed: dhcpv6.acknowledged += 1
        case .released: dhcpv6.state = "released"
        case .declined: dhcpv6.state = "declined"
        case .refused, .ignored: dhcpv6.refused += 1
        }
    }

    mutating func count(_ source: DNSService.Source) {
        switch source {
        case .local: dns.local += 1
        case .cache: dns.cached += 1
        case .forwarded: dns.forwarded += 1
        case .failed: dns.failed += 1
        case .refused: dns.refused += 1
        }
    }

    mutating func count(_ outcome: DHCPv4Server.Outcome) {
        dhcp.requests += 1
        switch outcome {
        case .offered(let address): (dhcp.state, dhcp.address) = ("offered", address.description)
        case .acknowledged(let address):
            (dhcp.state, dhcp.address) = ("bound", address.description)
            dhcp.acknowledged += 1
        case .informed: dhcp.acknowledged += 1
        case .released: dhcp.state = "released"
        case .declined: dhcp.state = "declined"
        case .refused, .ignored: dhcp.refused += 1
        }
    }
}
