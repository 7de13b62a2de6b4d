import Hummingbird
public import Logging
import NIOCore
public import ServiceLifecycle
import Synchronization
import XMPP

/// The whole controller as one service: opens the store, listens for agents and for HTTP, and serves until it is told to stop.
///
/// Agents that are connected at shutdown get the stream error system-shutdown; everything configured is on disk before its request was
/// answered, so there is nothing to save.
public struct ControllerService: Service {
    public let configuration: ControllerConfiguration
    public let version: String
    public let logger: Logger
    /// Called once when both ports are open, with their numbers.
    public let onListening: @Sendable (_ xmppPort: Int, _ httpPort: Int) async -> Void

    public init(
        configuration: ControllerConfiguration, version: String, logger: Logger,
        onListening: @escaping @Sendable (_ xmppPort: Int, _ httpPort: Int) async -> Void = { _, _ in }
    ) {
        self.configuration = configuration
        self.version = version
        self.logger = logger
        self.onListening = onListening
    }

    /// Throws `StartError` when it cannot start.
    public func run() async throws {
        let control: ControlPlane
        do {
            control = try ControlPlane(storePath: configuration.store, domain: configuration.domain, timing: configuration.timing, logger: logger)
        } catch { throw StartError("\(error)") }
        let credentials = CredentialCache(configuration.credentials)
        let xmpp: XMPPServer
        do {
            xmpp = try await XMPPServer.listen(
                XMPPServer.Configuration(
                    host: configuration.xmppListen.host, port: configuration.xmppListen.port, domain: configuration.domain,
                    credentials: { credentials.credential($0) }), handler: control, logger: logger)
        } catch {
            await control.stop()
            throw StartError("cannot listen for agents at \(configuration.xmppListen) (xmpp.listen): \(error)")
        }
        if !configuration.httpListen.isLoopback {
            logger.warning("anyone who reaches the HTTP address may configure", metadata: ["listen": "\(configuration.httpListen)"])
        }
        let listening = onListening, logger = logger, httpListen = configuration.httpListen
        let isBound = Mutex(false)
        // The HTTP server reports its requests at a lower level than we do our events.
        var httpLogger = logger
        httpLogger.logLevel = max(logger.logLevel, .notice)
        let http = Application(
            router: HTTPAPI.router(control, version: version, logger: logger),
            configuration: .init(address: .hostname(httpListen.host, port: httpListen.port), serverName: "vrouter-controller"),
            onServerRunning: { channel in
                isBound.withLock { $0 = true }
                let port = channel.localAddress?.port ?? httpListen.port
                logger.info("listening", metadata: ["xmpp": "\(configuration.xmppListen.host):\(xmpp.port)", "http": "\(httpListen.host):\(port)"])
                await listening(xmpp.port, port)
            }, logger: httpLogger)
        await control.start()
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    do { try await cancelWhenGracefulShutdown { try await xmpp.run() } } catch is CancellationError {}
                }
                group.addTask { try await http.run() }
                // Whichever ends first ends the other: half a controller serves nobody.
                try await group.next()
                group.cancelAll()
                try await group.waitForAll()
            }
        } catch {
            await control.stop()
            if !isBound.withLock({ $0 }), !(error is CancellationError) {
                throw StartError("cannot listen for HTTP at \(httpListen) (http.listen): \(error)")
            }
            throw error
        }
        await control.stop()
    }
}

/// Why the controller did not start.
public struct StartError: Error, Hashable, Sendable, CustomStringConvertible {
    public var description: String
    init(_ description: String) { self.description = description }
}

/// SCRAM keys by account, derived at the first login: that takes milliseconds for each.
final class CredentialCache: Sendable {
    private let passwords: [String: String]
    private let derived = Mutex<[String: SCRAMCredential]>([:])

    init(_ passwords: [String: String]) { self.passwords = passwords }

    func credential(_ account: String) -> SCRAMCredential? {
        if let known = derived.withLock({ $0[account] }) { return known }
        guard let password = passwords[account], let credential = try? SCRAMCredential(password: password) else { return nil }
        return derived.withLock { derived in
            // Two logins at once: the salt of the first counts for both.
            if let known = derived[account] { return known }
            derived[account] = credential
            return credential
        }
    }
}
