import CPlatform
import Synchronization

/// Where every packet ends: its verdict is counted here and nowhere else, and its buffer goes to a port or back to the pool.
///
/// received + generated = forwarded + dropped + trapped + consumed holds whenever a loop turn is over: a forwarded packet counts when the
/// port took it.
extension Worker {
    /// The end of a packet that has its verdict.
    @inline(never) func conclude(_ packet: UnsafeMutablePointer<Packet>) {
        switch packet.pointee.next {
        case .forward: stage(packet.pointee.frame, packet.pointee.nextHop)
        case .trap:
            if let refusal = trap(packet.pointee, packet.pointee.reason) {
                packet.pointee.settle(.drop(refusal))
                return drop(packet.pointee)
            }
            counters.add(.trapped)
            release(packet.pointee.frame)
        case .consumed:
            counters.add(.consumed)
            release(packet.pointee.frame)
        case .drop:
            if packet.pointee.ingress.pointee.flags.contains(.sendsUnreachables) { reportUnreachable(packet.pointee) }
            drop(packet.pointee)
        case .route, .bridge, .nextHop, .crossConnect: drop(packet.pointee.frame, .misc, vif: packet.pointee.ingress.pointee.id)
        }
    }

    /// A packet whose verdict it is.
    private func drop(_ packet: Packet) {
        let reason = DropReason(rawValue: packet.reason) ?? .misc, vif = packet.ingress.pointee.id
        var ports: UInt32 = 0
        if packet.l4 != 0, Int(packet.l4) &+ 4 <= packet.length { ports = packet.transport.loadUnaligned(as: UInt32.self) }
        // 0 is the discard next hop, and what a packet has before it has one.
        let nextHop = packet.nextHop == 0 && reason != .discards ? DropLog.unknown : packet.nextHop
        dropLog.record(
            packet.frame, reason, vif: vif, nextHop: nextHop, vrf: packet.vrf, proto: packet.proto, ports: ports, packet.dropPlace, now: now)
        counters.drop(reason)
        vifCounters.add(vif, .drops, 1)
        release(packet.frame)
    }

    /// A frame that is no packet of a burst (any more). `vif`: whose counter and entry in the drop log it gets.
    @inline(never) func drop(_ frame: vr_frame, _ reason: DropReason, vif: UInt32, file: StaticString = #fileID, line: UInt32 = #line) {
        dropLog.record(frame, reason, vif: vif, DropLog.Place(file, line), now: now)
        counters.drop(reason)
        vifCounters.add(vif, .drops, 1)
        release(frame)
    }

    /// Copies a packet to the control program; the reason why not, when it cannot.
    func trap(_ packet: Packet, _ reason: UInt8) -> DropReason? {
        guard trapsWanted.load(ordering: .relaxed) else { return .trapNoListener }
        guard mayTrap(packet, reason) else { return .trapRateLimited }
        let header = PacketRing.Header(
            reason: reason, vif: packet.ingress.pointee.id, vrf: packet.vrf, nextHop: packet.nextHop, length: packet.frame.length)
        guard traps.push(header, packet.data) else { return .trapQueueFull }
        if traps.wasDrained { trapBell.ring() }
        return nil
    }

    // MARK: - Buffers

    func release(_ frame: vr_frame) {
        released[releasedCount] = frame
        releasedCount &+= 1
        if releasedCount == Int(VR_BURST) * 4 { flushReleased() }
    }

    func flushReleased() {
        guard releasedCount > 0 else { return }
        pool.release(lane: id, released, count: releasedCount)
        releasedCount = 0
    }

    /// One empty buffer for a packet the router makes; nil (nothing counted) when the pool is dry.
    func allocate() -> vr_frame? {
        withUnsafeTemporaryAllocation(of: vr_frame.self, capacity: 1) { frame in
            pool.allocate(lane: id, into: frame.baseAddress!, count: 1) == 1 ? frame[0] : nil
        }
    }

    // MARK: - Transmit

    /// Where the frames of a burst were last staged: mostly the next goes there too.
    struct TransmitLane {
        fileprivate var vif: UnsafePointer<Vif>?
        fileprivate var buffer: UnsafeMutablePointer<TransmitBuffer>?
    }

    /// Puts a frame into the transmit buffer of the vif's port.
    func stage(_ frame: vr_frame, _ vif: UInt32) {
        guard let out = tables.vifs.load(vif) else { return drop(frame, .invalidInterface, vif: 0) }
        let buffer = transmitBuffer(out)
        if buffer.pointee.count == TransmitBuffer.capacity { transmit(Int(out.pointee.port)) }
        buffer.pointee.append(frame, outgoingPriority == 0 ? vif : prioritized(vif, out))
    }

