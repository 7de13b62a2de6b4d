import NetTypes
import Synchronization

/// The compiled policies, by id, and how many vifs name one.
///
/// # Thread-safety
/// Workers `load` and `decide`; the control thread changes. A replaced policy is freed after quiescence.
final class PolicyTable: @unchecked Sendable {
    static let capacity = 65_536
    private let slots: SlotTable<CompiledPolicy>
    private let quiescence: Quiescence
    /// Vifs that name a policy; first packets are only asked about while there are any.
    let vifCount = Atomic<Int>(0)

    init(quiescence: Quiescence) {
        slots = SlotTable(capacity: Self.capacity, quiescence: quiescence)
        self.quiescence = quiescence
    }

    deinit {
        var next = slots.first(from: 0)
        while let id = next {
            slots.load(id)?.pointee.deallocate()
            next = slots.first(from: id &+ 1)
        }
    }

    @inline(__always) var isInUse: Bool { vifCount.load(ordering: .relaxed) != 0 }
    @inline(__always) func load(_ id: UInt32) -> UnsafePointer<CompiledPolicy>? { slots.load(id) }

    /// What the policies of one list say together: nil when all pass, else the origin of the first that denies. One that is not there (`Router.compilePolicies`) denies, as a
    /// security group. `vif`: whose list it is.
    @inline(__always) func denies(
        _ list: Vif.Policies, _ query: CompiledPolicy.Query, vif: UInt32, isIngress: Bool, _ findings: inout PolicyFindings
    ) -> PolicyOrigin? {
        var index = 0
        while index < Vif.policyCapacity, list[index] != 0 {
            // What cannot be asked does not let pass.
            guard let policy = slots.load(list[index]) else { return .securityGroup }
            let decision = policy.pointee.decide(query)
            if decision.logs { findings.note(policy, decision, vif: vif, isIngress: isIngress) }
            if decision.action == .deny { return policy.pointee.origin }
            if decision.action == .trap { findings.traps = true }
            if findings.mirror == 0 { findings.mirror = decision.mirror }
            index &+= 1
        }
        return nil
    }

    func publish(_ policy: CompiledPolicy) {
        let old = slots.load(policy.id)?.pointee
        _ = slots.publish(policy.id, policy)
        if let old { quiescence.retire { old.deallocate() } }
    }

    func remove(_ id: UInt32) {
        guard let old = slots.load(id)?.pointee else { return }
        _ = slots.remove(id)
        quiescence.retire { old.deallocate() }
    }

    var count: Int { slots.count }
    var memoryBytes: Int {
        var bytes = slots.memoryBytes
        var next = slots.first(from: 0)
        while let id = next {
            bytes += slots.load(id)?.pointee.memoryBytes ?? 0
            next = slots.first(from: id &+ 1)
        }
        return bytes
    }
}
