/// TCP connections that are over: their flows go a few milliseconds later (`FlowTable.Timeouts.closed`), and do not wait until ageing comes round to them, which in a table of millions takes
/// many seconds. So a table holds what is closed within those milliseconds and no more, however many connections come and go.
///
/// A SYN on the ports of a closed connection waits for nothing: the flow goes at once, and the packet is the first of a new one, about which policies and translations are asked anew: it may
/// come from the other side, or at another time.
///
/// Bounded: a worker remembers 2,048 connections, and when there is no room the oldest one's flow goes before its time; it removes at most 64 in a turn. Whatever is not removed here (a bucket
/// that another lane holds at the moment) ageing finds. A worker that sleeps removes what is due when it wakes, at the latest after 100 ms.
///
/// # Thread-safety
/// The worker's own.
struct ClosedFlows {
    struct Flow {
        var index: UInt32
        var generation: UInt32
        /// Milliseconds, wrapping.
        var since: UInt32
    }

    static let capacity = 2048
    private let flows = UnsafeMutablePointer<Flow>.allocate(capacity: ClosedFlows.capacity)
    private var head = 0
    private(set) var count = 0

    func deallocate() { flows.deallocate() }

    /// The oldest; there has to be one.
    var first: Flow { flows[head] }

    mutating func removeFirst() {
        head = (head &+ 1) & (Self.capacity &- 1)
        count &-= 1
    }

    /// There has to be room.
    mutating func append(_ flow: Flow) {
        (flows + ((head &+ count) & (Self.capacity &- 1))).initialize(to: flow)
        count &+= 1
    }
}

extension Worker {
    private static var closedPerTurn: Int { 64 }

    /// A packet closed its connection, or was the first of another. True: its flow is gone, and it makes a new one.
    @inline(never) func note(_ change: FlowTCP.Change, _ packet: UnsafeMutablePointer<Packet>, _ index: UInt32, renews: Bool) -> Bool {
        let entry = flows.entry(index), generation = entry.generation
        // Many connections in one flow: nothing follows from the end of one.
        if entry.flags.contains(.fat) { return false }
        if change == .closed {
            if closedFlows.count == ClosedFlows.capacity {
                remove(closedFlows.first)
                closedFlows.removeFirst()
            }
            closedFlows.append(ClosedFlows.Flow(index: index, generation: generation, since: milliseconds))
            return false
        }
        // What a control program has made is not the router's to make anew; a flow that cannot go now lives on as the new connection's.
        guard renews, !entry.flags.contains(.programmed), flows.remove(lane: id, index: index, generation: generation, cause: .closed) else {
            return false
        }
        return true
    }

    /// Those that are due.
    @inline(never) func removeClosed() {
        var left = Self.closedPerTurn
        while left > 0, closedFlows.count > 0, milliseconds &- closedFlows.first.since >= flows.timeouts.closed {
            remove(closedFlows.first)
            closedFlows.removeFirst()
            left &-= 1
        }
    }

    private func remove(_ flow: ClosedFlows.Flow) {
        let entry = flows.entry(flow.index)
        // It may have gone, and be another flow's entry by now; or another connection has begun in it.
        guard flows.isLive(flow.index), entry.generation == flow.generation,
            FlowTCP.isClosed(entry.tcpState, flows.entry(entry.reverse).tcpState)
        else { return }
        _ = flows.remove(lane: id, index: flow.index, generation: flow.generation, cause: .closed)
    }
}
