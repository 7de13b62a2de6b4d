import Logging
import NIOCore
import Synchronization

/// Runs one stream on one TCP connection: the only place where sockets, tasks and clocks meet the state machine.
///
/// Four tasks. The *reader* owns the parser and the state machine and does what they say; the *writer* takes from the outbox; the
/// *deliverer* calls the handler, one stanza after another; the *watch* has the deadline of the negotiation and the pings. The reader
/// stops while the deliverer is behind by `limits.inbound` stanzas, and TCP then slows the peer down.
///
/// The end, from whichever side it comes: the outbox is closed with a reason, the writer writes what is left and closes its half of the
/// connection, the reader throws away what still comes (a connection that is closed with unread bytes is reset, and the peer would lose
/// the stream error), and after `linger` everything is closed hard.
struct Connection: Sendable {
    var limits: StreamLimits
    var keepalive: Keepalive
    var negotiationTimeout: Duration
    var isServer: Bool
    var logger: Logger
    /// Called as soon as the peer is bound. The session it returns was replaced: the handler hears of its end before it hears of the new one.
    var bound: @Sendable (Session) -> Session?

    static let linger: Duration = .seconds(2)
    /// Bytes given to the channel at once, so that it holds no more than this above its own limit.
    private static let slice = 64 << 10

    typealias Channel = NIOAsyncChannel<ByteBuffer, ByteBuffer>

    static func wrap(_ channel: any NIOCore.Channel) throws -> Channel {
        try Channel(wrappingChannelSynchronously: channel, configuration: .init(isOutboundHalfClosureEnabled: true))
    }

    private enum Finished { case reader, writer, watch, linger }
    private enum Delivery: Sendable {
        case started(Session, replacing: Session?)
        case stanza(Stanza)
    }

    /// What the tasks of one connection share.
    private final class Shared: Sendable {
        let outbox: Outbox
        let inbox: BoundedQueue<Delivery>
        let session = Mutex<Session?>(nil)
        let lastRead = Mutex(ContinuousClock.now)
        /// False while the reader waits for the deliverer: then silence is not the peer's fault.
        let isReading = Mutex(true)
        init(limits: StreamLimits) {
            outbox = Outbox(capacity: limits.outbound)
            inbox = BoundedQueue(capacity: limits.inbound)
        }

        /// The stream is over for the application, whatever the connection still does. May be called twice.
        func finish() {
            session.withLock { $0 }?.failRequests(outbox.end ?? .closed)
            inbox.finish()
        }
    }

    /// Returns when the stream is over, the connection is closed and the handler has been told. Cancelling the task ends the stream in
    /// order, on a server with system-shutdown.
    func run(_ channel: Channel, machine: some StreamMachine, handler: some SessionHandler) async -> SessionEnd {
        let shared = Shared(limits: limits)
        // A task of its own: cancellation must not reach the writer, which still has the last words to say.
        let task = Task {
            async let delivered: Void = deliver(shared, to: handler)
            await converse(channel, machine, shared)
            await delivered
        }
        await withTaskCancellationHandler {
            await task.value
        } onCancel: {
            shared.outbox.close(isServer ? .failed(StreamError(.systemShutdown)) : .closed)
        }
        return shared.outbox.end ?? .closed
    }

    private func converse(_ channel: Channel, _ machine: some StreamMachine, _ shared: Shared) async {
        do {
            try await channel.executeThenClose { inbound, outbound in
                await withTaskGroup(of: Finished.self) { group in
                    group.addTask {
                        await read(inbound, machine, shared); return .reader
                    }
                    group.addTask {
                        await write(outbound, shared); return .writer
                    }
                    group.addTask {
                        await watch(shared); return .watch
                    }
                    group.addTask {
                        await shared.outbox.closed()
                        shared.finish()
                        try? await Task.sleep(for: Self.linger)
                        return .linger
                    }
                    var open: Set<Finished> = [.reader, .writer]
                    while !open.isEmpty, let finished = await group.next(), finished != .linger { open.remove(finished) }
                    shared.outbox.abandon(.disconnected("the connection was closed"))
                    channel.channel.close(promise: nil)
                    group.cancelAll()
                }
            }
        } catch {
            shared.outbox.abandon(.disconnected("\(error)"))
        }
        shared.finish()
    }
}

