import NetTypes
import Overlay

/// The DHCP server of one workload (RFC 2131): a pure function of the request and of what its port is configured to be. There is no pool and nothing to
/// remember: the address is the port's, whoever asks and as often as they ask.
///
/// What is asked for by another MAC address than the port's own is not answered. A client that wants another address, or has one, is told no (NAK), so that it
/// begins anew. The server's identifier is the subnet's gateway.
enum DHCPv4Server {
    /// What became of a request; for the counters and for `vrctl port`.
    enum Outcome: Hashable, Sendable {
        case offered(IPv4Address)
        case acknowledged(IPv4Address)
        case informed
        case refused(String)
        case released, declined
        /// No answer is due: why.
        case ignored(String)
    }

    static func answer(_ request: ServicePacket, for port: ServicePort) -> (reply: ServicePacket?, outcome: Outcome) {
        guard case .udp(_, 67, let payload) = request.content, let message = DHCPv4Message(payload), !message.isReply else {
            return (nil, .ignored("not a DHCP request"))
        }
        guard message.hardware == port.mac else { return (nil, .ignored("it is for \(message.hardware), which is not the port's MAC address")) }
        guard message.relay == .any else { return (nil, .ignored("it came through a relay")) }
        guard let (address, subnet, gateway) = port.ipv4 else { return (nil, .ignored("the port has no IPv4 address")) }
        guard let kind = message.kind else { return (nil, .ignored("it has no message type")) }
        let server = message.address(DHCPv4Message.Code.serverIdentifier)
        func reply(_ kind: DHCPv4Message.Kind) -> ServicePacket { self.reply(kind, to: message, port, address, subnet, gateway) }
        switch kind {
        case .discover:
            if message[DHCPv4Message.Code.rapidCommit] != nil { return (reply(.ack), .acknowledged(address)) }
            return (reply(.offer), .offered(address))
        case .request:
            let requested = message.address(DHCPv4Message.Code.requestedAddress)
            if let server, server != gateway { return (nil, .ignored("it chose another server")) }
            // Selecting and init-reboot name the address in an option, renewing and rebinding in the header (RFC 2131 section 4.3.2).
            guard let wanted = requested ?? (message.clientAddress == .any ? nil : message.clientAddress) else {
                return (nil, .ignored("it names no address"))
            }
            guard wanted == address else { return (reply(.nak), .refused("\(wanted) is not the port's address")) }
            return (reply(.ack), .acknowledged(address))
        case .inform: return (reply(.ack), .informed)
        case .decline: return (nil, server == nil || server == gateway ? .declined : .ignored("it is for another server"))
        case .release: return (nil, server == nil || server == gateway ? .released : .ignored("it is for another server"))
        case .offer, .ack, .nak: return (nil, .ignored("it is a server's message"))
        }
    }

    private static func reply(
        _ kind: DHCPv4Message.Kind, to request: DHCPv4Message, _ port: ServicePort, _ address: IPv4Address, _ subnet: VirtualNetwork.Subnet,
        _ gateway: IPv4Address
    ) -> ServicePacket {
        typealias Code = DHCPv4Message.Code
        let isInform = request.kind == .inform, isNAK = kind == .nak
        var message = DHCPv4Message(hardware: request.hardware)
        message.isReply = true
        message.transaction = request.transaction
        message.isBroadcast = request.isBroadcast || isNAK
        message.clientAddress = isNAK ? .any : request.clientAddress
        message.yourAddress = isNAK || isInform ? .any : address
        message.options = [
            .init(code: Code.kind, octets: [kind.rawValue]), .init(code: Code.serverIdentifier, octets: gateway.bytes),
        ]
        // RFC 6842: the client is named as it named itself, also when it is refused.
        if let identifier = request[Code.clientIdentifier] { message.options.append(.init(code: Code.clientIdentifier, octets: identifier)) }
        if isNAK {
            message.options.append(.init(code: Code.message, octets: Array("not your address".utf8)))
        } else {
            if kind == .ack, request.kind == .discover { message.options.append(.init(code: Code.rapidCommit, octets: [])) }
            if !isInform { message.options += times(port.services.leaseSeconds) }
            message.options += parameters(port, address, subnet, gateway, wanted: request[Code.parameters])
        }
        // To the client's address where it has one; else to the one it is given, by its MAC address, unless it cannot take that yet (section 4.1).
        let hasAddress = request.clientAddress != .any && !request.clientAddress.isMulticast && !isNAK
        let destination = hasAddress ? request.clientAddress : message.isBroadcast ? IPv4Address(rawValue: .max) : address
        let maximum = request[Code.maximumSize].flatMap { $0.count == 2 ? Int($0[0]) << 8 | Int($0[1]) : nil } ?? 576
        return ServicePacket(
            destinationMAC: destination == IPv4Address(rawValue: .max) ? .broadcast : request.hardware, sourceMAC: .gateway, source: .v4(gateway),
            destination: .v4(destination),
            // What the client announces counts its IP and UDP headers (RFC 2132 section 9.10).
            content: .udp(source: 67, destination: 68, payload: message.octets(limit: min(max(maximum, 576), max(port.mtu ?? 1500, 576), 1500) - 28)))
    }

