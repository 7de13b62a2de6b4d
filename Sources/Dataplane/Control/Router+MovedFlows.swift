import CPlatform
import NetTypes

// Flows whose ends have moved: an address that another workload has now, a vif that is gone. Which policies they are asked about, and whether they are translated, follows from the tables;
// what the tables say of one flow its next packet finds out (`DecideAgain`), and what changes for it costs no other flow a packet.
//
// Packets that are routed look their route up again after every change and see for themselves; this is for those that are not, which come with a workload's label or are bridged, and for flows
// of a vif that is gone, whose id another may have next.
extension Router {
    /// What a batch has moved.
    struct Moves {
        var gone: Set<VifID> = []
        /// VRFs in which something leads to a workload that did not before.
        var vrfs: Set<UInt32> = []
        /// A next hop that there was leads to a workload: any VRF.
        var isEverywhere = false
        var isEmpty: Bool { gone.isEmpty && vrfs.isEmpty && !isEverywhere }
    }

    /// After the operations of a batch.
    func noteMoves(_ operations: [RouterOperation], _ outcomes: [RouterOutcome], _ state: inout State) {
        let asks = tables.policies.isInUse, nat = tables.nat.load()
        guard asks || nat != nil else { return }
        for (operation, outcome) in zip(operations, outcomes) where outcome == .ok {
            switch operation {
            case .upsert(.route(let spec)):
                if asks, leadsToWorkload(spec.nextHop.rawValue) { state.moves.vrfs.insert(spec.vrf.rawValue) }
                if let nat, nat.pointee.translatesSources(spec.vrf.rawValue) { state.nat.touched.insert(spec.vrf) }
            case .delete(.route(let vrf, _)): if let nat, nat.pointee.translatesSources(vrf.rawValue) { state.nat.touched.insert(vrf) }
            case .upsert(.bridgeEntry(let spec)): if asks, leadsToWorkload(spec.nextHop.rawValue) { state.moves.vrfs.insert(spec.vrf.rawValue) }
            case .upsert(.label(let spec)):
                guard asks, leadsToWorkload(spec.nextHop.rawValue) else { break }
                if let record = tables.nextHops.load(spec.nextHop.rawValue), record.pointee.kind == .encap,
                    let vif = tables.vifs.load(record.pointee.vif)
                {
                    state.moves.vrfs.insert(vif.pointee.vrf)
                } else {
                    state.moves.isEverywhere = true
                }
            default: break
            }
        }
    }

    private func leadsToWorkload(_ nextHop: UInt32) -> Bool {
        guard let record = tables.nextHops.load(nextHop) else { return false }
        switch record.pointee.kind {
        case .encap: return true
        case .indirect: return leadsToWorkload(record.pointee.target)
        case .ecmp: return leadsToWorkload(record.pointee.members?.pointee.nextHop ?? 0)
        case .discard, .receive, .tunnel, .tunnelIPv6, .resolve, .multicast, .vrf: return false
        }
    }

    /// A next hop is replaced.
    func noteMove(of old: NextHopSpec?, to new: NextHopSpec, _ state: inout State) {
        guard let old, old.kind != new.kind, leadsToWorkload(new.id.rawValue) else { return }
        state.moves.isEverywhere = true
    }

    /// Lets the next packet of each flow that the batch has moved ask the policies again; after every worker has let go of what stood before.
    func markMovedFlows(_ state: inout State) {
        guard !state.moves.isEmpty else { return }
        let moves = state.moves
        state.moves = Moves()
        tables.quiescence.synchronize()
        let goneVifs = MarkedNumbers(moves.gone.map(\.rawValue), capacity: configuration.vifCapacity)
        let movedVRFs = MarkedNumbers(moves.vrfs, capacity: tables.vrfCapacity)
        let looks = moves.isEverywhere || !moves.vrfs.isEmpty
        /// Another workload than the one by whose vif its packets come.
        func hasMoved(_ destination: FlowKey, _ vrf: UInt32, from vif: UInt32) -> Bool {
            guard moves.isEverywhere || movedVRFs.contains(vrf) else { return false }
            let now = tables.vifAhead(destination, vrf: vrf)
            return now != ForwardingTables.noVif && now != vif
        }
        var unclear: [(index: UInt32, generation: UInt32)] = []
        tables.readingFlows { flows in
            var next = flows.firstLive(from: 1)
            while let index = next {
                next = flows.firstLive(from: index + 1)
                let entry = flows.entry(index)
                guard entry.isForward, !entry.flags.contains(.programmed), !entry.isUndecided, entry.reverse != index else { continue }
                let other = flows.entry(entry.reverse), sender = entry.ingressVif, receiver = other.ingressVif
                if !goneVifs.contains(sender), !goneVifs.contains(receiver) {
                    guard looks else { continue }
                    let key = entry.copy().key, translates = entry.flags.contains(.translates)
                    let ahead = translates ? other.copy().key.reversed : key
                    guard
                        hasMoved(ahead, ahead.vrf, from: receiver)
                            || hasMoved(key.reversed, translates ? other.translation.vrf : key.vrf, from: sender)
                    else { continue }
                }
                // A fat flow's connections cannot be asked about one by one: its next packet makes it anew. What is denied asks by itself.
                if entry.flags.contains(.fat) {
                    unclear.append((index, entry.generation))
                    continue
                }
                for entry in [entry, other] where !entry.exchangeAction(FlowAction.forward.rawValue, FlowTable.askAction) {
                    _ = entry.exchangeAction(FlowAction.nat.rawValue, FlowTable.askAction)
                }
            }
            for flow in unclear { _ = remove(flow.index, flow.generation, from: flows) }
        }
    }
}
