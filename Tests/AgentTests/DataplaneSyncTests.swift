import DataplaneAPI
import NetTypes
import Overlay
import SwiftProtobuf
import Testing

@testable import Agent

@Suite struct DataplaneSyncTests {
    func desired(_ inputs: DesiredState.Inputs = Fixture.inputs()) -> [TableKey: TableObject] {
        var allocator = IdentifierAllocator()
        return DesiredState(inputs, allocator: &allocator).objects
    }

    @Test func nothingIsSentBeforeTheTablesAreRead() {
        var sync = DataplaneSync()
        #expect(sync.plan(desired: desired(), sweeps: true, now: .zero).isEmpty)
        sync.readBack([], instance: "1")
        #expect(sync.plan(desired: desired(), sweeps: true, now: .zero).count == desired().count)
    }

    @Test func onlyWhatIsAcknowledgedIsHeld() {
        var sync = DataplaneSync()
        let desired = desired()
        sync.readBack([], instance: "1")
        let operations = sync.plan(desired: desired, sweeps: true, now: .zero)
        let vif = TableKey.vif(VifID(3))
        sync.acknowledged(operations, operations.map { $0.key == vif ? refusal(.portFailed, "no device") : ok }, now: .zero)
        #expect(!sync.holds(vif, of: desired) && sync.holds(.port("tap-blue-a"), of: desired))
        #expect(sync.refused[vif]?.message == "no device" && sync.refused[vif]?.code == .portFailed && sync.refused[vif]?.retries == 0)
    }

