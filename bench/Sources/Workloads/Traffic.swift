public import NetTypes

/// What a trace is made of. Repeatable: the same traffic is the same octets in every run and every program.
public struct Traffic: Sendable, Hashable {
    public enum Family: String, Sendable { case ipv4, ipv6 }
    public enum Sizes: String, Sendable {
        /// 64-octet frames, 60 without the frame check sequence (IPv6: 62, the least that a UDP header needs).
        case small
        /// The simple IMIX: of twelve frames seven of 64 octets, four of 594 and one of 1518.
        case imix
    }
    public enum Choice: String, Sendable {
        /// Every flow once, in random order.
        case uniform
        /// Four packets per flow on average, at most a million in all, drawn by Zipf's law.
        case zipf
    }

    public var flows: Int
    public var routes: Int
    public var family = Family.ipv4
    public var sizes = Sizes.small
    public var choice = Choice.uniform
    /// UDP checksums over IPv4 too.
    public var checksums = false

    public init(flows: Int, routes: Int, family: Family = .ipv4, sizes: Sizes = .small, choice: Choice = .uniform, checksums: Bool = false) {
        self.flows = flows
        self.routes = routes
        self.family = family
        self.sizes = sizes
        self.choice = choice
        self.checksums = checksums
    }

    /// "10k flows, 10k routes, IPv6, IMIX"
    public var description: String {
        var parts = ["\(Self.short(flows)) flows", "\(Self.short(routes)) routes"]
        if family == .ipv6 { parts.append("IPv6") }
        if sizes == .imix { parts.append("IMIX") }
        if choice == .zipf { parts.append("Zipf") }
        return parts.joined(separator: ", ")
    }

    public static func short(_ count: Int) -> String {
        if count >= 1_000_000, count % 1_000_000 == 0 { return "\(count / 1_000_000)M" }
        return count >= 1000 && count % 1000 == 0 ? "\(count / 1000)k" : "\(count)"
    }

    // MARK: - Prefixes

    /// Distinct, in random order, repeatable. IPv4, Internet-like: nine of ten are /24, one is /32. IPv6: nine of ten /64, one /128.
    public var prefixes: [IPPrefix] {
        var random = Sequence64(seed: 0x5EED)
        var seen = Set<UInt32>(minimumCapacity: routes)
        var out: [IPPrefix] = []
        out.reserveCapacity(routes)
        while out.count < routes {
            let word = random.next()
            let isHost = word % 10 == 0
            let prefix: IPPrefix?
            switch family {
            case .ipv4:
                let network = UInt32(truncatingIfNeeded: word >> 32) & 0x7FFF_FF00 | 0x0100_0000
                guard network >> 24 != 127, network >> 24 != 10, network >> 24 != 0, seen.insert(network).inserted else { continue }
                prefix = IPPrefix(
                    masking: .v4(IPv4Address(rawValue: network | (isHost ? UInt32(word >> 8 & 0xFF) : 0))), length: isHost ? 32 : 24)
            case .ipv6:
                let network = UInt32(truncatingIfNeeded: word >> 32)
                guard seen.insert(network).inserted else { continue }
                prefix = IPPrefix(
                    masking: .v6(IPv6Address(high: 0x2001_0DB8_0000_0000 | UInt64(network), low: isHost ? word | 1 : 0)), length: isHost ? 128 : 64)
            }
            if let prefix { out.append(prefix) }
        }
        return out
    }

    // MARK: - Packets

    /// UDP packets to `mac`; destinations uniform over the prefixes.
    public func frames(to mac: MACAddress = .gateway, from sourceMAC: MACAddress = Program.source) -> [[UInt8]] {
        let targets = prefixes
        var random = Sequence64(seed: 0xF10E)
        let words = (0..<flows).map { _ in random.next() }
        func frame(_ flow: Int, size: Int) -> [UInt8] {
            let word = words[flow], prefix = targets[Int(word % UInt64(routes))]
            return Frames.udp(
                from: source(flow), UInt16(truncatingIfNeeded: 1024 + flow >> 16), to: destination(prefix, word),
                UInt16(truncatingIfNeeded: word >> 16),
                size: size, destinationMAC: mac, sourceMAC: sourceMAC, checksum: checksums)
        }
        switch choice {
        case .uniform: return (0..<flows).map { frame($0, size: size($0)) }
        case .zipf:
            let law = Zipf(count: flows)
            return (0..<max(flows, min(flows * 4, 1_000_000))).map { frame(law.draw(&random), size: size($0)) }
        }
    }

    private func source(_ flow: Int) -> IPAddress {
        switch family {
        case .ipv4: .v4(IPv4Address(rawValue: 0x0A01_0000 | UInt32(flow & 0xFFFF)))
        case .ipv6: .v6(IPv6Address(high: 0xFD00_0001_0000_0000, low: 0x0100 | UInt64(flow & 0xFFFF) << 16))
        }
    }

    /// An address under the prefix.
    private func destination(_ prefix: IPPrefix, _ word: UInt64) -> IPAddress {
        switch prefix.address {
        case .v4(let network): .v4(prefix.length == 32 ? network : IPv4Address(rawValue: network.rawValue | UInt32(word >> 40 & 0xFF)))
        case .v6(let network): .v6(prefix.length == 128 ? network : IPv6Address(high: network.high, low: word))
        }
    }

    private func size(_ position: Int) -> Int {
        switch sizes {
        case .small: 60
        case .imix: [60, 590, 60, 60, 590, 60, 1514, 60, 590, 60, 60, 590][position % 12]
        }
    }
}
