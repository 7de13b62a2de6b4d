public import CPlatform

/// Where packet buffers come from: one pool per process. DPDK's mempool where DPDK is initialised (`DPDKPort` subclasses this), else `HeapBufferPool`.
///
/// # Thread-safety
/// A *lane* is a number that one thread at a time uses, so a pool can keep a cache per lane without locks: workers have
/// lanes 0 …< `laneCount - 1`; the last lane belongs to the control thread.
open class BufferPool: @unchecked Sendable {
    /// Octets kept free before a received frame: enough for the largest encapsulation, 92 (Ethernet + two VLAN tags + IPv6 + UDP + VXLAN +
    /// inner Ethernet). DPDK's drivers leave 128, of which a VLAN tag that one puts back takes 4; the own pool leaves 128 too.
    public static let headroom = 112
    public static let laneCount = 65

    /// Octets of a buffer, headroom included.
    public let bufferSize: Int
    public let capacity: Int

    public init(bufferSize: Int, capacity: Int) {
        self.bufferSize = bufferSize
        self.capacity = capacity
    }

    /// Fills `count` frames with empty buffers (`data` after the headroom, `length` 0); returns how many there were.
    open func allocate(lane: Int, into frames: UnsafeMutablePointer<vr_frame>, count: Int) -> Int { 0 }

    /// Takes the buffers of `count` frames back.
    open func release(lane: Int, _ frames: UnsafeMutablePointer<vr_frame>, count: Int) {}

    /// Buffers in use now, all lanes' caches counted as free. A statistic, not a synchronisation.
    open var inUse: Int { 0 }
}
