import DataplaneAPI
import NetTypes
import Overlay
import SwiftProtobuf
import Testing

@testable import Agent

@Suite struct DifferenceTests {
    /// Any desired state and any actual one, made of the same few networks, ports and routes, some missing, some changed.
    static func random(_ generator: inout some RandomNumberGenerator) -> DesiredState.Inputs {
        func maybe<T>(_ list: [T]) -> [T] { list.filter { _ in Bool.random(using: &generator) } }
        var blue = Fixture.blue
        if Bool.random(using: &generator) { blue.vni = VNI(6000) }
        if Bool.random(using: &generator) { blue.forwarding = .l3 }
        let endpoint = Bool.random(using: &generator) ? Fixture.peer : IPv4Address(10, 0, 0, 13)
        let mac = MACAddress(rawValue: 0x0200_0000_0000 | UInt64.random(in: 1...3, using: &generator))
        let routes = maybe([
            Fixture.route("blue", "10.1.0.12/32", label: 5001, via: endpoint), Fixture.route("blue", "fd00:1::12/128", label: 5001, via: endpoint),
            Fixture.evpn("blue", "02:00:00:00:01:0c", "10.1.0.12/32", label: 5001, via: endpoint),
            Fixture.route("red", "10.2.0.12/32", label: UInt32.random(in: 16...19, using: &generator), via: endpoint, .mplsOverUDP),
            Fixture.inclusive("blue", label: 5001, via: endpoint),
        ])
        return Fixture.inputs(
            networks: maybe([blue, Fixture.red]), ports: maybe([Fixture.blueA, Fixture.redA]), routes: routes,
            neighbours: Bool.random(using: &generator) ? [endpoint: mac] : [:])
    }

