import Testing
import XMPP

@Suite struct JIDTests {
    @Test(
        arguments: [
            ("example.com", nil, "example.com", nil), ("a@example.com", "a", "example.com", nil), ("A@Example.COM/Home", "a", "example.com", "Home"),
            ("a@b/c@d/e", "a", "b", "c@d/e"), ("b/c@d", nil, "b", "c@d"), ("node-1.x@vrouter.local./agent", "node-1.x", "vrouter.local", "agent"),
            ("juliet@example.com/foo bar", "juliet", "example.com", "foo bar"), ("a@[::1]/r", "a", "[::1]", "r"),
        ] as [(String, String?, String, String?)])
    func valid(text: String, local: String?, domain: String, resource: String?) throws {
        let jid = try #require(JID(text))
        #expect(jid.local == local)
        #expect(jid.domain == domain)
        #expect(jid.resource == resource)
        #expect(JID(jid.description) == jid)
    }

    /// RFC 7622 section 3.5, table 2, and sizes.
    @Test(arguments: [
        "", "@example.com", "a@", "a@example.com/", "\"juliet\"@example.com", "foo bar@example.com", "a'b@c", "a&b@c", "a:b@c", "<x>@c", "a@@b",
        "a@b c", "a@b..", "a@.b", "a@b..c/d", ".",
        "a@b/\u{7}", "a@b/\u{0}", "\u{200B}@b", String(repeating: "a", count: 1024) + "@b",
        "a@b/" + String(repeating: "r", count: 1024),
    ])
    func invalid(text: String) { #expect(JID(text) == nil) }

    @Test func parts() throws {
        let jid = try #require(JID("a@b/c"))
        #expect(jid.bare.description == "a@b")
        #expect(jid.bare.isBare)
        #expect(jid.with(resource: "d")?.description == "a@b/d")
        #expect(jid.with(resource: "") == nil)
    }
}
