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
        let entries = Unmanaged<ObservationSet>.fromOpaque(set)._withUnsafeGuaranteedRef { $0.entries }
        for entry in entries where entry.directions & ObservationSet.sent != 0 {
            for index in 0..<count where frames[index].hash != Mirror.mark && (entry.vif == vifs[index] || entry.vif == ObservationSet.everyVif) {
                observe(frames[index], entry, vif: vifs[index], direction: ObservationSet.sent)
            }
        }
    }

    private func observe(_ frame: vr_frame, _ entry: ObservationSet.Entry, vif: UInt32, direction: UInt32) {
        if let capture = entry.capture {
            capture._withUnsafeGuaranteedRef { $0.push(worker: id, frame, vif: vif, direction: direction, now: now) }
        }
        if let mirror = entry.mirror { mirror._withUnsafeGuaranteedRef { copy(frame, to: $0, vif: vif) } }
    }
}
