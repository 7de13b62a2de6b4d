import NetTypes
import Overlay

/// Link-local services: requests over trapped TCP connections, answered by their servers by way of `MetadataProxy`.
extension WorkloadServices {
    func answerLinkLocal(_ packet: ServicePacket, _ port: ServicePort, _ vif: UInt32) {
        switch packet.content {
        case .tcp(let octets):
            guard let segment = TCPSegment(octets), linkLocalService(port, packet.destination, .http, segment.destination) != nil else { return }
            received(segment, packet, port, vif)
        case .udp(let source, let destination, let payload):
            guard let service = linkLocalService(port, packet.destination, .udp, destination) else { return }
            let key = ConnectionKey(vif: vif, client: packet.source, port: source, server: packet.destination, serverPort: destination)
            relay(payload, key, packet.sourceMAC, service, port)
        case .icmpv6: return
        }
    }

    func linkLocalService(_ port: ServicePort, _ address: IPAddress, _ transport: LinkLocalService.Transport, _ number: UInt16) -> LinkLocalService? {
        facts.linkLocal.first { $0.address == address && $0.port == number && $0.transport == transport && $0.serves(port.network.name) }
    }

    /// A whole request on a connection: the answer comes when it comes.
    func ask(_ reading: HTTPRequest.Reading, _ key: ConnectionKey, number: UInt64, port: ServicePort) {
        switch reading {
        case .more: break
        case .malformed(let status): finish(HTTPReply.failure(status), key, number: number)
        case .whole(let request, _):
            guard let service = linkLocalService(port, key.server, .http, key.serverPort) else { return finish(nil, key, number: number) }
            let asker = MetadataProxy.Asker(
                address: key.client, port: port.uid ?? port.name, network: port.network.uid ?? port.network.name)
            statistics[port.name, default: .init()].linkLocal += 1
            Task {
                let reply = await MetadataProxy().forward(request, asker, service)
                finish(reply, key, number: number)
            }
        }
    }

    private func finish(_ reply: [UInt8]?, _ key: ConnectionKey, number: UInt64) {
        guard var connection = connections[key], connection.number == number else { return }
        let actions = connection.state.answer(reply, now: milliseconds)
        connections[key] = connection
        for case .send(let segment) in actions { transmit(segment, key, to: connection.mac) }
        if connections[key]?.state.isOver == true { connections[key] = nil }
    }
}
