public import Dataplane
import GRPCCore
import GRPCNIOTransportHTTP2Posix

/// `DataplaneService` on a Unix socket.
public final class DataplaneServer: Sendable {
    /// Octets of one request, at most: 10,000 operations of the largest usual kind, and any frame, fit well.
    static let maximumRequest = 32 << 20

    private let listener: SocketListener
    private let server: GRPCServer<HTTP2ServerTransport.Posix>

    /// `serve` answers on the listener's socket.
    public init(router: Router, listener: SocketListener, version: String) {
        self.listener = listener
        let transport = HTTP2ServerTransport.Posix(
            listeningSocketDescriptor: Int(listener.descriptor), transportSecurity: .plaintext,
            config: .defaults { config in config.rpc.maxRequestPayloadSize = Self.maximumRequest })
        let service = DataplaneService(router: router, version: version)
        server = GRPCServer(transport: transport, services: [service, ApplyService(service: service), FlowListingService(service: service)])
    }

    /// Serves until `shutDown`, or the task is cancelled. Removes the socket file. To be called once.
    public func serve() async throws {
        defer { listener.remove() }
        try await server.serve()
    }

    /// Takes no new calls and ends `serve` when those running are answered; trap streams are ended.
    public func shutDown() { server.beginGracefulShutdown() }
}
