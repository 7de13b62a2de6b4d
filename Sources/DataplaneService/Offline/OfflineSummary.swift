public import Dataplane

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// What an offline run (capture files in, capture files out) did. Counts are packets.
public struct OfflineSummary: Codable, Hashable, Sendable {
    public struct Port: Codable, Hashable, Sendable {
        public var name: String
        public var driver: String
        public var received: UInt64
        public var transmitted: UInt64
        public var errors: UInt64
    }
    public struct Drop: Codable, Hashable, Sendable {
        public var name: String
        public var label: String
        public var packets: UInt64
    }
    public struct File: Codable, Hashable, Sendable {
        public var path: String
        public var packets: UInt64
    }
    public var received: UInt64
    public var generated: UInt64
    public var forwarded: UInt64
    public var dropped: UInt64
    public var trapped: UInt64
    public var consumed: UInt64
    /// received + generated = forwarded + dropped + trapped + consumed.
    public var isBalanced: Bool
    public var ports: [Port]
    /// Only reasons that occurred.
    public var drops: [Drop]
    /// Capture files written.
    public var files: [File]

    public init(_ router: Router) {
        let status = router.status()
        received = status.totals.received
        generated = status.totals.generated
        forwarded = status.totals.forwarded
        dropped = status.totals.dropped
        trapped = status.totals.trapped
        consumed = status.totals.consumed
        isBalanced = status.totals.isBalanced
        let readings = router.ports()
        ports = readings.map {
            Port(
                name: $0.spec.name, driver: $0.driver, received: $0.statistics.receivedPackets, transmitted: $0.statistics.transmittedPackets,
                errors: $0.statistics.receiveMissed &+ $0.statistics.receiveErrors &+ $0.statistics.transmitErrors)
        }
        drops = status.drops.filter { $0.packets > 0 }.map { Drop(name: $0.reason.name, label: $0.reason.label, packets: $0.packets) }
        files = readings.compactMap { reading in
            guard case .pcapFile(_, let output?) = reading.spec.driver else { return nil }
            return File(path: output, packets: reading.statistics.transmittedPackets)
        }
    }

    /// The table form. The first line is the balance; `generated` appears in it only when the router made packets of its own.
    public var text: String {
        var lines = [
            "received \(received)" + (generated > 0 ? " + generated \(generated)" : "")
                + " = forwarded \(forwarded) + dropped \(dropped) + trapped \(trapped) + consumed \(consumed)"
        ]
        if !isBalanced { lines.append("these counts do not add up: some packets are unaccounted for") }
        func table(_ title: [String], _ rows: [[String]]) {
            guard !rows.isEmpty else { return }
            let all = [title] + rows
            let widths = title.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
            lines.append("")
            for row in all {
                let cells = row.enumerated().map { column, cell in
                    let padding = String(repeating: " ", count: widths[column] - cell.count)
                    return rows.allSatisfy { UInt64($0[column]) != nil } ? padding + cell : cell + padding
                }
                lines.append(cells.joined(separator: "  "))
            }
        }
        table(
            ["port", "driver", "received", "transmitted", "errors"],
            ports.map { [$0.name, $0.driver, String($0.received), String($0.transmitted), String($0.errors)] })
        table(["dropped because", "packets"], drops.map { [$0.label, String($0.packets)] })
        table(["file written", "packets"], files.map { [$0.path, String($0.packets)] })
        return lines.joined(separator: "\n")
    }

    public var json: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        // Integers and strings always encode.
        guard let data = try? encoder.encode(self) else { return "{}" }
        return String(decoding: data, as: UTF8.self)
    }
}
