import ArgumentParser
import DataplaneAPI

/// How full the router's tables are, and which option of vrouter.yaml makes them larger.
struct TablesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tables", abstract: "Shows the use, capacity and memory of every table of the data plane.",
        discussion: "EXAMPLES\n  vrctl tables\n  vrctl tables -o json")
    @OptionGroup var outputOptions: OutputOptions
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withRouter { router in
            let tables = try await router.status().tables
            Context.current.output.write(outputOptions.output == .json ? TablesLayout.json(tables).pretty + "\n" : TablesLayout.text(tables))
        }
    }
}

enum TablesLayout {
    /// In the order of the router; what is bounded by memory alone has no capacity.
    static func text(_ tables: [Dataplane_V1_TableUsage]) -> String {
        var columns = Columns("Table", "Used", "Capacity", "Use", "Memory")
        for table in tables {
            let share = table.capacity > 0 ? oneDecimal(Double(table.used) / Double(table.capacity) * 100) + " %" : "-"
            columns.add(table.name, "\(table.used)", table.capacity > 0 ? "\(table.capacity)" : "memory", share, memory(table.memoryBytes))
        }
        return columns.text
    }

    static func json(_ tables: [Dataplane_V1_TableUsage]) -> JSON {
        [
            "tables": .array(
                tables.map {
                    [
                        "name": JSON($0.name), "used": JSON($0.used), "capacity": $0.capacity > 0 ? JSON($0.capacity) : .null,
                        "memoryBytes": JSON($0.memoryBytes),
                    ]
                })
        ]
    }

    private static func memory(_ bytes: UInt64) -> String {
        bytes >= 1 << 20 ? oneDecimal(Double(bytes) / 1_048_576) + " MiB" : oneDecimal(Double(bytes) / 1024) + " KiB"
    }
}
