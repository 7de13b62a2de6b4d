import NetTypes
import Testing

@testable import Dataplane

private let gatewayMAC: UInt64 = 0x0000_5E00_0100

/// What an in-place answer leaves in the frame: exactly its length; nil when it made none and changed nothing.
private func answer(_ frame: [UInt8], _ make: (UnsafeMutableRawPointer, Int) -> Int) -> [UInt8]? {
    on(frame) { p in
        let length = make(p, frame.count)
        if length == 0 {
            #expect(contents(p, frame.count) == frame, "no answer, but the frame has changed")
            return nil
        }
        return contents(p, length)
    }
}

@Suite struct ARPComposeTests {
    func reply(_ frame: [UInt8]) -> [UInt8]? { answer(frame) { ARPReply.make($0, length: $1, mac: gatewayMAC) } }

    @Test func answers() {
        #expect(reply(ComposeVectors.arpRequest) == ComposeVectors.arpReply)
        #expect(reply(ComposeVectors.arpRequestTagged) == ComposeVectors.arpReplyTagged)
    }
    @Test func keepsPaddingOfMinimumFrame() {
        let padding = [UInt8](repeating: 0, count: 18)
        #expect(reply(ComposeVectors.arpRequest + padding) == ComposeVectors.arpReply + padding)
        #expect(reply(ComposeVectors.arpRequest + padding + padding) == ComposeVectors.arpReply + padding)
    }
    /// A probe: sender address 0.0.0.0 (octets 28…31).
    @Test func answersProbe() {
        var probe = ComposeVectors.arpRequest
        probe.replaceSubrange(28..<32, with: [0, 0, 0, 0])
        #expect(reply(probe)?[38...].elementsEqual([0, 0, 0, 0]) == true)
    }
    @Test func doesNotAnswer() {
        #expect(reply(ComposeVectors.arpReply) == nil, "a reply")
        #expect(reply(changing(ComposeVectors.arpRequest, 22, to: 3)) == nil, "sender with a group address")
        #expect(reply(changing(ComposeVectors.arpRequest, 41, to: 10)) == nil, "an announcement: sender is the target")
        #expect(reply(changing(ComposeVectors.arpRequest, 18, to: 8)) == nil, "other hardware")
        #expect(reply(Array(ComposeVectors.arpRequest.dropLast())) == nil, "cut")
        #expect(reply(ComposeVectors.udp4) == nil, "IPv4")
    }
    @Test func request() {
        let bytes = written(42) {
            #expect(ARPRequest.make(into: $0, capacity: 42, mac: 0x0200_0000_010A, source: 0x0A01_000A, target: 0x0A01_0001) == 42)
        }
        #expect(bytes == ComposeVectors.arpRequest)
        let untouched = written(41) {
            #expect(ARPRequest.make(into: $0, capacity: 41, mac: 1, source: 2, target: 3) == 0)
        }
        #expect(untouched.allSatisfy { $0 == 0xEE })
    }
}

@Suite struct NeighbourAdvertisementTests {
    func advertise(_ frame: [UInt8], capacity: Int = 86, overrides: Bool = true) -> [UInt8]? {
        var length = 0
        let bytes = on(frame) { source in
            written(capacity) {
                length = NeighbourAdvertisement.make(
                    from: source, length: frame.count, into: $0, capacity: capacity, mac: gatewayMAC, isRouter: true, overrides: overrides)
            }
        }
        return length == 0 ? nil : Array(bytes.prefix(length))
    }
    /// The solicitation with its message changed and its checksum made right again.
    func changed(_ frame: [UInt8], _ change: (inout [UInt8]) -> Void) -> [UInt8] {
        var frame = frame
        change(&frame)
        return on(frame) { p in
            let ip = IPv6(p + 14)
            ICMPv6(p + 54).updateChecksum(ip: ip, length: frame.count - 54)
            return contents(p, frame.count)
        }
    }

