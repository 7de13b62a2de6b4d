import CPlatform
import Synchronization

/// What a program on the port of the agent vif sends: frames behind an `AgentHeader` that says what is to become of them.
///
/// - Input: a frame from the agent vif. Nothing about its octets is trusted.
/// - Output: without the two headers in front; to be sent by the vif that is named, as it is (`crossConnect`), or as if it had been received there, as `workloadPacket` or
///   `fabricPacket` leave it.
/// - Drops: pull, invalidProtocol (not an agent's frame, or another command), invalidInterface (no such vif, or of another VRF), interfaceDrop (nothing is taken from such a
///   vif), and those of the stage that takes the frame on.
extension Worker {
    @inline(never) func agentInput(_ packet: inout Packet) {
        let headers = Ethernet.size &+ AgentHeader.size
        guard Ethernet.check(packet.data, available: packet.length) else { return packet.settle(.drop(.pull)) }
        guard Ethernet(packet.data).type == AgentHeader.type else { return packet.settle(.drop(.invalidProtocol)) }
        guard packet.length >= headers &+ Ethernet.size else { return packet.settle(.drop(.pull)) }
        let header = AgentHeader(packet.data + Ethernet.size), command = header.command, vrf = UInt32(header.vrf), id = UInt32(header.vif)
        packet.pull(headers)
        // A hash that the port has given is of the headers.
        packet.hash = 0
        guard let vif = tables.vifs.load(id) else { return packet.settle(.drop(.invalidInterface)) }
        switch command {
        case AgentHeader.Command.transmit:
            packet.nextHop = id
            packet.next = .crossConnect
        case AgentHeader.Command.receive:
            guard vif.pointee.vrf == vrf else { return packet.settle(.drop(.invalidInterface)) }
            switch vif.pointee.kind {
            case .virtual, .vlan:
                enter(&packet, vif)
                workloadPacket(&packet)
            case .physical:
                enter(&packet, vif)
                fabricPacket(&packet)
            case .host, .agent, .monitoring: packet.settle(.drop(.interfaceDrop))
            }
        default: packet.settle(.drop(.invalidProtocol))
        }
    }

    /// From here on it is a packet that was received on this vif.
    func enter(_ packet: inout Packet, _ vif: UnsafePointer<Vif>) {
        packet.ingress = vif
        packet.vrf = vif.pointee.vrf
        if vif.pointee.flags.contains(.learns) { learnSource(packet, vif) }
        vifCounters.add(vif.pointee.id, .receivedPackets, 1)
        vifCounters.add(vif.pointee.id, .receivedBytes, UInt64(packet.frame.length))
        if let set = tables.observation.load(ordering: .acquiring) {
            observe(set, packet.frame, vif: vif.pointee.id, direction: ObservationSet.received)
        }
    }
}
