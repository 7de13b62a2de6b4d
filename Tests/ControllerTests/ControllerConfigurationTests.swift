import Controller
import Overlay
import StrictYAML
import Testing

@Suite struct ControllerConfigurationTests {
    @Test func readsAll() throws {
        let text = """
            xmpp: {listen: "10.0.0.1:5270", domain: example.net, transport: plaintext, plaintextScope: any, credentials: {node1: secret, node2: 1234}}
            http: {listen: "[::1]:9000"}
            store: /tmp/c.sqlite
            log: debug
            routes: {restartSeconds: 30, deferralSeconds: 0}
            """
        let configuration = try ControllerConfiguration(text: text, source: "c.yaml")
        #expect(configuration.xmppListen == .init(host: "10.0.0.1", port: 5270))
        #expect(configuration.httpListen == .init(host: "::1", port: 9000) && configuration.httpListen.isLoopback)
        #expect(configuration.credentials == ["node1": "secret", "node2": "1234"])
        #expect(configuration.domain == "example.net" && configuration.store == "/tmp/c.sqlite" && configuration.log == .debug)
        #expect(configuration.timing.restart == .seconds(30) && configuration.timing.deferral == .zero)
    }

    @Test func defaultsAreLoopback() throws {
        let configuration = try ControllerConfiguration(text: "xmpp: {transport: plaintext, credentials: {n: x}}", source: "c")
        #expect(configuration.xmppListen.description == "127.0.0.1:5269" && configuration.httpListen.description == "127.0.0.1:8082")
    }

    static let bad: [(String, Int?, String?, String)] = [
        ("xmpp: {credentials: {n: x}}", 1, "xmpp.transport", "is missing"),
        ("xmpp: {transport: tls, credentials: {n: x}}", 1, "xmpp.transport", "TLS is not available"),
        ("xmpp:\n  transport: plaintext\n  listen: 10.0.0.1:5269\n  credentials: {n: x}", 3, "xmpp.listen", "plaintextScope: any"),
        ("xmpp: {transport: plaintext}", 1, "xmpp.credentials", "is missing"),
        ("xmpp: {transport: plaintext, credentials: {}}", 1, "xmpp.credentials", "no agent could log in"),
        ("xmpp: {transport: plaintext, credentials: {Node1: x}}", 1, "xmpp.credentials.Node1", "not the name of a compute node"),
        ("xmpp: {transport: plaintext, credentials: {controller: x}}", 1, "xmpp.credentials.controller", "the controller's own"),
        ("xmpp: {transport: plaintext, credentials: {n: pässword}}", 1, "xmpp.credentials.n", "printable ASCII"),
        ("xmpp: {transport: plaintext, credentials: {n: x}, listen: \"127.0.0.1:99999\"}", 1, "xmpp.listen", "expected ADDRESS:PORT"),
        ("xmpp: {transport: plaintext, credentials: {n: x}}\nhttp: {listn: x}", 2, "http.listn", "did you mean 'listen'?"),
        ("xmpp: {transport: plaintext, credentials: {n: x}}\nlog: verbose", 2, "log", "'verbose' is not one of"),
        ("xmpp: {transport: plaintext, credentials: {n: x}}\n---\nlog: info", 3, nil, "one document"),
        ("", 1, nil, "empty"),
    ]
    @Test(arguments: bad.indices) func namesTheLine(_ index: Int) throws {
        let (text, line, field, message) = Self.bad[index]
        let error = try #require(throws: ConfigError.self) { try ControllerConfiguration(text: text, source: "c.yaml") }
        #expect(error.line == line && error.field == field && error.message.contains(message), "\(error)")
    }
}
