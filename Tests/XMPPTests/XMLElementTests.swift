import Testing
import XMPP

@Suite struct XMLElementTests {
    @Test func childrenTakeTheNamespaceOfTheirParent() {
        let element = XMLElement("pubsub", namespace: "urn:a") {
            XMLElement("subscribe", ["node": "blue"])
            XMLElement("options") { XMLElement("instance-id", text: "4") }
            XMLElement("other", namespace: "urn:b") { XMLElement("inner") }
        }
        #expect(
            element.description
                == "<pubsub xmlns=\"urn:a\"><subscribe node=\"blue\"/><options><instance-id>4</instance-id></options><other xmlns=\"urn:b\"><inner/></other></pubsub>"
        )
        #expect(element.child(named: "options")?.child(named: "instance-id")?.text == "4")
        #expect(element.child(named: "other") == nil)
        #expect(element.child(named: "other", namespace: "urn:b")?.child(named: "inner") != nil)
    }

    @Test func textAndAttributesAreEscaped() {
        let element = XMLElement("a", ["q": "<\"&'>\n\t\r"], text: "x<y>&\"'\r\n\u{0}\u{FFFF}é")
        #expect(
            element.description
                == "<a q=\"&lt;&quot;&amp;&apos;&gt;&#10;&#9;&#13;\">x&lt;y&gt;&amp;&quot;&apos;&#13;\n\u{FFFD}\u{FFFD}é</a>")
    }

    @Test func anElementWithoutNamespaceInsideOneWithSaysSo() {
        var parent = XMLElement("p", namespace: "urn:a")
        parent.children.append(.element(XMLElement("c")))
        #expect(parent.description == "<p xmlns=\"urn:a\"><c xmlns=\"\"/></p>")
    }

    @Test func namespacedAttributesGetAPrefix() {
        let element = XMLElement("a", ["{urn:x}k": "1", "{http://www.w3.org/XML/1998/namespace}lang": "en", "plain": "2"])
        #expect(element.description == "<a plain=\"2\" xml:lang=\"en\" xmlns:ns0=\"urn:x\" ns0:k=\"1\"/>")
        #expect(parse(element.description) == element)
    }

    @Test func attributeOrderDoesNotMatter() {
        #expect(parse("<a x='1' y='2'/>") == parse("<a y='2' x='1'/>"))
        #expect(parse("<p:a xmlns:p='urn:a'/>") == parse("<a xmlns='urn:a'/>"))
    }

    @Test(arguments: [
        "<a/>", "<a>text</a>", "<a xmlns=\"urn:a\"><b xmlns=\"urn:b\"><c/>tail</b></a>", "<a q=\"&lt;&amp;&quot;\">&lt;&amp;&#13;</a>",
    ])
    func whatIsWrittenIsReadBackAlike(xml: String) throws {
        let element = try #require(parse(xml))
        #expect(element.description == xml)
        #expect(parse(element.description) == element)
    }

    /// The element as a stanza in a stream without a content namespace.
    private func parse(_ xml: String) -> XMLElement? {
        let parser = StreamParser(limits: .init(stanza: 100_000))
        for case .element(let element) in parser.feed("<s>\(xml)".utf8) { return element }
        return nil
    }
}
