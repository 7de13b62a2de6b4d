import Agent
import ArgumentParser
import Logging
import ServiceLifecycle
import StrictYAML
import UnixSignals

/// `vrouter-agent`: reads the configuration and runs the agent until SIGTERM or SIGINT. The data plane goes on forwarding after that.
@main
struct VRouterAgent: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "vrouter-agent", abstract: "The agent of a compute node: programs vrouter from the controllers and from local port requests.",
        discussion: """
            Ending the agent (SIGTERM) leaves the data plane forwarding with what it has; a new agent takes over where this one ended.
            Local ports and the agent's state: HTTP/JSON on 127.0.0.1, port api.port (9091): POST /port, GET /port, GET /status, GET /healthz.
            Exit codes: 0 ended by a signal, or the configuration is good; 1 it is not, or the agent could not run; 64 usage.
            """,
        version: agentVersion)

    @Option(name: .long, help: "The configuration file.")
    var config = AgentConfiguration.defaultPath

    @Flag(name: .long, help: "Read the configuration, say whether it is good, and end.")
    var checkConfig = false

    func run() async throws {
        let configuration: AgentConfiguration
        do {
            configuration = try AgentConfiguration(yaml: ConfigFile.text(path: config), source: config)
        } catch {
            throw Failure("\(error)")
        }
        if checkConfig {
            print("\(config): good")
            return
        }
        let level = configuration.logLevel
        LoggingSystem.bootstrap { label in
            var handler = StreamLogHandler.standardError(label: label)
            handler.logLevel = level
            return handler
        }
        let logger = Logger(label: "vrouter-agent")
        logger.info("starting", metadata: ["version": "\(agentVersion)", "node": "\(configuration.node)", "config": "\(config)"])
        let group = ServiceGroup(
            configuration: .init(
                services: [.init(service: Agent(configuration, logger: logger), successTerminationBehavior: .gracefullyShutdownGroup)],
                gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
        do {
            try await group.run()
        } catch {
            throw Failure("\(error)")
        }
    }

    /// Printed as `Error: …`, with exit code 1.
    struct Failure: Error, CustomStringConvertible {
        var description: String
        init(_ description: String) { self.description = description }
    }
}
