import CPlatform
public import NetTypes
import Synchronization

// Policies, address groups, and the flows that a change of them touches.
extension Router {
    /// What was programmed, what refers to what, and what of it a batch has changed so far.
    struct Policies {
        var specs: [PolicyID: PolicySpec] = [:]
        var groups: [AddressGroupID: AddressGroupSpec] = [:]
        /// The policies that name a group.
        var users: [AddressGroupID: Set<PolicyID>] = [:]
        /// The vifs that name a policy.
        var vifs: [PolicyID: Set<VifID>] = [:]
        /// To be compiled at the end of the batch.
        var stale: Set<PolicyID> = []
        /// Deleted in the batch, and still there for who has read a vif's record that names them.
        var deleted: Set<PolicyID> = []
        /// What the batch replaced, for when it cannot be compiled: the first of each.
        var oldSpecs: [PolicyID: PolicySpec?] = [:]
        var oldGroups: [AddressGroupID: AddressGroupSpec?] = [:]
        /// Vifs whose flows are to be decided again.
        var touched: Set<VifID> = []
        /// Counts compilations.
        var generation: UInt32 = 0
        var logNames = PolicyLogNames()
        /// Octets, of one compiled policy.
        var memoryLimit = PolicyCompiler.memoryLimit

        func prefixes(_ group: AddressGroupID) -> [IPPrefix] { groups[group]?.prefixes ?? [] }
    }

    // MARK: Objects

    func upsert(_ spec: PolicySpec, _ state: inout State) -> RouterOutcome {
        let what = "policy \(spec.id) (\(spec.name))"
        if state.policies.specs[spec.id] == spec { return .ok }
        guard spec.id.rawValue != 0 else { return .invalid("\(what): 0 stands for no policy; ids are 1 to \(PolicyTable.capacity - 1)") }
        guard Int(spec.id.rawValue) < PolicyTable.capacity else {
            return .tableFull("\(what): the policy table holds \(PolicyTable.capacity - 1) policies (ids 1 to \(PolicyTable.capacity - 1))")
        }
        guard spec.rules.count <= PolicySpec.ruleCapacity else {
            return .tableFull("\(what): \(spec.rules.count) rules; a policy holds \(PolicySpec.ruleCapacity)")
        }
        for (index, rule) in spec.rules.enumerated() {
            if rule.mirror != 0, rule.action != .pass {
                return .invalid("\(what): rule \(index) (\(rule.name)): only what passes is mirrored; give it action pass")
            }
            if let refusal = rule.service.refusal { return .invalid("\(what): rule \(index) (\(rule.name)): \(refusal)") }
            for group in rule.groups where state.policies.groups[group] == nil {
                return .notFound("\(what): rule \(index) (\(rule.name)): address group \(group) does not exist; create it first")
            }
        }
        // Another of the number of one that is gone: nobody is to be asked about by that.
        if state.policies.deleted.remove(spec.id) != nil { tables.policies.remove(spec.id.rawValue) }
        if state.policies.oldSpecs[spec.id] == nil { state.policies.oldSpecs[spec.id] = .some(state.policies.specs[spec.id]) }
        link(state.policies.specs[spec.id], to: nil, &state)
        link(nil, to: spec, &state)
        state.policies.specs[spec.id] = spec
        state.policies.stale.insert(spec.id)
        return .ok
    }

    private func link(_ old: PolicySpec?, to new: PolicySpec?, _ state: inout State) {
        for group in Set(old?.rules.flatMap(\.groups) ?? []) { state.policies.users[group]?.remove(old.map(\.id) ?? PolicyID(0)) }
        if let new { for group in Set(new.rules.flatMap(\.groups)) { state.policies.users[group, default: []].insert(new.id) } }
    }

    func deletePolicy(_ id: PolicyID, _ state: inout State) -> RouterOutcome {
        guard let spec = state.policies.specs[id] else { return .notFound("policy \(id): does not exist") }
        if let vif = state.policies.vifs[id]?.min() {
            return .inUse("policy \(id) (\(spec.name)): vif \(vif.rawValue) (\(state.vifs[vif]?.name ?? "")) names it; change the vif first")
        }
        link(spec, to: nil, &state)
        state.policies.specs[id] = nil
        state.policies.stale.remove(id)
        state.policies.oldSpecs[id] = nil
        state.policies.deleted.insert(id)
        state.policies.logNames.retire(id)
        return .ok
    }

