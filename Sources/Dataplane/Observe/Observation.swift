import CPlatform
import Synchronization

/// All that watches frames at this moment: an immutable list that the control thread replaces as a whole. Workers see a pointer to it, which is nil while nobody
/// watches: that is the one thing a burst has to ask. The old list is let go after quiescence.
final class ObservationSet: @unchecked Sendable {
    struct Entry {
        /// `everyVif`: all.
        var vif: UInt32
        /// Bit 0: received frames, bit 1: sent ones.
        var directions: UInt32
        /// One of the two; kept alive by `owners`.
        var capture: Unmanaged<CaptureSession>?
        var mirror: Unmanaged<Mirror>?
    }
    static let everyVif: UInt32 = .max
    static let received: UInt32 = 1, sent: UInt32 = 2

    let entries: UnsafeMutableBufferPointer<Entry>
    private let owners: [AnyObject]

    init(_ entries: [Entry], owners: [AnyObject]) {
        self.entries = .allocate(capacity: entries.count)
        _ = self.entries.initialize(from: entries)
        self.owners = owners
    }

    deinit { entries.deallocate() }
}

extension Worker {
    /// Frames of a burst just received on `vif`, untouched.
    @inline(never) func observeReceived(_ set: UnsafeMutableRawPointer, _ count: Int, vif: UInt32) {
        let entries = Unmanaged<ObservationSet>.fromOpaque(set)._withUnsafeGuaranteedRef { $0.entries }
        for entry in entries where entry.directions & ObservationSet.received != 0 && (entry.vif == vif || entry.vif == ObservationSet.everyVif) {
            for index in 0..<count { observe(frames[index], entry, vif: vif, direction: ObservationSet.received) }
        }
    }

    /// Frames that the port gets next. Copies made here are not observed again.
    @inline(never) func observeSent(
        _ set: UnsafeMutableRawPointer, _ frames: UnsafeMutablePointer<vr_frame>, _ vifs: UnsafeMutablePointer<UInt32>, _ count: Int
    ) {
        guard !isSendingCopies else { return }
        for index in 0..<count where frames[index].hash != Mirror.mark {
            observe(set, frames[index], vif: tables.vifs.load(vifs[index]).map(Worker.wireVif) ?? vifs[index], direction: ObservationSet.sent)
        }
    }

    /// A frame that leaves by a sub-interface, before it gets its tags: that is how the sub-interface's observers see it.
    @inline(never) func observeUntagged(_ set: UnsafeMutableRawPointer, _ frame: vr_frame, _ vif: UInt32) {
        guard frame.hash != Mirror.mark, let record = tables.vifs.load(vif), record.pointee.flags.contains(.tagged) else { return }
        observe(set, frame, vif: vif, direction: ObservationSet.sent)
    }

    /// One frame as one vif sees it.
    @inline(never) func observe(_ set: UnsafeMutableRawPointer, _ frame: vr_frame, vif: UInt32, direction: UInt32) {
        let entries = Unmanaged<ObservationSet>.fromOpaque(set)._withUnsafeGuaranteedRef { $0.entries }
        for entry in entries where entry.directions & direction != 0 && (entry.vif == vif || entry.vif == ObservationSet.everyVif) {
            observe(frame, entry, vif: vif, direction: direction)
        }
    }

    /// Whose observers see a frame on the wire: a sub-interface's frames are its parent's there.
    private static func wireVif(_ vif: UnsafePointer<Vif>) -> UInt32 { vif.pointee.flags.contains(.tagged) ? vif.pointee.parent : vif.pointee.id }

    private func observe(_ frame: vr_frame, _ entry: ObservationSet.Entry, vif: UInt32, direction: UInt32) {
        if let capture = entry.capture {
            capture._withUnsafeGuaranteedRef { $0.push(worker: id, frame, vif: vif, direction: direction, now: now) }
        }
        if let mirror = entry.mirror { mirror._withUnsafeGuaranteedRef { copy(frame, to: $0, vif: vif) } }
    }
}
