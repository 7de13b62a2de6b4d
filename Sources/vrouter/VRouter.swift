import ArgumentParser
import CPlatform
import Daemon
import Dataplane
import DataplaneService
import Logging
import NetTypes
import ServiceLifecycle
import StrictYAML
import UnixSignals

/// `vrouter`: the data plane process. Reads its configuration, opens its ports, forwards, and lets control programs in on a Unix socket.
@main
struct VRouter: DaemonCommand {
    static let configuration = CommandConfiguration(
        commandName: "vrouter",
        abstract: "Userspace virtual router: forwards packets between ports, programmed over gRPC on a Unix socket.",
        discussion: """
            Without an API socket (`api: none`) and with capture files as its only ports it runs to the end of the files, prints a \
            summary and exits.

            \(exitCodes)
            """,
        version: productVersion)

    enum Output: String, ExpressibleByArgument, CaseIterable { case table, json }

    @Option(name: [.short, .long], help: "Configuration file (YAML).")
    var config = "/etc/vrouter/vrouter.yaml"

    @Flag(help: "Only read the configuration and try it without opening a device; say what is wrong with it.")
    var checkConfig = false

    @Option(help: "In place of `workers` of the configuration: a count, or a list of cores such as '[0, 2]'.")
    var workers: String?

    @Option(help: "In place of `api` of the configuration: path of the socket, or 'none'.")
    var socket: String?

    @Option(name: [.short, .long], help: "Form of the summary of an offline run: table or json.")
    var output = Output.table

    @Option(help: "Least level that is logged: trace, debug, info, notice, warning, error or critical.", transform: level)
    var logLevel = Logger.Level.info

    @Sendable private static func level(_ text: String) throws -> Logger.Level {
        guard let level = Logger.Level(rawValue: text) else {
            throw ValidationError("'\(text)' is no log level; known: \(Logger.Level.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        return level
    }

    func run() async throws {
        if let wanted = vr_processor_wanted() {
            throw DaemonFailure.failed(
                "this build is for processors of level \(String(cString: wanted)) or later, which this one is not; "
                    + "build it for this one: VROUTER_CPU=native ./run build")
        }
        let logger = Self.startLogging(logLevel)
        let configuration: VRouterConfiguration
        do { configuration = try read() } catch { throw DaemonFailure.badConfiguration("\(error)") }
        if checkConfig {
            do { try ConfiguredRouter.check(configuration) } catch { throw DaemonFailure.badConfiguration("\(error)") }
            for warning in configuration.warnings { print("\(config): warning: \(warning)") }
            print("\(config): OK: \(counted(configuration.router.cores.count, "worker")), \(counted(configuration.objects.count, "object"))")
            return
        }
        var listener: SocketListener?
        if let socket = configuration.socket {
            do { listener = try SocketListener(path: socket) } catch { throw DaemonFailure.failed("\(error)") }
        }
        for warning in configuration.warnings { logger.warning("\(warning)") }
        let configured: ConfiguredRouter
        do { configured = try ConfiguredRouter(configuration) } catch {
            listener?.abandon()
            throw DaemonFailure.failed("\(error)")
        }
        if configured.isOffline { return try runOffline(configured) }
        guard configuration.socket != nil || !configured.router.ports().isEmpty else {
            throw DaemonFailure.badConfiguration(
                "\(config): there is no port and `api: none`: nothing could ever happen; give ports or an API socket")
        }
        try await serve(configured, listener, logger)
    }

    private func read() throws(ConfigError) -> VRouterConfiguration {
        let machine = Machine.current
        // Cores that the option replaces need not be there.
        var configuration = try VRouterConfiguration.load(config, machine: workers == nil ? machine : nil)
        if let workers { try configuration.setWorkers(workers, source: "--workers", machine: machine) }
        if let socket { configuration.socket = socket == "none" ? nil : socket }
        return configuration
    }

    private func runOffline(_ configured: ConfiguredRouter) throws {
        configured.router.runUntilExhausted()
        let summary = OfflineSummary(configured.router)
        print(output == .json ? summary.json : summary.text)
        if !summary.isBalanced { throw ExitCode(1) }
    }

    private func serve(_ configured: ConfiguredRouter, _ listener: SocketListener?, _ logger: Logger) async throws {
        // Shut down in reverse order: first no more programming, then the workers.
        var services: [any Service] = [RouterService(configured: configured, logger: logger)]
        if let listener {
            let server = DataplaneServer(router: configured.router, listener: listener, version: productVersion)
            services.append(APIService(server: server, socket: listener.path, logger: logger))
        }
        let group = ServiceGroup(services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        do { try await group.run() } catch { throw DaemonFailure.failed("\(error)") }
        logger.info("ended")
    }

    private func counted(_ count: Int, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }
}
