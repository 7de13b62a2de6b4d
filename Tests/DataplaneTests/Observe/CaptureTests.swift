import CPlatform
import Glibc
import NetTypes
import Synchronization
import Testing

@testable import Dataplane

/// Programs as `tcpdump -y EN10MB -ddd` prints them.
func filter(_ program: [(UInt16, UInt8, UInt8, UInt32)]) throws -> PacketFilter {
    try #require(PacketFilter(program.map { PacketFilter.Instruction(code: $0.0, jumpTrue: $0.1, jumpFalse: $0.2, k: $0.3) }))
}
// udp port 2000
let udpPort2000: [(UInt16, UInt8, UInt8, UInt32)] = [
    (40, 0, 0, 12), (21, 0, 6, 34525), (48, 0, 0, 20), (21, 0, 15, 17), (40, 0, 0, 54), (21, 12, 0, 2000), (40, 0, 0, 56), (21, 10, 11, 2000),
    (21, 0, 10, 2048), (48, 0, 0, 23), (21, 0, 8, 17), (40, 0, 0, 20), (69, 6, 0, 8191), (177, 0, 0, 14), (72, 0, 0, 14), (21, 2, 0, 2000),
    (72, 0, 0, 16), (21, 0, 1, 2000), (6, 0, 0, 262144), (6, 0, 0, 0),
]
// icmp6 or (tcp[tcpflags] & tcp-syn != 0) or len > 1000
let mixed: [(UInt16, UInt8, UInt8, UInt32)] = [
    (40, 0, 0, 12), (21, 0, 5, 34525), (48, 0, 0, 20), (21, 13, 0, 58), (21, 0, 10, 44), (48, 0, 0, 54), (21, 10, 8, 58), (21, 0, 7, 2048),
    (48, 0, 0, 23), (21, 0, 5, 6), (40, 0, 0, 20), (69, 3, 0, 8191), (177, 0, 0, 14), (80, 0, 0, 27), (69, 2, 0, 2), (128, 0, 0, 0), (37, 0, 1, 1000),
    (6, 0, 0, 262144), (6, 0, 0, 0),
]

@Suite struct PacketFilterTests {
    @Test func saysWhatTcpdumpSays() throws {
        let udp = try filter(udpPort2000)
        #expect(udp.matches(Golden.routed))
        #expect(!udp.matches(Golden.bridged))
        #expect(!udp.matches(Array(Golden.routed.prefix(35))), "ports are cut off")
        let other = try filter(mixed)
        #expect(!other.matches(Golden.routed))
        #expect(other.matches(Golden.routed + Array(repeating: 0, count: 1000)))
        var tcp = Golden.routed
        tcp[23] = 6
        tcp[47] = 0x02
        #expect(other.matches(tcp))
        tcp[47] = 0x10
        #expect(!other.matches(tcp))
    }

    /// Every program a client may send is refused or ends, and reads nothing but the frame.
    @Test func refusesOrRunsAnything() {
        var random = RandomSource(seed: 7)
        var accepted = 0
        for _ in 0..<20_000 {
            let program = (0..<Int(random.next() % 12)).map { _ in
                PacketFilter.Instruction(
                    code: [
                        0x28, 0x30, 0x20, 0x15, 0x06, 0x06, 0x16, 0xB1, 0x50, 0x3C, 0x61, 0x03, 0x05, 0x74,
                        UInt16(truncatingIfNeeded: random.next() & 0xFF),
                    ][
                        Int(random.next() % 15)], jumpTrue: UInt8(truncatingIfNeeded: random.next() % 4),
                    jumpFalse: UInt8(truncatingIfNeeded: random.next() % 4),
                    k: random.next() % 3 == 0 ? UInt32(truncatingIfNeeded: random.next()) : UInt32(truncatingIfNeeded: random.next() % 40))
            }
            guard let filter = PacketFilter(program) else { continue }
            accepted += 1
            for length in [0, 1, 14, 60] { _ = filter.matches(Array(Golden.routed.prefix(length))) }
        }
        #expect(accepted > 100)
        #expect(PacketFilter([]) == nil)
        #expect(
            PacketFilter([.init(code: 0x15, jumpTrue: 1, jumpFalse: 0, k: 0), .init(code: 6, jumpTrue: 0, jumpFalse: 0, k: 0)]) == nil, "jumps out")
    }
}

