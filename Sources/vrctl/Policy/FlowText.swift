import NetTypes

/// A flow as people write it: `tcp 10.0.1.4:4321 > 10.0.2.5:443`, `udp [fd00::1]:53 > [fd00::2]:53`, `icmp 10.0.1.4 > 10.0.2.5 8/0`.
struct FlowText: Equatable {
    var proto: UInt8
    var source: IPAddress
    var destination: IPAddress
    var sourcePort: UInt16 = 0
    var destinationPort: UInt16 = 0
    /// Type and code; an echo request when they are not given.
    var icmp: (type: UInt8, code: UInt8)?

    static let form =
        "write it as 'tcp 10.0.1.4:4321 > 10.0.2.5:443', 'udp [fd00::1]:53 > [fd00::2]:53', 'icmp 10.0.1.4 > 10.0.2.5' or 'icmp 10.0.1.4 > 10.0.2.5 3/1'"

    static func == (a: FlowText, b: FlowText) -> Bool {
        a.proto == b.proto && a.source == b.source && a.destination == b.destination && a.sourcePort == b.sourcePort
            && a.destinationPort == b.destinationPort && a.icmp?.type == b.icmp?.type && a.icmp?.code == b.icmp?.code
    }

    init(_ text: String) throws(Failure) {
        func wrong(_ reason: String) -> Failure { .usage("flow '\(text)': \(reason); \(Self.form)") }
        let words = text.split(separator: " ").map(String.init)
        guard (4...5).contains(words.count), words[2] == ">" else { throw wrong("it has no protocol, source, > and destination") }
        guard let proto = ProtocolName.number(of: words[0].lowercased()) ?? UInt8(words[0]) else { throw wrong("'\(words[0])' is no protocol") }
        self.proto = proto
        let isICMP = proto == 1 || proto == 58, hasPorts = ProtocolName.withPorts.contains(proto)
        guard let from = Self.end(words[1], hasPort: hasPorts) else { throw wrong("'\(words[1])' is no source") }
        guard let to = Self.end(words[3], hasPort: hasPorts) else { throw wrong("'\(words[3])' is no destination") }
        guard from.address.isIPv4 == to.address.isIPv4 else { throw wrong("its ends are not of one family") }
        (source, sourcePort, destination, destinationPort) = (from.address, from.port, to.address, to.port)
        icmp = isICMP ? (proto == 1 ? 8 : 128, 0) : nil
        guard words.count == 5 else { return }
        let numbers = words[4].split(separator: "/").map { UInt8($0) }
        guard isICMP, numbers.count == 2, let type = numbers[0], let code = numbers[1] else { throw wrong("'\(words[4])' is no ICMP type/code") }
        icmp = (type, code)
    }

    private static func end(_ text: String, hasPort: Bool) -> (address: IPAddress, port: UInt16)? {
        guard hasPort else { return IPAddress(text).map { ($0, 0) } }
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else { return nil }
        var name = text[..<colon]
        if name.hasPrefix("["), name.hasSuffix("]") { name = name.dropFirst().dropLast() } else if name.contains(":") { return nil }
        return IPAddress(String(name)).map { ($0, port) }
    }
}
