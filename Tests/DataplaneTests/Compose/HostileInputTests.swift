import NetTypes
import Testing

@testable import Dataplane

/// Whatever a frame holds, nothing traps and nothing outside its memory is touched: input and output lie against pages that cannot be accessed.
@Suite struct HostileInputTests {
    static let seeds: [[UInt8]] =
        [
            ComposeVectors.arpRequestTagged, ComposeVectors.solicitation, ComposeVectors.echoRequest, ComposeVectors.echoRequest6,
            ComposeVectors.timeExceeded, ComposeVectors.packetTooBig6, ComposeVectors.datagram, ComposeVectors.optioned, ComposeVectors.oversized4,
            ComposeVectors.oversized6, ComposeVectors.tcp4Unfinished, ComposeVectors.udp6Unfinished,
        ]
        + [WireVectors.ipv6Extensions, WireVectors.ipv6Routing, WireVectors.ipv6AH, WireVectors.ipv6LaterFragment, ComposeVectors.synOdd].map {
            Array(ComposeVectors.tcp6.prefix(14)) + $0
        } + [Array(ComposeVectors.tcp4.prefix(14)) + ComposeVectors.syn]

    /// Every check, and behind it every property and walk, at one place.
    func view(_ p: UnsafeMutableRawPointer, _ available: Int) -> UInt64 {
        var seen: UInt64 = 0
        if Ethernet.check(p, available: available) { seen &+= Ethernet(p).fields.source }
        if VLAN.check(p, available: available) { seen &+= UInt64(VLAN(p).fields.id) }
        if let link = LinkHeader(p, length: available) { seen &+= UInt64(link.size) }
        if ARP.check(p, available: available) { seen &+= UInt64(ARP(p).fields.target) }
        if IPv4.check(p, available: available) {
            let ip = IPv4(p)
            seen &+= UInt64(ip.fields.source) &+ (ip.hasValidChecksum ? 1 : 0) &+ (ip.hasSourceRoute ? 1 : 0) &+ UInt64(ip.copiedHeaderLength)
            seen &+= UInt64(Checksum.sum(ip.payload, ip.payloadLength))
        }
        if IPv6.check(p, available: available) {
            let headers = IPv6(p).headers()
            #expect(headers.outcome == .malformed || headers.offset <= IPv6(p).totalLength)
            seen &+= IPv6(p).fields.source.low &+ UInt64(headers.offset)
        }
        if UDP.check(p, available: available) { seen &+= UInt64(Checksum.sum(p, UDP(p).length)) }
        if TCP.check(p, available: available) {
            let offset = TCP(p).maximumSegmentSizeOffset
            #expect(offset == 0 || offset + 2 <= TCP(p).headerLength)
            seen &+= UInt64(TCP(p).fields.window)
        }
        if ICMPv4.check(p, available: available) { seen &+= UInt64(ICMPv4(p).fields.sequence) }
        if ICMPv6.check(p, available: available) { seen &+= UInt64(ICMPv6(p).fields.body) }
        if NeighbourMessage.check(p, available: available) {
            seen &+= NeighbourMessage(p).fields.target.low
            seen &+= NeighbourOptions(p + 24, length: available - 24).source
        }
        if RouterSolicitation.check(p, available: available) { seen &+= NeighbourOptions(p + 8, length: available - 8).target }
        if VXLAN.check(p, available: available) { seen &+= UInt64(VXLAN(p).vni) }
        if MPLS.check(p, available: available) { seen &+= UInt64(MPLS(p).fields.label) }
        if GRE.check(p, available: available) {
            seen &+= UInt64(GRE(p).headerLength) &+ UInt64(GRE(p).hasKey ? GRE(p).key : 0)
            #expect(GRE(p).headerLength <= available)
        }
        return seen
    }

