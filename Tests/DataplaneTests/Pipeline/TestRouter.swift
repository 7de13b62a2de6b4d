import CPlatform
import NetTypes
import Testing

@testable import Dataplane

func hex(_ text: String) -> [UInt8] {
    var out: [UInt8] = []
    var high: UInt8?
    for character in text.utf8 {
        guard let digit = Character(UnicodeScalar(character)).hexDigitValue.map(UInt8.init) else { continue }
        if let first = high {
            out.append(first << 4 | digit)
            high = nil
        } else {
            high = digit
        }
    }
    return out
}

/// A port whose received frames are given and whose transmitted frames are kept.
final class TestPort: Port, @unchecked Sendable {
    var input: [[UInt8]] = []
    var output: [[UInt8]] = []
    var transmitCapacity = Int.max
    /// Octets before a received frame; nil: what the pool leaves.
    var headroom: Int?
    /// Octets of data per segment, of the frames that were left to the port to cut.
    var sizes: [Int] = []

    init(_ name: String, mtu: Int = 1500, traits: PortTraits = []) {
        super.init(name: name, driver: "test", device: name, mtu: mtu, traits: traits)
    }

    override func receive(queue: Int, pool: BufferPool, lane: Int, into frames: UnsafeMutablePointer<vr_frame>, capacity: Int) -> Int {
        let count = pool.allocate(lane: lane, into: frames, count: min(capacity, input.count))
        for index in 0..<count {
            let octets = input[index]
            if let headroom {
                let less = Int(frames[index].headroom) - headroom
                frames[index].data -= less
                frames[index].headroom -= UInt32(less)
                frames[index].tailroom += UInt32(less)
            }
            octets.withUnsafeBytes { UnsafeMutableRawPointer(frames[index].data).copyMemory(from: $0.baseAddress!, byteCount: octets.count) }
            frames[index].length = UInt32(octets.count)
            frames[index].tailroom -= UInt32(octets.count)
        }
        input.removeFirst(count)
        return count
    }

    override func transmit(queue: Int, pool: BufferPool, lane: Int, _ frames: UnsafeMutablePointer<vr_frame>, count: Int) -> Int {
        let taken = min(count, transmitCapacity)
        for index in 0..<taken { output.append(Array(UnsafeRawBufferPointer(start: frames[index].data, count: Int(frames[index].length)))) }
        for index in 0..<taken where frames[index].isSegmented { sizes.append(Int(frames[index].tailroom & ~VR_SEGMENTED)) }
        pool.release(lane: lane, frames, count: taken)
        return taken
    }

    override var isExhausted: Bool { input.isEmpty }

    func take() -> [[UInt8]] {
        defer { output = [] }
        return output
    }
}

/// node1 of the demo as its agent would program it: fabric vif 0 (10.0.0.11), host vif 1 on request, workloads blue1 (vif 3) and blue2 (vif 4) in VRF 1,
/// remote blue3 behind node2, a remote subnet 10.3.0.0/24, and an empty VRF 2 (red).
final class TestRouter {
    /// What happens when a port is opened: in the midst of a batch, after the operations before it.
    final class Opening: @unchecked Sendable {
        var action: () -> Void = {}
    }

    let router: Router
    let opening = Opening()
    let pool = try! HeapBufferPool(bufferSize: 69_824, capacity: 512)
    let fabric: TestPort, host: TestPort, blue1: TestPort, blue2: TestPort

    static let fabricMAC = MACAddress("02:00:00:00:0f:01")!, peerMAC = MACAddress("02:00:00:00:0f:02")!
    static let a = MACAddress("02:00:00:00:01:11")!, b = MACAddress("02:00:00:00:01:13")!, c = MACAddress("02:00:00:00:01:12")!