    func upsert(_ spec: AddressGroupSpec, _ state: inout State) -> RouterOutcome {
        let old = state.policies.groups[spec.id]
        if old == spec { return .ok }
        if state.policies.oldGroups[spec.id] == nil { state.policies.oldGroups[spec.id] = .some(old) }
        state.policies.groups[spec.id] = spec
        if old?.prefixes != spec.prefixes { state.policies.stale.formUnion(state.policies.users[spec.id] ?? []) }
        return .ok
    }

    func deleteAddressGroup(_ id: AddressGroupID, _ state: inout State) -> RouterOutcome {
        guard let spec = state.policies.groups[id] else { return .notFound("address group \(id): does not exist") }
        if let user = state.policies.users[id]?.min() {
            return .inUse(
                "address group \(id) (\(spec.name)): policy \(user) (\(state.policies.specs[user]?.name ?? "")) names it; change the policy first")
        }
        state.policies.groups[id] = nil
        state.policies.users[id] = nil
        return .ok
    }

    // MARK: Vifs

    /// Before the vif's record is published: what it names and was never compiled is, so that the vif is neither open nor shut until the end of the batch. What cannot be compiled is
    /// dealt with there.
    func preparePolicies(_ spec: VifSpec, _ old: VifSpec?, _ state: inout State) {
        if !spec.allPolicies.isEmpty, old?.allPolicies.isEmpty ?? true { tables.policies.vifCount.wrappingAdd(1, ordering: .relaxed) }
        for id in spec.allPolicies where state.policies.stale.contains(id) && tables.policies.load(id.rawValue) == nil {
            guard let policy = state.policies.specs[id] else { continue }
            do throws(PolicyCompiler.TooLarge) {
                try compile(policy, &state)
                state.policies.stale.remove(id)
            } catch {
                // The end of the batch says so.
            }
        }
    }

    func checkPolicies(_ spec: VifSpec, _ what: String, _ state: State) -> RouterOutcome? {
        for (list, name) in [(spec.ingressPolicies, "ingress"), (spec.egressPolicies, "egress")] {
            guard list.count <= Vif.policyCapacity else {
                return .invalid("\(what): \(list.count) \(name) policies; a vif has \(Vif.policyCapacity) at most")
            }
            if let missing = list.first(where: { state.policies.specs[$0] == nil }) {
                return .notFound("\(what): policy \(missing) does not exist; create it first")
            }
        }
        guard !spec.ingressPolicies.isEmpty || !spec.egressPolicies.isEmpty else { return nil }
        guard spec.kind == .virtual || spec.kind == .vlan else { return .invalid("\(what): policies are for workloads; a \(spec.kind) vif has none") }
        guard spec.keepsFlows else { return .invalid("\(what): policies need flows; switch keepsFlows on") }
        return nil
    }

    /// After the vif's record has been published.
    func attachPolicies(_ spec: VifSpec, _ old: VifSpec?, _ state: inout State) {
        for id in Set(old?.allPolicies ?? []) { state.policies.vifs[id]?.remove(spec.id) }
        for id in Set(spec.allPolicies) { state.policies.vifs[id, default: []].insert(spec.id) }
        if spec.allPolicies.isEmpty, old?.allPolicies.isEmpty == false { tables.policies.vifCount.wrappingSubtract(1, ordering: .relaxed) }
        if old?.ingressPolicies ?? [] != spec.ingressPolicies || old?.egressPolicies ?? [] != spec.egressPolicies {
            state.policies.touched.insert(spec.id)
        }
        // From now on it is nobody's in the VRF it was in.
        if let old, old.vrf != spec.vrf { state.moves.gone.insert(spec.id) }
    }

