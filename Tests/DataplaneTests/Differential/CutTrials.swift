import Testing

@testable import Dataplane

/// What the fragmenter and the segmenter cut is put together again, by other code, and must be the packet.
@Suite struct CutTrials {
    private static func word(_ octets: [UInt8], _ at: Int) -> Int { Int(octets[at]) << 8 | Int(octets[at + 1]) }
    private static func isValid(_ octets: ArraySlice<UInt8>) -> Bool {
        var sum = 0
        var at = octets.startIndex
        while at < octets.endIndex {
            sum += Int(octets[at]) << 8 | (at + 1 < octets.endIndex ? Int(octets[at + 1]) : 0)
            at += 2
        }
        while sum > 0xFFFF { sum = sum & 0xFFFF + sum >> 16 }
        return sum == 0xFFFF
    }
    private static func setWord(_ octets: inout [UInt8], _ at: Int, _ value: Int) {
        octets[at] = UInt8(value >> 8 & 0xFF)
        octets[at + 1] = UInt8(value & 0xFF)
    }
    private static func setChecksum(_ octets: inout [UInt8], header: Int) {
        setWord(&octets, 14 + 10, 0)
        var sum = 0
        for at in stride(from: 14, to: 14 + header, by: 2) { sum += word(octets, at) }
        while sum > 0xFFFF { sum = sum & 0xFFFF + sum >> 16 }
        setWord(&octets, 14 + 10, 0xFFFF - sum)
    }

    /// IPv4 options of `size` octets: some that every fragment carries, some that only the first does.
    private static func options(_ random: inout RandomSource, _ size: Int) -> [UInt8] {
        var out: [UInt8] = []
        while out.count < size {
            let left = size - out.count
            if left < 2 || random.hits(4) { out.append(1); continue }
            let length = min(left, 2 + random.below(8))
            out += [random.hits(2) ? 0x94 : 0x44, UInt8(length)] + random.octets(length - 2)
        }
        return out
    }

    /// The frames that a cutter gives; nil when it refuses.
    private static func pieces(_ frame: [UInt8], _ buffer: UnsafeMutableRawPointer, capacity: Int, _ mtu: Int) -> [[UInt8]]? {
        frame.withUnsafeBytes { bytes in
            var fragmenter = Fragmenter(bytes.baseAddress!, length: frame.count, mtu: mtu)
            guard fragmenter.isPossible else { return nil }
            var out: [[UInt8]] = []
            while !fragmenter.isDone {
                let length = fragmenter.next(into: buffer, capacity: capacity)
                if length == 0 { return nil }
                out.append(Array(UnsafeRawBufferPointer(start: buffer, count: length)))
            }
            return out.count == fragmenter.count ? out : nil
        }
    }

    @Test func fragments() {
        trials("fragments", count: 4, operations: 8000, firstSeed: 9000) { trial, steps throws(Trial.Disagreement) in
            let buffer = UnsafeMutableRawPointer.allocate(byteCount: 70_000, alignment: 64)
            defer { buffer.deallocate() }
            while trial.operation < steps {
                trial.step()
                let header = 20 + 4 * (trial.random.hits(2) ? 0 : trial.random.below(11))
                let size = trial.random.hits(20) ? trial.random.below(65_535 - header) : trial.random.below(3000)
                let payload = trial.random.octets(size)
                var frame: [UInt8] =
                    [UInt8](repeating: 2, count: 12) + [8, 0, 0x40 | UInt8(header / 4), 0xB8] + [0, 0, 0x12, 0x34, 0, 0, 64, 17, 0, 0]
                frame += [10, 0, 0, 1, 10, 0, 0, 2] + Self.options(&trial.random, header - 20) + payload
                Self.setWord(&frame, 16, header + size)
                Self.setChecksum(&frame, header: header)
                let mtu = header + 8 + trial.random.below(trial.random.hits(2) ? 100 : 1600), second = header + 8 + trial.random.below(200)
                guard let first = Self.pieces(frame, buffer, capacity: 70_000, mtu) else {
                    try trial.check(false, "\(size) octets, header \(header), MTU \(mtu): refused")
                    return
                }
                // Some of them are cut again by a narrower link; then they arrive in any order.
                var arrived: [[UInt8]] = []
                for piece in first {
                    try trial.check(piece.count - 14 <= mtu, "a fragment of \(piece.count - 14) octets, MTU \(mtu)")
                    if trial.random.hits(3), let again = Self.pieces(piece, buffer, capacity: 70_000, second) {
                        arrived += again
                    } else {
                        arrived.append(piece)
                    }
                }
                arrived.shuffle(using: &trial.random)
                var joined = [UInt8?](repeating: nil, count: size), end: Int?
                for piece in arrived {
                    let length = Int(piece[14] & 0xF) * 4, total = Self.word(piece, 16), field = Self.word(piece, 20), offset = (field & 0x1FFF) * 8
                    try trial.check(
                        piece.count == 14 + total && Self.isValid(piece[14..<14 + length]), "a fragment is malformed: \(piece.prefix(60))")
                    try trial.check(Self.word(piece, 18) == 0x1234 && piece[26..<34] == frame[26..<34], "a fragment of another packet")
                    for (index, octet) in piece[(14 + length)...].enumerated() {
                        try trial.check(
                            offset + index < size && joined[offset + index] == nil, "octet \(offset + index) of \(size) arrives twice or never was")
                        joined[offset + index] = octet
                    }
                    if field & 0x2000 == 0 {
                        try trial.check(end == nil, "two last fragments")
                        end = offset + total - length
                    } else {
                        try trial.check((total - length) % 8 == 0, "not a multiple of 8 octets, and not the last")
                    }
                }
                try trial.check(
                    end == size && joined == payload.map { $0 }, "\(size) octets, header \(header), MTU \(mtu), then \(second): not the packet")
            }
        }
    }

