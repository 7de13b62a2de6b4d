import Testing

@testable import StrictYAML

@Suite struct DoubleQuotedTests {
    @Test func escapes() {
        #expect("a\"b\\c\n\r\té\u{0}\u{7F}\u{85}\u{2028}".doubleQuoted == #""a\"b\\c\n\r\té\u0000\u007f\u0085\u2028""#)
        #expect("".doubleQuoted == "\"\"")
    }

    @Test(arguments: ["", "true", "a: b", "\"\\\n", "\u{1}\u{9F}\u{2029}", "日本🙂"])
    func readsBackAsItWas(_ text: String) throws {
        let node = try ConfigNode.document(text: "v: \(text.doubleQuoted)", source: "f").mapping(keys: ["v"])
        #expect(try node.required("v").value("anything") { $0 } == text)
    }
}