extension Connection {
    private func read(_ inbound: NIOAsyncChannelInboundStream<ByteBuffer>, _ machine: some StreamMachine, _ shared: Shared) async {
        var machine = machine
        var parser = StreamParser(limits: limits.parser(isAuthenticated: false))
        perform(machine.start(), &parser, shared)
        do {
            for try await bytes in inbound {
                shared.lastRead.withLock { $0 = .now }
                if shared.outbox.isClosed { continue }
                let current = parser
                for event in parser.feed(bytes.readableBytesView) {
                    guard current === parser else {
                        // Nobody may send ahead across a restart: who waits for the answer has sent nothing more.
                        shared.outbox.close(.failed(StreamError(.policyViolation, "data before the stream restart")))
                        break
                    }
                    perform(machine.receive(event), &parser, shared)
                }
                shared.isReading.withLock { $0 = false }
                await shared.inbox.hasRoom()
                shared.isReading.withLock { $0 = true }
            }
            shared.outbox.close(.disconnected("the peer closed the connection"))
        } catch {
            shared.outbox.abandon(.disconnected("\(error)"))
        }
    }

    private func perform(_ actions: [StreamAction], _ parser: inout StreamParser, _ shared: Shared) {
        for action in actions {
            switch action {
            case .send(let text): shared.outbox.append(text)
            case .restart: parser = StreamParser(limits: limits.parser(isAuthenticated: true))
            case .established(let local, let peer):
                let session = Session(local: local, peer: peer, stampsAddresses: isServer, outbox: shared.outbox, logger: logger)
                shared.session.withLock { $0 = session }
                shared.inbox.add(.started(session, replacing: bound(session)))
            case .deliver(let stanza): received(stanza, shared)
            case .end(let end): shared.outbox.close(end)
            }
        }
    }

    private func received(_ stanza: Stanza, _ shared: Shared) {
        guard let session = shared.session.withLock({ $0 }) else { return }
        switch stanza {
        case .iq(let iq) where !iq.isRequest: session.received(answer: iq)
        case .iq(let iq) where Ping.matches(iq): session.send(.iq(iq.result()))
        case .iq, .message: shared.inbox.add(.stanza(stanza))
        case .presence: break
        }
    }

    private func write(_ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>, _ shared: Shared) async {
        do {
            while var bytes = await shared.outbox.next() {
                while bytes.readableBytes > 0, let slice = bytes.readSlice(length: min(bytes.readableBytes, Self.slice)) {
                    try await outbound.write(slice)
                    shared.outbox.wrote(slice.readableBytes)
                }
            }
            outbound.finish()
        } catch {
            shared.outbox.abandon(.disconnected("\(error)"))
        }
    }

    private func deliver(_ shared: Shared, to handler: some SessionHandler) async {
        var isStarted = false
        while let deliveries = await shared.inbox.next() {
            for delivery in deliveries {
                switch delivery {
                case .started(let session, let replaced):
                    await replaced?.over()
                    isStarted = true
                    await handler.sessionStarted(session)
                case .stanza(let stanza):
                    guard let session = shared.session.withLock({ $0 }) else { continue }
                    if case .iq(let request) = stanza { await answer(request, session, handler) }
                    if case .message(let message) = stanza { await handler.received(message, on: session) }
                }
            }
        }
        guard let session = shared.session.withLock({ $0 }) else { return }
        if isStarted { await handler.sessionEnded(session, shared.outbox.end ?? .closed) }
        session.isOver()
    }

    /// The one place where a request is answered (RFC 6120 section 8.2.3).
    private func answer(_ request: IQ, _ session: Session, _ handler: some SessionHandler) async {
        do {
            session.send(.iq(request.result(try await handler.received(request, on: session))))
        } catch let error as StanzaError {
            session.send(.iq(request.failure(error)))
        } catch {
            logger.error("a request failed", metadata: ["peer": "\(session.peer)", "id": "\(request.id)", "error": "\(error)"])
            session.send(.iq(request.failure(StanzaError(.internalServerError))))
        }
    }

    private func watch(_ shared: Shared) async {
        let clock = ContinuousClock()
        let deadline = clock.now + negotiationTimeout
        var missed = 0
        while !shared.outbox.isClosed {
            guard let session = shared.session.withLock({ $0 }) else {
                guard clock.now < deadline else {
                    return shared.outbox.close(.failed(StreamError(.connectionTimeout, "no login within \(negotiationTimeout)")))
                }
                guard (try? await Task.sleep(for: min(keepalive.interval, deadline - clock.now))) != nil else { return }
                continue
            }
            let before = clock.now
            guard (try? await Task.sleep(for: keepalive.interval)) != nil else { return }
            if !shared.isReading.withLock({ $0 }) || shared.lastRead.withLock({ $0 }) >= before {
                missed = 0
                continue
            }
            guard missed < keepalive.missed else {
                return shared.outbox.close(.failed(StreamError(.connectionTimeout, "\(missed) pings without an answer")))
            }
            missed += 1
            session.ping()
        }
    }
}

extension StreamLimits {
    fileprivate func parser(isAuthenticated: Bool) -> StreamParser.Limits {
        StreamParser.Limits(stanza: isAuthenticated ? stanza : unauthenticatedStanza, token: token, depth: depth, elements: elements)
    }
}
