import CPlatform
import Dataplane
import Foundation
import Testing

@testable import DPDKPort

#if DPDK
/// EAL is started once per process: all that needs it is one suite, on one pool of buffers, which outlasts the caches of every thread that a test ran on. No privilege, hugepage or device is needed.
@Suite(.serialized) struct DPDKPortTests {
    static let started = Result { () throws(PortError) in
        try DPDK.start(arguments: ["--no-huge", "-m", "256"], count: 4096, size: 10240)
    }

    let pool: BufferPool
    /// The error says why this machine cannot start EAL.
    init() throws { pool = try Self.started.get() }

    private func open(_ device: String, mtu: Int = 0, queues: Int = 0) throws -> Dataplane.Port {
        try DPDKPort.open(PortSpec(name: "d", driver: .dpdk(device: device), mtu: mtu, queues: queues))
    }

    private func failure(_ device: String) -> String {
        do {
            _ = try open(device)
            return "no error"
        } catch { return "\(error)" }
    }

    /// `count` frames of `size` octets, whose octets count up from the frame's number.
    private func make(_ count: Int, size: Int) -> UnsafeMutablePointer<vr_frame> {
        let frames = UnsafeMutablePointer<vr_frame>.allocate(capacity: 32)
        frames.initialize(repeating: vr_frame(), count: 32)
        #expect(pool.allocate(lane: 0, into: frames, count: count) == count)
        for index in 0..<count {
            for offset in 0..<size { frames[index].data[offset] = UInt8(truncatingIfNeeded: index + offset) }
            frames[index].length = UInt32(size)
            frames[index].tailroom -= UInt32(size)
        }
        return frames
    }

    @Test func buffersHaveTheirRoomAndEnd() {
        let frames = UnsafeMutablePointer<vr_frame>.allocate(capacity: 4097)
        frames.initialize(repeating: vr_frame(), count: 4097)
        defer { frames.deallocate() }
        #expect(pool.inUse == 0)
        let all = pool.allocate(lane: 0, into: frames, count: 4096)
        // All but what other threads' caches keep.
        #expect(all >= 4096 - 4 * 384)
        #expect(pool.inUse == all)
        #expect(Set((0..<all).map { frames[$0].buffer }).count == all)
        for index in 0..<all {
            #expect(Int(frames[index].headroom) >= BufferPool.headroom)
            #expect(frames[index].headroom + frames[index].tailroom == 10240)
            #expect(frames[index].length == 0)
        }
        #expect(pool.allocate(lane: 0, into: frames + all, count: 1) == 0)
        pool.release(lane: 0, frames, count: all)
        #expect(pool.inUse == 0)
    }

    @Test func aRingReturnsWhatItIsGiven() throws {
        let port = try open("net_ring0")
        #expect(port.driver == "net_ring")
        #expect(port.mtu == 1500)
        let frames = make(20, size: 1514)
        defer { frames.deallocate() }
        // As after an encapsulation of 50 octets.
        for index in 0..<20 {
            frames[index].data -= 50
            frames[index].length += 50
            frames[index].headroom -= 50
            for offset in 0..<50 { frames[index].data[offset] = 0xee }
        }
        #expect(port.transmit(queue: 0, pool: pool, lane: 0, frames, count: 20) == 20)
        frames.update(repeating: vr_frame(), count: 32)
        #expect(port.receive(queue: 0, pool: pool, lane: 0, into: frames, capacity: 8) == 8)
        #expect(port.receive(queue: 0, pool: pool, lane: 0, into: frames + 8, capacity: 24) == 12)
        for index in 0..<20 {
            #expect(frames[index].length == 1564)
            #expect(Int(frames[index].headroom) >= BufferPool.headroom)
            #expect((0..<50).allSatisfy { frames[index].data[$0] == 0xee })
            #expect((50..<1564).allSatisfy { frames[index].data[$0] == UInt8(truncatingIfNeeded: index + $0 - 50) })
        }
        #expect(port.statistics().transmittedPackets == 20)
        #expect(port.statistics().receivedPackets == 20)
        pool.release(lane: 0, frames, count: 20)
        port.close()
        #expect(port.statistics().receivedPackets == 20)
        #expect(pool.inUse == 0)
    }

