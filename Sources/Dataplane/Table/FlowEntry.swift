/// One direction of a flow: 128 octets, two cache lines. The first line is the key and what forwarding needs; it changes only when the flow is resolved
/// again. The second is written by every packet.
///
/// # Thread-safety
/// Key, reverse index and ingress vif are written before the entry is published and stand until it is recycled, a grace period after its removal. The
/// second line is written by the worker that has the packet, with plain stores: packets of one direction of a flow come from one receive queue, and so from one worker. Should two
/// workers hit one entry (a port whose hash was changed while running), a count may be lost; nothing else depends on these words being exact.
struct FlowEntry {
    // First line.
    var sourcePort: UInt16
    var destinationPort: UInt16
    var vrf: UInt32
    var a0: UInt64
    var a1: UInt64
    var a2: UInt64
    var a3: UInt64
    var proto: UInt8
    var family: UInt8
    /// `FlowAction.rawValue`.
    var action: UInt8
    var flags: Flags
    /// Outer UDP source port of tunnelled packets.
    var udpSourcePort: UInt16
    /// Goes up each time the entry is recycled: (index, generation) names one flow.
    var generation: UInt8
    var spare: UInt8
    /// The cached route: good while `tableGeneration` is the tables' own.
    var nextHop: UInt32
    var label: UInt32
    var tableGeneration: UInt32
    var ingressVif: UInt32

    // Second line.
    var packets: UInt64
    var bytes: UInt64
    /// Milliseconds, wrapping.
    var lastSeen: UInt32
    /// The entry of the other direction; its own index when both directions have one key.
    var reverse: UInt32
    /// Sequence number after the last octet this direction has sent.
    var tcpSequenceEnd: UInt32
    /// Last acknowledgement number this direction has sent.
    var tcpAcknowledged: UInt32
    /// What this direction has done; see `FlowTCP`.
    var tcpState: FlowTCP.State
    var spare1: UInt8
    /// What this direction announced in its SYN (RFC 9293 section 3.7.1): the other direction sends no larger segments. 0: not seen.
    var maximumSegmentSize: UInt16
    /// `FlowTable.Life`; changed atomically.
    var life: UInt32
    var cookie: UInt64
    /// Milliseconds, wrapping.
    var created: UInt32
    var spare3: UInt32
    var spare4: UInt64

    struct Flags: OptionSet, Sendable {
        let rawValue: UInt8
        init(rawValue: UInt8) { self.rawValue = rawValue }
        /// The direction of the packet that made the flow.
        static let forward = Flags(rawValue: 1 << 0)
    }

    var key: FlowKey {
        FlowKey(
            vrf: vrf, proto: proto, family: family, a0: a0, a1: a1, a2: a2, a3: a3, sourcePort: sourcePort, destinationPort: destinationPort)
    }

    /// Counts a packet. `now` in milliseconds.
    @inline(__always) static func count(_ entry: UnsafeMutablePointer<FlowEntry>, bytes: Int, now: UInt32) {
        entry.pointee.packets &+= 1
        entry.pointee.bytes &+= UInt64(truncatingIfNeeded: bytes)
        entry.pointee.lastSeen = now
    }

    /// Remembers the route. The generation last: another worker that sees it sees the route too (on x86-64; elsewhere the worst is one packet by the old route).
    @inline(__always) static func cache(_ entry: UnsafeMutablePointer<FlowEntry>, nextHop: UInt32, label: UInt32, generation: UInt32) {
        entry.pointee.nextHop = nextHop
        entry.pointee.label = label
        UnsafeMutableRawPointer(entry).release32(56, generation)
    }
}
