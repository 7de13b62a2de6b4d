import NetTypes
import Testing

@testable import Dataplane

/// Limits of flows per vif and VRF, and what happens in a table that is nearly full. Packets are GoldenPolicy.udp53 from other ports.
@Suite("Limits of flows") struct FlowLimitTests {
    /// From blue1 to blue2 (or, `back`, from blue2 to blue1's port 53), one flow per port, without a UDP checksum.
    static func packet(_ port: UInt16, back: Bool = false) -> [UInt8] {
        var frame = back ? GoldenPolicy.answer53 : GoldenPolicy.udp53
        (frame[34], frame[35]) = (UInt8(port >> 8), UInt8(truncatingIfNeeded: port))
        (frame[40], frame[41]) = (0, 0)
        return frame
    }
    private func limit(_ test: TestRouter, _ vif: UInt32, limit: UInt32 = 0, rate: UInt32 = 0) {
        var spec = test.router.vifs(after: nil, limit: 100).first { $0.spec.id == VifID(vif) }!.spec
        (spec.flowLimit, spec.flowRate) = (limit, rate)
        #expect(test.router.apply([.upsert(.vif(spec))]) == [.ok])
    }
    private func reading(_ test: TestRouter, _ vif: UInt32) -> FlowQuotaReading {
        test.router.vifs(after: nil, limit: 100).first { $0.spec.id == VifID(vif) }!.flows
    }

    @Test("A vif gets as many flows as it may; those it has go on, and when one goes another may come") func vif() {
        let test = TestRouter()
        limit(test, 3, limit: 3)
        for port in 0..<5 { test.send(Self.packet(1000 + UInt16(port)), from: test.blue1) }
        #expect(test.blue2.take().count == 3 && test.allDrops == ["new_flow_drop": 2])
        for port in 0..<3 { test.send(Self.packet(1000 + UInt16(port)), from: test.blue1) }
        #expect(test.blue2.take().count == 3)
        #expect(reading(test, 3).flows == 3 && reading(test, 3).overLimit == 2)
        // Another workload is not concerned.
        test.send(Self.packet(9, back: true), from: test.blue2)
        #expect(test.blue1.take().count == 1)
        let first = test.router.flows(from: 0, limit: 1).flows[0]
        #expect(test.router.apply([.delete(.flow(first.spec.key))]) == [.ok])
        test.send(Self.packet(1004), from: test.blue1)
        #expect(test.blue2.take().count == 1 && reading(test, 3).flows == 3)
        limit(test, 3)
        test.send(Self.packet(1005), from: test.blue1)
        #expect(test.blue2.take().count == 1)
    }

    @Test("Packets of one new flow in one burst are one flow") func oneBurst() {
        let test = TestRouter()
        limit(test, 3, limit: 1)
        test.send(Self.packet(1000), Self.packet(1000), Self.packet(1001), Self.packet(1000), from: test.blue1)
        #expect(test.blue2.take().count == 3 && test.allDrops == ["new_flow_drop": 1])
    }

    @Test("A VRF has a limit of its own") func vrf() {
        let test = TestRouter()
        var spec = test.router.vrfs(after: nil, limit: 10).first { $0.spec.name == "blue" }!.spec
        spec.flowLimit = 2
        #expect(test.router.apply([.upsert(.vrf(spec))]) == [.ok])
        for port in 0..<2 { test.send(Self.packet(1000 + UInt16(port)), from: test.blue1) }
        test.send(Self.packet(9, back: true), from: test.blue2)
        #expect(test.blue2.take().count == 2 && test.blue1.take().isEmpty && test.allDrops == ["new_flow_drop": 1])
        let reading = test.router.vrfs(after: nil, limit: 10).first { $0.spec.name == "blue" }!
        #expect(reading.flows.flows == 2 && reading.flows.overLimit == 1)
    }

    @Test("New flows come no faster than they may") func rate() {
        let test = TestRouter()
        limit(test, 3, rate: 1)
        test.send(Self.packet(1000), Self.packet(1001), Self.packet(1002), from: test.blue1)
        #expect(test.blue2.take().count == 1 && test.allDrops == ["new_flow_drop": 2])
        #expect(reading(test, 3).overRate == 2)
    }

