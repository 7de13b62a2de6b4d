import CPlatform
public import NetTypes
import Synchronization

/// A dropped packet as the drop log tells it.
public struct DropRecord: Hashable, Sendable {
    public var worker: Int
    /// Which of the worker's dropped packets, counted from 1 since its start.
    public var number: UInt64
    /// Unix time in nanoseconds: when the worker began the burst it was in.
    public var time: UInt64
    public var reason: DropReason
    /// The source file that gave the verdict, without its suffix: `VifInput`, `Lookup`, `NextHopOutput`, `Settle` (at the port). Empty: not known.
    public var stage: String
    public var line: Int
    /// The vif it came in on; for a frame that was lost on its way out, the vif it would have left by.
    public var vif: VifID
    /// nil: the packet had not come that far.
    public var nextHop: NextHopID?
    public var vrf: VRFID?
    /// Octets of the frame, Ethernet header included, as it was when it was dropped.
    public var length: Int
    public var summary: FrameSummary
    /// The first octets of the frame.
    public var octets: [UInt8]
}

extension Router {
    /// What the workers dropped last, oldest first; of one worker, or of all (then by time). `after`: for each worker, the number of the last record seen.
    public func dropLog(worker: Int? = nil, after: [Int: UInt64] = [:]) -> [DropRecord] {
        let hidden = dropLogStarts.withLock { $0 }
        let hz = vr_tsc_hz(), tsc = vr_tsc(), wall = vr_wall_ns()
        var out: [DropRecord] = []
        for each in workers where worker == nil || worker == each.id {
            for entry in each.dropLog.entries(after: max(after[each.id] ?? 0, hidden[each.id] ?? 0)) {
                let age = Double(tsc &- min(entry.tsc, tsc)) / Double(max(1, hz)) * 1e9
                if let record = DropRecord(worker: each.id, time: wall &- UInt64(age), entry) { out.append(record) }
            }
        }
        return worker == nil ? out.sorted { ($0.time, $0.worker, $0.number) < ($1.time, $1.worker, $1.number) } : out
    }

    /// Records up to now are no longer shown.
    public func clearDropLog() {
        dropLogStarts.withLock { starts in for worker in workers { starts[worker.id] = worker.dropLog.count } }
    }
}

extension DropRecord {
    init?(worker: Int, time: UInt64, _ entry: DropLog.Entry) {
        guard let reason = DropReason(rawValue: entry.reason) else { return nil }
        var summary = FrameSummary(entry.frame)
        if entry.ports != 0 {
            // What the stages found: behind IPv6 extension headers too long for what was kept.
            let ports = UInt32(bigEndian: entry.ports)
            if [6, 17, 132].contains(entry.proto) {
                summary.proto = entry.proto
                summary.sourcePort = UInt16(truncatingIfNeeded: ports >> 16)
                summary.destinationPort = UInt16(truncatingIfNeeded: ports)
            }
        }
        self.init(
            worker: worker, number: entry.number, time: time, reason: reason, stage: Self.stage(entry.place.file),
            line: entry.place.file == 0 || entry.place.file == .max ? 0 : Int(entry.place.line), vif: VifID(entry.vif),
            nextHop: entry.nextHop == DropLog.unknown ? nil : NextHopID(entry.nextHop), vrf: entry.vrf == DropLog.unknown ? nil : VRFID(entry.vrf),
            length: entry.length, summary: summary, octets: entry.frame)
    }

    /// `Dataplane/VifInput.swift` → `VifInput`. The address is checked before it is followed: a record may hold none.
    private static func stage(_ address: UInt) -> String {
        let length = vr_image_text_length(address)
        guard length > 0, let text = UnsafePointer<UInt8>(bitPattern: address) else { return "" }
        let name = String(decoding: UnsafeBufferPointer(start: text, count: length), as: UTF8.self)
        let file = name.split(separator: "/").last ?? ""
        return String(file.split(separator: ".").first ?? "")
    }
}