    @Test func segments() {
        trials("segments", count: 4, operations: 3000, firstSeed: 9500) { trial, steps throws(Trial.Disagreement) in
            let buffer = UnsafeMutableRawPointer.allocate(byteCount: 70_000, alignment: 64)
            defer { buffer.deallocate() }
            while trial.operation < steps {
                trial.step()
                let isIPv6 = trial.random.hits(2), network = isIPv6 ? 40 : 20, tcp = 20 + 4 * trial.random.below(11)
                let size = trial.random.hits(10) ? trial.random.below(65_000 - tcp) : trial.random.below(6000)
                let payload = trial.random.octets(size)
                let sequence = UInt32(truncatingIfNeeded: trial.random.next()), flags = UInt8(truncatingIfNeeded: trial.random.next()) & 0xD9 | 0x10
                var frame = [UInt8](repeating: 2, count: 12) + (isIPv6 ? [0x86, 0xDD] : [8, 0])
                frame +=
                    isIPv6
                    ? [0x60, 0, 0, 0, 0, 0, 6, 64] + trial.random.octets(32)
                    : [0x45, 0, 0, 0, 0xFF, 0xFE, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]
                frame +=
                    [4, 0, 0, 80] + (0..<4).map { UInt8(truncatingIfNeeded: sequence >> (24 - 8 * UInt32($0))) } + [
                        1, 2, 3, 4, UInt8(tcp / 4) << 4, flags & 0xDB, 0xFF, 0xFF,
                    ]
                frame += [0, 0, 0, 0] + trial.random.octets(tcp - 20) + payload
                Self.setWord(&frame, isIPv6 ? 18 : 16, (isIPv6 ? 0 : network) + tcp + size)
                if !isIPv6 { Self.setChecksum(&frame, header: 20) }
                let mtu = network + tcp + 1 + trial.random.below(trial.random.hits(4) ? 60 : 1500)
                var segments: [[UInt8]] = [], possible = false
                frame.withUnsafeBytes { bytes in
                    var segmenter = Segmenter(bytes.baseAddress!, length: bytes.count, mtu: mtu)
                    possible = segmenter.isPossible
                    while !segmenter.isDone {
                        let length = segmenter.next(into: buffer, capacity: 70_000)
                        if length == 0 { return }
                        segments.append(Array(UnsafeRawBufferPointer(start: buffer, count: length)))
                    }
                }
                // A reset is not cut.
                try trial.check(possible || (flags & 4 != 0 && network + tcp + size > mtu), "\(size) octets, MTU \(mtu): refused")
                guard possible else { continue }
                var joined: [UInt8] = []
                for (index, segment) in segments.enumerated() {
                    let ip = segment.count - 14
                    try trial.check(ip <= mtu, "a segment of \(ip) octets, MTU \(mtu)")
                    if isIPv6 {
                        try trial.check(Self.word(segment, 18) == ip - 40, "payload length of segment \(index)")
                    } else {
                        try trial.check(Self.word(segment, 16) == ip && Self.isValid(segment[14..<34]), "IPv4 header of segment \(index)")
                        try trial.check(Self.word(segment, 18) == (0xFFFE + index) & 0xFFFF, "identification of segment \(index)")
                    }
                    let transport = segment[(14 + network)...]
                    let pseudo =
                        Array(isIPv6 ? segment[22..<54] : segment[26..<34]) + [0, 6, UInt8(transport.count >> 8), UInt8(transport.count & 0xFF)]
                    try trial.check(Self.isValid((pseudo + transport)[...]), "TCP checksum of segment \(index)")
                    let at = 14 + network
                    let number = UInt32(Self.word(segment, at + 4)) << 16 | UInt32(Self.word(segment, at + 6))
                    try trial.check(number == sequence &+ UInt32(joined.count), "sequence number of segment \(index)")
                    let isFirst = index == 0, isLast = index == segments.count - 1, own = segment[at + 13]
                    try trial.check(
                        own & 0x09 == (isLast ? flags & 0x09 : 0) && own & 0x80 == (isFirst ? flags & 0x80 : 0),
                        "flags of segment \(index): \(own) of \(flags)")
                    joined += segment[(at + tcp)...]
                }
                try trial.check(joined == payload, "\(size) octets, MTU \(mtu): not the data")
            }
        }
    }
}
