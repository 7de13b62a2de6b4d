import NetTypes
import Testing

@testable import StrictYAML

@Suite struct ConfigNodeTests {
    /// The value of `v` in a document with one key.
    static func value(_ text: String) throws -> ConfigNode {
        try #require(ConfigNode.document(text: "v: \(text)", source: "f").mapping(keys: ["v"])["v"])
    }
    static func failure(_ text: String, _ read: (ConfigNode) throws -> Void) throws -> String {
        try #require(throws: ConfigError.self) { try read(Self.value(text)) }.description
    }
    enum Colour: String, CaseIterable { case red, green }

    @Test func scalars() throws {
        #expect(try Self.value("-3").integer(in: -3...3) == -3)
        #expect(try Self.value("0xff").integer(in: UInt8.min...UInt8.max) == 255)
        #expect(try Self.value("0xffffffffffffffff").integer(in: 0...UInt64.max) == .max)
        #expect(try Self.value("true").boolean())
        #expect(try !Self.value("false").boolean())
        #expect(try Self.value("12").string() == "12" && Self.value("\"12\"").string() == "12")
        #expect(try Self.value("green").choice(Colour.self) == .green)
        #expect(try Self.value("b").choice(["a": 1, "b": 2]) == 2)
        #expect(try Self.value("fd00::1").address() == IPAddress("fd00::1"))
        #expect(try Self.value("02:00:00:00:01:0a").macAddress() == MACAddress("02:00:00:00:01:0a"))
        #expect(try Self.value("10.1.0.0/16").prefix() == IPPrefix("10.1.0.0/16"))
        #expect(try Self.value("10.1.0.1").prefix(acceptsHost: true) == IPPrefix("10.1.0.1/32"))
        #expect(try Self.value("none").isWord("none") && !Self.value("[none]").isWord("none"))
    }

    @Test(arguments: [
        "+1", "0x-1", "0x+1", "-0x1", "1.0", "1e3", "256", "-1", "99999999999999999999999", "\"1\"", "[1]", "{}", "", "0x", "one",
    ])
    func notANumber(_ text: String) throws {
        let found = text.isEmpty ? "nothing" : text == "[1]" ? "a list" : text == "{}" ? "a mapping" : "'\(text.replacing("\"", with: ""))'"
        #expect(
            try Self.failure(text) { let _: UInt8 = try $0.integer(in: 0...255) }.hasSuffix(": v: expected a number from 0 to 255, found \(found)"))
    }

    @Test func aScalarThatDoesNotFitIsShown() throws {
        #expect(try Self.failure("yes") { _ = try $0.boolean() } == "f:1:4: v: expected true or false, found 'yes'")
        #expect(try Self.failure("'true'") { _ = try $0.boolean() } == "f:1:4: v: expected true or false, found 'true'")
        #expect(try Self.failure("~") { _ = try $0.string() } == "f:1:4: v: expected a string, found nothing")
        #expect(try Self.failure("''") { _ = try $0.string() } == "f:1:4: v: expected a string, found ''")
        #expect(try Self.failure("gren") { _ = try $0.choice(Colour.self) } == "f:1:4: v: 'gren' is not one of red, green; did you mean 'green'?")
        #expect(try Self.failure("blue") { _ = try $0.choice(["red": 1]) } == "f:1:4: v: 'blue' is not one of red")
        #expect(try Self.failure("[red]") { _ = try $0.choice(Colour.self) } == "f:1:4: v: expected one of red, green, found a list")
        #expect(try Self.failure("10.0.0.256") { _ = try $0.address() } == "f:1:4: v: expected an IPv4 or IPv6 address, found '10.0.0.256'")
        #expect(
            try Self.failure("10.0.0.1") { _ = try $0.prefix() }.hasSuffix("expected a prefix such as 10.1.0.0/24 or fd00:1::/64, found '10.0.0.1'"))
        #expect(
            try Self.failure("fd00::1/64") { _ = try $0.prefix(acceptsHost: true) }.hasSuffix(
                "'fd00::1/64' has host bits set; the prefix is fd00::/64"))
        #expect(
            try Self.failure("7") { _ = try $0.value("an even number") { Int($0).flatMap { $0 % 2 == 0 ? $0 : nil } } }.hasSuffix(
                "expected an even number, found '7'"))
    }

    @Test func mappings() throws {
        let node = try ConfigNode.document(text: "a: 1\nb:\nc: {d: [x, y]}\n", source: "f")
        let fields = try node.mapping(keys: ["a", "b", "c", "e"])
        #expect(fields["b"]?.isNull == true && fields["e"] == nil)
        #expect(try fields["b"]?.list().isEmpty == true)
        #expect(try fields["b"]?.mapping(keys: ["z"])["z"] == nil)
        let items = try fields.required("c").mapping(keys: ["d"]).required("d").list()
        #expect(items.map(\.path) == ["c.d[0]", "c.d[1]"] && items.map(\.line) == [3, 3] && items.map(\.column) == [9, 12])
        #expect(try fields.required("c").entries().map(\.key) == ["d"])
        #expect(try fields.one(of: ["a", "e"]).key == "a")
        #expect(fields.error("c", "bad").description == "f:3:4: c: bad")
        #expect(fields.error("e", "bad").description == "f:1:1: e: bad")
        #expect(try #require(throws: ConfigError.self) { try fields.required("b") }.description == "f:2:1: b: has no value")
        #expect(try #require(throws: ConfigError.self) { try fields.required("e") }.description == "f:1:1: e: is missing")
        #expect(try #require(throws: ConfigError.self) { try fields.one(of: ["e"]) }.description == "f:1:1: give one of e")
        #expect(try #require(throws: ConfigError.self) { try fields.one(of: ["a", "c"]) }.description == "f:3:4: c: only one of a, c can be given")
    }

    @Test func unknownKeys() throws {
        func message(_ text: String, _ keys: [String]) throws -> String {
            let node = try ConfigNode.document(text: text, source: "f")
            return try #require(throws: ConfigError.self) { try node.mapping(keys: keys) }.description
        }
        #expect(try message("nexthops: 1", ["nextHops", "routes"]) == "f:1:1: nexthops: unknown field 'nexthops'; did you mean 'nextHops'?")
        #expect(try message("a: 1\nrotues: 1", ["a", "routes"]) == "f:2:1: rotues: unknown field 'rotues'; did you mean 'routes'?")
        #expect(try message("id: 1", ["vrf"]) == "f:1:1: id: unknown field 'id'; known here: vrf")
        #expect(try message("\"\": 1", ["idle"]).hasSuffix("unknown field ''; known here: idle"))
        #expect(try message("x: 1", []) == "f:1:1: x: unknown field 'x'; there are none here")
        #expect(try message("? [a, b]\n: c", ["a"]).contains("unknown field '?'"))
        #expect(try message(String(repeating: "k", count: 1000) + ": 1", ["a"]).contains("unknown field '\(String(repeating: "k", count: 64))'"))
        #expect(try message("[a]", ["a"]) == "f:1:1: expected a mapping of a, found a list")
    }

    /// What a newer peer says in addition is skipped, and an empty element is an absent one.
    @Test func lenientMappings() throws {
        let empty = ConfigNode(content: .null, path: "b", isStrict: false)
        let node = ConfigNode(content: .mapping([.init(key: "a", value: empty), .init(key: "b", value: empty)]), path: "", isStrict: false)
        #expect(try node.mapping(keys: ["b"])["b"] == nil)
    }
}
