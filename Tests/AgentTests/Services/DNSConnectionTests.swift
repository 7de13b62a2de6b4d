import NetTypes
import Testing

@testable import Agent

/// A client that follows RFC 9293 by the letter, against `DNSConnection`.
private struct Client {
    var sequence: UInt32 = 1000
    var expected: UInt32 = 0
    var received: [UInt8] = []
    var hasFIN = false
    var window: UInt16 = 60_000

    func segment(_ flags: TCPSegment.Flags, _ data: [UInt8] = []) -> TCPSegment {
        var segment = TCPSegment(source: 40_000, destination: 53, sequence: sequence, acknowledgement: expected, flags: flags, window: window)
        segment.data = data
        return segment
    }

    mutating func take(_ actions: [DNSConnection.Action]) -> [[UInt8]] {
        var questions: [[UInt8]] = []
        for action in actions {
            switch action {
            case .ask(let question): questions.append(question)
            case .send(let segment):
                if segment.flags.contains(.syn) { expected = segment.sequence &+ 1; continue }
                guard segment.sequence == expected else { continue }
                received += segment.data
                expected = expected &+ UInt32(segment.data.count)
                if segment.flags.contains(.fin) { hasFIN = true; expected = expected &+ 1 }
            case .request: Issue.record("no HTTP here")
            }
        }
        return questions
    }

    static func framed(_ message: [UInt8]) -> [UInt8] { [UInt8(message.count >> 8), UInt8(message.count & 0xFF)] + message }
}

@Suite struct DNSConnectionTests {
    private let question = DNSMessageBuilder.query("big.example.test")

    /// Accepted, and the handshake done.
    private func connected(initial: UInt32 = .max - 5, size: Int = 100, window: UInt16 = 60_000) throws -> (DNSConnection, Client) {
        var client = Client()
        client.window = window
        let syn = client.segment(.syn)
        var connection = DNSConnection(syn, segmentSize: size, initial: initial, now: 0)
        let accepted = connection.received(syn, now: 0)
        guard case .send(let answer)? = accepted.first else { throw Unexpected() }
        #expect(answer.flags == [.syn, .ack] && answer.acknowledgement == 1001 && answer.sequence == initial && answer.maximumSize == UInt16(size))
        _ = client.take(accepted)
        client.sequence &+= 1
        #expect(connection.received(client.segment(.ack), now: 1) == [])
        return (connection, client)
    }
    private struct Unexpected: Error {}

    @Test func aQuestionAndALongAnswer() throws {
        var (connection, client) = try connected()
        // In two pieces, the second one twice.
        let framed = Client.framed(question)
        _ = client.take(connection.received(client.segment([.ack, .psh], Array(framed.prefix(1))), now: 2))
        client.sequence &+= 1
        let rest = client.segment([.ack, .psh], Array(framed.dropFirst()))
        #expect(client.take(connection.received(rest, now: 3)) == [question])
        client.sequence &+= UInt32(framed.count - 1)
        let again = connection.received(rest, now: 4)
        #expect(again.count == 1 && client.take(again).isEmpty)
        let answer = (0..<5000).map { UInt8(truncatingIfNeeded: $0) }
        var actions = connection.answer(answer, now: 5)
        // Ten segments at a time, then as acknowledgements come.
        #expect(actions.count == 10)
        for round in 0..<20 {
            _ = client.take(actions)
            actions = connection.received(client.segment(.ack), now: 6 + UInt64(round))
        }
        #expect(client.received == Client.framed(answer))
        // The client closes; so does the server.
        _ = client.take(connection.received(client.segment([.fin, .ack]), now: 40))
        client.sequence &+= 1
        #expect(client.hasFIN && !connection.isOver)
        _ = connection.received(client.segment(.ack), now: 41)
        #expect(connection.isOver)
    }

    @Test func whatIsLostComesAgain() throws {
        var (connection, client) = try connected()
        _ = client.take(connection.received(client.segment(.ack, Client.framed(question)), now: 2))
        client.sequence &+= UInt32(question.count + 2)
        let answer = [UInt8](repeating: 7, count: 350)
        // The second of four is lost.
        var actions = connection.answer(answer, now: 10)
        actions.remove(at: 1)
        _ = client.take(actions)
        _ = client.take(connection.received(client.segment(.ack), now: 20))
        #expect(client.received.count == 100 && connection.tick(now: 500).isEmpty)
        _ = client.take(connection.tick(now: 1100))
        _ = connection.received(client.segment(.ack), now: 1110)
        #expect(client.received == Client.framed(answer) && connection.tick(now: 9000).isEmpty)
    }

