import CPlatform
import Dataplane
import PcapPort
import Testing

@Suite struct PcapFilePortTests {
    /// Everything the port has, received in bursts of `burst`.
    private func receiveAll(_ port: Port, _ pool: BufferPool, burst: Int = 32) -> [[UInt8]] {
        let frames = Frames(burst)
        var all: [[UInt8]] = []
        while !port.isExhausted {
            let count = port.receive(queue: 0, pool: pool, lane: 0, into: frames.pointer, capacity: burst)
            for index in 0..<count {
                #expect(Int(frames[index].headroom) >= BufferPool.headroom)
                all.append(Array(UnsafeBufferPointer(start: frames[index].data, count: Int(frames[index].length))))
            }
            pool.release(lane: 0, frames.pointer, count: count)
        }
        return all
    }

    private func open(_ octets: [UInt8], _ directory: Directory) throws -> PcapFilePort {
        try PcapFilePort(name: "p", input: try directory.write(octets, as: "in.pcap"), output: nil)
    }

    private func failure(_ body: () throws -> Void) -> String {
        do {
            try body()
            return "no error"
        } catch { return "\(error)" }
    }

    @Test func readsEveryFrameThenIsExhausted() throws {
        let directory = try Directory(), pool = try HeapBufferPool(bufferSize: 4096, capacity: 64)
        let sent = (0..<70).map { Capture.frame(UInt8($0), size: 60 + $0 * 20) }
        let port = try open(Capture.header() + sent.flatMap { Capture.record($0) }, directory)
        #expect(!port.isExhausted)
        #expect(receiveAll(port, pool) == sent)
        #expect(port.statistics().receivedPackets == 70)
        #expect(port.statistics().receivedBytes == UInt64(sent.map(\.count).reduce(0, +)))
        #expect(port.statistics().receiveErrors == 0)
        #expect(pool.inUse == 0)
    }

    @Test func readsOtherByteOrderNanosecondsAndPcapng() throws {
        let directory = try Directory(), pool = try HeapBufferPool(bufferSize: 4096, capacity: 64), frame = Capture.frame(7)
        let bigEndianHeaders: [UInt32] = [0xa1b2_c3d4, 0x0002_0004, 0, 0, 65535, 1] + [1, 2, 60, 60]
        let bigEndian: [UInt8] = bigEndianHeaders.flatMap { Capture.big($0) } + frame
        let nanoseconds = Capture.header(magic: 0xa1b2_3c4d) + Capture.record(frame, fraction: 999_999_999)
        // Section header block, interface description block, enhanced packet block.
        let section: [UInt32] = [0x0a0d_0d0a, 28, 0x1a2b_3c4d, 0x0000_0001, 0xffff_ffff, 0xffff_ffff, 28]
        let interface: [UInt32] = [1, 20, 1, 0, 20]
        let packet: [UInt32] = [6, 92, 0, 0, 0, 60, 60]
        let blocks: [[UInt32]] = [section, interface, packet]
        let pcapng: [UInt8] = blocks.joined().flatMap { Capture.little($0) } + frame + Capture.little(92)
        for octets in [bigEndian, nanoseconds, pcapng] {
            let port = try open(octets, directory)
            #expect(receiveAll(port, pool) == [frame])
        }
    }

    @Test func cutRecordsRuntsAndGiantsAreErrors() throws {
        let directory = try Directory(), pool = try HeapBufferPool(bufferSize: 2048, capacity: 64)
        let whole = Capture.frame(1), alsoWhole = Capture.frame(2)
        let port = try open(
            Capture.header() + Capture.record(whole) + Capture.record(Capture.frame(3), wireLength: 1514) + Capture.record([1, 2, 3])
                + Capture.record(Capture.frame(4, size: 3000)) + Capture.record([]) + Capture.record(alsoWhole), directory)
        #expect(receiveAll(port, pool, burst: 4) == [whole, alsoWhole])
        #expect(port.statistics().receivedPackets == 2)
        #expect(port.statistics().receiveErrors == 4)
        #expect(pool.inUse == 0)
    }

    @Test func aDamagedFileEndsAtTheDamage() throws {
        let directory = try Directory(), pool = try HeapBufferPool(bufferSize: 2048, capacity: 64), frame = Capture.frame(1)
        let whole = Capture.header() + Capture.record(frame) + Capture.record(frame)
        // In the second record's header, in its octets; and a length that cannot be.
        let impossible = Capture.header() + Capture.record(frame) + [UInt8](repeating: 0xff, count: 100)
        for octets in [Array(whole.dropLast(70)), Array(whole.dropLast(1)), impossible] {
            let port = try open(octets, directory)
            #expect(receiveAll(port, pool) == [frame])
            #expect(port.statistics().receiveErrors == 1)
        }
    }