    /// The same for a packet of a burst.
    @inline(__always) func stage(_ packet: UnsafeMutablePointer<Packet>, _ vif: UnsafePointer<Vif>, _ lane: inout TransmitLane) {
        if lane.vif != vif {
            lane.vif = vif
            lane.buffer = transmitBuffer(vif)
        }
        let buffer = lane.buffer.unsafelyUnwrapped
        if buffer.pointee.count == TransmitBuffer.capacity { transmit(Int(vif.pointee.port)) }
        buffer.pointee.append(packet.pointee.frame, vif.pointee.id)
    }

    /// The buffer of the vif's port, which is served at the end of the turn.
    @inline(never) private func transmitBuffer(_ vif: UnsafePointer<Vif>) -> UnsafeMutablePointer<TransmitBuffer> {
        let port = Int(vif.pointee.port), buffer = transmitBuffers + port
        if vif.pointee.flags.contains(.tagged) { buffer.pointee.isTagged = true }
        // Until the turn is over, like the above: lanes that know the buffer already do not ask again.
        if !vif.pointee.flags.isDisjoint(with: .sharesPort) { buffer.pointee.isMixed = true }
        if !buffer.pointee.isPending {
            buffer.pointee.isPending = true
            pendingPorts[pendingCount] = UInt32(truncatingIfNeeded: port)
            pendingCount &+= 1
        }
        return buffer
    }

    /// Mostly the frames are of one vif; where not, its counters are touched once for each run of them.
    private func countTransmitted(_ buffer: UnsafeMutablePointer<TransmitBuffer>, _ count: Int) {
        guard count > 0 else { return }
        let vifs = buffer.pointee.vifs, frames = buffer.pointee.frames
        var vif = vifs[0], first = 0, bytes: UInt64 = 0
        if !buffer.pointee.isMixed {
            for index in 0..<count { bytes &+= UInt64(frames[index].length) }
            return countTransmitted(vif, count, bytes)
        }
        for index in 0..<count {
            if vifs[index] != vif {
                countTransmitted(vif, index &- first, bytes)
                vif = vifs[index]
                first = index
                bytes = 0
            }
            bytes &+= UInt64(frames[index].length)
        }
        countTransmitted(vif, count &- first, bytes)
    }

    private func countTransmitted(_ vif: UInt32, _ packets: Int, _ bytes: UInt64) {
        vifCounters.add(vif, .transmittedPackets, UInt64(truncatingIfNeeded: packets))
        vifCounters.add(vif, .transmittedBytes, bytes)
    }

    /// End of a loop turn: everything staged goes out.
    func transmitPending() {
        for index in 0..<pendingCount {
            let port = Int(pendingPorts[index])
            transmitBuffers[port].isPending = false
            transmit(port)
            transmitBuffers[port].isTagged = false
            transmitBuffers[port].isMixed = false
        }
        pendingCount = 0
        flushReleased()
    }

    /// Hands the port its frames. What it does not take is dropped, not kept: waiting would only add latency to every later packet.
    @inline(never) func transmit(_ port: Int) {
        let buffer = transmitBuffers + port
        var count = buffer.pointee.count
        let frames = buffer.pointee.frames
        buffer.pointee.count = 0
        if buffer.pointee.isTagged { count = pushTags(buffer, count) }
        guard count > 0 else { return }
        guard let current = plan.load(ordering: .acquiring) else { return }
        let queues = Unmanaged<WorkerPlan>.fromOpaque(current)._withUnsafeGuaranteedRef { $0.transmitQueues }
        guard port < queues.count, let queue = queues[port] else {
            for index in 0..<count { drop(frames[index], .interfaceTransmitDiscard, vif: buffer.pointee.vifs[index]) }
            return
        }
        if queue.owner != id { return handOver(port, to: queue.owner, frames, buffer.pointee.vifs, count) }
        if queue.gainsByJoining, count > 1 { count = coalesce(buffer, count) }
        if let set = tables.observation.load(ordering: .acquiring) { observeSent(set, frames, buffer.pointee.vifs, count) }
        let taken = queue.port._withUnsafeGuaranteedRef { $0.transmit(queue: queue.queue, pool: pool, lane: id, frames, count: count) }
        counters.add(.forwarded, taken)
        countTransmitted(buffer, taken)
        for index in taken..<max(taken, count) {
            vifCounters.add(buffer.pointee.vifs[index], .transmitErrors, 1)
            drop(frames[index], .transmitQueueFull, vif: buffer.pointee.vifs[index])
        }
    }
}
