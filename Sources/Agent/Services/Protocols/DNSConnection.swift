/// The server's end of a TCP connection for DNS (RFC 7766), or for one HTTP request, made of trapped packets: a small part of TCP (RFC 9293) that is enough for questions of a few octets and
/// answers of a few thousand. It accepts; data is taken in order only (the client sends again what came out of order); what it sends is kept until it is
/// acknowledged and sent again from there when the time is over; it closes after the client has, or when nothing was asked for a while.
///
/// A pure state machine: segments, answers and time in; segments and questions out. No client can make it keep more than `maximumQuestions` questions and their
/// answers.
///
/// Thread-safety: a value. Time is in milliseconds.
struct DNSConnection: Sendable {
    enum Action: Hashable, Sendable {
        case send(TCPSegment)
        /// A whole message, without its length.
        case ask([UInt8])
        /// Of HTTP: the one request there is.
        case request(HTTPRequest.Reading)
    }

    private(set) var isOver = false
    private let isHTTP: Bool
    private let local: UInt16
    private let remote: UInt16
    /// Octets per segment.
    private let segmentSize: Int
    private var isEstablished = false
    private var hasPeerClosed = false
    /// Next expected from the client.
    private var expected: UInt32
    /// First sequence number not acknowledged, and next to be sent.
    private var unacknowledged: UInt32
    private var next: UInt32
    /// From `unacknowledged` on.
    private var outgoing: [UInt8] = []
    private var hasFIN = false
    private var isClosing = false
    private var window: Int
    private var received: [UInt8] = []
    private var questions = 0
    private var lastActivity: UInt64
    private var retransmitAt: UInt64?
    private var retries = 0

    static let maximumQuestions = 4
    /// Octets that wait for an acknowledgement before no more questions are taken.
    static let maximumOutgoing = 65_536
    static let idleTime: UInt64 = 10_000
    /// The first wait for an acknowledgement (RFC 6298 section 2.1); each one doubles.
    static let retransmissionTime: UInt64 = 1000
    static let maximumRetries = 5
    private static let windowSize: UInt16 = 8192

    /// To a SYN without ACK. `initial` is random (RFC 6528).
    init(_ syn: TCPSegment, segmentSize: Int, initial: UInt32, isHTTP: Bool = false, now: UInt64) {
        self.isHTTP = isHTTP
        local = syn.destination
        remote = syn.source
        // RFC 9293 section 3.7.1: 536 where nothing is said; less than 64 would only cost.
        self.segmentSize = min(segmentSize, max(64, Int(syn.maximumSize ?? 536)))
        expected = syn.sequence &+ 1
        unacknowledged = initial
        next = initial
        window = Int(syn.window)
        lastActivity = now
    }

    /// The reset that answers a segment of no connection (RFC 9293 section 3.10.7.1); nil to a reset.
    static func reset(_ segment: TCPSegment) -> TCPSegment? {
        guard !segment.flags.contains(.rst) else { return nil }
        let length = UInt32(segment.data.count) + (segment.flags.contains(.syn) ? 1 : 0) + (segment.flags.contains(.fin) ? 1 : 0)
        let hasACK = segment.flags.contains(.ack)
        return TCPSegment(
            source: segment.destination, destination: segment.source, sequence: hasACK ? segment.acknowledgement : 0,
            acknowledgement: hasACK ? 0 : segment.sequence &+ length, flags: hasACK ? .rst : [.rst, .ack], window: 0)
    }

    mutating func received(_ segment: TCPSegment, now: UInt64) -> [Action] {
        guard !isOver else { return [] }
        if segment.flags.contains(.syn) {
            // The first one, or the same again because our answer was lost; another one is refused by silence (RFC 5961 section 4 asks for an ACK).
            guard !isEstablished, segment.sequence &+ 1 == expected else { return [.send(self.segment(.ack))] }
            return accept(now)
        }
        if segment.flags.contains(.rst) {
            if segment.sequence == expected { isOver = true }
            return []
        }
        guard segment.flags.contains(.ack) else { return [] }
        let acknowledged = segment.acknowledgement &- unacknowledged, underWay = next &- unacknowledged
        guard acknowledged <= underWay else { return [.send(self.segment(.ack))] }
        lastActivity = now
        acknowledge(Int(acknowledged), window: Int(segment.window), now)
        guard isEstablished, !isOver else { return [] }
        // What is not the next octet, or has no room, is not taken, and said so: it comes again.
        var isNew = false
        if segment.sequence == expected, !hasPeerClosed, segment.data.count <= Int(Self.windowSize) - received.count {
            isNew = !segment.data.isEmpty || segment.flags.contains(.fin)
            received += segment.data
            expected = expected &+ UInt32(segment.data.count)
            if segment.flags.contains(.fin) {
                hasPeerClosed = true
                expected = expected &+ 1
            }
        }
        var actions = takeQuestions()
        let segments = transmit(now)
        if !isOver, segments.isEmpty, isNew || segment.sequence != expected || !segment.data.isEmpty { actions.append(.send(self.segment(.ack))) }
        return actions + segments
    }

