/// Whether a frame is fit to be sent, and whether its transport checksums are right: written from the RFCs over arrays, with nothing of the code under test.
struct WellFormed {
    enum Transport { case right, wrong, unknown }

    /// What is wrong with it; nil: nothing.
    private(set) var problem: String?
    /// Of the innermost packet and every one around it: wrong when one of them is.
    private(set) var transport = Transport.unknown

    /// `tunnels`: UDP to 4789 and 6635 and GRE are the router's own, and what they carry is looked at too.
    init(_ frame: [UInt8], tunnels: Bool) {
        problem = check(frame[...], tunnels: tunnels)
    }

    private static func word(_ octets: ArraySlice<UInt8>, _ at: Int) -> Int {
        Int(octets[octets.startIndex + at]) << 8 | Int(octets[octets.startIndex + at + 1])
    }
    /// RFC 1071 over octets, an odd last one padded; right when 0xffff.
    static func sum(_ octets: ArraySlice<UInt8>, _ initial: Int = 0) -> Int {
        var sum = initial, at = octets.startIndex
        while at < octets.endIndex {
            sum += Int(octets[at]) << 8 | (at + 1 < octets.endIndex ? Int(octets[at + 1]) : 0)
            at += 2
        }
        while sum > 0xFFFF { sum = sum & 0xFFFF + sum >> 16 }
        return sum
    }

    private mutating func check(_ frame: ArraySlice<UInt8>, tunnels: Bool) -> String? {
        guard frame.count >= 14 else { return "a frame of \(frame.count) octets" }
        return checkPayload(Self.word(frame, 12), frame.dropFirst(14), tunnels: tunnels)
    }

    private mutating func checkPayload(_ type: Int, _ payload: ArraySlice<UInt8>, tunnels: Bool) -> String? {
        switch type {
        case 0x0800: return checkIPv4(payload, tunnels: tunnels)
        case 0x86DD: return checkIPv6(payload, tunnels: tunnels)
        case 0x8100, 0x88A8: return payload.count >= 4 ? checkPayload(Self.word(payload, 2), payload.dropFirst(4), tunnels: false) : nil
        case 0x0806: return payload.count >= 28 ? nil : "ARP of \(payload.count) octets"
        default: return nil
        }
    }

    private mutating func checkIPv4(_ packet: ArraySlice<UInt8>, tunnels: Bool) -> String? {
        guard packet.count >= 20 else { return "IPv4 in \(packet.count) octets" }
        let first = Int(packet[packet.startIndex]), header = (first & 0xF) * 4, total = Self.word(packet, 2)
        guard first >> 4 == 4, header >= 20 else { return "first octet of IPv4 is \(first)" }
        guard total == packet.count, header <= total else { return "IPv4 says \(total) octets, header \(header), and has \(packet.count)" }
        guard Self.sum(packet.prefix(header)) == 0xFFFF else { return "IPv4 header checksum" }
        guard Self.word(packet, 6) & 0x3FFF == 0 else { return nil }
        let addresses = packet.dropFirst(12).prefix(8)
        return checkTransport(
            Int(packet[packet.startIndex + 9]), packet.dropFirst(header), pseudo: Self.sum(addresses), isIPv4: true, tunnels: tunnels)
    }

    private mutating func checkIPv6(_ packet: ArraySlice<UInt8>, tunnels: Bool) -> String? {
        guard packet.count >= 40 else { return "IPv6 in \(packet.count) octets" }
        guard packet[packet.startIndex] >> 4 == 6 else { return "first octet of IPv6 is \(packet[packet.startIndex])" }
        guard Self.word(packet, 4) == packet.count - 40 else {
            return "IPv6 says \(Self.word(packet, 4)) octets after the header and has \(packet.count - 40)"
        }
        let addresses = packet.dropFirst(8).prefix(32)
        return checkTransport(
            Int(packet[packet.startIndex + 6]), packet.dropFirst(40), pseudo: Self.sum(addresses), isIPv4: false, tunnels: tunnels)
    }

    private mutating func note(_ isRight: Bool) {
        if !isRight { transport = .wrong } else if transport == .unknown { transport = .right }
    }

    private mutating func checkTransport(_ proto: Int, _ segment: ArraySlice<UInt8>, pseudo: Int, isIPv4: Bool, tunnels: Bool) -> String? {
        switch proto {
        case 6 where segment.count >= 20: note(Self.sum(segment, pseudo + 6 + segment.count) == 0xFFFF)
        case 1 where segment.count >= 8 && isIPv4: note(Self.sum(segment) == 0xFFFF)
        case 58 where segment.count >= 8 && !isIPv4: note(Self.sum(segment, pseudo + 58 + segment.count) == 0xFFFF)
        case 17 where segment.count >= 8:
            let length = Self.word(segment, 4), port = Self.word(segment, 2)
            if tunnels, port == 4789 || port == 6635 {
                guard length == segment.count else { return "UDP of a tunnel says \(length) octets and has \(segment.count)" }
                guard Self.word(segment, 6) == 0 || Self.sum(segment, pseudo + 17 + length) == 0xFFFF else { return "UDP checksum of a tunnel" }
                let inner = segment.dropFirst(8)
                return port == 4789 ? checkVXLAN(inner) : checkMPLS(inner)
            }
            guard length >= 8, length <= segment.count else { return nil }
            if Self.word(segment, 6) != 0 { note(Self.sum(segment.prefix(length), pseudo + 17 + length) == 0xFFFF) }
        case 47 where tunnels:
            // ERSPAN type II carries what was mirrored, whatever it is.
            if segment.count >= 16, Self.word(segment, 0) == 0x1000, Self.word(segment, 2) == 0x88BE { return nil }
            guard segment.count >= 4, Self.word(segment, 0) == 0, Self.word(segment, 2) == 0x8847 else { return "GRE header \(segment.prefix(4))" }
            return checkMPLS(segment.dropFirst(4))
        default: break
        }
        return nil
    }

    private mutating func checkVXLAN(_ header: ArraySlice<UInt8>) -> String? {
        guard header.count >= 8, header.prefix(4).elementsEqual([8, 0, 0, 0]), header[header.startIndex + 7] == 0 else {
            return "VXLAN header \(header.prefix(8))"
        }
        if Self.word(header, 4) << 8 | Int(header[header.startIndex + 6]) == Topology.mirrorVNI { return nil }
        return check(header.dropFirst(8), tunnels: false).map { "in VXLAN: " + $0 }
    }

    private mutating func checkMPLS(_ entry: ArraySlice<UInt8>) -> String? {
        guard entry.count > 4, entry[entry.startIndex + 2] & 1 == 1, entry[entry.startIndex + 3] > 0 else { return "MPLS entry \(entry.prefix(4))" }
        let packet = entry.dropFirst(4)
        if packet[packet.startIndex] >> 4 == 0 {
            // A flooded frame: a control word of zero and a VXLAN header before it.
            guard packet.count >= 4, packet.prefix(4).allSatisfy({ $0 == 0 }) else { return "control word \(packet.prefix(4))" }
            return checkVXLAN(packet.dropFirst(4)).map { "in MPLS: " + $0 }
        }
        return checkPayload(packet[packet.startIndex] >> 4 == 4 ? 0x0800 : 0x86DD, packet, tunnels: false).map { "in MPLS: " + $0 }
    }
}
