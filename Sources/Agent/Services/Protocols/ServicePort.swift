import NetTypes
import Overlay

/// What the services know of one local workload: all that an answer to it is made of.
///
/// Thread-safety: a value.
struct ServicePort: Hashable, Sendable {
    /// The port's name.
    var name: String
    /// Nil where its object was not stored by a controller.
    var uid: String?
    var mac: MACAddress
    var addresses: [IPAddress]
    var network: VirtualNetwork
    /// Of an IP packet, as the workload should use it; nil: not known.
    var mtu: Int?

    var services: NetworkServices { network.dhcp }

    /// The address that DHCPv4 gives: the first IPv4 address, with its subnet.
    var ipv4: (address: IPv4Address, subnet: VirtualNetwork.Subnet, gateway: IPv4Address)? {
        for case .v4(let address) in addresses {
            guard let subnet = network.subnet(of: .v4(address)), case .v4(let gateway) = subnet.gateway else { continue }
            return (address, subnet, gateway)
        }
        return nil
    }

    /// IPv6 addresses with their subnets, in the port's order.
    var ipv6: [(address: IPv6Address, subnet: VirtualNetwork.Subnet)] {
        addresses.compactMap { address in
            guard case .v6(let own) = address, let subnet = network.subnet(of: address) else { return nil }
            return (own, subnet)
        }
    }

    /// The gateways of the port's subnets, each once.
    var gateways: [IPAddress] {
        var out: [IPAddress] = []
        for address in addresses {
            guard let gateway = network.subnet(of: address)?.gateway, !out.contains(gateway) else { continue }
            out.append(gateway)
        }
        return out
    }

    /// The servers a client of this family is told.
    func dnsServers(isIPv4: Bool) -> [IPAddress] { (services.dnsServers ?? gateways).filter { $0.isIPv4 == isIPv4 } }

    var hostName: String { Self.label(name) }
    /// The network's domain, in which its ports have names.
    var zone: String { Self.zone(of: network) }

    static func zone(of network: VirtualNetwork) -> String { "\(label(network.name)).\(network.dhcp.domain)" }

    /// The name of an object as a label of a domain name (RFC 1123 section 2.1): small letters, digits and '-', 63 octets at most. Every other character becomes
    /// a '-'.
    static func label(_ name: String) -> String {
        var octets: [UInt8] = []
        for octet in name.utf8 {
            switch octet {
            case 0x41...0x5A: octets.append(octet | 0x20)
            case 0x61...0x7A, 0x30...0x39: octets.append(octet)
            default: octets.append(0x2D)
            }
        }
        octets = Array(octets.drop { $0 == 0x2D }.prefix(63))
        while octets.last == 0x2D { octets.removeLast() }
        return octets.isEmpty ? "x" : String(decoding: octets, as: UTF8.self)
    }
}

extension MACAddress {
    /// The link-local address made from it (RFC 4291 appendix A): under this one workloads know their router.
    var linkLocal: IPv6Address {
        let identifier = (rawValue ^ 0x0200_0000_0000) & 0xFFFF_FF00_0000
        return IPv6Address(high: 0xFE80_0000_0000_0000, low: identifier << 16 | 0xFF_FE00_0000 | rawValue & 0xFF_FFFF)
    }
}