    @Test func anExhaustedPoolLosesNoFrame() throws {
        let directory = try Directory(), pool = try HeapBufferPool(bufferSize: 2048, capacity: 4), frames = Frames(8), taken = Frames(4)
        let sent = (0..<6).map { Capture.frame(UInt8($0)) }
        let port = try open(Capture.header() + sent.flatMap { Capture.record($0) }, directory)
        #expect(port.receive(queue: 0, pool: pool, lane: 0, into: taken.pointer, capacity: 8) == 4)
        #expect(port.receive(queue: 0, pool: pool, lane: 0, into: frames.pointer, capacity: 8) == 0)
        #expect(!port.isExhausted)
        pool.release(lane: 0, taken.pointer, count: 4)
        #expect(port.receive(queue: 0, pool: pool, lane: 0, into: frames.pointer, capacity: 8) == 2)
        #expect(frames[0].data[14] == 4)
        #expect(frames[1].data[14] == 5)
    }

    @Test func writesTheSameFileForTheSameFrames() throws {
        let directory = try Directory(), pool = try HeapBufferPool(bufferSize: 2048, capacity: 64), frames = Frames(3)
        let sent = [Capture.frame(1), Capture.frame(2, size: 1514), Capture.frame(3)]
        let port = try PcapFilePort(name: "p", input: nil, output: directory.file("out.pcap"))
        #expect(port.isExhausted)
        #expect(port.receive(queue: 0, pool: pool, lane: 0, into: frames.pointer, capacity: 3) == 0)
        #expect(pool.allocate(lane: 0, into: frames.pointer, count: 3) == 3)
        for (index, octets) in sent.enumerated() {
            for (offset, octet) in octets.enumerated() { frames[index].data[offset] = octet }
            frames[index].length = UInt32(octets.count)
        }
        #expect(port.transmit(queue: 0, pool: pool, lane: 0, frames.pointer, count: 3) == 3)
        #expect(pool.inUse == 0)
        #expect(port.statistics().transmittedPackets == 3)
        #expect(port.statistics().transmittedBytes == 1634)
        port.close()
        #expect(port.statistics().transmittedPackets == 3)
        let expected =
            Capture.header(snapLength: 262144) + Capture.record(sent[0]) + Capture.record(sent[1], fraction: 1) + Capture.record(sent[2], fraction: 2)
        #expect(try directory.octets("out.pcap") == expected)
    }

    @Test func withoutOutputFramesAreCountedAndDiscarded() throws {
        let pool = try HeapBufferPool(bufferSize: 2048, capacity: 64), frames = Frames(2)
        let port = try PcapFilePort(name: "p", input: nil, output: nil)
        #expect(pool.allocate(lane: 0, into: frames.pointer, count: 2) == 2)
        #expect(port.transmit(queue: 0, pool: pool, lane: 0, frames.pointer, count: 2) == 2)
        #expect(port.statistics().transmittedPackets == 2)
        #expect(pool.inUse == 0)
    }

    @Test func aFullDiskIsAnError() throws {
        let pool = try HeapBufferPool(bufferSize: 2048, capacity: 64), frames = Frames(32)
        let port = try PcapFilePort(name: "p", input: nil, output: "/dev/full")
        for _ in 0..<10 {
            #expect(pool.allocate(lane: 0, into: frames.pointer, count: 32) == 32)
            for index in 0..<32 { frames[index].length = 1514 }
            #expect(port.transmit(queue: 0, pool: pool, lane: 0, frames.pointer, count: 32) == 32)
        }
        port.close()
        #expect(port.statistics().transmitErrors > 0)
        #expect(pool.inUse == 0)
    }

