import Testing

@testable import vrctl

@Suite struct JSONTests {
    @Test func prettyKeepsTheOrderAndEscapes() {
        let value: JSON = [
            "b": JSON(-1), "a": ["x": .null, "y": []], "t\"\\": "l1\nl2\t\u{1B}\u{2028}é", "n": .unsigned(.max), "f": .number(1.5),
            "inf": .number(.infinity),
        ]
        #expect(
            value.pretty == #"""
                {
                  "b": -1,
                  "a": {
                    "x": null,
                    "y": []
                  },
                  "t\"\\": "l1\nl2\t\u001b\u2028é",
                  "n": 18446744073709551615,
                  "f": 1.5,
                  "inf": null
                }
                """#)
        #expect((["a": [JSON(1), "x"], "b": ["c": true]] as JSON).compact == #"{"a": [1, "x"], "b": {"c": true}}"#)
    }

    @Test func whatIsWrittenIsReadBack() throws {
        let value: JSON = ["name": "x", "big": .unsigned(.max), "list": [JSON(1), .null, true, .number(0.5), ["k": "v"]], "text": "\"\\\u{7}"]
        let read = try #require(JSON(parsing: value.pretty.utf8))
        #expect(Set(read.members) == Set(value.members))
    }

    @Test func keysOfDecodedValuesAreStable() throws {
        let read = try #require(JSON(parsing: #"{"z":1,"spec":{},"a":2,"kind":"K","metadata":{"uid":"u","name":"n"}}"#.utf8))
        #expect(read.members.map(\.key) == ["kind", "metadata", "spec", "a", "z"])
        #expect(read["metadata"]?.members.map(\.key) == ["name", "uid"])
    }

    @Test(arguments: ["", "{", "[1", "nul", "\u{0}", "{\"a\":1}x"]) func noJSON(_ text: String) { #expect(JSON(parsing: text.utf8) == nil) }

    @Test func deepNestingIsRefusedNotTrapped() {
        #expect(JSON(parsing: (String(repeating: "[", count: 100_000) + String(repeating: "]", count: 100_000)).utf8) == nil)
    }

    @Test func streamEqualsTheWhole() {
        let values: [JSON] = [["a": JSON(1)], ["b": "x"], JSON(3)]
        let collector = Collector()
        var stream = JSONArrayStream(key: "k", output: collector)
        stream.write(values[..<1])
        stream.write([])
        stream.write(values[1...])
        stream.end()
        #expect(collector.text == (["k": .array(values)] as JSON).pretty + "\n")
    }
}

@Suite struct TextTests {
    @Test func columns() {
        var columns = Columns("A", "LONGER")
        columns.add("value", "x")
        columns.add("v\nw", "")
        #expect(columns.text == "A       LONGER\nvalue   x\nv?w\n")
    }
    @Test(arguments: [
        (0, "0 s"), (7, "7 s"), (60, "1 min"), (245, "4 min 5 s"), (7_500, "2 h 5 min"), (86_400, "1 d"), (90_000, "1 d 1 h"),
        (UInt64.max, "213503982334601 d 7 h"),
    ])
    func durations(_ seconds: UInt64, _ text: String) { #expect(durationText(seconds: seconds) == text) }
    @Test(arguments: [(0.0, "0.0"), (12.34, "12.3"), (99.96, "100.0"), (-0.26, "-0.3"), (.nan, "-"), (.infinity, "-"), (1e300, "-")])
    func decimals(_ value: Double, _ text: String) { #expect(oneDecimal(value) == text) }
    @Test func printableKeepsOtherScripts() { #expect(printable("netz-ü-网络\u{202E}\u{1B}[0m") == "netz-ü-网络??[0m") }
    @Test func failuresAreOneLine() { #expect(Failure.refused("a\nb\r\nc").message == "a b c") }
    @Test func protocols() { #expect([1, 6, 17, 58, 132, 200].map { IPProtocolName.text($0) } == ["icmp", "tcp", "udp", "icmp6", "sctp", "200"]) }
}
