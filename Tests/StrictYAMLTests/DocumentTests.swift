import Testing

@testable import StrictYAML

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

@Suite struct DocumentTests {
    @Test func emptyDocumentsAreSkippedButCounted() throws {
        let all = try ConfigNode.documents(text: "---\n---\na: 1\n---\nb: 2\n", source: "f")
        #expect(all.map(\.document) == [2, 3] && all.map(\.line) == [3, 5])
        #expect(all[1].error("x").description == "f:5:1: document 3: x")
        #expect(try ConfigNode.documents(text: "", source: "f").isEmpty)
    }

    @Test func oneDocumentHasNoNumber() throws {
        #expect(try ConfigNode.document(text: "a: 1\n---\n", source: "f").error("x").description == "f:1:1: x")
        #expect(try ConfigNode.documentIfAny(text: "# nothing\n", source: "f") == nil)
    }

    @Test(arguments: [
        ("", "f:1:1: the file is empty"),
        ("a: 1\n---\nb: 2", "f:3:1: one document is expected; remove this one and the '---' before it"),
        ("a: 1\na: 2", "f:1:1: the key 'a' is given twice"),
        ("x: &n 1\ny: *n", "f: '*n': anchors and aliases are not accepted; write the value out"),
        ("a: [1\n", "f:2:1: not YAML: did not find expected ',' or ']' (while parsing a flow sequence)"),
        ("\ta: 1", "f:1:1: not YAML: found character that cannot start any token (while scanning for the next token)"),
    ])
    func refused(_ text: String, _ message: String) throws {
        #expect(try #require(throws: ConfigError.self) { try ConfigNode.document(text: text, source: "f") }.description == message)
    }

    @Test func aBrokenDocumentIsCounted() throws {
        #expect(try #require(throws: ConfigError.self) { try ConfigNode.documents(text: "a: 1\n---\nb: [", source: "f") }.document == 2)
    }

    @Test func hostileTextIsRefused() {
        for text in [String(repeating: "[", count: 200_000), "kind: \u{1}", "a: &a [x]\n? *a\n: [*a]", "a: *b", "%", "\u{0}"] {
            #expect(throws: ConfigError.self) { _ = try ConfigNode.document(text: text, source: "x") }
        }
    }

    @Test func files() throws {
        let path = FileManager.default.temporaryDirectory.appending(path: "strict-\(UInt64.random(in: 0...UInt64.max)).yaml").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        #expect(try #require(throws: ConfigError.self) { try ConfigFile.text(path: path) }.description == "\(path): cannot be read: no such file")
        try Data("a: é\n".utf8).write(to: URL(filePath: path))
        #expect(try ConfigFile.text(path: path) == "a: é\n")
        try Data([0x61, 0xFF]).write(to: URL(filePath: path))
        #expect(try #require(throws: ConfigError.self) { try ConfigFile.text(path: path) }.description == "\(path): is not UTF-8 text")
    }
}
