import CPlatform
import NetTypes
import Synchronization

@testable import Dataplane

/// Numbered packets of many flows: `SequenceSource` sends them, `SequenceSink` checks that each flow's come out whole and in order.
///
/// The frames are Ethernet + IPv4 + UDP of 60 octets to 10.3.0.(flow / 64); the flow's number is in the UDP source port, the packet's within its flow in the last four octets.
enum SequenceFrame {
    static func make(destinationSubnet: UInt8 = 3) -> [UInt8] {
        let payload: [UInt8] = [0, 0, 0x0B, 0xB8, 0, 26, 0, 0] + Array(repeating: 0, count: 18)
        var ip: [UInt8] = [0x45, 0, 0, 46, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 1, 0, 11, 10, destinationSubnet, 0, 1]
        var sum: UInt32 = 0
        for at in stride(from: 0, to: 20, by: 2) { sum += UInt32(ip[at]) << 8 | UInt32(ip[at + 1]) }
        while sum > 0xFFFF { sum = sum & 0xFFFF + sum >> 16 }
        ip[10] = UInt8(~sum >> 8 & 0xFF)
        ip[11] = UInt8(~sum & 0xFF)
        return MACAddress.gateway.bytes + [2, 0, 0, 0, 1, 0x11, 8, 0] + ip + payload
    }
}

/// Offers `total` packets of `flows` flows in turn, at most `window` more than the sink has seen: what is lost is lost by a fault, not for want of room.
final class SequenceSource: Port, @unchecked Sendable {
    private let frame = SequenceFrame.make()
    private let total: Int
    private let flows: Int
    private let window: Int
    private let sink: SequenceSink
    let sent = Atomic<Int>(0)
    let isOpen = Atomic<Bool>(false)
    /// Packets that may have been sent so far.
    let allowance = Atomic<Int>(.max)
    /// Receive calls that found another in progress: two workers at one queue.
    let collisions = Atomic<Int>(0)
    private let isBusy = Atomic<Bool>(false)

    init(_ name: String, total: Int, flows: Int, window: Int, to sink: SequenceSink) {
        self.total = total
        self.flows = flows
        self.window = window
        self.sink = sink
        super.init(name: name, driver: "test", device: name, mtu: 1500)
    }

    override func receive(queue: Int, pool: BufferPool, lane: Int, into frames: UnsafeMutablePointer<vr_frame>, capacity: Int) -> Int {
        if isBusy.exchange(true, ordering: .acquiring) { collisions.add(1, ordering: .relaxed) }
        defer { isBusy.store(false, ordering: .releasing) }
        guard isOpen.load(ordering: .acquiring) else { return 0 }
        let next = sent.load(ordering: .relaxed)
        let room = window - (next - sink.count.load(ordering: .acquiring))
        let limit = min(total, allowance.load(ordering: .relaxed))
        let count = pool.allocate(lane: lane, into: frames, count: max(0, min(capacity, room, limit - next)))
        frame.withUnsafeBytes { bytes in
            for index in 0..<count {
                let start = frames[index].start, flow = (next + index) % flows, number = (next + index) / flows
                start.copyMemory(from: bytes.baseAddress!, byteCount: bytes.count)
                start.storeBytes(of: UInt16(flow).bigEndian, toByteOffset: 34, as: UInt16.self)
                start.storeBytes(of: UInt32(number), toByteOffset: bytes.count - 4, as: UInt32.self)
                frames[index].length = UInt32(bytes.count)
                frames[index].tailroom -= UInt32(bytes.count)
            }
        }
        sent.store(next + count, ordering: .releasing)
        return count
    }

    override var isExhausted: Bool { sent.load(ordering: .relaxed) == total }
}

