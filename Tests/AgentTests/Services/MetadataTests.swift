import NetTypes
import Overlay
import Testing

@testable import Agent

@Suite struct MetadataTests {
    static func octets(_ text: String) -> [UInt8] { Array(text.replacing("\n", with: "\r\n").utf8) }

    @Test func requests() {
        let text = "PUT /latest/api/token?x=1 HTTP/1.1\nHost: 169.254.169.254\nContent-Length: 5\nX-Test:  a b \n\nhello"
        let all = Self.octets(text)
        for count in 0..<all.count { #expect(HTTPRequest.read(Array(all.prefix(count))) == .more) }
        guard case .whole(let request, let length) = HTTPRequest.read(all + [1, 2]) else { Issue.record("not read"); return }
        #expect(length == all.count && request.method == "PUT" && request.target == "/latest/api/token?x=1" && request.body == Array("hello".utf8))
        #expect(request.header("x-test") == "a b" && request.headers.count == 3)
        // A space and a mark behind it are one letter to read, and two octets to take apart.
        let spaced = Self.octets("GET / HTTP/1.1\nA: \u{059C}x \n\n")
        guard case .whole(let marked, _) = HTTPRequest.read(spaced) else { Issue.record("not read"); return }
        #expect(marked.headers.map(\.value) == ["\u{059C}x"])
    }

    static let malformed: [(String, Int)] = [
        ("GET / HTTP/2\n\n", 400), ("GET /\n\n", 400), ("GET http://elsewhere/ HTTP/1.1\n\n", 400), ("G(T / HTTP/1.1\n\n", 400),
        ("GET / HTTP/1.1\nno colon\n\n", 400), ("GET / HTTP/1.1\nA : b\n\n", 400), ("GET / HTTP/1.1\nContent-Length: -1\n\n", 400),
        ("GET / HTTP/1.1\nContent-Length: 1\nContent-Length: 2\n\nab", 400), ("GET / HTTP/1.1\nTransfer-Encoding: chunked\n\n", 411),
        ("PUT / HTTP/1.1\nContent-Length: 9000\n\n", 413), ("PUT / HTTP/1.1\nContent-Length: 9223372036854775807\n\n", 413),
        ("PUT / HTTP/1.1\nContent-Length: 99999999999999999999\n\n", 413), ("PUT / HTTP/1.1\nContent-Length: +2\n\nab", 400),
        ("PUT / HTTP/1.1\nContent-Length:\n\n", 400), ("GET / HTTP/1.1\nA: " + String(repeating: "x", count: 8000) + "\n\n", 413),
        ("GET / HTTP/1.1\nA: " + String(repeating: "x", count: 8000), 431),
    ]
    @Test(arguments: malformed) func whatIsNoRequest(_ text: String, _ status: Int) {
        #expect(HTTPRequest.read(Self.octets(text)) == .malformed(status))
    }

    /// The signature by hand: echo -n ID | openssl dgst -sha256 -hmac 'open sesame'.
    @Test func headers() {
        var request = HTTPRequest(method: "GET", target: "/", headers: [], body: [])
        request.headers = [
            ("Host", "169.254.169.254"), ("X-Forwarded-For", "1.2.3.4"), ("x-instance-id", "other"), ("Connection", "keep-alive, X-Hop"),
            ("X-Hop", "1"), ("X_Instance_ID", "another's"), ("connection", "X-Second"), ("X-Second", "1"), ("Accept", "*/*"),
        ]
        var service = LinkLocalService(
            metadata: ObjectMetadata(name: "m"), targetAddress: IPAddress("10.0.0.1")!, targetPort: 8775, secret: "open sesame")
        let asker = MetadataProxy.Asker(address: IPAddress("10.1.0.10")!, port: "0b0c", network: "net")
        let headers = MetadataProxy.headers(request, asker, service)
        #expect(
            headers.map { "\($0.name): \($0.value)" } == [
                "Accept: */*", "Host: 169.254.169.254", "X-Forwarded-For: 10.1.0.10", "X-Instance-ID: 0b0c", "X-Tenant-ID: net",
                "X-Instance-ID-Signature: e7ad98372660488cf8bff3e62e079feb49fc58493b65a784691f2ab2a0adcb02",
            ])
        service.secret = nil
        #expect(!MetadataProxy.headers(request, asker, service).contains { $0.name == "X-Instance-ID-Signature" })
    }

    /// One request, one answer, and the end, whatever the sizes of segments.
    @Test func connection() throws {
        let syn = TCPSegment(source: 4000, destination: 80, sequence: 100, acknowledgement: 0, flags: .syn, window: 2000)
        var connection = DNSConnection(syn, segmentSize: 500, initial: 1000, isHTTP: true, now: 0)
        #expect(connection.received(syn, now: 0).count == 1)
        func segment(_ sequence: UInt32, _ data: [UInt8] = [], acknowledging: UInt32 = 1001, flags: TCPSegment.Flags = .ack) -> TCPSegment {
            var segment = TCPSegment(
                source: 4000, destination: 80, sequence: sequence, acknowledgement: acknowledging, flags: flags, window: 2000)
            segment.data = data
            return segment
        }
        _ = connection.received(segment(101), now: 1)
        let request = Self.octets("GET / HTTP/1.1\n\n")
        #expect(connection.received(segment(101, Array(request.prefix(7))), now: 1).count == 1)
        let actions = connection.received(segment(108, Array(request.dropFirst(7))), now: 2)
        #expect(actions.contains { if case .request(.whole(let request, _)) = $0 { request.target == "/" } else { false } })
        var sent = 0, at: UInt32 = 1001, isClosed = false
        var outgoing = connection.answer(Array(repeating: 7, count: 70_000), now: 3)
        for _ in 0..<1000 where !isClosed {
            for case .send(let part) in outgoing {
                #expect(part.sequence == at && part.data.count <= 500)
                sent += part.data.count
                at &+= UInt32(part.data.count)
                if part.flags.contains(.fin) { isClosed = true }
            }
            outgoing = connection.received(segment(101 + UInt32(request.count), acknowledging: at), now: 4)
        }
        #expect(sent == 70_000 && isClosed)
        _ = connection.received(segment(101 + UInt32(request.count), acknowledging: at &+ 1, flags: [.ack, .fin]), now: 5)
        #expect(connection.isOver)
    }
}
