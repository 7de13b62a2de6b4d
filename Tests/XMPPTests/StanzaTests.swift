import Testing
import XMPP

/// The first stanza of a stream, as it comes from the wire.
func element(_ xml: String) throws -> XMLElement {
    let parser = StreamParser(limits: .init(stanza: 100_000))
    for case .element(let element) in parser.feed((streamHeader + xml).utf8) { return element }
    throw StanzaError(.badRequest, "not a stanza: \(xml)")
}

@Suite struct StanzaTests {
    let alice = JID("alice@vrouter.local/agent"), controller = JID("controller@vrouter.local/config")

    @Test func iq() throws {
        let xml = #"<iq from="alice@vrouter.local/agent" id="p1" to="controller@vrouter.local/config" type="get"><ping xmlns="urn:xmpp:ping"/></iq>"#
        let stanza = try Stanza(element: element(xml))
        let expected = IQ(.get, id: "p1", from: alice, to: controller, payload: Ping.element)
        #expect(stanza == .iq(expected))
        #expect(stanza.element.serialized(in: .stream) == xml)
        #expect(Ping.matches(expected))
        #expect(
            expected.result().element.serialized(in: .stream)
                == #"<iq from="controller@vrouter.local/config" id="p1" to="alice@vrouter.local/agent" type="result"/>"#)
    }

    @Test func anErrorReplyCarriesConditionTextAndTheApplicationsOwn() throws {
        let failure = IQ(.set, id: "7", from: alice).failure(.pubsub(.badRequest, "nodeid-required", "no node"))
        let xml =
            #"<iq id="7" to="alice@vrouter.local/agent" type="error"><error type="modify"><bad-request xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/><text xmlns="urn:ietf:params:xml:ns:xmpp-stanzas">no node</text><nodeid-required xmlns="http://jabber.org/protocol/pubsub#errors"/></error></iq>"#
        #expect(failure.element.serialized(in: .stream) == xml)
        #expect(try Stanza(element: element(xml)) == .iq(failure))
    }

    @Test(arguments: StanzaError.Condition.allCases) func everyStanzaErrorConditionIsReadBack(condition: StanzaError.Condition) {
        let error = StanzaError(condition, "why")
        #expect(StanzaError(element: error.element) == error)
    }

    @Test(arguments: StreamError.Condition.allCases) func everyStreamErrorConditionIsReadBack(condition: StreamError.Condition) {
        let error = StreamError(condition, "why")
        #expect(StreamError(element: error.element) == error)
        #expect(
            error.element.serialized(in: .stream).hasPrefix("<stream:error><\(condition.rawValue) xmlns=\"urn:ietf:params:xml:ns:xmpp-streams\"/>"))
    }

    @Test func messageAndPresence() throws {
        let message = Message(
            .headline, id: "m", from: controller, to: alice, payloads: [XMLElement("x", namespace: "urn:x"), XMLElement("y", namespace: "urn:y")])
        let xml =
            #"<message from="controller@vrouter.local/config" id="m" to="alice@vrouter.local/agent" type="headline"><x xmlns="urn:x"/><y xmlns="urn:y"/></message>"#
        #expect(Stanza.message(message).element.serialized(in: .stream) == xml)
        #expect(try Stanza(element: element(xml)) == .message(message))
        #expect(try Stanza(element: element("<message type='what'/>")) == .message(Message()))
        #expect(try Stanza(element: element("<presence type='unavailable'/>")) == .presence(Presence(kind: "unavailable")))
    }

    @Test(arguments: [
        ("<query/>", StanzaDecodingError.unsupported), ("<iq xmlns='jabber:server' type='get' id='1'><a/></iq>", .unsupported),
        ("<iq id='1' type='what'><a/></iq>", .invalid(StanzaError(.badRequest, "an iq needs a type: get, set, result or error"))),
        ("<iq id='1'><a/></iq>", .invalid(StanzaError(.badRequest, "an iq needs a type: get, set, result or error"))),
        ("<iq type='get'><a/></iq>", .invalid(StanzaError(.badRequest, "an iq needs an id"))),
        ("<iq type='get' id=''><a/></iq>", .invalid(StanzaError(.badRequest, "an iq needs an id"))),
        ("<iq type='get' id='1'/>", .invalid(StanzaError(.badRequest, "an iq get or set has exactly one child element"))),
        ("<iq type='set' id='1'><a/><b/></iq>", .invalid(StanzaError(.badRequest, "an iq get or set has exactly one child element"))),
        ("<iq type='get' id='1' from='@'><a/></iq>", .invalid(StanzaError(.jidMalformed, "the 'from' attribute is not an address"))),
        ("<message to='a@'/>", .invalid(StanzaError(.jidMalformed, "the 'to' attribute is not an address"))),
        ("<iq type='result'/>", .ignored), ("<iq type='result' id='1'><a/><b/></iq>", .ignored), ("<iq type='error' id='1'/>", .ignored),
        ("<iq type='error' id='1'><error type='cancel'/><error type='wait'/></iq>", .ignored), ("<message type='error' from='@'/>", .ignored),
    ])
    func refused(xml: String, error: StanzaDecodingError) throws {
        let element = try element(xml)
        #expect(throws: error) { try Stanza(element: element) }
    }
}

