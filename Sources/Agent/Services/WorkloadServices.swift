import DataplaneAPI
import Foundation
import Logging
import NetTypes
import Overlay

/// Answers what the local workloads ask of their network: a trapped packet in, a packet for the workload out. What the answer is, is decided by pure functions
/// (`DHCPv4Server`, `DHCPv6Server`, `RouterAdvertiser`, `DNSZone`, `DNSService`); here is what they need to know, and the count of what happened.
///
/// Works without a controller and without the rest of the agent: what was configured last goes on being answered.
///
/// # Thread-safety
/// An actor of its own, so that a request does not wait while the agent computes tables.
actor WorkloadServices {
    /// Everything that answers are made of; replaced as a whole.
    struct Facts: Hashable, Sendable {
        /// By vif.
        var ports: [UInt32: ServicePort] = [:]
        /// By network.
        var zones: [String: DNSZone] = [:]
        var linkLocal: [LinkLocalService] = []
    }

    private let logger: Logger
    private(set) var facts = Facts()
    var statistics: [String: ServiceStatistics] = [:]
    /// When each vif gets its next unasked router advertisement, in seconds.
    private var advertisements: [UInt32: UInt64] = [:]
    private var outgoing: AsyncStream<Dataplane_V1_PacketOut>.Continuation?
    private let clock = ContinuousClock()
    private let start: ContinuousClock.Instant
    var dns: DNSService
    let settings: DNSService.Settings
    let forwarder: DNSForwarder
    var connections: [ConnectionKey: Connection] = [:]
    var datagrams: [ConnectionKey: DatagramSession] = [:]
    var nextConnection: UInt64 = 0
    var isTicking = false

    init(_ settings: DNSService.Settings, logger: Logger) {
        self.logger = logger
        self.settings = settings
        start = clock.now
        dns = DNSService(settings)
        forwarder = DNSForwarder(timeout: settings.timeout, attempts: settings.attempts)
    }

    /// Seconds since the agent started.
    var now: UInt64 { UInt64(max(0, (clock.now - start).components.seconds)) }
    var milliseconds: UInt64 { UInt64(max(0, (clock.now - start).seconds * 1000)) }

    func update(_ facts: Facts) {
        self.facts = facts
        let names = Set(facts.ports.values.map(\.name))
        statistics = statistics.filter { names.contains($0.key) }
        advertisements = advertisements.filter { facts.ports[$0.key] != nil }
        connections = connections.filter { facts.ports[$0.key.vif]?.name == $0.value.port }
    }

    func connected(_ outgoing: AsyncStream<Dataplane_V1_PacketOut>.Continuation) { self.outgoing = outgoing }
    func disconnected() { outgoing = nil }

    func status() -> [String: ServiceStatistics] { statistics }

    /// A packet that the data plane trapped for one of the services.
    func received(_ trap: Dataplane_V1_Trap) {
        guard let port = facts.ports[trap.vif], let packet = ServicePacket(frame: Array(trap.packet)) else { return }
        switch trap.reason {
        case .dhcp: answerDHCP(packet, port, trap.vif)
        case .dhcpv6: answerDHCPv6(packet, port, trap.vif)
        case .routerSolicitation: answerSolicitation(packet, port, trap.vif)
        case .dns: answerDNS(packet, port, trap.vif)
        case .receive: answerLinkLocal(packet, port, trap.vif)
        default: break
        }
    }

    func send(_ packet: ServicePacket, _ vif: UInt32) {
        outgoing?.yield(Dataplane_V1_PacketOut(.transmit, vif: vif, packet: packet.frame))
    }

    private func answerDHCP(_ packet: ServicePacket, _ port: ServicePort, _ vif: UInt32) {
        guard port.services.enabled else { return }
        let (reply, outcome) = DHCPv4Server.answer(packet, for: port)
        if let reply { send(reply, vif) }
        statistics[port.name, default: .init()].count(outcome)
        switch outcome {
        case .ignored(let reason), .refused(let reason):
            logger.debug("DHCP request not answered with an address", metadata: ["port": "\(port.name)", "reason": "\(reason)"])
        case .declined: logger.warning("the workload says that its address is somebody else's, too", metadata: ["port": "\(port.name)"])
        case .offered, .acknowledged, .informed, .released: break
        }
    }
}

// MARK: - IPv6

extension WorkloadServices {
    private func answerDHCPv6(_ packet: ServicePacket, _ port: ServicePort, _ vif: UInt32) {
        guard port.services.enabled else { return }
        let (reply, outcome) = DHCPv6Server.answer(packet, for: port)
        if let reply { send(reply, vif) }
        statistics[port.name, default: .init()].count(outcome)
        switch outcome {
        case .ignored(let reason), .refused(let reason):
            logger.debug("DHCPv6 request not answered with an address", metadata: ["port": "\(port.name)", "reason": "\(reason)"])
        case .declined: logger.warning("the workload says that its IPv6 address is somebody else's, too", metadata: ["port": "\(port.name)"])
        case .offered, .acknowledged, .informed, .released: break
        }
    }

    private func answerSolicitation(_ packet: ServicePacket, _ port: ServicePort, _ vif: UInt32) {
        guard let reply = RouterAdvertiser.advertisement(for: port, solicitation: packet) else { return }
        send(reply, vif)
        statistics[port.name, default: .init()].routerAdvertisements += 1
    }

    /// Unasked router advertisements that are due: soon after a port appears, then every one or two minutes.
    func poll() {
        guard outgoing != nil else { return }
        for (vif, port) in facts.ports where !port.ipv6.isEmpty && port.services.enabled {
            guard let due = advertisements[vif] else { advertisements[vif] = now + 1; continue }
            guard due <= now, let advertisement = RouterAdvertiser.advertisement(for: port) else { continue }
            send(advertisement, vif)
            statistics[port.name, default: .init()].routerAdvertisements += 1
            advertisements[vif] = now + UInt64(Int.random(in: RouterAdvertiser.interval))
        }
    }
}

extension Dataplane_V1_Trap {
    /// For `WorkloadServices`.
    var isServiceRequest: Bool {
        switch reason {
        case .dhcp, .dhcpv6, .routerSolicitation, .dns, .receive: true
        default: false
        }
    }
}
