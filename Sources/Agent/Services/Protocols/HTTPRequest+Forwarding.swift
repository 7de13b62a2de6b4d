extension HTTPRequest {
    /// Never passed on: for one connection only (RFC 9110 section 7.6.1), made anew, or the proxy's to say. In small letters.
    static let ownHeaders: Set<String> = [
        "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "content-length", "host",
        "x-forwarded-for", "x-instance-id", "x-tenant-id", "x-instance-id-signature", "expect",
    ]

    /// The workload's headers that are for the server: without the proxy's own and those that a Connection header names.
    var forwarded: [(name: String, value: String)] {
        var named: Set<String> = []
        for header in headers where header.name.lowercased() == "connection" {
            named.formUnion(header.value.lowercased().split(whereSeparator: { ", \t".contains($0) }).map(String.init))
        }
        return headers.filter { header in
            let name = header.name.lowercased()
            // Servers that make variables of names (CGI, WSGI) tell '_' not from '-'.
            return !Self.ownHeaders.contains(String(name.map { $0 == "_" ? "-" : $0 })) && !named.contains(name)
        }
    }
}
