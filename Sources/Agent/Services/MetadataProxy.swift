import AsyncHTTPClient
import Crypto
import Foundation
import NIOCore
import NIOHTTP1
import NetTypes
import Overlay

/// Passes a workload's request to the server of a `LinkLocalService`, with who asks, as OpenSDN's agent does for the metadata of instances:
///
///     X-Forwarded-For            the workload's address
///     X-Instance-ID              the uid of its Port
///     X-Tenant-ID                the uid of its network
///     X-Instance-ID-Signature    HMAC-SHA256 of X-Instance-ID under the shared secret, in hexadecimal
///
/// What the workload says of these itself is left out. The answer goes back as it is: redirections are followed, and what is packed is unpacked, by the workload. So who
/// asks, and the signature, are told to nobody but the server that the operator named.
///
/// # Thread-safety
/// `Sendable`; any number of requests at a time.
struct MetadataProxy: Sendable {
    struct Asker: Hashable, Sendable {
        var address: IPAddress
        var port: String
        var network: String
    }

    /// From the request to the last octet of the answer.
    var timeout = Duration.seconds(10)
    /// Octets of an answer.
    static let limit = 1 << 20

    /// One for all, which keeps connections; like `HTTPClient.shared` it lasts as long as the process.
    private static let client: HTTPClient = {
        var configuration = HTTPClient.Configuration()
        configuration.redirectConfiguration = .disallow
        configuration.decompression = .disabled
        // A server that is not there is told of at once, not at the end of the time.
        configuration.connectionPool.retryConnectionEstablishment = false
        return HTTPClient(eventLoopGroup: HTTPClient.defaultEventLoopGroup, configuration: configuration)
    }()

    /// Of the workload's headers those that are for the server, and ours.
    static func headers(_ request: HTTPRequest, _ asker: Asker, _ service: LinkLocalService) -> [(name: String, value: String)] {
        var out = request.forwarded
        out.append(("Host", request.header("Host") ?? service.address.description))
        out.append(("X-Forwarded-For", asker.address.description))
        out.append(("X-Instance-ID", asker.port))
        out.append(("X-Tenant-ID", asker.network))
        if let secret = service.secret { out.append(("X-Instance-ID-Signature", signature(asker.port, secret))) }
        return out
    }

    static func signature(_ instance: String, _ secret: String) -> String {
        HMAC<SHA256>.authenticationCode(for: Data(instance.utf8), using: SymmetricKey(data: Data(secret.utf8))).map {
            let text = String($0, radix: 16)
            return text.count == 1 ? "0" + text : text
        }.joined()
    }

    /// The answer, whole; one of ours when the server gives none.
    func forward(_ request: HTTPRequest, _ asker: Asker, _ service: LinkLocalService) async -> [UInt8] {
        let host = service.targetAddress.isIPv4 ? "\(service.targetAddress)" : "[\(service.targetAddress)]"
        var outgoing = HTTPClientRequest(url: "http://\(host):\(service.targetPort)\(request.target)")
        outgoing.method = HTTPMethod(rawValue: request.method)
        for header in Self.headers(request, asker, service) { outgoing.headers.add(name: header.name, value: header.value) }
        if !request.body.isEmpty { outgoing.body = .bytes(ByteBuffer(bytes: request.body)) }
        do {
            return try await withThrowingTaskGroup(of: [UInt8].self) { [outgoing, timeout] group in
                group.addTask { try await Self.answer(outgoing, timeout) }
                group.addTask {
                    try await Task.sleep(for: timeout)
                    throw HTTPClientError.deadlineExceeded
                }
                defer { group.cancelAll() }
                return try await group.next() ?? HTTPReply.failure(502)
            }
        } catch let error as HTTPClientError where error == .deadlineExceeded || error == .connectTimeout {
            return HTTPReply.failure(504)
        } catch {
            return HTTPReply.failure(502)
        }
    }

    private static func answer(_ request: HTTPClientRequest, _ timeout: Duration) async throws -> [UInt8] {
        let reply = try await client.execute(request, timeout: TimeAmount(timeout))
        let body = try await reply.body.collect(upTo: limit)
        let headers = reply.headers.filter {
            !["connection", "keep-alive", "transfer-encoding", "content-length"].contains($0.name.lowercased())
        }
        return HTTPReply.octets(
            Int(reply.status.code), reply.status.reasonPhrase, headers: headers.map { ($0.name, $0.value) }, body: Array(body.readableBytesView))
    }
}
