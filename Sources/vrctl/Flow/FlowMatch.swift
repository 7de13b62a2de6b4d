import DataplaneAPI
import NetTypes

/// A filter on flows, as `flow --match` takes it:
///
///     IP[:port][,IP[:port]] [& vrf N] [& proto tcp|udp|icmp|icmp6|sctp|number] [& vif N] [& action F|D|N|H] [& reason SG]
///
/// `*` stands for any address or any port; an IPv6 address with a port is written `[fd00::1]:80`. Terms may come in any order, each
/// once. One endpoint matches either end of a flow; two match a flow between them, in either direction.
struct FlowMatch: Hashable, Sendable {
    struct Endpoint: Hashable, Sendable {
        /// Nil: any.
        var address: IPAddress?
        var port: UInt16?
    }
    var endpoints: [Endpoint] = []
    var vrf: UInt32?
    /// IP protocol number.
    var proto: UInt32?

    var action: Dataplane_V1_FlowAction = .unspecified
    /// As `flow -l` shows it: SG, OutPolicy …
    var reason: String?
    /// The vif by which packets come in.
    var vif: UInt32?

    /// What the router is asked for.
    var filter: Dataplane_V1_FlowFilter {
        var filter = Dataplane_V1_FlowFilter()
        filter.endpoints = endpoints.map { end in
            var message = Dataplane_V1_FlowEndpoint()
            if let address = end.address { message.address = address.octets }
            if let port = end.port { message.port = UInt32(port) }
            return message
        }
        if let vrf { filter.vrf = vrf }
        if let proto { filter.protocol = proto }
        filter.action = action
        if let reason { filter.dropReason = reason }
        if let vif { filter.vif = vif }
        return filter
    }
}

extension FlowMatch {
    /// Longest expression that is read, in octets.
    static let longest = 512
    private static let terms: Set<String> = ["vrf", "proto", "vif", "action", "reason"]
    private static let actions: [String: Dataplane_V1_FlowAction] = [
        "f": .forward, "forward": .forward, "d": .drop, "drop": .drop, "n": .nat, "nat": .nat, "h": .hold, "hold": .hold,
    ]

    /// Throws a `Failure` of kind `usage` that quotes the offending part.
    init(_ text: String) throws(Failure) {
        guard text.utf8.count <= Self.longest else { throw .usage("--match: the expression is longer than \(Self.longest) octets") }
        var seen: Set<String> = []
        for term in text.split(separator: "&", omittingEmptySubsequences: false) {
            let words = term.split(whereSeparator: { $0 == " " || $0 == "\t" })
            guard let word = words.first else {
                throw .usage(
                    "--match '\(text)': a term is empty; write IP[:port][,IP[:port]] [& vrf N] [& proto tcp] [& vif N] [& action D] [& reason SG]")
            }
            let kind = Self.terms.contains(String(word)) ? String(word) : "address"
            guard seen.insert(kind).inserted else { throw .usage("--match '\(text)': the \(kind) term is given twice") }
            switch kind {
            case "vrf":
                guard words.count == 2, let number = UInt32(words[1]) else {
                    throw .usage("--match: '\(trimmed(term))' is not a VRF; write vrf and a number: vrf 1")
                }
                vrf = number
            case "proto":
                guard words.count == 2, let number = IPProtocolName.numbers[words[1].lowercased()] ?? UInt8(words[1]).map(UInt32.init) else {
                    throw .usage("--match: '\(trimmed(term))' is not a protocol; write tcp, udp, icmp, icmp6, sctp or a number up to 255: proto tcp")
                }
                proto = number
            case "vif":
                // 3, or vif0/3 as `vif --list` writes it.
                let text = words.count == 2 ? words[1] : "", digits = text.hasPrefix("vif0/") ? text.dropFirst(5) : text[...]
                guard let number = UInt32(digits) else {
                    throw .usage("--match: '\(trimmed(term))' is not a vif; write vif and its number: vif 3")
                }
                vif = number
            case "action":
                guard words.count == 2, let known = Self.actions[words[1].lowercased()] else {
                    throw .usage("--match: '\(trimmed(term))' is not an action; write forward (F), drop (D), nat (N) or hold (H): action D")
                }
                action = known
            case "reason":
                guard words.count == 2 else { throw .usage("--match: '\(trimmed(term))' is not a reason; write one as flow -l shows it: reason SG") }
                reason = String(words[1])
            default:
                endpoints = try Self.endpoints(words.joined())
            }
        }
    }

    private func trimmed(_ term: Substring) -> String { term.split(separator: " ").joined(separator: " ") }

    private static func endpoints(_ text: String) throws(Failure) -> [Endpoint] {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count) else { throw .usage("--match: '\(text)' names \(parts.count) endpoints; a flow has two") }
        var out: [Endpoint] = []
        for part in parts {
            guard let endpoint = Endpoint(part) else {
                throw .usage("--match: '\(part)' is not an endpoint; write 10.0.0.1, 10.0.0.1:80, [fd00::1]:80, *:80 or *")
            }
            out.append(endpoint)
        }
        return out
    }
}

extension FlowMatch.Endpoint {
    /// `10.0.0.1`, `10.0.0.1:80`, `10.0.0.1:*`, `*`, `*:80`, `fd00::1`, `[fd00::1]`, `[fd00::1]:80`.
    init?(_ text: Substring) {
        if text.first == "[" {
            guard let close = text.firstIndex(of: "]"), let address = IPv6Address(String(text[text.index(after: text.startIndex)..<close])) else {
                return nil
            }
            self.address = .v6(address)
            let rest = text[text.index(after: close)...]
            guard rest.isEmpty || rest.first == ":" else { return nil }
            guard rest.isEmpty || readPort(rest.dropFirst()) else { return nil }
        } else if let address = IPAddress(String(text)) {
            self.address = address
        } else {
            let parts = text.split(separator: ":", omittingEmptySubsequences: false)
            guard (1...2).contains(parts.count) else { return nil }
            if parts[0] != "*" {
                guard let address = IPv4Address(String(parts[0])) else { return nil }
                self.address = .v4(address)
            }
            guard parts.count == 1 || readPort(parts[1]) else { return nil }
        }
    }

    private mutating func readPort(_ text: Substring) -> Bool {
        if text == "*" { return true }
        guard !text.isEmpty, text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }), let number = UInt16(text) else {
            return false
        }
        port = number
        return true
    }
}