    /// The answer to one of the questions; nil: there will be none.
    mutating func answer(_ message: [UInt8]?, now: UInt64) -> [Action] {
        questions -= 1
        guard !isOver else { return [] }
        lastActivity = now
        if isHTTP {
            outgoing += message ?? []
            isClosing = true
        } else if let message, message.count <= Int(UInt16.max) {
            outgoing.append(word16: UInt16(message.count))
            outgoing += message
        }
        // Questions that waited because too many were under way.
        return takeQuestions() + transmit(now)
    }

    mutating func tick(now: UInt64) -> [Action] {
        guard !isOver else { return [] }
        if let at = retransmitAt, now >= at {
            retries += 1
            if retries > Self.maximumRetries {
                isOver = true
                return [.send(segment([.rst, .ack]))]
            }
            retransmitAt = nil
            if !isEstablished { return accept(now) }
            next = unacknowledged
            hasFIN = false
            return transmit(now)
        }
        guard now - min(now, lastActivity) >= Self.idleTime, questions == 0 else { return [] }
        if !isEstablished || isClosing { isOver = true; return [] }
        isClosing = true
        lastActivity = now
        return transmit(now)
    }

    // MARK: - Parts

    private func segment(_ flags: TCPSegment.Flags) -> TCPSegment {
        TCPSegment(source: local, destination: remote, sequence: next, acknowledgement: expected, flags: flags, window: Self.windowSize)
    }

    private mutating func accept(_ now: UInt64) -> [Action] {
        var answer = segment([.syn, .ack])
        answer.sequence = unacknowledged
        answer.maximumSize = UInt16(clamping: segmentSize)
        next = unacknowledged &+ 1
        arm(now)
        return [.send(answer)]
    }

    /// `count` octets, and perhaps our SYN or FIN, which count one each, have arrived.
    private mutating func acknowledge(_ count: Int, window: Int, _ now: UInt64) {
        self.window = window
        guard count > 0 else { return }
        var left = count
        if !isEstablished {
            isEstablished = true
            left -= 1
        }
        let data = min(left, outgoing.count)
        outgoing.removeFirst(data)
        if left > data { isOver = true }
        unacknowledged = unacknowledged &+ UInt32(count)
        retries = 0
        retransmitAt = nil
        if next != unacknowledged { arm(now) }
    }

    private mutating func arm(_ now: UInt64) {
        if retransmitAt == nil { retransmitAt = now + Self.retransmissionTime << UInt64(retries) }
    }

    private mutating func takeQuestions() -> [Action] {
        if isHTTP {
            guard questions == 0, !isClosing, !received.isEmpty else { return [] }
            let reading = HTTPRequest.read(received)
            if reading == .more { return [] }
            questions = 1
            received = []
            return [.request(reading)]
        }
        var actions: [Action] = []
        while questions < Self.maximumQuestions, outgoing.count < Self.maximumOutgoing, received.count >= 2 {
            let length = Int(received[0]) << 8 | Int(received[1])
            // No question is longer than the window: whoever says so is no client of DNS.
            if length < DNSMessage.headerSize || length + 2 > Int(Self.windowSize) {
                isOver = true
                return [.send(segment([.rst, .ack]))]
            }
            guard received.count >= 2 + length else { break }
            actions.append(.ask(Array(received[2..<2 + length])))
            received.removeFirst(2 + length)
            questions += 1
        }
        return actions
    }

    /// What the client has room for, and our end when there is nothing more to come.
    private mutating func transmit(_ now: UInt64) -> [Action] {
        var actions: [Action] = []
        guard isEstablished, !isOver else { return [] }
        let limit = min(window, 10 * segmentSize)
        var sent = Int(next &- unacknowledged)
        while sent < outgoing.count, sent < limit {
            let count = min(segmentSize, outgoing.count - sent, limit - sent)
            var part = segment(sent + count == outgoing.count ? [.ack, .psh] : .ack)
            part.data = Array(outgoing[sent..<sent + count])
            actions.append(.send(part))
            sent += count
            next = next &+ UInt32(count)
        }
        if sent == outgoing.count, !hasFIN, isClosing || (hasPeerClosed && questions == 0) {
            actions.append(.send(segment([.fin, .ack])))
            next = next &+ 1
            hasFIN = true
        }
        if next != unacknowledged { arm(now) }
        return actions
    }
}