    /// Every composer, on a fresh copy each.
    func compose(_ frame: [UInt8], memory: GuardedMemory, target: GuardedMemory, random: inout RandomSource) {
        let length = frame.count
        let address6 = IPv6Address(high: 0xFD00_0001_0000_0000, low: 1)
        let capacity = random.below(1500)
        let out = target.end(capacity)
        func bounded(_ made: Int) { #expect(made >= 0 && made <= capacity) }
        var p = memory.place(frame)
        bounded(
            NeighbourAdvertisement.make(from: p, length: length, into: out, capacity: capacity, mac: 2, isRouter: true, overrides: true))
        for kind in [.timeExceeded, .packetTooBig(mtu: capacity)] as [ICMPError.Kind] {
            bounded(ICMPError.makeIPv4(kind, about: p, length: length, into: out, capacity: capacity, mac: 2, address: 1))
            bounded(ICMPError.makeIPv6(kind, about: p, length: length, into: out, capacity: capacity, mac: 2, address: address6))
        }
        let mtu = random.below(200) - 10
        var fragmenter = Fragmenter(p, length: length, mtu: mtu)
        while !fragmenter.isDone {
            let made = fragmenter.next(into: out, capacity: capacity)
            bounded(made)
            if made == 0 { break }
        }
        var segmenter = Segmenter(p, length: length, mtu: mtu)
        while !segmenter.isDone {
            let made = segmenter.next(into: out, capacity: capacity)
            bounded(made)
            if made == 0 { break }
        }
        #expect(contents(p, length) == frame, "a cause is only read")

        #expect(ARPReply.make(p, length: length, mac: 2) <= length)
        p = memory.place(frame)
        #expect(EchoReply.make(p, length: length) <= length)
        p = memory.place(frame)
        ChecksumOffload.finish(p, length: length)
        p = memory.place(frame)
        if length >= 14 { MSSClamp.apply(p + 14, length: length - 14, maximum: UInt16(random.below(1500))) }
        MSSClamp.apply(p, length: length, maximum: 0)
    }

    @Test func everyTruncation() {
        var random = RandomSource(seed: 3)
        let memory = GuardedMemory(capacity: 4096), target = GuardedMemory(capacity: 4096)
        for seed in HostileInputTests.seeds {
            for length in 0...seed.count {
                let frame = Array(seed.prefix(length))
                for offset in 0...min(length, 60) { _ = view(memory.place(frame) + offset, length - offset) }
                compose(frame, memory: memory, target: target, random: &random)
            }
        }
    }
    @Test func damagedFrames() {
        var random = RandomSource(seed: 4)
        let memory = GuardedMemory(capacity: 4096), target = GuardedMemory(capacity: 4096)
        for round in 0..<12_000 {
            var frame = HostileInputTests.seeds[round % HostileInputTests.seeds.count]
            for _ in 0...random.below(4) { frame[random.below(frame.count)] = random.below(3) == 0 ? 0xFF : UInt8(truncatingIfNeeded: random.next()) }
            if random.below(4) == 0 { frame.removeLast(random.below(frame.count)) }
            if random.below(8) == 0 { frame += [UInt8](repeating: 0x01, count: random.below(80)) }
            for offset in [0, 12, 14, 18, 34, 38, 54] where offset <= frame.count { _ = view(memory.place(frame) + offset, frame.count - offset) }
            compose(frame, memory: memory, target: target, random: &random)
        }
    }
    @Test func noise() {
        var random = RandomSource(seed: 5)
        let memory = GuardedMemory(capacity: 4096), target = GuardedMemory(capacity: 4096)
        for round in 0..<6000 {
            var frame = (0..<random.below(160)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            // Lead half of them into the parsers: a type, a version, a header length.
            if round % 2 == 0, frame.count > 18 {
                let isIPv6 = round % 4 == 0
                frame.replaceSubrange(12..<15, with: isIPv6 ? [0x86, 0xDD, 0x60] : [0x08, 0x00, 0x45 + UInt8(random.below(4))])
                frame[isIPv6 ? 18 : 16] = 0
            }
            _ = view(memory.place(frame), frame.count)
            compose(frame, memory: memory, target: target, random: &random)
        }
    }
}