    @Test func whatDependsOnARefusedObjectWaits() throws {
        var sync = DataplaneSync()
        let desired = desired()
        sync.readBack([], instance: "1")
        // The port is refused, and for want of it the vif, its next hops, label, routes and bridge entry, and what floods to it.
        let port = TableKey.port("tap-blue-a")
        let first = sync.plan(desired: desired, sweeps: true, now: .zero)
        var missing: Set<TableKey> = [port]
        let answers = first.map { operation in
            if operation.key == port { return refusal(.portFailed, "no such interface tap-blue-a") }
            guard operation.object?.dependencies.contains(where: missing.contains) == true else { return ok }
            missing.insert(operation.key)
            return refusal(.notFound, "it is not there")
        }
        sync.acknowledged(first, answers, now: .zero)
        #expect(missing.count == 10 && !sync.needsAudit)
        // While it waits none of them is sent, and the one reason is what is shown.
        let second = sync.plan(desired: desired, sweeps: true, now: .zero)
        #expect(second.isEmpty)
        #expect(sync.refused.keys.sorted { $0 < $1 } == [port])
        // When its time comes all of it goes at once.
        let third = sync.plan(desired: desired, sweeps: true, now: DataplaneSync.longestPause)
        #expect(
            third.first?.key == port && third.contains { $0.key == .vif(VifID(3)) }
                && third.contains { $0.key == .bridge(VRFID(1), Fixture.blueA.mac) })
        sync.acknowledged(third, third.map { _ in ok }, now: .zero)
        #expect(sync.refused.isEmpty && sync.plan(desired: desired, sweeps: true, now: .zero).isEmpty)
    }

    /// One tunnel that is refused costs its node the broadcasts, and nobody else.
    @Test func aCompositeTakesTheMembersThatAreThere() throws {
        let other = IPv4Address(10, 0, 0, 13)
        let desired = desired(
            Fixture.inputs(
                routes: [Fixture.inclusive("blue", label: 5001), Fixture.inclusive("blue", label: 5001, via: other)],
                neighbours: [Fixture.peer: Fixture.peerMAC, other: MACAddress("02:00:00:00:00:13")!]))
        let flood = try #require(desired.flood(VRFID(1)))
        let bad = TableKey.nextHop(NextHopID(try #require(flood.evpn.first).nextHop))
        var sync = DataplaneSync()
        sync.readBack([], instance: "1")
        let first = sync.plan(desired: desired, sweeps: true, now: .zero)
        let composite = try #require(first.first { $0.object?.isComposite == true })
        sync.acknowledged(
            first,
            first.map { operation in
                if operation.key == bad { return refusal(.tableFull, "full") }
                return operation.key == composite.key || operation.key == .bridge(VRFID(1), .broadcast) ? refusal(.notFound, "it is not there") : ok
            }, now: .zero)
        // What succeeded ended the pause; the member is refused again, and the rest goes without it.
        let again = TableOperation(key: bad, object: desired[bad])
        sync.acknowledged([again], [refusal(.tableFull, "full")], now: .zero)
        let second = sync.plan(desired: desired, sweeps: true, now: .zero)
        #expect(second.map(\.key) == [composite.key, .bridge(VRFID(1), .broadcast)])
        #expect(second.first?.object?.nextHop.multicast.evpn.map(\.nextHop) == [flood.evpn[1].nextHop])
        #expect(second.first?.object?.nextHop.multicast.local == flood.local)
        sync.acknowledged(second, second.map { _ in ok }, now: .zero)
        sync.acknowledged([again], [refusal(.tableFull, "full")], now: .zero)
        #expect(sync.plan(desired: desired, sweeps: true, now: .zero).isEmpty, "nothing is said twice")
        // It is there after all: the composite is completed in the same plan.
        let third = sync.plan(desired: desired, sweeps: true, now: DataplaneSync.longestPause)
        #expect(third.map(\.key) == [bad, composite.key])
        sync.acknowledged(third, third.map { _ in ok }, now: .zero)
        #expect(sync.actual.flood(VRFID(1)) == flood)
    }

    @Test func pausesGrow() {
        var sync = DataplaneSync()
        sync.readBack([], instance: "1")
        let desired: [TableKey: TableObject] = [.port("x"): .port("x", driver: .pcap, index: VifID(3))]
        var now = Duration.zero, pauses: [Duration] = []
        for _ in 0..<9 {
            let operations = sync.plan(desired: desired, sweeps: true, now: now)
            #expect(operations.count == 1)
            sync.acknowledged(operations, [refusal(.portFailed, "no")], now: now)
            let retry = sync.nextRetry ?? .zero
            pauses.append(retry - now)
            #expect(sync.plan(desired: desired, sweeps: true, now: retry - .milliseconds(1)).isEmpty)
            now = retry
        }
        #expect(pauses.prefix(4) == [.milliseconds(250), .milliseconds(500), .seconds(1), .seconds(2)] && pauses.last == DataplaneSync.longestPause)
        #expect(sync.refused[.port("x")]?.retries == 8)
    }

    @Test func aChangedObjectIsTriedAtOnceAndASuccessEndsThePauses() {
        var sync = DataplaneSync()
        sync.readBack([], instance: "1")
        var desired: [TableKey: TableObject] = [.port("x"): .port("x", driver: .pcap, index: VifID(3))]
        sync.acknowledged(sync.plan(desired: desired, sweeps: true, now: .zero), [refusal(.portFailed, "no")], now: .zero)
        desired[.port("x")] = .port("x", driver: .pcap, index: VifID(3), mtu: 9000)
        #expect(sync.plan(desired: desired, sweeps: true, now: .zero).count == 1)
        desired[.port("x")] = .port("x", driver: .pcap, index: VifID(3))
        desired[.port("y")] = .port("y", driver: .pcap, index: VifID(4))
        let other = sync.plan(desired: desired, sweeps: true, now: .zero)
        #expect(other.map(\.key) == [.port("y")])
        sync.acknowledged(other, [ok], now: .zero)
        #expect(sync.plan(desired: desired, sweeps: true, now: .zero).map(\.key) == [.port("x")])
    }

    @Test func aNewInstanceGetsEverythingAgain() {
        var sync = DataplaneSync()
        let desired = desired()
        sync.readBack([], instance: "1")
        let operations = sync.plan(desired: desired, sweeps: true, now: .zero)
        sync.acknowledged(operations, operations.map { _ in ok }, now: .zero)
        sync.disconnected()
        #expect(sync.plan(desired: desired, sweeps: true, now: .zero).isEmpty)
        // The same router again: nothing to do.
        sync.readBack(Array(desired.values), instance: "1")
        #expect(sync.plan(desired: desired, sweeps: true, now: .zero).isEmpty)
        // Another one: all of it, and that is no divergence.
        #expect(sync.readBack([], instance: "2") == 0)
        #expect(sync.plan(desired: desired, sweeps: true, now: .zero).count == desired.count)
    }

    @Test func theAuditRepairs() {
        var sync = DataplaneSync()
        let desired = desired()
        sync.readBack(Array(desired.values), instance: "1")
        var table = desired
        let route = TableKey.route(VRFID(1), IPPrefix("10.1.0.10/32")!)
        table[route] = nil
        table[.vif(VifID(3))]?.vif.antispoof = false
        table[.label(Label(77))] = .label(Label(77), nextHop: .discard)
        #expect(sync.readBack(Array(table.values), instance: "1") == 3)
        let operations = sync.plan(desired: desired, sweeps: true, now: .zero)
        #expect(Set(operations.map(\.key)) == [route, .vif(VifID(3)), .label(Label(77))])
    }

    @Test func aMissingObjectCallsForAnAudit() {
        var sync = DataplaneSync()
        sync.readBack([], instance: "1")
        let desired: [TableKey: TableObject] = [.label(Label(16)): .label(Label(16), nextHop: NextHopID(4))]
        sync.acknowledged(sync.plan(desired: desired, sweeps: true, now: .zero), [refusal(.notFound, "next hop 4 does not exist")], now: .zero)
        #expect(sync.needsAudit)
        sync.readBack([], instance: "1")
        #expect(!sync.needsAudit)
    }

    @Test func deletingWhatIsGoneIsDone() {
        var sync = DataplaneSync()
        sync.readBack([.label(Label(16), nextHop: .discard)], instance: "1")
        let operations = sync.plan(desired: [:], sweeps: true, now: .zero)
        #expect(operations.count == 1)
        sync.acknowledged(operations, [refusal(.notFound, "no label 16")], now: .zero)
        #expect(sync.actual.isEmpty && sync.refused.isEmpty)
    }

    @Test func refusalsOfWhatIsNoLongerWantedAreForgotten() {
        var sync = DataplaneSync()
        sync.readBack([], instance: "1")
        let desired: [TableKey: TableObject] = [.port("x"): .port("x", driver: .pcap, index: VifID(3))]
        sync.acknowledged(sync.plan(desired: desired, sweeps: true, now: .zero), [refusal(.portFailed, "no")], now: .zero)
        sync.forgetRefusals(desired: desired)
        #expect(sync.refused.count == 1)
        sync.forgetRefusals(desired: [:])
        #expect(sync.refused.isEmpty)
    }
}
