/// The server's side: `challenge(for:)` with the client's first message, then `verify` with its last.
///
/// An account that does not exist gets a challenge like any other and fails at the end, and its salt is the same each time: names cannot
/// be found out by asking.
public struct SCRAMServer: Sendable {
    private enum State {
        case started
        case challenged(username: String, credential: SCRAMCredential?, nonce: String, header: String, messages: String)
        case done
    }
    private let nonce: String
    private let decoySecret: [UInt8]
    private var state = State.started

    /// - Parameter decoySecret: makes the salt of accounts that do not exist; keep one for as long as the server runs.
    public init(decoySecret: [UInt8], nonce: String? = nil) {
        self.decoySecret = decoySecret
        self.nonce = nonce ?? SCRAM.randomNonce()
    }

    /// client-first-message in, server-first-message out.
    public mutating func challenge(for first: String, credentials: (String) -> SCRAMCredential?) throws(SCRAMError) -> String {
        guard case .started = state else { throw .malformed("a second client-first-message") }
        // gs2-header: cbind-flag "," [ authzid ] ","
        let parts = first.split(separator: ",", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3 else { throw .malformed("no GS2 header") }
        // "y": the client could bind channels and believes that we cannot, which is so.
        guard parts[0] == "n" || parts[0] == "y" else {
            throw parts[0].hasPrefix("p=") ? .unsupported("channel binding") : .malformed("the channel binding flag is none")
        }
        guard parts[1].isEmpty else { throw .unsupported("an authorization identity") }
        let message = try SCRAMMessage(parts[2])
        let username = try SCRAMMessage.unescape(try message.value("n", at: 0))
        let clientNonce = try message.value("r", at: 1)
        guard SCRAMMessage.isNonce(clientNonce) else { throw .malformed("the nonce is empty or not printable") }
        let credential = SCRAM.prepared(username) == nil ? nil : credentials(username)
        let salt = credential?.salt ?? Array(SCRAM.hmac(decoySecret, Array(username.utf8)).prefix(16))
        let combined = clientNonce + nonce
        let challenge = "r=\(combined),s=\(Base64.encode(salt)),i=\(credential?.iterations ?? SCRAM.defaultIterations)"
        state = .challenged(
            username: username, credential: credential, nonce: combined, header: "\(parts[0]),,", messages: "\(parts[2]),\(challenge)")
        return challenge
    }

    /// client-final-message in; the account and the server-final-message out. Throws unless the client knows the password.
    public mutating func verify(_ final: String) throws(SCRAMError) -> (username: String, final: String) {
        guard case .challenged(let username, let credential, let nonce, let header, let messages) = state else {
            throw .malformed("a client-final-message without a challenge")
        }
        state = .done
        guard let cut = final.range(of: ",p=") else { throw .malformed("no proof") }
        let withoutProof = final[..<cut.lowerBound]
        let message = try SCRAMMessage(withoutProof)
        guard Base64.decode(try message.value("c", at: 0)) == Array(header.utf8) else {
            throw .notAuthorized("the GS2 header was changed on the way")
        }
        guard try message.value("r", at: 1) == nonce else { throw .notAuthorized("the nonce is not the one of this exchange") }
        guard let proof = Base64.decode(final[cut.upperBound...]), proof.count == 32 else { throw .malformed("the proof is not 32 octets") }
        guard let credential else { throw .notAuthorized("no such account") }
        let authMessage = Array("\(messages),\(withoutProof)".utf8)
        let clientKey = SCRAM.xor(proof, SCRAM.hmac(credential.storedKey, authMessage))
        guard SCRAM.isEqual(SCRAM.hash(clientKey), credential.storedKey) else { throw .notAuthorized("the password is wrong") }
        return (username, "v=\(Base64.encode(SCRAM.hmac(credential.serverKey, authMessage)))")
    }
}

extension String {
    /// The last place of a short ASCII text (without Foundation).
    fileprivate func range(of text: String) -> Range<String.Index>? {
        let (bytes, pattern) = (Array(utf8), Array(text.utf8))
        guard bytes.count >= pattern.count else { return nil }
        for start in stride(from: bytes.count - pattern.count, through: 0, by: -1) where bytes[start..<start + pattern.count].elementsEqual(pattern) {
            let lower = utf8.index(utf8.startIndex, offsetBy: start)
            return lower..<utf8.index(lower, offsetBy: pattern.count)
        }
        return nil
    }
}
