/// What the router knows of a TCP connection, from both directions' packets (RFC 9293), so that flows of dead connections go at once and a forged RST does not.
///
/// Each entry keeps what *its* direction has done; a connection's state is both entries together. Pure: no clock, no table.
enum FlowTCP {
    struct State: OptionSet, Sendable, Hashable {
        let rawValue: UInt8
        init(rawValue: UInt8) { self.rawValue = rawValue }
        /// Sent a SYN.
        static let syn = State(rawValue: 1 << 0)
        /// Its SYN was acknowledged.
        static let established = State(rawValue: 1 << 1)
        /// Sent a FIN.
        static let fin = State(rawValue: 1 << 2)
        /// Its FIN was acknowledged.
        static let finAcknowledged = State(rawValue: 1 << 3)
        /// Sent an RST that the other end must accept.
        static let reset = State(rawValue: 1 << 4)
        /// Has sent a packet with ACK, so `tcpAcknowledged` holds a number.
        static let hasAcknowledged = State(rawValue: 1 << 5)
        /// Has sent anything, so `tcpSequenceEnd` holds a number.
        static let hasSent = State(rawValue: 1 << 6)
    }

    /// TCP header flags (RFC 9293 section 3.1).
    enum Flag { static let fin: UInt8 = 0x01, syn: UInt8 = 0x02, rst: UInt8 = 0x04, ack: UInt8 = 0x10 }

    /// What a packet did to its connection.
    enum Change {
        case none
        /// It is over with this packet, and was not before.
        case closed
        /// It was over, and this is the SYN of another on the same ports, whose state is now in its place.
        case reopened
    }

    /// Notes one packet of `entry`'s direction. Numbers in host order; `payload` in octets.
    @discardableResult @inline(__always) static func track(
        _ entry: UnsafeMutablePointer<FlowEntry>, reverse: UnsafeMutablePointer<FlowEntry>, flags: UInt8, sequence: UInt32,
        acknowledgement: UInt32, payload: UInt32
    ) -> Change {
        // The common case: data or a bare acknowledgement of an established connection that nobody is closing.
        let settled: State = [.established, .hasAcknowledged, .hasSent]
        let state = entry.tcpState
        if flags & (Flag.fin | Flag.syn | Flag.rst | Flag.ack) == Flag.ack, state == settled || state == settled.union(.syn),
            reverse.tcpState.isDisjoint(with: .fin)
        {
            advance(entry, to: sequence &+ payload)
            entry.tcpAcknowledged = acknowledgement
            return .none
        }
        return trackSlowly(entry, reverse: reverse, flags: flags, sequence: sequence, acknowledgement: acknowledgement, payload: payload)
    }

    private static func advance(_ entry: UnsafeMutablePointer<FlowEntry>, to end: UInt32) {
        // Retransmissions do not move it back (serial arithmetic, RFC 1982).
        if Int32(bitPattern: end &- entry.tcpSequenceEnd) > 0 { entry.tcpSequenceEnd = end }
    }

    @inline(never) private static func trackSlowly(
        _ entry: UnsafeMutablePointer<FlowEntry>, reverse: UnsafeMutablePointer<FlowEntry>, flags: UInt8, sequence: UInt32,
        acknowledgement: UInt32, payload: UInt32
    ) -> Change {
        let wasClosed = isClosed(entry.tcpState, reverse.tcpState)
        note(entry, reverse: reverse, flags: flags, sequence: sequence, acknowledgement: acknowledgement, payload: payload)
        if isClosed(entry.tcpState, reverse.tcpState) == wasClosed { return .none }
        return wasClosed ? .reopened : .closed
    }

    private static func note(
        _ entry: UnsafeMutablePointer<FlowEntry>, reverse: UnsafeMutablePointer<FlowEntry>, flags: UInt8, sequence: UInt32,
        acknowledgement: UInt32, payload: UInt32
    ) {
        if flags & Flag.rst != 0 {
            if accepts(reverse, flags: flags, sequence: sequence, acknowledgement: acknowledgement) { entry.insert(.reset) }
            return
        }
        // A new connection on the ports of a closed one starts again (the ports may be reused after TIME-WAIT).
        if flags & (Flag.syn | Flag.ack) == Flag.syn, isClosed(entry.tcpState, reverse.tcpState) {
            entry.tcpState = []
            reverse.tcpState = []
        }
        let control: UInt32 = (flags & Flag.syn != 0 ? 1 : 0) &+ (flags & Flag.fin != 0 ? 1 : 0)
        let end = sequence &+ payload &+ control
        if entry.tcpState.contains(.hasSent), flags & Flag.syn == 0 {
            advance(entry, to: end)
        } else {
            entry.tcpSequenceEnd = end
            // Picked up in the middle: its SYN was before our time.
            if flags & Flag.syn == 0 { entry.insert(.established) }
        }
        entry.insert(.hasSent)
        if flags & Flag.syn != 0 { entry.insert(.syn) }
        if flags & Flag.fin != 0 { entry.insert(.fin) }
        guard flags & Flag.ack != 0 else { return }
        entry.tcpAcknowledged = acknowledgement
        entry.insert(.hasAcknowledged)
        // What this acknowledges of the other direction. A SYN may carry data (RFC 7413), so its acknowledgement may fall short of all of it.
        let other = reverse.tcpState
        guard other.contains(.hasSent) else { return }
        let unacknowledged = reverse.tcpSequenceEnd &- acknowledgement
        if unacknowledged <= 0xFFFF { reverse.insert(.established) }
        if unacknowledged == 0, other.contains(.fin) { reverse.insert(.finAcknowledged) }
    }

    /// RFC 5961 section 3.2, as far as a middle box can tell: an RST is believed when its sequence number is the one its receiver last asked for.
    /// An RST that answers a SYN has no such number; it is believed when it acknowledges that SYN (RFC 9293 section 3.10.7.3).
    private static func accepts(_ receiver: UnsafeMutablePointer<FlowEntry>, flags: UInt8, sequence: UInt32, acknowledgement: UInt32) -> Bool {
        let state = receiver.tcpState
        if state.contains(.hasAcknowledged) { return sequence == receiver.tcpAcknowledged }
        return state.contains(.hasSent) && flags & Flag.ack != 0 && acknowledgement == receiver.tcpSequenceEnd
    }

    /// The connection is over: both ends have closed, or one has reset it.
    static func isClosed(_ a: State, _ b: State) -> Bool {
        !a.union(b).isDisjoint(with: .reset) || (a.contains(.finAcknowledged) && b.contains(.finAcknowledged))
    }

    /// A connection that nobody has answered.
    static func isOpening(_ a: State, _ b: State) -> Bool {
        !a.union(b).isDisjoint(with: .syn) && a.union(b).isDisjoint(with: .established)
    }

    /// As the `flow` tool writes it, seen from `own`'s direction: S SYN, E established, F FIN, R reset, each followed by r for the other direction; D dead, C half closed.
    static func letters(_ own: State, reverse: State) -> String {
        var text = ""
        for (state, letter) in [(State.syn, "S"), (.established, "E"), (.fin, "F"), (.reset, "R")] {
            if own.contains(state) { text += letter }
            if reverse.contains(state) { text += letter + "r" }
        }
        if isClosed(own, reverse) {
            text += "D"
        } else if own.contains(.finAcknowledged) != reverse.contains(.finAcknowledged) {
            text += "C"
        }
        return text
    }
}
