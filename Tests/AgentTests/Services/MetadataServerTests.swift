import Dispatch
import Foundation
import NetTypes
import Overlay
import Synchronization
import Testing

@testable import Agent

/// `MetadataProxy` against a server that says what a test has it say.
@Suite(.timeLimit(.minutes(2))) struct MetadataServerTests {
    /// Listens on a free loopback port and answers each connection's request with the same octets, whatever they are. The connection is closed only when it is
    /// told so, or the server goes.
    final class Server: Sendable {
        let port: UInt16
        private let descriptor: Int32
        private let requests = Mutex<[String]>([])
        private let connections = Mutex<[Int32]>([])

        convenience init(_ answer: String) throws { try self.init(Array(answer.replacing("\n", with: "\r\n").utf8)) }

        init(_ answer: [UInt8]) throws {
            #if canImport(Darwin)
            let stream = SOCK_STREAM
            #else
            let stream = Int32(SOCK_STREAM.rawValue)
            #endif
            let listening = socket(AF_INET, stream, 0)
            descriptor = listening
            // Family, port and address of 127.0.0.1:0 (sockaddr_in).
            #if canImport(Darwin)
            var address: [UInt8] = [16, 2, 0, 0, 127, 0, 0, 1] + Array(repeating: 0, count: 8)
            #else
            var address: [UInt8] = [2, 0, 0, 0, 127, 0, 0, 1] + Array(repeating: 0, count: 8)
            #endif
            var length = socklen_t(address.count)
            let status = address.withUnsafeMutableBytes { octets in
                octets.withMemoryRebound(to: sockaddr.self) {
                    guard let address = $0.baseAddress else { return Int32(-1) }
                    return bind(listening, address, length) | getsockname(listening, address, &length)
                }
            }
            guard status == 0, listen(listening, 8) == 0 else { throw POSIXError(.EADDRNOTAVAIL) }
            port = UInt16(address[2]) << 8 | UInt16(address[3])
            Thread.detachNewThread { [weak self] in
                while true {
                    let connection = accept(listening, nil, nil)
                    guard connection >= 0, let self else { return }
                    self.connections.withLock { $0.append(connection) }
                    var request: [UInt8] = [], buffer = [UInt8](repeating: 0, count: 4096)
                    while request.suffix(4) != Array("\r\n\r\n".utf8)[...] {
                        let count = recv(connection, &buffer, buffer.count, 0)
                        guard count > 0 else { break }
                        request += buffer.prefix(count)
                    }
                    self.requests.withLock { $0.append(String(decoding: request, as: UTF8.self)) }
                    _ = answer.withUnsafeBytes { send(connection, $0.baseAddress, $0.count, 0) }
                }
            }
        }

        var asked: [String] { requests.withLock { $0 } }

        func close() {
            shutdown(descriptor, Int32(SHUT_RDWR))
            Foundation.close(descriptor)
            for connection in connections.withLock({ $0 }) { Foundation.close(connection) }
        }
    }

    static let asker = MetadataProxy.Asker(address: IPAddress("10.1.0.10")!, port: "0b0c", network: "net")

    /// Head and body of what a workload gets. The time is long enough for a machine that is busy with other tests.
    func get(_ server: Server, timeout: Duration = .seconds(60)) async -> (head: [String], body: [UInt8]) {
        let service = LinkLocalService(
            metadata: ObjectMetadata(name: "m"), targetAddress: IPAddress("127.0.0.1")!, targetPort: server.port, secret: "open sesame")
        let request = HTTPRequest(method: "GET", target: "/latest", headers: [("Host", "169.254.169.254")], body: [])
        let reply = await MetadataProxy(timeout: timeout).forward(request, Self.asker, service)
        let end = reply.firstRange(of: Array("\r\n\r\n".utf8)) ?? reply.endIndex..<reply.endIndex
        return (String(decoding: reply[..<end.lowerBound], as: UTF8.self).components(separatedBy: "\r\n"), Array(reply[end.upperBound...]))
    }

    /// What is packed stays packed, as its head says: gzip.compress(b"hello\n") of Python.
    @Test func anAnswerGoesOnAsItIs() async throws {
        let packed: [UInt8] = [
            0x1F, 0x8B, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xCB, 0x48, 0xCD, 0xC9, 0xC9, 0xE7, 0x02, 0x00, 0x20, 0x30, 0x3A, 0x36, 0x06,
            0x00, 0x00, 0x00,
        ]
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: gzip\r\nContent-Length: \(packed.count)\r\n\r\n"
        let server = try Server(Array(head.utf8) + packed)
        defer { server.close() }
        let reply = await get(server)
        #expect(
            reply.head == [
                "HTTP/1.1 200 OK", "Content-Type: text/plain", "Content-Encoding: gzip", "Content-Length: \(packed.count)", "Connection: close",
            ])
        #expect(reply.body == packed)
        // Nothing is asked for that the workload has not asked for.
        #expect(server.asked.count == 1 && server.asked.allSatisfy { !$0.lowercased().contains("accept-encoding") })
    }

    /// Who asks, and the signature, are for the server that the operator named. Where else to look is the workload's to decide.
    @Test func aRedirectionIsTheWorkloads() async throws {
        let other = try Server("HTTP/1.1 200 OK\nContent-Length: 0\n\n")
        defer { other.close() }
        let server = try Server("HTTP/1.1 302 Found\nLocation: http://127.0.0.1:\(other.port)/elsewhere\nContent-Length: 0\n\n")
        defer { server.close() }
        let reply = await get(server)
        #expect(reply.head.first == "HTTP/1.1 302 Found" && reply.head.contains("Location: http://127.0.0.1:\(other.port)/elsewhere"))
        #expect(server.asked.count == 1 && server.asked.first?.contains("X-Instance-ID-Signature: ") == true)
        #expect(other.asked.isEmpty)
    }

    /// The time is that of the whole answer.
    @Test(arguments: ["", "HTTP/1.1 200 OK\nContent-Length: 6\n\nhel"]) func aServerThatStopsIsNotWaitedFor(_ answer: String) async throws {
        let server = try Server(answer)
        defer { server.close() }
        // A busy machine may not get as far as to ask.
        for _ in 0..<10 where server.asked.isEmpty {
            #expect(await get(server, timeout: .seconds(2)).head.first == "HTTP/1.1 504 Gateway Timeout")
        }
        #expect(server.asked.count == 1)
    }

    @Test func nobodyListens() async throws {
        let server = try Server("")
        server.close()
        #expect(await get(server).head.first == "HTTP/1.1 502 Bad Gateway")
    }
}