/// Counts what arrives, what is out of order within its flow, and calls by more than one worker at a time.
final class SequenceSink: Port, @unchecked Sendable {
    let count = Atomic<Int>(0)
    let disorder = Atomic<Int>(0)
    let collisions = Atomic<Int>(0)
    private let isBusy = Atomic<Bool>(false)
    private var expected: [UInt32]
    /// Lanes that ever transmitted, one bit each.
    let lanes = Atomic<UInt64>(0)

    init(_ name: String, flows: Int, transmitQueues: Int = 1) {
        expected = Array(repeating: 0, count: flows)
        super.init(name: name, driver: "test", device: name, mtu: 1500, transmitQueueCount: transmitQueues)
    }

    override var isExhausted: Bool { true }

    override func transmit(queue: Int, pool: BufferPool, lane: Int, _ frames: UnsafeMutablePointer<vr_frame>, count: Int) -> Int {
        if isBusy.exchange(true, ordering: .acquiring) { collisions.add(1, ordering: .relaxed) }
        defer { isBusy.store(false, ordering: .releasing) }
        lanes.bitwiseOr(1 << UInt64(lane), ordering: .relaxed)
        for index in 0..<count {
            let start = frames[index].start
            let flow = Int(UInt16(bigEndian: start.loadUnaligned(fromByteOffset: 34, as: UInt16.self)))
            let number = start.loadUnaligned(fromByteOffset: Int(frames[index].length) - 4, as: UInt32.self)
            if !expected.indices.contains(flow) || number != expected[flow] { disorder.add(1, ordering: .relaxed) }
            if expected.indices.contains(flow) { expected[flow] = number &+ 1 }
        }
        pool.release(lane: lane, frames, count: count)
        self.count.add(count, ordering: .releasing)
        return count
    }
}

/// source (vif 3) → VRF 1, 10.3.0.0/16 → sink (vif 4).
struct SequenceLab {
    let source: SequenceSource
    let sink: SequenceSink
    let router: Router
    let pool: HeapBufferPool

    init(
        total: Int, flows: Int = 64, window: Int = 256, workers: Int, spread: Bool? = nil, idle: RouterConfiguration.IdlePolicy = .adaptive,
        keepsFlows: Bool = true, buffers: Int = 4096, other: @escaping @Sendable (String) -> Port = { TestPort($0) }
    )
        throws
    {
        let sink = SequenceSink("sink", flows: flows), source = SequenceSource("source", total: total, flows: flows, window: window, to: sink)
        self.sink = sink
        self.source = source
        pool = try HeapBufferPool(bufferSize: 2048, capacity: buffers)
        router = Router(
            RouterConfiguration(cores: Array(repeating: nil, count: workers), idle: idle, flowCapacity: 1 << 17), pool: pool
        ) { spec throws(PortError) in
            switch spec.name {
            case "source": source
            case "sink": sink
            default: other(spec.name)
            }
        }
        self.spread = spread
        self.keepsFlows = keepsFlows
    }
    private let spread: Bool?
    private let keepsFlows: Bool

    var objects: [RouterOperation] {
        let mac = MACAddress(rawValue: 0x0200_0000_0111)
        return [
            .upsert(.port(PortSpec(name: "source", driver: .loopback, spread: spread))), .upsert(.port(PortSpec(name: "sink", driver: .loopback))),
            .upsert(.vrf(VRFSpec(id: .init(1), name: "blue"))),
            .upsert(
                .vif(VifSpec(id: .init(3), name: "source", kind: .virtual, port: "source", vrf: .init(1), mac: .gateway, keepsFlows: keepsFlows))),
            .upsert(.vif(VifSpec(id: .init(4), name: "sink", kind: .virtual, port: "sink", vrf: .init(1), mac: .gateway))),
            .upsert(.nextHop(NextHopSpec(id: .init(1), kind: .encap(vif: .init(4), destination: mac, source: .gateway)))),
            .upsert(.route(RouteSpec(vrf: .init(1), prefix: IPPrefix("10.3.0.0/16")!, nextHop: .init(1)))),
        ]
    }
}
