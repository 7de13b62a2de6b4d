import ArgumentParser
import Controller
import Foundation
import Logging
import ServiceLifecycle
import StrictYAML
import UnixSignals

@main
struct VRouterController: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "vrouter-controller",
        abstract: "Configures the agents of a virtual network and exchanges their routes.",
        discussion: """
            Agents connect over XMPP (TCP 5269); vrctl and others configure over HTTP/JSON (127.0.0.1:8082).
            Stops on SIGTERM and SIGINT. Exit status: 0 stopped, 1 could not start or failed, 64 wrong usage.
            """,
        version: "vrouter-controller \(Self.version)")

    static let version = "0.1.0"

    @Option(name: .shortAndLong, help: "The configuration file.")
    var config = "/etc/vrouter/controller.yaml"

    @Flag(help: "Read the configuration file, report what is wrong with it, and exit.")
    var checkConfig = false

    func run() async throws {
        let configuration = try read()
        if checkConfig {
            print("\(config): good")
            return
        }
        let level = Logger.Level(rawValue: configuration.log.rawValue) ?? .info
        LoggingSystem.bootstrap { label in
            var handler = StreamLogHandler.standardError(label: label)
            handler.logLevel = level
            return handler
        }
        let logger = Logger(label: "controller")
        let service = ControllerService(configuration: configuration, version: Self.version, logger: logger)
        let group = ServiceGroup(
            configuration: .init(
                services: [.init(service: service, successTerminationBehavior: .gracefullyShutdownGroup)],
                gracefulShutdownSignals: [.sigterm, .sigint], logger: Logger(label: "service") { _ in SwiftLogNoOpLogHandler() }))
        do { try await group.run() } catch {
            fail("\(error)")
        }
    }

    private func read() throws -> ControllerConfiguration {
        do { return try ControllerConfiguration(text: ConfigFile.text(path: config), source: config) } catch { fail("\(error)") }
    }

    private func fail(_ message: String) -> Never {
        FileHandle.standardError.write(Data("vrouter-controller: \(message)\n".utf8))
        Foundation.exit(1)
    }
}
