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