    @Test func answers() { #expect(advertise(ComposeVectors.solicitation) == ComposeVectors.advertisement) }
    @Test func answersDuplicateDetectionToAllNodes() {
        #expect(advertise(ComposeVectors.duplicateDetection, overrides: false) == ComposeVectors.advertisementToAll)
    }
    @Test func answersInPlace() {
        let memory = GuardedMemory()
        let p = memory.place(ComposeVectors.solicitation)
        #expect(
            NeighbourAdvertisement.make(from: p, length: 86, into: p, capacity: 86, mac: gatewayMAC, isRouter: true, overrides: true) == 86)
        #expect(contents(p, 86) == ComposeVectors.advertisement)
    }
    @Test func withoutOptionGoesToEthernetSource() {
        // Drop the option: 24 octets of message.
        let frame = changed(ComposeVectors.solicitation) {
            $0.removeLast(8)
            $0[19] = 24
        }
        #expect(advertise(frame) == ComposeVectors.advertisement)
    }
    @Test func solicitationValues() {
        let asked = on(ComposeVectors.solicitation) { NeighbourSolicitation($0, length: 86) }
        #expect(asked?.target == IPv6Address("fd00:1::1") && asked?.source == IPv6Address("fd00:1::10"))
        #expect(asked?.mac == 0x0200_0000_010A && asked?.linkSize == 14 && asked?.isDuplicateDetection == false)
        #expect(on(ComposeVectors.duplicateDetection) { NeighbourSolicitation($0, length: 78)?.isDuplicateDetection } == true)
    }
    /// RFC 4861 section 7.1.1, condition by condition.
    @Test func invalid() {
        let right = ComposeVectors.solicitation
        #expect(advertise(changed(right) { _ in }) != nil, "the helper keeps a right one right")
        #expect(advertise(changing(right, 21, to: 254)) == nil, "hop limit 254")
        #expect(advertise(changing(right, 56, to: 0)) == nil, "checksum")
        #expect(advertise(changed(right) { $0[55] = 1 }) == nil, "code 1")
        #expect(advertise(changed(right) { $0[54] = 136 }) == nil, "an advertisement")
        #expect(advertise(changed(right) { $0[62] = 0xFF }) == nil, "group address as target")
        #expect(advertise(changed(right) { $0[79] = 0 }) == nil, "option of length 0")
        #expect(advertise(changed(right) { $0[79] = 2 }) == nil, "option past the message")
        #expect(advertise(changed(right) { $0[80] = 1 }) == nil, "group MAC address in the option")
        #expect(advertise(changed(right) { $0[22] = 0xFF }) == nil, "group address as source")
        #expect(advertise(changed(right) { for index in 22..<38 { $0[index] = 0 } }) == nil, "from :: with a source link-layer option")
        #expect(advertise(changed(ComposeVectors.duplicateDetection) { $0[38] = 0xFD }) == nil, "from :: to an address that is not solicited-node")
        #expect(advertise(Array(right.dropLast())) == nil, "cut")
        #expect(advertise(right, capacity: 85) == nil, "no room")
        // The same message behind a fragment header (RFC 6980).
        var fragmented = Array(right[..<54]) + octets("3a00000000000001") + right[54...]
        fragmented[20] = 44
        fragmented[19] = 40
        #expect(advertise(fragmented) == nil, "a fragment")
    }
}

@Suite struct EchoReplyTests {
    func reply(_ frame: [UInt8]) -> [UInt8]? { answer(frame) { EchoReply.make($0, length: $1) } }

    @Test func answers() {
        #expect(reply(ComposeVectors.echoRequest) == ComposeVectors.echoReply)
        #expect(reply(ComposeVectors.echoRequest6) == ComposeVectors.echoReply6)
    }
    @Test func keepsPaddingOfMinimumFrame() {
        let padding = [UInt8](repeating: 0, count: 9)
        #expect(reply(ComposeVectors.echoRequest + padding) == ComposeVectors.echoReply + padding)
    }
    /// A request damaged on its way gives a reply that is seen to be damaged.
    @Test func keepsWrongChecksumWrong() {
        let damaged = changing(ComposeVectors.echoRequest, 45, to: 0x00)
        let reply = reply(damaged)!
        #expect(!on(reply) { ICMPv4($0 + 34).hasValidChecksum(length: reply.count - 34) })
    }
    @Test func doesNotAnswer() {
        let four = ComposeVectors.echoRequest, six = ComposeVectors.echoRequest6
        #expect(reply(ComposeVectors.echoReply) == nil && reply(ComposeVectors.echoReply6) == nil, "a reply")
        #expect(reply(changing(four, 35, to: 1)) == nil, "code 1")
        #expect(reply(changing(four, 20, to: 0x20)) == nil, "first of several fragments")
        #expect(reply(changing(four, 0, to: 0x01)) == nil, "group MAC address")
        #expect(reply(changing(four, 30, to: 0xE0)) == nil, "to 224.1.0.1")
        #expect(reply(changing(four, 26, to: 0xFF)) == nil, "from 255.1.0.10")
        #expect(reply(changing(four, 26, to: 0)) == nil, "from 0.1.0.10")
        #expect(reply(changing(six, 42, to: 0xFF)) == nil, "to a group")
        #expect(reply(changing(six, 24, to: 17)) == nil, "UDP")
        #expect(reply(ComposeVectors.udp4) == nil && reply(ComposeVectors.arpRequest) == nil)
        #expect(reply(Array(four.dropLast())) == nil && reply(Array(six.dropLast())) == nil, "cut")
        // A loose source route in the header.
        var routed = Array(four[..<34]) + octets("0183070408080808") + four[34...]
        routed[14] = 0x47
        routed[17] += 8
        #expect(reply(routed) == nil, "source route")
    }
}
