import NetTypes
import Testing

@testable import Dataplane

/// A program behind a port gets what is trapped, and sends, as frames; the headers before them are by hand (`AgentHeader`).
@Suite struct AgentVifTests {
    private static let mac = MACAddress("02:00:00:00:0a:01")!
    private static func spec(_ id: UInt32 = 9, port: String = "host") -> VifSpec {
        VifSpec(id: VifID(id), name: "pkt0", kind: .agent, port: port, vrf: VRFID(0), mac: mac)
    }
    /// The demo's router with services on blue1 and, at the port "host", the program.
    private static func router() -> TestRouter {
        let test = ServiceTrapTests.router()
        #expect(test.router.apply([.upsert(.port(PortSpec(name: "host", driver: .loopback))), .upsert(.vif(spec()))]) == [.ok, .ok])
        return test
    }
    private static func ethernet(_ type: String = "88b5") -> [UInt8] { hex("ffffffffffff 020000000a01" + type) }
    private static func header(vif: UInt8, vrf: UInt8, command: UInt8) -> [UInt8] { [0, vif, 0, vrf, 0, command] + Array(repeating: 0, count: 24) }

    @Test func whatIsTrappedLeavesByIt() {
        let test = Self.router()
        test.send(GoldenServices.discover, from: test.blue1)
        #expect(test.host.take() == [Self.ethernet() + Self.header(vif: 3, vrf: 1, command: 7) + GoldenServices.discover])
        // To the gateway, by next hop 90.
        test.send(GoldenServices.dnsQuery, from: test.blue1)
        let query = test.host.take().first ?? []
        #expect(Array(query.prefix(44)) == Self.ethernet() + hex("0003 0001 0004 00000000 0000005a 00000000 00000000 00000000 00000000"))
        #expect(query.count == 44 + GoldenServices.dnsQuery.count)
        #expect(test.router.status().totals.trapped == 2 && test.allDrops.isEmpty)
    }

    /// Who listens over the API decides; two answers to one question would be one too many.
    @Test func clientsOfTheAPIGoFirst() {
        let test = Self.router()
        nonisolated(unsafe) var traps = 0
        let token = test.router.addTrapListener { _ in traps += 1 }
        test.send(GoldenServices.discover, from: test.blue1)
        #expect(traps == 1 && test.host.take().isEmpty)
        test.router.removeTrapListener(token)
        test.send(GoldenServices.discover, from: test.blue1)
        #expect(traps == 1 && test.host.take().count == 1)
        // Nobody is left.
        #expect(test.router.apply([.delete(.vif(VifID(9)))]) == [.ok])
        test.send(GoldenServices.discover, from: test.blue1)
        #expect(test.host.take().isEmpty && test.allDrops == ["trap_no_listener": 1])
    }

    @Test func whatThePortDoesNotTakeIsCut() {
        let test = Self.router()
        var small = Self.spec()
        small.mtu = 100
        #expect(test.router.apply([.upsert(.vif(small))]) == [.ok])
        test.send(GoldenServices.discover, from: test.blue1)
        #expect(test.host.take() == [Array((Self.ethernet() + Self.header(vif: 3, vrf: 1, command: 7) + GoldenServices.discover).prefix(114))])
    }

    @Test func whatItSendsLeavesByTheVifThatItNames() {
        let test = Self.router()
        test.send(Self.ethernet() + Self.header(vif: 4, vrf: 0, command: 0) + Golden.routed, from: test.host)
        #expect(test.blue2.take() == [Golden.routed])
        #expect(test.allDrops.isEmpty)
    }

    @Test func whatItHandsInIsAsReceived() {
        let test = Self.router()
        test.send(Self.ethernet() + Self.header(vif: 3, vrf: 1, command: 1) + Golden.routed, from: test.host)
        #expect(test.fabric.take().map(withoutEntropy) == [Golden.routedInVXLAN])
        // The vif keeps flows, and its packets have one whatever came before them in the burst.
        #expect(test.router.flows(from: 0, limit: 9).flows.map(\.packets).sorted() == [0, 1])
        let vif = test.router.vifs(after: nil, limit: 10).first { $0.spec.id == VifID(3) }
        #expect(vif?.counters.receivedPackets == 1 && vif?.counters.receivedBytes == UInt64(Golden.routed.count))
        // Also at the fabric.
        test.send(Self.ethernet() + Self.header(vif: 0, vrf: 0, command: 1) + Golden.backInVXLAN, from: test.host)
        #expect(test.blue1.take() == [Golden.backDelivered])
        #expect(test.allDrops.isEmpty)
    }

