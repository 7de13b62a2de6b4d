import Foundation

/// One figure, and how it is written down: a line on the terminal, an object in the JSON file.
struct Figure: Encodable {
    var id: String
    var variant: String
    var title: String
    /// Packets that were timed.
    var packets = 0
    /// TSC cycles: the tenth percentile of the windows; the median; the distance from the tenth to the ninetieth percentile as a share of the median.
    var cycles = 0.0
    var median = 0.0
    var spread = 0.0
    var nanoseconds = 0.0
    var instructions: Double?
    /// User-mode cycles of the core's own clock, which stands still while another program has the core.
    var coreCycles: Double?
    var ratioToFloor = 0.0
    var targetCycles: Double?
    /// The workload that does the same without what this one is about, measured in the same call, and how much of it this one takes: 1.1 is a tenth more.
    var base: String?
    var cyclesToBase: Double?
    var instructionsToBase: Double?
    /// Objects applied before the packets, and how many a second.
    var objects = 0
    var objectsPerSecond = 0.0
    /// Octets of the table that the workload is about, per entry (W1 … W5, W10: route; W6, W8: flow, both directions).
    var bytesPerEntry: Double?
    var entry: String?
    var memory: [String: Int] = [:]
    var residentBytes: UInt64 = 0
    /// W8: flows a second; W10: routes a second.
    var perSecond: Double?
    var peers: [PeerFigure] = []

    var name: String { "\(id)-\(variant)" }
    var megapackets: Double { nanoseconds > 0 ? 1000 / nanoseconds : 0 }

    init(id: String, variant: String, title: String) {
        self.id = id
        self.variant = variant
        self.title = title
    }

    enum CodingKeys: String, CodingKey {
        case id, variant, name, title, packets, spread, objects, peers, entry
        case cycles = "cycles_per_packet", median = "cycles_per_packet_median", nanoseconds = "ns_per_packet"
        case instructions = "instructions_per_packet", coreCycles = "core_cycles_per_packet", ratioToFloor = "ratio_to_floor"
        case targetCycles = "target_cycles", objectsPerSecond = "objects_per_second", bytesPerEntry = "bytes_per_entry"
        case base, cyclesToBase = "cycles_to_base", instructionsToBase = "instructions_to_base"
        case memory = "memory_bytes", residentBytes = "rss_bytes", perSecond = "per_second"
    }

    func encode(to encoder: any Encoder) throws {
        var out = encoder.container(keyedBy: CodingKeys.self)
        func rounded(_ value: Double?) -> Double? { value.map { ($0 * 1000).rounded() / 1000 } }
        try out.encode(id, forKey: .id)
        try out.encode(variant, forKey: .variant)
        try out.encode(name, forKey: .name)
        try out.encode(title, forKey: .title)
        try out.encode(packets, forKey: .packets)
        try out.encode(rounded(cycles), forKey: .cycles)
        try out.encode(rounded(median), forKey: .median)
        try out.encode(rounded(spread), forKey: .spread)
        try out.encode(rounded(nanoseconds), forKey: .nanoseconds)
        try out.encode(rounded(instructions), forKey: .instructions)
        try out.encode(rounded(coreCycles), forKey: .coreCycles)
        try out.encode(ratioToFloor > 0 ? rounded(ratioToFloor) : nil, forKey: .ratioToFloor)
        try out.encode(targetCycles, forKey: .targetCycles)
        try out.encodeIfPresent(base, forKey: .base)
        try out.encodeIfPresent(rounded(cyclesToBase), forKey: .cyclesToBase)
        try out.encodeIfPresent(rounded(instructionsToBase), forKey: .instructionsToBase)
        try out.encode(objects, forKey: .objects)
        try out.encode(objectsPerSecond.rounded(), forKey: .objectsPerSecond)
        try out.encode(rounded(bytesPerEntry), forKey: .bytesPerEntry)
        try out.encode(entry, forKey: .entry)
        try out.encode(memory, forKey: .memory)
        try out.encode(residentBytes, forKey: .residentBytes)
        try out.encode(perSecond?.rounded(), forKey: .perSecond)
        try out.encode(peers, forKey: .peers)
    }

    mutating func compare(with other: Figure) {
        base = other.name
        if other.cycles > 0 { cyclesToBase = cycles / other.cycles }
        if let instructions, let plain = other.instructions, plain > 0 { instructionsToBase = instructions / plain }
    }

    // MARK: - Lines

    static let heading =
        "workload              cycles median    ns   Mpps instr  x floor  target spread  what"

    var line: String {
        func cell(_ value: Double?, _ width: Int, _ digits: Int = 1) -> String {
            (value.map { String(format: "%.\(digits)f", $0) } ?? "-").leading(width)
        }
        var text = name.trailing(21) + cell(cycles, 7) + cell(median, 7) + cell(nanoseconds, 6) + cell(megapackets, 7) + cell(instructions, 6, 0)
        text +=
            cell(ratioToFloor > 0 ? ratioToFloor : nil, 9) + cell(targetCycles, 8, 0) + (String(format: "%.0f", spread * 100) + "%").leading(7) + "  "
            + title
        if let bytesPerEntry { text += String(format: "; %.1f B/\(entry ?? "entry")", bytesPerEntry) }
        if let perSecond { text += String(format: "; %.2f M/s", perSecond / 1e6) }
        if let base, let cyclesToBase {
            text += "; over \(base): cycles " + String(format: "%+.1f %%", (cyclesToBase - 1) * 100)
            if let instructionsToBase { text += ", instructions " + String(format: "%+.1f %%", (instructionsToBase - 1) * 100) }
        }
        return text
    }

    /// An array, one object per line.
    static func json(_ figures: [Figure]) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return "[\n" + (try figures.map { String(decoding: try encoder.encode($0), as: UTF8.self) }).joined(separator: ",\n") + "\n]\n"
    }
}

/// What another program made of the same packets.
struct PeerFigure: Encodable {
    var program: String
    var scenario: String
    /// "measured" in this call, beside ours; "recorded" elsewhere and scaled.
    var origin: String
    var cycles: Double
    var instructions: Double?
    /// Ours divided by theirs: the median of the pairs, and the least and largest.
    var ratio: Double?
    var ratioLow: Double?
    var ratioHigh: Double?
    var pairs: Int
    /// Pairs that were thrown away.
    var discarded: Int
    /// W8: flows a second.
    var perSecond: Double?

    enum CodingKeys: String, CodingKey {
        case program, scenario, origin, pairs, discarded, ratio
        case cycles = "cycles_per_packet", instructions = "instructions_per_packet", ratioLow = "ratio_low", ratioHigh = "ratio_high"
        case perSecond = "per_second"
    }
}

extension String {
    func leading(_ width: Int) -> String { String(repeating: " ", count: max(0, width - count)) + self }
    func trailing(_ width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}

/// A line on the terminal, or in the file that it goes to, now.
func say(_ text: String) {
    print(text)
    fflush(nil)
}