    init(
        withHost: Bool = false, remote: Encapsulation = .vxlan, workloadMTU: Int = 9000, workloadTraits: PortTraits = [], antispoof: Bool = false,
        flows: Int = 4096, fragmentCapacity: Int = 1024, fragmentPolicy: FragmentPolicy = .forward,
        blue2Traits: PortTraits = [], fabricTraits: PortTraits = []
    ) {
        let ports = [
            "fabric": TestPort("fabric", traits: fabricTraits), "host": TestPort("host"),
            "blue1": TestPort("blue1", mtu: workloadMTU, traits: workloadTraits),
            "blue2": TestPort("blue2", mtu: 1500, traits: blue2Traits),
        ]
        fabric = ports["fabric"]!
        host = ports["host"]!
        blue1 = ports["blue1"]!
        blue2 = ports["blue2"]!
        let available = ports
        var configuration = RouterConfiguration(flowCapacity: flows)
        configuration.fragmentCapacity = fragmentCapacity
        configuration.fragmentPolicy = fragmentPolicy
        router = Router(configuration, pool: pool) { [opening] spec throws(PortError) in
            opening.action()
            guard let port = available[spec.name] else { throw PortError("no such device") }
            return port
        }
        let label: UInt32 = remote == .vxlan ? 5003 : 77
        func tunnel(_ id: UInt32, _ encapsulation: Encapsulation) -> RouterObject {
            .nextHop(
                NextHopSpec(
                    id: .init(id),
                    kind: .tunnel(
                        .init(
                            encapsulation: encapsulation, source: IPAddress("10.0.0.11")!, destination: IPAddress("10.0.0.12")!, vif: .init(0),
                            destinationMAC: Self.peerMAC, sourceMAC: Self.fabricMAC))))
        }
        func workload(_ id: UInt32, _ name: String, _ mac: MACAddress, _ addresses: [String]) -> [RouterObject] {
            [
                .vif(
                    VifSpec(
                        id: .init(id), name: name, kind: .virtual, port: name, vrf: .init(1), mac: .gateway,
                        addresses: [IPAddress("10.1.0.1")!, IPAddress("fd00:1::1")!], workloadMAC: mac,
                        workloadAddresses: addresses.compactMap(IPAddress.init),
                        keepsFlows: true, antispoof: antispoof)),
                .nextHop(NextHopSpec(id: .init(id * 10), kind: .encap(vif: .init(id), destination: mac, source: .gateway))),
                .nextHop(NextHopSpec(id: .init(id * 10 + 1), kind: .encap(vif: .init(id), destination: nil, source: .gateway))),
                .bridgeEntry(BridgeEntrySpec(vrf: .init(1), mac: mac, nextHop: .init(id * 10 + 1))),
                .label(LabelSpec(label: .init(id + 13), nextHop: .init(id * 10))),
            ]
                + addresses.map {
                    .route(RouteSpec(vrf: .init(1), prefix: IPPrefix(host: IPAddress($0)!), nextHop: .init(id * 10), proxies: true, mac: mac))
                }
        }
        func route(_ prefix: String, _ nextHop: UInt32, _ label: UInt32? = nil, proxies: Bool = false, mac: MACAddress? = nil) -> RouterObject {
            .route(RouteSpec(vrf: .init(1), prefix: IPPrefix(prefix)!, nextHop: .init(nextHop), label: label, proxies: proxies, mac: mac))
        }
        var objects: [RouterObject] = [
            .port(PortSpec(name: "fabric", driver: .loopback)), .port(PortSpec(name: "blue1", driver: .loopback)),
            .port(PortSpec(name: "blue2", driver: .loopback)), .vrf(VRFSpec(id: .init(1), name: "blue")), .vrf(VRFSpec(id: .init(2), name: "red")),
            .vif(
                VifSpec(
                    id: .init(0), name: "fabric0", kind: .physical, port: "fabric", vrf: .init(0), mac: Self.fabricMAC,
                    addresses: [IPAddress("10.0.0.11")!])),
        ]
        if withHost {
            objects += [
                .port(PortSpec(name: "host", driver: .loopback)),
                .vif(VifSpec(id: .init(1), name: "vhost0", kind: .host, port: "host", vrf: .init(0), mac: Self.fabricMAC)),
            ]
        }
        objects += workload(3, "blue1", Self.a, ["10.1.0.11", "fd00:1::11"]) + workload(4, "blue2", Self.c, ["10.1.0.12", "fd00:1::12"])
        objects += [
            tunnel(1, .vxlan), tunnel(2, remote), .nextHop(NextHopSpec(id: .init(5), kind: .vrf(.init(1), bridges: true))),
            .nextHop(NextHopSpec(id: .init(6), kind: .receive(vif: .init(3)))), .vni(VNISpec(vni: .init(5001), nextHop: .init(5))),
            .bridgeEntry(BridgeEntrySpec(vrf: .init(1), mac: Self.b, nextHop: .init(1), label: 5001)),
            route("10.1.0.13/32", 1, 5001, proxies: true, mac: Self.b),
            route("fd00:1::13", 1, 5001, proxies: true, mac: Self.b), route("10.3.0.0/24", 2, label), route("10.1.0.0/24", 0),
            route("10.1.0.1/32", 6, proxies: true),
            route("fd00:1::1", 6, proxies: true),
        ]
        let outcomes = router.apply(objects.map(RouterOperation.upsert))
        for (object, outcome) in zip(objects, outcomes) where outcome != .ok { Issue.record("\(object): \(outcome)") }
    }

    /// Runs until nothing is left to do; checks that the counters add up and no buffer is lost.
    func run(_ location: SourceLocation = #_sourceLocation) {
        router.runUntilExhausted()
        let status = router.status()
        #expect(status.totals.isBalanced, "\(status.totals)", sourceLocation: location)
        #expect(status.buffersInUse == 0, sourceLocation: location)
    }

    func send(_ frames: [UInt8]..., from port: TestPort, _ location: SourceLocation = #_sourceLocation) {
        port.input += frames
        run(location)
    }

    func drops(_ reason: DropReason) -> UInt64 { router.status().drops.first { $0.reason == reason }?.packets ?? 0 }
    var allDrops: [String: UInt64] {
        Dictionary(uniqueKeysWithValues: router.status().drops.filter { $0.packets > 0 }.map { ($0.reason.name, $0.packets) })
    }
}

/// The frame with its outer UDP source port (octets 34 and 35, which come from a seeded hash) set to 49152, after a check of its range.
func withoutEntropy(_ frame: [UInt8]) -> [UInt8] {
    guard frame.count > 36, frame[23] == 17 else { return frame }
    #expect(UInt16(frame[34]) << 8 | UInt16(frame[35]) >= 49152)
    var frame = frame
    frame[34] = 0xC0
    frame[35] = 0
    return frame
}
