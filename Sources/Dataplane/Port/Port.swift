public import CPlatform

/// A port: the queues through which frames enter and leave the router. `Port` is the driver's side; a `Vif` gives it meaning.
///
/// A driver subclasses this and overrides `receive` and `transmit`. Both are called once per burst by a worker, never per
/// packet, so a virtual call is affordable; inside, a driver touches frames only through `vr_frame`.
///
/// # Thread-safety
/// One worker at a time uses a given receive queue, and one a given transmit queue; different queues are used concurrently.
/// `statistics` may be read from any thread. `close` is called once, after every worker has let go of the port; who asks a closed port to receive or
/// transmit all the same gets nothing, and keeps what it has.
open class Port: @unchecked Sendable {
    /// The name by which vifs refer to the port.
    public let name: String
    /// What the driver is, for `vif --list`: "libpcap", "net_tap", "capture file".
    public let driver: String
    /// The device behind it: interface, vdev arguments or file.
    public let device: String
    /// Largest IP packet the port transmits, in octets (Ethernet header not counted).
    public let mtu: Int
    public let receiveQueueCount: Int
    public let transmitQueueCount: Int
    public let traits: PortTraits

    public init(
        name: String, driver: String, device: String, mtu: Int, receiveQueueCount: Int = 1, transmitQueueCount: Int = 1,
        traits: PortTraits = []
    ) {
        self.name = name
        self.driver = driver
        self.device = device
        self.mtu = mtu
        self.receiveQueueCount = receiveQueueCount
        self.transmitQueueCount = transmitQueueCount
        self.traits = traits
    }

    /// Fills up to `capacity` (≤ `VR_BURST`) frames and returns how many. Buffers come from `pool`, on the caller's `lane`; the caller owns them.
    /// Each frame has at least `BufferPool.headroom` octets before `data`. Never blocks.
    open func receive(queue: Int, pool: BufferPool, lane: Int, into frames: UnsafeMutablePointer<vr_frame>, capacity: Int) -> Int { 0 }

    /// Sends `count` (≤ `VR_BURST`) frames in order and returns how many were taken, from the front. The driver owns (and releases to `pool`)
    /// the buffers of those it took; the caller keeps the rest. Never blocks; a full queue takes fewer.
    open func transmit(queue: Int, pool: BufferPool, lane: Int, _ frames: UnsafeMutablePointer<vr_frame>, count: Int) -> Int { 0 }

    /// A file descriptor that becomes readable when a frame waits on `queue`; -1 when the port has none and must be polled.
    /// An idle worker sleeps on these.
    open func pollDescriptor(queue: Int) -> Int32 { -1 }

    /// True once no further frame will ever be received (the end of a capture file).
    open var isExhausted: Bool { false }

    /// The driver's own counters (drops before the router saw the frame, errors).
    open func statistics() -> PortStatistics { PortStatistics() }

    /// Whether frames can pass at this moment. Asked by the control side, now and then; a driver may ask the kernel.
    open func link() -> PortLink { PortLink(state: .up) }

    /// Releases the device.
    open func close() {}
}

/// The state of what is behind a port: a cable, a guest, the other end of a shared memory.
public struct PortLink: Sendable, Hashable {
    public enum State: Sendable, Hashable, CaseIterable {
        /// The driver cannot tell.
        case unknown
        case up
        /// No carrier, nobody connected, the interface taken down.
        case down
        /// The interface does not exist (any more); the port works again when it is back.
        case absent
    }
    public var state: State
    /// Mbit/s; 0: not known, or without meaning.
    public var speed: Int
    public init(state: State, speed: Int = 0) {
        self.state = state
        self.speed = speed
    }
}

/// What a port demands of, or offers to, the pipeline.
public struct PortTraits: OptionSet, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    /// Received frames may carry TCP/UDP checksums that hold only the pseudo-header sum, as a kernel veth or tap leaves them.
    public static let unfinishedChecksums = PortTraits(rawValue: 1 << 0)
    /// Received TCP frames may exceed the MTU (GSO); the pipeline cuts them into segments before they leave.
    public static let oversizedSegments = PortTraits(rawValue: 1 << 1)
    /// The port hashes received packets (`vr_frame.hash`).
    public static let receiveHash = PortTraits(rawValue: 1 << 2)
    /// TCP frames above the MTU may be transmitted: the port cuts them, and computes their checksum (`VR_SEGMENTED`).
    public static let cutsSegments = PortTraits(rawValue: 1 << 3)
    /// The same for UDP frames that stand for several datagrams of one size.
    public static let cutsDatagrams = PortTraits(rawValue: 1 << 4)
    /// What the port cuts it may never have to cut, or cuts late: TCP segments that follow each other are worth being joined for it. Only with `cutsSegments`.
    public static let gainsByJoining = PortTraits(rawValue: 1 << 5)
}

/// Counters kept by a driver.
public struct PortStatistics: Sendable, Equatable {
    public var receivedPackets: UInt64 = 0
    public var receivedBytes: UInt64 = 0
    /// Frames lost before the router took them: full ring, no buffer.
    public var receiveMissed: UInt64 = 0
    public var receiveErrors: UInt64 = 0
    public var transmittedPackets: UInt64 = 0
    public var transmittedBytes: UInt64 = 0
    public var transmitErrors: UInt64 = 0
    /// Frames that were left to the device, the kernel or the guest to cut, with their checksums.
    public var transmittedUncut: UInt64 = 0
    public init() {}
}

/// Why a port could not be opened. `description` says what to do.
public struct PortError: Error, CustomStringConvertible, Sendable {
    public let description: String
    public init(_ description: String) { self.description = description }
}
