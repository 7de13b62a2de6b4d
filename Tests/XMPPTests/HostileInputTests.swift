import Testing

@testable import XMPP

/// What a strict peer refuses, over TCP, while another stream on the same server must not notice.
@Suite(.timeLimit(.minutes(2))) struct HostileInputTests {
    static func laughs() -> String {
        var text = "<?xml version='1.0'?><!DOCTYPE lolz [<!ENTITY lol 'lol'>"
        for level in 1..<10 { text += "<!ENTITY lol\(level) '\(String(repeating: "&lol\(level == 1 ? "" : String(level - 1));", count: 10))'>" }
        return text + "]><stream:stream to='vrouter.local' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>&lol9;"
    }

    static let rows: [(name: String, input: [UInt8], condition: String)] = [
        ("DOCTYPE", Array(("<!DOCTYPE a>" + streamHeader).utf8), "restricted-xml"), ("billion laughs", Array(laughs().utf8), "restricted-xml"),
        ("comment", Array((streamHeader + "<!-- x -->").utf8), "restricted-xml"), ("PI", Array((streamHeader + "<?x y?>").utf8), "restricted-xml"),
        ("undefined entity", Array((streamHeader + "<message>&x;</message>").utf8), "restricted-xml"),
        ("mismatched tags", Array((streamHeader + "<a></b>").utf8), "not-well-formed"),
        ("bad UTF-8", Array((streamHeader + "<message>").utf8) + [0xC0, 0xAF] + Array("</message>".utf8), "not-well-formed"),
        ("duplicate attribute", Array((streamHeader + "<message a='' a=''/>").utf8), "not-well-formed"),
        ("unbound prefix", Array((streamHeader + "<x:message/>").utf8), "not-well-formed"),
        ("wrong stream namespace", Array(streamHeader.replacing("etherx.jabber.org", with: "example.org").utf8), "invalid-namespace"),
        ("unknown to", Array(streamHeader.replacing("to='vrouter.local'", with: "to='example.org'").utf8), "host-unknown"),
        ("no to", Array(streamHeader.replacing("to='vrouter.local'", with: "").utf8), "improper-addressing"),
        ("unknown stanza", Array((streamHeader + "<what/>").utf8), "unsupported-stanza-type"),
        ("100,000 levels", Array((streamHeader + String(repeating: "<a>", count: 100_000)).utf8), "policy-violation"),
        ("5,000,000 levels", Array((streamHeader + String(repeating: "<a>", count: 5_000_000)).utf8), "policy-violation"),
        ("300 kB attribute", Array((streamHeader + "<message a='").utf8) + Array(repeating: 0x78, count: 300_000), "policy-violation"),
        ("32 MiB attribute", Array((streamHeader + "<message a='").utf8) + Array(repeating: 0x78, count: 32 << 20), "policy-violation"),
        ("12 MB text", Array((streamHeader + "<message>").utf8) + Array(repeating: 0x78, count: 12_000_000), "policy-violation"),
        ("version 2.0", Array(streamHeader.replacing(" version='1.0' xmlns", with: " version='2.0' xmlns").utf8), "unsupported-version"),
        ("no version", Array(streamHeader.replacing(" version='1.0' xmlns", with: " xmlns").utf8), "unsupported-version"),
        ("UTF-16", streamHeader.utf16.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8(truncatingIfNeeded: $0 >> 8)] }, "unsupported-encoding"),
        ("wrong content namespace", Array(streamHeader.replacing("jabber:client", with: "jabber:server").utf8), "invalid-namespace"),
        ("stanza before login", Array((streamHeader + "<message/>").utf8), "not-authorized"),
        ("text between stanzas", Array((streamHeader + "hello").utf8), "bad-format"),
        ("not XMPP", Array("GET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8), "not-well-formed"),
    ]

    @Test func everyRowEndsItsOwnStreamOnly() async throws {
        let handler = TestHandler()
        try await withServer(handler) { server in
            try await withClient("a@vrouter.local/agent", server) { good in
                for row in Self.rows {
                    let raw = try RawClient(port: server.port)
                    async let answer = raw.receiveUntilClosed()
                    await raw.send(row.input)
                    let text = await answer
                    #expect(text.contains("<stream:error><\(row.condition) xmlns=\"urn:ietf:params:xml:ns:xmpp-streams\"/>"), "\(row.name): \(text)")
                    #expect(text.hasPrefix("<?xml version='1.0'?><stream:stream "), "\(row.name)")
                    #expect(text.hasSuffix("</stream:stream>"), "\(row.name)")
                    #expect(try await good.request(IQ(.get, payload: Ping.element)).kind == .result, "\(row.name)")
                }
                #expect(handler.events.count == 1)
            }
        }
    }

    /// The same after login, where limits are larger; the other stream goes on.
    @Test(arguments: [
        ("<a></b>", "not-well-formed"), ("<message><!-- --></message>", "restricted-xml"), ("hello", "bad-format"),
        ("<what/>", "unsupported-stanza-type"),
        ("<message from='b@vrouter.local/x'/>", "invalid-from"), ("<message>" + String(repeating: "<a>", count: 100_000), "policy-violation"),
        ("<message a='" + String(repeating: "x", count: 1 << 20), "policy-violation"),
        ("<message>" + String(repeating: "x", count: 5 << 20), "policy-violation"),
    ])
    func afterLogin(input: String, condition: String) async throws {
        let handler = TestHandler()
        try await withServer(handler) { server in
            try await withClient("a@vrouter.local/agent", server) { good in
                let raw = try RawClient(port: server.port)
                let jid = try #require(JID("b@vrouter.local/r"))
                #expect(await raw.login(jid, password: "pencil") == jid)
                async let answer = raw.receiveUntilClosed()
                await raw.send(input)
                let text = await answer
                #expect(text.contains("<stream:error><\(condition) "), "\(text)")
                guard case .failed(let error) = await handler.ended(handler.started(2)) else { return #expect(Bool(false)) }
                #expect(error.condition.rawValue == condition)
                #expect(try await good.request(IQ(.get, payload: Ping.element)).kind == .result)
                #expect(server.sessions.count == 1)
            }
        }
    }

    @Test func aLoginMayComeByteByByte() async throws {
        try await withServer(TestHandler()) { server in
            let raw = try RawClient(port: server.port)
            for byte in streamHeader.utf8 { await raw.send([byte]) }
            #expect(await raw.receive(until: "</stream:features>").contains("SCRAM-SHA-256"))
        }
    }

    /// What comes behind the login in the same packet belongs to no stream.
    @Test func nothingMayBeSentAheadOfTheRestart() async throws {
        try await withServer(TestHandler()) { server in
            let raw = try RawClient(port: server.port)
            var client = try SCRAMClient(username: "a", password: "pencil")
            await raw.send(
                streamHeader + "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256'>\(Base64.encode(client.first.utf8))</auth>")
            let text = await raw.receive(until: "</challenge>")
            let encoded = try #require(text.split(separator: "<challenge xmlns=\"urn:ietf:params:xml:ns:xmpp-sasl\">").last).dropLast(
                "</challenge>".count)
            let challenge = String(decoding: try #require(Base64.decode(encoded)), as: UTF8.self)
            let response = Base64.encode(try client.respond(to: challenge).utf8)
            await raw.send("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\(response)</response><iq type='get' id='1'/>")
            #expect(await raw.receiveUntilClosed().contains("<policy-violation "))
        }
    }
}
