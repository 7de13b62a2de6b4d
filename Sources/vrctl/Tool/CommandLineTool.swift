import ArgumentParser

/// From an argument vector to an exit code.
enum CommandLineTool {
    /// The tools that answer to their own name; the names `install-aliases` links.
    static let classicTools: [any ParsableCommand.Type] = [
        FlowCommand.self, VifCommand.self, NextHopCommand.self, RouteCommand.self, LabelCommand.self, VNICommand.self, DropStatsCommand.self,
        MirrorCommand.self, VifDumpCommand.self,
    ]
    static var classicNames: [String] { classicTools.map { $0._commandName } }

    /// `arguments[0]` is the name the program was called by; a classic name selects that tool.
    static func run(_ arguments: [String], in context: Context) async -> Int32 {
        let name = arguments.first.flatMap { $0.split(separator: "/").last.map(String.init) } ?? "vrctl"
        let root: any ParsableCommand.Type = classicTools.first { $0._commandName == name } ?? VrctlCommand.self
        return await Context.$current.withValue(context) {
            do {
                var command = try root.parseAsRoot(Array(arguments.dropFirst()))
                if var asynchronous = command as? any AsyncParsableCommand { try await asynchronous.run() } else { try command.run() }
                return 0
            } catch {
                return report(error, of: root, in: context)
            }
        }
    }

    private static func report(_ error: any Error, of root: any ParsableCommand.Type, in context: Context) -> Int32 {
        let name = root._commandName
        switch error {
        case let failure as Failure:
            context.errors.write("\(name): \(failure.message)\n")
            return failure.kind.rawValue
        case let code as ExitCode:
            return code.rawValue
        case is CancellationError:
            return Failure.Kind.refused.rawValue
        default: break
        }
        // Help, the version and completion scripts come as errors too; they are answers.
        if root.exitCode(for: error) == .success {
            context.output.write(root.fullMessage(for: error) + "\n")
            return 0
        }
        let message = root.message(for: error).split(separator: "\n").joined(separator: " ")
        context.errors.write("\(name): \(printable(message)) (see '\(helpCommand(for: error, of: root))')\n")
        return Failure.Kind.usage.rawValue
    }

    /// `vrctl vif --help`: ArgumentParser knows which subcommand was meant, and says so only in its long message.
    private static func helpCommand(for error: any Error, of root: any ParsableCommand.Type) -> String {
        let parts = root.fullMessage(for: error).split(separator: "'", omittingEmptySubsequences: false)
        return parts.last { $0.hasPrefix("\(root._commandName) ") && $0.hasSuffix("--help") }.map(String.init) ?? "\(root._commandName) --help"
    }
}