@Suite struct CaptureTests {
    @Test func seesFramesAsTheWireDoes() throws {
        let test = TestRouter()
        let workload = try #require(test.router.startCapture(CaptureSpec(vif: VifID(3))).capture)
        let fabric = try #require(test.router.startCapture(CaptureSpec(vif: VifID(0), direction: .sent)).capture)
        let received = try #require(test.router.startCapture(CaptureSpec(vif: nil, direction: .received, snapLength: 20)).capture)
        test.send(Golden.routed, from: test.blue1)
        test.send(Golden.backInVXLAN, from: test.fabric)
        let seen = workload.take(limit: 10)
        #expect(seen.map(\.octets) == [Golden.routed, Golden.backDelivered])
        #expect(seen.map(\.isSent) == [false, true])
        #expect(seen.map(\.vif) == [VifID(3), VifID(3)])
        #expect(fabric.take(limit: 10).map { withoutEntropy($0.octets) } == [Golden.routedInVXLAN])
        let cut = received.take(limit: 10)
        #expect(cut.map(\.octets) == [Array(Golden.routed.prefix(20)), Array(Golden.backInVXLAN.prefix(20))])
        #expect(cut.map(\.length) == [Golden.routed.count, Golden.backInVXLAN.count])
        #expect(test.fabric.take().count == 1 && test.blue1.take().count == 1)
    }

    @Test func filtersInTheWorker() throws {
        let test = TestRouter()
        let capture = try #require(test.router.startCapture(CaptureSpec(vif: VifID(3), filter: filter(udpPort2000))).capture)
        test.send(Golden.bridged, Golden.routed, Golden.bridged, from: test.blue1)
        #expect(capture.take(limit: 10).map(\.octets) == [Golden.routed])
    }

    @Test func endsWithItsOwner() throws {
        let test = TestRouter()
        var capture = test.router.startCapture(CaptureSpec(vif: VifID(3))).capture
        #expect(capture != nil && test.router.captureCount == 1)
        capture = nil
        #expect(test.router.captureCount == 0)
        #expect(test.router.tables.observation.load(ordering: .relaxed) == nil)
        #expect(test.router.startCapture(CaptureSpec(vif: VifID(99))).outcome == .notFound("capture: vif 99 does not exist"))
    }

    @Test func countsWhatNobodyTakes() throws {
        let test = TestRouter()
        let capture = try #require(test.router.startCapture(CaptureSpec(vif: VifID(3), direction: .received)).capture)
        let frame = Golden.routed + Array(repeating: 0, count: 60_000)
        for _ in 0..<100 { test.blue1.input.append(frame) }
        test.run()
        let kept = capture.take(limit: 1000).count
        #expect(kept == (4 << 20) / (60_096 + 32) || kept == (4 << 20) / (60_096 + 32) - 1, "\(kept)")
        #expect(capture.lost == UInt64(100 - kept))
        // And afterwards it goes on, past the end of the ring.
        test.send(Golden.routed, Golden.bridged, from: test.blue1)
        #expect(capture.take(limit: 10).map(\.octets) == [Golden.routed, Golden.bridged])
    }

    @Test func aRingOfAllLengthsKeepsOrder() {
        let ring = CaptureRing(size: 1 << 17)
        var random = RandomSource(seed: 3)
        var pushed = 0, popped = 0
        let octets = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 8)
        defer { octets.deallocate() }
        for _ in 0..<20_000 {
            if random.next() % 2 == 0 {
                let lost = ring.lost
                octets.storeBytes(of: UInt64(pushed), as: UInt64.self)
                let length = UInt32(8 + random.next() % 4000)
                ring.push(.init(kept: length, length: length, vif: UInt32(pushed)), octets.baseAddress!)
                if ring.lost == lost { pushed += 1 }
            } else {
                _ = ring.pop { header, bytes in
                    #expect(header.vif == UInt32(popped) && bytes.load(as: UInt64.self) == UInt64(popped))
                    popped += 1
                }
            }
        }
        while ring.pop({ _, _ in popped += 1 }) {}
        #expect(pushed == popped && pushed > 5000)
    }
}

