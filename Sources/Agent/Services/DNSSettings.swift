import Foundation
import NIOCore
import NetTypes
import StrictYAML

extension DNSService {
    struct Settings: Hashable, Sendable {
        /// Nil: those of /etc/resolv.conf, as it is when they are asked.
        var forwarders: [SocketAddress]?
        var timeout = Duration.seconds(2)
        var attempts = 2
        var cacheEntries = 10_000
    }

    init(_ settings: Settings) {
        self.init(cache: DNSCache(capacity: settings.cacheEntries), maximumTotal: Self.maximumTotal(openFiles: sysconf(Int32(_SC_OPEN_MAX))))
    }

    /// A question under way is a socket, and who can open no more of them serves nobody: half of what the process may open is left to the rest of it.
    static func maximumTotal(openFiles: Int) -> Int { openFiles < 0 ? 4096 : max(64, min(4096, openFiles / 2)) }
}

/// The section `dns` of agent.yaml.
extension DNSService.Settings {
    init(_ node: ConfigNode?) throws(ConfigError) {
        guard let section = try node?.mapping(keys: ["forwarders", "timeoutSeconds", "attempts", "cacheEntries"]) else { return }
        if let list = section["forwarders"] {
            var servers: [SocketAddress] = []
            for item in try list.list() {
                let server = try item.value(
                    "a name server's address, with a port if that is not 53: 192.0.2.53, 192.0.2.53:5353, [2001:db8::53]:5353", { Self.server($0) })
                if servers.contains(server) { throw item.error("\(try item.string()) is listed twice") }
                servers.append(server)
            }
            if servers.count > 8 { throw list.error("\(servers.count) name servers; at most 8") }
            forwarders = servers
        }
        timeout = .seconds(try section["timeoutSeconds"]?.integer(in: 1...60) ?? 2)
        attempts = try section["attempts"]?.integer(in: 1...10) ?? 2
        cacheEntries = try section["cacheEntries"]?.integer(in: 0...1_000_000) ?? 10_000
    }

    private static func server(_ text: String) -> SocketAddress? {
        func address(_ text: some StringProtocol, _ port: Int) -> SocketAddress? {
            guard IPAddress(String(text)) != nil else { return nil }
            return try? SocketAddress(ipAddress: String(text), port: port)
        }
        if let whole = address(text, 53) { return whole }
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]), (1...65535).contains(port) else { return nil }
        let host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { return address(host.dropFirst().dropLast(), port) }
        return host.contains(":") ? nil : address(host, port)
    }
}
