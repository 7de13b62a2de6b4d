import NetTypes
import Overlay

@testable import AgentServices

/// What workloads ask of their network, as the agent reads and answers it. What steers, such as which workload asks, is taken from the end of the input.
///
/// Required of every answer: it is read as what was meant, goes to who asked, and is no longer than the asker and its link take; the same question has the same answer.
@MainActor enum ServiceTargets {
    // MARK: - Frames

    /// A whole frame, for whichever service it is for.
    static func packet(_ input: UnsafeRawBufferPointer) {
        var steering = Steering(input)
        let how = steering.octet(), port = Workload.ports[how & 3]
        var frame = Array(steering.rest)
        if how & 0x80 == 0 {
            Mend.lengths(&frame)
            Mend.transport(&frame)
        }
        guard let packet = ServicePacket(frame: frame) else { return }
        require(!packet.source.isMulticast && !packet.sourceMAC.isMulticast, "from a group: \(packet)")
        require(ServicePacket(frame: packet.frame).map(withoutChecksum) == withoutChecksum(packet), "not read again as it was: \(packet)")
        switch packet.content {
        case .udp(_, 67, _): checkDHCP(packet, port)
        case .udp(_, 547, _): checkDHCPv6(packet, port)
        case .udp(_, 53, let payload):
            if let query = DNSMessage(payload) { DNSTarget.checkDecision(query, limit: DNSService.limit(query)) }
        case .udp: break
        case .tcp(let octets):
            guard let segment = TCPSegment(octets) else { return }
            require(TCPSegment(segment.octets) == segment, "\(segment)")
            // To a group no connection leads, and from there no answer comes.
            let isOne = !packet.destination.isMulticast && packet.destination != .v4(IPv4Address(rawValue: .max))
            if isOne, let reset = DNSConnection.reset(segment) {
                let answer = ServicePacket(
                    destinationMAC: packet.sourceMAC, sourceMAC: .gateway, source: packet.destination, destination: packet.source,
                    content: .tcp(reset.octets))
                require(ServicePacket(frame: answer.frame).map(withoutChecksum) == withoutChecksum(answer), "\(answer)")
                require(reset.flags.contains(.rst) && reset.data.isEmpty && !segment.flags.contains(.rst), "\(segment) is answered \(reset)")
            }
        case .icmpv6: checkSolicitation(packet, port)
        }
    }

    /// The checksum in a segment or message is what was received; in what is written it is made anew.
    private static func withoutChecksum(_ packet: ServicePacket) -> ServicePacket {
        var out = packet
        switch packet.content {
        case .udp: break
        case .tcp(var octets):
            octets.set(16, word16: 0)
            out.content = .tcp(octets)
        case .icmpv6(var octets):
            octets.set(2, word16: 0)
            out.content = .icmpv6(octets)
        }
        return out
    }

    private static func checkSolicitation(_ packet: ServicePacket, _ port: ServicePort) {
        guard let reply = RouterAdvertiser.advertisement(for: port, solicitation: packet) else { return }
        guard case .icmpv6(let message) = reply.content, case .icmpv6(let asked) = packet.content else { fatalError("no ICMPv6: \(reply)") }
        Answers.check(withSum(reply), for: port, least: 1280)
        require(asked[0] == 133 && packet.hopLimit == 255 && packet.sourceMAC == port.mac, "an answer to \(packet)")
        let all = Topology.address("ff02::1")
        let isToAll = reply.destination == all && reply.destinationMAC == Topology.mac("33:33:00:00:00:01")
        require(packet.source == .v6(.any) ? isToAll : reply.destination == packet.source && reply.destinationMAC == port.mac, "to \(reply)")
        require(reply.hopLimit == 255 && message.count >= 16 && message[0] == 134, "\(reply)")
        var at = 16
        while at < message.count {
            require(
                at + 2 <= message.count && message[at + 1] > 0 && at + Int(message[at + 1]) * 8 <= message.count, "an option at \(at) of \(message)")
            at += Int(message[at + 1]) * 8
        }
    }

    /// As read from its own frame, for comparison with what is read from it again.
    private static func withSum(_ packet: ServicePacket) -> ServicePacket {
        guard let again = ServicePacket(frame: packet.frame) else { fatalError("not read again: \(packet)") }
        require(withoutChecksum(again) == withoutChecksum(packet), "\(packet) is read as \(again)")
        return again
    }

    // MARK: - DHCP

