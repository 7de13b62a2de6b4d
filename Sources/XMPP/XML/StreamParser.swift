import CExpat

/// Bytes of an XMPP stream in, whole stanzas out.
///
/// A stream is one XML document that stays open: the root element is the stream, its children are the stanzas. libexpat does the XML;
/// what is around it here is RFC 6120 section 11 (no DTD, comment, processing instruction or entity other than the five; UTF-8 only) and
/// the limits that XML itself does not have: nesting, bytes of a stanza, bytes of a tag, elements in a stanza. The limits are checked
/// before the bytes are parsed, so a stanza that is too big costs no more than the limit.
///
/// The first error is final: later bytes are ignored. A stream restart (after SASL or TLS) is a new parser.
///
/// Thread-safety: none; one parser belongs to one task. libexpat calls back only while `feed` runs, and the only thing that is done to the
/// parser from a callback is to stop it, which is allowed there.
public final class StreamParser {
    /// What opens a stream: the root element without its children.
    public struct Header: Hashable, Sendable {
        public var name: String
        public var namespace: String
        /// The default namespace that the root declares: that of the stanzas.
        public var contentNamespace: String
        public var attributes: [String: String]
    }

    public enum Event: Hashable, Sendable {
        case opened(Header)
        case element(XMLElement)
        case closed
        case failed(StreamError)
    }

    public struct Limits: Hashable, Sendable {
        public var stanza: Int
        public var token: Int
        public var depth: Int
        public var elements: Int
        public init(stanza: Int, token: Int = 64 << 10, depth: Int = 32, elements: Int = 65_536) {
            self.stanza = stanza
            self.token = token
            self.depth = depth
            self.elements = elements
        }
    }

    private let parser: XML_Parser
    private let limits: Limits
    private var events: [Event] = []
    private var error: StreamError?

    /// Elements that are open, below the root.
    private var open: [XMLElement] = []
    /// Text of the innermost of them since its last child: expat gives a line, an entity, the rest of a chunk at a time.
    private var pendingText = ""
    private var depth = 0
    private var elementCount = 0
    private var contentNamespace = ""

    /// Bytes given to expat; where the last stanza ended; where the last callback happened (a tag is incomplete since then).
    private var fed = 0
    private var stanzaStart = 0
    private var tokenStart = 0

    /// Between a namespace and a name in what expat reports; not a character of XML.
    private static let separator: UInt8 = 1
    /// Bytes given to expat at once. The stanza boundary is looked at in between.
    private static let slice = 16 << 10

    public init(limits: Limits) {
        // The only failure is that there is no memory.
        guard let parser = XML_ParserCreateNS("UTF-8", XML_Char(bitPattern: Self.separator)) else { fatalError("libexpat: out of memory") }
        self.parser = parser
        self.limits = limits
        cexpat_set_limits(parser, 2, 1 << 20)
        XML_SetUserData(parser, Unmanaged.passUnretained(self).toOpaque())
        setHandlers()
    }

    deinit { XML_ParserFree(parser) }

    /// Parses bytes and returns what they complete.
    public func feed(_ bytes: some Sequence<UInt8>) -> [Event] {
        if let events = bytes.withContiguousStorageIfAvailable({ feed(buffer: $0) }) { return events }
        return Array(bytes).withUnsafeBufferPointer { feed(buffer: $0) }
    }

    private func feed(buffer bytes: UnsafeBufferPointer<UInt8>) -> [Event] {
        // expat recognizes UTF-16 by itself, by the first two octets, also when it was told UTF-8. None of its signs is a byte of a UTF-8 document.
        if fed < 2, bytes.prefix(2 - fed).contains(where: { $0 == 0 || $0 >= 0xFE }) { fail(StreamError(.unsupportedEncoding, "streams are UTF-8")) }
        var rest = bytes[...]
        while error == nil, !rest.isEmpty {
            let room = min(limits.stanza - (fed - stanzaStart), limits.token - (fed - tokenStart), Self.slice)
            guard room > 0 else {
                fail(.stanzaTooBig)
                break
            }
            let part = UnsafeBufferPointer(rebasing: rest.prefix(room))
            rest = rest.dropFirst(room)
            fed += part.count
            parse(part)
        }
        defer { events = [] }
        return events
    }

    private func parse(_ bytes: UnsafeBufferPointer<UInt8>) {
        let status = bytes.withMemoryRebound(to: CChar.self) { XML_Parse(parser, $0.baseAddress, Int32($0.count), 0) }
        if status == XML_STATUS_ERROR { fail(StreamError(expat: XML_GetErrorCode(parser))) }
    }

    /// Ends the parsing. The first error counts: stopping the parser makes expat report one of its own.
    fileprivate func fail(_ error: StreamError) {
        guard self.error == nil else { return }
        self.error = error
        events.append(.failed(error))
        XML_StopParser(parser, XML_Bool(XML_FALSE))
    }

    /// The offset behind the token that expat is at.
    private var position: Int { Int(XML_GetCurrentByteIndex(parser)) + Int(XML_GetCurrentByteCount(parser)) }
}

extension StreamError {
    /// XEP-0205 section 3.5 names this condition; RFC 6120 section 13.12 the policy.
    static let stanzaTooBig = StreamError(
        .policyViolation, "too big", application: XMLElement("stanza-too-big", namespace: "urn:xmpp:errors"))