    /// Whatever its interface sends by itself, and what makes no sense, goes nowhere.
    @Test func otherFramesAreDropped() {
        let whole = Self.ethernet() + Self.header(vif: 4, vrf: 0, command: 0) + Golden.routed
        let frames: [([UInt8], String)] = [
            (Self.ethernet("86dd") + whole.dropFirst(14), "invalid_protocol"), (Array(whole.prefix(13)), "pull"), (Array(whole.prefix(57)), "pull"),
            (Self.ethernet() + Self.header(vif: 77, vrf: 0, command: 0) + Golden.routed, "invalid_interface"),
            (Self.ethernet() + Self.header(vif: 3, vrf: 2, command: 1) + Golden.routed, "invalid_interface"),
            (Self.ethernet() + Self.header(vif: 9, vrf: 0, command: 1) + Golden.routed, "interface_drop"),
            (Self.ethernet() + Self.header(vif: 3, vrf: 1, command: 2) + Golden.routed, "invalid_protocol"),
        ]
        for (frame, reason) in frames {
            let test = Self.router()
            test.send(frame, from: test.host)
            #expect(test.allDrops == [reason: 1])
            #expect(test.blue1.take().isEmpty && test.blue2.take().isEmpty && test.fabric.take().isEmpty)
        }
    }

    /// What it needs to program the flow over the API is in the parameters: index and generation.
    @Test func flowsThatWaitAreTold() throws {
        let test = Self.router()
        let policy = PolicyPipelineTests.policy(1, [PolicyRule(action: .trap, service: .proto(17))], defaultAction: .pass)
        #expect(test.router.apply([policy, PolicyPipelineTests.attach(test, 4, ingress: [1])]) == [.ok, .ok])
        test.blue1.input = [FlowLimitTests.packet(1000)]
        test.router.run(turns: 2)
        test.router.deliverTraps()
        test.router.run(turns: 1)
        let told = try #require(test.host.take().first)
        let flow = try #require(test.router.flows(from: 0, limit: 9).flows.first { $0.isForward })
        func word(_ offset: Int) -> UInt32 { told[offset..<offset + 4].reduce(0) { $0 << 8 | UInt32($1) } }
        #expect(told[18...19] == [0, 6] && word(20) == flow.index && word(36) == flow.generation)
        var key = flow.spec.key
        key.generation = word(36)
        #expect(test.router.apply([.upsert(.flow(FlowSpec(key: key, action: .forward)))]) == [.ok])
        test.run()
        #expect(test.blue2.take().count == 1)
    }

    @Test func refusals() {
        let test = Self.router()
        func outcome(_ spec: VifSpec) -> RouterOutcome { test.router.apply([.upsert(.vif(spec))])[0] }
        #expect(outcome(Self.spec()) == .ok)
        #expect(outcome(Self.spec(10)) == .inUse("vif 10 (pkt0): vif 9 (pkt0) already sits on port host"))
        var flows = Self.spec()
        flows.keepsFlows = true
        #expect(
            outcome(flows)
                == .invalid(
                    "vif 9 (pkt0): an agent vif has no addresses, flows, checks, marks or floods; its frames are of the vifs that they name"))
        // A port that is free: blue2's.
        let second: [RouterOperation] = [
            .delete(.route(.init(1), IPPrefix("10.1.0.12/32")!)), .delete(.route(.init(1), IPPrefix("fd00:1::12/128")!)),
            .delete(.bridgeEntry(.init(1), TestRouter.c)), .delete(.label(.init(17))), .delete(.nextHop(.init(40))), .delete(.nextHop(.init(41))),
            .delete(.vif(VifID(4))), .upsert(.vif(Self.spec(10, port: "blue2"))),
        ]
        #expect(test.router.apply(second).last == .inUse("vif 10 (pkt0): vif 9 (pkt0) is already the agent vif; one is supported"))
        var workload = Self.spec()
        workload.kind = .virtual
        #expect(outcome(workload) == .invalid("vif 9 (pkt0): exists as agent; delete it first"))
    }
}