    @Test func aDeviceIsOpenOnceAndCanBeOpenedAgain() throws {
        for _ in 0..<5 {
            let port = try open("net_ring1")
            #expect(failure("net_ring1").contains("another port has this device open"))
            let other = try open("net_null1")
            let frames = make(4, size: 60)
            #expect(port.transmit(queue: 0, pool: pool, lane: 0, frames, count: 4) == 4)
            frames.deallocate()
            // Four frames wait in the ring: closing frees them.
            port.close()
            other.close()
            #expect(pool.inUse == 0)
        }
    }

    /// Who asks a port after its end gets nothing, keeps his frames and breaks nothing, not even the device that has its number by then.
    @Test func aClosedPortMovesNothing() throws {
        let socket = "/tmp/vr-\(UInt32.random(in: 0 ... .max)).sock"
        defer { try? FileManager.default.removeItem(atPath: socket) }
        for device in ["net_ring7", "net_null7,size=64", "net_vhost7,iface=\(socket)", "net_vhost8,iface=\(socket),tso=1", "net_memif7,role=client"] {
            let port = try open(device)
            port.close()
            let other = try open("net_null8,size=64")
            let frames = make(4, size: 60)
            defer { frames.deallocate() }
            #expect(port.receive(queue: 0, pool: pool, lane: 0, into: frames + 4, capacity: 8) == 0, "\(device)")
            frames[1].tailroom = VR_SEGMENTED | 20
            #expect(port.transmit(queue: 0, pool: pool, lane: 0, frames, count: 4) == 0, "\(device)")
            #expect(other.statistics().receivedPackets == 0 && other.statistics().transmittedPackets == 0, "\(device)")
            #expect(port.link().state == .down)
            pool.release(lane: 0, frames, count: 4)
            port.close()
            other.close()
        }
        #expect(pool.inUse == 0)
    }

    /// A router that was stopped has closed its ports.
    @Test func aStoppedRouterMovesNothing() throws {
        let router = Router(RouterConfiguration(cores: [nil]), pool: pool) { spec throws(PortError) in try DPDKPort.open(spec) }
        let port = PortSpec(name: "noise", driver: .dpdk(device: "net_null9,size=64"))
        #expect(router.apply([.upsert(.port(port))]) == [.ok])
        router.start()
        for _ in 0..<5000 where router.status().totals.received == 0 { usleep(1000) }
        router.stop()
        let before = router.status().totals.received
        #expect(before > 0)
        router.run(turns: 3)
        #expect(router.status().totals.received == before)
        #expect(router.apply([.delete(.port("noise"))]) == [.ok])
    }

