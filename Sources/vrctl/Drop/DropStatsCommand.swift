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

            With --log: the packets that were dropped last, of each worker as many as vrouter keeps (200), oldest first.

            EXAMPLES
              dropstats
              dropstats --clear              set them back to zero
              dropstats --log                the last dropped packets of every worker
              dropstats --log 0              of worker 0
              dropstats --log --show 'No Route' --follow
              dropstats --clear-drop-log     forget them
            """)
    @Flag(help: "Set the counters back to zero.") var clear = false
    @Flag(name: [.customShort("l"), .customLong("log")], help: "Show the last dropped packets.") var log = false
    @Argument(help: ArgumentHelp("With --log: of this worker only.", valueName: "core")) var logCore: UInt32?
    @Option(help: ArgumentHelp("Of this worker only.", valueName: "worker")) var core: UInt32?
    @Option(help: ArgumentHelp("With --log: only packets dropped for this reason (a label or a name).", valueName: "reason")) var show: String?
    @Flag(help: "With --log: go on with what is dropped from now on, until interrupted.") var follow = false
    @Flag(help: "Forget the packets dropped so far.") var clearDropLog = false
    @OptionGroup var outputOptions: OutputOptions
    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        guard [clear, log, clearDropLog].filter({ $0 }).count <= 1 else { throw ValidationError("give one of --clear, --log, --clear-drop-log") }
        guard log || (show == nil && !follow && logCore == nil) else { throw ValidationError("--show, --follow and a worker's number go with --log") }
        guard core == nil || !clear && !clearDropLog else {
            throw ValidationError("--clear and --clear-drop-log are for all workers at once; leave --core out")
        }
        guard logCore == nil || core == nil else { throw ValidationError("the worker is given twice") }
    }

    func run() async throws {
        try await connection.withRouter { router in
            if log {
                try await DropLogOutput(format: outputOptions.output, reason: show, follow: follow).run(router, worker: logCore ?? core)
            } else if clearDropLog {
                try await router.clearDropLog()
                if outputOptions.output == .json { Context.current.output.write((["cleared": "drop log"] as JSON).pretty + "\n") }
            } else if let core {
                guard let worker = try await router.status().workers.first(where: { $0.id == core }) else {
                    throw Failure.refused("no worker \(core)")
                }
                Context.current.output.write(
                    outputOptions.output == .json ? DropStatsLayout.json(worker.drops).pretty + "\n" : DropStatsLayout.text(worker.drops))
            } else if clear {
                try await router.clearCounters(drops: true, vifs: false)
                if outputOptions.output == .json { Context.current.output.write((["cleared": "drops"] as JSON).pretty + "\n") }
            } else {
                let drops = try await router.status().drops
                Context.current.output.write(outputOptions.output == .json ? DropStatsLayout.json(drops).pretty + "\n" : DropStatsLayout.text(drops))
            }
        }
    }
}
