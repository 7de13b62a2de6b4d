public import Logging
import NIOCore
import NIOPosix

/// Connects to a server, logs in, and delivers what comes until the stream ends. One call of `run` is one stream; `Reconnect` says when to
/// call it again.
public struct XMPPClient: Sendable {
    public struct Configuration: Sendable {
        public var host: String
        public var port: Int
        /// `account@domain/resource`; without a resource the server chooses one.
        public var jid: JID
        public var password: String
        public var limits = StreamLimits()
        public var keepalive = Keepalive()
        /// From the connection to a bound resource.
        public var negotiationTimeout: Duration = .seconds(10)
        public var connectTimeout: Duration = .seconds(5)

        public init(host: String, port: Int = 5269, jid: JID, password: String) {
            self.host = host
            self.port = port
            self.jid = jid
            self.password = password
        }
    }

    private let configuration: Configuration
    private let logger: Logger

    public init(_ configuration: Configuration, logger: Logger = Logger(label: "xmpp.client")) {
        self.configuration = configuration
        self.logger = logger
    }

    /// Returns when the stream is over and the handler has been told, or with the reason why there was none (then the handler has not
    /// been called). Cancelling the task closes the stream.
    public func run(handler: some SessionHandler) async -> SessionEnd {
        let channel: Connection.Channel
        do {
            channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .connectTimeout(TimeAmount(configuration.connectTimeout))
                .channelOption(.allowRemoteHalfClosure, value: true)
                .channelOption(.tcpOption(.tcp_nodelay), value: 1)
                .connect(host: configuration.host, port: configuration.port) { channel in
                    channel.eventLoop.makeCompletedFuture { try Connection.wrap(channel) }
                }
        } catch {
            return .disconnected("\(configuration.host):\(configuration.port): \(error)")
        }
        let connection = Connection(
            limits: configuration.limits, keepalive: configuration.keepalive, negotiationTimeout: configuration.negotiationTimeout,
            isServer: false, logger: logger, bound: { _ in nil })
        let stream = ClientStream(jid: configuration.jid, password: configuration.password)
        return await connection.run(channel, machine: stream, handler: handler)
    }
}
