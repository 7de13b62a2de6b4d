import CPlatform
import NetTypes
import Synchronization

/// Mirrors of flows: every packet of a flow that names a mirror, in both directions, is copied there when it comes in, as far as it is not dropped for its flow. A translated packet is
/// copied translated.
///
/// An immutable table that the control thread replaces as a whole, by the number of the mirror. Workers see nil while no flow names a mirror: that is all that a burst asks.
final class FlowMirrors: @unchecked Sendable {
    static let capacity = 256
    /// Both nil: there is no such mirror.
    let slots: UnsafeMutablePointer<ObservationSet.Entry>
    private let owners: [AnyObject]

    init(_ mirrors: [(id: UInt32, mirror: Mirror?, session: CaptureSession?)]) {
        slots = .allocate(capacity: Self.capacity)
        slots.initialize(repeating: ObservationSet.Entry(vif: 0, directions: 0, capture: nil, mirror: nil), count: Self.capacity)
        var owners: [AnyObject] = []
        for each in mirrors where each.id > 0 && Int(each.id) < Self.capacity {
            slots[Int(each.id)].mirror = each.mirror.map { .passUnretained($0) }
            slots[Int(each.id)].capture = each.session.map { .passUnretained($0) }
            if let mirror = each.mirror { owners.append(mirror) }
            if let session = each.session { owners.append(session) }
        }
        self.owners = owners
    }

    deinit { slots.deallocate() }
}

extension Worker {
    /// After the flow lookup of a burst.
    @inline(never) func mirrorFlows(_ set: UnsafeMutableRawPointer, _ packets: UnsafeMutablePointer<Packet>, _ count: Int) {
        let slots = Unmanaged<FlowMirrors>.fromOpaque(set)._withUnsafeGuaranteedRef { $0.slots }
        for index in 0..<count {
            let packet = packets + index
            // What is settled has no flow any more.
            guard !packet.pointee.isSettled, packet.pointee.flow != Packet.noFlow else { continue }
            let named = flows.entry(packet.pointee.flow).mirror
            guard named != 0 else { continue }
            let slot = slots[Int(named)], vif = packet.pointee.ingress.pointee.id
            if let capture = slot.capture {
                capture._withUnsafeGuaranteedRef { $0.push(worker: id, packet.pointee.frame, vif: vif, direction: ObservationSet.received, now: now) }
            }
            if let mirror = slot.mirror { mirror._withUnsafeGuaranteedRef { copy(packet.pointee.frame, to: $0, vif: vif) } }
        }
    }
}

extension Router {
    /// After a change of mirrors, and when the first flow names one.
    func publishFlowMirrors(_ state: inout State) {
        guard state.observers.areNamedByFlows else { return }
        let old = state.observers.flowMirrors
        let new = FlowMirrors(state.observers.mirrors.values.map { ($0.spec.id, $0.mirror, $0.file?.session) })
        state.observers.flowMirrors = new
        tables.flowMirrors.store(Unmanaged.passUnretained(new).toOpaque(), ordering: .releasing)
        if let old { tables.quiescence.retire { withExtendedLifetime(old) {} } }
    }

    /// A flow names a mirror, or a rule that makes flows does.
    func nameMirrors(_ state: inout State) {
        guard !state.observers.areNamedByFlows else { return }
        state.observers.areNamedByFlows = true
        publishFlowMirrors(&state)
    }

    /// Of both directions of a flow that is there.
    func setMirror(_ spec: FlowSpec, _ state: inout State) {
        guard spec.mirror != 0 || state.observers.areNamedByFlows, var key = FlowKey(spec.key) else { return }
        nameMirrors(&state)
        tables.readingFlows { flows in
            let index = flows.lookup(&key, hash: flows.hash(&key))
            guard index != FlowTable.none else { return }
            let entry = flows.entry(index)
            entry.mirror = spec.mirror
            flows.entry(entry.reverse).mirror = spec.mirror
        }
    }
}