    @Test("Who floods a table leaves room for the others, and is told so") func flood() {
        let test = TestRouter(flows: 256)
        for port in 0..<300 { test.send(Self.packet(1000 + UInt16(port)), from: test.blue1) }
        // 15/16 of 128 flows.
        #expect(test.blue2.take().count == 120 && test.allDrops == ["flow_table_full": 180])
        #expect(reading(test, 3).overShare == 180 && test.router.status().flows.pressure == 2)
        for port in 0..<6 { test.send(Self.packet(2000 + UInt16(port), back: true), from: test.blue2) }
        #expect(test.blue1.take().count == 6 && reading(test, 4).flows == 6)
    }

    @Test("What comes out of a tunnel counts for the workload that gets it") func tunnel() {
        let test = TestRouter()
        test.send(GoldenPolicy.tunnelled, from: test.fabric)
        #expect(test.blue2.take().count == 1 && reading(test, 4).flows == 1 && reading(test, 0).flows == 0)
        limit(test, 3, limit: 1)
    }

    @Test("A change or deletion that names a generation finds that flow or none") func generation() {
        let test = TestRouter()
        test.send(Self.packet(1000), from: test.blue1)
        let flow = test.router.flows(from: 0, limit: 1).flows[0]
        var key = flow.spec.key
        key.generation = flow.generation &+ 1
        for operation in [RouterOperation.delete(.flow(key)), .upsert(.flow(FlowSpec(key: key, action: .drop)))] {
            guard case .notFound = test.router.apply([operation])[0] else {
                Issue.record("\(operation) was applied")
                return
            }
        }
        key.generation = flow.generation
        #expect(test.router.apply([.upsert(.flow(FlowSpec(key: key, action: .drop)))]) == [.ok])
        test.send(Self.packet(1000), from: test.blue1)
        #expect(test.allDrops == ["flow_action_drop": 1])
        #expect(test.router.apply([.delete(.flow(key))]) == [.ok])
        guard case .notFound = test.router.apply([.upsert(.flow(FlowSpec(key: key, action: .forward)))])[0] else {
            Issue.record("a flow that is gone was made again")
            return
        }
    }

    @Test("A flow shows the source port that its packets have on the fabric") func entropy() throws {
        let test = TestRouter()
        // To blue3, behind the tunnel; one less in the header checksum for one more in the address.
        var far = Self.packet(2000)
        far[33] = 13
        let checksum = (UInt16(far[24]) << 8 | UInt16(far[25])) &- 1
        (far[24], far[25]) = (UInt8(checksum >> 8), UInt8(truncatingIfNeeded: checksum))
        test.send(far, from: test.blue1)
        let sent = try #require(test.fabric.take().first)
        let flow = try #require(test.router.flows(from: 0, limit: 8).flows.first { $0.isForward })
        #expect(UInt16(sent[34]) << 8 | UInt16(sent[35]) == flow.udpSourcePort && flow.udpSourcePort >= 49152)
    }

    @Test("A filter finds what it names") func filter() {
        let test = TestRouter()
        for port in 0..<3 { test.send(Self.packet(1000 + UInt16(port)), from: test.blue1) }
        test.send(GoldenPolicy.echo, from: test.blue1)
        func count(_ change: (inout FlowFilter) -> Void) -> Int {
            var filter = FlowFilter(), found = 0
            change(&filter)
            _ = test.router.flows(from: 0, limit: .max, scan: .max, matching: filter) { _ in found += 1 }
            return found
        }
        #expect(count { _ in } == 8)
        #expect(
            count { $0.proto = 17 } == 6
                && count {
                    $0.proto = 1; $0.forwardOnly = true
                } == 1)
        #expect(count { $0.endpoints = [.init(address: IPAddress("10.1.0.11")!, port: 1001)] } == 2)
        #expect(
            count { $0.endpoints = [.init(port: 1001), .init(port: 53)] } == 2
                && count { $0.endpoints = [.init(port: 1001), .init(port: 1002)] } == 0)
        #expect(count { $0.vif = VifID(3) } == 4 && count { $0.vrf = VRFID(2) } == 0 && count { $0.action = .drop } == 0)
    }
}
