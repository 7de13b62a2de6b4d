import CPlatform
import NetTypes
import Synchronization

/// Learning of source addresses where a VRF asks for it: who is not known, or is known elsewhere, is reported to the control thread (`LearnQueue`), and who is known
/// is marked as seen. Nothing of this changes what becomes of the frame.
///
/// - Input: a burst of a vif that learns, a frame of a sub-interface, a frame out of VXLAN.
/// - Not learned: group addresses, zero, the gateway's MAC, our own, what antispoofing will refuse, tagged frames (they belong to a sub-interface).
extension Worker {
    /// Before the burst is looked at.
    @inline(never) func learnSources(_ count: Int, _ vif: UnsafePointer<Vif>) {
        var last: UInt64 = 0
        for index in 0..<count {
            let frame = frames[index]
            guard Ethernet.check(frame.start, available: Int(frame.length)) else { continue }
            let ethernet = Ethernet(frame.start)
            let source = ethernet.source
            // A run of one station's frames is looked up once.
            guard source != last, !ethernet.type.isVLAN else { continue }
            last = source
            learn(source, vif)
        }
    }

    /// A frame behind this vif, tags off.
    @inline(never) func learnSource(_ packet: Packet, _ vif: UnsafePointer<Vif>) {
        guard Ethernet.check(packet.data, available: packet.length) else { return }
        learn(Ethernet(packet.data).source, vif)
    }

    private func learn(_ source: UInt64, _ vif: UnsafePointer<Vif>) {
        guard Worker.isLearnable(source), source != vif.pointee.mac else { return }
        if vif.pointee.flags.contains(.antispoof), !vif.pointee.allows(source) { return }
        let now = tables.learnClock.load(ordering: .relaxed)
        guard tables.bridge.sight(vrf: vif.pointee.vrf, mac: source, at: .init(vif: vif.pointee.id), now: now) != .known else { return }
        report(.init(mac: source, vrf: vif.pointee.vrf, label: Packet.noLabel, vif: vif.pointee.id, isRemote: false))
    }

    /// A frame out of a tunnel. `outer`: the outer frame's first octet.
    @inline(never) func learnFar(_ packet: Packet, outer: UnsafeMutableRawPointer, vni: UInt32) {
        let source = Ethernet(packet.data).source
        guard Worker.isLearnable(source) else { return }
        let far = Worker.outerSource(outer), now = tables.learnClock.load(ordering: .relaxed)
        guard tables.bridge.sight(vrf: packet.vrf, mac: source, at: .init(farHigh: far.high, farLow: far.low), now: now) != .known else { return }
        report(.init(mac: source, vrf: packet.vrf, label: vni, vif: 0, isRemote: true, farHigh: far.high, farLow: far.low))
    }

    private func report(_ report: LearnQueue.Report) {
        if learnQueue.report(report, milliseconds: milliseconds) { trapBell.ring() }
    }

    private static func isLearnable(_ source: UInt64) -> Bool {
        source != 0 && !Ethernet.isMulticast(source) && source != MACAddress.gateway.rawValue
    }
}