@Suite struct MirrorTests {
    private func add(_ test: TestRouter, _ spec: MirrorSpec) -> RouterOutcome { test.router.apply([.upsert(.mirror(spec))])[0] }

    @Test func copiesToAVif() {
        let test = TestRouter()
        #expect(add(test, MirrorSpec(id: 1, sources: [.init(vif: VifID(3))], destination: .vif(VifID(4)))) == .ok)
        // The copies' own vif is watched too: they are not mirrored again.
        #expect(add(test, MirrorSpec(id: 2, sources: [.init(vif: VifID(4))], destination: .vif(VifID(3)))) == .ok)
        test.send(Golden.routed, from: test.blue1)
        #expect(test.blue2.take() == [Golden.routed])
        #expect(test.blue1.take().isEmpty)
        #expect(test.fabric.take().map(withoutEntropy) == [Golden.routedInVXLAN])
        test.send(Golden.backInVXLAN, from: test.fabric)
        #expect(test.blue2.take() == [Golden.backDelivered])
        #expect(test.blue1.take() == [Golden.backDelivered])
        #expect(test.router.mirrors(after: nil, limit: 10).map(\.copies) == [2, 0])
        let totals = test.router.status().totals
        #expect(totals.generated == 2 && totals.forwarded == 4)
    }

