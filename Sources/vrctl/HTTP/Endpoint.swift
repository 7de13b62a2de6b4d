import Foundation

/// A daemon's HTTP address, and how to name it in a message.
struct Endpoint: Sendable {
    var name: String
    /// The option that names another address.
    var option: String
    var base: String

    /// `segments` are percent-encoded one by one: a name with a slash stays one segment.
    func url(_ segments: [String], query: [(String, String)] = []) throws -> String {
        guard let url = URL(string: base), let scheme = url.scheme, ["http", "https"].contains(scheme), let host = url.host, !host.isEmpty else {
            throw Failure.usage("\(option) '\(base)' is not an address; write it like http://127.0.0.1:8082")
        }
        var text = base
        while text.last == "/" { text.removeLast() }
        for segment in segments { text += "/" + encoded(segment) }
        if !query.isEmpty { text += "?" + query.map { "\(encoded($0.0))=\(encoded($0.1))" }.joined(separator: "&") }
        return text
    }

    /// RFC 3986 section 2.3: everything but unreserved characters.
    private func encoded(_ text: String) -> String {
        text.utf8.map { octet in
            switch octet {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"):
                String(UnicodeScalar(octet))
            default: "%" + hexadecimal([octet], separator: "").uppercased()
            }
        }.joined()
    }
}

struct WebRequest: Sendable {
    enum Method: String, Sendable { case get = "GET", post = "POST", delete = "DELETE" }
    var method = Method.get
    var url: String
    var headers: [(String, String)] = []
    var body = ""
}
struct WebReply: Sendable {
    var status: Int
    var body: [UInt8]
}

protocol WebClient: Sendable {
    /// Throws `WebFailure` when there is no reply.
    func send(_ request: WebRequest) async throws -> WebReply
}
struct WebFailure: Error { var reason: String }

extension Endpoint {
    /// The reply as JSON (`null` for an empty body). A status of 400 and above is a `Failure` with the daemon's own message.
    func call(
        _ method: WebRequest.Method = .get, _ segments: [String], query: [(String, String)] = [], headers: [(String, String)] = [], body: String = ""
    ) async throws -> JSON {
        let request = WebRequest(method: method, url: try url(segments, query: query), headers: headers, body: body)
        let reply: WebReply
        do { reply = try await Context.current.web.send(request) } catch let failure as WebFailure {
            throw Failure.unreachable("cannot reach \(name) at \(base): \(failure.reason); is it running? \(option) names another address")
        }
        let json = JSON(parsing: reply.body)
        guard (200..<300).contains(reply.status) else { throw Failure.refused(refusal(reply.status, json, reply.body)) }
        if reply.body.allSatisfy({ $0 == 0x20 || $0 == 0x0A || $0 == 0x0D }) { return .null }
        guard let json else { throw Failure.refused("\(name) at \(base) did not answer in JSON; is \(option) the right address?") }
        return json
    }

    /// `source:line:column: field: message`, as far as the reply has them.
    private func refusal(_ status: Int, _ json: JSON?, _ body: [UInt8]) -> String {
        let error = json?["error"]
        guard let message = error?["message"]?.text ?? error?.text ?? json?["message"]?.text else {
            let text = String(decoding: body.prefix(200), as: UTF8.self)
            return "\(name) at \(base) answered \(status)\(text.isEmpty ? "" : ": \(text)")"
        }
        var place: [String] = []
        if let source = error?["source"]?.text {
            place.append(source)
            if let line = error?["line"]?.text {
                place.append(line)
                if let column = error?["column"]?.text { place.append(column) }
            }
        }
        var text = place.isEmpty ? "" : place.joined(separator: ":") + ": "
        if let document = error?["document"]?.text { text += "document \(document): " }
        if let field = error?["field"]?.text, !field.isEmpty, !message.contains(field) { text += "\(field): " }
        return text + message
    }
}
