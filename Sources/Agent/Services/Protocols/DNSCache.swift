/// Answers of other servers, for as long as their TTLs allow and one day at most. Bounded in number and octets; what came first goes first.
///
/// Thread-safety: a value, owned by one actor. Time is a parameter, in seconds.
struct DNSCache: Sendable {
    struct Key: Hashable, Sendable {
        /// In small letters.
        var name: DNSName
        var kind: UInt16
        var classNumber: UInt16
        /// What the answer depends on besides: DNSSEC records wanted, checks disabled, EDNS understood.
        var wantsSecurity: Bool
        var disablesChecks: Bool
        var hasOptions: Bool

        init?(_ query: DNSMessage) {
            guard let question = query.question else { return nil }
            name = question.name.lowercased
            kind = question.kind
            classNumber = question.classNumber
            wantsSecurity = query.wantsSecurity
            disablesChecks = query.disablesChecks
            hasOptions = query.options != nil
        }
    }
    private struct Entry: Sendable {
        var message: DNSMessage
        var stored: UInt64
        var expires: UInt64
        var number: UInt64
    }

    private var entries: [Key: Entry] = [:]
    /// In the order of arrival; what was replaced since is passed over by its number.
    private var queue: [(key: Key, number: UInt64)] = []
    private var oldest = 0
    private var next: UInt64 = 0
    private(set) var octets = 0
    let capacity: Int
    let maximumOctets: Int

    static let maximumLifetime: UInt32 = 86_400

    init(capacity: Int = 10_000, maximumOctets: Int = 16 << 20) {
        self.capacity = capacity
        self.maximumOctets = maximumOctets
    }

    var count: Int { entries.count }

    /// The answer and its age in seconds.
    func find(_ key: Key, now: UInt64) -> (message: DNSMessage, age: UInt32)? {
        guard let entry = entries[key], entry.expires > now else { return nil }
        return (entry.message, UInt32(clamping: now - min(now, entry.stored)))
    }

    mutating func store(_ message: DNSMessage, for key: Key, now: UInt64) {
        guard capacity > 0, let lifetime = message.lifetime, lifetime > 0, message.octets.count <= maximumOctets / 16 else { return }
        if let old = entries[key] { octets -= old.message.octets.count }
        entries[key] = Entry(message: message, stored: now, expires: now + UInt64(min(lifetime, Self.maximumLifetime)), number: next)
        queue.append((key, next))
        next += 1
        octets += message.octets.count
        while entries.count > capacity || octets > maximumOctets || queue.count - oldest > 4 * max(capacity, 16) { removeOldest() }
        if oldest > 1024, oldest * 2 > queue.count {
            queue.removeFirst(oldest)
            oldest = 0
        }
    }

    private mutating func removeOldest() {
        guard oldest < queue.count else { return }
        let (key, number) = queue[oldest]
        oldest += 1
        guard let entry = entries[key], entry.number == number else { return }
        octets -= entry.message.octets.count
        entries[key] = nil
    }
}
