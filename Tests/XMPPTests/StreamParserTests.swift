import Testing
import XMPP

/// `<stream:stream …>` as a client writes it.
let streamHeader =
    "<?xml version='1.0'?><stream:stream to='vrouter.local' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"

@Suite struct StreamParserTests {
    private func parser(stanza: Int = 10_000, token: Int = 64 << 10, elements: Int = 65_536) -> StreamParser {
        StreamParser(limits: .init(stanza: stanza, token: token, elements: elements))
    }

    private func failure(_ text: String, stanza: Int = 10_000) -> StreamError? {
        for case .failed(let error) in parser(stanza: stanza).feed(text.utf8) { return error }
        return nil
    }

    static let conversation =
        streamHeader
        + " \n<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq><message><body>a&amp;b&#13;<![CDATA[<c>]]>é€😀\nx</body></message></stream:stream>"

    static let events: [StreamParser.Event] = [
        .element(XMLElement("iq", namespace: "jabber:client", ["type": "get", "id": "1"]) { XMLElement("ping", namespace: "urn:xmpp:ping") }),
        .element(XMLElement("message", namespace: "jabber:client") { XMLElement("body", text: "a&b\r<c>é€😀\nx") }),
        .closed,
    ]

    @Test func aStreamIsAHeaderStanzasAndAnEnd() throws {
        let events = parser().feed(Self.conversation.utf8)
        guard case .opened(let header) = try #require(events.first) else { return #expect(Bool(false)) }
        #expect(header.name == "stream")
        #expect(header.namespace == "http://etherx.jabber.org/streams")
        #expect(header.contentNamespace == "jabber:client")
        #expect(header.attributes == ["to": "vrouter.local", "version": "1.0"])
        #expect(Array(events.dropFirst()) == Self.events)
    }

    @Test func inputMayBeCutAnywhere() {
        let bytes = Array(Self.conversation.utf8)
        for cut in 1..<bytes.count {
            let parser = parser()
            let events = parser.feed(bytes[..<cut]) + parser.feed(bytes[cut...])
            #expect(Array(events.dropFirst()) == Self.events, "cut at \(cut)")
        }
        let single = parser()
        #expect(Array(bytes.flatMap { single.feed([$0]) }.dropFirst()) == Self.events)
    }

    /// The last byte of a stanza gives the stanza: nothing is held back until more comes.
    @Test(arguments: [1, 2, 7, 64, 1000])
    func aStanzaIsThereWithItsLastByte(chunk: Int) {
        let parser = parser(stanza: 1 << 20)
        _ = parser.feed(streamHeader.utf8)
        let stanza = Array("<message><body a='\(String(repeating: "x", count: 30_000))'>\(String(repeating: "y", count: 3000))</body></message>".utf8)
        var count = 0
        for start in stride(from: 0, to: stanza.count, by: chunk) {
            #expect(count == 0)
            count += parser.feed(stanza[start..<min(start + chunk, stanza.count)]).count
        }
        #expect(count == 1)
    }

    @Test(arguments: [
        ("<!DOCTYPE x [<!ENTITY a 'b'>]>" + streamHeader, StreamError.Condition.restrictedXML),
        (streamHeader + "<!DOCTYPE x>", .notWellFormed),
        ("<!DOCTYPE x SYSTEM 'file:///etc/passwd'><x/>", .restrictedXML),
        (streamHeader + "<message><!-- c --></message>", .restrictedXML), ("<!-- c -->", .restrictedXML),
        (streamHeader + "<message><?pi x?></message>", .restrictedXML), (streamHeader + "<?pi x?>", .restrictedXML),
        (streamHeader + "<message>&undefined;</message>", .restrictedXML), (streamHeader + "<message a='&undefined;'/>", .restrictedXML),
        (streamHeader + "<message></iq>", .notWellFormed), (streamHeader + "<message a='1' a='2'/>", .notWellFormed),
        (streamHeader + "<p:message/>", .notWellFormed), (streamHeader + "<message p:a='1'/>", .notWellFormed),
        (streamHeader + "<message <", .notWellFormed), (streamHeader + "<message>\u{1}</message>", .notWellFormed),
        (streamHeader + "<message>&#0;</message>", .notWellFormed), (streamHeader + "</stream:stream>x", .notWellFormed),
        (streamHeader + "text", .badFormat), (streamHeader + "<![CDATA[x]]>", .badFormat), ("garbage ", .notWellFormed),
        ("GET / HTTP/1.1\r\n\r\n", .notWellFormed), ("<?xml version='1.0' encoding='ISO-8859-1'?>", .unsupportedEncoding),
        ("<?xml version='1.0' encoding='UTF-16'?>", .unsupportedEncoding),
    ])
    func refused(text: String, condition: StreamError.Condition) { #expect(failure(text)?.condition == condition, "\(text)") }

    @Test func badUTF8IsNotWellFormed() {
        for bytes: [UInt8] in [[0xFF, 0xFE], [0xC0, 0xAF], [0xED, 0xA0, 0x80], [0xF8, 0x88], [0x80]] {
            let events = parser().feed(Array((streamHeader + "<message>").utf8) + bytes + Array("</message>".utf8))
            guard case .failed(let error)? = events.last else { return #expect(Bool(false), "\(bytes)") }
            #expect(error.condition == .notWellFormed)
        }
    }

    /// Behind the first two octets these are bad UTF-8 and no more: what came before them counts, however it was cut.
    @Test func signsOfUTF16ComeFirstOrAreNone() {
        let bytes = Array("<t>".utf8) + [0xFF, 0xFF]
        let whole = parser().feed(bytes)
        #expect(whole.count == 2 && whole.last?.condition == .notWellFormed)
        let single = parser()
        #expect(bytes.flatMap { single.feed([$0]) } == whole)
    }

    /// expat would change to UTF-16 by itself, whatever encoding it was told.
    @Test func utf16IsRefusedByItsFirstBytes() {
        let text = Array(streamHeader.utf16)
        let little = text.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8(truncatingIfNeeded: $0 >> 8)] }
        let big = text.flatMap { [UInt8(truncatingIfNeeded: $0 >> 8), UInt8(truncatingIfNeeded: $0)] }
        for bytes in [little, big, [0xFF, 0xFE] + little, [0xFE, 0xFF] + big] {
            #expect(parser().feed(bytes).map(\.condition) == [.unsupportedEncoding])
            let single = parser()
            #expect(bytes.flatMap { single.feed([$0]) }.map(\.condition) == [.unsupportedEncoding])
        }
    }

