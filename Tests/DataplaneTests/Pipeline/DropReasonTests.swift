import CPlatform
import NetTypes
import Testing

@testable import Dataplane

/// For each drop reason one packet, with the state it meets, that is dropped for exactly that reason and for no other.
@Suite struct DropReasonTests {
    struct Row: CustomTestStringConvertible, Sendable {
        var reason: DropReason
        var testDescription: String
        var state: @Sendable () -> TestRouter = { TestRouter() }
        /// From the fabric instead of from blue1.
        var isFromFabric = false
        /// More than one: as many as it takes to fill something, of which at least one is dropped.
        var frames: @Sendable (TestRouter) -> [[UInt8]]
        /// Copies that are lost beside the frame itself count on their own.
        var count: ClosedRange<UInt64> = 1...1

        init(
            _ reason: DropReason, _ what: String, from fabric: Bool = false, count: ClosedRange<UInt64> = 1...1,
            state: @escaping @Sendable () -> TestRouter = { TestRouter() }, _ frame: @autoclosure @escaping @Sendable () -> [UInt8]
        ) {
            self.init(reason, what, from: fabric, count: count, state: state, frames: { _ in [frame()] })
        }
        init(
            _ reason: DropReason, _ what: String, from fabric: Bool = false, count: ClosedRange<UInt64>,
            state: @escaping @Sendable () -> TestRouter = { TestRouter() }, frames: @escaping @Sendable (TestRouter) -> [[UInt8]]
        ) {
            (self.reason, testDescription, isFromFabric, self.count, self.state, self.frames) = (reason, what, fabric, count, state, frames)
        }
    }

    /// One external address for the sources of VRF 1, with these ports; what lies outside is reached through blue2.
    static func shares(_ ports: ClosedRange<UInt16>) -> RouterOperation {
        NATRuleTests.rule(
            1,
            .source(
                .init(
                    vrf: .init(1), prefix: IPPrefix("10.1.0.0/24")!, outside: .init(2), address: IPAddress("203.0.113.5")!, ports: ports)))
    }

    // MARK: - Packets

    static let gateway = MACAddress.gateway, a = TestRouter.a, c = TestRouter.c

    static func ethernet(_ destination: MACAddress, _ source: MACAddress, _ type: UInt16, _ payload: [UInt8]) -> [UInt8] {
        destination.bytes + source.bytes + [UInt8(type >> 8), UInt8(type & 0xFF)] + payload
    }
    private static func word(_ value: Int) -> [UInt8] { [UInt8(value >> 8 & 0xFF), UInt8(value & 0xFF)] }

    /// IPv4 (RFC 791) with a right checksum.
    static func ipv4(
        _ source: String, _ destination: String, proto: UInt8 = 17, flags: Int = 0, id: Int = 1, ttl: UInt8 = 64, _ payload: [UInt8]
    ) -> [UInt8] {
        var header =
            [0x45, 0] + word(20 + payload.count) + word(id) + word(flags) + [ttl, proto, 0, 0] + IPAddress(source)!.bytes
            + IPAddress(destination)!.bytes
        var sum = stride(from: 0, to: 20, by: 2).reduce(0) { $0 + Int(header[$1]) << 8 + Int(header[$1 + 1]) }
        while sum > 0xFFFF { sum = sum & 0xFFFF + sum >> 16 }
        header.replaceSubrange(10..<12, with: word(~sum & 0xFFFF))
        return header + payload
    }
    static func udp(_ source: Int = 1000, _ destination: Int = 2000, _ payload: [UInt8] = [UInt8](repeating: 7, count: 20)) -> [UInt8] {
        word(source) + word(destination) + word(8 + payload.count) + [0, 0] + payload
    }
    /// Through the gateway.
    static func routed(_ destination: String, flags: Int = 0, _ payload: [UInt8] = udp()) -> [UInt8] {
        ethernet(gateway, a, 0x0800, ipv4("10.1.0.11", destination, flags: flags, payload))
    }
    static func outer(_ port: Int, _ payload: [UInt8], source: String = "10.0.0.12") -> [UInt8] {
        ethernet(TestRouter.fabricMAC, TestRouter.peerMAC, 0x0800, ipv4(source, "10.0.0.11", udp(50000, port, payload)))
    }
    static func vxlan(_ vni: Int, _ frame: [UInt8], source: String = "10.0.0.12") -> [UInt8] {
        outer(4789, [8, 0, 0, 0, UInt8(vni >> 16)] + word(vni) + [0] + frame, source: source)
    }
    static let arp = ethernet(.broadcast, a, 0x0806, [0, 1, 8, 0, 6, 4, 0, 1] + a.bytes + [10, 1, 0, 11, 0, 0, 0, 0, 0, 0, 10, 1, 0, 99])
    static let remoteARP = ethernet(
        .broadcast, TestRouter.b, 0x0806, [0, 1, 8, 0, 6, 4, 0, 1] + TestRouter.b.bytes + [10, 1, 0, 13, 0, 0, 0, 0, 0, 0, 10, 1, 0, 99])
    /// A neighbour solicitation for blue2, with a right checksum (RFC 4861 section 4.3).
    static let solicitation = ethernet(
        MACAddress("33:33:ff:00:00:12")!, a, 0x86DD,
        [0x60, 0, 0, 0, 0, 24, 58, 255] + IPAddress("fd00:1::11")!.bytes + IPAddress("ff02::1:ff00:12")!.bytes
            + [0x87, 0, 0x80, 0x6F, 0, 0, 0, 0] + IPAddress("fd00:1::12")!.bytes)

