import NIOCore
import NIOPosix

/// Asks other name servers (RFC 1035 section 7, RFC 5452): one after the other, over UDP with a random id and a port of its own for every question, over TCP when
/// the answer was cut. An answer counts when it comes from the server asked and has the id and the question; what else arrives is passed over.
///
/// # Thread-safety
/// `Sendable`; any number of questions at a time.
struct DNSForwarder: Sendable {
    var timeout: Duration
    /// Rounds through the list.
    var attempts: Int

    /// The first server's answer that is one. A server that fails, refuses or is silent is followed by the next; when all do, what the last one said, or nil.
    func ask(_ query: DNSMessage, servers: [SocketAddress]) async -> DNSMessage? {
        var last: DNSMessage?
        for _ in 0..<attempts {
            for server in servers {
                guard let answer = try? await ask(query, server) else { continue }
                last = answer
                switch answer.responseCode {
                case DNSMessage.ResponseCode.noError.rawValue, DNSMessage.ResponseCode.nameError.rawValue: return answer
                default: continue
                }
            }
            if last != nil || Task.isCancelled { return last }
        }
        return last
    }

    private func ask(_ query: DNSMessage, _ server: SocketAddress) async throws -> DNSMessage {
        var octets = query.octets
        octets.set(0, word16: UInt16.random(in: .min ... .max))
        let answer = try await exchange(octets, server, isStream: false)
        guard answer.isTruncated else { return answer }
        // What was cut is still better than nothing.
        return (try? await exchange(octets, server, isStream: true)) ?? answer
    }

    private func exchange(_ query: [UInt8], _ server: SocketAddress, isStream: Bool) async throws -> DNSMessage {
        let loop = MultiThreadedEventLoopGroup.singleton.any()
        let promise = loop.makePromise(of: DNSMessage.self)
        let limit = TimeAmount.nanoseconds(Int64(timeout.seconds * 1e9))
        let opened: EventLoopFuture<any Channel>
        if isStream {
            opened = ClientBootstrap(group: loop).connectTimeout(limit)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(StreamAnswer(query, promise)) }
                }.connect(to: server)
        } else {
            opened = DatagramBootstrap(group: loop)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(DatagramAnswer(query, server, promise)) }
                }.connect(to: server)
        }
        opened.whenFailure { promise.fail($0) }
        let expiry = loop.scheduleTask(in: limit) { promise.fail(NoAnswer()) }
        defer {
            expiry.cancel()
            opened.whenSuccess { $0.close(promise: nil) }
        }
        return try await promise.futureResult.get()
    }

    struct NoAnswer: Error {}

    private final class DatagramAnswer: ChannelInboundHandler {
        typealias InboundIn = AddressedEnvelope<ByteBuffer>
        typealias OutboundOut = AddressedEnvelope<ByteBuffer>
        private let query: [UInt8]
        private let server: SocketAddress
        private let promise: EventLoopPromise<DNSMessage>
        init(_ query: [UInt8], _ server: SocketAddress, _ promise: EventLoopPromise<DNSMessage>) {
            (self.query, self.server, self.promise) = (query, server, promise)
        }
        func channelActive(context: ChannelHandlerContext) {
            context.writeAndFlush(wrapOutboundOut(AddressedEnvelope(remoteAddress: server, data: ByteBuffer(bytes: query))), promise: nil)
        }
        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let octets = Array(unwrapInboundIn(data).data.readableBytesView)
            if let message = DNSMessage(octets, answering: query) { promise.succeed(message) }
        }
        func errorCaught(context: ChannelHandlerContext, error: any Error) { promise.fail(error) }
    }

    private final class StreamAnswer: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        private let query: [UInt8]
        private let promise: EventLoopPromise<DNSMessage>
        private var received: [UInt8] = []
        init(_ query: [UInt8], _ promise: EventLoopPromise<DNSMessage>) { (self.query, self.promise) = (query, promise) }
        func channelActive(context: ChannelHandlerContext) {
            var octets: [UInt8] = []
            octets.append(word16: UInt16(truncatingIfNeeded: query.count))
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: octets + query)), promise: nil)
        }
        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            received += unwrapInboundIn(data).readableBytesView
            guard received.count >= 2 else { return }
            let length = Int(received[0]) << 8 | Int(received[1])
            guard received.count >= 2 + length else { return }
            guard let message = DNSMessage(Array(received[2..<2 + length]), answering: query) else { return promise.fail(NoAnswer()) }
            promise.succeed(message)
        }
        func channelInactive(context: ChannelHandlerContext) { promise.fail(NoAnswer()) }
        func errorCaught(context: ChannelHandlerContext, error: any Error) { promise.fail(error) }
    }
}

/// The name servers of this machine.
enum ResolverFile {
    static let path = "/etc/resolv.conf"

    /// The `nameserver` lines of resolv.conf(5).
    static func servers(_ text: String) -> [SocketAddress] {
        text.split(whereSeparator: \.isNewline).compactMap { line in
            let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
            guard words.count >= 2, words[0] == "nameserver" else { return nil }
            return try? SocketAddress(ipAddress: String(words[1]), port: 53)
        }
    }
}
