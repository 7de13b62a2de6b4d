import NetTypes
import Overlay

/// The DHCPv6 server of one workload (RFC 8415): as with `DHCPv4Server`, the addresses are the port's, so that the answer follows from the request alone.
///
/// The first identity association gets the port's first IPv6 address, a second one the second, and so on; temporary addresses and prefixes there are none. An
/// address that the client has and the port has not is taken away (lifetimes of 0). What finds no room in one packet is left out, last things first. Every node has the same server identifier: a workload that has moved renews
/// with the node where it is.
enum DHCPv6Server {
    enum Outcome: Hashable, Sendable {
        case offered(IPv6Address)
        case acknowledged(IPv6Address)
        case informed
        /// It was told that something is not as it thinks.
        case refused(String)
        case released, declined
        case ignored(String)
    }

    /// DUID-LL (section 11.4) of the gateway's MAC address.
    static let identifier: [UInt8] = [0, 3, 0, 1] + MACAddress.gateway.bytes

    /// Octets of a client's identifier (section 11.1).
    static let maximumIdentifier = 130
    /// Octets of an answer: packets are not fragmented here.
    private static func limit(_ port: ServicePort) -> Int { max(port.mtu ?? 1280, 1280) - 48 }

    static func answer(_ request: ServicePacket, for port: ServicePort) -> (reply: ServicePacket?, outcome: Outcome) {
        guard case .udp(let source, 547, let payload) = request.content, case .v6(let client) = request.source, let message = DHCPv6Message(payload)
        else { return (nil, .ignored("not a DHCPv6 request")) }
        guard request.sourceMAC == port.mac else { return (nil, .ignored("it comes from \(request.sourceMAC), which is not the port's MAC address")) }
        guard client != .any, !port.ipv6.isEmpty else { return (nil, .ignored("the port has no IPv6 address")) }
        let (answer, outcome) = answer(message, port)
        guard let answer else { return (nil, outcome) }
        let packet = ServicePacket(
            destinationMAC: port.mac, sourceMAC: .gateway, source: .v6(MACAddress.gateway.linkLocal), destination: .v6(client),
            content: .udp(source: 547, destination: source, payload: answer.octets))
        return (packet, outcome)
    }

    private static func answer(_ message: DHCPv6Message, _ port: ServicePort) -> (DHCPv6Message?, Outcome) {
        typealias Code = DHCPv6Message.Code
        let client = message[Code.clientIdentifier], server = message[Code.serverIdentifier]
        // Section 11.1; it comes back in the answer.
        if let client, client.count > maximumIdentifier { return (nil, .ignored("its identifier has \(client.count) octets")) }
        // Section 16: what has to be there, and what must not.
        switch message.kind {
        case .solicit, .confirm, .rebind:
            guard client != nil, server == nil else { return (nil, .ignored("its identifiers are not those of a \(message.kind)")) }
        case .request, .renew, .release, .decline:
            guard client != nil, server == identifier else { return (nil, .ignored("it is for another server")) }
        case .informationRequest:
            guard server == nil || server == identifier else { return (nil, .ignored("it is for another server")) }
        case .advertise, .reply, .reconfigure: return (nil, .ignored("it is a server's message"))
        }
        let isRapid = message.kind == .solicit && message[Code.rapidCommit] != nil
        var reply = DHCPv6Message(message.kind == .solicit && !isRapid ? .advertise : .reply, transaction: message.transaction)
        reply.options = [.init(Code.serverIdentifier, identifier)]
        if let client { reply.options.append(.init(Code.clientIdentifier, client)) }
        if isRapid { reply.options.append(.init(Code.rapidCommit, [])) }
        switch message.kind {
        case .release, .decline:
            reply.options.append(.status(.success, "done"))
            return (reply, message.kind == .release ? .released : .declined)
        case .confirm:
            // Whether the addresses belong on this link, not whether they are the client's (section 18.3.3).
            let claimed = associations(message).flatMap(\.addresses)
            guard !claimed.isEmpty else { return (nil, .ignored("it names no address")) }
            let stranger = claimed.first { port.network.subnet(of: .v6($0)) == nil }
            reply.options.append(.status(stranger == nil ? .success : .notOnLink, stranger == nil ? "on the link" : "not on this link"))
            return (reply, stranger.map { .refused("\($0) is not on the link") } ?? .informed)
        case .informationRequest:
            reply.options += parameters(message, port)
            // When to ask again (section 21.23).
            if message.requested.contains(Code.refreshTime) {
                reply.options.append(.init(Code.refreshTime, words: [max(600, port.services.leaseSeconds)]))
            }
            return (reply, .informed)
        default: break
        }
        // Ours is the only server: the client need not wait for another.
        let preference: [DHCPv6Message.Option] = reply.kind == .advertise ? [.init(Code.preference, [255])] : []
        let ending = preference + parameters(message, port)
        var given: [IPv6Address] = []
        var foreign: IPv6Address?
        var room = limit(port) - reply.octets.count - ending.reduce(0) { $0 + $1.wire.count }
        func append(_ option: DHCPv6Message.Option) -> Bool {
            let size = option.wire.count
            guard size <= room else { return false }
            room -= size
            reply.options.append(option)
            return true
        }
        for option in message.options {
            switch option.code {
            case Code.addresses:
                guard let association = DHCPv6Message.Association(option.octets) else { return (nil, .ignored("an IA_NA is malformed")) }
                var (own, others) = (given, foreign)
                if append(lease(association, port, &own, &others)) { (given, foreign) = (own, others) }
            case Code.temporary where option.octets.count >= 4:
                _ = append(.init(Code.temporary, option.octets.prefix(4) + DHCPv6Message.Option.status(.noAddresses, "no temporary addresses").wire))
            case Code.prefixes where option.octets.count >= 12:
                _ = append(
                    .init(
                        Code.prefixes,
                        option.octets.prefix(4) + Array(repeating: 0, count: 8) + DHCPv6Message.Option.status(.noPrefix, "no prefixes").wire))
            default: break
            }
        }
        reply.options += ending
        guard let address = given.first else { return (reply, foreign.map { .refused("\($0) is not the port's address") } ?? .informed) }
        return (reply, reply.kind == .advertise ? .offered(address) : .acknowledged(address))
    }