    // MARK: - States

    private static func with(_ objects: RouterObject..., in test: TestRouter = TestRouter()) -> TestRouter {
        for (object, outcome) in zip(objects, test.router.apply(objects.map(RouterOperation.upsert))) where outcome != .ok {
            Issue.record("\(object): \(outcome)")
        }
        return test
    }
    /// All buffers but one are out.
    private static func dry(_ test: TestRouter) -> TestRouter {
        withUnsafeTemporaryAllocation(of: vr_frame.self, capacity: 1) { frame in
            var taken = 0
            while test.pool.allocate(lane: 0, into: frame.baseAddress!, count: 1) == 1 { taken += 1 }
            #expect(taken > 0)
            test.pool.release(lane: 0, frame.baseAddress!, count: 1)
        }
        return test
    }

    static let rows: [Row] = [
        Row(.invalidARP, "ARP for another kind of hardware", arp.prefix(14) + [0, 7] + arp.dropFirst(16)),
        Row(.invalidARP, "half an ARP packet out of a tunnel", from: true, vxlan(5001, Array(remoteARP.prefix(28)))),
        Row(.flowTableFull, "more flows than there are entries", count: 1...5000, state: { TestRouter(flows: 64) }) { _ in
            (0..<2000).map { routed("10.1.0.12", udp(1000 + $0, 2000)) }
        },
        Row(
            .newFlowDrop, "a second flow of a vif that may have one", count: 1...1,
            state: {
                let test = TestRouter()
                var spec = test.router.vifs(after: nil, limit: 100).first { $0.spec.name == "blue1" }!.spec
                spec.flowLimit = 1
                _ = test.router.apply([.upsert(.vif(spec))])
                return test
            }
        ) { _ in (0..<2).map { routed("10.1.0.12", udp(1000 + $0, 2000)) } },
        Row(
            .flowActionDrop, "a flow whose action is drop",
            state: {
                with(
                    .flow(
                        FlowSpec(
                            key: FlowKeySpec(
                                vrf: .init(1), source: IPAddress("10.1.0.11")!, destination: IPAddress("10.1.0.12")!, proto: 17, sourcePort: 1000,
                                destinationPort: 2000), action: .drop)))
            }, routed("10.1.0.12")),
        Row(.discards, "an address of the subnet that nobody has", routed("10.1.0.99")),
        Row(.ttlExceeded, "the last hop", ethernet(gateway, a, 0x0800, ipv4("10.1.0.11", "10.1.0.12", ttl: 1, udp()))),
        Row(
            .invalidNextHop, "a tunnel without a label",
            state: { with(.route(RouteSpec(vrf: .init(1), prefix: IPPrefix("10.3.0.0/24")!, nextHop: .init(1)))) }, routed("10.3.0.9")),
        Row(
            .invalidLabel, "a label that is bound to nothing", from: true, outer(6635, [0x12, 0x34, 0x51, 64] + ipv4("10.3.0.9", "10.1.0.11", udp()))),
        Row(.invalidProtocol, "LLDP to the gateway", ethernet(gateway, a, 0x88CC, [UInt8](repeating: 0, count: 46))),
        Row(
            .packetLoop, "two VRFs that lead to each other",
            state: {
                with(
                    .nextHop(NextHopSpec(id: .init(50), kind: .vrf(.init(1), bridges: false))),
                    .nextHop(NextHopSpec(id: .init(51), kind: .vrf(.init(2), bridges: false))),
                    .route(RouteSpec(vrf: .init(1), prefix: IPPrefix("10.9.0.0/16")!, nextHop: .init(51))),
                    .route(RouteSpec(vrf: .init(2), prefix: IPPrefix("10.9.0.0/16")!, nextHop: .init(50))))
            }, routed("10.9.0.1")),
        Row(
            .push, "a frame at the beginning of its buffer, into a tunnel",
            state: {
                let test = TestRouter()
                test.blue1.headroom = 8
                return test
            }, routed("10.3.0.9")),
        Row(.pull, "ten octets", Array(routed("10.1.0.12").prefix(10))),
        Row(.headAllocation, "an answer to be made while no buffer is free", state: { dry(TestRouter()) }, solicitation),
        Row(.invalidPacket, "an IPv4 header of 16 octets", Array(routed("10.1.0.12").prefix(14)) + [0x44] + routed("10.1.0.12").dropFirst(15)),
        Row(.nowhereToGo, "for the node, which has no host interface", from: true, outer(53, [1, 2, 3])),
        Row(.checksumError, "a damaged IPv4 header", Array(routed("10.1.0.12").prefix(18)) + [0xFF] + routed("10.1.0.12").dropFirst(19)),
        Row(.invalidVNI, "a VNI that is bound to nothing", from: true, vxlan(77, routed("10.1.0.11"))),
        Row(.fragmentError, "a first fragment that ends in the middle of 8 octets", routed("10.1.0.12", flags: 0x2000, Array(udp().prefix(12)))),
        Row(
            .invalidSource, "from a group address", ethernet(gateway, MACAddress("01:00:5e:00:00:01")!, 0x0800, ipv4("10.1.0.11", "10.1.0.12", udp()))
        ),
        Row(
            .noL2Route, "to a MAC address that nobody has",
            ethernet(MACAddress("02:00:00:00:09:99")!, a, 0x0800, ipv4("10.1.0.11", "10.1.0.12", udp()))),
        Row(.noRoute, "out of the network", routed("192.0.2.1")),
        Row(
            .transmitQueueFull, "to a port that takes nothing",
            state: {
                let test = TestRouter()
                test.blue2.transmitCapacity = 0
                return test
            }, routed("10.1.0.12")),
        Row(
            .packetTooBig, "2000 octets with DF to an MTU of 1500", routed("10.1.0.12", flags: 0x4000, udp(1, 2, [UInt8](repeating: 1, count: 1972)))),
        Row(.trapNoListener, "to the gateway, and no control program", routed("10.1.0.1")),
        Row(
            .trapQueueFull, "more ARP on the fabric than the queue holds", from: true, count: 1...3000,
            state: {
                let test = TestRouter()
                _ = test.router.addTrapListener { _ in }
                return test
            }
        ) { _ in (0..<3000).map { _ in Golden.fabricARPReply } },
        Row(
            .noBackend, "a service without backends",
            state: {
                let test = TestRouter()
                _ = test.router.apply([NATRuleTests.service([])])
                return test
            }, NATRuleTests.syn(2000)),
        Row(
            .natPortsExhausted, "a second flow to the same place, and one port", count: 1...1,
            state: {
                let test = TestRouter()
                let out = RouteSpec(vrf: .init(2), prefix: IPPrefix("198.51.100.0/24")!, nextHop: .init(40))
                _ = test.router.apply([shares(61001...61001), .upsert(.route(out))])
                return test
            }, frames: { _ in [NATRuleTests.syn(2000, to: "198.51.100.9"), NATRuleTests.syn(2001, to: "198.51.100.9")] }),
        Row(
            .noTranslation, "GRE from behind an address that is shared",
            state: {
                let test = TestRouter()
                _ = test.router.apply([shares(1024...2047)])
                return test
            }, ethernet(gateway, a, 0x0800, ipv4("10.1.0.11", "198.51.100.9", proto: 47, [0, 0, 8, 0]))),
        Row(
            .trapRateLimited, "more to the gateway than a workload's share", count: 1...3000,
            state: {
                let test = TestRouter()
                _ = test.router.addTrapListener { _ in }
                return test
            }
        ) { _ in (0..<3000).map { _ in routed("10.1.0.1") } },
        Row(.invalidDestination, "to 127.0.0.1", routed("127.0.0.1")),
        Row(
            .noFragmentEntries, "a ninth datagram in fragments, where a vif may hold eight", count: 1...1, state: { TestRouter(fragmentCapacity: 16) }
        ) { _ in
            (1...9).map { ethernet(gateway, a, 0x0800, ipv4("10.1.0.11", "10.1.0.12", flags: 0x2000, id: $0, Array(udp().prefix(24)))) }
        },
        Row(.multicastClone, "a broadcast while no buffer is free", count: 1...16, state: { dry(FloodTests.router()) }, arp),
        Row(
            .invalidMulticastSource, "a broadcast from a node that is no member", from: true, state: { FloodTests.router() },
            vxlan(5001, remoteARP, source: "10.0.0.99")),
        Row(
            .jumboMulticast, "a group's packet with DF that is larger than the way out", count: 1...16, state: { FloodTests.router() },
            ethernet(
                MACAddress("01:00:5e:02:02:02")!, a, 0x0800,
                ipv4("10.1.0.11", "224.2.2.2", flags: 0x4000, udp(1, 2, [UInt8](repeating: 1, count: 1972)))
            )),
        Row(.unknownVLAN, "a tag without a sub-interface", ethernet(gateway, a, 0x8100, [0, 5, 8, 0] + ipv4("10.1.0.11", "10.1.0.12", udp()))),
    ]

