import CPlatform
import Dataplane

/// A buffer of its own from the system for each packet: AddressSanitizer sees one touched outside or after its release, and none is lost unseen.
final class FuzzPool: BufferPool, @unchecked Sendable {
    private(set) var outstanding = 0
    init() { super.init(bufferSize: 70_000, capacity: 1 << 20) }

    override func allocate(lane: Int, into frames: UnsafeMutablePointer<vr_frame>, count: Int) -> Int {
        for index in 0..<count { frames[index] = make(room: bufferSize - BufferPool.headroom) }
        return count
    }

    /// A frame with `room` octets behind the headroom, and not one more.
    func make(room: Int) -> vr_frame {
        let buffer = UnsafeMutableRawPointer.allocate(byteCount: BufferPool.headroom + room, alignment: 1)
        outstanding += 1
        return vr_frame(
            buffer: buffer, data: (buffer + BufferPool.headroom).assumingMemoryBound(to: UInt8.self), length: 0,
            headroom: UInt32(BufferPool.headroom),
            tailroom: UInt32(room), hash: 0)
    }

    override func release(lane: Int, _ frames: UnsafeMutablePointer<vr_frame>, count: Int) {
        for index in 0..<count { frames[index].buffer.deallocate() }
        outstanding -= count
    }

    override var inUse: Int { outstanding }
}

/// Hands over what it is given, in buffers without an octet to spare, and keeps what is sent.
final class FuzzPort: Port, @unchecked Sendable {
    var input: [[UInt8]] = []
    var output: [[UInt8]] = []
    /// Sent to be cut by the port: larger than the MTU, with a checksum that the pieces get.
    var uncut: [[UInt8]] = []
    private let fuzzPool: FuzzPool

    init(_ name: String, pool: FuzzPool, mtu: Int, traits: PortTraits = []) {
        fuzzPool = pool
        super.init(name: name, driver: "fuzz", device: name, mtu: mtu, traits: traits)
    }

    override func receive(queue: Int, pool: BufferPool, lane: Int, into frames: UnsafeMutablePointer<vr_frame>, capacity: Int) -> Int {
        let count = min(capacity, input.count)
        for index in 0..<count {
            let octets = input[index]
            frames[index] = fuzzPool.make(room: octets.count)
            UnsafeMutableRawBufferPointer(start: frames[index].data, count: octets.count).copyBytes(from: octets)
            frames[index].length = UInt32(octets.count)
            frames[index].tailroom = 0
        }
        input.removeFirst(count)
        return count
    }

    override func transmit(queue: Int, pool: BufferPool, lane: Int, _ frames: UnsafeMutablePointer<vr_frame>, count: Int) -> Int {
        for index in 0..<count {
            let octets = Array(UnsafeRawBufferPointer(start: frames[index].data, count: Int(frames[index].length)))
            if frames[index].tailroom & VR_SEGMENTED != 0 { uncut.append(octets) } else { output.append(octets) }
        }
        pool.release(lane: lane, frames, count: count)
        return count
    }

    override var isExhausted: Bool { input.isEmpty }
}
