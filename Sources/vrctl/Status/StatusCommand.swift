import ArgumentParser
import DataplaneAPI

struct StatusCommand: AsyncParsableCommand {
    enum Part: String, CaseIterable, ExpressibleByArgument { case dataplane, agent, controller }

    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "One screen: what runs, what is wrong and why.",
        discussion: """
            Exit code 0 when all is well, 1 when something is not (a daemon that cannot be reached counts), 3 when none can be reached.
            A node without a controller of its own asks only for its parts: vrctl status dataplane agent.

            EXAMPLES
              vrctl status
              vrctl status dataplane agent
              vrctl status -o json
            """)

    @Argument(help: "dataplane, agent, controller; all when absent.") var parts: [Part] = []
    @OptionGroup var outputOptions: OutputOptions
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        let wanted = parts.isEmpty ? Part.allCases : Part.allCases.filter(parts.contains)
        var reports: [Report] = []
        for part in wanted { reports.append(await report(part)) }
        let context = Context.current
        switch outputOptions.output {
        case .table: context.output.write(reports.map(\.text).joined(separator: "\n"))
        case .json: context.output.write(JSON.object(reports.map { .init(key: $0.key, value: $0.json) }).pretty + "\n")
        }
        if let code = Self.exitCode(reports) { throw ExitCode(code) }
    }

    static func exitCode(_ reports: [Report]) -> Int32? {
        if reports.allSatisfy({ $0.failure?.kind == .unreachable }) { return Failure.Kind.unreachable.rawValue }
        return reports.allSatisfy(\.isHealthy) ? nil : Failure.Kind.refused.rawValue
    }

    private func report(_ part: Part) async -> Report {
        do {
            switch part {
            case .dataplane: return try await dataplane()
            case .agent:
                let endpoint = connection.agentEndpoint
                let status = try await endpoint.call(.get, ["status"])
                let section = AgentSection(status: status)
                return Report(title: "Agent", key: "agent", address: endpoint.base, lines: section.lines, problems: section.problems, details: status)
            case .controller:
                let endpoint = connection.controllerEndpoint
                let status = try await endpoint.call(.get, ["v1", "status"])
                let section = ControllerSection(status: status)
                return Report(
                    title: "Controller", key: "controller", address: endpoint.base, lines: section.lines, problems: section.problems, details: status)
            }
        } catch {
            let failure = error as? Failure ?? .refused("\(error)")
            switch part {
            case .dataplane: return Report(title: "Data plane", key: "dataplane", address: connection.routerSocket, failure: failure)
            case .agent: return Report(title: "Agent", key: "agent", address: connection.agentEndpoint.base, failure: failure)
            case .controller: return Report(title: "Controller", key: "controller", address: connection.controllerEndpoint.base, failure: failure)
            }
        }
    }

    private func dataplane() async throws -> Report {
        let socket = connection.routerSocket
        return try await connection.withRouter { router in
            let earlier = try await router.status()
            try await Context.current.pause(.milliseconds(200))
            let section = RouterSection(status: try await router.status(), earlier: earlier)
            return Report(
                title: "Data plane", key: "dataplane", address: socket, lines: section.lines, problems: section.problems, details: section.json)
        }
    }
}

/// What is known of one daemon.
struct Report: Sendable {
    var title: String
    var key: String
    var address: String
    var lines: [String] = []
    var problems: [String] = []
    var details: JSON = .null
    var failure: Failure?

    var isHealthy: Bool { failure == nil && problems.isEmpty }

    var text: String {
        let verdict: String
        if failure?.kind == .unreachable {
            verdict = Style.bad("NOT REACHABLE")
        } else if failure != nil {
            verdict = Style.bad("FAILED")
        } else if problems.isEmpty {
            verdict = Style.good("healthy")
        } else {
            verdict = Style.bad("NOT HEALTHY: " + problems.joined(separator: "; "))
        }
        let body = failure.map { [$0.message] } ?? lines
        return "\(Style.bold(title.padded(12))) \(printable(address))   \(verdict)\n" + body.map { "  \($0)\n" }.joined()
    }

    var json: JSON {
        [
            "address": JSON(address), "reachable": JSON(failure?.kind != .unreachable), "healthy": JSON(isHealthy),
            "problems": JSON(texts: failure.map { [$0.message] } ?? problems), "details": details,
        ]
    }
}
