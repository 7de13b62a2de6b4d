import Dataplane
public import NetTypes

/// What the router is programmed with: one VRF, a fabric vif, a source and one or more destination workloads.
public enum Program {
    public static let node = IPv4Address(10, 0, 0, 11), peer = IPv4Address(10, 0, 0, 12)
    public static let source = MACAddress(rawValue: 0x0200_0000_0222), workload = MACAddress(rawValue: 0x0200_0000_0111)
    public static let remote = MACAddress(rawValue: 0x0200_0000_0113)
    public static let vrf = VRFID(1), label: UInt32 = 77, vni: UInt32 = 5001
    /// Names of the ports. Packets come in by `fabric` or `source`, and leave by `fabric` or `destination`.
    public static let fabricPort = "fabric", sourcePort = "source", destinationPort = "destination"
    /// Next hops: route to the destination, bridge to it, into the VRF, through the tunnel, several ways.
    static let route = NextHopID(3), bridge = NextHopID(4), intoVRF = NextHopID(5), tunnel = NextHopID(9), ecmp = NextHopID(10)

    /// Jumbo frames everywhere: the IMIX has to fit into a tunnel.
    public static let mtu = 9000

    static func vif(_ id: UInt32, _ name: String, _ kind: VifSpec.Kind, _ addresses: [IPAddress], vrf: UInt32, flows: Bool) -> [RouterObject] {
        [
            .port(PortSpec(name: name, driver: .loopback, mtu: mtu)),
            .vif(
                VifSpec(
                    id: .init(id), name: name, kind: kind, port: name, vrf: .init(vrf), mac: kind == .physical ? Frames.fabricMAC : .gateway,
                    addresses: addresses, keepsFlows: flows)),
        ]
    }

    static func base(flows: Bool = false) -> [RouterObject] {
        [.vrf(VRFSpec(id: vrf, name: "blue"))] + vif(0, fabricPort, .physical, [.v4(node)], vrf: 0, flows: flows)
            + vif(3, sourcePort, .virtual, [], vrf: 1, flows: flows) + vif(4, destinationPort, .virtual, [], vrf: 1, flows: flows) + [
                .nextHop(NextHopSpec(id: route, kind: .encap(vif: .init(4), destination: workload, source: .gateway))),
                .nextHop(NextHopSpec(id: bridge, kind: .encap(vif: .init(4), destination: nil, source: .gateway))),
                .nextHop(NextHopSpec(id: intoVRF, kind: .vrf(vrf, bridges: true))),
            ]
    }

    static func routes(_ prefixes: [IPPrefix], via nextHop: NextHopID = route, label: UInt32? = nil) -> [RouterObject] {
        prefixes.map { .route(RouteSpec(vrf: vrf, prefix: $0, nextHop: nextHop, label: label)) }
    }

    static func tunnel(_ encapsulation: Encapsulation) -> RouterObject {
        .nextHop(
            NextHopSpec(
                id: tunnel,
                kind: .tunnel(
                    .init(
                        encapsulation: encapsulation, source: .v4(node), destination: .v4(peer), vif: .init(0), destinationMAC: Frames.peerMAC,
                        sourceMAC: Frames.fabricMAC))))
    }
}
