import CBench
import CPlatform
import Dataplane
import NetTypes
import Workloads

/// W10: routes into the table, through the router's batch call, 1,000 at a time as an agent would give them. The rate is that of the whole load,
/// by the time that the thread had a core.
/// Afterwards everything is read back.
struct RouteLoad {
    var variant: String
    var vrfs: Int
    var traffic: Traffic
    static let batch = 1000

    var title: String {
        "\(vrfs > 1 ? "\(vrfs) VRFs of \(Traffic.short(traffic.routes)) routes" : "\(Traffic.short(traffic.routes)) routes")\(traffic.family == .ipv6 ? ", IPv6" : ""), into the table"
    }

    static var variants: [RouteLoad] {
        func load(_ variant: String, _ vrfs: Int, _ routes: Int, _ family: Traffic.Family = .ipv4) -> RouteLoad {
            RouteLoad(variant: variant, vrfs: vrfs, traffic: Traffic(flows: 1, routes: routes, family: family))
        }
        return [
            load("250k", 1, 250_000), load("1M", 1, 1_000_000), load("250k-v6", 1, 250_000, .ipv6), load("1M-v6", 1, 1_000_000, .ipv6),
            // VRF 0 is the fabric's.
            load("vrfs", 4095, 100),
        ]
    }

    func measure() throws -> Figure {
        let router = Router(RouterConfiguration(cores: [0], idle: .poll), pool: try HeapBufferPool(bufferSize: 2048, capacity: 64)) {
            spec throws(PortError) in CountingPort(name: spec.name)
        }
        func refuse(_ text: String) -> MeasureError { MeasureError(description: "W10-\(variant): \(text)") }
        let prefixes = traffic.prefixes
        // Some hundred next hops, as a node has tunnels.
        let hops: [RouterObject] = (1...256).map {
            .nextHop(NextHopSpec(id: .init(UInt32($0)), kind: .encap(vif: .init(4), destination: Program.workload, source: .gateway)))
        }
        let before: [RouterObject] =
            [.port(PortSpec(name: "destination", driver: .loopback)), .vrf(VRFSpec(id: .init(1), name: "vrf-1"))]
            + [.vif(VifSpec(id: .init(4), name: "destination", kind: .virtual, port: "destination", vrf: .init(1), mac: .gateway))] + hops
            + (0..<vrfs).dropFirst().map { .vrf(VRFSpec(id: .init(UInt32($0 + 1)), name: "vrf-\($0 + 1)")) }
        for (object, outcome) in zip(before, router.apply(before.map(RouterOperation.upsert))) where outcome != .ok {
            throw refuse("\(object) was refused: \(outcome)")
        }
        var batches: [[RouterOperation]] = [], operations: [RouterOperation] = []
        for vrf in 0..<vrfs {
            for (index, prefix) in prefixes.enumerated() {
                operations.append(
                    .upsert(
                        .route(
                            RouteSpec(
                                vrf: .init(UInt32(vrf + 1)), prefix: prefix, nextHop: .init(UInt32(1 + index % 256)), label: UInt32(16 + index % 4096)
                            ))))
                if operations.count == Self.batch {
                    batches.append(operations)
                    operations = []
                }
            }
        }
        batches.append(operations)
        let empty = memory(router), resident = vb_resident()
        var figure = Figure(id: "W10", variant: variant, title: title)
        var watch = Stopwatch()
        watch.begin()
        let begun = threadSeconds()
        var refused: RouterOutcome?
        for batch in batches {
            let outcomes = router.apply(batch)
            if refused == nil { refused = outcomes.first { $0 != .ok } }
        }
        let seconds = threadSeconds() - begun
        watch.mark(prefixes.count * vrfs)
        watch.finish(&figure, floor: nil)
        if let refused { throw refuse("a route was refused: \(refused)") }
        let count = prefixes.count * vrfs
        guard let usage = router.status().tables.first(where: { $0.name == "route" }), usage.used == count else {
            throw refuse("the table does not hold \(count) routes")
        }
        let read = router.routes(vrf: .init(UInt32(vrfs)), isIPv4: traffic.family == .ipv4, after: nil, limit: .max)
        guard Set(read.map(\.prefix)) == Set(prefixes) else { throw refuse("what is read back is not what was given") }
        figure.objects = count
        figure.objectsPerSecond = Double(count) / seconds
        figure.perSecond = figure.objectsPerSecond
        figure.memory = ["route": usage.memoryBytes]
        figure.bytesPerEntry = Double(usage.memoryBytes) / Double(count)
        figure.entry = "route"
        figure.residentBytes = vb_resident()
        figure.memory["route_empty"] = empty
        figure.memory["resident_growth"] = Int(figure.residentBytes) - Int(resident)
        figure.nanoseconds = seconds / Double(count) * 1e9
        figure.cycles = figure.nanoseconds * Double(vr_tsc_hz()) / 1e9
        figure.median = figure.cycles
        figure.packets = 0
        figure.ratioToFloor = 0
        return figure
    }

    private func memory(_ router: Router) -> Int { router.status().tables.first { $0.name == "route" }?.memoryBytes ?? 0 }
}
