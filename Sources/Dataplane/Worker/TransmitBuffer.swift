import CPlatform

/// Frames a worker has ready for each port, kept until the end of its loop turn so that a port sees full bursts.
/// Owned by one worker.
struct TransmitBuffer: ~Copyable {
    static let capacity = Int(VR_BURST)

    let frames = UnsafeMutablePointer<vr_frame>.allocate(capacity: TransmitBuffer.capacity)
    /// The vif each frame leaves by, for its counters. Until its tags are on, the three highest bits are their priority.
    let vifs = UnsafeMutablePointer<UInt32>.allocate(capacity: TransmitBuffer.capacity)
    var count = 0
    /// The port is in the worker's list of those to serve at the end of the turn.
    var isPending = false
    /// The frames of this loop turn may leave by more than one vif: the port has sub-interfaces.
    var isMixed = false
    /// Frames of this loop turn leave by a VLAN sub-interface; those that are here have no tags yet.
    var isTagged = false
    static let priorityShift: UInt32 = 29

    /// There is room.
    @inline(__always) mutating func append(_ frame: vr_frame, _ vif: UInt32) {
        frames[count] = frame
        vifs[count] = vif
        count &+= 1
    }

    deinit {
        frames.deallocate()
        vifs.deallocate()
    }
}
