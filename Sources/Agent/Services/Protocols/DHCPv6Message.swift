import NetTypes

/// A DHCPv6 message between client and server (RFC 8415 section 8): a type, a transaction id, options as they come.
///
/// ```
///  0  msg-type   transaction-id (3)    4  options: code (2)   length (2)   data
/// ```
struct DHCPv6Message: Hashable, Sendable {
    enum Kind: UInt8, Sendable {
        case solicit = 1, advertise, request, confirm, renew, rebind, reply, release, decline, reconfigure, informationRequest
    }
    enum Code {
        static let clientIdentifier: UInt16 = 1, serverIdentifier: UInt16 = 2, addresses: UInt16 = 3, temporary: UInt16 = 4, address: UInt16 = 5
        static let requested: UInt16 = 6, preference: UInt16 = 7, status: UInt16 = 13, rapidCommit: UInt16 = 14, dnsServers: UInt16 = 23
        static let domainSearch: UInt16 = 24, prefixes: UInt16 = 25, refreshTime: UInt16 = 32, ntpServers: UInt16 = 56
    }
    enum Status: UInt16, Sendable { case success = 0, unspecified, noAddresses, noBinding, notOnLink, useMulticast, noPrefix }
    struct Option: Hashable, Sendable {
        var code: UInt16
        var octets: [UInt8]

        init(_ code: UInt16, _ octets: [UInt8]) {
            self.code = code
            self.octets = octets
        }
        init(_ code: UInt16, words: [UInt32]) {
            self.code = code
            octets = []
            for word in words { octets.append(word32: word) }
        }
        static func status(_ status: Status, _ text: String) -> Option { Option(Code.status, [0, UInt8(status.rawValue)] + Array(text.utf8)) }

        var wire: [UInt8] {
            var out: [UInt8] = []
            out.append(word16: code)
            out.append(word16: UInt16(truncatingIfNeeded: octets.count))
            return out + octets
        }
    }

    var kind: Kind
    /// Three octets.
    var transaction: [UInt8]
    var options: [Option] = []

    init(_ kind: Kind, transaction: [UInt8]) {
        self.kind = kind
        self.transaction = transaction
    }

    /// Nil when it is no such message (a relay's has another form) or an option is longer than what is left.
    init?(_ octets: [UInt8]) {
        var reader = WireReader(octets)
        guard let kind = reader.octet().flatMap(Kind.init), let transaction = reader.take(3), let options = Self.options(&reader) else { return nil }
        self.init(kind, transaction: Array(transaction))
        self.options = options
    }

    static func options(_ reader: inout WireReader) -> [Option]? {
        var options: [Option] = []
        while reader.remaining > 0 {
            guard let code = reader.word16(), let length = reader.word16(), let data = reader.take(Int(length)) else { return nil }
            options.append(Option(code, Array(data)))
        }
        return options
    }

    subscript(_ code: UInt16) -> [UInt8]? { options.first { $0.code == code }?.octets }

    /// The codes the client asks for (option request option).
    var requested: Set<UInt16> {
        var reader = WireReader(self[Code.requested] ?? [])
        var codes: Set<UInt16> = []
        while let code = reader.word16() { codes.insert(code) }
        return codes
    }

    var octets: [UInt8] { [kind.rawValue] + transaction + options.flatMap(\.wire) }

    /// An identity association (IA_NA): section 21.4.
    struct Association: Hashable, Sendable {
        var id: UInt32
        /// What the client has, or would like.
        var addresses: [IPv6Address] = []

        init?(_ octets: [UInt8]) {
            var reader = WireReader(octets)
            guard let id = reader.word32(), reader.skip(8), let options = DHCPv6Message.options(&reader) else { return nil }
            self.id = id
            for option in options where option.code == Code.address && option.octets.count >= 24 {
                if let address = IPv6Address(bytes: option.octets.prefix(16)) { addresses.append(address) }
            }
        }
    }
}
