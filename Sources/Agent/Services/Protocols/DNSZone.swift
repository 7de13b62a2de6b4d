import NetTypes
import Overlay

/// The names of one virtual network: `<port>.<network>.<domain>`, `gateway.<network>.<domain>`, and the same backwards for the addresses of its subnets. A
/// port is also known by its name alone.
///
/// A name of a port has the port's addresses. What belongs to the zone and does not exist is denied (NXDOMAIN, with an SOA record, RFC 2308); everything else is
/// somebody else's to answer.
///
/// Thread-safety: a value.
struct DNSZone: Hashable, Sendable {
    let apex: DNSName
    private let subnets: [VirtualNetwork.Subnet]
    private var names: [DNSName: [IPAddress]] = [:]
    private var owners: [IPAddress: DNSName] = [:]

    /// Seconds: a port that moves or goes is soon known to have.
    static let ttl: UInt32 = 30
    static let gatewayName = "gateway"

    init(network: VirtualNetwork, ports: [(name: String, addresses: [IPAddress])]) {
        apex = DNSName(ServicePort.zone(of: network)) ?? .root
        subnets = network.subnets
        if let gateway = apex.child(Self.gatewayName) {
            names[gateway] = subnets.map(\.gateway)
            for subnet in subnets { owners[subnet.gateway] = gateway }
        }
        for port in ports.sorted(by: { $0.name < $1.name }) {
            guard let name = apex.child(ServicePort.label(port.name)) else { continue }
            for address in port.addresses {
                if names[name]?.contains(address) != true { names[name, default: []].append(address) }
                if owners[address] == nil { owners[address] = name }
            }
        }
    }

    enum Answer: Hashable, Sendable {
        case records([DNSMessage.Answer])
        /// The name is there, without records of the type.
        case empty
        case noName
    }

    /// Nil: the question is not this zone's.
    func answer(_ question: DNSMessage.Question) -> Answer? {
        let name = question.name.lowercased
        if let address = name.reverseAddress { return reverse(address, question) }
        var full = name
        if name.labels.count == 1 {
            guard let own = apex.child(name.labels[0]), names[own] != nil else { return nil }
            full = own
        }
        guard full.hasSuffix(apex) else { return nil }
        if full == apex { return apex(question) }
        guard let addresses = names[full] else { return .noName }
        let records = addresses.compactMap { address -> DNSMessage.Answer? in
            let kind = address.isIPv4 ? DNSMessage.Kind.a : DNSMessage.Kind.aaaa
            guard question.kind == kind || question.kind == DNSMessage.Kind.any else { return nil }
            return .init(name: question.name, kind: kind, ttl: Self.ttl, data: address.bytes)
        }
        return records.isEmpty ? .empty : .records(records)
    }

    private func reverse(_ address: IPAddress, _ question: DNSMessage.Question) -> Answer? {
        guard subnets.contains(where: { $0.prefix.contains(address) }) else { return nil }
        guard let owner = owners[address] else { return .noName }
        guard question.kind == DNSMessage.Kind.ptr || question.kind == DNSMessage.Kind.any else { return .empty }
        return .records([.init(name: question.name, kind: DNSMessage.Kind.ptr, ttl: Self.ttl, data: owner.wire)])
    }

    private func apex(_ question: DNSMessage.Question) -> Answer {
        switch question.kind {
        case DNSMessage.Kind.soa, DNSMessage.Kind.any: .records([soa])
        case DNSMessage.Kind.ns:
            .records([.init(name: question.name, kind: DNSMessage.Kind.ns, ttl: Self.ttl, data: server.wire)])
        default: .empty
        }
    }

    private var server: DNSName { apex.child(Self.gatewayName) ?? apex }

    /// Who is responsible, and for how long a denial holds (the last number).
    var soa: DNSMessage.Answer {
        var data = server.wire + (apex.child("hostmaster") ?? apex).wire
        for number: UInt32 in [1, 3600, 600, 86_400, Self.ttl] { data.append(word32: number) }
        return .init(name: apex, kind: DNSMessage.Kind.soa, ttl: Self.ttl, data: data)
    }
}

extension DNSName {
    /// The address that a name in in-addr.arpa (RFC 1035 section 3.5) or ip6.arpa (RFC 3596 section 2.5) stands for, when it is whole; in small letters.
    var reverseAddress: IPAddress? {
        let texts = labels.suffix(2).map { String(decoding: $0, as: UTF8.self) }
        guard texts.count == 2, texts[1] == "arpa" else { return nil }
        if texts[0] == "in-addr", labels.count == 6 {
            // Written in one way only: "01" and "+1" are other names.
            let octets = labels.prefix(4).reversed().compactMap { label in
                UInt8(String(decoding: label, as: UTF8.self)).flatMap { Array(String($0).utf8) == label ? $0 : nil }
            }
            return octets.count == 4 ? IPAddress(bytes: octets) : nil
        }
        guard texts[0] == "ip6", labels.count == 34 else { return nil }
        let digits = labels.prefix(32).reversed().compactMap { label in label.count == 1 ? Character(UnicodeScalar(label[0])).hexDigitValue : nil }
        guard digits.count == 32 else { return nil }
        return IPAddress(bytes: stride(from: 0, to: 32, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) })
    }
}
