import CPlatform
import NetTypes
import Synchronization
import Testing

@testable import Dataplane

/// A port that offers `total` copies of a frame, each with its number in the last four octets, as fast as they are taken and `sink` gets them: never more under way
/// than a ring between two workers holds, so that nothing is lost for want of room.
private final class SourcePort: Port, @unchecked Sendable {
    private let frame: [UInt8]
    private let total: Int
    let sent = Atomic<Int>(0)
    /// Nothing is offered before: what arrives ahead of its vif and route is dropped by right.
    let isOpen = Atomic<Bool>(false)
    private let sink: SinkPort

    init(_ name: String, frame: [UInt8], total: Int, to sink: SinkPort) {
        self.sink = sink
        self.frame = frame
        self.total = total
        super.init(name: name, driver: "test", device: name, mtu: 1500)
    }

    override func receive(queue: Int, pool: BufferPool, lane: Int, into frames: UnsafeMutablePointer<vr_frame>, capacity: Int) -> Int {
        guard isOpen.load(ordering: .acquiring) else { return 0 }
        let next = sent.load(ordering: .relaxed)
        let room = 256 - (next - sink.count.load(ordering: .acquiring))
        let count = pool.allocate(lane: lane, into: frames, count: max(0, min(capacity, total - next, room)))
        for index in 0..<count {
            frame.withUnsafeBytes { frames[index].start.copyMemory(from: $0.baseAddress!, byteCount: frame.count) }
            frames[index].start.storeBytes(of: UInt32(next + index), toByteOffset: frame.count - 4, as: UInt32.self)
            frames[index].length = UInt32(frame.count)
            frames[index].tailroom -= UInt32(frame.count)
        }
        sent.store(next + count, ordering: .releasing)
        return count
    }
}

/// A port that counts what is sent, and whether the numbers in the last four octets only ever rise.
private final class SinkPort: Port, @unchecked Sendable {
    let count = Atomic<Int>(0)
    let disorder = Atomic<Int>(0)
    private var expected: UInt32 = 0

    init(_ name: String) { super.init(name: name, driver: "test", device: name, mtu: 1500) }

    override func transmit(queue: Int, pool: BufferPool, lane: Int, _ frames: UnsafeMutablePointer<vr_frame>, count: Int) -> Int {
        for index in 0..<count {
            let number = frames[index].start.loadUnaligned(fromByteOffset: Int(frames[index].length) - 4, as: UInt32.self)
            if number != expected { disorder.add(1, ordering: .relaxed) }
            expected = number + 1
        }
        pool.release(lane: lane, frames, count: count)
        self.count.add(count, ordering: .releasing)
        return count
    }
}

/// Workers as threads, with the control side changing things under them.
@Suite(.serialized, .ownThread) struct RunningRouterTests {
    private static func objects(source: UInt32, sink: UInt32) -> [RouterOperation] {
        let mac = MACAddress(rawValue: 0x0200_0000_0111)
        return [
            .upsert(.port(PortSpec(name: "source", driver: .loopback))), .upsert(.port(PortSpec(name: "sink", driver: .loopback))),
            .upsert(.vrf(VRFSpec(id: .init(1), name: "blue"))),
            .upsert(.vif(VifSpec(id: .init(source), name: "source", kind: .virtual, port: "source", vrf: .init(1), mac: .gateway, keepsFlows: true))),
            .upsert(.vif(VifSpec(id: .init(sink), name: "sink", kind: .virtual, port: "sink", vrf: .init(1), mac: .gateway))),
            .upsert(.nextHop(NextHopSpec(id: .init(1), kind: .encap(vif: .init(sink), destination: mac, source: .gateway)))),
            .upsert(.route(RouteSpec(vrf: .init(1), prefix: IPPrefix("10.3.0.0/24")!, nextHop: .init(1)))),
        ]
    }