@Suite struct PubSubTests {
    private func request(_ xml: String, _ kind: String = "set") throws -> PubSub.Request {
        guard case .iq(let iq) = try Stanza(element: element("<iq type='\(kind)' id='1'>\(xml)</iq>")) else { throw StanzaError(.badRequest) }
        return try PubSub.Request(iq)
    }

    static let requests: [(PubSub.Request, String)] = [
        (
            .subscribe(node: "blue", jid: JID("a@b/c"), instanceID: 4),
            #"<pubsub xmlns="http://jabber.org/protocol/pubsub"><subscribe jid="a@b/c" node="blue"/><options><instance-id>4</instance-id></options></pubsub>"#
        ), (.subscribe(node: "blue"), #"<pubsub xmlns="http://jabber.org/protocol/pubsub"><subscribe node="blue"/></pubsub>"#),
        (
            .unsubscribe(node: "blue", jid: JID("a@b")),
            #"<pubsub xmlns="http://jabber.org/protocol/pubsub"><unsubscribe jid="a@b" node="blue"/></pubsub>"#
        ),
        (
            .publish(
                node: "1/1/blue/10.0.0.0/8", items: [.init(id: "x", payload: XMLElement("entry", namespace: "urn:e", text: "&")), .init(id: nil)]),
            #"<pubsub xmlns="http://jabber.org/protocol/pubsub"><publish node="1/1/blue/10.0.0.0/8"><item id="x"><entry xmlns="urn:e">&amp;</entry></item><item/></publish></pubsub>"#
        ), (.publish(node: "n", items: []), #"<pubsub xmlns="http://jabber.org/protocol/pubsub"><publish node="n"/></pubsub>"#),
        (
            .retract(node: "n", ids: ["1", "2"]),
            #"<pubsub xmlns="http://jabber.org/protocol/pubsub"><retract node="n"><item id="1"/><item id="2"/></retract></pubsub>"#
        ),
    ]

    @Test(arguments: requests) func requestsBothWays(value: PubSub.Request, xml: String) throws {
        #expect(value.element.description == xml)
        #expect(try request(xml) == value)
    }

    @Test(
        arguments: [
            ("<pubsub xmlns='http://jabber.org/protocol/pubsub'/>", "set", StanzaError.Condition.badRequest, nil),
            ("<pubsub xmlns='http://jabber.org/protocol/pubsub'><subscribe/></pubsub>", "set", .badRequest, "nodeid-required"),
            ("<pubsub xmlns='http://jabber.org/protocol/pubsub'><subscribe node=''/></pubsub>", "set", .badRequest, "nodeid-required"),
            ("<pubsub xmlns='http://jabber.org/protocol/pubsub'><subscribe node='n' jid='@'/></pubsub>", "set", .jidMalformed, nil),
            ("<pubsub xmlns='http://jabber.org/protocol/pubsub'><retract node='n'/></pubsub>", "set", .badRequest, "item-required"),
            ("<pubsub xmlns='http://jabber.org/protocol/pubsub'><retract node='n'><item/></retract></pubsub>", "set", .badRequest, "item-required"),
            ("<pubsub xmlns='http://jabber.org/protocol/pubsub'><create node='n'/></pubsub>", "set", .featureNotImplemented, "unsupported"),
            ("<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='n'/></pubsub>", "get", .featureNotImplemented, nil),
            (
                "<pubsub xmlns='http://jabber.org/protocol/pubsub'><subscribe node='n'/><options><instance-id>-1</instance-id></options></pubsub>",
                "set",
                .badRequest, "invalid-options"
            ), ("<query xmlns='urn:x'/>", "set", .serviceUnavailable, nil),
        ] as [(String, String, StanzaError.Condition, String?)])
    func refused(xml: String, kind: String, condition: StanzaError.Condition, own: String?) throws {
        let error = #expect(throws: StanzaError.self) { try request(xml, kind) }
        #expect(error?.condition == condition)
        #expect(error?.application?.name == own)
    }

    @Test func eventsBothWays() throws {
        let event = PubSub.Event(
            node: "1/1/blue",
            changes: [.item(.init(id: "10.0.0.1/32", payload: XMLElement("entry", namespace: "urn:e"))), .retract(id: "10.0.0.2/32")])
        let xml =
            #"<event xmlns="http://jabber.org/protocol/pubsub#event"><items node="1/1/blue"><item id="10.0.0.1/32"><entry xmlns="urn:e"/></item><retract id="10.0.0.2/32"/></items></event>"#
        #expect(event.element.description == xml)
        guard case .message(let message) = try Stanza(element: element("<message>\(xml)</message>")) else { return #expect(Bool(false)) }
        #expect(PubSub.Event(message) == event)
        // As OpenSDN's controllers write it.
        guard case .message(let old) = try Stanza(element: element("<message>\(xml.replacing("#event", with: ""))</message>")) else {
            return #expect(Bool(false))
        }
        #expect(PubSub.Event(old) == event)
        #expect(PubSub.Event(Message()) == nil)
    }

    @Test func subscription() throws {
        let jid = try #require(JID("a@b"))
        #expect(
            PubSub.Subscription(node: "n", jid: jid).element.description
                == #"<pubsub xmlns="http://jabber.org/protocol/pubsub"><subscription jid="a@b" node="n" subscription="subscribed"/></pubsub>"#)
    }
}
