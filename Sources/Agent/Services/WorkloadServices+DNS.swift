import Foundation
import NIOCore
import NetTypes
import Overlay

/// Name service: questions in datagrams and over TCP, answers from `DNSService` or, by way of `DNSForwarder`, from others.
extension WorkloadServices {
    /// A client's end of a TCP connection, and ours.
    struct ConnectionKey: Hashable, Sendable {
        var vif: UInt32
        var client: IPAddress
        var port: UInt16
        var server: IPAddress
        var serverPort: UInt16 = 53
    }
    struct Connection: Sendable {
        /// Tells it from a later one with the same key.
        var number: UInt64
        /// The workload's.
        var port: String
        var mac: MACAddress
        var state: DNSConnection
    }

    static let maximumConnectionsPerVif = 16
    static let maximumConnections = 1024

    func answerDNS(_ packet: ServicePacket, _ port: ServicePort, _ vif: UInt32) {
        guard !packet.destination.isMulticast else { return }
        switch packet.content {
        case .udp(_, 53, let payload):
            guard let query = DNSMessage(payload) else { return }
            resolve(DNSService.Waiter(query: query, request: packet, vif: vif, port: port.name, limit: DNSService.limit(query)), port)
        case .tcp(let octets):
            guard let segment = TCPSegment(octets), segment.destination == 53 else { return }
            received(segment, packet, port, vif)
        case .udp, .icmpv6: return
        }
    }

    /// Answers at once, or asks somebody who knows.
    private func resolve(_ waiter: DNSService.Waiter, _ port: ServicePort) {
        let (decision, source) = dns.decide(waiter.query, zone: facts.zones[port.network.name], limit: waiter.limit, now: now)
        switch decision {
        case .ignore: reply(nil, to: waiter)
        case .reply(let octets):
            statistics[port.name, default: .init()].count(source)
            reply(octets, to: waiter)
        case .ask(let key):
            switch dns.wait(key, waiter) {
            case true: Task { await ask(key, waiter.query) }
            case false: break
            case nil: fail(waiter)
            }
        }
    }

    private func ask(_ key: DNSCache.Key, _ query: DNSMessage) async {
        let message = await forwarder.ask(query, servers: servers())
        for waiter in dns.answered(key, message, now: now) {
            guard let message else { fail(waiter); continue }
            statistics[waiter.port]?.count(DNSService.Source.forwarded)
            reply(message.answer(to: waiter.query, limit: waiter.limit), to: waiter)
        }
    }

    private func fail(_ waiter: DNSService.Waiter) {
        statistics[waiter.port, default: .init()].count(DNSService.Source.failed)
        reply(waiter.query.response(DNSMessage.ResponseCode.serverFailure.rawValue, limit: waiter.limit), to: waiter)
    }

    /// Nil: no answer is due.
    private func reply(_ octets: [UInt8]?, to waiter: DNSService.Waiter) {
        // It may have gone meanwhile, and its number with it.
        guard facts.ports[waiter.vif]?.name == waiter.port else { return }
        let request = waiter.request
        switch request.content {
        case .udp(let client, _, _):
            guard let octets else { return }
            send(
                ServicePacket(
                    destinationMAC: request.sourceMAC, sourceMAC: .gateway, source: request.destination, destination: request.source,
                    content: .udp(source: 53, destination: client, payload: octets)), waiter.vif)
        case .tcp(let segment):
            guard let client = TCPSegment(segment)?.source else { return }
            let key = ConnectionKey(vif: waiter.vif, client: request.source, port: client, server: request.destination)
            guard var connection = connections[key], connection.number == waiter.connection else { return }
            let actions = connection.state.answer(octets, now: milliseconds)
            connections[key] = connection
            perform(actions, key, request)
        case .icmpv6: return
        }
    }

    /// Those configured, else the machine's.
    private func servers() -> [SocketAddress] {
        if let forwarders = settings.forwarders { return forwarders }
        return (try? String(contentsOfFile: ResolverFile.path, encoding: .utf8)).map(ResolverFile.servers) ?? []
    }

    // MARK: - TCP

    func received(_ segment: TCPSegment, _ packet: ServicePacket, _ port: ServicePort, _ vif: UInt32) {
        let key = ConnectionKey(vif: vif, client: packet.source, port: segment.source, server: packet.destination, serverPort: segment.destination)
        guard connections[key] != nil || accept(segment, key, packet, port) else {
            if let reset = DNSConnection.reset(segment) { transmit(reset, key, to: packet.sourceMAC) }
            return
        }
        guard var connection = connections[key] else { return }
        let actions = connection.state.received(segment, now: milliseconds)
        connections[key] = connection
        perform(actions, key, packet)
    }

    /// Whether it is the beginning of a connection, and there is room for one.
    private func accept(_ segment: TCPSegment, _ key: ConnectionKey, _ packet: ServicePacket, _ port: ServicePort) -> Bool {
        guard segment.flags.contains(.syn), segment.flags.isDisjoint(with: [.ack, .rst, .fin]), connections.count < Self.maximumConnections,
            connections.keys.count(where: { $0.vif == key.vif }) < Self.maximumConnectionsPerVif
        else { return false }
        nextConnection += 1
        // 1220 fits every link of either family (1280); a network of less says so in its MTU.
        let size = min(1220, (port.mtu ?? 1280) - 60)
        connections[key] = Connection(
            number: nextConnection, port: port.name, mac: packet.sourceMAC,
            state: DNSConnection(
                segment, segmentSize: max(size, 64), initial: .random(in: .min ... .max), isHTTP: segment.destination != 53, now: milliseconds))
        startTicking()
        return true
    }

    private func perform(_ actions: [DNSConnection.Action], _ key: ConnectionKey, _ packet: ServicePacket) {
        let number = connections[key]?.number
        for action in actions {
            switch action {
            case .send(let segment): transmit(segment, key, to: packet.sourceMAC)
            case .request(let reading):
                guard let number, let port = facts.ports[key.vif] else { continue }
                ask(reading, key, number: number, port: port)
            case .ask(let octets):
                guard let port = facts.ports[key.vif], let query = DNSMessage(octets) else {
                    guard var connection = connections[key] else { continue }
                    let more = connection.state.answer(nil, now: milliseconds)
                    connections[key] = connection
                    perform(more, key, packet)
                    continue
                }
                resolve(
                    DNSService.Waiter(
                        query: query, request: packet, vif: key.vif, port: port.name, limit: Int(UInt16.max), connection: number), port)
            }
        }
        if connections[key]?.state.isOver == true { connections[key] = nil }
    }

    func transmit(_ segment: TCPSegment, _ key: ConnectionKey, to mac: MACAddress) {
        send(
            ServicePacket(
                destinationMAC: mac, sourceMAC: .gateway, source: key.server, destination: key.client, content: .tcp(segment.octets)), key.vif)
    }

    /// While there are connections, their clocks run.
    func startTicking() {
        guard !isTicking else { return }
        isTicking = true
        Task { while tick() { try? await Task.sleep(for: .milliseconds(250)) } }
    }

    private func tick() -> Bool {
        for (key, connection) in connections {
            var connection = connection
            let actions = connection.state.tick(now: milliseconds)
            connections[key] = connection.state.isOver ? nil : connection
            for case .send(let segment) in actions { transmit(segment, key, to: connection.mac) }
        }
        tickDatagrams()
        isTicking = !connections.isEmpty || !datagrams.isEmpty
        return isTicking
    }
}
