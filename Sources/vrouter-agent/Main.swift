import Agent
import ArgumentParser
import Daemon
import Logging
import NetTypes
import ServiceLifecycle
import StrictYAML
import UnixSignals

/// `vrouter-agent`: reads the configuration and runs the agent until SIGTERM or SIGINT. The data plane goes on forwarding after that.
@main
struct VRouterAgent: DaemonCommand {
    static let configuration = CommandConfiguration(
        commandName: "vrouter-agent", abstract: "The agent of a compute node: programs vrouter from the controllers and from local port requests.",
        discussion: """
            Ending the agent (SIGTERM) leaves the data plane forwarding with what it has; a new agent takes over where this one ended.
            Local ports and the agent's state: HTTP/JSON on 127.0.0.1, port api.port (9091): POST /port, GET /port, GET /status, GET /healthz.
            \(exitCodes)
            """,
        version: productVersion)

    @Option(name: .long, help: "The configuration file.")
    var config = AgentConfiguration.defaultPath

    @Flag(name: .long, help: "Read the configuration, say whether it is good, and end.")
    var checkConfig = false

    func run() async throws {
        let configuration: AgentConfiguration
        do { configuration = try AgentConfiguration(yaml: ConfigFile.text(path: config), source: config) } catch {
            throw DaemonFailure.badConfiguration("\(error)")
        }
        if checkConfig {
            print("\(config): good")
            return
        }
        let logger = Self.startLogging(configuration.logLevel)
        logger.info("starting", metadata: ["version": "\(productVersion)", "node": "\(configuration.node)", "config": "\(config)"])
        let group = ServiceGroup(
            configuration: .init(
                services: [.init(service: Agent(configuration, logger: logger), successTerminationBehavior: .gracefullyShutdownGroup)],
                gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
        do { try await group.run() } catch {
            throw DaemonFailure.failed("\(error)")
        }
    }
}
