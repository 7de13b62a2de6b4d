import NetTypes

/// A UDP datagram, a TCP segment or an ICMPv6 message with its Ethernet and IP header: what a workload asks the network, and what it is answered.
///
/// Reading takes nothing on trust: lengths, checksums, fragments. IPv4 options are passed over; IPv6 extension headers and fragments are not taken, no client of
/// DHCP, DNS or neighbour discovery sends them.
struct ServicePacket: Hashable, Sendable {
    enum Content: Hashable, Sendable {
        case udp(source: UInt16, destination: UInt16, payload: [UInt8])
        /// The whole message; its checksum field is filled in when it is written.
        case icmpv6([UInt8])
        /// The whole segment, likewise.
        case tcp([UInt8])
    }
    var destinationMAC: MACAddress
    var sourceMAC: MACAddress
    var source: IPAddress
    var destination: IPAddress
    var hopLimit: UInt8 = 64
    var content: Content

    init(destinationMAC: MACAddress, sourceMAC: MACAddress, source: IPAddress, destination: IPAddress, hopLimit: UInt8 = 64, content: Content) {
        self.destinationMAC = destinationMAC
        self.sourceMAC = sourceMAC
        self.source = source
        self.destination = destination
        self.hopLimit = hopLimit
        self.content = content
    }

    /// From a frame as received; nil when it is no such packet, or not whole.
    init?(frame: [UInt8]) {
        guard frame.count >= 34, let to = MACAddress(bytes: frame[0..<6]), let from = MACAddress(bytes: frame[6..<12]) else { return nil }
        (destinationMAC, sourceMAC) = (to, from)
        let proto: UInt8, start: Int, end: Int
        switch (frame[12], frame[13]) {
        case (0x08, 0x00):
            let header = Int(frame[14] & 0x0F) * 4, total = Int(frame[16]) << 8 | Int(frame[17])
            guard frame[14] >> 4 == 4, header >= 20, total >= header, 14 + total <= frame.count, frame[20] & 0x3F == 0, frame[21] == 0,
                let source = IPAddress(bytes: frame[26..<30]), let destination = IPAddress(bytes: frame[30..<34])
            else { return nil }
            (self.source, self.destination, hopLimit, proto) = (source, destination, frame[22], frame[23])
            (start, end) = (14 + header, 14 + total)
        case (0x86, 0xDD):
            guard frame.count >= 54, frame[14] >> 4 == 6, let source = IPAddress(bytes: frame[22..<38]),
                let destination = IPAddress(bytes: frame[38..<54])
            else { return nil }
            (self.source, self.destination, hopLimit, proto) = (source, destination, frame[21], frame[20])
            (start, end) = (54, 54 + Int(frame[18]) << 8 + Int(frame[19]))
            guard end <= frame.count else { return nil }
        default: return nil
        }
        // Nobody who could be answered; the data plane lets it pass where it does not check sources.
        guard !source.isMulticast, source != .v4(IPv4Address(rawValue: .max)), !sourceMAC.isMulticast else { return nil }
        switch proto {
        case 17:
            var reader = WireReader(frame, start..<end)
            guard let from = reader.word16(), let to = reader.word16(), let length = reader.word16(), let sum = reader.word16(), length >= 8,
                let payload = reader.take(Int(length) - 8)
            else { return nil }
            // No checksum at all is allowed over IPv4 only (RFC 768, RFC 8200 section 8.1).
            guard sum == 0 ? source.isIPv4 : Self.checksum(source, destination, 17, frame[start..<start + Int(length)]) == 0 else { return nil }
            content = .udp(source: from, destination: to, payload: Array(payload))
        case 6:
            guard end - start >= 20, Self.checksum(source, destination, 6, frame[start..<end]) == 0 else { return nil }
            content = .tcp(Array(frame[start..<end]))
        case 58:
            guard !source.isIPv4, end - start >= 8, Self.checksum(source, destination, 58, frame[start..<end]) == 0 else { return nil }
            content = .icmpv6(Array(frame[start..<end]))
        default: return nil
        }
    }

    /// Over the pseudo-header and the packet; 0: it is right.
    private static func checksum(_ source: IPAddress, _ destination: IPAddress, _ proto: Int, _ packet: some Collection<UInt8>) -> UInt16 {
        var sum = InternetChecksum()
        sum.add(source.bytes)
        sum.add(destination.bytes)
        sum.add(word16: proto)
        sum.add(word16: packet.count)
        sum.add(packet)
        return sum.value
    }

    /// The frame, padded to the Ethernet minimum of 60 octets. Both addresses are of one family.
    var frame: [UInt8] {
        var packet: [UInt8] = []
        let proto: UInt8
        switch content {
        case .udp(let from, let to, let payload):
            proto = 17
            packet.reserveCapacity(8 + payload.count)
            packet.append(word16: from)
            packet.append(word16: to)
            packet.append(word16: UInt16(truncatingIfNeeded: 8 + payload.count))
            packet.append(word16: 0)
            packet += payload
            let sum = Self.checksum(source, destination, 17, packet)
            packet.set(6, word16: sum == 0 ? 0xFFFF : sum)
        case .icmpv6(let message):
            proto = 58
            packet = message
            packet.set(2, word16: 0)
            packet.set(2, word16: Self.checksum(source, destination, 58, packet))
        case .tcp(let segment):
            proto = 6
            packet = segment
            packet.set(16, word16: 0)
            packet.set(16, word16: Self.checksum(source, destination, 6, packet))
        }
        var frame = destinationMAC.bytes + sourceMAC.bytes
        if source.isIPv4 {
            frame += [0x08, 0x00]
            var header: [UInt8] = [0x45, 0]
            header.append(word16: UInt16(truncatingIfNeeded: 20 + packet.count))
            header += [0, 0, 0, 0, hopLimit, proto, 0, 0]
            header += source.bytes + destination.bytes
            var sum = InternetChecksum()
            sum.add(header)
            header.set(10, word16: sum.value)
            frame += header
        } else {
            frame += [0x86, 0xDD, 0x60, 0, 0, 0]
            frame.append(word16: UInt16(truncatingIfNeeded: packet.count))
            frame += [proto, hopLimit]
            frame += source.bytes + destination.bytes
        }
        frame += packet
        if frame.count < 60 { frame += Array(repeating: 0, count: 60 - frame.count) }
        return frame
    }
}
