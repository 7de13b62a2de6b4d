import NetTypes

/// A DNS message (RFC 1035 section 4), read far enough to answer it, keep it and cut it: the header, the one question, and where the records are.
///
/// ```
///  0  id    2  QR opcode AA TC RD | RA Z AD CD RCODE    4  QDCOUNT   6  ANCOUNT   8  NSCOUNT   10  ARCOUNT   12  question, records
/// ```
struct DNSMessage: Hashable, Sendable {
    enum ResponseCode: UInt16, Sendable { case noError = 0, formatError, serverFailure, nameError, notImplemented, refused }
    enum Kind {
        static let a: UInt16 = 1, ns: UInt16 = 2, soa: UInt16 = 6, ptr: UInt16 = 12, aaaa: UInt16 = 28, opt: UInt16 = 41
        static let ixfr: UInt16 = 251, axfr: UInt16 = 252, any: UInt16 = 255
    }
    struct Question: Hashable, Sendable {
        var name: DNSName
        var kind: UInt16
        var classNumber: UInt16
    }
    /// A record, by its place: rewriting it must not touch names elsewhere that point into it.
    struct Record: Hashable, Sendable {
        enum Section: Sendable { case answer, authority, additional }
        var section: Section
        var kind: UInt16
        var ttl: UInt32
        /// Where the TTL is.
        var ttlAt: Int
        var start: Int
        var data: Range<Int>
    }

    let octets: [UInt8]
    let id: UInt16
    let flags: UInt16
    /// Nil: the question section has not exactly one.
    private(set) var question: Question?
    /// Where the records begin.
    private(set) var bodyAt = 12
    private(set) var records: [Record] = []

    static let headerSize = 12

    var isResponse: Bool { flags & 0x8000 != 0 }
    var opcode: UInt16 { flags >> 11 & 15 }
    var isTruncated: Bool { flags & 0x0200 != 0 }
    var wantsRecursion: Bool { flags & 0x0100 != 0 }
    var disablesChecks: Bool { flags & 0x0010 != 0 }
    var responseCode: UInt16 { flags & 15 }
    var options: Record? { records.first { $0.section == .additional && $0.kind == Kind.opt } }

    /// Nil when not even the header is there, or a count promises more than there is. Octets after the last record are ignored.
    init?(_ octets: [UInt8]) {
        guard octets.count <= 65_535 else { return nil }
        self.octets = octets
        var reader = WireReader(octets)
        guard let id = reader.word16(), let flags = reader.word16(), let questions = reader.word16(), let answers = reader.word16(),
            let authorities = reader.word16(), let additional = reader.word16()
        else { return nil }
        (self.id, self.flags) = (id, flags)
        guard questions == 1 else { return }
        guard let name = DNSName.read(&reader), let kind = reader.word16(), let classNumber = reader.word16() else { return nil }
        question = Question(name: name, kind: kind, classNumber: classNumber)
        bodyAt = reader.at
        for (section, count) in [(Record.Section.answer, answers), (.authority, authorities), (.additional, additional)] {
            for _ in 0..<count {
                let start = reader.at
                guard DNSName.read(&reader) != nil, let kind = reader.word16(), reader.skip(2) else { return nil }
                let ttlAt = reader.at
                guard let ttl = reader.word32(), let length = reader.word16() else { return nil }
                let from = reader.at
                guard reader.skip(Int(length)) else { return nil }
                records.append(Record(section: section, kind: kind, ttl: ttl, ttlAt: ttlAt, start: start, data: from..<reader.at))
            }
        }
    }

    /// What came from a name server; nil when it is not the answer to this query: it has its id and its question.
    init?(_ octets: [UInt8], answering query: [UInt8]) {
        guard let asked = DNSMessage(query), let message = DNSMessage(octets), message.isResponse, message.id == asked.id,
            message.opcode == asked.opcode
        else { return nil }
        // A server that makes nothing of a question may leave it out.
        guard let question = message.question else {
            guard message.responseCode != 0, octets[4] == 0, octets[5] == 0 else { return nil }
            self = message
            return
        }
        guard question.name.lowercased == asked.question?.name.lowercased, question.kind == asked.question?.kind,
            question.classNumber == asked.question?.classNumber
        else { return nil }
        self = message
    }

    /// Octets that the asker takes over UDP: 512 (RFC 1035 section 4.2.1), or what its OPT record says (RFC 6891 section 6.2.3), which stands where a class does.
    var payloadSize: Int {
        guard let options else { return 512 }
        return max(512, Int(octets[options.ttlAt - 2]) << 8 | Int(octets[options.ttlAt - 1]))
    }
    /// The EDNS version, which has to be 0; nil without EDNS.
    var ednsVersion: UInt8? { options.map { octets[$0.ttlAt + 1] } }
    /// DNSSEC OK (RFC 3225).
    var wantsSecurity: Bool { options.map { octets[$0.ttlAt + 2] & 0x80 != 0 } ?? false }

