import Testing

@testable import Dataplane

@Suite struct ChecksumOffloadTests {
    func finish(_ frame: [UInt8]) -> (Bool, [UInt8]) { on(frame) { (ChecksumOffload.finish($0, length: frame.count), contents($0, frame.count)) } }

    @Test(
        arguments: [
            ("UDP", ComposeVectors.udp4Unfinished, ComposeVectors.udp4), ("TCP", ComposeVectors.tcp4Unfinished, ComposeVectors.tcp4),
            ("TCP, length 0", ComposeVectors.tcp4UnfinishedTSO, ComposeVectors.tcp4),
            ("TCP, IPv6", ComposeVectors.tcp6Unfinished, ComposeVectors.tcp6),
            ("UDP, IPv6", ComposeVectors.udp6Unfinished, ComposeVectors.udp6),
            ("UDP whose sum is 0", ComposeVectors.udpZeroUnfinished, ComposeVectors.udpZero),
        ] as [(String, [UInt8], [UInt8])]) func completes(_ name: String, _ before: [UInt8], _ after: [UInt8])
    {
        #expect(finish(before) == (true, after), "\(name)")
        // Ethernet padding is not part of the sum.
        #expect(finish(before + [7, 7, 7]) == (true, after + [7, 7, 7]), "\(name), padded")
        let tag = octets("810000c8")
        #expect(finish(before[..<12] + tag + before[12...]) == (true, after[..<12] + tag + after[12...]), "\(name), tagged")
        #expect(finish(after) == (false, after), "\(name), finished")
    }
    @Test func wrongStaysWrong() {
        let wrong = changing(ComposeVectors.tcp4, 60, to: 0x7F)
        #expect(finish(wrong) == (false, wrong))
    }
    @Test func udpWithoutChecksum() {
        let none = changing(changing(ComposeVectors.udp4, 40, to: 0), 41, to: 0)
        #expect(finish(none) == (false, none))
    }
    @Test func leavesFragments() {
        let fragment = changing(ComposeVectors.udp4Unfinished, 20, to: 0x20)
        #expect(finish(fragment) == (false, fragment))
    }
    @Test func leavesOthers() {
        for frame in [
            ComposeVectors.arpRequest, ComposeVectors.echoRequest, ComposeVectors.solicitation, Array(ComposeVectors.tcp4Unfinished.dropLast()),
        ] {
            #expect(finish(frame) == (false, frame))
        }
    }
}

@Suite struct MSSClampTests {
    func clamp(_ packet: [UInt8], _ maximum: UInt16) -> (Bool, [UInt8]) {
        on(packet) { (MSSClamp.apply($0, length: packet.count, maximum: maximum), contents($0, packet.count)) }
    }

    @Test func lowers() {
        #expect(clamp(ComposeVectors.syn, 1360) == (true, ComposeVectors.synClamped))
        #expect(clamp(ComposeVectors.synOdd, 1340) == (true, ComposeVectors.synOddClamped))
    }
    @Test func neverRaises() {
        #expect(clamp(ComposeVectors.syn, 1460) == (false, ComposeVectors.syn))
        #expect(clamp(ComposeVectors.syn, 9000) == (false, ComposeVectors.syn))
    }
    @Test func leavesOthers() {
        let data = changing(ComposeVectors.syn, 33, to: 0x10)
        #expect(clamp(data, 500) == (false, data), "no SYN")
        for packet in [ComposeVectors.tcp4, ComposeVectors.udp4, ComposeVectors.tcp6].map({ Array($0[14...]) }) {
            #expect(clamp(packet, 100) == (false, packet))
        }
        let cut = Array(ComposeVectors.syn.dropLast())
        #expect(clamp(cut, 500) == (false, cut))
    }
    @Test func maximum() {
        #expect(MSSClamp.maximum(mtu: 1500, isIPv6: false) == 1460 && MSSClamp.maximum(mtu: 1450, isIPv6: true) == 1390)
        #expect(MSSClamp.maximum(mtu: 0, isIPv6: false) == 0 && MSSClamp.maximum(mtu: 100_000, isIPv6: false) == 65535)
    }
}
