import ArgumentParser
import Controller
import Daemon
import Logging
import NetTypes
import ServiceLifecycle
import StrictYAML
import UnixSignals

@main
struct VRouterController: DaemonCommand {
    static let configuration = CommandConfiguration(
        commandName: "vrouter-controller",
        abstract: "Configures the agents of a virtual network and exchanges their routes.",
        discussion: """
            Agents connect over XMPP (TCP 5269); vrctl and others configure over HTTP/JSON (127.0.0.1:8082).
            Stops on SIGTERM and SIGINT. \(exitCodes)
            """,
        version: productVersion)

    @Option(name: .shortAndLong, help: "The configuration file.")
    var config = "/etc/vrouter/controller.yaml"

    @Flag(help: "Read the configuration file, report what is wrong with it, and exit.")
    var checkConfig = false

    func run() async throws {
        let configuration: ControllerConfiguration
        do { configuration = try ControllerConfiguration(text: ConfigFile.text(path: config), source: config) } catch {
            throw DaemonFailure.badConfiguration("\(error)")
        }
        if checkConfig {
            print("\(config): good")
            return
        }
        let logger = Self.startLogging(Logger.Level(rawValue: configuration.log.rawValue) ?? .info)
        let service = ControllerService(configuration: configuration, version: productVersion, logger: logger)
        let group = ServiceGroup(
            configuration: .init(
                services: [.init(service: service, successTerminationBehavior: .gracefullyShutdownGroup)],
                gracefulShutdownSignals: [.sigterm, .sigint], logger: Logger(label: "service") { _ in SwiftLogNoOpLogHandler() }))
        do { try await group.run() } catch {
            throw DaemonFailure.failed("\(error)")
        }
    }
}