    // MARK: - Answers

    /// A record of our own: the name is written out, class IN.
    struct Answer: Hashable, Sendable {
        var name: DNSName
        var kind: UInt16
        var ttl: UInt32
        var data: [UInt8]

        var wire: [UInt8] {
            var out = name.wire
            out.append(word16: kind)
            out.append(word16: 1)
            out.append(word32: ttl)
            out.append(word16: UInt16(data.count))
            return out + data
        }
    }

    /// The response to this query: its question as it was asked, records, and an OPT record where it had one. What is longer than `limit` is left out, and the
    /// asker told (TC).
    func response(
        _ code: UInt16, isAuthoritative: Bool = false, answers: [Answer] = [], authorities: [Answer] = [], additional: [Answer] = [], limit: Int
    ) -> [UInt8] {
        var out: [UInt8] = []
        out.append(word16: id)
        out.append(word16: 0x8000 | flags & 0x7900 | 0x0080 | flags & 0x0010 | (isAuthoritative ? 0x0400 : 0) | code & 15)
        for _ in 0..<4 { out.append(word16: 0) }
        if question != nil {
            out.set(4, word16: 1)
            out += octets[Self.headerSize..<bodyAt]
        }
        // Name, type, size that we take, extended code, version, flags: the asker's DO bit (RFC 3225 section 3).
        var opt: [UInt8] = []
        if options != nil {
            opt = [0, 0, 41, 0x04, 0xD0, UInt8(truncatingIfNeeded: code >> 4), 0, wantsSecurity ? 0x80 : 0, 0, 0, 0]
        }
        let room = limit - opt.count
        var isWhole = true
        for (at, section) in [(6, answers), (8, authorities), (10, additional)] {
            var count: UInt16 = 0
            for answer in section where isWhole {
                let wire = answer.wire
                guard out.count + wire.count <= room else {
                    // Additional records are a courtesy (RFC 2181 section 9).
                    if at != 10 { out[2] |= 0x02 }
                    isWhole = false
                    break
                }
                out += wire
                count += 1
            }
            out.set(at, word16: count)
        }
        if !opt.isEmpty {
            out += opt
            out.set(10, word16: UInt16(out[10]) << 8 | UInt16(out[11]) + 1)
        }
        return out
    }

    /// This response, under another id and with the question as that asker wrote it, `age` seconds old, in `limit` octets at most: with what does not fit, the
    /// answers go, and the asker is told (TC).
    func answer(to query: DNSMessage, age: UInt32 = 0, limit: Int) -> [UInt8] {
        guard octets.count <= limit else { return query.response(responseCode, limit: limit).with { $0[2] |= 0x02 } }
        var out = octets
        out.set(0, word16: query.id)
        // The question has the length it had: the names are the same but for the case.
        if query.bodyAt == bodyAt { out.replaceSubrange(Self.headerSize..<bodyAt, with: query.octets[Self.headerSize..<query.bodyAt]) }
        if age > 0 {
            for record in records where record.kind != Kind.opt {
                let ttl = record.ttl > age ? record.ttl - age : 0
                out.set(record.ttlAt, word16: UInt16(ttl >> 16))
                out.set(record.ttlAt + 2, word16: UInt16(ttl & 0xFFFF))
            }
        }
        return out
    }

    /// How long it may be kept: the least TTL; of a negative answer what its SOA record says (RFC 2308 section 5). Nil: not at all.
    var lifetime: UInt32? {
        guard !isTruncated, responseCode == 0 || responseCode == ResponseCode.nameError.rawValue else { return nil }
        let answers = records.filter { $0.section == .answer }
        // A CNAME alone does not answer other questions; with an SOA behind it, it does in the negative.
        let isPositive = responseCode == 0 && answers.contains { $0.kind == question?.kind || question?.kind == Kind.any }
        let ttls = records.filter { $0.kind != Kind.opt }.map { $0.ttl > 0x7FFF_FFFF ? 0 : $0.ttl }
        if isPositive { return ttls.min() }
        guard let soa = records.first(where: { $0.section == .authority && $0.kind == Kind.soa }), soa.data.count >= 22 else { return nil }
        var reader = WireReader(octets, soa.data.upperBound - 4..<soa.data.upperBound)
        guard let minimum = reader.word32(), let least = ttls.min() else { return nil }
        return min(minimum, least)
    }
}

extension [UInt8] {
    fileprivate func with(_ change: (inout Self) -> Void) -> Self {
        var copy = self
        change(&copy)
        return copy
    }
}
