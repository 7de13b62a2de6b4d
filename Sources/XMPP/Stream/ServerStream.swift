/// The receiving side of a stream (RFC 6120): header, SASL, restart, bind, then stanzas.
///
///     header → features(mechanisms) → auth ⇄ challenge/response → success, restart → header → features(bind) → bind → established
///
/// Each state holds what has meaning in it and nothing else. A further step of negotiation (STARTTLS before SASL, another mechanism) is a
/// state, and a feature in `features`.
public struct ServerStream: StreamMachine {
    public struct Configuration: Sendable {
        public var domain: String
        public var credentials: @Sendable (String) -> SCRAMCredential?
        /// See `SCRAMServer`; the same for all streams of a server.
        public var decoySecret: [UInt8]

        public init(domain: String, decoySecret: [UInt8], credentials: @escaping @Sendable (String) -> SCRAMCredential?) {
            self.domain = domain
            self.decoySecret = decoySecret
            self.credentials = credentials
        }
    }

    private enum State {
        /// Waiting for the header of the first stream, or with a user of the one after SASL.
        case header(user: String?)
        /// SASL mechanisms are offered.
        case mechanisms
        case challenged(SCRAMServer)
        /// Binding a resource is offered.
        case bind(user: String)
        case established(JID)
        case ended
    }

    private let configuration: Configuration
    private let domain: JID
    private let streamID: @Sendable () -> String
    private var state = State.header(user: nil)
    private var failedLogins = 0
    private var hasSentHeader = false

    /// RFC 6120 section 6.4.5 recommends 2 to 5 retries.
    private static let maximumLogins = 3

    /// nil when the configured domain is not one.
    /// - Parameter streamID: a new, unpredictable stream id at each call (RFC 6120 section 4.7.3).
    public init?(_ configuration: Configuration, streamID: (@Sendable () -> String)? = nil) {
        guard let domain = JID(domain: configuration.domain) else { return nil }
        self.configuration = configuration
        self.domain = domain
        self.streamID = streamID ?? { SCRAM.randomNonce() }
    }

    public mutating func start() -> [StreamAction] { [] }

    public mutating func receive(_ event: StreamParser.Event) -> [StreamAction] {
        switch (state, event) {
        case (.ended, _): []
        case (.header(let user), .opened(let header)): opened(header, user: user)
        case (_, .opened): fail(StreamError(.badFormat))
        case (_, .failed(let error)): fail(error)
        case (_, .closed): end(.closedByPeer)
        case (.header, .element): fail(StreamError(.badFormat))
        case (.mechanisms, .element(let element)): authenticate(element)
        case (.challenged(let exchange), .element(let element)): respond(element, exchange)
        case (.bind(let user), .element(let element)): bind(element, user: user)
        case (.established(let peer), .element(let element)): stanza(element, from: peer)
        }
    }

    /// Ends the stream with an error. The peer gets our header first, for an error lives inside a stream (RFC 6120 section 4.9.1.2).
    private mutating func fail(_ error: StreamError) -> [StreamAction] {
        let header: [StreamAction] = hasSentHeader ? [] : [.send(sendHeader(to: nil))]
        return header + end(.failed(error))
    }

    private mutating func end(_ reason: SessionEnd) -> [StreamAction] {
        state = .ended
        return [.end(reason)]
    }

    private mutating func sendHeader(to: String?) -> String {
        hasSentHeader = true
        return StreamHeader.text(from: domain.description, to: to, id: streamID())
    }
}

extension ServerStream {
    private mutating func opened(_ header: StreamParser.Header, user: String?) -> [StreamAction] {
        if let error = StreamHeader.check(header) { return fail(error) }
        guard let to = header.attributes["to"] else { return fail(StreamError(.improperAddressing, "the stream header needs 'to'")) }
        guard let host = JID(to) else { return fail(StreamError(.improperAddressing, "'to' is not an address")) }
        guard host == domain else { return fail(StreamError(.hostUnknown, "this is \(domain)")) }
        let from = header.attributes["from"].flatMap { JID($0) }
        if let user, let local = from?.local, local != user { return fail(StreamError(.invalidFrom, "'from' is not who logged in")) }
        let answer = sendHeader(to: from?.description)
        let features: XMLElement
        if let user {
            state = .bind(user: user)
            features = XMLElement("features", namespace: Namespace.streams) { XMLElement("bind", namespace: Namespace.bind) }
        } else {
            state = .mechanisms
            features = XMLElement("features", namespace: Namespace.streams) {
                XMLElement("mechanisms", namespace: Namespace.sasl) { XMLElement("mechanism", text: SCRAM.mechanism) }
            }
        }
        return [.send(answer)] + .send(features)
    }

    private mutating func authenticate(_ element: XMLElement) -> [StreamAction] {
        guard element.namespace == Namespace.sasl else { return refuseBeforeLogin(element) }
        guard element.name == "auth" else { return refuse(SASLFailure(.malformedRequest, "<\(element.name)/> before <auth/>")) }
        guard element["mechanism"] == SCRAM.mechanism else { return refuse(SASLFailure(.invalidMechanism, "offered: \(SCRAM.mechanism)")) }
        guard let first = Self.decode(element) else { return refuse(SASLFailure(.incorrectEncoding)) }
        guard !first.isEmpty else { return refuse(SASLFailure(.malformedRequest, "\(SCRAM.mechanism) starts with the client's message")) }
        var exchange = SCRAMServer(decoySecret: configuration.decoySecret)
        do throws(SCRAMError) {
            let challenge = try exchange.challenge(for: first, credentials: configuration.credentials)
            state = .challenged(exchange)
            return .send(XMLElement("challenge", namespace: Namespace.sasl, text: Base64.encode(challenge.utf8)))
        } catch {
            return refuse(SASLFailure(error))
        }
    }

