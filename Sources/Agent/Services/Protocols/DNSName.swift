/// A domain name (RFC 1035 section 3.1): labels of any octets, 255 octets with their lengths at most. Letters of either case are the same when names are compared
/// (RFC 4343); as written, the case is kept.
struct DNSName: Hashable, Sendable, CustomStringConvertible {
    /// From the leftmost on; the root has none.
    private(set) var labels: [[UInt8]]

    static let root = DNSName(labels: [])
    static let maximumSize = 255

    private init(labels: [[UInt8]]) { self.labels = labels }

    /// From text with dots, without escapes; nil when it is no name.
    init?(_ text: String) {
        var labels: [[UInt8]] = []
        let trimmed = text.hasSuffix(".") ? text.dropLast() : text[...]
        if !trimmed.isEmpty {
            for label in trimmed.split(separator: ".", omittingEmptySubsequences: false) {
                guard (1...63).contains(label.utf8.count) else { return nil }
                labels.append(Array(label.utf8))
            }
        }
        self.labels = labels
        guard size <= Self.maximumSize else { return nil }
    }

    /// Octets on the wire, uncompressed.
    var size: Int { labels.reduce(1) { $0 + 1 + $1.count } }

    var wire: [UInt8] { labels.flatMap { [UInt8($0.count)] + $0 } + [0] }

    /// Small letters: what names are looked up by.
    var lowercased: DNSName { DNSName(labels: labels.map { $0.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 } }) }

    func hasSuffix(_ zone: DNSName) -> Bool { labels.count >= zone.labels.count && Array(labels.suffix(zone.labels.count)) == zone.labels }
    /// The labels in front of the zone's, which is a suffix.
    func prefix(of zone: DNSName) -> [[UInt8]] { Array(labels.dropLast(zone.labels.count)) }

    func child(_ label: String) -> DNSName? { DNSName(label).flatMap { DNSName.joined($0, self) } }
    /// The label as it is, whatever is in it.
    func child(_ label: [UInt8]) -> DNSName? { DNSName.joined(DNSName(labels: [label]), self) }
    private static func joined(_ a: DNSName, _ b: DNSName) -> DNSName? {
        let name = DNSName(labels: a.labels + b.labels)
        return name.size <= maximumSize ? name : nil
    }

    /// RFC 4343 section 2.1: what is not printable is written as its number.
    var description: String {
        if labels.isEmpty { return "." }
        return labels.map { label in
            label.map { octet in
                switch octet {
                case 0x2E, 0x5C: "\\\(Character(UnicodeScalar(octet)))"
                case 0x21...0x7E: String(UnicodeScalar(octet))
                default: "\\" + String(1000 + Int(octet)).dropFirst()
                }
            }.joined()
        }.joined(separator: ".")
    }

    /// Reads a name at the reader's place, following compression pointers, which lead backwards only (RFC 1035 section 4.1.4), so it ends, and not into the
    /// header, which holds no name and is another one in the answer. There are no more pointers than a name can have labels, so many names do not cost much either.
    static func read(_ reader: inout WireReader) -> DNSName? {
        var labels: [[UInt8]] = [], size = 1
        var far: WireReader?
        var bound = reader.at, pointers = 0
        while true {
            guard let length = far == nil ? reader.octet() : far?.octet() else { return nil }
            switch length >> 6 {
            case 0:
                if length == 0 { return DNSName(labels: labels) }
                guard let label = far == nil ? reader.take(Int(length)) : far?.take(Int(length)) else { return nil }
                size += 1 + label.count
                guard size <= maximumSize else { return nil }
                labels.append(Array(label))
            case 3:
                guard let low = far == nil ? reader.octet() : far?.octet() else { return nil }
                let target = Int(length & 0x3F) << 8 | Int(low)
                pointers += 1
                guard target < bound, target >= DNSMessage.headerSize, pointers <= maximumSize / 2 else { return nil }
                bound = target
                far = WireReader(reader.octets, target..<reader.end)
            default: return nil
            }
        }
    }
}
