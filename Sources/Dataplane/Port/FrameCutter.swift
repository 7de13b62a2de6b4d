public import CPlatform

/// Cuts a TCP packet that was left to a port to cut (`PortTraits.cutsSegments`), for a driver whose device turns out not to:
///
///     guard var cutter = FrameCutter(frame) else { … }    // it is whole
///     while let segment = cutter.next(pool: pool, lane: lane) { … }
///     pool.release(lane: lane, &frame, count: 1)
///
/// Headers, lengths and checksums of the segments are complete. Thread-safety: the caller's own.
public struct FrameCutter {
    private var segments: Segmenter
    /// False while there are segments to come; it stays so when there is no buffer for the next, or when the packet cannot be cut.
    public var isDone: Bool { isPossible && segments.isDone }
    private let isPossible: Bool

    /// nil: the frame is to be sent as it is. The frame's buffer must outlive the value.
    public init?(_ frame: vr_frame) {
        guard frame.isSegmented else { return nil }
        segments = Segmenter(frame.start, length: Int(frame.length), mtu: 0xFFFF)
        isPossible = segments.limit(toData: Int(frame.tailroom & ~VR_SEGMENTED))
    }

    /// The next segment, in a buffer of `pool`; nil when there is none, or no buffer that holds it.
    public mutating func next(pool: BufferPool, lane: Int) -> vr_frame? {
        guard isPossible, !segments.isDone else { return nil }
        var frame = vr_frame()
        guard pool.allocate(lane: lane, into: &frame, count: 1) == 1 else { return nil }
        let length = segments.next(into: frame.start, capacity: Int(frame.tailroom))
        guard length > 0 else {
            pool.release(lane: lane, &frame, count: 1)
            return nil
        }
        frame.length = UInt32(truncatingIfNeeded: length)
        frame.tailroom &-= frame.length
        return frame
    }
}
