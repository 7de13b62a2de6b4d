import ArgumentParser
import DataplaneAPI

/// The layout of `dropstats`: labels in 28 columns, then the count; only counters that are not zero.
enum DropStatsLayout {
    static func text(_ drops: [Dataplane_V1_DropCounter]) -> String {
        drops.filter { $0.packets > 0 }.map { "\(printable($0.label).padded(28))  \($0.packets)\n" }.joined()
    }
    /// All of them, with the sentence that explains each.
    static func json(_ drops: [Dataplane_V1_DropCounter]) -> JSON {
        [
            "drops": .array(
                drops.map { ["name": JSON($0.name), "label": JSON($0.label), "description": JSON($0.description_p), "packets": JSON($0.packets)] })
        ]
    }
}

struct DropStatsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dropstats", abstract: "Shows how many packets were dropped, by reason.",
        discussion: """
            Only reasons that have dropped packets are listed; -o json lists all, with an explanation of each.

            EXAMPLES
              dropstats
              dropstats --clear        set them back to zero
            """)
    @Flag(help: "Set the counters back to zero.") var clear = false
    @OptionGroup var outputOptions: OutputOptions
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withRouter { router in
            if clear {
                try await router.clearCounters(drops: true, vifs: false)
                if outputOptions.output == .json { Context.current.output.write((["cleared": "drops"] as JSON).pretty + "\n") }
            } else {
                let drops = try await router.status().drops
                Context.current.output.write(outputOptions.output == .json ? DropStatsLayout.json(drops).pretty + "\n" : DropStatsLayout.text(drops))
            }
        }
    }
}
