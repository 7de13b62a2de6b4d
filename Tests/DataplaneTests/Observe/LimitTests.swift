import NetTypes
import Testing

@testable import Dataplane

/// A full table's answer names the limit and the option that raises it; what is there may still be changed.
@Suite struct LimitTests {
    private func router() throws -> Router {
        var configuration = RouterConfiguration(flowCapacity: 1024)
        configuration.routeCapacity = 2
        configuration.bridgeCapacity = 1
        configuration.labelCapacity = 1
        configuration.vniCapacity = 1
        let router = Router(configuration, pool: try HeapBufferPool(capacity: 64)) { _ throws(PortError) in throw PortError("no device") }
        #expect(router.apply([.upsert(.vrf(VRFSpec(id: VRFID(1), name: "blue")))]) == [.ok])
        return router
    }

    @Test func tablesSayWhatToRaise() throws {
        let router = try router()
        func route(_ prefix: String, cookie: UInt64 = 0) -> RouterOutcome {
            router.apply([.upsert(.route(RouteSpec(vrf: VRFID(1), prefix: IPPrefix(prefix)!, nextHop: .discard, cookie: cookie)))])[0]
        }
        #expect(route("10.0.0.0/8") == .ok && route("fd00::/8") == .ok)
        #expect(
            route("10.1.0.0/16")
                == .tableFull("route 10.1.0.0/16: the route table holds 2 entries and is full; raise capacities.routes in vrouter.yaml"))
        #expect(route("10.0.0.0/8", cookie: 7) == .ok)
        func bridge(_ mac: String) -> RouterOutcome {
            router.apply([.upsert(.bridgeEntry(BridgeEntrySpec(vrf: VRFID(1), mac: MACAddress(mac)!, nextHop: .discard)))])[0]
        }
        #expect(bridge("02:00:00:00:00:01") == .ok && bridge("02:00:00:00:00:01") == .ok)
        #expect(
            bridge("02:00:00:00:00:02")
                == .tableFull(
                    "bridge entry 02:00:00:00:00:02: the bridge table holds 1 entries and is full; raise capacities.bridgeEntries in vrouter.yaml"))
        func label(_ label: UInt32) -> RouterOutcome { router.apply([.upsert(.label(LabelSpec(label: Label(label), nextHop: .discard)))])[0] }
        #expect(label(16) == .ok && label(16) == .ok)
        #expect(label(17) == .tableFull("label 17: the label table holds 1 entries and is full; raise capacities.labels in vrouter.yaml"))
        func vni(_ vni: UInt32) -> RouterOutcome { router.apply([.upsert(.vni(VNISpec(vni: VNI(vni), nextHop: .discard)))])[0] }
        #expect(vni(5) == .ok)
        #expect(vni(6) == .tableFull("VNI 6: the VNI table holds 1 entries and is full; raise capacities.vnis in vrouter.yaml"))
        let usage = Dictionary(uniqueKeysWithValues: router.status().tables.map { ($0.name, [$0.used, $0.capacity]) })
        #expect(usage["route"] == [2, 2] && usage["bridge"] == [1, 1] && usage["label"] == [1, 1] && usage["vni"] == [1, 1])
    }
}
