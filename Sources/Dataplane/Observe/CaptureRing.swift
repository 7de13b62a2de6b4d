import CPlatform
import Synchronization

/// Copies of frames on their way from a worker to whoever watches: a ring of octets. What does not fit is lost and counted; the worker never waits.
///
/// A record is a header of 32 octets and the frame's first octets, to a multiple of 8. One that would cross the end of the ring begins at its start, after a
/// record without a frame.
///
/// # Thread-safety
/// One thread pushes (a worker), one at a time pops.
final class CaptureRing: @unchecked Sendable {
    struct Header {
        var tsc: UInt64 = 0
        /// Octets kept, and of the frame on the wire; `skip` kept: nothing more before the ring's end.
        var kept: UInt32 = 0
        var length: UInt32 = 0
        var vif: UInt32 = 0
        /// 1: received, 2: sent.
        var direction: UInt32 = 0
        static let skip: UInt32 = .max
    }
    private static let headerSize = 32
    private let memory: ReservedMemory
    private let size: Int
    private let head = Atomic<Int>(0)
    private let tail = Atomic<Int>(0)
    private let lostCount = Atomic<UInt64>(0)

    static let defaultSize = 4 << 20

    /// `size`: octets, a power of two, at least 128 KiB so that the largest frame fits. Only what is used becomes resident.
    init(size: Int = CaptureRing.defaultSize) {
        self.size = size
        memory = ReservedMemory(size: size)
    }

    func push(_ header: Header, _ bytes: UnsafeRawPointer) {
        var header = header
        let needed = (Self.headerSize &+ Int(header.kept) &+ 7) & ~7
        var at = head.load(ordering: .relaxed)
        let offset = at & (size &- 1), rest = size &- offset
        let skipped = rest < needed ? rest : 0
        guard needed &+ skipped <= size &- (at &- tail.load(ordering: .acquiring)) else {
            lostCount.store(lostCount.load(ordering: .relaxed) &+ 1, ordering: .relaxed)
            return
        }
        if skipped > 0 {
            // Less than a header's room is left out silently: the reader knows that none fits.
            if skipped >= Self.headerSize { (memory.base + offset).storeBytes(of: Header(kept: Header.skip), as: Header.self) }
            at &+= skipped
        }
        let slot = memory.base + (at & (size &- 1))
        header.kept = min(header.kept, header.length)
        slot.storeBytes(of: header, as: Header.self)
        (slot + Self.headerSize).copyMemory(from: bytes, byteCount: Int(header.kept))
        head.store(at &+ needed, ordering: .releasing)
    }

    /// Hands the oldest record to `body`, whose pointer is valid during the call; false when there is none.
    func pop(_ body: (Header, UnsafeRawPointer) -> Void) -> Bool {
        var at = tail.load(ordering: .relaxed)
        let end = head.load(ordering: .acquiring)
        while at != end {
            let offset = at & (size - 1), rest = size - offset
            if rest < Self.headerSize {
                at += rest
                continue
            }
            let slot = memory.base + offset
            let header = slot.load(as: Header.self)
            if header.kept == Header.skip {
                at += rest
                continue
            }
            body(header, slot + Self.headerSize)
            tail.store(at + ((Self.headerSize + Int(header.kept) + 7) & ~7), ordering: .releasing)
            return true
        }
        tail.store(at, ordering: .releasing)
        return false
    }

    var lost: UInt64 { lostCount.load(ordering: .relaxed) }
}