    /// Lease time, and when to renew and to rebind: after a half and seven eighths of it. For ever is for ever.
    private static func times(_ seconds: UInt32) -> [DHCPv4Message.Option] {
        func option(_ code: UInt8, _ value: UInt32) -> DHCPv4Message.Option {
            var octets: [UInt8] = []
            octets.append(word32: value)
            return .init(code: code, octets: octets)
        }
        typealias Code = DHCPv4Message.Code
        guard seconds != .max else { return [option(Code.leaseTime, .max)] }
        return [
            option(Code.leaseTime, seconds), option(Code.renewalTime, seconds / 2),
            option(Code.rebindingTime, UInt32(UInt64(seconds) * 7 / 8)),
        ]
    }

    /// What the client asks for, in our order, which puts first what it can do without least; without a list everything but the variants.
    private static func parameters(
        _ port: ServicePort, _ address: IPv4Address, _ subnet: VirtualNetwork.Subnet, _ gateway: IPv4Address, wanted: [UInt8]?
    ) -> [DHCPv4Message.Option] {
        typealias Code = DHCPv4Message.Code
        func addresses(_ list: [IPAddress]) -> [UInt8] { list.filter(\.isIPv4).flatMap(\.bytes) }
        let length = subnet.prefix.length
        let mask = IPv4Address(rawValue: length == 0 ? 0 : .max << (32 - UInt32(length)))
        let routes = routes(port, gateway)
        var mtu: [UInt8] = []
        // RFC 2132 section 5.1: 68 at least.
        if let size = port.mtu, size >= 68 { mtu.append(word16: UInt16(clamping: size)) }
        let all: [(code: UInt8, octets: [UInt8], isUsual: Bool)] = [
            (Code.subnetMask, mask.bytes, true), (Code.routes, routes, true), (Code.microsoftRoutes, routes, false),
            (Code.router, gateway.bytes, true), (Code.dnsServers, addresses(port.dnsServers(isIPv4: true)), true), (Code.mtu, mtu, true),
            (Code.domain, Array(port.zone.utf8), true), (Code.hostName, Array(port.hostName.utf8), true),
            (Code.broadcast, subnet.prefix.length < 31 ? subnet.prefix.lastAddress.bytes : [], false),
            (Code.ntpServers, addresses(port.services.ntpServers), true),
            (Code.domainSearch, DNSName(port.zone)?.wire ?? [], false),
        ]
        return all.filter { option in !option.octets.isEmpty && (wanted?.contains(option.code) ?? option.isUsual) }
            .map { .init(code: $0.code, octets: $0.octets) }
    }

    /// Classless routes (RFC 3442). A client that takes them does not look at the router option, so the way to everything else is among them.
    private static func routes(_ port: ServicePort, _ gateway: IPv4Address) -> [UInt8] {
        let routes = port.services.hostRoutes.filter { $0.prefix.isIPv4 }
        guard !routes.isEmpty else { return [] }
        var out: [UInt8] = []
        for route in routes {
            out.append(UInt8(route.prefix.length))
            out += route.prefix.address.bytes.prefix((route.prefix.length + 7) / 8)
            out += route.nextHop.bytes
        }
        if !routes.contains(where: { $0.prefix.length == 0 }) { out += [0] + gateway.bytes }
        return out
    }
}
