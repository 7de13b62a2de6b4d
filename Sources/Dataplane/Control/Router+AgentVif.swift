import NetTypes
import Synchronization

/// The agent vif: a port on which a program that knows nothing of the API gets trapped packets as frames, each behind an `AgentHeader`, and from which it sends (`agentInput`).
///
/// Clients of the API go first: while one listens to traps, the vif gets none. The packets are those that clients would get, in the same shares, cut to what the port takes:
/// the thread that hands traps on gives them to a worker to be sent.
extension Router {
    /// Why the vif cannot be the agent's; nil when all is well.
    func checkAgent(_ spec: VifSpec, _ what: String, _ state: State) -> RouterOutcome? {
        guard spec.kind == .agent else { return nil }
        if let other = state.vifs.values.first(where: { $0.kind == .agent && $0.id != spec.id }) {
            return .inUse("\(what): vif \(other.id.rawValue) (\(other.name)) is already the agent vif; one is supported")
        }
        let isPlain = spec.addresses.isEmpty && spec.workloadMAC == nil && spec.workloadAddresses.isEmpty && !spec.keepsFlows && !spec.antispoof
        let isChecked = spec.reversePath != .none || !spec.ingressPolicies.isEmpty || !spec.egressPolicies.isEmpty || spec.sendsUnreachables
        let isLimited = spec.flowLimit != 0 || spec.flowRate != 0 || !spec.fatFlows.isEmpty
        guard isPlain, !isChecked, !isLimited, spec.qosMap == 0, !spec.floodsUnknownUnicast, !spec.trapsGroupReports else {
            return .invalid("\(what): an agent vif has no addresses, flows, checks, marks or floods; its frames are of the vifs that they name")
        }
        return nil
    }

    /// From now on it gets what is trapped, where nobody else does.
    func useAgentVif(_ spec: VifSpec, _ port: PortEntry) {
        // The vifs that a burst of its frames is of may have QoS maps (as of sub-interfaces).
        tables.qos.isAskedOfEach.store(true, ordering: .relaxed)
        let mtu = spec.mtu == 0 ? port.port.mtu : min(spec.mtu, port.port.mtu)
        trapListeners.withLock { listeners in
            listeners.agentVif = AgentVif(id: spec.id, mac: spec.mac, frameSize: min(Ethernet.size + mtu, PacketRing.snap))
            listen(listeners)
        }
    }

    func forgetAgentVif() {
        trapListeners.withLock { listeners in
            listeners.agentVif = nil
            listen(listeners)
        }
    }

    struct AgentVif: Sendable {
        var id: VifID
        var mac: MACAddress
        /// Octets of the largest frame that it takes.
        var frameSize: Int
    }

    /// To a worker's ring; should it be full, the worker is given time to empty it.
    func hand(_ trap: TrapPacket, to vif: AgentVif) {
        guard vif.frameSize > Ethernet.size + AgentHeader.size else { return }
        let frame = OutgoingPacket(mode: .transmit, vif: vif.id, packet: vif.frame(trap))
        var patience = Patience()
        for _ in 0..<2000 {
            guard case .tableFull = send(frame) else { return }
            patience.wait()
        }
    }
}

extension Router.AgentVif {
    func frame(_ trap: TrapPacket) -> [UInt8] {
        let headers = Ethernet.size + AgentHeader.size
        let octets = trap.packet.prefix(frameSize - headers)
        return [UInt8](unsafeUninitializedCapacity: headers + octets.count) { buffer, count in
            guard let p = buffer.baseAddress.map({ UnsafeMutableRawPointer($0) }) else { return }
            Ethernet.Fields(destination: Ethernet.broadcast, source: mac.rawValue, type: AgentHeader.type).emit(to: p)
            var fields = AgentHeader.Fields(
                vif: UInt16(truncatingIfNeeded: trap.vif.rawValue), vrf: UInt16(truncatingIfNeeded: trap.vrf.rawValue),
                command: trap.reason.agentCommand)
            if let flow = trap.flow {
                fields.parameters.0 = flow.index
                fields.parameters.4 = flow.key.generation ?? 0
            }
            fields.parameters.1 = trap.nextHop.rawValue
            fields.emit(to: p + Ethernet.size)
            octets.withUnsafeBytes { if let start = $0.baseAddress { (p + headers).copyMemory(from: start, byteCount: $0.count) } }
            count = headers + octets.count
        }
    }
}

extension TrapPacket.Reason {
    var agentCommand: UInt16 {
        switch self {
        case .arp: AgentHeader.Command.arp
        case .resolve: AgentHeader.Command.resolve
        case .receive, .dns: AgentHeader.Command.nextHop
        case .flow: AgentHeader.Command.flow
        case .l3Protocol, .neighbour, .dhcp, .dhcpv6, .routerSolicitation: AgentHeader.Command.l3Protocol
        }
    }
}
