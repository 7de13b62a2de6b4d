import Dataplane
import DataplaneService
import Logging
import NetTypes
import ServiceLifecycle

/// The workers, from start to the graceful shutdown.
struct RouterService: Service {
    let configured: ConfiguredRouter
    let logger: Logger

    func run() async throws {
        let cores = configured.configuration.router.cores
        configured.router.start()
        for fault in configured.router.status().workers.compactMap(\.pinError) { logger.error("\(fault)") }
        logger.info(
            "forwarding",
            metadata: [
                "version": "\(productVersion)", "workers": "\(cores.count)",
                "cores": "\(cores.map { $0.map(String.init) ?? "any" }.joined(separator: ","))",
                "ports": "\(configured.router.ports().map { "\($0.spec.name) (\($0.driver) \($0.device))" }.joined(separator: ", "))",
            ])
        if configured.configuration.socket == nil { ServiceNotification.send("READY=1") }
        try? await gracefulShutdown()
        logger.info("stopping")
        configured.router.stop()
    }
}

/// The API socket.
struct APIService: Service {
    let server: DataplaneServer
    let socket: String
    let logger: Logger

    func run() async throws {
        logger.info("serving the programming API", metadata: ["socket": "\(socket)"])
        // The socket listens since it was made; calls are answered from here on.
        ServiceNotification.send("READY=1")
        try await withGracefulShutdownHandler {
            try await server.serve()
        } onGracefulShutdown: {
            ServiceNotification.send("STOPPING=1")
            server.shutDown()
        }
    }
}
