import NetTypes
import Overlay
import Testing
import XMPP

@testable import Controller

@Suite struct AgentStanzasTests {
    let addresses = ControllerAddresses(domain: "vrouter.local")!
    let peer = JID("node1@vrouter.local/agent")!

    @Test func whatGoesToOneNodeTravelsTogetherUpToTheLimit() throws {
        let routes = (0..<250).map { AgentStanzas.Entry.route(.advertise(route("10.1.0.\($0)/32", via: "10.0.0.1"))) }
        let entries = routes + [.route(.withdraw(vrf: "red", .inet(IPPrefix("10.2.0.0/16")!))), .route(.endOfRIB), .config(.endOfConfig)]
        let messages = AgentStanzas.messages(entries, from: addresses, to: peer, changesPerStanza: 100)
        let events = try messages.map { try #require(PubSub.Event($0.stanza)) }
        #expect(events.map(\.node) == ["1/1/blue", "1/1/blue", "1/1/blue", "1/1/red", "0/0/EndOfRib", "compute-node/node1"])
        #expect(events.map(\.changes.count) == [100, 100, 50, 1, 1, 1])
        #expect(messages.map(\.routes) == [100, 100, 50, 1, 0, 0])
        #expect(messages.map { $0.stanza.from?.resource } == ["routes", "routes", "routes", "routes", "routes", "config"])
    }

    /// A hundred changes of any size: the agent's parser takes only so much at once, and would end the stream at each attempt.
    @Test func whatIsHeavyTravelsInMoreStanzas() throws {
        let addresses = (0..<700).map { IPAddress("10.1.\($0 / 250).\($0 % 250)")! }
        let objects = (0..<100).map {
            ConfigObject.securityGroupMembers(
                SecurityGroupMembers(metadata: ObjectMetadata(name: "g\($0)"), networks: [.init(name: "blue", addresses: addresses)]))
        }
        let long = String(repeating: "x", count: 300_000)
        let texts = (0..<20).map { number in
            ConfigObject.port(
                Port(
                    metadata: ObjectMetadata(name: "p\(number)", uid: long), network: "blue", node: "node1", mac: MACAddress("02:00:00:00:01:11")!,
                    addresses: []))
        }
        let messages = AgentStanzas.messages(
            (objects + texts).map { .config(.item($0)) } + [.config(.endOfConfig)], from: self.addresses, to: peer, changesPerStanza: 100)
        let parser = StreamParser(limits: .init(stanza: 2 << 20, elements: 25_000))
        _ = parser.feed(Array(#"<stream:stream xmlns="jabber:client" xmlns:stream="http://etherx.jabber.org/streams">"#.utf8))
        var ids: [String] = []
        for message in messages {
            for event in parser.feed(Array(Stanza.message(message.stanza).element.serialized(in: .stream).utf8)) {
                guard case .element(let element) = event, case .message(let message) = try Stanza(element: element), let told = PubSub.Event(message)
                else {
                    Issue.record("\(String(describing: event).prefix(200))")
                    continue
                }
                for case .item(let item) in told.changes { ids.append(item.id ?? "") }
            }
        }
        #expect(ids == (objects + texts).map(\.key.description) + ["end-of-config"])
        #expect(messages.count < 20)
    }

    @Test func goldenEvents() {
        let entries: [AgentStanzas.Entry] = [
            .route(.withdraw(vrf: "blue", .inet(IPPrefix("10.1.0.11/32")!))), .route(.endOfRIB), .config(.retract(ObjectKey(.port, "blue1"))),
        ]
        let texts = AgentStanzas.messages(entries, from: addresses, to: peer, changesPerStanza: 100).map { $0.stanza.payloads[0].serialized() }
        #expect(
            texts == [
                ##"<event xmlns="http://jabber.org/protocol/pubsub#event"><items node="1/1/blue"><retract id="10.1.0.11/32"/></items></event>"##,
                ##"<event xmlns="http://jabber.org/protocol/pubsub#event"><items node="0/0/EndOfRib"><item id="end-of-rib"/></items></event>"##,
                ##"<event xmlns="http://jabber.org/protocol/pubsub#event"><items node="compute-node/node1"><retract id="Port/blue1"/></items></event>"##,
            ])
    }

    @Test func addressesAreTheControllersOnly() {
        #expect(addresses.service(of: JID("controller@vrouter.local/config")) == .config)
        #expect(addresses.service(of: JID("controller@vrouter.local/routes")) == .routes)
        #expect(addresses.service(of: JID("controller@vrouter.local/bgp-peer")) == .routes)
        for other in ["controller@vrouter.local", "controller@other.net/routes", "node1@vrouter.local/routes", "vrouter.local/routes"] {
            #expect(addresses.service(of: JID(other)) == nil, "\(other)")
        }
    }
}
