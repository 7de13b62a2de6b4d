import NetTypes
import Overlay
public import StrictYAML

/// `controller.yaml`, read strictly: a key nobody knows is an error with its line.
///
///     xmpp: {listen: 10.0.0.1:5269, domain: vrouter.local, transport: plaintext, plaintextScope: any, credentials: {node1: secret}}
///     http: {listen: 127.0.0.1:8082}
///     store: /var/lib/vrouter-controller/controller.sqlite
///     log: info
///     routes: {restartSeconds: 300, deferralSeconds: 60}
public struct ControllerConfiguration: Hashable, Sendable {
    public struct Listen: Hashable, Sendable, CustomStringConvertible {
        public var host: String
        /// 0 takes any free port.
        public var port: Int
        public init(host: String, port: Int) { self.host = host; self.port = port }
        public var isLoopback: Bool { host == "::1" || host == "localhost" || (host.hasPrefix("127.") && IPv4Address(host) != nil) }
        public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
    }
    public enum LogLevel: String, CaseIterable, Hashable, Sendable { case trace, debug, info, notice, warning, error, critical }
    private enum Transport: String, CaseIterable { case plaintext, tls }
    private enum PlaintextScope: String, CaseIterable { case loopback, any }

    public var xmppListen = Listen(host: "127.0.0.1", port: 5269)
    public var domain = "vrouter.local"
    /// Password by node name.
    public var credentials: [String: String] = [:]
    public var httpListen = Listen(host: "127.0.0.1", port: 8082)
    public var store = "/var/lib/vrouter-controller/controller.sqlite"
    public var log = LogLevel.info
    public var timing = ControlPlane.Timing()

    public init() {}

    public init(text: String, source: String) throws(ConfigError) {
        let root = try ConfigNode.document(text: text, source: source).mapping(keys: ["xmpp", "http", "store", "log", "routes"])
        try readXMPP(root.required("xmpp"))
        if let http = try root["http"]?.mapping(keys: ["listen"]), let listen = http["listen"] {
            httpListen = try Listen(listen, defaultPort: 8082)
        }
        if let store = root["store"] { self.store = try store.string() }
        if let log = root["log"] { self.log = try log.choice() }
        if let routes = try root["routes"]?.mapping(keys: ["restartSeconds", "deferralSeconds"]) {
            if let time = try routes["restartSeconds"]?.integer(in: 1...86_400) { timing.restart = .seconds(time) }
            if let time = try routes["deferralSeconds"]?.integer(in: 0...86_400) { timing.deferral = .seconds(time) }
        }
    }

    private mutating func readXMPP(_ node: ConfigNode) throws(ConfigError) {
        let xmpp = try node.mapping(keys: ["listen", "domain", "transport", "plaintextScope", "credentials"])
        if let listen = xmpp["listen"] { xmppListen = try Listen(listen, defaultPort: 5269) }
        if let at = xmpp["domain"] {
            domain = try at.string()
            if ControllerAddresses(domain: domain) == nil { throw at.error("'\(domain.prefix(64))' is not a domain") }
        }
        let transport = try xmpp.required("transport")
        if try transport.choice(Transport.self) == .tls {
            throw transport.error("TLS is not available in this version; the one transport is plaintext, for networks that are trusted")
        }
        let scope = try xmpp["plaintextScope"]?.choice(PlaintextScope.self) ?? .loopback
        if scope == .loopback, !xmppListen.isLoopback {
            throw (xmpp["listen"] ?? node).error(
                "plaintext on \(xmppListen) can be read and changed by anyone on the way; listen on loopback, or say plaintextScope: any where the network is trusted"
            )
        }
        let list = try xmpp.required("credentials")
        for entry in try list.entries() {
            if !ComputeNode.isName(entry.key) {
                throw list.error(
                    "'\(entry.key.prefix(64))' is not the name of a compute node: lower-case letters, digits, '-', '_' and '.'", at: entry)
            }
            if entry.key == ControllerAddresses.account { throw entry.value.error("this is the controller's own account") }
            let password = try entry.value.string()
            guard password.utf8.allSatisfy({ (0x20...0x7E).contains($0) }) else { throw entry.value.error("a password is printable ASCII") }
            credentials[entry.key] = password
        }
        if credentials.isEmpty { throw list.error("no agent could log in: give at least one 'node: password'") }
    }
}

extension ControllerConfiguration.Listen {
    /// `10.0.0.1:5269`, `[fd00::1]:5269`, `127.0.0.1`.
    init(_ node: ConfigNode, defaultPort: Int) throws(ConfigError) {
        let text = try node.string()
        func bad() -> ConfigError {
            node.error("expected ADDRESS:PORT such as 127.0.0.1:\(defaultPort) or [::1]:\(defaultPort), found '\(text.prefix(64))'")
        }
        var host = text[...], port = defaultPort
        if text.hasPrefix("[") {
            guard let end = text.firstIndex(of: "]"), IPv6Address(String(text[text.index(after: text.startIndex)..<end])) != nil else { throw bad() }
            let rest = text[text.index(after: end)...]
            if !rest.isEmpty {
                guard rest.first == ":", let value = Int(rest.dropFirst()), (0...65535).contains(value) else { throw bad() }
                port = value
            }
            host = text[text.index(after: text.startIndex)..<end]
        } else if IPv6Address(text) == nil, let colon = text.lastIndex(of: ":") {
            guard let value = Int(text[text.index(after: colon)...]), (0...65535).contains(value) else { throw bad() }
            (host, port) = (text[..<colon], value)
        }
        guard !host.isEmpty, IPAddress(String(host)) != nil || host == "localhost" else { throw bad() }
        self.init(host: String(host), port: port)
    }
}
