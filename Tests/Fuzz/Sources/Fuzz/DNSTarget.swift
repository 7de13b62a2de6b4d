import NetTypes

@testable import AgentServices

/// The name service, with a cache of a few entries. An input is a row of questions with what a name server answers: an octet that says how (the workload's limit; the answer's id
/// and question made right; seconds that pass), two octets of length and the question, two octets of length and the answer.
///
/// Required: an answer is a message, with the question as it was asked, and no longer than the asker takes; the cache stays within its bounds, and what is in it is not older than it
/// may get; names survive being written; nobody has a name that is not in the zone.
@MainActor enum DNSTarget {
    private static let capacity = 4, maximumOctets = 16 * 600
    private enum How { static let mend: UInt8 = 1, stream: UInt8 = 2, noServer: UInt8 = 4 }

    static func run(_ input: UnsafeRawBufferPointer) {
        var reader = WireReader(Array(input)), service = DNSService(cache: DNSCache(capacity: capacity, maximumOctets: maximumOctets))
        var now: UInt64 = 0, stored: [DNSCache.Key: (message: DNSMessage, at: UInt64)] = [:]
        while let how = reader.octet(), let question = part(&reader), let answer = part(&reader) {
            now += UInt64(how >> 3) * 40
            guard let query = DNSMessage(question) else { continue }
            let limit = how & How.stream == 0 ? DNSService.limit(query) : Int(UInt16.max)
            guard case .ask(let key) = checkDecision(query, limit: limit, service, now: now, stored: stored) else { continue }
            let waiter = DNSService.Waiter(query: query, request: request(question), vif: 3, port: "web", limit: limit)
            guard service.wait(key, waiter) == true, service.wait(key, waiter) == false else { fatalError("the first to ask is not told to") }
            let message = how & How.noServer == 0 ? DNSMessage(how & How.mend == 0 ? answer : mended(answer, query), answering: question) : nil
            require(service.answered(key, message, now: now).count == 2 && service.waiters.isEmpty, "not all who wait are told")
            if let message {
                stored[key] = (message, now)
                let reply = message.answer(to: query, limit: limit)
                check(reply, to: query, limit: limit)
                // Whole, it is what the server said; else nothing of it is left but that there is more.
                require(reply.count == message.octets.count || reply[2] & 2 != 0, "cut in silence")
            }
            require(
                service.cache.count <= capacity && service.cache.octets <= maximumOctets,
                "\(service.cache.count) entries, \(service.cache.octets) octets")
        }
    }

    private static func part(_ reader: inout WireReader) -> [UInt8]? {
        guard let length = reader.word16() else { return nil }
        return reader.take(min(Int(length), reader.remaining)).map { Array($0) }
    }

    private static func request(_ payload: [UInt8]) -> ServicePacket {
        ServicePacket(
            destinationMAC: .gateway, sourceMAC: Workload.mac, source: Workload.client4, destination: Topology.address("10.1.0.1"),
            content: .udp(source: 1000, destination: 53, payload: payload))
    }

    /// With the id, and in the place of its own the question, of the query.
    private static func mended(_ answer: [UInt8], _ query: DNSMessage) -> [UInt8] {
        guard answer.count >= 12, let own = DNSMessage(Array(answer.prefix(4)) + [0, 1, 0, 0, 0, 0, 0, 0] + answer.dropFirst(12)), own.question != nil
        else {
            return answer
        }
        var out = Array(answer.prefix(12)) + query.octets[12..<query.bodyAt] + answer.dropFirst(own.bodyAt)
        out.set(0, word16: query.id)
        out[2] |= 0x80
        out.set(4, word16: 1)
        return out
    }

    // MARK: - What is required

    @discardableResult static func checkDecision(
        _ query: DNSMessage, limit: Int, _ service: DNSService = DNSService(cache: DNSCache(capacity: capacity)), now: UInt64 = 0,
        stored: [DNSCache.Key: (message: DNSMessage, at: UInt64)] = [:]
    ) -> DNSService.Decision {
        if let question = query.question { checkName(question.name) }
        let (decision, source) = service.decide(query, zone: Workload.zone, limit: limit, now: now)
        switch decision {
        case .ignore: require(query.isResponse, "no answer to \(query)")
        case .ask(let key): require(query.wantsRecursion && key == DNSCache.Key(query) && source == .forwarded, "\(query) is passed on")
        case .reply(let octets):
            let reply = check(octets, to: query, limit: limit)
            if source == .cache, let key = DNSCache.Key(query) {
                guard let (message, at) = stored[key] else { fatalError("out of the cache, and never put in: \(query)") }
                require(message.lifetime.map { now - at < UInt64($0) && now - at < 86_400 } == true, "\(now - at) seconds old")
            }
            if source == .local, let question = query.question,
                reply.records.contains(where: { $0.section == .answer && ($0.kind == 1 || $0.kind == 28) })
            {
                let labels = question.name.lowercased.labels
                require(Workload.names.contains(labels) || labels.last == Array("localhost".utf8), "\(question.name) has an address")
            }
            if source == .local, let question = query.question, reply.records.contains(where: { $0.section == .answer && $0.kind == 12 }) {
                let name = question.name.lowercased
                require(name.reverseAddress.map(reverse) == name.labels, "\(question.name) is an address")
            }
        }
        return decision
    }

    @discardableResult private static func check(_ octets: [UInt8], to query: DNSMessage, limit: Int) -> DNSMessage {
        guard let reply = DNSMessage(octets) else { fatalError("\(octets) to \(query.octets) is no message") }
        require(octets.count <= limit, "\(octets.count) octets, \(limit) are taken")
        require(reply.isResponse && reply.id == query.id && reply.opcode == query.opcode, "\(octets) is no answer to \(query.octets)")
        require(
            reply.question == query.question || reply.question == nil && reply.responseCode != 0,
            "\(octets) answers another question than \(query.octets)")
        return reply
    }

    private static func checkName(_ name: DNSName) {
        require(name.size <= DNSName.maximumSize && name.wire.count == name.size, "\(name) has \(name.size) octets")
        var reader = WireReader(name.wire)
        require(DNSName.read(&reader) == name && reader.remaining == 0, "\(name) is not read as it is written")
        require(name.lowercased.lowercased == name.lowercased && name.lowercased.size == name.size, "\(name) in small letters")
        if name.labels.allSatisfy({ $0.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x2E && $0 != 0x5C } }) {
            require(DNSName(name.description) == name, "\(name) as text")
        }
    }

    /// The labels of an address backwards.
    private static func reverse(_ address: IPAddress) -> [[UInt8]] {
        let labels =
            address.isIPv4
            ? address.bytes.reversed().map { String($0) } + ["in-addr", "arpa"]
            : address.bytes.reversed().flatMap { [String($0 & 15, radix: 16), String($0 >> 4, radix: 16)] } + ["ip6", "arpa"]
        return labels.map { Array($0.utf8) }
    }
}
