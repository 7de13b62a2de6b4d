/// The client's side: `first`, then `respond(to:)` with the server's first message, then `verify` with its last.
public struct SCRAMClient: Sendable {
    private enum State {
        case started
        case responded(serverSignature: [UInt8])
        case done
    }
    private let password: [UInt8]
    private let nonce: String
    private let firstBare: String
    private var state = State.started

    /// GS2 header: no channel binding, no authorization identity.
    private static let header = "n,,"

    public init(username: String, password: String, nonce: String? = nil) throws(SCRAMError) {
        guard SCRAM.prepared(username) != nil, let password = SCRAM.prepared(password) else {
            throw .unsupported("name and password are printable ASCII, at least one character")
        }
        self.password = password
        self.nonce = nonce ?? SCRAM.randomNonce()
        firstBare = "n=\(SCRAMMessage.escape(username)),r=\(self.nonce)"
    }

    /// client-first-message
    public var first: String { Self.header + firstBare }

    /// server-first-message in, client-final-message out.
    public mutating func respond(to challenge: String) throws(SCRAMError) -> String {
        guard case .started = state else { throw .malformed("a second challenge") }
        let message = try SCRAMMessage(challenge)
        let combined = try message.value("r", at: 0)
        let saltText = try message.value("s", at: 1)
        let iterationText = try message.value("i", at: 2)
        guard combined.hasPrefix(nonce), combined.utf8.count > nonce.utf8.count, SCRAMMessage.isNonce(combined) else {
            throw .notAuthorized("the server's nonce does not continue ours")
        }
        guard let salt = Base64.decode(saltText), !salt.isEmpty else { throw .malformed("the salt is not base 64") }
        guard let iterations = Int(iterationText), iterations > 0 else { throw .malformed("the iteration count is not a number") }
        guard (SCRAM.minimumIterations...SCRAM.maximumIterations).contains(iterations) else {
            throw .unsupported("\(iterations) iterations are not between \(SCRAM.minimumIterations) and \(SCRAM.maximumIterations)")
        }
        guard let salted = SCRAM.saltedPassword(password, salt: salt, iterations: iterations) else { throw .unsupported("cannot derive a key") }
        let withoutProof = "c=\(Base64.encode(Array(Self.header.utf8))),r=\(combined)"
        let authMessage = Array("\(firstBare),\(challenge),\(withoutProof)".utf8)
        let clientKey = SCRAM.hmac(salted, Array("Client Key".utf8))
        let proof = SCRAM.xor(clientKey, SCRAM.hmac(SCRAM.hash(clientKey), authMessage))
        state = .responded(serverSignature: SCRAM.hmac(SCRAM.hmac(salted, Array("Server Key".utf8)), authMessage))
        return "\(withoutProof),p=\(Base64.encode(proof))"
    }

    /// server-final-message in: throws unless the server knows the password too.
    public mutating func verify(_ final: String) throws(SCRAMError) {
        guard case .responded(let expected) = state else { throw .notAuthorized("the server ended the exchange before it proved itself") }
        let message = try SCRAMMessage(final)
        if message.firstName == "e" { throw .notAuthorized("the server says \(try message.value("e", at: 0))") }
        guard let signature = Base64.decode(try message.value("v", at: 0)), SCRAM.isEqual(signature, expected) else {
            throw .notAuthorized("the server does not know the password")
        }
        state = .done
    }
}
