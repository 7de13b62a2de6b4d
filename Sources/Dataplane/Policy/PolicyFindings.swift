/// What the policies of a flow said beside yes and no: gathered while they are asked, by whoever asks. Trivial, and small, as every first packet has one: what is to be logged lies in a
/// few words of who asks.
struct PolicyFindings {
    /// One says that a control program decides.
    var traps = false
    /// The first mirror that a deciding rule names; 0: none.
    var mirror: UInt8 = 0
    /// Decisions of rules that log; each policy of the two lists has one at most.
    private(set) var logCount: UInt8 = 0
    private let noted: UnsafeMutablePointer<Noted>

    struct Noted {
        /// Policy, rule and generation.
        var rule: UInt64
        /// Vif, direction and action.
        var place: UInt64
    }
    static let capacity = 8

    /// `noted` has room for `capacity`.
    @inline(__always) init(_ noted: UnsafeMutablePointer<Noted>) { self.noted = noted }

    @inline(never) mutating func note(
        _ policy: UnsafePointer<CompiledPolicy>, _ decision: CompiledPolicy.Decision, vif: UInt32, isIngress: Bool
    ) {
        guard logCount < Self.capacity else { return }
        noted[Int(logCount)] = Noted(
            rule: UInt64(policy.pointee.generation) << 32 | UInt64(decision.rule & 0xFFFF) << 16 | UInt64(policy.pointee.id & 0xFFFF),
            place: UInt64(decision.action.rawValue) << 40 | (isIngress ? 1 << 32 : 0) | UInt64(vif))
        logCount &+= 1
    }

    subscript(_ index: Int) -> Noted { noted[index] }
}
