/// The initiating side of a stream (RFC 6120): header, SASL SCRAM-SHA-256, restart, bind, then stanzas.
public struct ClientStream: StreamMachine {
    private enum State {
        case idle
        /// Our header is sent; `isAuthenticated` on the stream after SASL.
        case opening(isAuthenticated: Bool)
        case features(isAuthenticated: Bool)
        case authenticating(SCRAMClient)
        case binding(id: String)
        case established
        case ended
    }

    private let jid: JID
    private let password: String
    private let nonce: String?
    private var state = State.idle

    /// - Parameter jid: `account@domain/resource`; without a resource the server chooses one.
    public init(jid: JID, password: String, nonce: String? = nil) {
        self.jid = jid
        self.password = password
        self.nonce = nonce
    }

    public mutating func start() -> [StreamAction] { open(isAuthenticated: false) }

    private mutating func open(isAuthenticated: Bool) -> [StreamAction] {
        state = .opening(isAuthenticated: isAuthenticated)
        return [.send(StreamHeader.text(from: jid.bare.description, to: jid.domain, id: nil))]
    }

    public mutating func receive(_ event: StreamParser.Event) -> [StreamAction] {
        switch (state, event) {
        case (.ended, _): return []
        case (.opening(let isAuthenticated), .opened(let header)):
            if let error = StreamHeader.check(header) { return end(.failed(error)) }
            state = .features(isAuthenticated: isAuthenticated)
            return []
        case (_, .opened): return end(.failed(StreamError(.badFormat)))
        case (_, .failed(let error)): return end(.failed(error))
        case (_, .closed): return end(.closedByPeer)
        case (_, .element(let element)) where element.isNamed("error", namespace: Namespace.streams):
            return end(.failedByPeer(StreamError(element: element)))
        case (.features(let isAuthenticated), .element(let element)):
            guard element.isNamed("features", namespace: Namespace.streams) else { return negotiationFailed("no stream features") }
            return isAuthenticated ? bind(element) : authenticate(element)
        case (.authenticating(let exchange), .element(let element)): return respond(element, exchange)
        case (.binding(let id), .element(let element)): return bound(element, id: id)
        case (.established, .element(let element)): return stanza(element)
        case (.idle, .element), (.opening, .element): return end(.failed(StreamError(.badFormat)))
        }
    }

    private mutating func end(_ reason: SessionEnd) -> [StreamAction] {
        state = .ended
        return [.end(reason)]
    }

    private mutating func negotiationFailed(_ what: String) -> [StreamAction] { end(.negotiationFailed(what)) }
}

extension ClientStream {
    private mutating func authenticate(_ features: XMLElement) -> [StreamAction] {
        if features.child(named: "starttls", namespace: Namespace.tls)?.child(named: "required") != nil {
            return negotiationFailed("the server requires TLS")
        }
        let offered = features.child(named: "mechanisms", namespace: Namespace.sasl)?.children(named: "mechanism").map(\.text) ?? []
        guard offered.contains(SCRAM.mechanism) else {
            return negotiationFailed(
                "the server does not offer \(SCRAM.mechanism), but \(offered.isEmpty ? "nothing" : offered.joined(separator: ", "))")
        }
        guard let account = jid.local else { return negotiationFailed("\(jid) has no account part") }
        do throws(SCRAMError) {
            let exchange = try SCRAMClient(username: account, password: password, nonce: nonce)
            state = .authenticating(exchange)
            return .send(XMLElement("auth", namespace: Namespace.sasl, ["mechanism": SCRAM.mechanism], text: Base64.encode(exchange.first.utf8)))
        } catch {
            return end(.authenticationFailed(error.description))
        }
    }

    private mutating func respond(_ element: XMLElement, _ exchange: SCRAMClient) -> [StreamAction] {
        guard element.namespace == Namespace.sasl else { return negotiationFailed("<\(element.name)/> during SASL") }
        if element.name == "failure" { return end(.authenticationFailed("\(SASLFailure(element: element))")) }
        guard let bytes = Base64.decode(element.text), let text = String(validating: bytes, as: UTF8.self) else {
            return negotiationFailed("a SASL message that is not base 64")
        }
        var exchange = exchange
        do throws(SCRAMError) {
            switch element.name {
            case "challenge":
                let response = try exchange.respond(to: text)
                state = .authenticating(exchange)
                return .send(XMLElement("response", namespace: Namespace.sasl, text: Base64.encode(response.utf8)))
            case "success":
                try exchange.verify(text)
                return [.restart] + open(isAuthenticated: true)
            default: return negotiationFailed("SASL <\(element.name)/>")
            }
        } catch {
            return end(.authenticationFailed(error.description))
        }
    }

    private mutating func bind(_ features: XMLElement) -> [StreamAction] {
        guard features.child(named: "bind", namespace: Namespace.bind) != nil else { return negotiationFailed("the server does not offer to bind") }
        let id = "bind"
        state = .binding(id: id)
        let payload = XMLElement("bind", namespace: Namespace.bind) {
            if let resource = jid.resource { XMLElement("resource", text: resource) }
        }
        return .send(IQ(.set, id: id, payload: payload).element)
    }

    private mutating func bound(_ element: XMLElement, id: String) -> [StreamAction] {
        guard case .iq(let iq)? = try? Stanza(element: element), iq.id == id else {
            return negotiationFailed("<\(element.name)/> before the resource is bound")
        }
        if let error = iq.error { return negotiationFailed("the server does not bind '\(jid)': \(error)") }
        guard iq.kind == .result, let text = iq.payload?.child(named: "jid")?.text, let local = JID(text), local.resource != nil,
            let server = JID(domain: local.domain)
        else { return negotiationFailed("the server bound no full address") }
        state = .established
        return [.established(local: local, peer: server)]
    }

    private mutating func stanza(_ element: XMLElement) -> [StreamAction] {
        do {
            return [.deliver(try Stanza(element: element))]
        } catch {
            switch error {
            case .unsupported: return end(.failed(StreamError(.unsupportedStanzaType, "<\(element.name)/>")))
            case .invalid(let error):
                guard element.name == "iq", let id = element["id"] else { return [] }
                var reply = XMLElement("iq", namespace: Namespace.client, ["type": "error", "id": id])
                reply["to"] = element["from"]
                reply.append(error.element)
                return .send(reply)
            case .ignored: return []
            }
        }
    }
}
