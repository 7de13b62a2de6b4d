import CPlatform
public import NetTypes
import Synchronization

/// What a rule that logs said about a flow, and what became of the flow.
public struct PolicyLogRecord: Hashable, Sendable {
    /// The number of workers: a change of policy decided a flow that was there.
    public var worker: Int
    /// Which of the worker's, counted from 1 since its start; a gap: they were overwritten before they were read.
    public var number: UInt64
    /// Unix time in nanoseconds.
    public var time: UInt64
    public var policy: PolicyID
    public var policyName: String
    /// Index in the policy as it was then.
    public var rule: Int
    /// Empty: nobody remembers, as the policy has changed, and policies have often since.
    public var ruleName: String
    public var action: PolicyAction
    /// Of the flow, by this rule or another; nil: it passes.
    public var dropReason: FlowDropReason?
    /// Whose policy it is.
    public var vif: VifID
    /// It was asked about a flow to the vif's workload.
    public var isIngress: Bool
    public var vrf: VRFID
    public var source: IPAddress
    public var destination: IPAddress
    public var proto: UInt8
    public var sourcePort: UInt16
    /// ICMP: type << 8 | code.
    public var destinationPort: UInt16
}

/// The names of the rules that log, as of the compilations that records may still speak of: every policy's current one, and the last that are not.
struct PolicyLogNames {
    struct Policy {
        var name: String
        var rules: [Int: String]
    }
    private(set) var policies: [UInt32: Policy] = [:]
    private var current: [PolicyID: UInt32] = [:]
    /// Those that are past.
    private var order: [UInt32] = []
    static let capacity = 256

    /// A policy without such rules is not remembered.
    mutating func remember(_ spec: PolicySpec, generation: UInt32) {
        retire(spec.id)
        var rules: [Int: String] = [:]
        for (index, rule) in spec.rules.enumerated() where rule.logs { rules[index] = rule.name }
        guard !rules.isEmpty else { return }
        policies[generation] = Policy(name: spec.name, rules: rules)
        current[spec.id] = generation
    }

    /// It is another now, or gone.
    mutating func retire(_ id: PolicyID) {
        guard let generation = current.removeValue(forKey: id) else { return }
        order.append(generation)
        if order.count > Self.capacity { policies[order.removeFirst()] = nil }
    }
}

extension Router {
    /// What rules that log decided last, oldest first. `after`: for each worker, the number of the last record seen.
    public func policyLog(after: [Int: UInt64] = [:]) -> [PolicyLogRecord] {
        let hz = vr_tsc_hz(), tsc = vr_tsc(), wall = vr_wall_ns()
        var found: [(worker: Int, entry: PolicyLog.Entry)] = []
        for worker in workers { found += worker.policyLog.entries(after: after[worker.id] ?? 0).map { (worker.id, $0) } }
        found += policyLog.entries(after: after[workers.count] ?? 0).map { (workers.count, $0) }
        guard !found.isEmpty else { return [] }
        // Only the names are looked up under the lock, those of the records and no copy of all.
        let policies = state.withLock { state in found.map { state.policies.logNames.policies[$0.entry.generation] } }
        return zip(found, policies).map { each, policy in
            let (worker, entry) = each
            let age = Double(tsc &- min(entry.tsc, tsc)) / Double(max(1, hz)) * 1e9
            return PolicyLogRecord(
                worker: worker, number: entry.number, time: wall &- UInt64(age), policy: PolicyID(entry.policy), policyName: policy?.name ?? "",
                rule: Int(entry.rule), ruleName: policy?.rules[Int(entry.rule)] ?? "", action: PolicyAction(rawValue: entry.action) ?? .deny,
                dropReason: entry.reason == PolicyLog.passes ? nil : FlowDropReason(rawValue: entry.reason) ?? .unknown, vif: VifID(entry.vif),
                isIngress: entry.isIngress, vrf: VRFID(entry.key.vrf), source: entry.key.source, destination: entry.key.reversed.source,
                proto: entry.key.proto, sourcePort: entry.key.sourcePort, destinationPort: entry.key.destinationPort)
        }.sorted { ($0.time, $0.worker, $0.number) < ($1.time, $1.worker, $1.number) }
    }
}

extension FlowKey {
    fileprivate var source: IPAddress {
        family == 4 ? .v4(IPv4Address(rawValue: UInt32(truncatingIfNeeded: a0 >> 32))) : .v6(IPv6Address(high: a0, low: a1))
    }
}
