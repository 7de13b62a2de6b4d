import CPlatform
import Workloads

/// The workloads in order, each measured by what suits it.
struct Suite {
    private struct Item {
        var name: String
        var title: String
        /// The floor that it is set against.
        var floor: String
        /// The workload that does the same without what this one is about.
        var base: String?
        var figure: (Effort, Double?) throws -> Figure
    }

    let quick: Bool
    private let items: [Item]
    /// Names and what they are.
    var titles: [(String, String)] { items.map { ($0.name, $0.title) } }

    init(quick: Bool) {
        self.quick = quick
        let million = quick ? 250_000 : 1_000_000, many = Traffic.short(million)
        var items: [Item] = []
        for (variant, traffic) in [
            ("10k", Traffic(flows: 10_000, routes: 10_000)), ("1", Traffic(flows: 1, routes: 1)), (many, Traffic(flows: million, routes: 10_000)),
            ("10k-imix", Traffic(flows: 10_000, routes: 10_000, sizes: .imix)),
        ] {
            items.append(
                Item(name: "W0-\(variant)", title: "I/O alone, \(traffic.description)", floor: "W0-10k") {
                    try measureFloor(variant, traffic, $0, floor: $1)
                })
        }
        for workload in Workload.catalogue(quick: quick) {
            let isLarge = workload.variant.contains(many) || workload.variant.contains("4M")
            let floor = workload.variant.contains("imix") ? "W0-10k-imix" : isLarge ? "W0-\(many)" : "W0-10k"
            // Translation, and policies, over plain stateful forwarding of the same flows.
            var base: String?
            if workload.id == "W7" || workload.variant.contains("policy") {
                base = "W6-" + (workload.variant.split(separator: "-").first.map(String.init) ?? "")
            }
            items.append(Item(name: workload.name, title: workload.title, floor: floor, base: base) { try measure(workload, $0, floor: $1) })
        }
        for variant in NewFlows.variants(quick: quick) {
            items.append(Item(name: variant.workload.name, title: variant.title, floor: "W0-\(many)") { try NewFlows.measure(variant, floor: $1) })
        }
        for load in RouteLoad.variants {
            items.append(Item(name: "W10-\(load.variant)", title: load.title, floor: "W0-10k") { _, _ in try load.measure() })
        }
        self.items = items.sorted { Self.number($0.name) < Self.number($1.name) }
    }

    /// The order of the table of targets; a stable sort keeps variants as they are.
    private static func number(_ name: String) -> Int { Int(name.dropFirst().prefix { $0.isNumber }) ?? 0 }

    /// Every figure is set against the floor of its kind, which is measured in the same call, before it.
    func run(wants: (String) -> Bool) throws -> [Figure] {
        let effort = quick ? Effort(windows: 101, window: 16_000) : Effort(windows: 501, window: 32_000)
        say("TSC \(vr_tsc_hz() / 1_000_000) MHz, \(effort.windows) windows of \(effort.window) packets; cycles: tenth percentile")
        say(Figure.heading)
        let chosen = items.filter { wants($0.name) }
        let needed = Set(chosen.map(\.floor) + chosen.compactMap(\.base) + ["W0-10k"])
        var floors: [String: Double] = [:]
        var figures: [Figure] = []
        for item in items where wants(item.name) || needed.contains(item.name) {
            var figure = try item.figure(effort, floors[item.floor])
            if let base = figures.first(where: { $0.name == item.base }) { figure.compare(with: base) }
            if item.name.hasPrefix("W0") { floors[item.name] = figure.cycles }
            say(figure.line)
            figures.append(figure)
        }
        return figures
    }
}
