import Overlay
import XMPP

/// An XMPP stream in pieces: what comes out as a stanza can be written and read again, and is the same; so is a route or an object in one.
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
            // What is in no namespace takes its parent's when it is written, as RFC 6120 section 8.4 knows no such content.
            require(!isQualified(element) || (try? Stanza(element: stanza.element)) == stanza, "\(stanza) is not what it is written as")
            if case .iq(let iq) = stanza, case .publish(let node, let items)? = try? PubSub.Request(iq) {
                for item in items { if let payload = item.payload { published(payload, node) } }
            }
            if case .message(let message) = stanza { _ = PubSub.Event(message) }
        }
    }
}

private func isQualified(_ element: XMLElement) -> Bool { !element.namespace.isEmpty && element.elements.allSatisfy(isQualified) }

/// A route as agents publish it, or an object as controllers tell it.
private func published(_ payload: XMLElement, _ text: String) {
    if let node = RouteNode(text) { require(RouteNode(node.description) == node, "node \(text)") }
    if let route = try? RouteAdvertisement(entry: payload, vrf: "blue") {
        let again = try? RouteAdvertisement(entry: route.entry, vrf: "blue")
        require(again == route, "\(route) is read as \(again.map { "\($0)" } ?? "nothing")")
        require(RouteNode(route.node)?.destination == route.destination, "node \(route.node) of \(route)")
    }
    if let object = try? ConfigObject(element: payload) { require((try? ConfigObject(element: object.element)) == object, "\(object)") }
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
