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
/// What the workload says of these itself is left out.
///
/// # Thread-safety
/// `Sendable`; any number of requests at a time.
struct MetadataProxy: Sendable {
    struct Asker: Hashable, Sendable {
        var address: IPAddress
        var port: String
        var network: String
    }

    static let timeout = TimeAmount.seconds(10)
    /// Octets of an answer.
    static let limit = 1 << 20

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
            let reply = try await HTTPClient.shared.execute(outgoing, timeout: Self.timeout)
            let body = try await reply.body.collect(upTo: Self.limit)
            let headers = reply.headers.filter {
                !["connection", "keep-alive", "transfer-encoding", "content-length"].contains($0.name.lowercased())
            }
            return HTTPReply.octets(
                Int(reply.status.code), reply.status.reasonPhrase, headers: headers.map { ($0.name, $0.value) }, body: Array(body.readableBytesView))
        } catch let error as HTTPClientError where error == .deadlineExceeded || error == .connectTimeout {
            return HTTPReply.failure(504)
        } catch {
            return HTTPReply.failure(502)
        }
    }
}
