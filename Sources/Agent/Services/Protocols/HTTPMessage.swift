/// An HTTP/1.1 request as a workload writes it (RFC 9112), as far as a proxy of small requests needs it: the whole of it, its body by Content-Length.
struct HTTPRequest: Hashable, Sendable {
    var method: String
    /// As in the request line: a path, with its query.
    var target: String
    var headers: [(name: String, value: String)]
    var body: [UInt8]

    static func == (a: Self, b: Self) -> Bool {
        a.method == b.method && a.target == b.target && a.body == b.body && a.headers.map(\.name) == b.headers.map(\.name)
            && a.headers.map(\.value) == b.headers.map(\.value)
    }
    func hash(into hasher: inout Hasher) {
        hasher.combine(method)
        hasher.combine(target)
    }

    enum Reading: Hashable, Sendable {
        case more
        /// And how many octets it took.
        case whole(HTTPRequest, Int)
        /// The status to answer with.
        case malformed(Int)
    }

    /// Octets of a request, header and body, at most.
    static let limit = 8000

    static func read(_ octets: [UInt8]) -> Reading {
        guard let end = headerEnd(octets) else { return octets.count >= limit ? .malformed(431) : .more }
        var lines = octets[..<end].split(separator: 10, omittingEmptySubsequences: false).map { $0.last == 13 ? $0.dropLast() : $0 }[...]
        guard let first = lines.popFirst() else { return .malformed(400) }
        let words = first.split(separator: 32, omittingEmptySubsequences: false).map { String(decoding: $0, as: UTF8.self) }
        guard words.count == 3, words[2] == "HTTP/1.1" || words[2] == "HTTP/1.0", !words[0].isEmpty, words[0].utf8.allSatisfy(isToken),
            words[1].utf8.first == 0x2F, words[1].utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
        else { return .malformed(400) }
        var request = HTTPRequest(method: words[0], target: words[1], headers: [], body: [])
        for line in lines where !line.isEmpty {
            guard let colon = line.firstIndex(of: 0x3A), colon > line.startIndex, line[..<colon].allSatisfy(isToken) else { return .malformed(400) }
            let value = String(decoding: trimmed(line[(colon + 1)...]), as: UTF8.self)
            guard value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 9 }) else { return .malformed(400) }
            request.headers.append((String(decoding: line[..<colon], as: UTF8.self), value))
        }
        // Whose length is said in another way may hide another request (RFC 9112 section 11.2).
        if request.header("Transfer-Encoding") != nil { return .malformed(411) }
        let lengths = request.headers.filter { $0.name.lowercased() == "content-length" }.map(\.value)
        guard Set(lengths).count <= 1, case let digits = lengths.first ?? "0", !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) })
        else { return .malformed(400) }
        // Any number of digits may come: what is no number is too large.
        guard end <= limit, let length = Int(digits), length <= limit - end else { return .malformed(413) }
        guard octets.count >= end + length else { return .more }
        request.body = Array(octets[end..<end + length])
        return .whole(request, end + length)
    }

    func header(_ name: String) -> String? { headers.first { $0.name.lowercased() == name.lowercased() }?.value }

    /// Behind the empty line.
    private static func headerEnd(_ octets: [UInt8]) -> Int? {
        for at in octets.indices where octets[at] == 10 {
            if at + 1 < octets.count, octets[at + 1] == 10 { return at + 2 }
            if at + 2 < octets.count, octets[at + 1] == 13, octets[at + 2] == 10 { return at + 3 }
        }
        return nil
    }

    /// Without spaces and tabs around. As octets: a letter's mark behind a space would make it another character.
    private static func trimmed(_ octets: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        let begin = octets.drop { $0 == 0x20 || $0 == 9 }
        return begin.dropLast(begin.reversed().prefix { $0 == 0x20 || $0 == 9 }.count)
    }

    /// RFC 9110 section 5.6.2.
    private static func isToken(_ octet: UInt8) -> Bool {
        switch octet {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        default: "!#$%&'*+-.^_`|~".utf8.contains(octet)
        }
    }
}

/// An answer, always the last of its connection.
enum HTTPReply {
    static func octets(_ status: Int, _ reason: String, headers: [(name: String, value: String)] = [], body: [UInt8]) -> [UInt8] {
        var text = "HTTP/1.1 \(status) \(reason)\r\n"
        for header in headers { text += "\(header.name): \(header.value)\r\n" }
        text += "Content-Length: \(body.count)\r\nConnection: close\r\n\r\n"
        return Array(text.utf8) + body
    }

    static func failure(_ status: Int) -> [UInt8] {
        let reason =
            switch status {
            case 400: "Bad Request"
            case 411: "Length Required"
            case 413: "Content Too Large"
            case 431: "Request Header Fields Too Large"
            case 504: "Gateway Timeout"
            default: "Bad Gateway"
            }
        return octets(status, reason, headers: [("Content-Type", "text/plain")], body: Array("\(status) \(reason)\n".utf8))
    }
}