    @Test func errorsNameTheFileAndTheReason() throws {
        let directory = try Directory()
        let absent = directory.file("absent.pcap")
        #expect(
            failure { _ = try PcapFilePort(name: "p", input: absent, output: nil) }
                == "\(absent) cannot be read: No such file or directory")
        let nowhere = directory.file("no/out.pcap")
        #expect(
            failure { _ = try PcapFilePort(name: "p", input: nil, output: nowhere) }
                == "\(nowhere) cannot be written: No such file or directory")
        let raw = try directory.write(Capture.header(linkType: 101), as: "raw.pcap")
        #expect(
            failure { _ = try PcapFilePort(name: "p", input: raw, output: nil) }
                .contains("raw.pcap is a capture of link type RAW; only Ethernet"))
        let text = try directory.write(Array("not a capture at all".utf8), as: "text.pcap")
        #expect(failure { _ = try PcapFilePort(name: "p", input: text, output: nil) }.contains("unknown file format"))
        let empty = try directory.write([], as: "empty.pcap")
        #expect(failure { _ = try PcapFilePort(name: "p", input: empty, output: nil) }.contains("empty.pcap cannot be read: "))
        let both = try directory.write(Capture.header(), as: "both.pcap")
        #expect(failure { _ = try PcapFilePort(name: "p", input: both, output: both) }.contains("it is the input file too"))
        #expect(try directory.octets("both.pcap") == Capture.header())
        #expect(failure { _ = try PcapFilePort(name: "p", input: nil, output: nil, mtu: -1) }.contains("an MTU of -1 is not within"))
    }

    @Test func opensWhatASpecDescribes() throws {
        let directory = try Directory()
        let input = try directory.write(Capture.header(), as: "in.pcap")
        let port = try PcapPort.open(PortSpec(name: "f", driver: .pcapFile(input: input, output: nil), mtu: 9000))
        #expect(port.name == "f")
        #expect(port.mtu == 9000)
        #expect(port.driver == "capture file")
        #expect(port.device == "in \(input)")
        #expect(port.traits == [])
        #expect(port.pollDescriptor(queue: 0) == -1)
        #expect(failure { _ = try PcapPort.open(PortSpec(name: "x", driver: .loopback)) }.hasPrefix("not a port of the libpcap driver"))
        #expect(
            failure { _ = try PcapPort.open(PortSpec(name: "x", driver: .pcap(interface: "no-such-if0"))) }
                .hasPrefix("interface no-such-if0 cannot be opened: there is no such interface"))
        #expect(
            failure { _ = try PcapPort.open(PortSpec(name: "x", driver: .pcap(interface: "a-name-far-too-long-to-be"))) }
                .contains("no such interface"))
    }

    @Test func aReplayRepeatsTheFile() throws {
        let directory = try Directory(), pool = try HeapBufferPool(bufferSize: 4096, capacity: 64)
        let sent = [Capture.frame(1), Capture.frame(2, size: 1514), Capture.frame(3, size: 99)]
        let file = try directory.write(Capture.header() + sent.flatMap { Capture.record($0) }, as: "trace.pcap")
        let port = try PcapPort.open(PortSpec(name: "r", driver: .replay(file: file, count: 7)))
        #expect(port.mtu == 1500)
        #expect(receiveAll(port, pool) == sent + sent + [sent[0]])
        #expect(pool.inUse == 0)
    }

    @Test func aReplayNeedsWholeFrames() throws {
        let directory = try Directory()
        func refusal(_ octets: [UInt8]) throws -> String {
            let file = try directory.write(octets, as: "trace.pcap")
            return failure { _ = try PcapPort.open(PortSpec(name: "r", driver: .replay(file: file, count: nil))) }
        }
        #expect(try refusal(Capture.header()).contains("there is no frame in it"))
        #expect(try refusal(Capture.header() + Capture.record(Capture.frame(1)) + Capture.record([1, 2, 3])).contains("1 of its records"))
        #expect(try refusal(Capture.header() + Capture.record(Capture.frame(1), wireLength: 1514)).contains("capture whole frames"))
        #expect(
            failure { _ = try PcapPort.open(PortSpec(name: "r", driver: .replay(file: "/nonexistent/x", count: nil))) }.contains("/nonexistent/x"))
    }

    /// A run over a replay with a count ends, whatever ports are beside it.
    @Test func aRunOverAReplayEnds() throws {
        let directory = try Directory(), pool = try HeapBufferPool(bufferSize: 4096, capacity: 256)
        let file = try directory.write(Capture.header() + Capture.record(Capture.frame(1)), as: "trace.pcap")
        let router = Router(RouterConfiguration(), pool: pool) { spec throws(PortError) in
            switch spec.driver {
            case .sink: CountingPort(name: spec.name)
            case .loopback: LoopbackPort(name: spec.name)
            default: try PcapPort.open(spec)
            }
        }
        let ports: [PortSpec.Driver] = [.replay(file: file, count: 100), .sink, .loopback]
        let outcomes = router.apply(ports.enumerated().map { .upsert(.port(PortSpec(name: "p\($0)", driver: $1))) })
        #expect(outcomes == [.ok, .ok, .ok])
        router.runUntilExhausted()
        #expect(router.status().totals.received == 100)
        #expect(pool.inUse == 0)
    }
}