    @Test func copiesWhatIsDropped() {
        let test = TestRouter()
        #expect(
            add(test, MirrorSpec(id: 1, sources: [.init(vif: VifID(3), direction: .received)], destination: .vif(VifID(4)), snapLength: 64)) == .ok)
        var bad = Golden.routed
        bad[24] ^= 1
        test.send(bad, from: test.blue1)
        #expect(test.blue2.take() == [Array(bad.prefix(64))])
    }

    /// A kernel takes no frame above the MTU: what another one left uncut is copied as far as it fits, VLAN and all.
    @Test(arguments: [0, 64]) func copiesFitTheVifTheyLeaveBy(snapLength: Int) {
        let test = TestRouter()
        let spec = MirrorSpec(id: 1, sources: [.init(vif: VifID(3), direction: .received)], destination: .vif(VifID(4)), snapLength: snapLength)
        #expect(add(test, spec) == .ok)
        var large = Golden.routed + Array(repeating: UInt8(7), count: 4000)
        large[24] ^= 1
        test.send(large, Array(large.prefix(1514)), from: test.blue1)
        let size = snapLength == 0 ? 1514 : snapLength
        #expect(test.blue2.take() == [Array(large.prefix(size)), Array(large.prefix(size))])
    }

    @Test func copiesIntoVXLAN() {
        let test = TestRouter()
        #expect(add(test, MirrorSpec(id: 1, sources: [.init(vif: VifID(3))], destination: .vxlan(NextHopID(1), VNI(5001)))) == .ok)
        // What is sent inside is what `bridgesIntoVXLAN` expects of the same frame.
        var unknown = Golden.bridged
        unknown[5] = 0x13
        test.send(unknown, from: test.blue1)
        let sent = test.fabric.take().map(withoutEntropy)
        #expect(sent == [Golden.bridgedInVXLAN, Golden.bridgedInVXLAN])
    }

    /// By hand from draft-foschiano-erspan-03 section 4.2 and RFC 2890.
    @Test func copiesIntoERSPAN() {
        let test = TestRouter()
        #expect(
            add(test, MirrorSpec(id: 1, sources: [.init(vif: VifID(3), direction: .received)], destination: .erspan(NextHopID(1), session: 0x155)))
                == .ok)
        var bad = Golden.routed
        bad[24] ^= 1
        test.send(bad, bad, from: test.blue1)
        let outer = { (checksum: String, sequence: String) in
            hex(
                "020000000f02 020000000f01 0800 4500 007e 0000 4000 40 2f \(checksum) 0a00000b 0a00000c" + "1000 88be \(sequence)"
                    + "1000 0155 00000003")
        }
        #expect(test.fabric.take() == [outer("263b", "00000000") + bad, outer("263b", "00000001") + bad])
    }

    @Test func refusesWhatCannotBe() {
        let test = TestRouter()
        let sources = [MirrorSpec.Source(vif: VifID(3))]
        #expect(
            add(test, MirrorSpec(id: 1, sources: sources, destination: .vif(VifID(77))))
                == .notFound("mirror 1: vif 77 does not exist; create it first"))
        #expect(
            add(test, MirrorSpec(id: 1, sources: [.init(vif: VifID(9))], destination: .vif(VifID(4))))
                == .notFound("mirror 1: vif 9 does not exist; create it first"))
        #expect(
            add(test, MirrorSpec(id: 1, sources: sources, destination: .vxlan(NextHopID(30), VNI(1))))
                == .invalid("mirror 1: next hop 30 is not a tunnel"))
        #expect(
            add(test, MirrorSpec(id: 1, sources: sources, destination: .erspan(NextHopID(1), session: 1024)))
                == .invalid("mirror 1: ERSPAN session 1024 is not within 0 to 1023"))
        #expect(add(test, MirrorSpec(id: 1, sources: sources, destination: .erspan(NextHopID(1), session: 1))) == .ok)
        #expect(isInUse(test.router.apply([.delete(.vif(VifID(3)))])[0]))
        #expect(isInUse(test.router.apply([.delete(.nextHop(NextHopID(1)))])[0]))
        #expect(test.router.apply([.delete(.mirror(1))])[0] == .ok)
        #expect(test.router.apply([.delete(.mirror(1))])[0] == .notFound("mirror 1: does not exist"))
    }

    private func isInUse(_ outcome: RouterOutcome) -> Bool { if case .inUse = outcome { true } else { false } }

    /// 256 copies a turn are made; here 10 of each of 32 frames are wanted.
    @Test func countsCopiesThatFoundNoRoom() throws {
        let test = TestRouter()
        let sources = Array(repeating: MirrorSpec.Source(vif: VifID(3), direction: .received), count: 10)
        #expect(add(test, MirrorSpec(id: 1, sources: sources, destination: .vif(VifID(4)))) == .ok)
        var bad = Golden.routed
        bad[24] ^= 1
        for _ in 0..<32 { test.blue1.input.append(bad) }
        test.run()
        let mirror = try #require(test.router.mirrors(after: nil, limit: 1).first)
        #expect(mirror.copies == 256 && mirror.lost == 64)
        #expect(test.blue2.take().count == 256)
    }

    @Test func writesFiles() throws {
        let path = "/tmp/vrouter-mirror-test-\(UInt32.random(in: 0 ... .max)).pcapng"
        defer { for name in [path, path + ".1", path + ".2"] { unlink(name) } }
        let test = TestRouter()
        #expect(
            add(
                test,
                MirrorSpec(
                    id: 1, sources: [.init(vif: VifID(3))], destination: .file(path: path, maximumSize: 65_536, maximumFiles: 2), snapLength: 1000))
                == .ok)
        let frame = Golden.routed + Array(repeating: 0, count: 2000)
        for _ in 0..<100 { test.blue1.input.append(frame) }
        test.run()
        #expect(test.router.apply([.delete(.mirror(1))])[0] == .ok)
        let first = try #require(read(path + ".1")), second = try #require(read(path))
        #expect(read(path + ".2") == nil)
        // Section header: type, length 28, byte order, version 1.0.
        #expect(Array(first.prefix(16)) == hex("0a0d0d0a 1c000000 4d3c2b1a 01000000"))
        #expect(first.count <= 65_536 + 64 && first.count > 60_000)
        // 100 frames in both files together: packet blocks are type 6.
        #expect(blocks(first, type: 6) + blocks(second, type: 6) == 100)
        #expect(blocks(first, type: 1) == 1 && blocks(second, type: 1) == 1 && blocks(second, type: 5) == 1)
        #expect(add(test, MirrorSpec(id: 2, sources: [], destination: .file(path: "/nonexistent/x", maximumSize: 0, maximumFiles: 1))) != .ok)
    }

    /// The writer of the old file ends although there is always more to copy: it is fed no longer.
    @Test func aBusyMirrorChangesItsFile() async throws {
        let paths = (0..<2).map { _ in "/tmp/vrouter-mirror-test-\(UInt32.random(in: 0 ... .max)).pcapng" }
        defer { for path in paths { unlink(path) } }
        let test = TestRouter()
        let router = test.router, port = test.blue1
        func spec(_ round: Int) -> MirrorSpec {
            let file = MirrorSpec.Destination.file(path: paths[round & 1], maximumSize: 0, maximumFiles: 1)
            return MirrorSpec(id: 1, sources: [.init(vif: VifID(3), direction: .received)], destination: file)
        }
        #expect(add(test, spec(0)) == .ok)
        let isOver = Flag()
        let traffic = Task.detached {
            var bad = Golden.routed
            bad[24] ^= 1
            let burst = Array(repeating: bad, count: 32)
            while !isOver.value.load(ordering: .acquiring) {
                port.input = burst
                router.run(turns: 1)
            }
        }
        for round in 1...10 { #expect(add(test, spec(round)) == .ok) }
        isOver.value.store(true, ordering: .releasing)
        await traffic.value
        #expect(router.mirrors(after: nil, limit: 2).map(\.spec) == [spec(10)])
        #expect(router.apply([.delete(.mirror(1))])[0] == .ok)
        #expect(read(paths[0]) != nil && read(paths[1]) != nil)
    }

    private final class Flag: Sendable { let value = Atomic<Bool>(false) }

    /// The file of a change cannot be opened: the mirror is gone, with all that it held.
    @Test func aChangeThatFailsLeavesNothing() {
        let test = TestRouter()
        #expect(add(test, MirrorSpec(id: 1, sources: [.init(vif: VifID(3))], destination: .erspan(NextHopID(1), session: 1))) == .ok)
        let file = MirrorSpec.Destination.file(path: "/nonexistent/x", maximumSize: 0, maximumFiles: 1)
        #expect(add(test, MirrorSpec(id: 1, sources: [.init(vif: VifID(3))], destination: file)) != .ok)
        #expect(test.router.mirrors(after: nil, limit: 2).isEmpty)
        test.send(Golden.routed, from: test.blue1)
        #expect(test.fabric.take().count == 1)
        #expect(test.router.apply([.delete(.bridgeEntry(.init(1), TestRouter.b))]) == [.ok])
        let routes = ["10.1.0.13/32", "fd00:1::13/128"].map { RouterOperation.delete(.route(.init(1), IPPrefix($0)!)) }
        #expect(test.router.apply(routes + [.delete(.nextHop(.init(1)))]) == [.ok, .ok, .ok])
    }

    private func read(_ path: String) -> [UInt8]? {
        guard let file = fopen(path, "r") else { return nil }
        defer { fclose(file) }
        var out: [UInt8] = [], chunk = Array(repeating: UInt8(0), count: 65_536)
        while true {
            let count = fread(&chunk, 1, chunk.count, file)
            if count == 0 { return out }
            out += chunk.prefix(count)
        }
    }

    private func blocks(_ octets: [UInt8], type: UInt8) -> Int {
        var at = 0, count = 0
        while at + 12 <= octets.count {
            if octets[at] == type, octets[at + 1] == 0 { count += 1 }
            let length = Int(octets[at + 4]) | Int(octets[at + 5]) << 8
            guard length >= 12 else { break }
            at += length
        }
        return count
    }
}
