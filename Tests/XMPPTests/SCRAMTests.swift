import Testing

@testable import XMPP

@Suite struct SCRAMTests {
    // RFC 7677 section 3
    static let clientNonce = "rOprNGfwEbeRWgbNEkqO"
    static let serverNonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    static let clientFirst = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    static let serverFirst = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    static let clientFinal = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    static let serverFinal = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

    static func credential() throws -> SCRAMCredential {
        try SCRAMCredential(password: "pencil", salt: Base64.decode("W22ZaJ0SNY7soEsUEjb6gQ=="), iterations: 4096)
    }

    @Test func clientSpeaksTheVectorOfRFC7677() throws {
        var client = try SCRAMClient(username: "user", password: "pencil", nonce: Self.clientNonce)
        #expect(client.first == Self.clientFirst)
        #expect(try client.respond(to: Self.serverFirst) == Self.clientFinal)
        try client.verify(Self.serverFinal)
    }

    @Test func serverSpeaksTheVectorOfRFC7677() throws {
        let credential = try Self.credential()
        var server = SCRAMServer(decoySecret: [1], nonce: Self.serverNonce)
        #expect(try server.challenge(for: Self.clientFirst) { $0 == "user" ? credential : nil } == Self.serverFirst)
        let (user, final) = try server.verify(Self.clientFinal)
        #expect(user == "user")
        #expect(final == Self.serverFinal)
    }

    @Test(arguments: [
        ("r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", "does not continue"),
        ("r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", "does not continue"),
        ("r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4095", "4095 iterations"),
        ("r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=2147483647", "iterations"),
        ("r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=99999999999999999999", "not a number"),
        ("r=rOprNGfwEbeRWgbNEkqOx,s=!,i=4096", "salt"), ("r=rOprNGfwEbeRWgbNEkqOx,s=,i=4096", "salt"),
        ("m=x,r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", "m="), ("", "letter=value"), ("s=x,r=y,i=1", "field 1"),
        ("r=rOprNGfwEbeRWgbNEkqOx", "field 2"),
    ])
    func clientRefusesTheChallenge(challenge: String, reason: String) throws {
        var client = try SCRAMClient(username: "user", password: "pencil", nonce: Self.clientNonce)
        let error = #expect(throws: SCRAMError.self) { try client.respond(to: challenge) }
        #expect(error?.description.contains(reason) == true, "\(String(describing: error))")
    }

    @Test func clientDoesNotTrustAServerThatDoesNotProveItself() throws {
        var early = try SCRAMClient(username: "user", password: "pencil", nonce: Self.clientNonce)
        #expect(throws: SCRAMError.self) { try early.verify(Self.serverFinal) }
        for final in ["v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=", "v=", "e=other-error", "x=1", ""] {
            var client = try SCRAMClient(username: "user", password: "pencil", nonce: Self.clientNonce)
            _ = try client.respond(to: Self.serverFirst)
            #expect(throws: SCRAMError.self, "\(final)") { try client.verify(final) }
        }
    }

    @Test(arguments: [
        "p=tls-exporter,,n=user,r=abc", "n,a=admin,n=user,r=abc", "n,,m=ext,n=user,r=abc", "x,,n=user,r=abc", "n=user,r=abc", "", "n,,n=us=er,r=abc",
        "n,,n=user,r=", "n,,n=user", "n,,r=abc,n=user",
    ])
    func serverRefusesTheFirstMessage(first: String) throws {
        let credential = try Self.credential()
        var server = SCRAMServer(decoySecret: [1])
        #expect(throws: SCRAMError.self) { try server.challenge(for: first) { _ in credential } }
    }

    @Test(arguments: [
        clientFinal.replacing("p=dH", with: "p=dI"), clientFinal.replacing("c=biws", with: "c=eSws"), clientFinal.replacing("r=rO", with: "r=rP"),
        clientFinal.replacing(",p=", with: ",q="), "c=biws,p=AAAA", "",
    ])
    func serverRefusesTheFinalMessage(final: String) throws {
        let credential = try Self.credential()
        var server = SCRAMServer(decoySecret: [1], nonce: Self.serverNonce)
        _ = try server.challenge(for: Self.clientFirst) { _ in credential }
        #expect(throws: SCRAMError.self) { try server.verify(final) }
    }

    @Test func anUnknownAccountLooksLikeAnyOther() throws {
        func challenge() throws -> String {
            var server = SCRAMServer(decoySecret: [7, 7], nonce: "N")
            return try server.challenge(for: "n,,n=nobody,r=abc") { _ in nil }
        }
        let first = try challenge()
        #expect(try challenge() == first)
        #expect(first.hasSuffix(",i=10000"))
        var server = SCRAMServer(decoySecret: [7, 7], nonce: "N")
        var client = try SCRAMClient(username: "nobody", password: "x", nonce: "abc")
        let final = try client.respond(to: try server.challenge(for: client.first) { _ in nil })
        #expect(throws: SCRAMError.notAuthorized("no such account")) { try server.verify(final) }
    }

    @Test func namesWithCommaAndEqualsAreEscaped() throws {
        var client = try SCRAMClient(username: "a,b=c", password: "p")
        #expect(client.first.hasPrefix("n,,n=a=2Cb=3Dc,r="))
        let credential = try SCRAMCredential(password: "p", iterations: 4096)
        var server = SCRAMServer(decoySecret: [])
        let challenge = try server.challenge(for: client.first) { $0 == "a,b=c" ? credential : nil }
        #expect(try server.verify(try client.respond(to: challenge)).username == "a,b=c")
    }

    @Test(arguments: ["", "tab\t", "é", "\u{7F}"])
    func passwordsThatWouldNeedPreparationAreRefused(password: String) {
        #expect(throws: SCRAMError.self) { try SCRAMCredential(password: password) }
        #expect(throws: SCRAMError.self) { try SCRAMClient(username: "u", password: password) }
    }

    /// RFC 4648 section 10, and what a strict reader refuses.
    @Test func base64() {
        for (plain, encoded) in [
            ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy"),
        ] {
            #expect(Base64.encode(Array(plain.utf8)) == encoded)
            #expect(Base64.decode(encoded) == Array(plain.utf8))
        }
        for bad in ["Z", "Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zg==Zg==", "Zm9 v", "Zm9v\n", "Zm-v", "Zg=a"] {
            #expect(Base64.decode(bad) == nil, "\(bad)")
        }
    }
}
