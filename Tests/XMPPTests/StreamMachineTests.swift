import Testing

@testable import XMPP

/// One side's machine with its parser, as a connection would drive it, without the connection.
struct Side<Machine: StreamMachine> {
    var machine: Machine
    var parser = StreamParser(limits: .init(stanza: 10_000))
    var sent = ""
    var delivered: [Stanza] = []
    var established: (local: JID, peer: JID)?
    var end: SessionEnd?

    init(_ machine: Machine) {
        self.machine = machine
        perform(self.machine.start())
    }

    mutating func receive(_ text: String) {
        for event in parser.feed(text.utf8) { perform(machine.receive(event)) }
    }

    mutating func take() -> String {
        defer { sent = "" }
        return sent
    }

    private mutating func perform(_ actions: [StreamAction]) {
        for action in actions {
            switch action {
            case .send(let text): sent += text
            case .restart: parser = StreamParser(limits: .init(stanza: 1 << 20))
            case .established(let local, let peer): established = (local, peer)
            case .deliver(let stanza): delivered.append(stanza)
            case .end(let end): self.end = end
            }
        }
    }
}

func makeServer(passwords: [String: String] = ["user": "pencil"]) throws -> Side<ServerStream> {
    let credentials = try passwords.mapValues { password throws in
        try SCRAMCredential(password: password, salt: Base64.decode("W22ZaJ0SNY7soEsUEjb6gQ==") ?? [], iterations: 4096)
    }
    let configuration = ServerStream.Configuration(domain: "vrouter.local", decoySecret: [1]) { credentials[$0] }
    let machine = ServerStream(configuration, streamID: { "id1" })
    return Side(try #require(machine))
}

func makeClient(_ jid: String = "user@vrouter.local/agent", password: String = "pencil") throws -> Side<ClientStream> {
    let jid = JID(jid)
    return Side(ClientStream(jid: try #require(jid), password: password, nonce: "rOprNGfwEbeRWgbNEkqO"))
}

/// Lets both sides talk until neither has anything more to say.
func converse(_ client: inout Side<ClientStream>, _ server: inout Side<ServerStream>) {
    while true {
        let (up, down) = (client.take(), server.take())
        if up.isEmpty && down.isEmpty { return }
        server.receive(up)
        client.receive(down)
    }
}

@Suite struct StreamMachineTests {
    @Test func aClientLogsInAndBinds() throws {
        var (client, server) = (try makeClient(), try makeServer())
        converse(&client, &server)
        #expect(client.established?.local.description == "user@vrouter.local/agent")
        #expect(client.established?.peer.description == "vrouter.local")
        #expect(server.established?.peer.description == "user@vrouter.local/agent")
        #expect(client.end == nil && server.end == nil)
    }

    @Test func withoutAResourceTheServerChooses() throws {
        var (client, server) = (try makeClient("user@vrouter.local"), try makeServer())
        converse(&client, &server)
        #expect(client.established?.local.description == "user@vrouter.local/id1")
    }

    @Test func theServersSideWordForWord() throws {
        var server = try makeServer()
        server.receive(streamHeader)
        #expect(
            server.take()
                == "<?xml version='1.0'?><stream:stream from=\"vrouter.local\" id=\"id1\" version='1.0' xml:lang='en' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
                + #"<stream:features><mechanisms xmlns="urn:ietf:params:xml:ns:xmpp-sasl"><mechanism>SCRAM-SHA-256</mechanism></mechanisms></stream:features>"#
        )
        server.receive("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AHUAcA==</auth>")
        #expect(
            server.take() == #"<failure xmlns="urn:ietf:params:xml:ns:xmpp-sasl"><invalid-mechanism/><text>offered: SCRAM-SHA-256</text></failure>"#)
        #expect(server.end == nil)
    }

    @Test func theClientsSideWordForWord() throws {
        var client = try makeClient()
        #expect(
            client.take()
                == "<?xml version='1.0'?><stream:stream from=\"user@vrouter.local\" to=\"vrouter.local\" version='1.0' xml:lang='en' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
        )
        client.receive(
            streamHeader
                + "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism><mechanism>SCRAM-SHA-256</mechanism></mechanisms></stream:features>"
        )
        #expect(
            client.take()
                == #"<auth xmlns="urn:ietf:params:xml:ns:xmpp-sasl" mechanism="SCRAM-SHA-256">biwsbj11c2VyLHI9ck9wck5HZndFYmVSV2diTkVrcU8=</auth>"#)
        client.receive("<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\(Base64.encode(SCRAMTests.serverFirst.utf8))</challenge>")
        #expect(client.take() == "<response xmlns=\"urn:ietf:params:xml:ns:xmpp-sasl\">\(Base64.encode(SCRAMTests.clientFinal.utf8))</response>")
        client.receive("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\(Base64.encode(SCRAMTests.serverFinal.utf8))</success>")
        #expect(client.take().hasPrefix("<?xml version='1.0'?><stream:stream "))
        client.receive(streamHeader + "<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></stream:features>")
        #expect(client.take() == #"<iq id="bind" type="set"><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"><resource>agent</resource></bind></iq>"#)
        client.receive("<iq type='result' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>user@vrouter.local/agent</jid></bind></iq>")
        #expect(client.established?.local.description == "user@vrouter.local/agent")
        client.receive("<message><x xmlns='urn:x'/></message>")
        #expect(client.delivered == [.message(Message(payloads: [XMLElement("x", namespace: "urn:x")]))])
    }

    @Test(arguments: [
        (streamHeader.replacing("etherx.jabber.org/streams", with: "example.org"), StreamError.Condition.invalidNamespace),
        (streamHeader.replacing("<stream:stream", with: "<stream:steam"), .badFormat),
        (streamHeader.replacing("jabber:client", with: "jabber:server"), .invalidNamespace),
        (streamHeader.replacing("xmlns='jabber:client'", with: ""), .invalidNamespace),
        (streamHeader.replacing("to='vrouter.local'", with: ""), .improperAddressing),
        (streamHeader.replacing("to='vrouter.local'", with: "to='@'"), .improperAddressing),
        (streamHeader.replacing("to='vrouter.local'", with: "to='example.com'"), .hostUnknown),
        (streamHeader.replacing(" version='1.0' xmlns", with: " version='2.0' xmlns"), .unsupportedVersion),
        (streamHeader.replacing(" version='1.0' xmlns", with: " xmlns"), .unsupportedVersion),
        (streamHeader + "<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>", .notAuthorized), (streamHeader + "<message/>", .notAuthorized),
        (streamHeader + "<what/>", .unsupportedStanzaType), (streamHeader + "<a></b>", .notWellFormed), ("x ", .notWellFormed),
    ])
    func beforeLoginTheServerRefuses(input: String, condition: StreamError.Condition) throws {
        var server = try makeServer()
        server.receive(input)
        guard case .failed(let error)? = server.end else { return #expect(Bool(false), "\(String(describing: server.end))") }
        #expect(error.condition == condition)
        // RFC 6120 section 4.9.1.2: our header goes before the error, once.
        #expect(server.sent.hasPrefix("<?xml version='1.0'?><stream:stream from=\"vrouter.local\""))
        #expect(server.sent.split(separator: "<stream:stream").count == 2)
        server.receive("<message/>")
        #expect(server.delivered.isEmpty)
    }

    @Test(arguments: [
        ("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256'>!</auth>", "incorrect-encoding"),
        ("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256'/>", "malformed-request"),
        ("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256'>=</auth>", "malformed-request"),
        ("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256'>/w==</auth>", "incorrect-encoding"),
        ("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256'>eHh4</auth>", "malformed-request"),
        ("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256-PLUS'>eHh4</auth>", "invalid-mechanism"),
        ("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>eHh4</response>", "malformed-request"),
        (
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256'>biwsbj11c2VyLHI9YWJj</auth><response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>eHh4</response>",
            "malformed-request"
        ),
        (
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256'>biwsbj11c2VyLHI9YWJj</auth><abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
            "aborted"
        ),
    ])
    func aFailedLoginLeavesTheStreamOpen(input: String, condition: String) throws {
        var server = try makeServer()
        server.receive(streamHeader)
        _ = server.take()
        server.receive(input)
        #expect(server.take().contains("<failure xmlns=\"urn:ietf:params:xml:ns:xmpp-sasl\"><\(condition)/>"))
        #expect(server.end == nil)
    }

    @Test func theThirdFailedLoginEndsTheStream() throws {
        var server = try makeServer()
        server.receive(streamHeader)
        for attempt in 1...3 {
            #expect(server.end == nil, "\(attempt)")
            server.receive("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'/>")
        }
        #expect(server.end == .failed(StreamError(.policyViolation, "3 failed logins")))
    }

    @Test(arguments: [("user", "wrong"), ("nobody", "pencil")]) func aWrongNameAndAWrongPasswordLookAlike(name: String, password: String) throws {
        var (client, server) = (try makeClient("\(name)@vrouter.local/agent", password: password), try makeServer())
        converse(&client, &server)
        #expect(client.end == .authenticationFailed("not-authorized"))
        #expect(server.established == nil)
    }

    private func loggedIn() throws -> Side<ServerStream> {
        var (client, server) = (try makeClient(), try makeServer())
        converse(&client, &server)
        return server
    }

    @Test(arguments: [
        ("<what/>", StreamError.Condition.unsupportedStanzaType), ("<message xmlns='jabber:server'/>", .unsupportedStanzaType),
        ("<message from='other@vrouter.local'/>", .invalidFrom), ("<message from='user@vrouter.local/other'/>", .invalidFrom), ("x", .badFormat),
    ])
    func afterLoginTheServerRefuses(input: String, condition: StreamError.Condition) throws {
        var server = try loggedIn()
        server.receive(input)
        guard case .failed(let error)? = server.end else { return #expect(Bool(false)) }
        #expect(error.condition == condition)
    }

    @Test(arguments: ["", "from='user@vrouter.local'", "from='user@vrouter.local/agent'", "from='USER@vrouter.local/agent'"])
    func theServerPutsTheFullAddressInFrom(from: String) throws {
        var server = try loggedIn()
        server.receive("<message \(from)/>")
        #expect(server.delivered == [.message(Message(from: JID("user@vrouter.local/agent")))])
    }

    @Test func stanzasThatAreWrongAreAnsweredAndTheStreamGoesOn() throws {
        var server = try loggedIn()
        server.receive("<iq type='get' id='5' to='vrouter.local'/>")
        #expect(server.take().hasPrefix(#"<iq from="vrouter.local" id="5" type="error"><error type="modify"><bad-request "#))
        server.receive("<iq type='get' id='6' to='a@example.com'><x xmlns='urn:x'/></iq>")
        #expect(server.take().contains("<remote-server-not-found "))
        server.receive("<iq type='result' id='6' to='a@example.com'/><iq type='error' id='6'/><message type='error' to='@'/>")
        #expect(server.take() == "")
        server.receive("<iq type='set' id='7'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
        #expect(server.take().contains("<not-allowed "))
        #expect(server.delivered.isEmpty && server.end == nil)
    }

    @Test func beforeBindingThereAreNoStanzas() throws {
        for input in ["<message/>", "<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>"] {
            var (client, server) = (try makeClient(), try makeServer())
            while client.established == nil, server.established == nil {
                let up = client.take()
                if up.contains("<bind") { break }
                server.receive(up)
                client.receive(server.take())
            }
            server.receive(input)
            guard case .failed(let error)? = server.end else { return #expect(Bool(false)) }
            #expect(error.condition == .notAuthorized)
        }
    }

    @Test(arguments: [
        ("<stream:features/>", "does not offer SCRAM-SHA-256, but nothing"),
        (
            "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms></stream:features>",
            "but PLAIN"
        ),
        ("<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>", "requires TLS"),
        ("<message/>", "no stream features"),
    ])
    func theClientSaysWhatTheServerLacks(features: String, reason: String) throws {
        var client = try makeClient()
        client.receive(streamHeader + features)
        guard case .negotiationFailed(let text)? = client.end else { return #expect(Bool(false), "\(String(describing: client.end))") }
        #expect(text.contains(reason))
    }

    @Test func theClientTellsTheServersStreamError() throws {
        var client = try makeClient()
        client.receive(streamHeader + "<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>")
        #expect(client.end == .failedByPeer(StreamError(.hostUnknown)))
    }

    @Test func aServerThatDoesNotKnowThePasswordIsNotBelieved() throws {
        var client = try makeClient()
        client.receive(
            streamHeader
                + "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>SCRAM-SHA-256</mechanism></mechanisms></stream:features>"
        )
        client.receive("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")
        guard case .authenticationFailed = client.end else { return #expect(Bool(false), "\(String(describing: client.end))") }
    }
}
