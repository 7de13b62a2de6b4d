import CPlatform
import NetTypes
import Testing

@testable import Dataplane

@Suite("TCP connections that are over") struct ClosedFlowTests {
    /// blue1's, from `port`, to blue2's port 80; `isReply`: the other way.
    private static func segment(_ port: UInt16, _ flags: UInt8, seq: UInt32, ack: UInt32 = 0, isReply: Bool = false) -> [UInt8] {
        func word(_ value: UInt16) -> [UInt8] { [UInt8(value >> 8), UInt8(value & 0xFF)] }
        func long(_ value: UInt32) -> [UInt8] { word(UInt16(value >> 16)) + word(UInt16(value & 0xFFFF)) }
        let client: [UInt8] = [10, 1, 0, 11], server: [UInt8] = [10, 1, 0, 12]
        var ip: [UInt8] = [0x45, 0, 0, 40, 0, 1, 0x40, 0, 64, 6, 0, 0] + (isReply ? server + client : client + server)
        ip.withUnsafeMutableBytes { IPv4($0.baseAddress!).updateChecksum() }
        let (a, b) = (TestRouter.a.bytes, TestRouter.c.bytes)
        return (isReply ? a + b : b + a) + [8, 0] + ip + (isReply ? word(80) + word(port) : word(port) + word(80)) + long(seq) + long(ack)
            + [0x50, flags, 1, 0, 0, 0, 0, 0]
    }
    private static let fin: UInt8 = 0x11, syn: UInt8 = 0x02, rst: UInt8 = 0x04, ack: UInt8 = 0x10

    private func open(_ test: TestRouter, _ port: UInt16) {
        test.send(Self.segment(port, Self.syn, seq: 1000), from: test.blue1)
        test.send(Self.segment(port, Self.syn | Self.ack, seq: 5000, ack: 1001, isReply: true), from: test.blue2)
        test.send(Self.segment(port, Self.ack, seq: 1001, ack: 5001), from: test.blue1)
    }

    private func flows(_ test: TestRouter) -> [FlowReading] {
        test.router.flows(from: 0, limit: 100_000).flows.filter { $0.spec.key.proto == 6 && $0.isForward }
    }

    /// A turn some milliseconds later, in which ageing looks at other entries.
    private func pass(_ test: TestRouter, turns: Int = 1) {
        vr_nap(10_000_000)
        test.router.tables.flows.pool.setCursor(0, 1)
        test.router.run(turns: turns)
    }

    /// So many that ageing needs many rounds to come to those that are made after them.
    private func fill(_ test: TestRouter) {
        for number in 0..<1000 {
            test.blue1.input.append(Self.segment(UInt16(number), Self.ack, seq: 1, ack: 1))
        }
        test.run()
    }

    @Test("Both ends have closed: the flow goes, and those beside it stay") func closed() {
        let test = TestRouter(flows: 8192)
        fill(test)
        open(test, 40_000)
        open(test, 40_001)
        test.send(Self.segment(40_000, Self.fin, seq: 1001, ack: 5001), from: test.blue1)
        test.send(Self.segment(40_000, Self.fin, seq: 5001, ack: 1002, isReply: true), from: test.blue2)
        pass(test)
        // Half closed.
        #expect(flows(test).count == 1002 && test.router.status().flows.closed == 0)
        test.send(Self.segment(40_000, Self.ack, seq: 1002, ack: 5002), from: test.blue1)
        pass(test)
        #expect(flows(test).map(\.spec.key.sourcePort).filter { $0 >= 40_000 } == [40_001])
        #expect(flows(test).count == 1001 && test.router.status().flows.closed == 1)
        // A sequence number that nobody has asked for, and the one that somebody has.
        test.send(Self.segment(40_001, Self.rst, seq: 7), from: test.blue1)
        pass(test)
        #expect(flows(test).count == 1001)
        test.send(Self.segment(40_001, Self.rst, seq: 1001), from: test.blue1)
        pass(test)
        #expect(flows(test).count == 1000 && test.router.status().flows.closed == 2 && test.allDrops == [:])
    }

    @Test("More connections close at once than a worker remembers") func many() {
        let test = TestRouter(flows: 16_384), count = ClosedFlows.capacity + 500
        for port in 0..<count { test.blue1.input.append(Self.segment(UInt16(10_000 + port), Self.syn, seq: 1000)) }
        test.run()
        #expect(flows(test).count == count)
        for port in 0..<count { test.blue2.input.append(Self.segment(UInt16(10_000 + port), Self.rst | Self.ack, seq: 0, ack: 1001, isReply: true)) }
        test.run()
        pass(test, turns: ClosedFlows.capacity / 64)
        #expect(flows(test).isEmpty && test.router.status().flows.closed == UInt64(count))
    }

    @Test("A SYN on the ports of a closed connection is the first packet of a new flow at once") func again() throws {
        let test = TestRouter()
        open(test, 40_000)
        let old = try #require(flows(test).first)
        test.blue1.input = [Self.segment(40_000, Self.rst, seq: 1001), Self.segment(40_000, Self.syn, seq: 90_000)]
        test.run()
        let new = try #require(flows(test).first)
        #expect(flows(test).count == 1 && new.generation != old.generation && new.packets == 1 && new.tcpState == "S")
        #expect(test.router.status().flows.closed == 1 && test.blue2.take().count == 4)
    }

    @Test("Policies are asked about it: it may come from the other side") func otherSide() throws {
        let test = TestRouter(), rule = PolicyRule(remote: .prefixes([IPPrefix("10.1.0.11/32")!]), service: .proto(6))
        let policies = PolicyPipelineTests()
        policies.apply(
            test, .upsert(.policy(PolicySpec(id: PolicyID(1), name: "from blue1", rules: [rule]))),
            .upsert(.policy(PolicySpec(id: PolicyID(2), name: "nobody", rules: []))), PolicyPipelineTests.attach(test, 4, ingress: [1]),
            PolicyPipelineTests.attach(test, 3, ingress: [2]))
        open(test, 40_000)
        #expect(test.blue2.take().count == 2 && test.blue1.take().count == 1)
        test.send(Self.segment(40_000, Self.rst, seq: 1001), from: test.blue1)
        test.send(Self.segment(40_000, Self.syn, seq: 7, isReply: true), from: test.blue2)
        let flow = try #require(flows(test).first)
        #expect(test.blue1.take().isEmpty && flow.spec.action == .drop && flow.spec.key.sourcePort == 80 && test.drops(.flowActionDrop) == 1)
    }
}
