@testable import AgentServices

/// The agent's end of a TCP connection, and a client that may lie. The first octet says which service it is and how long segments may be; then come steps: what the client does, two
/// octets that vary it, two of length, and data.
///
/// Required: what the server sends is its answers in their order, each octet in its place however often it is sent, within the client's window and in segments no larger than agreed;
/// what it asks is what the client sent, in order; it has no more questions under way than it may; and left alone it ends.
@MainActor struct ConnectionTarget {
    private enum Step: UInt8, CaseIterable { case data, acknowledge, fin, wait, answer, noAnswer, reset, anything }

    private var state: DNSConnection
    private let isHTTP: Bool
    private let segmentSize: Int
    private static let initial: UInt32 = 0xFFFF_FE00, first: UInt32 = 0xFFFF_FFF0
    private static let client: UInt16 = 40_000, server: UInt16 = 53
    private var now: UInt64 = 1000
    /// What the server has taken of the client's octets, in order, and how much of the client's stream that is with SYN and FIN.
    private var taken: [UInt8] = []
    private var next: UInt32
    /// What the server has to send, and what of it the client has.
    private var answers: [UInt8] = []
    private var acknowledged: UInt32 = initial
    private var highest: UInt32 = initial
    private var window = 0
    private var asked: [UInt8] = []
    private var questions = 0, requests = 0

    static func run(_ input: UnsafeRawBufferPointer) {
        guard input.count > 1 else { return }
        var reader = WireReader(Array(input)), target = ConnectionTarget(reader.octet() ?? 0)
        while let how = reader.octet(), let a = reader.octet(), let b = reader.octet(), let length = reader.word16(), !target.state.isOver {
            let data = reader.take(min(Int(length), reader.remaining)).map { Array($0) } ?? []
            target.step(Step.allCases[Int(how & 7)], UInt16(a) << 8 | UInt16(b), data)
        }
        target.end()
    }

    private init(_ how: UInt8) {
        isHTTP = how & 1 != 0
        segmentSize = 64 + Int(how >> 1) * 9
        var syn = TCPSegment(source: Self.client, destination: Self.server, sequence: Self.first, acknowledgement: 0, flags: .syn, window: 4000)
        syn.maximumSize = how & 2 != 0 ? 100 : nil
        state = DNSConnection(syn, segmentSize: segmentSize, initial: Self.initial, isHTTP: isHTTP, now: now)
        next = Self.first &+ 1
        let actions = state.received(syn, now: now)
        guard case .send(let segment)? = actions.first, actions.count == 1 else { fatalError("\(actions) to a SYN") }
        require(segment.flags == [.syn, .ack] && segment.acknowledgement == next && segment.sequence == Self.initial, "\(segment)")
        highest = Self.initial &+ 1
    }

    private mutating func step(_ step: Step, _ number: UInt16, _ data: [UInt8]) {
        switch step {
        case .data: receive(segment(.ack, window: number, data))
        case .acknowledge:
            // As much of what was sent as the number says.
            let outstanding = highest &- acknowledged
            acknowledged = acknowledged &+ min(outstanding, UInt32(number & 0x7FFF))
            receive(segment(.ack, window: number & 0x8000 != 0 ? 0 : 4000, []))
        case .fin: receive(segment([.ack, .fin], window: number, data))
        case .wait:
            now += UInt64(number)
            perform(state.tick(now: now))
        case .answer: answer(data)
        case .noAnswer: answer(nil)
        case .reset:
            var rst = segment(.rst, window: 0, [])
            rst.sequence = rst.sequence &+ UInt32(number)
            perform(state.received(rst, now: now))
            require(state.isOver == (number == 0), "a reset \(number) octets off")
        case .anything:
            // As it comes: the client's word for its own numbers.
            guard var segment = TCPSegment(data) else { return }
            segment.source = Self.client
            segment.destination = Self.server
            if number & 1 != 0 { segment.sequence = next }
            if number & 2 != 0 { segment.acknowledgement = acknowledged }
            receive(segment)
        }
    }

