import NetTypes

/// A DHCP message (RFC 2131 section 2), options decoded to code and octets.
///
/// ```
///   0  op   htype   hlen   hops      4  xid      8  secs   flags      12  ciaddr   yiaddr   siaddr   giaddr
///  28  chaddr (16)      44  sname (64)      108  file (128)      236  magic cookie      240  options
/// ```
///
/// Reading follows RFC 3396 (an option that comes several times is one) and option overload (RFC 2132 section 9.3).
struct DHCPv4Message: Hashable, Sendable {
    enum Kind: UInt8, Sendable { case discover = 1, offer, request, decline, ack, nak, release, inform }
    /// Option codes of RFC 2132 and others, as far as they are used here.
    enum Code {
        static let subnetMask: UInt8 = 1, router: UInt8 = 3, dnsServers: UInt8 = 6, hostName: UInt8 = 12, domain: UInt8 = 15, mtu: UInt8 = 26
        static let broadcast: UInt8 = 28, ntpServers: UInt8 = 42, requestedAddress: UInt8 = 50, leaseTime: UInt8 = 51, overload: UInt8 = 52
        static let kind: UInt8 = 53, serverIdentifier: UInt8 = 54, parameters: UInt8 = 55, message: UInt8 = 56, maximumSize: UInt8 = 57
        static let renewalTime: UInt8 = 58, rebindingTime: UInt8 = 59, clientIdentifier: UInt8 = 61
        /// RFC 4039, RFC 3397, RFC 3442, and what clients used before it.
        static let rapidCommit: UInt8 = 80, domainSearch: UInt8 = 119, routes: UInt8 = 121, microsoftRoutes: UInt8 = 249
    }
    struct Option: Hashable, Sendable {
        var code: UInt8
        var octets: [UInt8]
    }

    var isReply = false
    var transaction: UInt32 = 0
    var seconds: UInt16 = 0
    var isBroadcast = false
    var clientAddress = IPv4Address.any
    var yourAddress = IPv4Address.any
    var relay = IPv4Address.any
    var hardware: MACAddress
    var options: [Option] = []

    static let cookie: UInt32 = 0x6382_5363
    static let fixedSize = 240

    init(hardware: MACAddress) { self.hardware = hardware }

    subscript(_ code: UInt8) -> [UInt8]? { options.first { $0.code == code }?.octets }
    var kind: Kind? { self[Code.kind].flatMap { $0.count == 1 ? Kind(rawValue: $0[0]) : nil } }
    func address(_ code: UInt8) -> IPv4Address? { self[code].flatMap { IPv4Address(bytes: $0) } }

    /// Nil when it is not DHCP over Ethernet, or not whole.
    init?(_ octets: [UInt8]) {
        var reader = WireReader(octets)
        guard let op = reader.octet(), op == 1 || op == 2, reader.octet() == 1, reader.octet() == 6, reader.skip(1),
            let transaction = reader.word32(),
            let seconds = reader.word16(), let flags = reader.word16(), let client = reader.word32(), let your = reader.word32(), reader.skip(4),
            let relay = reader.word32(), let hardware = reader.take(16).flatMap({ MACAddress(bytes: $0.prefix(6)) }), reader.skip(64 + 128),
            reader.word32() == Self.cookie
        else { return nil }
        isReply = op == 2
        self.transaction = transaction
        self.seconds = seconds
        isBroadcast = flags & 0x8000 != 0
        clientAddress = IPv4Address(rawValue: client)
        yourAddress = IPv4Address(rawValue: your)
        self.relay = IPv4Address(rawValue: relay)
        self.hardware = hardware
        guard readOptions(octets, Self.fixedSize..<octets.count) else { return nil }
        // The two fields hold more options, file before sname.
        let overload = self[Code.overload]?.first ?? 0
        if overload & 1 != 0, !readOptions(octets, 108..<236) { return nil }
        if overload & 2 != 0, !readOptions(octets, 44..<108) { return nil }
    }

    private mutating func readOptions(_ octets: [UInt8], _ range: Range<Int>) -> Bool {
        var reader = WireReader(octets, range)
        while let code = reader.octet() {
            if code == 0 { continue }
            if code == 255 { return true }
            guard let length = reader.octet(), let value = reader.take(Int(length)) else { return false }
            if let index = options.firstIndex(where: { $0.code == code }) {
                options[index].octets += value
            } else {
                options.append(Option(code: code, octets: Array(value)))
            }
        }
        return true
    }

    /// The message in at most `limit` octets (at least 300, which is what BOOTP clients take): an option that finds no room, and those after it that do not
    /// either, are left out. Longer values than 255 octets are split (RFC 3396).
    func octets(limit: Int) -> [UInt8] {
        var out: [UInt8] = [isReply ? 2 : 1, 1, 6, 0]
        out.append(word32: transaction)
        out.append(word16: seconds)
        out.append(word16: isBroadcast ? 0x8000 : 0)
        for address in [clientAddress, yourAddress, .any, relay] { out += address.bytes }
        out += hardware.bytes + Array(repeating: 0, count: 10 + 64 + 128)
        out.append(word32: Self.cookie)
        for option in options {
            let pieces = max(1, (option.octets.count + 254) / 255)
            guard out.count + option.octets.count + 2 * pieces + 1 <= limit else { continue }
            for piece in 0..<pieces {
                let part = option.octets.dropFirst(piece * 255).prefix(255)
                out += [option.code, UInt8(part.count)]
                out += part
            }
        }
        out.append(255)
        if out.count < 300 { out += Array(repeating: 0, count: 300 - out.count) }
        return out
    }
}
