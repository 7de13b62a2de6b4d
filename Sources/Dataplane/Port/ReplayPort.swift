public import CPlatform
import Synchronization

/// A port that receives a trace from memory, over and over, and does nothing else: what a router costs by itself is measured between a
/// `ReplayPort` and a `CountingPort`. Each received packet is a fresh buffer with the frame copied into it, as from a NIC.
public final class ReplayPort: Port, @unchecked Sendable {
    private let trace: UnsafeMutableRawPointer
    /// Offset and length of each frame.
    private let index: UnsafeMutablePointer<(offset: UInt32, length: UInt32)>
    private let frameCount: Int
    // One thread polls the port: nothing to check.
    @exclusivity(unchecked) private var next = 0
    @exclusivity(unchecked) private var left: Int
    /// Packets received so far; read it from the thread that polls the port.
    @exclusivity(unchecked) public private(set) var receivedCount = 0

    /// `count`: how many packets are received in all; `.max` for no end. Frames longer than a buffer are cut by the buffer's room.
    public init(name: String, frames: [[UInt8]], count: Int = .max, mtu: Int = 1500, traits: PortTraits = []) {
        // Frames begin on cache lines and are copied in 64-octet pieces.
        let sizes = frames.map { ($0.count + 63) & ~63 }
        let trace = UnsafeMutableRawPointer.allocate(byteCount: max(64, sizes.reduce(0, +)), alignment: 64)
        let index = UnsafeMutablePointer<(offset: UInt32, length: UInt32)>.allocate(capacity: max(1, frames.count))
        var offset = 0
        for (position, frame) in frames.enumerated() {
            (trace + offset).initializeMemory(as: UInt8.self, repeating: 0, count: sizes[position])
            frame.withUnsafeBytes { bytes in if let base = bytes.baseAddress { (trace + offset).copyMemory(from: base, byteCount: frame.count) } }
            (index + position).initialize(to: (UInt32(offset), UInt32(frame.count)))
            offset += sizes[position]
        }
        self.trace = trace
        self.index = index
        frameCount = frames.count
        left = frames.isEmpty ? 0 : count
        super.init(name: name, driver: "replay", device: "\(frames.count) frames", mtu: mtu, traits: traits)
    }

    deinit {
        trace.deallocate()
        index.deallocate()
    }

    public override func receive(queue: Int, pool: BufferPool, lane: Int, into frames: UnsafeMutablePointer<vr_frame>, capacity: Int) -> Int {
        let count = pool.allocate(lane: lane, into: frames, count: min(capacity, left))
        var at = next
        for slot in 0..<count {
            let entry = index[at]
            at &+= 1
            if at == frameCount { at = 0 }
            let length = min(entry.length, frames[slot].tailroom & ~63)
            let source = trace + Int(entry.offset), target = frames[slot].start
            target.copyMemory(from: source, byteCount: 64)
            if length > 64 { (target + 64).copyMemory(from: source + 64, byteCount: Int(length) &- 64) }
            frames[slot].length = length
            frames[slot].tailroom &-= length
        }
        vr_prefetch(trace + Int(index[at].offset))
        next = at
        left &-= count
        receivedCount &+= count
        return count
    }

    public override var isExhausted: Bool { left == 0 }
}

/// A port that counts what is sent and gives the buffers back.
public final class CountingPort: Port, @unchecked Sendable {
    private let packets = Atomic<UInt64>(0)
    private let bytes = Atomic<UInt64>(0)
    /// The last frame sent, up to 256 octets: proof of what was done to it.
    @exclusivity(unchecked) public private(set) var sample: [UInt8] = []
    /// Whether `sample` is taken; it costs an allocation per burst.
    @exclusivity(unchecked) public var keepsSample = false

    public init(name: String, mtu: Int = 1500) { super.init(name: name, driver: "counting", device: "", mtu: mtu) }

    public override func transmit(queue: Int, pool: BufferPool, lane: Int, _ frames: UnsafeMutablePointer<vr_frame>, count: Int) -> Int {
        guard count > 0 else { return 0 }
        var octets: UInt64 = 0
        for slot in 0..<count { octets &+= UInt64(frames[slot].length) }
        if keepsSample { sample = Array(UnsafeRawBufferPointer(start: frames[count - 1].start, count: min(256, Int(frames[count - 1].length)))) }
        pool.release(lane: lane, frames, count: count)
        packets.store(packets.load(ordering: .relaxed) &+ UInt64(truncatingIfNeeded: count), ordering: .relaxed)
        bytes.store(bytes.load(ordering: .relaxed) &+ octets, ordering: .relaxed)
        return count
    }

    public override var isExhausted: Bool { true }

    public override func statistics() -> PortStatistics {
        var out = PortStatistics()
        out.transmittedPackets = packets.load(ordering: .relaxed)
        out.transmittedBytes = bytes.load(ordering: .relaxed)
        return out
    }
}