    func detachPolicies(_ spec: VifSpec, _ state: inout State) {
        for id in Set(spec.allPolicies) { state.policies.vifs[id]?.remove(spec.id) }
        if !spec.allPolicies.isEmpty { tables.policies.vifCount.wrappingSubtract(1, ordering: .relaxed) }
        state.policies.touched.remove(spec.id)
        state.moves.gone.insert(spec.id)
    }

    // MARK: At the end of a batch

    /// Compiles what the batch changed. A policy that cannot be takes back the operations that made it so: what it was before holds. Vifs that name one which was nothing before let nothing
    /// pass (`PolicyTable.denies`), whatever else they name, until there is one.
    func compilePolicies(_ operations: [RouterOperation], _ outcomes: inout [RouterOutcome], _ state: inout State) {
        defer {
            state.policies.oldSpecs.removeAll()
            state.policies.oldGroups.removeAll()
        }
        guard !state.policies.stale.isEmpty else { return }
        let stale = state.policies.stale.sorted()
        state.policies.stale.removeAll()
        for id in stale {
            guard let spec = state.policies.specs[id] else { continue }
            do throws(PolicyCompiler.TooLarge) {
                try compile(spec, &state)
            } catch {
                var text =
                    "policy \(id) (\(spec.name)): its rules overlap in too many ways to be compiled in \(PolicyCompiler.memoryLimit >> 20) MiB; split it or use fewer distinct ranges"
                if let old = state.policies.oldSpecs[id], old == nil, let vif = state.policies.vifs[id]?.min() {
                    text += "; until then vif \(vif.rawValue) (\(state.vifs[vif]?.name ?? "")), which names it, lets nothing pass"
                }
                takeBack(spec, .tableFull(text), operations, &outcomes, &state)
            }
        }
    }

    private func compile(_ spec: PolicySpec, _ state: inout State) throws(PolicyCompiler.TooLarge) {
        let known = state.policies
        state.policies.generation &+= 1
        let compiled = try PolicyCompiler.compile(spec, generation: state.policies.generation, memoryLimit: known.memoryLimit) { known.prefixes($0) }
        state.policies.logNames.remember(spec, generation: compiled.generation)
        if compiled.mirrors { nameMirrors(&state) }
        tables.policies.publish(compiled)
        state.policies.touched.formUnion(state.policies.vifs[spec.id] ?? [])
    }

    private func takeBack(
        _ spec: PolicySpec, _ outcome: RouterOutcome, _ operations: [RouterOperation], _ outcomes: inout [RouterOutcome], _ state: inout State
    ) {
        let groups = Set(spec.rules.flatMap(\.groups))
        for (index, operation) in operations.enumerated() {
            switch operation {
            case .upsert(.policy(let given)) where given.id == spec.id: outcomes[index] = outcome
            case .upsert(.addressGroup(let given)) where groups.contains(given.id): outcomes[index] = outcome
            default: break
            }
        }
        for group in groups { if let old = state.policies.oldGroups[group] { state.policies.groups[group] = old } }
        guard let old = state.policies.oldSpecs[spec.id] else { return }
        link(spec, to: old, &state)
        state.policies.specs[spec.id] = old
        guard old == nil else { return }
        // It was new: vifs may name it all the same, and are shut. A vif may have had it compiled before a group grew.
        tables.policies.remove(spec.id.rawValue)
        state.policies.touched.formUnion(state.policies.vifs[spec.id] ?? [])
    }

    // MARK: Flows