    private mutating func respond(_ element: XMLElement, _ exchange: SCRAMServer) -> [StreamAction] {
        guard element.namespace == Namespace.sasl else { return refuseBeforeLogin(element) }
        switch element.name {
        case "response": break
        case "abort": return refuse(SASLFailure(.aborted))
        default: return refuse(SASLFailure(.malformedRequest, "<response/> is expected"))
        }
        guard let final = Self.decode(element) else { return refuse(SASLFailure(.incorrectEncoding)) }
        var exchange = exchange
        do throws(SCRAMError) {
            let (user, proof) = try exchange.verify(final)
            guard let account = JID(local: user, domain: domain.domain)?.local else { return refuse(SASLFailure(.notAuthorized)) }
            state = .header(user: account)
            return .send(XMLElement("success", namespace: Namespace.sasl, text: Base64.encode(proof.utf8))) + [.restart]
        } catch {
            return refuse(SASLFailure(error))
        }
    }

    /// The text of a SASL element; `=` is an empty one (RFC 6120 section 6.4.2).
    private static func decode(_ element: XMLElement) -> String? {
        let text = element.text
        guard let bytes = text == "=" ? [] : Base64.decode(text) else { return nil }
        return String(validating: bytes, as: UTF8.self)
    }

    private mutating func refuse(_ failure: SASLFailure) -> [StreamAction] {
        state = .mechanisms
        failedLogins += 1
        let answer: [StreamAction] = .send(failure.element)
        guard failedLogins < Self.maximumLogins else { return answer + fail(StreamError(.policyViolation, "\(failedLogins) failed logins")) }
        return answer
    }

    /// RFC 6120 section 4.9.3.12: stanzas before login are not-authorized.
    private mutating func refuseBeforeLogin(_ element: XMLElement) -> [StreamAction] {
        if element.namespace == Namespace.client, ["iq", "message", "presence"].contains(element.name) {
            return fail(StreamError(.notAuthorized, "log in first"))
        }
        return fail(StreamError(.unsupportedStanzaType, "<\(element.name)/>"))
    }
}

extension ServerStream {
    /// RFC 6120 section 7: the one stanza that is possible before there is an address.
    private mutating func bind(_ element: XMLElement, user: String) -> [StreamAction] {
        let iq: IQ
        switch Result(catching: { () throws(StanzaDecodingError) in try Stanza(element: element) }) {
        case .success(.iq(let request)): iq = request
        case .failure(.unsupported): return fail(StreamError(.unsupportedStanzaType, "<\(element.name)/>"))
        case .failure(.invalid(let error)): return Self.reply(to: element, with: error)
        case .success, .failure(.ignored): return fail(StreamError(.notAuthorized, "bind a resource first"))
        }
        guard iq.kind == .set, let payload = iq.payload, payload.isNamed("bind", namespace: Namespace.bind) else {
            return fail(StreamError(.notAuthorized, "bind a resource first"))
        }
        let wanted = payload.child(named: "resource")?.text ?? ""
        let resource = wanted.isEmpty ? streamID() : wanted
        guard let jid = JID(local: user, domain: domain.domain, resource: resource) else {
            return .send(iq.failure(StanzaError(.badRequest, "the resource is not valid")).element)
        }
        state = .established(jid)
        let result = iq.result(XMLElement("bind", namespace: Namespace.bind) { XMLElement("jid", text: jid.description) })
        return .send(result.element) + [.established(local: domain, peer: jid)]
    }

    private mutating func stanza(_ element: XMLElement, from peer: JID) -> [StreamAction] {
        var stanza: Stanza
        do {
            stanza = try Stanza(element: element)
        } catch {
            switch error {
            case .unsupported: return fail(StreamError(.unsupportedStanzaType, "<\(element.name)/>"))
            case .invalid(let error): return Self.reply(to: element, with: error)
            case .ignored: return []
            }
        }
        // RFC 6120 section 8.1.2.1: no 'from', or the sender's own; the full address is put in its place.
        if let from = stanza.from, from != peer, from != peer.bare { return fail(StreamError(.invalidFrom, "'from' is not \(peer)")) }
        stanza.from = peer
        if let to = stanza.to, to.domain != domain.domain {
            return Self.reply(to: element, with: StanzaError(.remoteServerNotFound, "only addresses in \(domain) are served"))
        }
        if case .iq(let iq) = stanza, iq.isRequest, iq.payload?.namespace == Namespace.bind {
            return .send(iq.failure(StanzaError(.notAllowed, "a resource is bound already")).element)
        }
        return [.deliver(stanza)]
    }

    /// An error for a stanza that was not understood; none for one that is an answer itself (RFC 6120 section 8.3.1).
    private static func reply(to element: XMLElement, with error: StanzaError) -> [StreamAction] {
        guard element["type"] != "error", element["type"] != "result" || element.name != "iq" else { return [] }
        var reply = XMLElement(element.name, namespace: Namespace.client, ["type": "error"])
        reply["id"] = element["id"]
        reply["from"] = element["to"]
        reply.append(error.element)
        return .send(reply)
    }
}
