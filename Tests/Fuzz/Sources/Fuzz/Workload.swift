import NetTypes
import Overlay

@testable import AgentServices

/// The workloads that the services of an agent are asked by: one with all that a network can tell, one with addresses of one family and a lease for ever, one with several IPv6
/// addresses, one on a link as narrow as there are.
@MainActor enum Workload {
    static let mac = Topology.mac("02:00:00:00:01:01")
    static let client4 = Topology.address("10.1.0.11"), client6 = Topology.address("fd00:1::11")

    static let ports: [ServicePort] = [
        port("web", ["10.1.0.11", "fd00:1::11"], full(), mtu: 1500), port("old", ["10.1.0.11"], forEver(), mtu: 9000),
        port("many", ["fd00:1::11", "10.1.0.11", "fd00:1::12", "fd00:2::13"], NetworkServices(), mtu: nil),
        port("narrow", ["10.1.0.11", "fd00:1::11"], full(), mtu: 1280),
    ]

    private static func port(_ name: String, _ addresses: [String], _ services: NetworkServices, mtu: Int?) -> ServicePort {
        let subnets = ["10.1.0.0/24", "fd00:1::/64", "fd00:2::/64"].compactMap { IPPrefix($0) }.map { VirtualNetwork.Subnet(prefix: $0) }
        let network = VirtualNetwork(metadata: ObjectMetadata(name: "Blue"), subnets: subnets, mtu: mtu, dhcp: services)
        return ServicePort(name: name, uid: nil, mac: mac, addresses: addresses.map(Topology.address), network: network, mtu: mtu)
    }

    /// As much as a network may say.
    private static func full() -> NetworkServices {
        var services = NetworkServices()
        services.domain = Array(repeating: String(repeating: "d", count: 60), count: 3).joined(separator: ".")
        services.dnsServers = (1...8).map { Topology.address($0 % 2 == 0 ? "10.1.0.\($0)" : "fd00:1::\($0)") }
        services.ntpServers = services.dnsServers ?? []
        services.hostRoutes = (0..<20).compactMap { number in
            IPPrefix("172.16.\(number).0/24").map { .init(prefix: $0, nextHop: Topology.address("10.1.0.9")) }
        }
        return services
    }
    private static func forEver() -> NetworkServices {
        var services = NetworkServices()
        services.leaseSeconds = .max
        services.dnsServers = []
        return services
    }

    static let zone = DNSZone(network: ports[2].network, ports: ports.map { ($0.name, $0.addresses) })
    /// The names in it that have addresses, in small letters, label by label.
    static let names: Set<[[UInt8]]> = {
        var out: Set<[[UInt8]]> = []
        for name in ports.map(\.name) + ["gateway"] {
            out.insert([name].map { Array($0.utf8) })
            out.insert([name, "blue", "vrouter", "local"].map { Array($0.utf8) })
        }
        return out
    }()
}

/// What holds for every packet to a workload.
@MainActor enum Answers {
    /// It is a packet, by the agent's own reading and by another; it is from the gateway and fits the link.
    static func check(_ reply: ServicePacket, for port: ServicePort, least: Int) {
        let frame = reply.frame
        require(ServicePacket(frame: frame) == reply, "not read as it was meant: \(reply)")
        // What pads a short frame is not in the packet.
        let v4 = frame[12] == 8, size = 14 + (v4 ? Int(frame[16]) << 8 | Int(frame[17]) : 40 + (Int(frame[18]) << 8 | Int(frame[19])))
        let seen = WellFormed(Array(frame.prefix(max(size, 14))), tunnels: false)
        require(seen.problem == nil && seen.transport == .right, "\(seen): \(reply)")
        require(size - 14 <= max(port.mtu ?? least, least), "\(size - 14) octets, MTU \(port.mtu ?? least)")
        require(reply.sourceMAC == .gateway, "from \(reply.sourceMAC)")
        require(!reply.source.isMulticast && reply.source != .v4(.any) && reply.source != .v6(.any), "from \(reply.source)")
    }
}
