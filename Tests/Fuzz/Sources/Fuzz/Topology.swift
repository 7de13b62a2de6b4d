import NetTypes

@testable import Dataplane

/// A router with everything that a frame can meet: a fabric over IPv4 and IPv6, workloads that bridge and that only route, with and without
/// antispoofing, with and without what a kernel leaves undone, narrow and wide, with VLANs; tunnels of every kind both ways; every kind of next hop. A network that
/// floods and learns; flows that translate; rules of translation, of every kind; policies of every action; fat flows; mirrors; ports that cut segments.
final class Topology {
    let router: Router
    let pool = FuzzPool()
    /// In the order of `Topology.names`.
    let ports: [FuzzPort]
    let listener = Listener()

    /// What of the policy log has been seen, by worker.
    var logged: [Int: UInt64] = [:]
    /// The workload whose connections are few flows.
    static let fat = ["10.1.0.14", "fd00:1::14"].map(address)

    /// The control program: keeps the flows it was asked about.
    final class Listener: @unchecked Sendable { var held: [TrapPacket.HeldFlow] = [] }

    /// The last takes what is mirrored, and gives nothing.
    static let names = ["fabric", "host", "blue1", "blue2", "red1", "trunk", "analyser"]
    /// VNI of mirrored frames, whatever they are.
    static let mirrorVNI = 9000
    static let node4 = "10.0.0.11", peer4 = "10.0.0.12", node6 = "fd00:f::11", peer6 = "fd00:f::12"
    static let fabricMAC = MACAddress("02:00:00:00:0f:01"), peerMAC = MACAddress("02:00:00:00:0f:02")

    init(hasHost: Bool, flows: Int) {
        let pool = pool
        let kernel: PortTraits = [.unfinishedChecksums, .oversizedSegments]
        let ports = [
            FuzzPort("fabric", pool: pool, mtu: 1500, traits: hasHost ? kernel.union([.cutsSegments, .gainsByJoining, .cutsDatagrams]) : []),
            FuzzPort("host", pool: pool, mtu: 9000, traits: kernel), FuzzPort("blue1", pool: pool, mtu: 9000, traits: kernel),
            FuzzPort("blue2", pool: pool, mtu: 600, traits: hasHost ? [.cutsSegments, .gainsByJoining] : []), FuzzPort("red1", pool: pool, mtu: 1500),
            FuzzPort("trunk", pool: pool, mtu: 1496, traits: kernel), FuzzPort("analyser", pool: pool, mtu: 65_535),
        ]
        self.ports = ports
        router = Router(
            RouterConfiguration(idle: .poll, flowCapacity: flows, nextHopCapacity: 1024, vifCapacity: 64, vrfCapacity: 64), pool: pool
        ) { spec throws(PortError) in
            guard let port = ports.first(where: { $0.name == spec.name }) else { throw PortError("no such port") }
            return port
        }
        for object in Self.firewall() + Self.objects(hasHost: hasHost) + Self.networks() + Self.translations() + Self.rules() + Self.mirrors() {
            var object = object
            if case .vif(let spec) = object { object = .vif(Self.guarded(spec)) }
            let outcome = router.apply([.upsert(object)])
            require(outcome == [.ok], "\(object): \(outcome)")
        }
        let listener = listener
        _ = router.addTrapListener { if let flow = $0.flow { listener.held.append(flow) } }
    }

    // MARK: - What is programmed

    static func address(_ text: String) -> IPAddress {
        guard let address = IPAddress(text) else { fatalError("address \(text)") }
        return address
    }
    static func mac(_ text: String) -> MACAddress {
        guard let mac = MACAddress(text) else { fatalError("MAC \(text)") }
        return mac
    }

    static func workload(_ id: UInt32, _ name: String, vrf: UInt32, host: Int, flows: Bool, bridges: Bool, antispoof: Bool) -> [RouterObject] {
        let station = mac("02:00:00:00:01:0\(host)"), addresses = ["10.\(vrf).0.1\(host)", "fd00:\(vrf)::1\(host)"].map(address)
        let gateways = ["10.\(vrf).0.1", "fd00:\(vrf)::1"].map(address)
        return [
            .port(PortSpec(name: name, driver: .loopback)),
            .vif(
                VifSpec(
                    id: .init(id), name: name, kind: .virtual, port: name, vrf: .init(vrf), mac: .gateway, addresses: gateways, workloadMAC: station,
                    workloadAddresses: addresses, keepsFlows: flows, bridges: bridges, antispoof: antispoof)),
            .nextHop(NextHopSpec(id: .init(id * 10), kind: .encap(vif: .init(id), destination: station, source: .gateway))),
            .nextHop(NextHopSpec(id: .init(id * 10 + 1), kind: .encap(vif: .init(id), destination: nil, source: .gateway))),
            .bridgeEntry(BridgeEntrySpec(vrf: .init(vrf), mac: station, nextHop: .init(id * 10 + 1))),
            .label(LabelSpec(label: .init(id + 13), nextHop: .init(id * 10))),
        ] + addresses.map { .route(RouteSpec(vrf: .init(vrf), prefix: IPPrefix(host: $0), nextHop: .init(id * 10), proxies: true, mac: station)) }
    }

