import Foundation
import Testing
import XMPP

private let ping = IQ(.get, payload: Ping.element)
private let user = JID(local: "u", domain: "vrouter.local", resource: "r")!

@Suite(.timeLimit(.minutes(2))) struct TransportTests {
    @Test func aRequestGetsItsOneAnswer() async throws {
        struct Broken: Error {}
        let handler = TestHandler { request, session in
            switch request.payload?.name {
            case "good": return XMLElement("answer", namespace: "urn:t", ["from": request.from?.description ?? ""])
            case "empty": return nil
            case "bad": throw StanzaError(.itemNotFound, "no such thing")
            case "broken": throw Broken()
            default: throw StanzaError(.serviceUnavailable)
            }
        }
        try await withServer(handler) { server in
            try await withClient("a@vrouter.local/agent", server) { session in
                func ask(_ name: String) async throws -> IQ { try await session.request(IQ(.get, payload: XMLElement(name, namespace: "urn:t"))) }
                #expect(try await ask("good").payload?["from"] == "a@vrouter.local/agent")
                #expect(try await ask("empty").payload == nil)
                for (name, condition) in [
                    ("bad", StanzaError.Condition.itemNotFound), ("broken", .internalServerError), ("other", .serviceUnavailable),
                ] {
                    let error = await #expect(throws: StanzaError.self) { try await ask(name) }
                    #expect(error?.condition == condition)
                }
                #expect(try await session.request(ping).kind == .result)
                // Many at once, each with its own answer.
                try await withThrowingTaskGroup(of: IQ.self) { group in
                    for _ in 0..<200 { group.addTask { try await ask("good") } }
                    var ids: Set<String> = []
                    for try await answer in group { ids.insert(answer.id) }
                    #expect(ids.count == 200)
                }
            }
        }
    }

    @Test func theServerAsksToo() async throws {
        let handler = TestHandler()
        try await withServer(handler) { server in
            let client = TestHandler { request, _ in request.payload?.name == "x" ? XMLElement("y", namespace: "urn:t") : nil }
            try await withClient("a@vrouter.local/agent", server, client) { _ in
                let session = await handler.started()
                let answer = try await session.request(IQ(.get, payload: XMLElement("x", namespace: "urn:t")))
                #expect(answer.payload?.name == "y")
                #expect(server.session(session.peer) == session)
            }
        }
    }

    /// Who stops a server may stop it between a connection and its service.
    @Test func connectionsThatNobodyServesAreClosed() async throws {
        let server = try await XMPPServer.listen(
            .init(host: "127.0.0.1", port: 0, domain: "vrouter.local", credentials: { _ in nil }), handler: TestHandler())
        let clients = try (0..<8).map { _ in try RawClient(port: server.port) }
        let serving = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            try await server.run()
        }
        _ = await serving.result
        for client in clients { #expect(await client.receiveUntilClosed() == "") }
        #expect(throws: POSIXError.self) { try RawClient(port: server.port) }
    }

    /// A handler may wait for an answer on its own session: answers do not wait for handlers.
    @Test func aHandlerMayAskBack() async throws {
        let handler = TestHandler { _, session in try await session.request(ping).payload }
        try await withServer(handler) { server in
            try await withClient("a@vrouter.local/agent", server) { session in
                let answer = try await session.request(IQ(.get, payload: XMLElement("x", namespace: "urn:t")))
                #expect(answer.kind == .result)
            }
        }
    }

    @Test func messagesArriveInOrder() async throws {
        let handler = TestHandler()
        try await withServer(handler) { server in
            try await withClient("a@vrouter.local/agent", server) { session in
                for number in 0..<2000 { session.send(.message(Message(id: "\(number)", payloads: [XMLElement("x", namespace: "urn:t")]))) }
                let ids = await handler.wait { events in
                    let ids = events.compactMap { if case .message(let message, _) = $0 { message.id } else { nil } }
                    return ids.count == 2000 ? ids : nil
                }
                #expect(ids == (0..<2000).map(String.init))
            }
        }
    }

    @Test func aRequestThatIsNotAnsweredEnds() async throws {
        let handler = TestHandler { _, _ in
            try await Task.sleep(for: .seconds(1))
            return nil
        }
        try await withServer(handler) { server in
            try await withClient("a@vrouter.local/agent", server) { session in
                let slow = IQ(.get, payload: XMLElement("x", namespace: "urn:t"))
                let error = await #expect(throws: StanzaError.self) { try await session.request(slow, timeout: .milliseconds(20)) }
                #expect(error?.condition == .remoteServerTimeout)
                let cancelled = Task { try await session.request(slow) }
                cancelled.cancel()
                await #expect(throws: CancellationError.self) { try await cancelled.value }
                let pending = Task { try await session.request(slow) }
                session.close()
                await #expect(throws: SessionEnd.closed) { try await pending.value }
                await #expect(throws: SessionEnd.closed) { try await session.request(ping) }
            }
        }
    }

    @Test func aSecondLoginReplacesTheFirst() async throws {
        let handler = TestHandler(endDelay: .milliseconds(50))
        try await withServer(handler) { server in
            let first = TestHandler()
            try await withClient("a@vrouter.local/agent", server, first) { old in
                try await withClient("a@vrouter.local/agent", server) { new in
                    #expect(await first.ended(old) == .failedByPeer(StreamError(.conflict, "logged in again")))
                    #expect(try await new.request(ping).kind == .result)
                    let session = await handler.started(2)
                    #expect(server.sessions == [session])
                    #expect(handler.events.map { $0.description.split(separator: " ")[0] } == ["started", "ended", "started"])
                    // Another resource is another session.
                    try await withClient("a@vrouter.local/other", server) { _ in #expect(server.sessions.count == 2) }
                }
            }
        }
    }

    @Test func aWrongPasswordAndNoServer() async throws {
        let handler = TestHandler()
        try await withServer(handler) { server in
            let jid = user
            let wrong = XMPPClient(.init(host: "127.0.0.1", port: server.port, jid: jid, password: "x"))
            #expect(await wrong.run(handler: handler) == .authenticationFailed("not-authorized"))
            let other = try #require(JID("u@example.com"))
            let stranger = XMPPClient(.init(host: "127.0.0.1", port: server.port, jid: other, password: "pencil"))
            #expect(await stranger.run(handler: handler) == .failedByPeer(StreamError(.hostUnknown, "this is vrouter.local")))
            let nowhere = XMPPClient(.init(host: "127.0.0.1", port: 1, jid: jid, password: "x"))
            guard case .disconnected(let what) = await nowhere.run(handler: handler) else { return #expect(Bool(false)) }
            #expect(what.hasPrefix("127.0.0.1:1: "))
            #expect(handler.events.isEmpty)
        }
    }

    @Test func aServerThatStopsSaysSo() async throws {
        let client = TestHandler()
        try await withServer(TestHandler()) { server in
            let configuration = XMPPClient.Configuration(host: "127.0.0.1", port: server.port, jid: user, password: "pencil")
            Task { await XMPPClient(configuration).run(handler: client) }
            _ = await client.started()
        }
        #expect(await client.ended(client.started()) == .failedByPeer(StreamError(.systemShutdown)))
    }

    @Test func aClosedSessionEndsBothSides() async throws {
        let (handler, client) = (TestHandler(), TestHandler())
        try await withServer(handler) { server in
            try await withClient("a@vrouter.local/agent", server, client) { session in
                session.close()
                #expect(await client.ended(session) == .closed)
                #expect(await handler.ended(handler.started()) == .closedByPeer)
            }
        }
    }

    @Test func twoHalvesOfASlowReader() async throws {
        let handler = TestHandler()
        try await withServer(handler, configure: { $0.limits.outbound = 1 << 20 }) { server in
            let payload = XMLElement("x", namespace: "urn:t", text: String(repeating: "x", count: 10_000))
            // One who does not read is cut off; what it costs is the limit.
            let raw = try RawClient(port: server.port)
            #expect(await raw.login(user, password: "pencil") != nil)
            let slow = await handler.started()
            while slow.isOpen { slow.send(.message(Message(payloads: [payload]))) }
            guard case .failed(let error) = await handler.ended(slow) else { return #expect(Bool(false)) }
            #expect(error.condition == .policyViolation)
            // One who sends with hasRoom gets any amount through.
            let client = TestHandler()
            try await withClient("a@vrouter.local/agent", server, client) { _ in
                let session = await handler.started(2)
                for number in 0..<1000 {
                    await session.hasRoom()
                    session.send(.message(Message(id: "\(number)", payloads: [payload])))
                }
                let count = await client.wait { events in
                    let count = events.count { if case .message = $0 { true } else { false } }
                    return count == 1000 ? count : nil
                }
                #expect(count == 1000 && session.isOpen)
                // One stanza may be more than is to wait.
                await session.hasRoom()
                session.send(
                    .message(Message(id: "large", payloads: [XMLElement("x", namespace: "urn:t", text: String(repeating: "x", count: 2 << 20))])))
                #expect(session.isOpen)
                let size = await client.wait { events in
                    for case .message(let message, _) in events where message.id == "large" { return message.payloads.first?.text.utf8.count }
                    if case .ended? = events.last { return -1 }
                    return nil
                }
                #expect(size == 2 << 20)
            }
        }
    }

    @Test func aSilentPeerIsPingedAndThenGivenUp() async throws {
        let handler = TestHandler()
        try await withServer(handler, configure: { $0.keepalive = Keepalive(interval: .milliseconds(50), missed: 2) }) { server in
            let raw = try RawClient(port: server.port)
            #expect(await raw.login(user, password: "pencil") != nil)
            let text = await raw.receiveUntilClosed()
            #expect(text.split(separator: "<ping xmlns=\"urn:xmpp:ping\"/>").count == 3)
            #expect(text.hasSuffix("</stream:error></stream:stream>"))
            #expect(await handler.ended(handler.started()) == .failed(StreamError(.connectionTimeout, "2 pings without an answer")))
            // One who answers stays.
            let patient = try RawClient(port: server.port)
            #expect(await patient.login(user, password: "pencil") != nil)
            let session = await handler.started(2)
            for _ in 0..<8 {
                #expect(await patient.receive(until: "</iq>").contains("urn:xmpp:ping"))
                await patient.send("<iq type='result' id='ping'/>")
            }
            #expect(session.isOpen)
        }
    }

    @Test func whoDoesNotLogInIsClosed() async throws {
        try await withServer(TestHandler(), configure: { $0.negotiationTimeout = .milliseconds(200) }) { server in
            let silent = try RawClient(port: server.port)
            #expect(await silent.receiveUntilClosed() == "")
            let half = try RawClient(port: server.port)
            await half.send(streamHeader)
            #expect(await half.receiveUntilClosed().contains("<connection-timeout "))
        }
    }

    @Test func connectionsWithoutLoginAreLimited() async throws {
        try await withServer(TestHandler(), configure: { $0.maximumUnauthenticated = 2 }) { server in
            var open = [try RawClient(port: server.port), try RawClient(port: server.port)]
            for client in open {
                await client.send(streamHeader)
                _ = await client.receive(until: "</stream:features>")
            }
            #expect(try await RawClient(port: server.port).receiveUntilClosed() == "")
            // Who has logged in does not count.
            #expect(await open[0].login(user, password: "pencil") == nil)
            await open[0].send("</stream:stream>")
            _ = await open[0].receiveUntilClosed()
            open.removeFirst()
            var jid: JID?
            while jid == nil { jid = try await RawClient(port: server.port).login(user, password: "pencil") }
            #expect(jid == user)
        }
    }

    @Test func connectionsComeAndGo() async throws {
        let handler = TestHandler()
        try await withServer(handler, configure: { $0.maximumUnauthenticated = 8 }) { server in
            for round in 0..<600 {
                let raw = try RawClient(port: server.port)
                switch round % 4 {
                case 0: break
                case 1: await raw.send(streamHeader)
                case 2: await raw.send("<a></b>")
                default: while await (try RawClient(port: server.port)).login(user, password: "pencil") == nil {}
                }
            }
            let ended = await handler.wait { events in
                let count = events.count { if case .ended = $0 { true } else { false } }
                return count == 150 ? count : nil
            }
            #expect(ended == 150)
            // Nobody is left behind in the count of those without login: all eight places are free again.
            var last: [RawClient] = []
            while last.count < 8 {
                let raw = try RawClient(port: server.port)
                await raw.send(streamHeader)
                if await raw.receive(until: "</stream:features>").contains("mechanisms") { last.append(raw) }
            }
            #expect(last.count == 8)
        }
    }
}
