import CPlatform
import NetTypes
import Testing

@testable import Dataplane

@Suite struct SpreadHashTests {
    private let hash = SpreadHash()

    private func value(_ octets: [UInt8], rss: UInt32 = 0, usesPortHash: Bool = false) -> UInt32 {
        var octets = octets
        return octets.withUnsafeMutableBytes { bytes in
            hash(
                vr_frame(
                    buffer: nil, data: bytes.baseAddress!.assumingMemoryBound(to: UInt8.self), length: UInt32(bytes.count), headroom: 0, tailroom: 0,
                    hash: rss), usesPortHash: usesPortHash)
        }
    }

    private static let macs: [UInt8] = [2, 0, 0, 0, 1, 1, 2, 0, 0, 0, 1, 2]
    private static func word(_ value: Int) -> [UInt8] { [UInt8(value >> 8 & 0xFF), UInt8(value & 0xFF)] }
    private static func udp(_ source: Int, _ destination: Int, _ payload: [UInt8] = [1, 2, 3, 4]) -> [UInt8] {
        word(source) + word(destination) + word(8 + payload.count) + [0, 0] + payload
    }
    private static func ipv4(_ source: UInt8, _ destination: UInt8, proto: UInt8 = 17, fragment: Int = 0, _ payload: [UInt8]) -> [UInt8] {
        [0x45, 0] + word(20 + payload.count) + [0, 0] + word(fragment) + [64, proto, 0, 0, 10, 0, 0, source, 10, 0, 0, destination] + payload
    }
    private static func ipv6(_ source: UInt8, _ destination: UInt8, proto: UInt8 = 17, _ payload: [UInt8]) -> [UInt8] {
        let network: [UInt8] = [0xFD, 0] + Array(repeating: 0, count: 13)
        return [0x60, 0, 0, 0] + word(payload.count) + [proto, 64] + network + [source] + network + [destination] + payload
    }
    private static func frame(_ type: Int, _ packet: [UInt8]) -> [UInt8] { macs + word(type) + packet }
    private static let label: [UInt8] = [0, 1, 0x01, 64]

    @Test func bothDirectionsMeet() {
        let there = Self.frame(0x0800, Self.ipv4(1, 2, Self.udp(1000, 53))), back = Self.frame(0x0800, Self.ipv4(2, 1, Self.udp(53, 1000)))
        #expect(value(there) != 0 && value(there) == value(back))
        let there6 = Self.frame(0x86DD, Self.ipv6(1, 2, Self.udp(1000, 53))), back6 = Self.frame(0x86DD, Self.ipv6(2, 1, Self.udp(53, 1000)))
        #expect(value(there6) != 0 && value(there6) == value(back6))
        #expect(value(there) != value(Self.frame(0x0800, Self.ipv4(1, 2, Self.udp(1001, 53)))))
        #expect(value(there) != value(Self.frame(0x0800, Self.ipv4(1, 2, proto: 6, Self.udp(1000, 53)))))
    }

    /// The reverse direction arrives in a tunnel, over either fabric, whatever the outer header says.
    @Test func aTunnelGoesByWhatItCarries() {
        let plain = value(Self.frame(0x0800, Self.ipv4(1, 2, Self.udp(1000, 53))))
        let inner = Self.ipv4(2, 1, Self.udp(53, 1000))
        let vxlan = Self.udp(50_000, 4789, [8, 0, 0, 0, 0, 0, 77, 0] + Self.frame(0x0800, inner))
        let mpls = Self.udp(50_001, 6635, Self.label + inner)
        let gre: [UInt8] = [0, 0, 0x88, 0x47] + Self.label + inner, greWithKey: [UInt8] = [0x20, 0, 0x88, 0x47, 1, 2, 3, 4] + Self.label + inner
        for (source, destination): (UInt8, UInt8) in [(8, 9), (7, 200)] {
            #expect(value(Self.frame(0x0800, Self.ipv4(source, destination, vxlan))) == plain)
            #expect(value(Self.frame(0x0800, Self.ipv4(source, destination, mpls))) == plain)
            #expect(value(Self.frame(0x0800, Self.ipv4(source, destination, proto: 47, gre))) == plain)
            #expect(value(Self.frame(0x0800, Self.ipv4(source, destination, proto: 47, greWithKey))) == plain)
            #expect(value(Self.frame(0x86DD, Self.ipv6(source, destination, vxlan))) == plain)
            #expect(value(Self.frame(0x86DD, Self.ipv6(source, destination, proto: 47, gre))) == plain)
        }
        // Two MPLS labels are not one of ours: the outer packet decides.
        let deep = Self.udp(50_001, 6635, [0, 1, 0, 64] + Self.label + inner)
        #expect(value(Self.frame(0x0800, Self.ipv4(8, 9, deep))) != plain)
    }

