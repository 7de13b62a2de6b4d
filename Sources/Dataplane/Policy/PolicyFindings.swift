/// What the policies of a flow said beside yes and no: gathered while they are asked, by whoever asks. Trivial: nothing is allocated for it.
struct PolicyFindings {
    /// One says that a control program decides.
    var traps = false
    /// The first mirror that a deciding rule names; 0: none.
    var mirror: UInt8 = 0
    /// Decisions of rules that log; each policy of the two lists has one at most.
    private(set) var logCount: UInt8 = 0
    /// Policy, rule and generation in a word; and vif, direction and action in another.
    private(set) var rules = SIMD8<UInt64>()
    private(set) var places = SIMD8<UInt64>()

    @inline(never) mutating func note(
        _ policy: UnsafePointer<CompiledPolicy>, _ decision: CompiledPolicy.Decision, vif: UInt32, isIngress: Bool
    ) {
        let slot = Int(logCount)
        guard slot < 8 else { return }
        rules[slot] = UInt64(policy.pointee.generation) << 32 | UInt64(decision.rule & 0xFFFF) << 16 | UInt64(policy.pointee.id & 0xFFFF)
        places[slot] = UInt64(decision.action.rawValue) << 40 | (isIngress ? 1 << 32 : 0) | UInt64(vif)
        logCount &+= 1
    }
}
