import CPlatform
import Dataplane
import Synchronization

/// A repeatable sequence (xorshift64*).
struct Dice {
    var state: UInt64
    init(_ seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }
    mutating func next() -> UInt64 {
        state ^= state >> 12
        state ^= state << 25
        state ^= state >> 27
        return state &* 0x2545_F491_4F6C_DD1D
    }
    /// 0 …< bound.
    mutating func roll(_ bound: Int) -> Int { Int((next() >> 33) % UInt64(max(bound, 1))) }
}

/// What went in and came out of every port of the run, those that are gone again included.
final class Ledger: Sendable {
    let received = Atomic<UInt64>(0)
    let transmitted = Atomic<UInt64>(0)
}

/// A port that offers frames made from templates, some of them damaged, as fast as they are taken, and takes everything.
final class StressPort: Port, @unchecked Sendable {
    private let templates: [Template]
    /// SYN, SYN+ACK, mostly ACK, FIN, RST.
    private static let tcpFlags: [UInt8] = [0x02, 0x12, 0x10, 0x10, 0x10, 0x11, 0x14]
    private let ledger: Ledger
    /// One per queue: whoever polls a queue has its dice, so a queue polled by two workers at a time is a race that ThreadSanitizer sees.
    private let dice: UnsafeMutablePointer<Dice>
    private let isOpen: Atomic<Bool>
    /// Offers something in one of so many calls.
    private let rarity: Int

    init(
        name: String, templates: [Template], queues: Int, transmitQueues: Int, seed: UInt64, ledger: Ledger, traits: PortTraits = [], rarity: Int = 1,
        opened: Bool = false
    ) {
        self.rarity = rarity
        isOpen = Atomic(opened)
        self.templates = templates
        self.ledger = ledger
        dice = .allocate(capacity: queues)
        for queue in 0..<queues { (dice + queue).initialize(to: Dice(seed &+ UInt64(queue) &* 77)) }
        super.init(
            name: name, driver: "stress", device: "\(templates.count) templates", mtu: 1500, receiveQueueCount: queues,
            transmitQueueCount: transmitQueues, traits: traits)
    }

    deinit { dice.deallocate() }

    func open() { isOpen.store(true, ordering: .relaxed) }
    /// Nothing more is received; what is in the router drains.
    func shut() { isOpen.store(false, ordering: .relaxed) }

    override func receive(queue: Int, pool: BufferPool, lane: Int, into frames: UnsafeMutablePointer<vr_frame>, capacity: Int) -> Int {
        guard isOpen.load(ordering: .relaxed), !templates.isEmpty else { return 0 }
        var dice = self.dice[queue]
        if rarity > 1, dice.roll(rarity) != 0 {
            self.dice[queue] = dice
            return 0
        }
        let count = pool.allocate(lane: lane, into: frames, count: min(capacity, 1 + dice.roll(32)))
        for index in 0..<count {
            let template = templates[dice.roll(templates.count)]
            guard let data = frames[index].data else { continue }
            frames[index].fill(template.octets)
            if template.ports > 0 {
                data[template.ports + (template.isAnswer ? 3 : 1)] = UInt8(truncatingIfNeeded: dice.next() >> 40 & 0x1F)
                if template.isTCP { data[template.ports + 13] = Self.tcpFlags[dice.roll(Self.tcpFlags.count)] }
            }
            if dice.roll(64) == 0 {
                for _ in 0...dice.roll(4) { data[dice.roll(template.octets.count)] = UInt8(truncatingIfNeeded: dice.next() >> 17) }
            }
        }
        self.dice[queue] = dice
        ledger.received.add(UInt64(count), ordering: .relaxed)
        return count
    }

    override func transmit(queue: Int, pool: BufferPool, lane: Int, _ frames: UnsafeMutablePointer<vr_frame>, count: Int) -> Int {
        pool.release(lane: lane, frames, count: count)
        ledger.transmitted.add(UInt64(count), ordering: .relaxed)
        return count
    }
}

extension vr_frame {
    mutating func fill(_ octets: [UInt8]) {
        guard let data else { return }
        octets.withUnsafeBytes { bytes in
            if let base = bytes.baseAddress { UnsafeMutableRawPointer(data).copyMemory(from: base, byteCount: bytes.count) }
        }
        length = UInt32(octets.count)
        tailroom -= UInt32(octets.count)
    }
}

/// Two ends of a wire through the router that nothing in the churn concerns: numbered packets of many flows go in, and must come out whole and in order.
/// At most `window` packets are under way, so that no queue of the router can overflow: every loss is a fault.
final class CleanPort: Port, @unchecked Sendable {
    static let flows = 64, window = 192
    private let template: [UInt8]
    private let ledger: Ledger
    private var next = 0
    private var expected: [UInt32] = Array(repeating: 0, count: CleanPort.flows)
    let sent = Atomic<Int>(0)
    let arrived = Atomic<Int>(0)
    let disorder = Atomic<Int>(0)
    private let isOpen = Atomic<Bool>(false)
    /// The end that receives what this one sends.
    nonisolated(unsafe) weak var peer: CleanPort?

    init(name: String, template: [UInt8], ledger: Ledger) {
        self.template = template
        self.ledger = ledger
        super.init(name: name, driver: "clean", device: name, mtu: 1500)
    }

    func shut() { isOpen.store(false, ordering: .relaxed) }
    func open() { isOpen.store(true, ordering: .relaxed) }

    override func receive(queue: Int, pool: BufferPool, lane: Int, into frames: UnsafeMutablePointer<vr_frame>, capacity: Int) -> Int {
        guard isOpen.load(ordering: .relaxed), !template.isEmpty, let peer else { return 0 }
        let underway = sent.load(ordering: .relaxed) - peer.arrived.load(ordering: .acquiring)
        let count = pool.allocate(lane: lane, into: frames, count: min(capacity, max(0, Self.window - underway)))
        for index in 0..<count {
            guard let data = frames[index].data else { continue }
            frames[index].fill(template)
            let flow = next % Self.flows, number = UInt32(truncatingIfNeeded: next / Self.flows)
            next += 1
            data[35] = UInt8(flow)
            UnsafeMutableRawPointer(data).storeBytes(of: number.bigEndian, toByteOffset: template.count - 4, as: UInt32.self)
        }
        sent.store(sent.load(ordering: .relaxed) + count, ordering: .relaxed)
        ledger.received.add(UInt64(count), ordering: .relaxed)
        return count
    }

    override func transmit(queue: Int, pool: BufferPool, lane: Int, _ frames: UnsafeMutablePointer<vr_frame>, count: Int) -> Int {
        for index in 0..<count {
            guard let data = frames[index].data, frames[index].length >= 60 else { continue }
            let flow = Int(data[35]) % Self.flows
            let bytes = UnsafeRawPointer(data)
            let number = UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: Int(frames[index].length) - 4, as: UInt32.self))
            if number != expected[flow] { disorder.add(1, ordering: .relaxed) }
            expected[flow] = number &+ 1
        }
        pool.release(lane: lane, frames, count: count)
        ledger.transmitted.add(UInt64(count), ordering: .relaxed)
        arrived.add(count, ordering: .releasing)
        return count
    }
}