    @Test func nullSwallowsAndMakesFrames() throws {
        let port = try open("net_null0,size=512", mtu: 9000, queues: 2)
        defer { port.close() }
        #expect(port.mtu == 9000)
        #expect(port.receiveQueueCount == port.transmitQueueCount)
        let frames = make(32, size: 9014)
        defer { frames.deallocate() }
        #expect(port.transmit(queue: 0, pool: pool, lane: 0, frames, count: 32) == 32)
        #expect(pool.inUse == 0)
        #expect(port.receive(queue: 0, pool: pool, lane: 0, into: frames, capacity: 32) == 32)
        for index in 0..<32 { #expect(frames[index].length == 512) }
        #expect(pool.inUse == 32)
        pool.release(lane: 0, frames, count: 32)
        #expect(port.statistics().transmittedPackets == 32)
        #expect(port.statistics().receivedPackets == 32)
    }

    @Test func captureFilesGoThrough() throws {
        let directory = NSTemporaryDirectory() + "/DPDKPortTests-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        // pcap header, then a record of 3000 octets on the wire and in the file, and one of 60.
        var octets: [UInt8] = [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 1, 0, 0, 0]
        for size in [9014, 60] {
            let length = [UInt8(size & 255), UInt8(size >> 8), 0, 0]
            octets += [0, 0, 0, 0, 0, 0, 0, 0] + length + length + (0..<size).map { UInt8(truncatingIfNeeded: $0 * 7) }
        }
        try Data(octets).write(to: URL(fileURLWithPath: directory + "/in.pcap"))
        let port = try open("net_pcap0,rx_pcap=\(directory)/in.pcap,tx_pcap=\(directory)/out.pcap")
        let frames = UnsafeMutablePointer<vr_frame>.allocate(capacity: 32)
        frames.initialize(repeating: vr_frame(), count: 32)
        defer { frames.deallocate() }
        #expect(port.receive(queue: 0, pool: pool, lane: 0, into: frames, capacity: 32) == 2)
        #expect(frames[0].length == 9014)
        #expect(frames[1].length == 60)
        #expect((0..<9014).allSatisfy { frames[0].data[$0] == UInt8(truncatingIfNeeded: $0 * 7) })
        #expect(Int(frames[0].headroom) >= BufferPool.headroom)
        #expect(port.transmit(queue: 0, pool: pool, lane: 0, frames, count: 2) == 2)
        port.close()
        #expect(pool.inUse == 0)
        let written = [UInt8](try Data(contentsOf: URL(fileURLWithPath: directory + "/out.pcap")))
        #expect(written.count == octets.count)
        #expect(Array(written.suffix(60)) == Array(octets.suffix(60)))
    }

    @Test func anotherThreadMayUseAPort() async throws {
        let port = try open("net_ring2"), pool = pool
        for _ in 0..<3 {
            let result: [Int] = await withCheckedContinuation { (continuation: CheckedContinuation<[Int], Never>) in
                let thread = Thread {
                    let frames = UnsafeMutablePointer<vr_frame>.allocate(capacity: 32)
                    frames.initialize(repeating: vr_frame(), count: 32)
                    defer { frames.deallocate() }
                    let made = pool.allocate(lane: 1, into: frames, count: 32)
                    for index in 0..<made { frames[index].length = 60 }
                    let sent = port.transmit(queue: 0, pool: pool, lane: 1, frames, count: made)
                    let received = port.receive(queue: 0, pool: pool, lane: 1, into: frames, capacity: 32)
                    pool.release(lane: 1, frames, count: received)
                    continuation.resume(returning: [made, sent, received])
                }
                thread.start()
            }
            // What other tests hold of the pool at this moment is theirs.
            #expect(result[0] > 0 && result[1] == result[0] && result[2] == result[0], "\(result)")
        }
        port.close()
        // Devices come and go after threads were registered, too.
        try open("net_null2").close()
        #expect(pool.inUse == 0)
    }

    @Test func errorsSayWhatIsWrong() {
        #expect(failure("net_nonsense0").contains("no DPDK driver goes by that name"))
        #expect(failure("net_af_packet0,iface=no-such-if0").contains("there is no interface no-such-if0"))
        #expect(failure("net_pcap9,rx_pcap=/nonexistent/in.pcap").contains("/nonexistent/in.pcap"))
        #expect(failure("net_null5,bogus=1").hasPrefix("DPDK device net_null5,bogus=1: net_null has no argument 'bogus'"))
        #expect(failure("0000:7f:1f.7").contains("the device cannot be plugged in"))
        #expect(failure("").contains("is no DPDK device"))
        do {
            _ = try DPDK.start(arguments: [])
            Issue.record("a second start must fail")
        } catch { #expect(error.description.contains("was started before")) }
    }

    @Test func impossibleBuffersAreRefused() {
        #expect(throws: PortError.self) { try DPDK.start(arguments: [], count: 8, size: 10240) }
        #expect(throws: PortError.self) { try DPDK.start(arguments: [], count: 1024, size: 69824) }
    }
}
#else
@Suite struct DPDKPortTests {
    @Test func withoutDPDKTheErrorSaysWhatToBuild() {
        #expect(!DPDK.isBuiltIn)
        for body in [{ _ = try DPDKPort.open(PortSpec(name: "d", driver: .dpdk(device: "net_null0"))) }, { _ = try DPDK.start(arguments: []) }] {
            do {
                try body()
                Issue.record("must fail")
            } catch { #expect("\(error)".contains("this build has no DPDK; build with --traits DPDK")) }
        }
    }
}
#endif