    private static func associations(_ message: DHCPv6Message) -> [DHCPv6Message.Association] {
        message.options.filter { $0.code == DHCPv6Message.Code.addresses }.compactMap { DHCPv6Message.Association($0.octets) }
    }

    private static func lease(
        _ association: DHCPv6Message.Association, _ port: ServicePort, _ given: inout [IPv6Address], _ foreign: inout IPv6Address?
    ) -> DHCPv6Message.Option {
        typealias Code = DHCPv6Message.Code
        let lifetime = port.services.leaseSeconds
        func option(_ address: IPv6Address, _ preferred: UInt32, _ valid: UInt32) -> [UInt8] {
            var data = address.bytes
            data.append(word32: preferred)
            data.append(word32: valid)
            return DHCPv6Message.Option(Code.address, data).wire
        }
        var body: [UInt8] = []
        let own = port.ipv6.map(\.address)
        if let address = own.first(where: { !given.contains($0) }) {
            given.append(address)
            body = option(address, lifetime == .max ? .max : UInt32(UInt64(lifetime) * 5 / 8), lifetime)
        } else {
            body = DHCPv6Message.Option.status(.noAddresses, "the port has no more addresses").wire
        }
        for address in association.addresses where !own.contains(address) {
            foreign = address
            body += option(address, 0, 0)
        }
        // T1 and T2: half and four fifths of the preferred lifetime (section 21.4).
        let preferred = UInt64(lifetime) * 5 / 8
        let times: [UInt32] = lifetime == .max ? [.max, .max] : [UInt32(preferred / 2), UInt32(preferred * 4 / 5)]
        return .init(Code.addresses, DHCPv6Message.Option(0, words: [association.id] + times).octets + body)
    }

    /// What the client asks for: DNS (RFC 3646) and NTP (RFC 5908).
    private static func parameters(_ message: DHCPv6Message, _ port: ServicePort) -> [DHCPv6Message.Option] {
        typealias Code = DHCPv6Message.Code
        let requested = message.requested
        var out: [DHCPv6Message.Option] = []
        let servers = port.dnsServers(isIPv4: false)
        if requested.contains(Code.dnsServers), !servers.isEmpty { out.append(.init(Code.dnsServers, servers.flatMap(\.bytes))) }
        if requested.contains(Code.domainSearch), let name = DNSName(port.zone) { out.append(.init(Code.domainSearch, name.wire)) }
        let clocks = port.services.ntpServers.filter { !$0.isIPv4 }
        if requested.contains(Code.ntpServers), !clocks.isEmpty {
            out.append(.init(Code.ntpServers, clocks.flatMap { DHCPv6Message.Option(1, $0.bytes).wire }))
        }
        return out
    }
}
