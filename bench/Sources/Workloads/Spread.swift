import Dataplane
import NetTypes

// Workloads that are spread over many objects of one kind, for the sweeps.
extension Workload {
    /// Packets from an MPLSoUDP tunnel, one label per VRF, each VRF with 16 routes of its own; 32 packets per VRF, at least 4,096 in all.
    public static func spread(overVRFs count: Int) -> Workload {
        Workload(
            id: "S", variant: "vrfs-\(count)", title: "MPLS over UDP decapsulation into \(count) VRFs of 16 routes", added: -32, entersByFabric: true,
            objects: {
                var objects = Program.base()
                for vrf in 0..<count {
                    let id = VRFID(UInt32(vrf + 1)), hop = NextHopID(UInt32(1000 + vrf))
                    objects += [
                        .vrf(VRFSpec(id: id, name: "vrf-\(vrf + 1)")), .nextHop(NextHopSpec(id: hop, kind: .vrf(id, bridges: false))),
                        .label(LabelSpec(label: Label(UInt32(100 + vrf)), nextHop: hop)),
                    ]
                    for route in 0..<16 {
                        guard let prefix = IPPrefix(masking: .v4(IPv4Address(rawValue: address(vrf, route))), length: 24) else { continue }
                        objects.append(.route(RouteSpec(vrf: id, prefix: prefix, nextHop: Program.route)))
                    }
                }
                return objects
            },
            trace: {
                var random = Sequence64(seed: 0x5BEAD)
                return (0..<max(4096, count * 32)).map { index in
                    let word = random.next(), vrf = Int(word % UInt64(count))
                    let packet = Frames.udp(
                        from: .v4(IPv4Address(rawValue: 0x0A01_0000 | UInt32(index & 0xFFFF))), 1024,
                        to: .v4(IPv4Address(rawValue: address(vrf, Int(word >> 32 & 15)) | UInt32(word >> 40 & 0xFF))), 2048)
                    return Frames.mpls(Array(packet.dropFirst(14)), label: UInt32(100 + vrf), port: port(index), outward: false)
                }
            }, expected: { came, _ in delivered(came.dropFirst(46)) })
    }

    /// Routed to `count` destination vifs, each on a port of its own, 16 routes each; 32 packets per vif, at least 4,096 in all.
    public static func spread(overVifs count: Int) -> Workload {
        Workload(
            id: "S", variant: "vifs-\(count)", title: "route to \(count) vifs of 16 routes",
            objects: {
                var objects = Program.base()
                for vif in 0..<count {
                    let hop = NextHopID(UInt32(1000 + vif))
                    objects += Program.vif(UInt32(10 + vif), "\(Program.destinationPort)-\(vif)", .virtual, [], vrf: 1, flows: false)
                    objects.append(
                        .nextHop(
                            NextHopSpec(id: hop, kind: .encap(vif: .init(UInt32(10 + vif)), destination: Program.workload, source: .gateway))))
                    for route in 0..<16 {
                        guard let prefix = IPPrefix(masking: .v4(IPv4Address(rawValue: address(vif, route))), length: 24) else { continue }
                        objects.append(.route(RouteSpec(vrf: Program.vrf, prefix: prefix, nextHop: hop)))
                    }
                }
                return objects
            },
            trace: {
                var random = Sequence64(seed: 0x5BEAD)
                return (0..<max(4096, count * 32)).map { index in
                    let word = random.next(), vif = Int(word % UInt64(count))
                    return Frames.udp(
                        from: .v4(IPv4Address(rawValue: 0x0A01_0000 | UInt32(index & 0xFFFF))), 1024,
                        to: .v4(IPv4Address(rawValue: address(vif, Int(word >> 32 & 15)) | UInt32(word >> 40 & 0xFF))), 2048,
                        sourceMAC: Program.source)
                }
            })
    }

    /// The n-th /24 of the k-th VRF or vif.
    private static func address(_ owner: Int, _ route: Int) -> UInt32 { 0x1400_0000 + UInt32(owner * 16 + route) << 8 }
}
