import Foundation
import Testing
import XMPP

/// An independent client against our server: it must log in, ping, subscribe, publish, get events and errors as XMPP says.
@Suite(.timeLimit(.minutes(2))) struct SlixmppTests {
    private static let python = "/usr/bin/python3"

    private static func run(_ arguments: [String]) throws -> (status: Int32, output: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: python)
        process.arguments = arguments
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: output, as: UTF8.self))
    }

    /// In CI the test runs whatever is installed, and fails where it cannot.
    private static let isPossible =
        ProcessInfo.processInfo.environment["CI"] != nil || (try? run(["-c", "import slixmpp"]))?.status == 0

    @Test(.enabled(if: isPossible, "python3-slixmpp is not installed"))
    func slixmppLogsInPingsAndSubscribes() async throws {
        let handler = TestHandler { request, session in
            switch try PubSub.Request(request) {
            case .subscribe(let node, let jid, _):
                let event = PubSub.Event(
                    node: node, changes: [.item(.init(id: "10.1.0.1/32", payload: XMLElement("entry", namespace: "urn:e", text: "ünï & <>")))])
                session.send(.message(Message(.headline, from: JID("controller@vrouter.local/routes"), payloads: [event.element])))
                return PubSub.Subscription(node: node, jid: jid ?? session.peer).element
            case .publish(let node, let items):
                return XMLElement("pubsub", namespace: PubSub.namespace) {
                    XMLElement("publish", ["node": node]) { items.map { XMLElement("item", ["id": $0.id ?? ""]) } }
                }
            case .unsubscribe(let node, _), .retract(let node, _): throw StanzaError(.itemNotFound, "no \(node)")
            }
        }
        try await withServer(handler) { server in
            let port = server.port
            let (status, output) = try await withCheckedThrowingContinuation { continuation in
                DispatchQueue.global().async { continuation.resume(with: Result { try Self.run(["-c", Self.script, String(port)]) }) }
            }
            #expect(status == 0, "\(output)")
            let lines = output.split(separator: "\n").filter { $0.hasPrefix("> ") }.map { String($0.dropFirst(2)) }
            #expect(
                lines == [
                    "mechanism SCRAM-SHA-256", "bound a@vrouter.local/slix", "ping ok", "subscribed blue",
                    "event blue 10.1.0.1/32 ünï & <>", "published x", "error cancel item-not-found no blue", "roster service-unavailable",
                    "closed",
                ], "\(output)")
        }
    }

    private static let script = """
        import asyncio, sys
        import slixmpp
        from slixmpp.exceptions import IqError, IqTimeout
        from slixmpp.xmlstream import ET

        def say(text):
            print('> ' + text, flush=True)

        class Client(slixmpp.ClientXMPP):
            def __init__(self):
                super().__init__('a@vrouter.local/slix', 'pencil', sasl_mech='SCRAM-SHA-256')
                for plugin in ('xep_0060', 'xep_0199'):
                    self.register_plugin(plugin)
                self.plugin['feature_mechanisms'].unencrypted_scram = True
                self.event_received = asyncio.get_event_loop().create_future()
                self.add_event_handler('session_start', self.started)
                self.add_event_handler('failed_all_auth', lambda _: self.fail('authentication failed'))
                self.add_event_handler('pubsub_publish', self.published)
                self.add_event_handler('stream_error', lambda e: self.fail('stream error ' + str(e)))

            def fail(self, text):
                say(text)
                self.status = 1
                self.disconnect()

            status = 1

            def published(self, message):
                items = message['pubsub_event']['items']
                item = items['item']
                self.event_received.set_result('event %s %s %s' % (items['node'], item['id'], item['payload'].text))

            async def started(self, _):
                try:
                    say('mechanism ' + self.plugin['feature_mechanisms'].mech.name)
                    say('bound ' + self.boundjid.full)
                    await self.plugin['xep_0199'].send_ping('vrouter.local', timeout=10)
                    say('ping ok')
                    result = await self.plugin['xep_0060'].subscribe('controller@vrouter.local', 'blue', timeout=10)
                    say('subscribed ' + result['pubsub']['subscription']['node'])
                    say(await asyncio.wait_for(self.event_received, 10))
                    payload = ET.Element('{urn:e}entry')
                    result = await self.plugin['xep_0060'].publish('controller@vrouter.local', 'blue', id='x', payload=payload, timeout=10)
                    say('published ' + result['pubsub']['publish']['item']['id'])
                    try:
                        await self.plugin['xep_0060'].unsubscribe('controller@vrouter.local', 'blue', timeout=10)
                    except IqError as error:
                        say('error %s %s %s' % (error.etype, error.condition, error.text))
                    try:
                        await self.get_roster(timeout=10)
                    except IqError as error:
                        say('roster ' + error.condition)
                    self.status = 0
                except (IqError, IqTimeout, asyncio.TimeoutError) as error:
                    say('failed %r' % error)
                await self.disconnect()

        asyncio.set_event_loop(asyncio.new_event_loop())
        client = Client()
        client.connect(('127.0.0.1', int(sys.argv[1])), disable_starttls=True, force_starttls=False)
        asyncio.get_event_loop().run_until_complete(asyncio.wait_for(client.disconnected, 60))
        say('closed')
        sys.exit(client.status)
        """
}