    private static func tunnel(_ id: UInt32, _ encapsulation: Encapsulation, _ source: String, _ destination: String) -> RouterObject {
        .nextHop(
            NextHopSpec(
                id: .init(id),
                kind: .tunnel(
                    .init(
                        encapsulation: encapsulation, source: address(source), destination: address(destination), vif: .init(0),
                        destinationMAC: peerMAC ?? .gateway, sourceMAC: fabricMAC ?? .gateway))))
    }

    static func route(_ prefix: String, _ nextHop: UInt32, _ label: UInt32? = nil, vrf: UInt32 = 1, proxies: Bool = false) -> RouterObject {
        guard let prefix = IPPrefix(prefix) else { fatalError("prefix \(prefix)") }
        return .route(RouteSpec(vrf: .init(vrf), prefix: prefix, nextHop: .init(nextHop), label: label, proxies: proxies))
    }

    private static func objects(hasHost: Bool) -> [RouterObject] {
        var out: [RouterObject] = [
            .port(PortSpec(name: "fabric", driver: .loopback)),
            .vrf(VRFSpec(id: .init(1), name: "blue", floodsUnknownUnicast: !hasHost, learnsMACs: true, macLimit: 100)),
            .vrf(VRFSpec(id: .init(2), name: "red")),
            .vif(
                VifSpec(
                    id: .init(0), name: "fabric0", kind: .physical, port: "fabric", vrf: .init(0), mac: fabricMAC ?? .gateway,
                    addresses: [address(node4), address(node6)])),
        ]
        if hasHost {
            out += [
                .port(PortSpec(name: "host", driver: .loopback)),
                .vif(VifSpec(id: .init(1), name: "vhost0", kind: .host, port: "host", vrf: .init(0), mac: fabricMAC ?? .gateway)),
            ]
        }
        out += workload(3, "blue1", vrf: 1, host: 1, flows: true, bridges: true, antispoof: false)
        out += workload(4, "blue2", vrf: 1, host: 2, flows: true, bridges: true, antispoof: true)
        out += workload(5, "red1", vrf: 2, host: 3, flows: false, bridges: false, antispoof: false)
        var id: UInt32 = 100
        for (source, destination) in [(node4, peer4), (node6, peer6)] {
            for encapsulation in Encapsulation.allCases {
                out.append(tunnel(id, encapsulation, source, destination))
                id += 1
            }
        }
        out += [
            .nextHop(NextHopSpec(id: .init(10), kind: .vrf(.init(1), bridges: true))),
            .nextHop(NextHopSpec(id: .init(11), kind: .vrf(.init(2), bridges: false))),
            .nextHop(NextHopSpec(id: .init(12), kind: .receive(vif: .init(3)))), .nextHop(NextHopSpec(id: .init(13), kind: .resolve(vif: .init(0)))),
            .nextHop(NextHopSpec(id: .init(14), kind: .receive(vif: .init(5)))),
            .nextHop(
                NextHopSpec(
                    id: .init(15),
                    kind: .ecmp([
                        .init(nextHop: .init(100), label: 5001), .init(nextHop: .init(104), label: 30), .init(nextHop: .init(40)),
                        .init(nextHop: .init(0)),
                    ]))),
            .label(LabelSpec(label: .init(30), nextHop: .init(10))), .label(LabelSpec(label: .init(31), nextHop: .init(11))),
            .vni(VNISpec(vni: .init(5001), nextHop: .init(10))), .vni(VNISpec(vni: .init(5002), nextHop: .init(11))),
            .bridgeEntry(BridgeEntrySpec(vrf: .init(1), mac: mac("02:00:00:00:01:08"), nextHop: .init(100), label: 5001)),
            .bridgeEntry(BridgeEntrySpec(vrf: .init(1), mac: mac("02:00:00:00:01:09"), nextHop: .init(103), label: 5001)),
            route("10.1.0.0/24", 0), route("10.1.0.1/32", 12, proxies: true), route("fd00:1::1/128", 12, proxies: true),
            route("10.2.0.1/32", 14, vrf: 2, proxies: true), route("fd00:2::1/128", 14, vrf: 2, proxies: true),
            // Out of the second VRF into the first, and back: a loop to be refused.
            route("10.1.0.0/16", 10, vrf: 2), route("fd00:1::/32", 10, vrf: 2), route("10.2.0.0/16", 11), route("fd00:2::/32", 11),
            route("10.30.0.0/16", 13), route("10.31.0.0/16", 0), route("10.32.0.0/16", 15), route("fd00:32::/32", 15),
        ]
        // 10.20…10.25 and fd00:20…fd00:25: one tunnel each, into the VRF's label or VNI.
        for offset in 0..<6 as Range<UInt32> {
            let label: UInt32 = offset % 3 == 0 ? 5001 : 30
            out += [
                route("10.\(20 + offset).0.0/16", 100 + offset, label, proxies: true),
                route("fd00:\(20 + offset)::/32", 100 + offset, label, proxies: true),
            ]
        }
        return out
    }
}