    /// Reasons that no single packet can give on an idle router, and why they are there.
    static let others: [DropReason: String] = [
        .invalidInterface: "a vif goes while frames for it are under way between two stages: HotChangeTests",
        .interfaceTransmitDiscard: "a port is closed while frames for it are staged: HotChangeTests",
        .interfaceDrop: "frames from a vif of a kind that sends nothing into the router",
        .misc: "a packet that left a stage without a verdict: a fault of the router's, never to be seen",
        .fragmentQueueFull: "more fragments wait for their first than may; those that wait are no drops yet: FragmentTests",
        .flowQueueLimit: "packets wait for a decision; those that wait are no drops yet: HeldFlowTests",
        .flowUnusable: "a flow that nobody decides about is deleted: HeldFlowTests",
        .workerQueueFull: "needs a second worker that does not keep up: SpreadingTests",
    ]

    @Test func everyReasonIsHere() {
        let tested = Set(Self.rows.map(\.reason))
        #expect(tested.isDisjoint(with: Self.others.keys))
        #expect(tested.union(Self.others.keys) == Set(DropReason.allCases))
        #expect(Set(DropReason.allCases.map(\.label)).count == DropReason.allCases.count, "labels are unique")
        #expect(Set(DropReason.allCases.map(\.name)).count == DropReason.allCases.count)
    }

    @Test(arguments: rows) func isDroppedForThisReasonAndNoOther(_ row: Row) throws {
        let test = row.state()
        let frames = row.frames(test)
        (row.isFromFabric ? test.fabric : test.blue1).input += frames
        // Without delivering traps at first: so the queue to the control program can fill.
        test.router.run(turns: 100)
        test.router.runUntilExhausted()
        let status = test.router.status(), dropped = test.allDrops
        #expect(status.totals.isBalanced, "\(status.totals)")
        #expect(Array(dropped.keys) == [row.reason.name], "\(dropped)")
        #expect(row.count.contains(dropped[row.reason.name] ?? 0), "\(dropped)")
        // What says that it was dropped says so to everybody: the totals, the worker, the log.
        #expect(status.totals.dropped == dropped.values.reduce(0, +))
        #expect(status.workers.flatMap(\.drops).map(\.reason) == [row.reason])
    }
}
