import NetTypes
import Overlay

/// Name service for workloads at the addresses of their gateways: names of the network's own ports from `DNSZone`, everything else from the node's name servers,
/// through a cache.
///
/// Questions that are the same wait for one answer. A workload has a bounded number of questions under way, and so has the node: what is more is told that the
/// server fails, so that its client goes on.
///
/// Standards: RFC 1035, RFC 2181, RFC 2308 (denials), RFC 6891 (EDNS: version 0; options are passed on and back as they are), RFC 6761 and RFC 6762 (names that
/// leave no node), RFC 8482 (ANY).
///
/// # Thread-safety
/// Part of the `WorkloadServices` actor.
struct DNSService: Sendable {
    /// What to do with a question.
    enum Decision: Sendable {
        case reply([UInt8])
        case ask(DNSCache.Key)
        case ignore
    }
    struct Waiter: Sendable {
        var query: DNSMessage
        var request: ServicePacket
        var vif: UInt32
        var port: String
        var limit: Int
        /// Over TCP: which connection.
        var connection: UInt64?
    }
    /// How a question was answered, for the counters.
    enum Source { case local, cache, forwarded, failed, refused }

    /// Answers over UDP fit one packet on every link (what resolvers agreed on in 2020); a longer one is asked for again over TCP
    /// (`DNSConnection`).
    static let maximumPayload = 1232
    static let maximumPerVif = 64

    let maximumTotal: Int
    var cache: DNSCache
    private(set) var waiters: [DNSCache.Key: [Waiter]] = [:]
    private var underWay: [UInt32: Int] = [:]

    init(cache: DNSCache, maximumTotal: Int = 4096) {
        self.cache = cache
        self.maximumTotal = maximumTotal
    }

    static func limit(_ query: DNSMessage) -> Int { min(query.payloadSize, maximumPayload) }

    func decide(_ query: DNSMessage, zone: DNSZone?, limit: Int, now: UInt64) -> (Decision, Source) {
        typealias Code = DNSMessage.ResponseCode
        guard !query.isResponse else { return (.ignore, .failed) }
        func refuse(_ code: Code) -> (Decision, Source) { (.reply(query.response(code.rawValue, limit: limit)), .refused) }
        guard query.opcode == 0 else { return refuse(.notImplemented) }
        guard let question = query.question else { return refuse(.formatError) }
        if let version = query.ednsVersion, version > 0 { return (.reply(query.response(16, limit: limit)), .refused) }
        guard question.classNumber == 1, question.kind != DNSMessage.Kind.axfr, question.kind != DNSMessage.Kind.ixfr else { return refuse(.refused) }
        if let zone, let answer = zone.answer(question) {
            let response =
                switch answer {
                case .records(let records): query.response(0, isAuthoritative: true, answers: records, limit: limit)
                case .empty: query.response(0, isAuthoritative: true, authorities: [zone.soa], limit: limit)
                case .noName: query.response(Code.nameError.rawValue, isAuthoritative: true, authorities: [zone.soa], limit: limit)
                }
            return (.reply(response), .local)
        }
        if let response = Self.specialName(query, question, limit: limit) { return (.reply(response), .local) }
        guard query.wantsRecursion, let key = DNSCache.Key(query) else { return refuse(.refused) }
        if let (message, age) = cache.find(key, now: now) { return (.reply(message.answer(to: query, age: age, limit: limit)), .cache) }
        return (.ask(key), .forwarded)
    }

    /// Names that no name server outside is asked for.
    private static func specialName(_ query: DNSMessage, _ question: DNSMessage.Question, limit: Int) -> [UInt8]? {
        guard let top = question.name.lowercased.labels.last.map({ String(decoding: $0, as: UTF8.self) }) else { return nil }
        switch top {
        case "localhost":
            var loopback: [DNSMessage.Answer] = []
            if question.kind == DNSMessage.Kind.a { loopback = [.init(name: question.name, kind: question.kind, ttl: 3600, data: [127, 0, 0, 1])] }
            if question.kind == DNSMessage.Kind.aaaa {
                loopback = [.init(name: question.name, kind: question.kind, ttl: 3600, data: Array(repeating: 0, count: 15) + [1])]
            }
            return query.response(0, answers: loopback, limit: limit)
        case "local", "invalid", "onion": return query.response(DNSMessage.ResponseCode.nameError.rawValue, limit: limit)
        default: return nil
        }
    }

    // MARK: - Questions under way

    /// True: nobody has asked this yet, ask. False: the answer will come. Nil: too much is under way.
    mutating func wait(_ key: DNSCache.Key, _ waiter: Waiter) -> Bool? {
        guard underWay[waiter.vif, default: 0] < Self.maximumPerVif, underWay.values.reduce(0, +) < maximumTotal else { return nil }
        underWay[waiter.vif, default: 0] += 1
        waiters[key, default: []].append(waiter)
        return waiters[key]?.count == 1
    }

    /// Those who waited for it.
    mutating func answered(_ key: DNSCache.Key, _ message: DNSMessage?, now: UInt64) -> [Waiter] {
        if let message { cache.store(message, for: key, now: now) }
        let done = waiters.removeValue(forKey: key) ?? []
        for waiter in done {
            let left = underWay[waiter.vif, default: 1] - 1
            underWay[waiter.vif] = left > 0 ? left : nil
        }
        return done
    }
}
