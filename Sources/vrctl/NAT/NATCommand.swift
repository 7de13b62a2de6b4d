import ArgumentParser
import DataplaneAPI
import NetTypes

struct NATCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "nat", abstract: "Shows the translations of the data plane: floating IPs, shared external addresses, services.",
        subcommands: [NATListCommand.self, NATGetCommand.self, NATUsageCommand.self])
}

struct NATListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "Lists the rules: what is translated, and to what.")
    @Option(help: "Only rules about this VRF.") var vrf: UInt32?
    @OptionGroup var outputOptions: OutputOptions
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withRouter { router in
            let output = Context.current.output
            let rules = try await router.all(TableQuery(table: .natRule)) { if case .natRule(let rule) = $0 { rule } else { nil } }
                .filter { rule in vrf.map { NATLayout.vrfs(rule).contains($0) } ?? true }
            if outputOptions.output == .json {
                var stream = JSONArrayStream(key: "rules", output: output)
                stream.write(rules.map(NATLayout.json))
                stream.end()
                return
            }
            var columns = Columns("ID", "NAME", "VRF", "WHAT", "BECOMES")
            for rule in rules {
                columns.add(
                    "\(rule.id)", printable(rule.name), "\(NATLayout.vrfs(rule).first ?? 0)", NATLayout.subject(rule), NATLayout.summary(rule))
            }
            output.write(columns.text)
        }
    }
}

struct NATGetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "get", abstract: "Shows one rule, with all its backends.")
    @Argument(help: "The rule's number; `vrctl nat list` shows them.") var id: UInt32
    @OptionGroup var outputOptions: OutputOptions
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withRouter { router in
            let output = Context.current.output
            let found = try await router.all(TableQuery(table: .natRule, id: id)) { if case .natRule(let rule) = $0 { rule } else { nil } }
            guard let rule = found.first(where: { $0.id == id }) else { throw Failure.refused("no NAT rule \(id); vrctl nat list lists them") }
            if outputOptions.output == .json {
                output.write(NATLayout.json(rule).pretty + "\n")
                return
            }
            output.write(NATLayout.text(rule))
        }
    }
}
