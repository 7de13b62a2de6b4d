import Crypto
import CryptoExtras

/// SCRAM-SHA-256 (RFC 5802, RFC 7677): both sides show that they know the password and neither says it.
///
/// `SCRAMClient` and `SCRAMServer` are pure: messages in, messages out, no randomness but the nonce, which tests may set. There is no
/// channel binding: the client says that it supports none (`n`), and a client that asks for it is refused.
public enum SCRAM {
    public static let mechanism = "SCRAM-SHA-256"
    /// RFC 7677 section 4: a client refuses less.
    public static let minimumIterations = 4096
    /// A client refuses more: a hostile server could otherwise keep it busy for hours.
    public static let maximumIterations = 1_000_000
    public static let defaultIterations = 10_000

    static func hmac(_ key: [UInt8], _ message: [UInt8]) -> [UInt8] {
        Array(HMAC<SHA256>.authenticationCode(for: message, using: SymmetricKey(data: key)))
    }

    static func hash(_ bytes: [UInt8]) -> [UInt8] { Array(SHA256.hash(data: bytes)) }

    /// `Hi` of RFC 5802 section 2.2; nil when the library refuses the numbers.
    static func saltedPassword(_ password: [UInt8], salt: [UInt8], iterations: Int) -> [UInt8]? {
        let key = try? KDF.Insecure.PBKDF2.deriveKey(
            from: password, salt: salt, using: .sha256, outputByteCount: SHA256.byteCount, unsafeUncheckedRounds: iterations)
        return key?.withUnsafeBytes { Array($0) }
    }

    static func xor(_ a: [UInt8], _ b: [UInt8]) -> [UInt8] { zip(a, b).map { $0 ^ $1 } }

    /// Equality that takes as long for any two arrays of the same size.
    static func isEqual(_ a: [UInt8], _ b: [UInt8]) -> Bool {
        guard a.count == b.count else { return false }
        return zip(a, b).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
    }

    /// 192 random bits in base 64: printable and without a comma, as RFC 5802 section 5.1 asks.
    static func randomNonce() -> String { Base64.encode(randomBytes(24)) }

    static func randomBytes(_ count: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    }

    /// The part of SASLprep (RFC 4013) that is done: control characters are prohibited, and so is what is not ASCII, for it would have to
    /// be normalized first. nil when refused.
    static func prepared(_ text: String) -> [UInt8]? {
        let bytes = Array(text.utf8)
        return !bytes.isEmpty && bytes.allSatisfy { (0x20...0x7E).contains($0) } ? bytes : nil
    }
}

/// Why a SCRAM exchange failed; the text is for a log.
public enum SCRAMError: Error, Hashable, Sendable, CustomStringConvertible {
    /// A message that is not one of RFC 5802 section 7.
    case malformed(String)
    /// Something that is not done here: channel binding, an authorization identity, a mandatory extension, too few iterations.
    case unsupported(String)
    /// The other side does not know the password.
    case notAuthorized(String)

    public var description: String {
        switch self {
        case .malformed(let what), .unsupported(let what), .notAuthorized(let what): what
        }
    }
}

/// What a server keeps of a password (RFC 5802 section 3): enough to check a login, not enough to make one.
public struct SCRAMCredential: Hashable, Sendable {
    public var salt: [UInt8]
    public var iterations: Int
    public var storedKey: [UInt8]
    public var serverKey: [UInt8]

    public init(salt: [UInt8], iterations: Int, storedKey: [UInt8], serverKey: [UInt8]) {
        self.salt = salt
        self.iterations = iterations
        self.storedKey = storedKey
        self.serverKey = serverKey
    }

    /// Derives the keys, which takes milliseconds: do it once for each account. Throws when the password is empty or has characters
    /// other than printable ASCII.
    public init(password: String, salt: [UInt8]? = nil, iterations: Int = SCRAM.defaultIterations) throws(SCRAMError) {
        guard let prepared = SCRAM.prepared(password) else { throw .unsupported("a password is printable ASCII, at least one character") }
        let salt = salt ?? SCRAM.randomBytes(16)
        guard let salted = SCRAM.saltedPassword(prepared, salt: salt, iterations: iterations) else {
            throw .unsupported("cannot derive a key with \(iterations) iterations")
        }
        self.init(
            salt: salt, iterations: iterations, storedKey: SCRAM.hash(SCRAM.hmac(salted, Array("Client Key".utf8))),
            serverKey: SCRAM.hmac(salted, Array("Server Key".utf8)))
    }
}