    @Test func nothingComesAfterAnError() {
        let parser = parser()
        #expect(parser.feed((streamHeader + "<a></b><message/>").utf8).count == 2)
        #expect(parser.feed("<message/>".utf8) == [])
    }

    @Test func billionLaughsNeverStart() {
        var text = "<?xml version='1.0'?><!DOCTYPE lolz [<!ENTITY lol 'lol'>"
        for level in 1..<10 { text += "<!ENTITY lol\(level) '\(String(repeating: "&lol\(level - 1 == 0 ? "" : String(level - 1));", count: 10))'>" }
        #expect(failure(text + "]><lolz>&lol9;</lolz>")?.condition == .restrictedXML)
    }

    @Test func fiveMillionLevelsStopAtTheLimit() {
        let parser = parser(stanza: 64 << 20)
        _ = parser.feed(streamHeader.utf8)
        #expect(parser.feed(String(repeating: "<a>", count: 5_000_000).utf8).map(\.condition) == [.policyViolation])
    }

    @Test func depthIsCountedWithTheStream() {
        let deepest = String(repeating: "<a>", count: 31) + String(repeating: "</a>", count: 31)
        #expect(failure(streamHeader + deepest) == nil)
        #expect(failure(streamHeader + "<a>" + deepest)?.condition == .policyViolation)
    }

    @Test func anAttributeOf32MiBStopsAtTheLimit() {
        let attribute = Array("<message a='".utf8) + Array(repeating: UInt8(ascii: "x"), count: 32 << 20)
        for limit in [10_000, 4 << 20] {
            let parser = parser(stanza: limit)
            _ = parser.feed(streamHeader.utf8)
            #expect(parser.feed(attribute).map(\.condition) == [.policyViolation])
        }
    }

    @Test func aStanzaMayBeAsLongAsTheLimitAndNoLonger() {
        func stanza(_ size: Int) -> String { "<message>" + String(repeating: "x", count: size - 19) + "</message>" }
        #expect(failure(streamHeader + stanza(10_000)) == nil)
        #expect(failure(streamHeader + stanza(10_001))?.application?.name == "stanza-too-big")
        #expect(failure(streamHeader + String(repeating: stanza(9_000), count: 5)) == nil)
    }

    @Test func whiteSpaceBetweenStanzasDoesNotAddUp() {
        #expect(failure(streamHeader + String(repeating: " ", count: 50_000) + "<message/>") == nil)
    }

    @Test func manySmallElementsAreTooMuch() {
        let parser = parser(stanza: 1 << 20, elements: 100)
        _ = parser.feed(streamHeader.utf8)
        #expect(parser.feed(("<m>" + String(repeating: "<a/>", count: 99) + "</m>").utf8).map(\.condition) == [nil])
        #expect(parser.feed(("<m>" + String(repeating: "<a/>", count: 100) + "</m>").utf8).map(\.condition) == [.policyViolation])
    }

    /// A line of text is an event of its own in expat; joining them must not cost the square of their number.
    @Test func textOfManyPiecesIsJoined() throws {
        let parser = parser(stanza: 4 << 20)
        _ = parser.feed(streamHeader.utf8)
        let text = String(repeating: "\n&lt;", count: 600_000)
        guard case .element(let element)? = parser.feed("<message>\(text)</message>".utf8).last else { return #expect(Bool(false)) }
        #expect(element.text.utf8.count == 1_200_000)
    }

    @Test func anythingMayCome() {
        var generator = SystemRandomNumberGenerator()
        let pieces = [
            streamHeader, "<message", "<iq>", "</iq>", " a='1'", ">", "/>", "&amp;", "&x;", "]]>", "<![CDATA[", "<!--", "\u{0}", "é", "text", "<?xml",
        ]
        for _ in 0..<2000 {
            let parser = parser()
            let input = (0..<Int.random(in: 1...30, using: &generator)).map { _ in pieces.randomElement(using: &generator) ?? "" }.joined()
            for event in parser.feed(input.utf8) { _ = "\(event)" }
            _ = parser.feed((0..<20).map { _ in UInt8.random(in: 0...255, using: &generator) })
        }
    }
}

extension StreamParser.Event {
    fileprivate var condition: StreamError.Condition? {
        if case .failed(let error) = self { error.condition } else { nil }
    }
}