    /// Decides the flows of the touched vifs again, after every worker has let go of what stood before: who decided by the old policies has made its entries by then.
    /// Entries for which nothing changes are not written to.
    func reevaluateFlows(_ state: inout State) {
        guard !state.policies.touched.isEmpty || !state.policies.deleted.isEmpty else { return }
        let touched = state.policies.touched
        state.policies.touched.removeAll()
        tables.quiescence.synchronize()
        for id in state.policies.deleted { tables.policies.remove(id.rawValue) }
        state.policies.deleted.removeAll()
        if touched.isEmpty { return }
        let touchedVifs = MarkedNumbers(touched.map(\.rawValue), capacity: configuration.vifCapacity)
        var stale: [(index: UInt32, generation: UInt32)] = []
        var again = FlowTable.none
        tables.readingFlows { flows in
            var next = flows.firstLive(from: 1)
            while let index = next {
                next = flows.firstLive(from: index + 1)
                let entry = flows.entry(index)
                // What has the action ask is decided by its next packet.
                guard entry.isForward, !entry.flags.contains(.programmed), entry.action != FlowTable.askAction else { continue }
                let other = flows.entry(entry.reverse), ahead = other.ingressVif
                var egress = ahead
                // Made while there were no policies: nobody asked where it goes.
                if egress == ForwardingTables.noVif, entry.reverse != index {
                    let key = entry.copy().key
                    let new = entry.flags.contains(.translates) ? other.copy().key.reversed : key
                    egress = tables.vifAhead(new, vrf: new.vrf)
                }
                guard touchedVifs.contains(entry.ingressVif) || touchedVifs.contains(egress) || index == again else { continue }
                var findings = policyLog.findings
                let key = entry.copy().key
                let reason = tables.denies(
                    entry, key, other, ingress: tables.vifs.load(entry.ingressVif), egress: entry.reverse == index ? nil : tables.vifs.load(egress),
                    &findings)
                // What a control program has decided stands while the policies leave it to one.
                if reason == .undecided, entry.flags.contains(.decided), !entry.flags.contains(.fat) { continue }
                // Nor can a fat flow's connections be asked about one by one.
                if reason == .undecided || entry.flags.contains(.fat) {
                    // It was forwarded or denied, or waits: the next packet of one that does not wait asks.
                    if entry.action != FlowTable.holdAction { stale.append((index, entry.generation)) }
                    continue
                }
                // What waits goes on waiting, unless it is denied now: then it goes, so that an answer which is on its way finds nothing to change.
                if entry.isUndecided {
                    if reason != nil { stale.append((index, entry.generation)) }
                    continue
                }
                if findings.logCount > 0, (entry.action == FlowAction.drop.rawValue) != (reason != nil) {
                    policyLog.record(findings, key, entry.query(key).destinationPort, reason, now: vr_tsc())
                }
                if entry.mirror != findings.mirror { entry.mirror = findings.mirror }
                if other.mirror != findings.mirror { other.mirror = findings.mirror }
                let forward = entry.flags.contains(.translates) ? FlowAction.nat : .forward
                for entry in [entry, other] {
                    entry.decide(reason == nil ? forward : .drop, reason)
                    if entry.flags.contains(.decided) { entry.flags.remove(.decided) }
                }
                // A worker looked its route up meanwhile and asked another vif's policies (`admitAgain`): what it wrote may be overwritten.
                if other.ingressVif != ahead, index != again { (again, next) = (index, index) }
            }
            for flow in stale { _ = remove(flow.index, flow.generation, from: flows) }
        }
    }

    // MARK: Reading

    public func policies(after: PolicyID?, limit: Int) -> [PolicySpec] { state.withLock { page($0.policies.specs, after, limit).map(\.1) } }
    public func addressGroups(after: AddressGroupID?, limit: Int) -> [AddressGroupSpec] {
        state.withLock { page($0.policies.groups, after, limit).map(\.1) }
    }
}

extension VifSpec {
    var allPolicies: [PolicyID] { ingressPolicies + egressPolicies }
}

extension PolicyRule {
    var groups: [AddressGroupID] {
        [remote, local].compactMap { if case .group(let id) = $0 { id } else { nil } }
    }
}

extension PolicyService {
    /// Why it makes no sense; nil: it does.
    var refusal: String? {
        switch self {
        case .any, .proto: nil
        case .ports(let proto, _, _):
            ProtocolName.withPorts.contains(proto)
                ? nil : "protocol \(proto) has no ports; those of TCP (6), UDP (17), DCCP (33), SCTP (132) and UDP-Lite (136) are known"
        case .icmp(let proto, let type, let code):
            if proto != 1 && proto != 58 {
                "protocol \(proto) is neither ICMP (1) nor ICMPv6 (58), which have types and codes"
            } else {
                type == nil && code != nil ? "an ICMP code needs a type" : nil
            }
        }
    }
}
