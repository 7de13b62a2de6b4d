/// A TCP segment (RFC 9293 section 3.1), as far as a short conversation needs it: of the options, the maximum segment size.
///
/// ```
///  0  source port   destination port    4  sequence    8  acknowledgement    12  offset, flags, window    16  checksum   urgent    20  options, data
/// ```
struct TCPSegment: Hashable, Sendable {
    struct Flags: OptionSet, Hashable, Sendable {
        let rawValue: UInt8
        static let fin = Flags(rawValue: 1), syn = Flags(rawValue: 2), rst = Flags(rawValue: 4), psh = Flags(rawValue: 8), ack = Flags(rawValue: 16)
    }
    var source: UInt16
    var destination: UInt16
    var sequence: UInt32
    var acknowledgement: UInt32 = 0
    var flags: Flags
    var window: UInt16 = 0
    /// What a SYN says; nil: nothing.
    var maximumSize: UInt16?
    var data: [UInt8] = []

    init(source: UInt16, destination: UInt16, sequence: UInt32, acknowledgement: UInt32, flags: Flags, window: UInt16) {
        self.source = source
        self.destination = destination
        self.sequence = sequence
        self.acknowledgement = acknowledgement
        self.flags = flags
        self.window = window
    }

    /// Nil when the header is not whole or an option runs out of it.
    init?(_ octets: [UInt8]) {
        var reader = WireReader(octets)
        guard let source = reader.word16(), let destination = reader.word16(), let sequence = reader.word32(), let acknowledgement = reader.word32(),
            let offset = reader.octet(), let flags = reader.octet(), let window = reader.word16(), reader.skip(4)
        else { return nil }
        let size = Int(offset >> 4) * 4
        guard size >= 20, size <= octets.count else { return nil }
        self.init(
            source: source, destination: destination, sequence: sequence, acknowledgement: acknowledgement, flags: Flags(rawValue: flags),
            window: window)
        var options = WireReader(octets, 20..<size)
        while let kind = options.octet(), kind != 0 {
            if kind == 1 { continue }
            guard let length = options.octet(), length >= 2, let value = options.take(Int(length) - 2) else { return nil }
            if kind == 2, value.count == 2 { maximumSize = UInt16(value[value.startIndex]) << 8 | UInt16(value[value.startIndex + 1]) }
        }
        data = Array(octets[size...])
    }

    /// With a checksum of zero, which `ServicePacket` fills in.
    var octets: [UInt8] {
        var out: [UInt8] = []
        out.append(word16: source)
        out.append(word16: destination)
        out.append(word32: sequence)
        out.append(word32: acknowledgement)
        out += [maximumSize == nil ? 0x50 : 0x60, flags.rawValue]
        out.append(word16: window)
        out += [0, 0, 0, 0]
        if let maximumSize {
            out += [2, 4]
            out.append(word16: maximumSize)
        }
        return out + data
    }
}
