import CPlatform
public import NetTypes
import Synchronization

/// Which frames are watched.
public struct CaptureSpec: Sendable {
    public enum Direction: UInt8, Hashable, Sendable, CaseIterable { case received = 1, sent = 2, both = 3 }
    /// nil: every vif.
    public var vif: VifID?
    public var direction: Direction
    /// Octets kept of each frame; 0: all.
    public var snapLength: Int
    public var filter: PacketFilter?
    public init(vif: VifID?, direction: Direction = .both, snapLength: Int = 0, filter: PacketFilter? = nil) {
        self.vif = vif
        self.direction = direction
        self.snapLength = snapLength
        self.filter = filter
    }
}

/// A copy of a frame as the wire saw it: before the pipeline touched a received one, as it was given to the port for a sent one.
public struct CapturedFrame: Sendable {
    /// Unix time in nanoseconds, when the worker began the burst it was in.
    public var time: UInt64
    public var vif: VifID
    public var isSent: Bool
    /// Octets on the wire; `octets` may be fewer.
    public var length: Int
    public var octets: [UInt8]
}

/// Somebody who watches frames: `vifdump`, or a mirror that writes a file. Frames wait in one ring per worker until `take`; when the rings are full they are lost
/// and counted, and nothing else happens.
///
/// # Thread-safety
/// One thread at a time calls `take`. `stop` may be called from any thread, more than once; letting go of the capture stops it too.
public final class Capture: Sendable {
    let session: CaptureSession
    private let stopping: @Sendable () -> Void
    private let isStopped = Atomic<Bool>(false)

    init(_ session: CaptureSession, stopping: @escaping @Sendable () -> Void) {
        self.session = session
        self.stopping = stopping
    }

    deinit { stop() }

    /// The frames that wait, at most `limit`; of one worker in order, of several by time within one call.
    public func take(limit: Int) -> [CapturedFrame] { session.take(limit) }
    /// Frames lost because nobody took them in time.
    public var lost: UInt64 { session.lost }
    /// Nothing is copied any more; what waits can still be taken.
    public func stop() { if !isStopped.exchange(true, ordering: .relaxed) { stopping() } }
}

/// The part of a capture that workers see.
final class CaptureSession: Sendable {
    private let filter: PacketFilter?
    let snap: UInt32
    private let rings: [CaptureRing]
    /// The same, for the workers: whose references they do not count.
    private let check: Unmanaged<PacketFilter>?
    private nonisolated(unsafe) let ways: UnsafeMutablePointer<Unmanaged<CaptureRing>>

    init(workers: Int, snapLength: Int, filter: PacketFilter?) {
        self.filter = filter
        snap = snapLength == 0 ? 1 << 17 : UInt32(clamping: min(snapLength, 1 << 17))
        rings = (0..<workers).map { _ in CaptureRing() }
        check = filter.map { .passUnretained($0) }
        ways = .allocate(capacity: max(1, workers))
        for (worker, ring) in rings.enumerated() { (ways + worker).initialize(to: .passUnretained(ring)) }
    }

    deinit { ways.deallocate() }

    /// `worker`: of those that there are.
    func push(worker: Int, _ frame: vr_frame, vif: UInt32, direction: UInt32, now: UInt64) {
        if let check, !check._withUnsafeGuaranteedRef({ $0.matches(frame.start, Int(frame.length)) }) { return }
        let header = CaptureRing.Header(tsc: now, kept: min(frame.length, snap), length: frame.length, vif: vif, direction: direction)
        ways[worker]._withUnsafeGuaranteedRef { $0.push(header, frame.start) }
    }

    var lost: UInt64 { rings.reduce(0) { $0 &+ $1.lost } }

    func take(_ limit: Int) -> [CapturedFrame] {
        let hz = Double(max(1, vr_tsc_hz())), tsc = vr_tsc(), wall = vr_wall_ns()
        var out: [CapturedFrame] = []
        for ring in rings {
            while out.count < limit,
                ring.pop({ header, bytes in
                    let age = Double(tsc &- min(header.tsc, tsc)) / hz * 1e9
                    out.append(
                        CapturedFrame(
                            time: wall &- UInt64(age), vif: VifID(header.vif), isSent: header.direction == 2, length: Int(header.length),
                            octets: Array(UnsafeRawBufferPointer(start: bytes, count: Int(header.kept)))))
                })
            {}
        }
        return rings.count > 1 ? out.sorted { $0.time < $1.time } : out
    }
}
