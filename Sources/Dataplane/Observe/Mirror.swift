import CPlatform
import Synchronization

/// Where copies of frames go, as the workers see it: out of a vif, or to an analyser behind a tunnel. (A mirror into a file is a `CaptureSession`.)
final class Mirror: Sendable {
    enum Destination {
        case vif(UInt32)
        /// Ethernet in VXLAN (RFC 7348), in the next hop's outer headers.
        case vxlan(nextHop: UInt32, vni: UInt32)
        /// Ethernet in ERSPAN type II over GRE (draft-foschiano-erspan-03), between the next hop's endpoints.
        case erspan(nextHop: UInt32, session: UInt32)
    }
    let destination: Destination
    let snap: Int
    let copies = Atomic<UInt64>(0)
    let lost = Atomic<UInt64>(0)
    /// Of the GRE header.
    let sequence = Atomic<UInt32>(0)

    /// In `vr_frame.hash` of a copy, also when another worker sends it: it is not observed again.
    static let mark: UInt32 = 0x4D49_5252

    init(_ destination: Destination, snapLength: Int) {
        self.destination = destination
        snap = snapLength == 0 ? .max : snapLength
    }
}

/// A copy that waits for the end of the turn.
struct MirrorCopy {
    var frame: vr_frame
    var vif: UInt32
}

/// Copies are made where the original is seen and sent after everything else of the loop turn, so that they delay nothing; they pass no stage and are never
/// observed. Each counts as generated, and as forwarded or dropped like any packet.
extension Worker {
    static let copyCapacity = 256

    /// A copy of `frame` on its way to the mirror's destination; `vif`: where the original was seen. When there is no buffer, no destination or no room, the copy is
    /// counted as lost.
    func copy(_ frame: vr_frame, to mirror: Mirror, vif: UInt32) {
        guard copyCount < Worker.copyCapacity, var made = allocate() else { return lose(mirror) }
        var limit = min(Int(frame.length), mirror.snap, Int(made.tailroom))
        let out: UInt32
        switch mirror.destination {
        case .vif(let id):
            out = id
            // A device takes no frame above its MTU: what a kernel left uncut is copied as far as it fits.
            if let to = tables.vifs.load(id) { limit = min(limit, Int(to.pointee.mtu) &+ Ethernet.size) }
        case .vxlan(let id, _), .erspan(let id, _):
            guard let nextHop = tables.nextHops.load(id), nextHop.pointee.kind == .tunnel || nextHop.pointee.kind == .tunnelIPv6,
                let fabric = tables.vifs.load(nextHop.pointee.vif)
            else {
                release(made)
                return lose(mirror)
            }
            out = nextHop.pointee.vif
            // What does not fit the fabric is cut, not fragmented: 84 is the longest of these encapsulations less the Ethernet header (IPv6, GRE, ERSPAN, inner Ethernet).
            limit = min(limit, max(64, Int(fabric.pointee.mtu) - 84))
        }
        made.start.copyMemory(from: frame.start, byteCount: limit)
        made.length = UInt32(truncatingIfNeeded: limit)
        made.tailroom &-= made.length
        guard envelop(&made, mirror, vif: vif, isCut: limit < Int(frame.length)) else {
            release(made)
            return lose(mirror)
        }
        made.hash = Mirror.mark
        counters.add(.generated)
        mirror.copies.wrappingAdd(1, ordering: .relaxed)
        copies[copyCount] = MirrorCopy(frame: made, vif: out)
        copyCount &+= 1
    }

    private func lose(_ mirror: Mirror) { mirror.lost.wrappingAdd(1, ordering: .relaxed) }

    /// End of a loop turn, when there are copies.
    @inline(never) func sendCopies() {
        isSendingCopies = true
        for index in 0..<copyCount { stage(copies[index].frame, copies[index].vif) }
        copyCount = 0
        transmitPending()
        isSendingCopies = false
    }

    private func envelop(_ frame: inout vr_frame, _ mirror: Mirror, vif: UInt32, isCut: Bool) -> Bool {
        switch mirror.destination {
        case .vif: return true
        case .vxlan(let id, let vni):
            guard let nextHop = tables.nextHops.load(id), nextHop.pointee.encapsulation == .vxlan else { return false }
            let mixed = Ethernet(frame.start).source ^ Ethernet(frame.start).destination &* 0x9E37_79B9_7F4A_7C15
            let hash = UInt32(truncatingIfNeeded: mixed >> 32) | 1
            if nextHop.pointee.kind == .tunnelIPv6 { return encapsulateIPv6(&frame, nextHop, label: vni, hash: hash) }
            return encapsulate(&frame, nextHop, label: vni, port: Worker.entropyPort(hash))
        case .erspan(let id, let session):
            guard let nextHop = tables.nextHops.load(id) else { return false }
            let sequence = mirror.sequence.wrappingAdd(1, ordering: .relaxed).oldValue
            return ERSPAN(session: session, index: vif, sequence: sequence, isCut: isCut).encapsulate(&frame, nextHop)
        }
    }
}
