import DataplaneAPI
import NetTypes
import Overlay
import SwiftProtobuf
import Testing

@testable import Agent

@Suite struct IdentifierAllocatorTests {
    /// A restarted agent, told the same, wants exactly what is there: nothing is touched.
    @Test func aRestartChangesNothing() {
        let inputs = Fixture.inputs(routes: [
            Fixture.route("blue", "10.1.0.12/32", label: 5001), Fixture.route("red", "10.2.0.12/32", label: 21, .mplsOverUDP),
        ])
        var first = IdentifierAllocator()
        // Another history: ports and networks came one after another, so the numbers are not those of a fresh start.
        _ = DesiredState(Fixture.inputs(networks: [Fixture.red], ports: [Fixture.redA]), allocator: &first)
        let actual = DesiredState(inputs, allocator: &first).objects
        var second = IdentifierAllocator()
        second.recover(from: Array(actual.values))
        let desired = DesiredState(inputs, allocator: &second).objects
        #expect(Difference.operations(desired: desired, actual: actual, sweeps: true).isEmpty)
        var fresh = IdentifierAllocator()
        #expect(DesiredState(inputs, allocator: &fresh).objects != actual)
    }

    @Test func foreignNumbersAreNotUsed() {
        var allocator = IdentifierAllocator()
        let foreign = TableObject.with {
            $0.nextHop = .with {
                $0.id = 1; $0.vrf = .with { $0.vrf = 1 }
            }
        }
        let label = TableObject.with {
            $0.label = .with {
                $0.label = 16; $0.nextHop = 1
            }
        }
        allocator.recover(from: [foreign, label])
        #expect(allocator.nextHop(.vrf(VRFID(1))) == NextHopID(2))
        #expect(allocator.label(VifID(3)) == Label(17))
    }

    @Test func vrfsAndVifsAreKnownByName() {
        var allocator = IdentifierAllocator()
        allocator.recover(from: [
            .vrf(VRFID(7), name: "blue"),
            .with {
                $0.vif = .with {
                    $0.id = 9; $0.name = "tap1"
                }
            },
            .with {
                $0.vif = .with {
                    $0.id = 0; $0.name = "fabric0"
                }
            },
        ])
        #expect(allocator.vrf("blue") == VRFID(7) && allocator.vif("tap1") == VifID(9))
        #expect(allocator.vrf("red") == VRFID(1) && allocator.vif("tap2") == VifID(3))
    }

    @Test func numbersAreFreedWhenTheDataPlaneLetGo() {
        var allocator = IdentifierAllocator()
        #expect(allocator.vif("a") == VifID(3) && allocator.label(VifID(3)) == Label(16))
        allocator.beginRound()
        allocator.endRound { $0 == .vif(VifID(3)) || $0 == .label(Label(16)) }
        #expect(allocator.vif("b") == VifID(4))
        allocator.beginRound()
        allocator.endRound { _ in false }
        #expect(allocator.vif("c") == VifID(3))
        // A label is not given to another at once: packets with it may be on their way.
        #expect(allocator.label(VifID(3)) == Label(17))
    }

    @Test func aFullRangeIsNil() {
        var pool = IdentifierAllocator.Pool<Int>(5...7)
        #expect([1, 2, 3, 4].map { pool.number(for: $0) } == [5, 6, 7, nil])
        #expect(pool.number(for: 2) == 6)
        pool = .init(5...7, rotates: true)
        pool.reserve(6)
        #expect([1, 2, 3].map { pool.number(for: $0) } == [5, 7, nil])
    }
}