    @Test func fragmentsOfAPacketMeet() {
        let first = Self.frame(0x0800, Self.ipv4(1, 2, fragment: 0x2000, Self.udp(1000, 53)))
        let last = Self.frame(0x0800, Self.ipv4(1, 2, fragment: 0x0010, [9, 9, 9, 9, 9, 9, 9, 9]))
        #expect(value(first) == value(last) && value(first) != 0)
    }

    @Test func aPortsHashCountsUnlessThereIsATunnel() {
        let plain = Self.frame(0x0800, Self.ipv4(1, 2, Self.udp(1000, 53)))
        #expect(value(plain, rss: 0xABCD, usesPortHash: true) == 0xABCD)
        #expect(value(plain, rss: 0xABCD) == value(plain) && value(plain, rss: 0, usesPortHash: true) == value(plain))
        let tunnel = Self.frame(0x0800, Self.ipv4(8, 9, Self.udp(5, 6635, Self.label + Self.ipv4(1, 2, Self.udp(1000, 53)))))
        #expect(value(tunnel, rss: 0xABCD, usesPortHash: true) == value(plain))
    }

    @Test func whatIsNotIPGoesByStationsAndARPStays() {
        let there = Self.frame(0x88B5, [1, 2, 3])
        let back: [UInt8] = [2, 0, 0, 0, 1, 2, 2, 0, 0, 0, 1, 1] + Array(there[12...])
        #expect(value(there) != 0 && value(there) == value(back))
        #expect(value(Self.frame(0x0806, Array(repeating: 1, count: 28))) == 0)
        // Behind VLAN tags as without.
        let packet = Self.ipv4(1, 2, Self.udp(1000, 53))
        #expect(value(Self.frame(0x8100, [0, 5, 8, 0] + packet)) == value(Self.frame(0x0800, packet)))
        #expect(value(Self.frame(0x88A8, [0, 5, 0x81, 0, 0, 6, 8, 0] + packet)) == value(Self.frame(0x0800, packet)))
    }

    /// Every octet of every length is either there or not touched.
    @Test func cutAndGarbledFramesAreRead() {
        var random = RandomSource(seed: 0x5EED)
        let memory = GuardedMemory()
        let inner = Self.ipv4(2, 1, Self.udp(53, 1000))
        let whole = [
            Self.frame(0x0800, Self.ipv4(8, 9, Self.udp(50_000, 4789, [8, 0, 0, 0, 0, 0, 77, 0] + Self.frame(0x0800, inner)))),
            Self.frame(0x0800, Self.ipv4(8, 9, proto: 47, [0xB0, 0, 0x88, 0x47, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] + Self.label + inner)),
            Self.frame(0x88A8, [0, 5, 0x81, 0, 0, 6, 0x86, 0xDD] + Self.ipv6(1, 2, Self.udp(1, 6635, Self.label + inner))),
        ]
        for frame in whole {
            for length in 0...frame.count {
                var octets = Array(frame.prefix(length))
                _ = hash(self.frame(memory.place(octets), octets.count), usesPortHash: false)
                guard length > 0 else { continue }
                for _ in 0..<8 {
                    octets[Int(random.next() % UInt64(length))] = UInt8(truncatingIfNeeded: random.next() >> 20)
                    _ = hash(self.frame(memory.place(octets), octets.count), usesPortHash: true)
                }
            }
        }
    }

    private func frame(_ start: UnsafeMutableRawPointer, _ length: Int) -> vr_frame {
        vr_frame(buffer: nil, data: start.assumingMemoryBound(to: UInt8.self), length: UInt32(length), headroom: 0, tailroom: 0, hash: 0)
    }

    @Test func manyFlowsAreDealtOutEvenly() {
        var shares = [0, 0, 0, 0]
        for port in 0..<4000 {
            let hash = value(Self.frame(0x0800, Self.ipv4(UInt8(port % 200), 250, Self.udp(port, 80))))
            shares[Int((UInt64(hash) * 4) >> 32)] += 1
        }
        #expect(shares.min()! >= 800 && shares.max()! <= 1200, "\(shares)")
    }
}
