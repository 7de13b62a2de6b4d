import NIOCore
import NetTypes
import Overlay
import Testing

@testable import Agent

@Suite struct DNSTests {
    /// 1024 is what a process may open where nobody says otherwise; -1: any number.
    @Test(arguments: [(1024, 512), (65536, 4096), (8192, 4096), (100, 64), (-1, 4096)]) func questionsLeaveFilesToOthers(
        _ files: Int, _ questions: Int
    ) {
        #expect(DNSService.maximumTotal(openFiles: files) == questions)
        #expect(DNSService(.init()).maximumTotal <= 4096)
    }

    static let zone = DNSZone(
        network: ServiceFixture.port().network,
        ports: [
            ("blue1", [IPAddress("10.1.0.11")!, IPAddress("fd00:1::11")!]), ("blue3", [IPAddress("10.1.0.13")!, IPAddress("fd00:1::13")!]),
            ("Web_1", [IPAddress("10.1.0.20")!, IPAddress("10.1.0.21")!]),
        ])

    private func message(_ octets: [UInt8]) throws -> DNSMessage { try #require(DNSMessage(octets)) }
    private func name(_ text: String) throws -> DNSName { try #require(DNSName(text)) }

    private func reply(_ query: [UInt8], limit: Int = 1232) throws -> [UInt8]? {
        let (decision, _) = DNSService(.init()).decide(try message(query), zone: Self.zone, limit: limit, now: 0)
        if case .reply(let octets) = decision { return octets }
        return nil
    }

    // MARK: Names

    /// RFC 1035 section 4.1.4: F.ISI.ARPA at 20, FOO.F.ISI.ARPA at 40, ARPA at 64, the root at 92.
    @Test func compressionOfTheRFC() throws {
        var octets = [UInt8](repeating: 0, count: 93)
        octets.replaceSubrange(20..., with: hex("0146 03495349 0441525041 00") + Array(repeating: 0, count: 93 - 32))
        octets.replaceSubrange(40..<46, with: hex("03464f4f c014"))
        octets.replaceSubrange(64..<66, with: hex("c01a"))
        for (at, text) in [(20, "F.ISI.ARPA"), (40, "FOO.F.ISI.ARPA"), (64, "ARPA"), (92, ".")] {
            var reader = WireReader(octets, at..<octets.count)
            #expect(DNSName.read(&reader)?.description == text)
        }
        var reader = WireReader(octets, 40..<octets.count)
        _ = DNSName.read(&reader)
        #expect(reader.at == 46)
    }

    @Test func namesThatAreNone() {
        func read(_ text: String) -> DNSName? {
            var reader = WireReader(hex(text))
            return DNSName.read(&reader)
        }
        // Cut off; a pointer to itself, forwards, to nowhere; a kind of label that is not; 256 octets.
        for text in ["", "01", "0161", "c000", "c0", "0161c004", "01614000", "8001", String(repeating: "0161", count: 128) + "00"] {
            #expect(read(text) == nil)
        }
        #expect(read(String(repeating: "0161", count: 127) + "00")?.size == 255)
        #expect(DNSName("a..b") == nil && DNSName(String(repeating: "a", count: 64)) == nil && DNSName("") == .root && DNSName(".") == .root)
        #expect(DNSName(String(repeating: "abc.", count: 64)) == nil)
    }

    // MARK: The network's own names

    @Test func answersOfTheZone() throws {
        #expect(try reply(GoldenServices.queryPort) == GoldenServices.responsePort)
        #expect(try reply(GoldenServices.queryReverse) == GoldenServices.responseReverse)
        #expect(try reply(GoldenServices.queryNobody) == GoldenServices.responseNobody)
        func ask(_ text: String, _ kind: UInt16) throws -> DNSZone.Answer? {
            Self.zone.answer(.init(name: try name(text), kind: kind, classNumber: 1))
        }
        func data(_ text: String, _ kind: UInt16) throws -> [[UInt8]] {
            guard case .records(let records)? = try ask(text, kind) else { return [] }
            return records.map(\.data)
        }
        #expect(try data("WEB-1.Blue.vrouter.local", 1) == [[10, 1, 0, 20], [10, 1, 0, 21]])
        #expect(try data("web-1", 1).count == 2 && ask("nobody", 1) == nil)
        #expect(try data("blue1.blue.vrouter.local", 28) == [IPAddress("fd00:1::11")!.bytes])
        #expect(try data("blue1.blue.vrouter.local", 255).count == 2 && ask("blue1.blue.vrouter.local", 15) == .empty)
        #expect(try data("gateway.blue.vrouter.local", 1) == [[10, 1, 0, 1]])
        #expect(try ask("a.blue1.blue.vrouter.local", 1) == .noName && ask("blue.vrouter.local", 1) == .empty)
        #expect(try data("blue.vrouter.local", 6).count == 1 && data("blue.vrouter.local", 2) == [name("gateway.blue.vrouter.local").wire])
        // Not of this network: somebody else's to answer.
        for text in [
            "red1.red.vrouter.local", "vrouter.local", "www.example.test", "1.0.2.10.in-addr.arpa", "0.1.10.in-addr.arpa", "300.0.1.10.in-addr.arpa",
        ] {
            #expect(try ask(text, 1) == nil, "\(text)")
        }
        #expect(try ask("99.0.1.10.in-addr.arpa", 12) == .noName)
        let six = "1.1" + String(repeating: ".0", count: 22) + ".1.0.0.0.0.0.d.f.ip6.arpa"
        #expect(try data(six, 12) == [name("blue1.blue.vrouter.local").wire])
    }

    @Test func whatIsNotAnswered() throws {
        func code(_ change: (inout [UInt8]) -> Void) throws -> UInt16? {
            var query = GoldenServices.queryPort
            change(&query)
            return try reply(query).flatMap { DNSMessage($0)?.responseCode }
        }
        #expect(try code { _ in } == 0)
        #expect(try code { $0[2] |= 0x28 } == 4)  // an opcode we do not know
        #expect(try code { $0[5] = 0 } == 1)  // no question
        #expect(try code { $0[5] = 2 } == 1)  // two
        #expect(try code { $0[$0.count - 1] = 3 } == 5)  // class CHAOS
        #expect(try code { $0[$0.count - 3] = 252 } == 5)  // a zone transfer
        #expect(try code { $0[2] |= 0x80 } == nil)  // a response
        var edns = GoldenServices.query
        edns[edns.count - 5] = 1
        let answer = try #require(try reply(edns))
        // BADVERS is 16: its low bits are 0, its high ones in the OPT record.
        #expect(DNSMessage(answer)?.responseCode == 0 && DNSMessage(answer)?.options.map { answer[$0.ttlAt] } == 1)
        for special in ["printer.local", "x.onion", "a.invalid"] {
            var query = DNSMessageBuilder.query(special)
            #expect(DNSMessage(try #require(try reply(query)))?.responseCode == 3)
            query[2] = 0
        }
        #expect(DNSMessage(try #require(try reply(DNSMessageBuilder.query("localhost"))))?.records.count == 1)
    }

    @Test func whatDoesNotFitIsCut() throws {
        let zone = DNSZone(network: ServiceFixture.port().network, ports: [("many", (2...60).map { IPAddress("10.1.0.\($0)")! })])
        let query = try message(DNSMessageBuilder.query("many.blue.vrouter.local"))
        let (decision, _) = DNSService(.init()).decide(query, zone: zone, limit: DNSService.limit(query), now: 0)
        guard case .reply(let octets) = decision, let cut = DNSMessage(octets) else { Issue.record("no reply"); return }
        #expect(octets.count <= 512 && cut.isTruncated && !cut.records.isEmpty)
        let response = try message(GoldenServices.response)
        let short = try message(response.answer(to: query, limit: 60))
        #expect(short.isTruncated && short.records.isEmpty && short.id == query.id)
    }

    // MARK: Other names

    @Test func whatOthersSayIsKeptAndAges() throws {
        var cache = DNSCache(capacity: 2)
        let query = try message(GoldenServices.queryPlain), key = try #require(DNSCache.Key(query))
        cache.store(try message(GoldenServices.response), for: key, now: 100)
        let (found, age) = try #require(cache.find(key, now: 130))
        #expect(age == 30)
        let answer = try message(found.answer(to: query, age: age, limit: 512))
        #expect(answer.id == 0x0103 && answer.question == query.question && answer.records.map(\.ttl) == [570, 30])
        #expect(cache.find(key, now: 160) == nil)
        // Asked with EDNS it is another question.
        #expect(cache.find(try #require(DNSCache.Key(message(GoldenServices.query))), now: 130) == nil)
        // A denial holds as long as the SOA record says (RFC 2308).
        #expect(try message(GoldenServices.denial).lifetime == 300)
        var failure = GoldenServices.response
        failure[3] |= 2
        #expect(try message(failure).lifetime == nil)
        // Bounded: the oldest goes first.
        for text in ["a.test", "b.test", "c.test"] {
            cache.store(try message(GoldenServices.response), for: try #require(DNSCache.Key(message(DNSMessageBuilder.query(text)))), now: 200)
        }
        #expect(cache.count == 2)
        #expect(cache.find(try #require(DNSCache.Key(message(DNSMessageBuilder.query("a.test")))), now: 200) == nil)
        for number in 0..<10_000 {
            cache.store(
                try message(GoldenServices.response), for: try #require(DNSCache.Key(message(DNSMessageBuilder.query("x\(number % 3).test")))),
                now: 300)
        }
        #expect(cache.count == 2 && cache.octets == 2 * GoldenServices.response.count)
    }

    @Test func theSameQuestionIsAskedOnce() throws {
        var service = DNSService(.init())
        let query = try message(GoldenServices.queryPlain), key = try #require(DNSCache.Key(query))
        let request = try ServiceFixture.packet(GoldenServices.dnsQuery)
        func waiter(_ vif: UInt32) -> DNSService.Waiter { .init(query: query, request: request, vif: vif, port: "p", limit: 512) }
        guard case (.ask, .forwarded) = service.decide(query, zone: nil, limit: 512, now: 0) else { Issue.record("not asked"); return }
        #expect(service.wait(key, waiter(3)) == true && service.wait(key, waiter(4)) == false)
        for _ in 1..<DNSService.maximumPerVif { #expect(service.wait(key, waiter(3)) != nil) }
        #expect(service.wait(key, waiter(3)) == nil && service.wait(key, waiter(5)) != nil)
        #expect(service.answered(key, try message(GoldenServices.response), now: 0).count == DNSService.maximumPerVif + 2)
        #expect(service.wait(key, waiter(3)) == true)
        guard case (.reply, .cache) = service.decide(query, zone: nil, limit: 512, now: 1) else { Issue.record("not kept"); return }
    }

    @Test func anAnswerIsTheServersToThisQuestion() {
        let query = GoldenServices.queryPlain
        func response(_ change: (inout [UInt8]) -> Void) -> DNSMessage? {
            var octets = GoldenServices.response
            octets[1] = 3
            change(&octets)
            return DNSMessage(octets, answering: query)
        }
        #expect(response { _ in } != nil)
        #expect(response { $0[1] = 4 } == nil)  // another id
        #expect(response { $0[2] &= 0x7F } == nil)  // a query
        #expect(response { $0[13] = 0x78 } == nil)  // another name
        #expect(response { $0[14 + 16] = 28 } == nil)  // another type
    }

    @Test func resolverFile() throws {
        let text = "# nameserver 192.0.2.1\nsearch x\nnameserver 192.0.2.53\nnameserver\t2001:db8::53\nnameserver\nnameserver nonsense\n"
        #expect(
            try ResolverFile.servers(text)
                == [SocketAddress(ipAddress: "192.0.2.53", port: 53), SocketAddress(ipAddress: "2001:db8::53", port: 53)])
    }

    @Test func hostileMessages() throws {
        var random = SystemRandomNumberGenerator()
        let queries = [GoldenServices.query, GoldenServices.queryPort, GoldenServices.queryReverse, GoldenServices.response, GoldenServices.denial]
        for golden in queries {
            for length in 0..<golden.count { _ = DNSMessage(Array(golden.prefix(length))) }
            for _ in 0..<5000 {
                var octets = golden
                for _ in 0..<Int.random(in: 1...8, using: &random) {
                    octets[Int.random(in: 0..<octets.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
                }
                guard let message = DNSMessage(octets) else { continue }
                _ = message.lifetime
                _ = message.options.map { _ in (message.payloadSize, message.ednsVersion, message.wantsSecurity) }
                _ = message.question?.name.description
                for limit in [12, 40, 512] {
                    _ = DNSService(.init()).decide(message, zone: Self.zone, limit: limit, now: 0)
                    _ = message.answer(to: message, age: 7, limit: limit)
                }
            }
        }
    }
}

enum DNSMessageBuilder {
    static func query(_ name: String, kind: UInt16 = 1) -> [UInt8] {
        var octets = hex("000a 0100 0001 0000 0000 0000") + (DNSName(name) ?? .root).wire
        octets.append(word16: kind)
        octets.append(word16: 1)
        return octets
    }
}
