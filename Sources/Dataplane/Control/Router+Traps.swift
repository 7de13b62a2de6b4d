import CPlatform
import NetTypes
import Synchronization

// Packets to and from the control program.
extension Router {
    /// `handler` is called with every trapped packet, from a thread of the router's; it must not block. Returns a token for `removeTrapListener`.
    public func addTrapListener(_ handler: @escaping @Sendable (TrapPacket) -> Void) -> Int {
        trapListeners.withLock { listeners in
            let token = listeners.next
            listeners.next += 1
            listeners.handlers[token] = handler
            listen(listeners)
            return token
        }
    }

    public func removeTrapListener(_ token: Int) {
        trapListeners.withLock { listeners in
            listeners.handlers[token] = nil
            listen(listeners)
        }
    }

    /// Lets the workers know whether anybody listens.
    func listen(_ listeners: TrapListeners) {
        let isWanted = !listeners.handlers.isEmpty || listeners.agentVif != nil
        for worker in workers { worker.trapsWanted.store(isWanted, ordering: .relaxed) }
    }

    /// Empties the workers' trap rings into the listeners, or, when there are none, into the agent vif.
    func deliverTraps() {
        let (handlers, agentVif) = trapListeners.withLock { (Array($0.handlers.values), $0.agentVif) }
        for worker in workers {
            while worker.traps.pop({ header, bytes in
                guard let reason = TrapPacket.Reason(rawValue: header.reason) else { return }
                var packet = TrapPacket(
                    reason: reason, vif: .init(header.vif), vrf: .init(header.vrf), nextHop: .init(header.nextHop),
                    packet: Array(UnsafeRawBufferPointer(start: bytes, count: Int(header.length))))
                if reason == .flow { packet.flow = heldFlow(header.flow, header.generation) }
                for handler in handlers { handler(packet) }
                if handlers.isEmpty, let agentVif { hand(packet, to: agentVif) }
            }) {}
        }
    }

    private func heldFlow(_ index: UInt32, _ generation: UInt32) -> TrapPacket.HeldFlow? {
        state.withLock { _ in
            tables.readingFlows { flows in
                guard let entry = flows.snapshot(index), entry.generation == generation else { return nil }
                var key = entry.key.spec
                key.generation = generation
                return TrapPacket.HeldFlow(key: key, index: index)
            }
        }
    }

    /// Hands a packet to a worker: out of a vif as it is, or in as if it had been received there.
    public func send(_ packet: OutgoingPacket) -> RouterOutcome {
        guard (14...PacketRing.snap).contains(packet.packet.count) else {
            return .invalid("packet out: \(packet.packet.count) octets; a frame has 14 to \(PacketRing.snap)")
        }
        return state.withLock { state in
            guard state.vifs[packet.vif] != nil else { return .notFound("packet out: vif \(packet.vif.rawValue) does not exist") }
            let header = PacketRing.Header(reason: packet.mode.rawValue, vif: packet.vif.rawValue, length: UInt32(packet.packet.count))
            let worker = workers[0]
            let isQueued = packet.packet.withUnsafeBytes { bytes in bytes.baseAddress.map { worker.packetsOut.push(header, $0) } ?? false }
            guard isQueued else { return .tableFull("packet out: 512 packets are waiting; slow down") }
            worker.bell.ring()
            return .ok
        }
    }
}

extension Worker {
    /// Takes what the control program sent. True when there was something.
    func sendPacketsOut() -> Bool {
        var worked = false
        if packetsOut.isEmpty { return false }
        for _ in 0..<Int(VR_BURST) {
            let isTaken = packetsOut.pop { header, bytes in
                guard var frame = allocate() else {
                    counters.add(.generated)
                    counters.drop(.headAllocation)
                    return
                }
                guard Int(frame.tailroom) >= Int(header.length) else {
                    counters.add(.generated)
                    return drop(frame, .headAllocation, vif: header.vif)
                }
                frame.start.copyMemory(from: bytes, byteCount: Int(header.length))
                frame.length = header.length
                frame.tailroom &-= header.length
                if header.reason == OutgoingPacket.Mode.transmit.rawValue {
                    counters.add(.generated)
                    stage(frame, header.vif)
                } else {
                    frames[0] = frame
                    receive(1, vif: header.vif)
                }
            }
            guard isTaken else { break }
            worked = true
        }
        if worked { flushReleased() }
        return worked
    }
}
