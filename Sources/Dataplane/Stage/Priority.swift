import NetTypes

/// The priority of VLAN tags (IEEE 802.1Q-2022 section 9.6, the priority code point; "802.1p").
///
/// A frame that is bridged from one tagged vif to another keeps the priority of its outer tag. A QoS map changes it: an IP packet's by its class (`QoSMarking`); that of
/// a frame that is not IP by the class of its priority, and such a class's DSCP is that of the outer header when the frame goes into a tunnel. Both tags of a vif with
/// two get it. A routed packet has the priority of its class, else 0. Frames to groups leave with 0.
///
/// Packets with a priority leave by the longer way of `nextHopOutput`; the others pay nothing.
extension Worker {
    /// After `workloadPacket`, for a frame whose tag had this priority.
    func keepPriority(_ packet: inout Packet, _ priority: UInt8) {
        guard packet.next == .bridge, priority != 0 || packet.family == .none && packet.ingress.pointee.qosMap != 0 else { return }
        packet.flags.prioritize(priority)
    }

    /// For an IP packet of a class, once its next hop is known.
    func setPriority(_ packet: UnsafeMutablePointer<Packet>, _ priority: UInt8) {
        packet.pointee.flags.remove(.prioritized)
        guard priority != 0, let nextHop = tables.nextHops.load(packet.pointee.nextHop), nextHop.pointee.kind == .encap,
            let vif = tables.vifs.load(nextHop.pointee.vif), vif.pointee.flags.contains(.tagged)
        else { return }
        packet.pointee.flags.prioritize(priority)
    }

    // MARK: - On the way out

    /// What is sent from here to `endPriority` is of this packet.
    @inline(never) func beginPriority(_ packet: UnsafeMutablePointer<Packet>) {
        var priority = packet.pointee.flags.priority
        if packet.pointee.family == .none, let marks = tables.qos.marks(map: packet.pointee.ingress.pointee.qosMap, vlanPriority: priority) {
            priority = marks.vlanPriority
            outgoingTypeOfService = marks.dscp << 2
        }
        outgoingPriority = UInt32(priority) << TransmitBuffer.priorityShift
    }

    @inline(never) func endPriority() {
        outgoingPriority = 0
        outgoingTypeOfService = 0
    }

    /// The vif as `TransmitBuffer` has it: with the priority of the tags that it puts on.
    @inline(never) func prioritized(_ id: UInt32, _ vif: UnsafePointer<Vif>) -> UInt32 {
        vif.pointee.flags.contains(.tagged) ? id | outgoingPriority : id
    }
}

extension Packet.Flags {
    private static let priorityMask: UInt16 = 7 << 10

    /// 0…7, with `prioritized`.
    var priority: UInt8 { UInt8(truncatingIfNeeded: (rawValue & Self.priorityMask) >> 10) }
    mutating func prioritize(_ priority: UInt8) {
        self = Packet.Flags(rawValue: rawValue & ~Self.priorityMask | Self.prioritized.rawValue | UInt16(priority & 7) << 10)
    }
}
