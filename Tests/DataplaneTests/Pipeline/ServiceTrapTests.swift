import NetTypes
import Testing

@testable import Dataplane

@Suite struct ServiceTrapTests {
    /// The demo's router with services on blue1, and the gateway's addresses as routes.
    static func router(antispoof: Bool = false, services: Bool = true) -> TestRouter {
        let test = TestRouter(antispoof: antispoof)
        var spec = test.router.vifs(after: nil, limit: 10).first { $0.spec.id == VifID(3) }!.spec
        spec.services = services
        var objects: [RouterObject] = [.vif(spec), .nextHop(NextHopSpec(id: .init(90), kind: .receive(vif: .init(0))))]
        for address in ["10.1.0.1", "fd00:1::1"] {
            objects.append(.route(RouteSpec(vrf: .init(1), prefix: IPPrefix(host: IPAddress(address)!), nextHop: .init(90), proxies: true)))
        }
        #expect(test.router.apply(objects.map { .upsert($0) }).allSatisfy { $0 == .ok })
        return test
    }

    private static func traps(_ test: TestRouter, _ frames: [UInt8]...) -> [TrapPacket] {
        nonisolated(unsafe) var traps: [TrapPacket] = []
        let token = test.router.addTrapListener { traps.append($0) }
        for frame in frames { test.send(frame, from: test.blue1) }
        test.router.removeTrapListener(token)
        return traps
    }

    @Test func whatIsAskedOfTheNetworkHasAReasonOfItsOwn() {
        let test = Self.router()
        let frames: [([UInt8], TrapPacket.Reason)] = [
            (GoldenServices.discover, .dhcp), (GoldenServices.renewal, .dhcp), (GoldenServices.solicit, .dhcpv6),
            (GoldenServices.routerSolicitation, .routerSolicitation), (GoldenServices.dnsQuery, .dns), (GoldenServices.dnsQuery6, .dns),
            (GoldenServices.dnsOverTCP, .dns), (GoldenServices.toNobody, .receive),
        ]
        for (frame, reason) in frames {
            let traps = Self.traps(test, frame)
            #expect(traps.map(\.reason) == [reason])
            #expect(traps.first?.vif == VifID(3) && traps.first?.vrf == VRFID(1))
            // Routed ones have been received with one hop less to go.
            #expect(traps.first?.packet.count == frame.count)
        }
        #expect(test.allDrops.isEmpty && test.blue2.take().isEmpty && test.fabric.take().isEmpty)
    }

    @Test func antispoofingLetsAWorkloadAskForItsAddress() {
        let test = Self.router(antispoof: true)
        #expect(Self.traps(test, GoldenServices.discover, GoldenServices.fromNowhere).map(\.packet) == [GoldenServices.discover])
        #expect(test.allDrops == ["invalid_source": 1])
    }

    /// One workload floods one service: its other services and its neighbours' do not notice.
    @Test func aFloodTakesItsOwnShareOnly() {
        let test = Self.router()
        nonisolated(unsafe) var count: [TrapPacket.Reason: Int] = [:]
        let token = test.router.addTrapListener { count[$0.reason, default: 0] += 1 }
        for _ in 0..<300 { test.send(GoldenServices.discover, from: test.blue1) }
        let taken = count[.dhcp] ?? 0
        #expect(taken >= 50 && taken < 300)
        #expect(test.allDrops == ["trap_rate_limited": UInt64(300 - taken)])
        test.send(GoldenServices.solicit, GoldenServices.dnsQuery, from: test.blue1)
        #expect(count[.dhcpv6] == 1 && count[.dns] == 1)
        test.router.removeTrapListener(token)
    }

    /// A default router is known by its link-local address (RFC 4861 section 6.1.2), which stands in no table.
    @Test func theRoutersLinkLocalAddressIsAnswered() {
        let test = Self.router()
        test.send(GoldenServices.routerWanted, from: test.blue1)
        #expect(test.blue1.take() == [GoldenServices.routerHere])
        let without = Self.router(services: false)
        without.send(GoldenServices.routerWanted, from: without.blue1)
        #expect(without.blue1.take().isEmpty)
    }
}
