import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1

/// HTTP/JSON through AsyncHTTPClient. One client per request: a command makes one or two.
struct HTTPWebClient: WebClient {
    /// Largest reply: 256 MiB, about half a million objects.
    static let largestReply = 256 << 20

    func send(_ request: WebRequest) async throws -> WebReply {
        var configuration = HTTPClient.Configuration()
        configuration.timeout = .init(connect: .seconds(5), read: .seconds(30))
        // Say at once what is wrong instead of trying again until the timeout.
        configuration.connectionPool.retryConnectionEstablishment = false
        let client = HTTPClient(configuration: configuration)
        do {
            let reply = try await execute(request, client)
            try await client.shutdown()
            return reply
        } catch {
            try? await client.shutdown()
            throw error is CancellationError ? error : WebFailure(reason: reason(error))
        }
    }

    private func execute(_ request: WebRequest, _ client: HTTPClient) async throws -> WebReply {
        var outgoing = HTTPClientRequest(url: request.url)
        outgoing.method = .RAW(value: request.method.rawValue)
        for (name, value) in request.headers { outgoing.headers.add(name: name, value: value) }
        outgoing.headers.replaceOrAdd(name: "Accept", value: "application/json")
        if request.method == .post { outgoing.body = .bytes(Array(request.body.utf8)) }
        let reply = try await client.execute(outgoing, timeout: .seconds(60))
        let body = try await reply.body.collect(upTo: Self.largestReply)
        return WebReply(status: Int(reply.status.code), body: Array(body.readableBytesView))
    }

    private func reason(_ error: any Error) -> String {
        if let error = error as? IOError { return String(cString: strerror(error.errnoCode)) }
        switch error as? HTTPClientError {
        case .connectTimeout: return "no connection within 5 s"
        case .readTimeout, .deadlineExceeded: return "no answer in time"
        case .remoteConnectionClosed: return "it closed the connection"
        default: return connectionReason("\(error)")
        }
    }

    /// `NIOConnectionError` prints every attempt; the words of the first that matter are enough.
    private func connectionReason(_ text: String) -> String {
        for (needle, words) in [
            ("ECONNREFUSED", "connection refused"), ("errno: 111", "connection refused"), ("onnection refused", "connection refused"),
            ("errno: 113", "no route to host"), ("errno: 101", "network is unreachable"),
        ] where text.contains(needle) { return words }
        return text.contains("dnsAError: Optional") || text.contains("SocketAddressError") ? "the name does not resolve" : text
    }
}
