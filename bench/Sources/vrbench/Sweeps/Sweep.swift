import CPlatform
import Foundation
import Workloads

/// The rate against one thing that grows: flows, routes, VRFs, vifs. Every point is a workload like any other, proven before it is timed.
struct Sweep {
    struct Line {
        var name: String
        var workload: @Sendable (Int) -> Workload
    }

    /// "flows": also the name of the file.
    var name: String
    var title: String
    var xTitle: String
    var values: [Int]
    var lines: [Line]

    static func all(quick: Bool) -> [Sweep] {
        let flows = [1, 10, 100, 1000, 10_000, 100_000, 250_000] + (quick ? [] : [1_000_000, 2_000_000, 4_000_000])
        let routes = [1, 10, 100, 1000, 10_000, 100_000, 250_000] + (quick ? [] : [1_000_000])
        return [
            Sweep(
                name: "flows", title: "Rate against flows", xTitle: "flows, each packet of another one, uniform; 1,000 routes", values: flows,
                lines: [
                    Line(name: "stateful") { .route("S", "flows-\($0)", Traffic(flows: $0, routes: 1000), flows: true) },
                    Line(name: "no flow table") { .route("S", "none-\($0)", Traffic(flows: $0, routes: 1000)) },
                ]),
            Sweep(
                name: "routes", title: "Rate against routes",
                xTitle: "routes in one VRF; destinations uniform over them, 4 per route, at most a million",
                values: routes,
                lines: [
                    Line(name: "IPv4") { .route("S", "routes-\($0)", Traffic(flows: min(max($0 * 4, 1000), 1_000_000), routes: $0)) },
                    Line(name: "IPv6") {
                        .route("S", "routes6-\($0)", Traffic(flows: min(max($0 * 4, 1000), 1_000_000), routes: $0, family: .ipv6))
                    },
                ]),
            Sweep(
                name: "vrfs", title: "Rate against VRFs",
                xTitle: "VRFs of 16 routes each; packets from an MPLSoUDP tunnel, one label per VRF, uniform",
                values: [1, 4, 16, 64, 256, 1024, 4095],
                lines: [Line(name: "decapsulation") { .spread(overVRFs: $0) }]),
            Sweep(
                name: "vifs", title: "Rate against vifs", xTitle: "destination vifs, each on a port of its own, uniform; 16 routes each",
                values: [2, 4, 8, 32, 128, 512, 2000], lines: [Line(name: "route") { .spread(overVifs: $0) }]),
        ]
    }

    struct Point {
        var value: Int
        var figure: Figure
    }

    /// Measures, prints a table, writes the chart.
    func run(quick: Bool, floor: Double, to folder: String?) throws -> [Figure] {
        let effort = quick ? Effort(windows: 61, window: 16_000) : Effort(windows: 251, window: 16_000)
        var chart = Chart(
            title: title,
            subtitle: String(
                format: "64-octet packets, one core, TSC %.1f GHz; I/O alone: %.0f Mpps", Double(vr_tsc_hz()) / 1e9, Double(vr_tsc_hz()) / 1e6 / floor
            ),
            xTitle: xTitle, yTitle: "million packets a second", series: [])
        var figures: [Figure] = []
        for line in lines {
            var points: [(x: Double, y: Double)] = []
            for value in values {
                var figure = try measure(line.workload(value), effort, floor: floor)
                figure.id = "sweep-\(name)"
                figure.variant = "\(line.name.replacingOccurrences(of: " ", with: "-"))-\(value)"
                say(
                    "\(name.trailing(7)) \(line.name.trailing(14)) " + Chart.number(Double(value)).leading(7)
                        + String(format: " %8.1f cycles %8.1f Mpps", figure.cycles, figure.megapackets)
                        + (figure.instructions.map { String(format: " %6.0f instructions", $0) } ?? ""))
                points.append((Double(value), figure.megapackets))
                figures.append(figure)
            }
            chart.series.append(Chart.Series(name: line.name, points: points))
        }
        if let folder {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            try chart.document().write(toFile: "\(folder)/\(name).svg", atomically: true, encoding: .utf8)
        }
        return figures
    }
}