    /// A message, without its headers.
    static func dhcp(_ input: UnsafeRawBufferPointer) {
        var steering = Steering(input)
        let how = steering.octet(), payload = Array(steering.rest)
        if let message = DHCPv4Message(payload) {
            require(DHCPv4Message(message.octets(limit: .max)) == message, "not read again as it was: \(message)")
            let limit = 300 + how
            require(message.octets(limit: limit).count <= limit, "longer than \(limit): \(message)")
            require(DHCPv4Message(message.octets(limit: limit)) != nil, "cut to \(limit): \(message)")
        }
        let source: IPAddress = how & 8 == 0 ? .v4(.any) : Workload.client4
        checkDHCP(
            ServicePacket(
                destinationMAC: .broadcast, sourceMAC: Workload.mac, source: source, destination: .v4(IPv4Address(rawValue: .max)),
                content: .udp(source: 68, destination: 67, payload: payload)), Workload.ports[how & 3])
    }

    private static func checkDHCP(_ request: ServicePacket, _ port: ServicePort) {
        let (reply, outcome) = DHCPv4Server.answer(request, for: port)
        require(DHCPv4Server.answer(request, for: port).reply == reply, "another answer to the same question")
        guard let reply else { return }
        guard case .udp(_, _, let payload) = request.content, let asked = DHCPv4Message(payload), let (own, _, gateway) = port.ipv4,
            case .udp(67, 68, let answer) = reply.content, let message = DHCPv4Message(answer), case .v4(let to) = reply.destination
        else { fatalError("\(reply) to \(request)") }
        typealias Code = DHCPv4Message.Code
        // On a link of unknown MTU it is the client's word that counts, up to what Ethernet takes.
        Answers.check(reply, for: port, least: port.mtu == nil ? 1500 : 576)
        // What the client takes, its IP and UDP headers included; every client takes 576.
        let maximum = asked[Code.maximumSize].flatMap { $0.count == 2 ? Int($0[0]) << 8 | Int($0[1]) : nil } ?? 576
        require(answer.count + 28 <= max(maximum, 576), "\(answer.count) octets, and the client takes \(maximum)")
        require(message.isReply && message.transaction == asked.transaction && message.hardware == port.mac, "\(message) to \(asked)")
        require(asked.hardware == port.mac && !asked.isReply, "an answer to \(asked)")
        require([.offer, .ack, .nak].contains(message.kind), "\(message)")
        require(message.address(Code.serverIdentifier) == gateway && reply.source == .v4(gateway), "from another server: \(message)")
        if let name = asked[Code.clientIdentifier], name.count <= 255 { require(message[Code.clientIdentifier] == name, "the client is \(name)") }
        let isToAll = to.isBroadcast
        require(isToAll || to == own || to == asked.clientAddress, "to \(to), not \(own)")
        require(!to.isMulticast && to != .any, "to \(to)")
        require(reply.destinationMAC == (isToAll ? .broadcast : port.mac), "to \(reply.destinationMAC)")
        switch outcome {
        case .offered(let address), .acknowledged(let address): require(address == own && message.yourAddress == own, "\(address) is given")
        case .informed, .refused: require(message.yourAddress == .any, "\(message.yourAddress) is given")
        case .released, .declined, .ignored: fatalError("\(outcome), and answered")
        }
    }

    // MARK: - DHCPv6

    static func dhcpv6(_ input: UnsafeRawBufferPointer) {
        var steering = Steering(input)
        let how = steering.octet(), payload = Array(steering.rest)
        if let message = DHCPv6Message(payload) { require(message.octets == payload, "\(message) is not written as it was read") }
        checkDHCPv6(
            ServicePacket(
                destinationMAC: Topology.mac("33:33:00:01:00:02"), sourceMAC: Workload.mac, source: Topology.address("fe80::ff:fe00:101"),
                destination: Topology.address("ff02::1:2"), content: .udp(source: UInt16(546 + how >> 4), destination: 547, payload: payload)),
            Workload.ports[how & 3])
    }

