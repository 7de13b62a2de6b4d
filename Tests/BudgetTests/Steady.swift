import Dataplane
import NetTypes
import Testing

/// A router in steady state: a trace that comes round and round between a replaying and a counting port, all in the calling thread.
struct Steady: CustomTestStringConvertible, Sendable {
    var name: String
    var isFromFabric = false
    var frames: @Sendable () -> [[UInt8]]
    var objects: @Sendable () -> [RouterObject]
    var testDescription: String { name }

    static let vrf = VRFID(1)
    private static let node4 = IPAddress.v4(IPv4Address(10, 0, 0, 11)), peer4 = IPAddress.v4(IPv4Address(10, 0, 0, 12))
    private static let node6 = IPAddress.v6(IPv6Address(high: 0xFD00_000F_0000_0000, low: 0x11))
    private static let peer6 = IPAddress.v6(IPv6Address(high: 0xFD00_000F_0000_0000, low: 0x12))
    private static let fabricMAC = MACAddress(rawValue: 0x0200_0000_0F01), peerMAC = MACAddress(rawValue: 0x0200_0000_0F02)
    private static let station = MACAddress(rawValue: 0x0200_0000_0111), remote = MACAddress(rawValue: 0x0200_0000_0113)

    // MARK: - What is programmed

    /// Fabric on vif 0; workloads on 3 (where traffic comes from) and 4 (where it goes); next hop 3 routes to it, 4 bridges to it, 5 leads into the VRF.
    private static func base(flows: Bool) -> [RouterObject] {
        func vif(_ id: UInt32, _ name: String, _ kind: VifSpec.Kind, _ addresses: [IPAddress], vrf: UInt32) -> [RouterObject] {
            [
                .port(PortSpec(name: name, driver: .loopback)),
                .vif(
                    VifSpec(
                        id: .init(id), name: name, kind: kind, port: name, vrf: .init(vrf), mac: kind == .physical ? fabricMAC : .gateway,
                        addresses: addresses, keepsFlows: flows)),
            ]
        }
        return [.vrf(VRFSpec(id: vrf, name: "blue"))] + vif(0, "fabric", .physical, [node4, node6], vrf: 0)
            + vif(3, "source", .virtual, [], vrf: 1) + vif(4, "destination", .virtual, [], vrf: 1) + [
                .nextHop(NextHopSpec(id: .init(3), kind: .encap(vif: .init(4), destination: station, source: .gateway))),
                .nextHop(NextHopSpec(id: .init(4), kind: .encap(vif: .init(4), destination: nil, source: .gateway))),
                .nextHop(NextHopSpec(id: .init(5), kind: .vrf(vrf, bridges: true))),
            ]
    }

    private static func tunnel(_ encapsulation: Encapsulation, isIPv6: Bool) -> RouterObject {
        .nextHop(
            NextHopSpec(
                id: .init(9),
                kind: .tunnel(
                    .init(
                        encapsulation: encapsulation, source: isIPv6 ? node6 : node4, destination: isIPv6 ? peer6 : peer4, vif: .init(0),
                        destinationMAC: peerMAC, sourceMAC: fabricMAC))))
    }

    private static func routes(_ nextHop: UInt32, label: UInt32? = nil) -> [RouterObject] {
        (0..<64).compactMap { IPPrefix(masking: .v4(IPv4Address(10, 2, UInt8($0), 0)), length: 24) }.map {
            .route(RouteSpec(vrf: vrf, prefix: $0, nextHop: .init(nextHop), label: label))
        }
            + (0..<64).compactMap { IPPrefix(masking: .v6(IPv6Address(high: 0xFD00_0002_0000_0000 | $0 << 16, low: 0)), length: 48) }.map {
                .route(RouteSpec(vrf: vrf, prefix: $0, nextHop: .init(nextHop), label: label))
            }
    }

    // MARK: - What is sent

    private static func word(_ value: Int) -> [UInt8] { [UInt8(value >> 8 & 0xFF), UInt8(value & 0xFF)] }

    private static func ipv4(_ source: [UInt8], _ destination: [UInt8], proto: UInt8, _ payload: [UInt8]) -> [UInt8] {
        var header: [UInt8] = [0x45, 0] + word(20 + payload.count) + [0, 0, 0x40, 0, 64, proto, 0, 0] + source + destination
        var sum = stride(from: 0, to: 20, by: 2).reduce(0) { $0 + Int(header[$1]) << 8 + Int(header[$1 + 1]) }
        while sum > 0xFFFF { sum = sum & 0xFFFF + sum >> 16 }
        header.replaceSubrange(10..<12, with: word(0xFFFF - sum))
        return header + payload
    }

    private static func packet(_ flow: Int, isIPv6: Bool = false) -> [UInt8] {
        let udp = word(1024 + flow) + word(2048) + word(18) + [0, 0] + [UInt8](repeating: 0, count: 10)
        guard isIPv6 else { return ipv4([10, 1, 0, UInt8(flow & 0xFF)], [10, 2, UInt8(flow & 63), 1], proto: 17, udp) }
        let source: [UInt8] = [0xFD, 0, 0, 1] + [UInt8](repeating: 0, count: 11) + [UInt8(flow & 0xFF)]
        return [0x60, 0, 0, 0] + word(udp.count) + [17, 64] + source + [0xFD, 0, 0, 2, 0, UInt8(flow & 63)] + [UInt8](repeating: 0, count: 9) + [1]
            + udp
    }

    private static func frame(
        _ packet: [UInt8], to destination: MACAddress = .gateway, from source: MACAddress = MACAddress(rawValue: 0x0200_0000_0222)
    ) -> [UInt8] {
        destination.bytes + source.bytes + (packet[0] >> 4 == 4 ? [8, 0] : [0x86, 0xDD]) + packet
    }

