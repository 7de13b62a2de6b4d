import ArgumentParser
import DataplaneAPI

/// What each worker does, and which receive queues it polls.
struct WorkersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "workers", abstract: "Shows what each worker of the data plane does and which queues it polls; gives queues to workers.",
        discussion: """
            EXAMPLES
              vrctl workers                       load, packets, cycles per packet, drops; the receive queues
              vrctl workers --total -o json
              vrctl workers assign uplink 1 0     queue 1 of port uplink to worker 0, for good
              vrctl workers assign uplink 1 auto  back to wherever its load fits
            """,
        subcommands: [ShowWorkersCommand.self, AssignQueueCommand.self], defaultSubcommand: ShowWorkersCommand.self)
}

struct ShowWorkersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Shows what each worker does: load, packets, cycles per packet, drops; and every receive queue.",
        discussion: "Measured over one second; --total: since the start.\n\nEXAMPLES\n  vrctl workers\n  vrctl workers --total -o json")
    @Flag(help: "Since the start of vrouter, without a measurement.") var total = false
    @OptionGroup var outputOptions: OutputOptions
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withRouter { router in
            var earlier: API.Status?
            if !total {
                earlier = try await router.status()
                try await Context.current.pause(.seconds(1))
            }
            let status = try await router.status()
            Context.current.output.write(
                outputOptions.output == .json
                    ? WorkersLayout.json(status, earlier: earlier).pretty + "\n" : WorkersLayout.text(status, earlier: earlier))
        }
    }
}

struct AssignQueueCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "assign", abstract: "Gives a receive queue to a worker, without losing a packet.",
        discussion: """
            The queue stays with the worker whatever its load, until it is assigned to `auto`: then the router may move it again.

            EXAMPLES
              vrctl workers assign uplink 1 0
              vrctl workers assign uplink 1 auto
            """)
    @Argument(help: "Name of the port.") var port: String
    @Argument(help: "Number of its receive queue, from 0.") var queue: UInt32
    @Argument(help: ArgumentHelp("Number of the worker, from 0, or auto.", valueName: "worker|auto")) var worker: String
    @OptionGroup var outputOptions: OutputOptions
    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        guard worker == "auto" || UInt32(worker) != nil else { throw ValidationError("worker '\(worker)' is neither a number nor 'auto'") }
    }

    func run() async throws {
        let number = UInt32(worker)
        try await connection.withRouter { router in
            let result = try await router.assignQueue(port: port, queue: queue, worker: number)
            guard result.code == .ok else { throw Failure.refused(printable(result.message)) }
            let json: JSON = ["queue": ["port": JSON(port), "queue": JSON(queue), "worker": number.map { JSON($0) } ?? "auto"]]
            let text = "port \(printable(port)) queue \(queue): " + (number.map { "worker \($0)" } ?? "moves with its load") + "\n"
            Context.current.output.write(outputOptions.output == .json ? json.pretty + "\n" : text)
        }
    }
}
