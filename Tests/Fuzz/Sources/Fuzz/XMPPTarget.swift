import XMPP

/// An XMPP stream in pieces: what comes out as a stanza can be written and read again, and is the same.
func xmppTarget(_ input: UnsafeRawBufferPointer) {
    guard let first = input.first else { return }
    // The first octet is the size of the pieces.
    let size = Int(first) + 1
    let limits = StreamParser.Limits(stanza: 4096, token: 1024, depth: 16, elements: 256)
    let whole = events(Array(input.dropFirst()), size: .max, limits), pieces = events(Array(input.dropFirst()), size: size, limits)
    require(whole == pieces, "in pieces of \(size): \(pieces), else \(whole)")
    for event in whole {
        guard case .element(let element) = event else { continue }
        if let stanza = try? Stanza(element: element) {
            require((try? Stanza(element: stanza.element)) == stanza, "\(stanza) is not what it is written as")
            if case .iq(let iq) = stanza { _ = try? PubSub.Request(iq) }
            if case .message(let message) = stanza { _ = PubSub.Event(message) }
        }
    }
}

private func events(_ octets: [UInt8], size: Int, _ limits: StreamParser.Limits) -> [StreamParser.Event] {
    let parser = StreamParser(limits: limits)
    var out: [StreamParser.Event] = []
    var at = 0
    while at < octets.count {
        let end = size < octets.count - at ? at + size : octets.count
        out += parser.feed(octets[at..<end])
        at = end
    }
    // Which of its faults a stream dies of may depend on how much of it is seen at once.
    return out.map { if case .failed = $0 { .failed(StreamError(.undefinedCondition)) } else { $0 } }
}