    private static func checkDHCPv6(_ request: ServicePacket, _ port: ServicePort) {
        let (reply, outcome) = DHCPv6Server.answer(request, for: port)
        require(DHCPv6Server.answer(request, for: port).reply == reply, "another answer to the same question")
        guard let reply else { return }
        guard case .udp(let from, 547, let payload) = request.content, let asked = DHCPv6Message(payload),
            case .udp(547, let to, let answer) = reply.content,
            let message = DHCPv6Message(answer)
        else { fatalError("\(reply) to \(request)") }
        typealias Code = DHCPv6Message.Code
        Answers.check(reply, for: port, least: 1280)
        require(reply.destination == request.source && reply.destinationMAC == port.mac && to == from, "to \(reply)")
        require(message.transaction == asked.transaction && [.advertise, .reply].contains(message.kind), "\(message) to \(asked)")
        require(message[Code.serverIdentifier] == DHCPv6Server.identifier, "from another server: \(message)")
        require(message[Code.clientIdentifier] == asked[Code.clientIdentifier], "to another client: \(message)")
        var given: [IPv6Address] = []
        let asks = asked.options.filter { $0.code == Code.addresses }.compactMap { DHCPv6Message.Association($0.octets)?.id }
        for option in message.options where option.code == Code.addresses {
            guard let association = DHCPv6Message.Association(option.octets) else { fatalError("\(option)") }
            require(asks.contains(association.id), "association \(association.id) was not asked for")
            given += lasting(option.octets)
        }
        require(Set(given).count == given.count && Set(given).isSubset(of: port.ipv6.map(\.address)), "\(given) are given")
        switch outcome {
        case .offered(let address), .acknowledged(let address): require(given.first == address, "\(given), not \(address)")
        case .informed, .refused, .released, .declined: require(given.isEmpty, "\(given) are given")
        case .ignored: fatalError("\(outcome), and answered")
        }
    }

    /// Addresses of an identity association with a lifetime.
    private static func lasting(_ association: [UInt8]) -> [IPv6Address] {
        var reader = WireReader(association)
        guard reader.skip(12), let options = DHCPv6Message.options(&reader) else { fatalError("\(association)") }
        return options.compactMap { option in
            guard option.code == DHCPv6Message.Code.address, option.octets.count >= 24, option.octets[20..<24] != [0, 0, 0, 0] else { return nil }
            return IPv6Address(bytes: option.octets.prefix(16))
        }
    }

    // MARK: - HTTP

    /// A request as it comes on a connection.
    static func http(_ input: UnsafeRawBufferPointer) {
        let octets = Array(input), reading = HTTPRequest.read(octets)
        switch reading {
        case .more: require(octets.count < HTTPRequest.limit, "more than \(HTTPRequest.limit) octets are waited for")
        case .malformed(let status):
            let reply = String(decoding: HTTPReply.failure(status), as: UTF8.self)
            require((400...499).contains(status) && reply.hasPrefix("HTTP/1.1 \(status) ") && reply.contains("\r\n\r\n"), "\(status): \(reply)")
        case .whole(let request, let size):
            require(size <= octets.count && size <= HTTPRequest.limit, "\(size) octets of \(octets.count)")
            // Whole it is at once, and not before.
            for end in [size - 1, size - request.body.count, size / 2] where end < size {
                require(HTTPRequest.read(Array(octets.prefix(end))) == .more, "whole after \(end) of \(size) octets")
            }
            require(request.body == Array(octets[..<size].suffix(request.body.count)), "the body is not what ends it")
            require(!request.method.isEmpty && request.target.utf8.first == 0x2F, "\(request.method) \(request.target)")
            for octet in request.target.utf8 { require(octet > 0x20 && octet < 0x7F, "target \(request.target)") }
            for (name, value) in request.headers {
                require(value.utf8.allSatisfy { $0 != 0 && $0 != 10 && $0 != 13 }, "\(name): \(value)")
                if name.lowercased() == "content-length" {
                    require(
                        !value.isEmpty && value.utf8.allSatisfy { (0x30...0x39).contains($0) } && Int(value) == request.body.count, "length \(value)")
                }
                require(name.lowercased() != "transfer-encoding", "another length")
            }
            let written = write(request)
            // Octets that are no UTF-8 are written as three.
            if written.count <= HTTPRequest.limit {
                require(HTTPRequest.read(written) == .whole(request, written.count), "\(request) is not read again")
            }
            let hops = request.headers.filter { $0.name.lowercased() == "connection" }.flatMap { $0.value.lowercased().split(separator: ",") }
            for (name, _) in request.forwarded {
                // Servers that make variables of names tell '_' not from '-'.
                let plain = name.lowercased().split(separator: "_", omittingEmptySubsequences: false).joined(separator: "-")
                require(!HTTPRequest.ownHeaders.contains(plain), "\(name) is passed on")
                require(
                    !hops.contains { $0.split(whereSeparator: { $0 == " " || $0 == "\t" }).first.map(String.init) == name.lowercased() },
                    "\(name) is passed on")
            }
        }
    }

    private static func write(_ request: HTTPRequest) -> [UInt8] {
        let lines = ["\(request.method) \(request.target) HTTP/1.1"] + request.headers.map { "\($0.name): \($0.value)" }
        return Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8) + request.body
    }
}