    @Test func appliedItGivesTheDesiredStateAndThenNothing() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<300 {
            var allocator = IdentifierAllocator()
            var actual = DesiredState(Self.random(&generator), allocator: &allocator).objects
            // Some of it lost, and something of somebody else's there.
            actual = actual.filter { _ in Int.random(in: 0..<5, using: &generator) > 0 }
            let foreign = TableObject.with {
                $0.label = .with {
                    $0.label = 999; $0.nextHop = 0; $0.cookie = 1
                }
            }
            actual[.label(Label(999))] = foreign
            allocator = IdentifierAllocator()
            allocator.recover(from: Array(actual.values))
            let desired = DesiredState(Self.random(&generator), allocator: &allocator).objects

            let operations = Difference.operations(desired: desired, actual: actual, sweeps: true)
            Self.checkOrder(operations, actual: actual)
            actual.apply(operations)
            #expect(actual.removeValue(forKey: .label(Label(999))) == foreign)
            #expect(actual == desired)
            #expect(Difference.operations(desired: desired, actual: actual, sweeps: true).isEmpty)
        }
    }

    /// Played step by step, nothing ever names what is not there.
    static func checkOrder(_ operations: [TableOperation], actual start: [TableKey: TableObject]) {
        var actual = start
        let broken = Set(start.values.flatMap(\.dependencies)).filter { start[$0] == nil }
        for operation in operations {
            actual[operation.key] = operation.object
            if let object = operation.object {
                for dependency in object.dependencies where dependency != .nextHop(.discard) {
                    #expect(actual[dependency] != nil, "\(operation.key) before \(dependency)")
                }
            } else {
                let users = actual.filter { $0.value.dependencies.contains(operation.key) && !broken.contains(operation.key) }
                #expect(users.isEmpty, "\(operation.key) deleted under \(users.keys)")
            }
        }
    }

    @Test func withoutSweepingNothingIsDeleted() {
        var allocator = IdentifierAllocator()
        let actual = DesiredState(Fixture.inputs(), allocator: &allocator).objects
        let desired = DesiredState(Fixture.inputs(ports: []), allocator: &allocator).objects
        #expect(Difference.operations(desired: desired, actual: actual, sweeps: false).isEmpty)
        let operations = Difference.operations(desired: desired, actual: actual, sweeps: true)
        #expect(!operations.isEmpty && operations.allSatisfy { $0.object == nil })
        #expect(operations.map(\.key.rank) == operations.map(\.key.rank).sorted(by: >))
    }

    /// Another node asks for broadcasts, and one stops: the composite follows in place, after the tunnel it needs and before the one it no longer names.
    @Test func aCompositeFollowsItsMembersInOrder() {
        var allocator = IdentifierAllocator()
        let other = IPv4Address(10, 0, 0, 13)
        let neighbours = [Fixture.peer: Fixture.peerMAC, other: MACAddress("02:00:00:00:00:13")!]
        let before = DesiredState(
            Fixture.inputs(routes: [Fixture.inclusive("blue", label: 5001)], neighbours: neighbours), allocator: &allocator
        ).objects
        let after = DesiredState(
            Fixture.inputs(routes: [Fixture.inclusive("blue", label: 5001, via: other)], neighbours: neighbours), allocator: &allocator
        ).objects
        let operations = Difference.operations(desired: after, actual: before, sweeps: true)
        Self.checkOrder(operations, actual: before)
        #expect(operations.map { "\($0.object == nil ? "-" : "+")\($0.object?.isComposite == true ? "*" : "")" } == ["+", "+*", "-"])
        // All of it new, and all of it gone: the composite has a lower number than a tunnel that came later, and still comes after it.
        Self.checkOrder(Difference.operations(desired: after, actual: [:], sweeps: true), actual: [:])
        Self.checkOrder(Difference.operations(desired: [:], actual: after, sweeps: true), actual: after)
    }

    /// After a restart routes come in one by one: nobody loses broadcasts for that.
    @Test func aCompositeKeepsItsMembersUntilStaleOnesMayGo() throws {
        var allocator = IdentifierAllocator()
        let before = DesiredState(Fixture.inputs(routes: [Fixture.inclusive("blue", label: 5001)]), allocator: &allocator).objects
        let after = DesiredState(Fixture.inputs(), allocator: &allocator).objects
        #expect(Difference.operations(desired: after, actual: before, sweeps: false).isEmpty)
        var actual = before
        actual.apply(Difference.operations(desired: after, actual: before, sweeps: true))
        #expect(actual == after && after.flood(VRFID(1))?.evpn.isEmpty == true)
    }

    @Test func aMovedNeighbourChangesOneNextHopAndNoRoute() {
        var allocator = IdentifierAllocator()
        let routes = [Fixture.route("blue", "10.1.0.12/32", label: 5001), Fixture.route("blue", "10.1.0.13/32", label: 5001)]
        let before = DesiredState(Fixture.inputs(routes: routes), allocator: &allocator).objects
        let moved = [Fixture.peer: MACAddress("02:00:00:00:00:99")!]
        let after = DesiredState(Fixture.inputs(routes: routes, neighbours: moved), allocator: &allocator).objects
        let operations = Difference.operations(desired: after, actual: before, sweeps: true)
        #expect(operations.count == 1 && operations.first?.key.rank == 5)
    }

    /// A route to another node: the new next hop first, then the route, then the old next hop goes.
    @Test func makesBeforeItBreaks() {
        var allocator = IdentifierAllocator()
        let other = IPv4Address(10, 0, 0, 13)
        let neighbours = [Fixture.peer: Fixture.peerMAC, other: MACAddress("02:00:00:00:00:13")!]
        let before = DesiredState(
            Fixture.inputs(routes: [Fixture.route("blue", "10.1.0.12/32", label: 5001)], neighbours: neighbours), allocator: &allocator
        ).objects
        let after = DesiredState(
            Fixture.inputs(routes: [Fixture.route("blue", "10.1.0.12/32", label: 5001, via: other)], neighbours: neighbours), allocator: &allocator
        ).objects
        let operations = Difference.operations(desired: after, actual: before, sweeps: true)
        #expect(operations.map { "\($0.object == nil ? "-" : "+")\($0.key.rank)" } == ["+5", "+8", "-5"])
    }

    /// What the data plane makes of a zero it says in fields of its own; those are no difference, and neither are its counters.
    @Test func answersAreNoDifference() {
        let wanted = TableObject.port("tap", driver: .pcap, index: VifID(3))
        var answer = wanted
        answer.port.stats.rxPackets = 7
        answer.port.effectiveMtu = 1500
        #expect(answer.withoutOutput == wanted)
        var fixed = wanted
        fixed.port.mtu = 9000
        #expect(answer.withoutOutput != fixed && fixed.withoutOutput != wanted)
        answer.port.pcap.interface = "other"
        #expect(answer.withoutOutput != wanted)
    }

    /// An MTU or a number of queues that is asked for no longer goes, as one that is asked for comes.
    @Test func whatIsNoLongerAskedForGoes() {
        var allocator = IdentifierAllocator()
        var inputs = Fixture.inputs(ports: [Fixture.blueA])
        inputs.networks["blue"]?.mtu = 1400
        inputs.configuration.workloadReceive.queues = 2
        var actual = DesiredState(inputs, allocator: &allocator).objects
        #expect(actual[.vif(VifID(3))]?.vif.mtu == 1400 && actual[.port("tap-blue-a")]?.port.queues == 2)
        inputs.networks["blue"]?.mtu = nil
        let vif = Difference.operations(desired: DesiredState(inputs, allocator: &allocator).objects, actual: actual, sweeps: true)
        #expect(vif.map(\.key) == [.vif(VifID(3))] && vif.first?.object?.vif.mtu == 0)
        actual.apply(vif)
        inputs.configuration.workloadReceive.queues = 0
        let desired = DesiredState(inputs, allocator: &allocator).objects
        let operations = Difference.operations(desired: desired, actual: actual, sweeps: true)
        Self.checkOrder(operations, actual: actual)
        #expect(operations.contains { $0.key == .port("tap-blue-a") && $0.object == nil })
        actual.apply(operations)
        #expect(actual == desired)
    }

    /// Another driver for the workloads: the ports are closed with all that stands on them, and the rest is not touched.
    @Test func aPortIsReopenedWhenItsDriverChanges() {
        var allocator = IdentifierAllocator()
        var inputs = Fixture.inputs(ports: [Fixture.blueA])
        var actual = DesiredState(inputs, allocator: &allocator).objects
        inputs.configuration.workloadDriver = .pcap
        let desired = DesiredState(inputs, allocator: &allocator).objects
        let operations = Difference.operations(desired: desired, actual: actual, sweeps: false)
        Self.checkOrder(operations, actual: actual)
        #expect(operations.first?.key.rank == 9 && operations.first?.object == nil)
        #expect(operations.contains { $0.key == .port("tap-blue-a") && $0.object == nil })
        #expect(!operations.contains { $0.key == .vif(VifID(0)) || $0.key == .vni(VNI(5001)) || $0.key == .vrf(VRFID(1)) })
        actual.apply(operations)
        #expect(actual == desired)
    }
}
