import CPlatform
import Synchronization

// Flows that are due. Each worker looks through its own slice of the table, a few entries at a time, so that no burst ever waits for it.
extension FlowTable {
    /// Why a flow was removed.
    enum RemovalCause: Sendable {
        case requested
        /// Nothing came for its time.
        case aged
        /// A TCP connection that is over.
        case closed
        /// To make room; see `pressure`.
        case evicted
        /// It waited for a decision that did not come.
        case unanswered
    }

    /// Examines at most `budget` entries of the lane's slice, eight times as many while the table is nearly full, and removes the flows that are due; also recycles what the lane
    /// removed before. Returns the number of flows removed. `now` in milliseconds. Called by each worker once per loop; the control lane has no slice.
    func age(lane: Int, now: UInt32, budget: Int) -> Int {
        pool.collect(lane)
        let slices = max(laneCount - 1, 1)
        let end = pool.end
        guard lane < slices, end > 1 else { return 0 }
        if lane == 0, now &- pressureChecked.load(ordering: .relaxed) >= 10 {
            pressureChecked.store(now, ordering: .relaxed)
            updatePressure()
        }
        let pressure = pressure
        var index = pool.cursor(lane), left = pressure.level == 0 ? budget : budget &* 8, removed = 0
        // Slices are chunks of 64 entries dealt out in turn.
        while left > 0 {
            if index >= end {
                // A full round is enough for one call.
                index = 1
                break
            }
            if (Int(index) >> 6) % slices != lane {
                index = (index | 63) &+ 1
                left &-= 1
                continue
            }
            if let cause = cause(index, now, pressure), remove(lane: lane, index: index, cause: cause) { removed &+= 1 }
            index &+= 1
            left &-= 1
        }
        pool.setCursor(lane, index)
        return removed
    }

    /// Why a flow is to go; nil: it stays. Only the forward entry speaks for a flow.
    @inline(__always) private func cause(_ index: UInt32, _ now: UInt32, _ pressure: Pressure) -> RemovalCause? {
        let entry = entry(index)
        guard entry.life == .live, entry.isForward else { return nil }
        let reverse = self.entry(entry.reverse)
        // Another worker's clock may be ahead of ours.
        let idle = UInt32(bitPattern: min(max(0, Int32(bitPattern: now &- entry.lastSeen)), max(0, Int32(bitPattern: now &- reverse.lastSeen))))
        if pressure.level != 0, idle >= 1000 || pressure.level == 3, vifQuotas.count(entry.owner) > pressure.evictionShare,
            !entry.flags.contains(.programmed), isExpendable(entry, reverse, idle, pressure.level)
        {
            return .evicted
        }
        if entry.action == FlowAction.drop.rawValue { return idle >= timeouts.dropped ? .aged : nil }
        if entry.pointee.proto == 6, !entry.flags.contains(.fat) {
            if FlowTCP.isClosed(entry.tcpState, reverse.tcpState) { return idle >= timeouts.closed ? .closed : nil }
            if FlowTCP.isOpening(entry.tcpState, reverse.tcpState) { return idle >= timeouts.opening ? .aged : nil }
        }
        if idle < ageing.shortest.load(ordering: .relaxed), idle < timeouts.idle { return nil }
        return idle >= ageing.timeout(entry.pointee.proto, entry.pointee.destinationPort, entry.pointee.sourcePort) ?? timeouts.idle ? .aged : nil
    }

    /// Nobody has answered it; or it has been idle for long and there is hardly any room left.
    private func isExpendable(
        _ entry: UnsafeMutablePointer<FlowEntry>, _ reverse: UnsafeMutablePointer<FlowEntry>, _ idle: UInt32, _ level: UInt32
    ) -> Bool {
        if entry != reverse, reverse.packets == 0 { return true }
        return level == 3 && idle >= 10_000
    }
}

/// After how long an idle flow goes, by protocol and port.
///
/// # Thread-safety
/// Written by the control thread, read by all; each number by itself.
final class FlowAgeingTimes: @unchecked Sendable {
    /// Milliseconds; 0: none. By protocol, then by port of each protocol of `withPorts`.
    private let cells: UnsafeMutablePointer<Atomic<UInt32>>
    private let memory: ReservedMemory
    /// The shortest time that was set, in milliseconds.
    let shortest = Atomic<UInt32>(.max)
    /// Protocols whose ports may have times of their own: TCP, UDP, DCCP, SCTP, UDP-Lite.
    static let withPorts: [UInt8] = [6, 17, 33, 132, 136]
    private static let size = (256 + withPorts.count * 65_536) * 4

    init() {
        memory = ReservedMemory(size: Self.size)
        cells = memory.base.assumingMemoryBound(to: Atomic<UInt32>.self)
    }

    @inline(__always) private static func base(_ proto: UInt8) -> Int? {
        switch proto {
        case 6: 256
        case 17: 256 + 65_536
        case 33: 256 + 2 * 65_536
        case 132: 256 + 3 * 65_536
        case 136: 256 + 4 * 65_536
        default: nil
        }
    }

    /// Milliseconds: of the destination port, else of the source port, else of the protocol, else of all (protocol 0); nil: none was set.
    func timeout(_ proto: UInt8, _ destinationPort: UInt16, _ sourcePort: UInt16) -> UInt32? {
        if let base = Self.base(proto) {
            // Port 0 has none.
            let time = cells[base + Int(destinationPort)].load(ordering: .relaxed)
            if time != 0 { return time }
            let other = cells[base + Int(sourcePort)].load(ordering: .relaxed)
            if other != 0 { return other }
        }
        let time = cells[Int(proto)].load(ordering: .relaxed)
        if time != 0 { return time }
        let all = cells[0].load(ordering: .relaxed)
        return all != 0 ? all : nil
    }

    /// `port` 0: all of the protocol. `milliseconds` 0: none any more. False: the protocol has no ports.
    func set(_ proto: UInt8, _ port: UInt16, _ milliseconds: UInt32) -> Bool {
        if port == 0 {
            cells[Int(proto)].store(milliseconds, ordering: .relaxed)
        } else {
            guard let base = Self.base(proto) else { return false }
            cells[base + Int(port)].store(milliseconds, ordering: .relaxed)
        }
        return true
    }
}
