import CPlatform
import NetTypes
import Synchronization

/// VLAN sub-interfaces (IEEE 802.1Q, 802.1ad): frames of several networks on one port, told apart by their tags.
///
/// A frame's tags name a sub-interface of the vif it came in on; they are taken off and the frame goes on as if it had been received there. On the way out the
/// sub-interface's tags are put back. A priority tag (VLAN id 0) says nothing about the network: it is taken off and the frame is the parent's own.
///
/// - Input: a frame whose EtherType is a VLAN tag, from a workload, a sub-interface or the fabric.
/// - Output: as `workloadPacket` or `fabricPacket` of the vif it belongs to; a frame on the fabric that no sub-interface claims is the host's, where there is one.
/// - Drops: unknownVLAN, pull, push, and those of the stage that takes the frame on.
/// - Observers: those of the parent see frames with their tags, those of the sub-interface without.
/// - Counters: the parent's receive counters count all that came in on the port, the sub-interface's its own part, without tags; what is sent counts for the
///   sub-interface.
extension Worker {
    @inline(never) func vlanInput(_ packet: inout Packet) {
        guard let outer = tag(packet, at: 0) else { return packet.settle(.drop(.pull)) }
        let parent = packet.ingress, priority = outer.priority
        if outer.id == 0 {
            // A frame has one priority tag at most; what else is in it is looked at again.
            strip(&packet, 1)
            let type = Ethernet(packet.data).type
            if type.isVLAN, let inner = tag(packet, at: 0), inner.id == 0 { return packet.settle(.drop(.unknownVLAN)) }
            if parent.pointee.flags.contains(.learns), !type.isVLAN { learnSource(packet, parent) }
            if parent.pointee.kind == .physical { return fabricPacket(&packet) }
            workloadPacket(&packet)
            return keepPriority(&packet, priority)
        }
        var depth = 1
        var vif = tables.vlans.reader.lookup(
            parent: parent.pointee.id, .init(isService: outer.protocolID == .serviceVLAN, outer: outer.id, inner: 0))
        if outer.type.isVLAN, let inner = tag(packet, at: 1) {
            let both = tables.vlans.reader.lookup(
                parent: parent.pointee.id, .init(isService: outer.protocolID == .serviceVLAN, outer: outer.id, inner: inner.id))
            // A priority tag inside leaves the outer tag alone to decide.
            if inner.id == 0 || both != VLANTable.none {
                vif = both
                depth = 2
            } else {
                vif = VLANTable.none
            }
        }
        guard vif != VLANTable.none, let own = tables.vifs.load(vif) else {
            if parent.pointee.kind == .physical, tables.hostVif.load(ordering: .relaxed) != ForwardingTables.noVif { return toHost(&packet) }
            return packet.settle(.drop(.unknownVLAN))
        }
        strip(&packet, depth)
        enter(&packet, own)
        workloadPacket(&packet)
        keepPriority(&packet, priority)
    }

    private func tag(_ packet: Packet, at depth: Int) -> VLAN? {
        let offset = Ethernet.size &- 2 &+ depth &* VLAN.size
        guard packet.length >= offset &+ VLAN.size &+ 2, VLAN.check(packet.data + offset, available: packet.length &- offset) else { return nil }
        return VLAN(packet.data + offset)
    }

    /// Takes `count` tags off: the addresses move up to what follows.
    private func strip(_ packet: inout Packet, _ count: Int) {
        let size = count &* VLAN.size
        (packet.data + size).copyMemory(from: packet.data, byteCount: Ethernet.size &- 2)
        packet.pull(size)
    }

    // MARK: - On the way out

    /// Tags the frames of a transmit buffer that leave by sub-interfaces; how many frames there are then: one without headroom is dropped.
    @inline(never) func pushTags(_ buffer: UnsafeMutablePointer<TransmitBuffer>, _ count: Int) -> Int {
        let frames = buffer.pointee.frames, vifs = buffer.pointee.vifs
        let observers = isSendingCopies ? nil : tables.observation.load(ordering: .acquiring)
        var kept = 0
        for index in 0..<count {
            var frame = frames[index]
            let priority = UInt8(truncatingIfNeeded: vifs[index] >> TransmitBuffer.priorityShift),
                id = vifs[index] & (1 << TransmitBuffer.priorityShift &- 1)
            if let observers { observeUntagged(observers, frame, id) }
            if let vif = tables.vifs.load(id), vif.pointee.flags.contains(.tagged), !pushTags(&frame, vif.pointee.tags, priority) {
                drop(frame, .push, vif: id)
                continue
            }
            frames[kept] = frame
            vifs[kept] = id
            kept &+= 1
        }
        return kept
    }

    /// Puts a sub-interface's tags on a frame, both with the priority; false: no headroom.
    private func pushTags(_ frame: inout vr_frame, _ tags: VLANTable.Tags, _ priority: UInt8) -> Bool {
        let size = tags.inner == 0 ? VLAN.size : 2 &* VLAN.size
        guard Int(frame.headroom) >= size else { return false }
        let old = frame.start
        frame.data -= size
        frame.headroom &-= UInt32(truncatingIfNeeded: size)
        frame.length &+= UInt32(truncatingIfNeeded: size)
        frame.start.copyMemory(from: old, byteCount: Ethernet.size &- 2)
        let type = EtherType((old + (Ethernet.size &- 2)).word16(0))
        let first = frame.start + (Ethernet.size &- 2)
        let following = tags.inner == 0 ? type : .vlan
        VLAN.Fields(protocolID: tags.isService ? .serviceVLAN : .vlan, id: tags.outer, priority: priority, type: following).emit(to: first)
        if tags.inner != 0 { VLAN.Fields(id: tags.inner, priority: priority, type: type).emit(to: first + VLAN.size) }
        return true
    }
}
