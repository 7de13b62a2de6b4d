import Logging
import Overlay
import XMPP

/// The connection to one controller, for as long as the agent runs: logs in, subscribes, publishes what changed, delivers what comes.
/// After a lost session it tries again, first within half a second, then with growing pauses and jitter.
struct ControllerSession: Sendable {
    let index: Int
    let core: AgentCore
    let configuration: AgentConfiguration
    let logger: Logger

    private var controller: AgentConfiguration.Controller { configuration.controllers[index] }

    func run() async {
        guard let jid = JID(local: configuration.node, domain: configuration.xmpp.domain, resource: "agent") else {
            await core.sessionEnded(index, reason: "\(configuration.node)@\(configuration.xmpp.domain) is not an address; check node and xmpp.domain")
            return
        }
        var settings = XMPPClient.Configuration(host: controller.host, port: controller.port, jid: jid, password: configuration.xmpp.password)
        settings.limits = ConfigXML.limits
        let client = XMPPClient(settings, logger: logger)
        var reconnect = Reconnect(initial: .milliseconds(400), maximum: .seconds(10))
        while !Task.isCancelled {
            let (started, sessions) = AsyncStream.makeStream(of: Session.self)
            let handler = Handler(index: index, core: core, node: configuration.node, sessions: sessions)
            let begun = ContinuousClock.now
            let end = await withTaskGroup(of: SessionEnd?.self) { group in
                group.addTask {
                    let end = await client.run(handler: handler)
                    sessions.finish()
                    return end
                }
                group.addTask {
                    for await session in started { await talk(on: session) }
                    return nil
                }
                var end = SessionEnd.closed
                for await result in group {
                    guard let result else { continue }
                    end = result
                    group.cancelAll()
                }
                return end
            }
            await core.sessionEnded(index, reason: end.description)
            if ContinuousClock.now - begun > .seconds(5) { reconnect.reset() }
            if !Task.isCancelled { try? await Task.sleep(for: reconnect.next()) }
        }
    }

    /// Asks and tells until the session ends.
    private func talk(on session: Session) async {
        let signal = await core.signal(of: index)
        while !Task.isCancelled, session.isOpen, let next = await core.nextRequests(index, session) {
            if next.subscribesConfig { await subscribeConfig(session) }
            await send(next.requests, on: session)
            if next.requests.isEmpty { await signal.wait(for: next.wait) }
        }
    }

    private func subscribeConfig(_ session: Session) async {
        await core.willSubscribeConfig(index)
        let request = PubSub.Request.subscribe(node: ConfigXML.node(forComputeNode: configuration.node), jid: session.local)
        do {
            _ = try await session.request(IQ(.set, to: service("config"), payload: request.element))
            await core.configSubscribed(index, session)
        } catch {
            logger.warning(
                "controller refuses the configuration subscription", metadata: ["controller": "\(controller.description)", "reason": "\(error)"])
            try? await Task.sleep(for: .seconds(1))
        }
    }

    /// Requests of one stage, many under way at a time; a stage is answered before the next is planned, which keeps their order.
    private func send(_ requests: [RouteExchange.Request], on session: Session) async {
        await withTaskGroup(of: Void.self) { group in
            for (count, batch) in RouteExchange.batches(requests).enumerated() {
                if count >= 16 { await group.next() }
                group.addTask { await send(batch, on: session) }
            }
        }
    }

    private func send(_ batch: RouteExchange.Batch, on session: Session) async {
        do {
            _ = try await session.request(IQ(.set, to: service("routes"), payload: batch.pubsub.element))
            await core.answered(index, session, batch.requests, refusal: nil)
        } catch let error as StanzaError {
            if batch.requests.count == 1 { return await core.answered(index, session, batch.requests, refusal: error.description) }
            // One of them is at fault: each alone shows which.
            for request in batch.requests { await send(RouteExchange.Batch(requests: [request], pubsub: request.pubsub), on: session) }
        } catch {
            // The session ended: the next one starts from nothing.
        }
    }

    private func service(_ resource: String) -> JID? { JID(local: "controller", domain: configuration.xmpp.domain, resource: resource) }
}

/// Hands what one session delivers to the core.
private struct Handler: SessionHandler {
    let index: Int
    let core: AgentCore
    let node: String
    let sessions: AsyncStream<Session>.Continuation

    func sessionStarted(_ session: Session) async {
        await core.sessionStarted(session, index)
        sessions.yield(session)
    }

    func received(_ message: Message, on session: Session) async {
        let events = ControllerEvent.decode(message, node: node)
        if !events.isEmpty { await core.received(events, from: index) }
    }

    func sessionEnded(_ session: Session, _ reason: SessionEnd) async {
        await core.sessionEnded(index, reason: reason.description)
        sessions.finish()
    }
}
