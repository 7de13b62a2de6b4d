import NIOCore
import NIOPosix
import NetTypes
import Overlay

/// Link-local services over UDP, such as a time server: each client's port has a socket of the agent's own for the server, so that answers find back; what others send there is
/// passed over.
///
/// The sockets are not connected: for those that are, Linux takes packets from whatever interface they come in by (early demultiplexing), so an answer would be heard at the
/// fabric's interface, which the data plane reads beside the kernel, and once more at the host's.
extension WorkloadServices {
    struct DatagramSession: Sendable {
        /// Tells it from a later one with the same key.
        var number: UInt64
        /// The workload's.
        var port: String
        var mac: MACAddress
        /// Nil while it is being opened.
        var channel: (any Channel)?
        var server: SocketAddress
        /// What came meanwhile.
        var waiting: [[UInt8]] = []
        var lastUse: UInt64
    }

    static let datagramIdleTime: UInt64 = 30_000
    /// Of one session, before its socket is open.
    private static let maximumWaiting = 8

    func relay(_ payload: [UInt8], _ key: ConnectionKey, _ mac: MACAddress, _ service: LinkLocalService, _ port: ServicePort) {
        statistics[port.name, default: .init()].linkLocal += 1
        guard let server = try? SocketAddress(ipAddress: service.targetAddress.description, port: Int(service.targetPort)),
            let any = try? SocketAddress(ipAddress: service.targetAddress.isIPv4 ? "0.0.0.0" : "::", port: 0)
        else { return }
        // The service may have another server now.
        if let session = datagrams[key], session.server != server { close(key) }
        if var session = datagrams[key] {
            session.lastUse = milliseconds
            session.mac = mac
            if let channel = session.channel {
                channel.writeAndFlush(AddressedEnvelope(remoteAddress: session.server, data: ByteBuffer(bytes: payload)), promise: nil)
            } else if session.waiting.count < Self.maximumWaiting {
                session.waiting.append(payload)
            }
            datagrams[key] = session
            return
        }
        makeRoom(key.vif)
        nextConnection += 1
        let number = nextConnection
        datagrams[key] = DatagramSession(
            number: number, port: port.name, mac: mac, server: server, waiting: [payload], lastUse: milliseconds)
        startTicking()
        Task {
            let channel = try? await DatagramBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(
                            Answers(of: server) { octets in Task { await self.answered(octets, key, number) } })
                    }
                }.bind(to: any).get()
            opened(channel, key, number)
        }
    }

    /// The longest silent of a workload's sessions, or of all, gives way to a new one.
    private func makeRoom(_ vif: UInt32) {
        let own = datagrams.filter { $0.key.vif == vif }
        let crowd = own.count >= Self.maximumConnectionsPerVif ? own : datagrams.count >= Self.maximumConnections ? datagrams : [:]
        if let oldest = crowd.min(by: { $0.value.lastUse < $1.value.lastUse }) { close(oldest.key) }
    }

    private func opened(_ channel: (any Channel)?, _ key: ConnectionKey, _ number: UInt64) {
        guard var session = datagrams[key], session.number == number, let channel else {
            channel?.close(promise: nil)
            if datagrams[key]?.number == number { datagrams[key] = nil }
            return
        }
        session.channel = channel
        for payload in session.waiting {
            channel.write(AddressedEnvelope(remoteAddress: session.server, data: ByteBuffer(bytes: payload)), promise: nil)
        }
        channel.flush()
        session.waiting = []
        datagrams[key] = session
    }

    private func answered(_ octets: [UInt8], _ key: ConnectionKey, _ number: UInt64) {
        guard var session = datagrams[key], session.number == number, let port = facts.ports[key.vif],
            octets.count + (key.client.isIPv4 ? 28 : 48) <= port.mtu ?? 1280
        else { return }
        session.lastUse = milliseconds
        datagrams[key] = session
        send(
            ServicePacket(
                destinationMAC: session.mac, sourceMAC: .gateway, source: key.server, destination: key.client,
                content: .udp(source: key.serverPort, destination: key.port, payload: octets)), key.vif)
    }

    private func close(_ key: ConnectionKey) { datagrams.removeValue(forKey: key)?.channel?.close(promise: nil) }

    /// Closes those that are silent, or whose workload or service is not there any more.
    func tickDatagrams() {
        for (key, session) in datagrams {
            let isSilent = milliseconds - min(milliseconds, session.lastUse) >= Self.datagramIdleTime
            guard !isSilent, let port = facts.ports[key.vif], port.name == session.port,
                linkLocalService(port, key.server, .udp, key.serverPort) != nil
            else { close(key); continue }
        }
    }

    private final class Answers: ChannelInboundHandler {
        typealias InboundIn = AddressedEnvelope<ByteBuffer>
        private let server: SocketAddress
        private let take: @Sendable ([UInt8]) -> Void
        init(of server: SocketAddress, _ take: @escaping @Sendable ([UInt8]) -> Void) { (self.server, self.take) = (server, take) }
        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let envelope = unwrapInboundIn(data)
            if envelope.remoteAddress == server { take(Array(envelope.data.readableBytesView)) }
        }
        /// The client hears nothing, as of a lost datagram.
        func errorCaught(context: ChannelHandlerContext, error: any Error) {}
    }
}
