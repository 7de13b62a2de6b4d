/// Why a command did not do what was asked. The message is one line: what, where, what to do.
struct Failure: Error, Hashable {
    /// The raw value is the exit code.
    enum Kind: Int32 { case refused = 1, usage = 2, unreachable = 3 }
    var kind: Kind
    var message: String

    init(_ kind: Kind, _ message: String) {
        self.kind = kind
        self.message = printable(message.split(whereSeparator: \.isNewline).joined(separator: " "))
    }
    static func refused(_ message: String) -> Failure { Failure(.refused, message) }
    static func usage(_ message: String) -> Failure { Failure(.usage, message) }
    static func unreachable(_ message: String) -> Failure { Failure(.unreachable, message) }
}
