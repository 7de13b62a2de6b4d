import NetTypes
import Overlay
import Testing

@testable import Agent

/// Port blue1 (10.1.0.11, fd00:1::11) of network blue, with every service option.
enum ServiceFixture {
    static let mac = MACAddress("02:00:00:00:01:11")!
    static func port(_ change: (inout ServicePort) -> Void = { _ in }) -> ServicePort {
        var dhcp = NetworkServices()
        dhcp.ntpServers = [IPAddress("192.0.2.123")!]
        dhcp.hostRoutes = [.init(prefix: IPPrefix("192.0.2.0/25")!, nextHop: IPAddress("10.1.0.9")!)]
        dhcp.leaseSeconds = 3600
        let network = VirtualNetwork(
            metadata: .init(name: "blue"),
            subnets: [.init(prefix: IPPrefix("10.1.0.0/24")!), .init(prefix: IPPrefix("fd00:1::/64")!)], vni: VNI(5001), dhcp: dhcp)
        var port = ServicePort(
            name: "blue1", mac: mac, addresses: [IPAddress("10.1.0.11")!, IPAddress("fd00:1::11")!], network: network, mtu: 1450)
        change(&port)
        return port
    }
    static func packet(_ frame: [UInt8]) throws -> ServicePacket { try #require(ServicePacket(frame: frame)) }
}

/// Octets written as hexadecimal digits.
func hex(_ text: String) -> [UInt8] {
    let digits = text.compactMap(\.hexDigitValue)
    return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}
