import DataplaneAPI
import NetTypes
import Overlay
import SwiftProtobuf

@testable import Agent

/// Node 1 with network blue (VXLAN, bridged) and red (MPLS over UDP, routed), and one port in each.
enum Fixture {
    static let configuration = try! AgentConfiguration(yaml: ConfigurationTests.good, source: "test")
    static let fabricMAC = MACAddress("02:00:00:00:00:11")!
    static let peer = IPv4Address(10, 0, 0, 12), peerMAC = MACAddress("02:00:00:00:00:12")!
    static let blue = VirtualNetwork(
        metadata: .init(name: "blue"), subnets: [.init(prefix: IPPrefix("10.1.0.0/24")!), .init(prefix: IPPrefix("fd00:1::/64")!)], vni: VNI(5001))
    static let red = VirtualNetwork(metadata: .init(name: "red"), subnets: [.init(prefix: IPPrefix("10.2.0.0/24")!)], encapsulation: .mplsOverUDP)
    static let blueA = Overlay.Port(
        metadata: .init(name: "blue-a", uid: "6b1f6d2e-0000-4000-8000-00000000000a"), network: "blue", node: "node1",
        mac: MACAddress("02:00:00:00:01:0a")!,
        addresses: [IPAddress("10.1.0.10")!, IPAddress("fd00:1::10")!], interface: "tap-blue-a")
    static let redA = Overlay.Port(
        metadata: .init(name: "red-a"), network: "red", node: "node1", mac: MACAddress("02:00:00:00:02:0a")!, addresses: [IPAddress("10.2.0.10")!],
        interface: "tap-red-a")

    static func inputs(
        networks: [VirtualNetwork] = [blue, red], ports: [Overlay.Port] = [blueA, redA], requests: [PortRequest] = [],
        routes: [RouteAdvertisement] = [],
        neighbours: [IPv4Address: MACAddress] = [peer: peerMAC]
    ) -> DesiredState.Inputs {
        DesiredState.Inputs(
            configuration: configuration, fabricMAC: fabricMAC, networks: Dictionary(uniqueKeysWithValues: networks.map { ($0.name, $0) }),
            bindings: PortBinding.bind(
                ports: Dictionary(uniqueKeysWithValues: ports.map { ($0.name, $0) }), requests: requests, reserved: ["fabric0", "vhost0-vr"]),
            routes: Dictionary(uniqueKeysWithValues: routes.map { (RouteStore.Key(vrf: $0.vrf, destination: $0.destination), $0) }),
            resolve: { neighbours[$0] })
    }

    static func route(
        _ vrf: String, _ prefix: String, label: UInt32, via address: IPv4Address = peer, _ encapsulation: RouteAdvertisement.Encapsulation = .vxlan,
        preference: UInt32 = 100, sequence: UInt32 = 0
    ) -> RouteAdvertisement {
        RouteAdvertisement(
            vrf: vrf, destination: .inet(IPPrefix(prefix)!), nextHops: [.init(address: .v4(address), label: label, encapsulations: [encapsulation])],
            sequence: sequence, localPreference: preference)
    }
    /// That the node at `address` wants a copy of every broadcast.
    static func inclusive(_ vrf: String, label: UInt32, via address: IPv4Address = peer) -> RouteAdvertisement {
        RouteAdvertisement(
            vrf: vrf, destination: .inclusiveMulticast(of: .v4(address)),
            nextHops: [.init(address: .v4(address), label: label, encapsulations: [.vxlan])])
    }
    static func evpn(_ vrf: String, _ mac: String, _ prefix: String?, label: UInt32, via address: IPv4Address = peer, sequence: UInt32 = 0)
        -> RouteAdvertisement
    {
        RouteAdvertisement(
            vrf: vrf, destination: .evpn(MACAddress(mac)!, prefix.map { IPPrefix($0)! }),
            nextHops: [.init(address: .v4(address), label: label, encapsulations: [.vxlan])], sequence: sequence)
    }
}

extension [TableKey: TableObject] {
    /// Where the broadcasts of a VRF go.
    func flood(_ vrf: VRFID) -> Dataplane_V1_MulticastNextHop? {
        guard let entry = self[.bridge(vrf, .broadcast)]?.bridgeEntry, case .multicast(let composite)? = nextHop(entry.nextHop) else { return nil }
        return composite
    }
    mutating func apply(_ operations: [TableOperation]) { for operation in operations { self[operation.key] = operation.object } }
    func nextHop(_ id: UInt32) -> Dataplane_V1_NextHop.OneOf_Kind? { self[.nextHop(NextHopID(id))]?.nextHop.kind }
}

let ok = Dataplane_V1_Result()
func refusal(_ code: Dataplane_V1_Code, _ message: String) -> Dataplane_V1_Result {
    .with {
        $0.code = code; $0.message = message
    }
}