    @Test func aClientThatVanishesIsForgotten() throws {
        var (connection, client) = try connected()
        _ = client.take(connection.received(client.segment(.ack, Client.framed(question)), now: 2))
        _ = connection.answer([1, 2, 3], now: 10)
        var sent = 0
        for now in stride(from: UInt64(0), to: 200_000, by: 250) { sent += connection.tick(now: now).count }
        #expect(connection.isOver && sent == DNSConnection.maximumRetries + 1)
        // One that never says anything is closed.
        var (idle, peer) = try connected()
        _ = peer.take(idle.tick(now: 11_000))
        #expect(peer.hasFIN)
        _ = idle.received(peer.segment(.ack), now: 11_100)
        #expect(idle.isOver)
    }

    @Test func aSmallWindowIsKept() throws {
        var (connection, client) = try connected(window: 150)
        _ = client.take(connection.received(client.segment(.ack, Client.framed(question)), now: 2))
        client.sequence &+= UInt32(question.count + 2)
        var actions = connection.answer([UInt8](repeating: 9, count: 1000), now: 3)
        for round in 0..<20 {
            let octets = actions.reduce(0) { if case .send(let segment) = $1 { $0 + segment.data.count } else { $0 } }
            #expect(octets <= 150)
            _ = client.take(actions)
            actions = connection.received(client.segment(.ack), now: 4 + UInt64(round))
        }
        #expect(client.received.count == 1002)
    }

    @Test func manyQuestionsWaitForTheirAnswers() throws {
        var (connection, client) = try connected()
        let questions = (0..<10).flatMap { _ in Client.framed(question) }
        var asked = client.take(connection.received(client.segment(.ack, questions), now: 2)).count
        client.sequence &+= UInt32(questions.count)
        #expect(asked == DNSConnection.maximumQuestions)
        for round in 0..<10 {
            asked += client.take(connection.answer([1, 2], now: 3)).count
            asked += client.take(connection.received(client.segment(.ack), now: 4 + UInt64(round))).count
        }
        #expect(asked == 10 && client.received == (0..<10).flatMap { _ in [0, 2, 1, 2] as [UInt8] })
    }

    @Test func resets() throws {
        var (connection, client) = try connected()
        var wrong = client.segment(.rst)
        wrong.sequence &+= 1
        _ = connection.received(wrong, now: 2)
        #expect(!connection.isOver)
        _ = connection.received(client.segment(.rst), now: 3)
        #expect(connection.isOver)
        #expect(DNSConnection.reset(client.segment(.rst)) == nil)
        let toSYN = try #require(DNSConnection.reset(client.segment(.syn)))
        #expect(toSYN.flags == [.rst, .ack] && toSYN.acknowledgement == client.sequence &+ 1)
        // No message of DNS is that short, or that long.
        for length: [UInt8] in [[0, 0], [0, 11], [0xFF, 0xFF]] {
            var (other, peer) = try connected()
            _ = peer.take(other.received(peer.segment(.ack, length), now: 2))
            #expect(other.isOver)
        }
    }

    @Test func segmentsAreReadAndWritten() throws {
        // SYN with MSS 1460, SACK permitted, timestamps, window scale, as Linux sends it (checksum zero).
        let syn = hex("9c41 0035 00000064 00000000 a002 faf0 0000 0000 020405b4 0402 080a 0000000100000000 01 030307")
        let segment = try #require(TCPSegment(syn))
        #expect(segment.source == 40_001 && segment.destination == 53 && segment.sequence == 100 && segment.flags == .syn)
        #expect(segment.maximumSize == 1460 && segment.window == 64_240 && segment.data.isEmpty)
        var answer = TCPSegment(source: 53, destination: 40_001, sequence: 1, acknowledgement: 101, flags: [.syn, .ack], window: 8192)
        answer.maximumSize = 1220
        #expect(answer.octets == hex("0035 9c41 00000001 00000065 6012 2000 0000 0000 020404c4"))
        for length in 0..<syn.count { #expect(TCPSegment(Array(syn.prefix(length))) == nil) }
    }

    /// Any segments in any order: bounded, and never a trap.
    @Test func hostileSegments() throws {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<200 {
            var (connection, client) = try connected()
            for step in 0..<200 {
                var segment = client.segment(TCPSegment.Flags(rawValue: UInt8.random(in: 0...31, using: &random)))
                if Bool.random(using: &random) { segment.sequence = client.sequence &+ UInt32.random(in: 0...3, using: &random) }
                if Bool.random(using: &random) { segment.acknowledgement = UInt32.random(in: .min ... .max, using: &random) }
                if Bool.random(using: &random) { segment.window = UInt16.random(in: 0...200, using: &random) }
                if Bool.random(using: &random) { segment.data = Client.framed(question) }
                for case .ask in connection.received(segment, now: UInt64(step)) {
                    if Bool.random(using: &random) { _ = connection.answer([1], now: UInt64(step)) }
                }
                if segment.sequence == client.sequence { client.sequence &+= UInt32(segment.data.count) }
                _ = connection.tick(now: UInt64(step) * 300)
            }
        }
    }
}