    private func segment(_ flags: TCPSegment.Flags, window: UInt16, _ data: [UInt8]) -> TCPSegment {
        var out = TCPSegment(
            source: Self.client, destination: Self.server, sequence: next, acknowledgement: acknowledged, flags: flags, window: window)
        out.data = data
        return out
    }

    private mutating func receive(_ segment: TCPSegment) {
        if segment.flags.contains(.ack) { window = max(window, Int(segment.window)) }
        let before = next, actions = state.received(segment, now: now)
        // What the server acknowledges it has taken: all of the segment, or nothing.
        for case .send(let answer) in actions where !answer.flags.contains(.rst) {
            guard answer.acknowledgement != next else { continue }
            let fin: UInt32 = segment.flags.contains(.fin) ? 1 : 0
            require(
                next == before && segment.sequence == before && answer.acknowledgement == before &+ UInt32(segment.data.count) &+ fin,
                "\(answer.acknowledgement) is acknowledged, \(segment) was sent")
            next = answer.acknowledgement
            taken += segment.data
        }
        let past = segment.acknowledgement &- acknowledged
        if segment.flags.contains(.ack), past <= highest &- acknowledged { acknowledged = segment.acknowledgement }
        perform(actions)
    }

    private mutating func answer(_ message: [UInt8]?) {
        guard questions > 0 else { return }
        questions -= 1
        if let message { answers += isHTTP ? message : [UInt8(message.count >> 8), UInt8(message.count & 0xFF)] + message }
        perform(state.answer(message, now: now))
    }

    private mutating func perform(_ actions: [DNSConnection.Action]) {
        for action in actions {
            switch action {
            case .send(let segment): check(segment)
            case .ask(let message):
                require(!isHTTP && message.count >= DNSMessage.headerSize, "a question of \(message.count) octets")
                questions += 1
                asked += [UInt8(message.count >> 8), UInt8(message.count & 0xFF)] + message
                // The last segment's octets are known to be taken by the acknowledgement, which a connection that ends may not send.
                require(state.isOver || taken.starts(with: asked), "asks what was not sent")
            case .request(let reading):
                require(isHTTP && reading != .more, "half a request")
                questions += 1
                requests += 1
                require(state.isOver || HTTPRequest.read(taken) == reading, "asks what was not sent: \(reading)")
            }
        }
        require(questions <= (isHTTP ? 1 : DNSConnection.maximumQuestions) && requests <= 1, "\(questions) questions, \(requests) requests")
    }

    private mutating func check(_ segment: TCPSegment) {
        require(segment.source == Self.server && segment.destination == Self.client, "\(segment)")
        require(TCPSegment(segment.octets) == segment, "\(segment) is not read as it is written")
        if segment.flags.contains(.rst) { return require(segment.data.isEmpty, "\(segment)") }
        if segment.flags.contains(.syn) { return require(segment.sequence == Self.initial && segment.data.isEmpty, "\(segment)") }
        let at = Int(segment.sequence &- Self.initial &- 1), end = at + segment.data.count
        if !segment.data.isEmpty {
            require(
                end <= answers.count && answers[at..<end].elementsEqual(segment.data),
                "octets \(at) to \(end) of \(answers.count) are others: \(segment)")
            require(segment.data.count <= segmentSize, "\(segment.data.count) octets, \(segmentSize) are agreed")
            require(end - Int(acknowledged &- Self.initial &- 1) <= window, "\(end) octets, window \(window)")
        }
        if segment.flags.contains(.fin) { require(end == answers.count, "ends after \(end) of \(answers.count) octets") }
        let after = segment.sequence &+ UInt32(segment.data.count) &+ (segment.flags.contains(.fin) ? 1 : 0)
        if Int32(bitPattern: after &- highest) > 0 { highest = after }
    }

    /// The client says no more.
    private mutating func end() {
        while questions > 0, !state.isOver { answer(nil) }
        for _ in 0..<64 where !state.isOver {
            now += DNSConnection.idleTime
            perform(state.tick(now: now))
            while questions > 0, !state.isOver { answer(nil) }
        }
        require(state.isOver, "never ends")
    }
}