    fileprivate init(expat code: XML_Error) {
        let text = XML_ErrorString(code).map { String(cString: $0) }
        switch code {
        case XML_ERROR_UNDEFINED_ENTITY: self.init(.restrictedXML, text)
        case XML_ERROR_UNKNOWN_ENCODING, XML_ERROR_INCORRECT_ENCODING: self.init(.unsupportedEncoding, text)
        case XML_ERROR_NO_MEMORY, XML_ERROR_AMPLIFICATION_LIMIT_BREACH: self.init(.policyViolation, text)
        default: self.init(.notWellFormed, text)
        }
    }
}

// What expat calls. Each function is given the parser as its user data.
extension StreamParser {
    fileprivate static func from(_ data: UnsafeMutableRawPointer?) -> StreamParser? {
        data.map { Unmanaged<StreamParser>.fromOpaque($0).takeUnretainedValue() }
    }

    private func setHandlers() {
        XML_SetElementHandler(
            parser, { data, name, attributes in StreamParser.from(data)?.start(name, attributes) }, { data, _ in StreamParser.from(data)?.end() })
        XML_SetCharacterDataHandler(parser) { data, bytes, count in
            StreamParser.from(data)?.text(UnsafeBufferPointer(start: bytes, count: Int(count)))
        }
        XML_SetStartNamespaceDeclHandler(parser) { data, prefix, uri in
            guard prefix == nil, let parser = StreamParser.from(data), parser.depth == 0 else { return }
            parser.contentNamespace = uri.map { String(cString: $0) } ?? ""
        }
        XML_SetXmlDeclHandler(parser) { data, _, encoding, _ in
            // Null for a declaration that names none, which is UTF-8.
            guard let encoding, String(cString: encoding).lowercased() != "utf-8" else { return }
            StreamParser.from(data)?.fail(StreamError(.unsupportedEncoding, "streams are UTF-8"))
        }
        XML_SetStartDoctypeDeclHandler(parser) { data, _, _, _, _ in StreamParser.from(data)?.restricted("document type declaration") }
        XML_SetCommentHandler(parser) { data, _ in StreamParser.from(data)?.restricted("comment") }
        XML_SetProcessingInstructionHandler(parser) { data, _, _ in StreamParser.from(data)?.restricted("processing instruction") }
        XML_SetSkippedEntityHandler(parser) { data, _, _ in StreamParser.from(data)?.restricted("entity") }
    }

    private func restricted(_ what: String) { fail(StreamError(.restrictedXML, "\(what) in a stream")) }

    private func start(_ name: UnsafePointer<XML_Char>?, _ pairs: UnsafeMutablePointer<UnsafePointer<XML_Char>?>?) {
        guard error == nil, let name else { return }
        tokenStart = position
        flushText()
        depth += 1
        guard depth <= limits.depth else { return fail(StreamError(.policyViolation, "elements nested more than \(limits.depth) deep")) }
        var element = XMLElement("")
        (element.namespace, element.name) = split(name)
        if var pair = pairs {
            while let key = pair[0], let value = pair[1] {
                let (namespace, local) = split(key)
                element.attributes[namespace.isEmpty ? local : "{\(namespace)}\(local)"] = String(cString: value)
                pair += 2
            }
        }
        if depth == 1 {
            stanzaStart = position
            events.append(
                .opened(
                    Header(
                        name: element.name, namespace: element.namespace, contentNamespace: contentNamespace, attributes: element.attributes)))
        } else {
            elementCount += 1
            guard elementCount <= limits.elements else { return fail(.stanzaTooBig) }
            open.append(element)
        }
    }

    private func end() {
        guard error == nil else { return }
        tokenStart = position
        flushText()
        depth -= 1
        guard let element = open.popLast() else {
            stanzaStart = position
            return events.append(.closed)
        }
        if open.isEmpty {
            stanzaStart = position
            elementCount = 0
            events.append(.element(element))
        } else {
            open[open.count - 1].children.append(.element(element))
        }
    }

    private func text(_ bytes: UnsafeBufferPointer<XML_Char>) {
        guard error == nil else { return }
        tokenStart = position
        if open.isEmpty {
            // Between stanzas: white space keeps a connection alive (RFC 6120 section 4.6.1), anything else is not XMPP.
            guard bytes.allSatisfy({ $0 == 0x20 || $0 == 0x09 || $0 == 0x0A || $0 == 0x0D }) else {
                return fail(StreamError(.badFormat, "text between stanzas"))
            }
            stanzaStart = position
            return
        }
        bytes.withMemoryRebound(to: UInt8.self) { pendingText += String(decoding: $0, as: UTF8.self) }
    }

    private func flushText() {
        guard !pendingText.isEmpty else { return }
        if !open.isEmpty { open[open.count - 1].children.append(.text(pendingText)) }
        pendingText = ""
    }

    /// `namespace \u{1} name`, or a name in no namespace.
    private func split(_ pointer: UnsafePointer<XML_Char>) -> (namespace: String, name: String) {
        var count = 0
        while pointer[count] != 0 { count += 1 }
        let bytes = UnsafeBufferPointer(start: pointer, count: count)
        return bytes.withMemoryRebound(to: UInt8.self) { bytes in
            guard let cut = bytes.firstIndex(of: Self.separator) else { return ("", String(decoding: bytes, as: UTF8.self)) }
            return (String(decoding: bytes[..<cut], as: UTF8.self), String(decoding: bytes[(cut + 1)...], as: UTF8.self))
        }
    }
}