    private static func outer(_ payload: [UInt8], proto: UInt8, isIPv6: Bool) -> [UInt8] {
        if !isIPv6 { return frame(ipv4([10, 0, 0, 12], [10, 0, 0, 11], proto: proto, payload), to: fabricMAC, from: peerMAC) }
        let zeroes = [UInt8](repeating: 0, count: 9)
        let addresses: [UInt8] = [0xFD, 0, 0, 0x0F, 0, 0] + zeroes + [0x12] + [0xFD, 0, 0, 0x0F, 0, 0] + zeroes + [0x11]
        return frame([0x60, 0, 0, 0] + word(payload.count) + [proto, 64] + addresses + payload, to: fabricMAC, from: peerMAC)
    }

    private static func inVXLAN(_ inner: [UInt8], isIPv6: Bool = false) -> [UInt8] {
        outer(word(50000) + word(4789) + word(16 + inner.count) + [0, 0, 8, 0, 0, 0, 0, 0x13, 0x89, 0] + inner, proto: 17, isIPv6: isIPv6)
    }

    private static func inMPLS(_ inner: [UInt8], overGRE: Bool = false, isIPv6: Bool = false) -> [UInt8] {
        let entry: [UInt8] = [0, 0x04, 0xD1, 64]
        if overGRE { return outer([0, 0, 0x88, 0x47] + entry + inner, proto: 47, isIPv6: isIPv6) }
        return outer(word(50000) + word(6635) + word(12 + inner.count) + [0, 0] + entry + inner, proto: 17, isIPv6: isIPv6)
    }

    // MARK: - Workloads

    private static let count = 256

    static let all: [Steady] = {
        var out = [
            Steady(name: "route", frames: { (0..<count).map { frame(packet($0)) } }, objects: { base(flows: false) + routes(3) }),
            Steady(name: "route, IPv6", frames: { (0..<count).map { frame(packet($0, isIPv6: true)) } }, objects: { base(flows: false) + routes(3) }),
            Steady(name: "route, stateful", frames: { (0..<count).map { frame(packet($0)) } }, objects: { base(flows: true) + routes(3) }),
            Steady(
                name: "bridge", frames: { (0..<count).map { frame(packet($0), to: station) } },
                objects: { base(flows: false) + [.bridgeEntry(BridgeEntrySpec(vrf: vrf, mac: station, nextHop: .init(4)))] }),
            Steady(
                name: "ECMP", frames: { (0..<count).map { frame(packet($0)) } },
                objects: {
                    let members = (0..<4).map { NextHopID(UInt32(20 + $0)) }
                    return base(flows: false)
                        + members.map { .nextHop(NextHopSpec(id: $0, kind: .encap(vif: .init(4), destination: station, source: .gateway))) }
                        + [.nextHop(NextHopSpec(id: .init(30), kind: .ecmp(members.map { .init(nextHop: $0) })))] + routes(30)
                }),
        ]
        for isIPv6 in [false, true] {
            let fabric = isIPv6 ? " over IPv6" : ""
            out += [
                Steady(
                    name: "VXLAN encapsulation" + fabric, frames: { (0..<count).map { frame(packet($0), to: remote) } },
                    objects: {
                        base(flows: false) + [
                            tunnel(.vxlan, isIPv6: isIPv6), .bridgeEntry(BridgeEntrySpec(vrf: vrf, mac: remote, nextHop: .init(9), label: 5001)),
                        ]
                    }),
                Steady(
                    name: "VXLAN decapsulation" + fabric, isFromFabric: true,
                    frames: { (0..<count).map { inVXLAN(frame(packet($0), to: station), isIPv6: isIPv6) } },
                    objects: {
                        base(flows: false) + [
                            .vni(VNISpec(vni: .init(5001), nextHop: .init(5))),
                            .bridgeEntry(BridgeEntrySpec(vrf: vrf, mac: station, nextHop: .init(4))),
                        ]
                    }),
                Steady(
                    name: "MPLS over UDP encapsulation" + fabric, frames: { (0..<count).map { frame(packet($0)) } },
                    objects: { base(flows: false) + [tunnel(.mplsOverUDP, isIPv6: isIPv6)] + routes(9, label: 77) }),
                Steady(
                    name: "MPLS over UDP decapsulation" + fabric, isFromFabric: true,
                    frames: { (0..<count).map { inMPLS(packet($0), isIPv6: isIPv6) } },
                    objects: { base(flows: false) + routes(3) + [.label(LabelSpec(label: .init(77), nextHop: .init(5)))] }),
                Steady(
                    name: "MPLS over GRE decapsulation" + fabric, isFromFabric: true,
                    frames: { (0..<count).map { inMPLS(packet($0), overGRE: true, isIPv6: isIPv6) } },
                    objects: { base(flows: false) + routes(3) + [.label(LabelSpec(label: .init(77), nextHop: .init(5)))] }),
            ]
        }
        return out
    }()

    /// The router, programmed; what it refused.
    func router() throws -> (router: Router, refused: [String]) {
        let source = ReplayPort(name: isFromFabric ? "fabric" : "source", frames: frames())
        let pool = try HeapBufferPool(bufferSize: 2048, capacity: 4096)
        let router = Router(RouterConfiguration(idle: .poll, flowCapacity: 8192), pool: pool) { spec throws(PortError) in
            spec.name == source.name ? source : CountingPort(name: spec.name)
        }
        let objects = objects()
        let outcomes = router.apply(objects.map(RouterOperation.upsert))
        return (router, zip(objects, outcomes).filter { $1 != .ok }.map { "\($0): \($1)" })
    }
}