    @Test(arguments: [1, 2]) func losesNothingWhileTablesAndPortsChange(workers: Int) async throws {
        let total = 300_000
        let sink = SinkPort("sink"), source = SourcePort("source", frame: Golden.routed, total: total, to: sink)
        let pool = try HeapBufferPool(bufferSize: 2048, capacity: 4096)
        let router = Router(RouterConfiguration(cores: Array(repeating: nil, count: workers), flowCapacity: 1024), pool: pool) {
            spec throws(PortError) in
            switch spec.name {
            case "source": source
            case "sink": sink
            default: TestPort(spec.name)
            }
        }
        // Started first: every object, the ports included, arrives while the workers run.
        router.start()
        #expect(router.apply(Self.objects(source: 3, sink: 4)).allSatisfy { $0 == .ok })
        source.isOpen.store(true, ordering: .releasing)
        var changes = 0, round: UInt32 = 0
        let deadline = ContinuousClock.now + .seconds(60)
        while sink.count.load(ordering: .acquiring) < total, ContinuousClock.now < deadline {
            round += 1
            // Unrelated to the flow under test, except that each change makes its cached route stale.
            let prefix = IPPrefix(masking: .v4(IPv4Address(rawValue: 0x0B00_0000 | round % 5000 << 8)), length: 24)!
            let route = RouteSpec(vrf: .init(1), prefix: prefix, nextHop: .init(1))
            let mac = MACAddress(rawValue: 0x0200_1100_0000 | UInt64(round % 100))
            let extra = "extra\(round % 7)"
            let vif = VifSpec(id: .init(10 + round % 7), name: extra, kind: .virtual, port: extra, vrf: .init(1), mac: .gateway)
            let outcomes = router.apply([
                .upsert(.route(route)), .upsert(.bridgeEntry(BridgeEntrySpec(vrf: .init(1), mac: mac, nextHop: .init(1)))),
                .upsert(.port(PortSpec(name: extra, driver: .loopback))), .upsert(.vif(vif)), .delete(.vif(vif.id)), .delete(.port(extra)),
                .delete(.bridgeEntry(.init(1), mac)), .delete(.route(.init(1), prefix)),
            ])
            #expect(outcomes.allSatisfy { $0 == .ok }, "\(outcomes)")
            changes += outcomes.count
            await Task.yield()
        }
        router.stop()
        let status = router.status()
        #expect(sink.count.load(ordering: .acquiring) == total && sink.disorder.load(ordering: .relaxed) == 0)
        #expect(
            status.totals.isBalanced && status.totals.received == UInt64(total) && status.totals.forwarded == UInt64(total),
            "\(status.totals) \(status.drops.filter { $0.packets > 0 })")
        #expect(changes > 0 && status.buffersInUse == 0)
    }

    @Test func sleepingWorkersWakeForPacketsOutAndStop() async throws {
        let sink = SinkPort("sink"), source = SourcePort("source", frame: Golden.routed, total: 0, to: sink)
        let pool = try HeapBufferPool(bufferSize: 2048, capacity: 256)
        let router = Router(RouterConfiguration(idle: .sleep, flowCapacity: 64), pool: pool) { spec throws(PortError) in
            spec.name == "sink" ? sink : source
        }
        router.start()
        #expect(router.apply(Self.objects(source: 3, sink: 4)).allSatisfy { $0 == .ok })
        #expect(router.send(OutgoingPacket(mode: .transmit, vif: .init(4), packet: Golden.routed)) == .ok)
        let deadline = ContinuousClock.now + .seconds(20)
        while sink.count.load(ordering: .acquiring) == 0, ContinuousClock.now < deadline { try await Task.sleep(for: .milliseconds(1)) }
        #expect(sink.count.load(ordering: .acquiring) == 1)
        router.stop()
        #expect(router.status().totals.isBalanced)
    }

    // MARK: - Refusals

    @Test func refusalsSayWhatAndWhy() throws {
        let test = TestRouter()
        func refuse(_ operation: RouterOperation) -> String { "\(test.router.apply([operation])[0])" }
        #expect(
            refuse(.upsert(.route(RouteSpec(vrf: .init(9), prefix: IPPrefix("10.0.0.0/8")!, nextHop: .init(1)))))
                == #"notFound("route 10.0.0.0/8: VRF 9 does not exist; create it first")"#)
        #expect(
            refuse(.upsert(.route(RouteSpec(vrf: .init(1), prefix: IPPrefix("10.0.0.0/8")!, nextHop: .init(999)))))
                == #"notFound("route 10.0.0.0/8: next hop 999 does not exist; create it first")"#)
        #expect(refuse(.delete(.nextHop(.init(1)))).hasPrefix(#"inUse("next hop 1: 3 objects"#))
        #expect(refuse(.delete(.port("blue1"))) == #"inUse("port blue1: vif 3 (blue1) uses it; delete the vif first")"#)
        #expect(refuse(.delete(.vrf(.init(1)))).hasPrefix(#"inUse("VRF 1 (blue): vif"#))
        #expect(refuse(.upsert(.label(LabelSpec(label: .init(3), nextHop: .init(1))))) == #"invalid("label 3: is not within 16 to 1048575")"#)
        #expect(refuse(.upsert(.port(PortSpec(name: "nowhere", driver: .loopback)))) == #"portFailed("port nowhere: no such device")"#)
        #expect(refuse(.upsert(.nextHop(NextHopSpec(id: .init(0), kind: .receive(vif: .init(3)))))).hasPrefix("invalid"))
        #expect(
            refuse(.upsert(.vif(VifSpec(id: .init(5000), name: "x", kind: .virtual, port: "blue1", vrf: .init(1), mac: .gateway)))).hasPrefix(
                "tableFull"))
        #expect(refuse(.delete(.vni(.init(77)))) == #"notFound("VNI 77: does not exist")"#)
        // Nothing of it changed anything: traffic still flows.
        test.send(Golden.bridged, from: test.blue1)
        #expect(test.fabric.take().map(withoutEntropy) == [Golden.bridgedInVXLAN])
    }

    @Test func readsBackWhatWasProgrammed() throws {
        let test = TestRouter()
        let routes = test.router.routes(vrf: .init(1), isIPv4: true, after: nil, limit: 100)
        #expect(routes.map(\.prefix.description) == ["10.1.0.0/24", "10.1.0.1/32", "10.1.0.11/32", "10.1.0.12/32", "10.1.0.13/32", "10.3.0.0/24"])
        #expect(
            test.router.routes(vrf: .init(1), isIPv4: true, after: routes[1].prefix, limit: 2).map(\.prefix) == [routes[2].prefix, routes[3].prefix])
        #expect(
            routes[4] == RouteSpec(vrf: .init(1), prefix: IPPrefix("10.1.0.13")!, nextHop: .init(1), label: 5001, proxies: true, mac: TestRouter.b))
        #expect(test.router.bridgeEntries(vrf: .init(1), after: nil, limit: 10).map(\.spec.mac) == [TestRouter.a, TestRouter.c, TestRouter.b])
        #expect(test.router.labels(after: nil, limit: 10).map(\.label.rawValue) == [16, 17])
        #expect(test.router.vnis(after: nil, limit: 10) == [VNISpec(vni: .init(5001), nextHop: .init(5))])
        #expect(test.router.nextHops(after: .init(2), limit: 3).map(\.spec.id.rawValue) == [5, 6, 30])
        #expect(test.router.vifs(after: nil, limit: 10).map(\.spec.name) == ["fabric0", "blue1", "blue2"])
        let status = test.router.status()
        #expect(status.tables.first { $0.name == "route" }?.used == 10)
    }
}
