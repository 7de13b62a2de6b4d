import CPlatform

/// What rules that log have decided: a ring of fixed slots that one thread overwrites and anybody reads, as the drop log is.
///
/// A record is written when a flow is made, and when a change decides it otherwise; a packet of a flow that is there costs nothing. Words are copied and nothing is
/// interpreted: names are given to it by the reader (`Router.policyLog`).
///
/// # Layout of a slot, in 64-bit words
/// 0 sequence · 1 TSC · 2 policy, rule, generation · 3 vif, direction, action · 4 flow drop reason, protocol, family · 5 ports, VRF · 6–9 addresses.
///
/// # Thread-safety
/// That of `RecordRing`; the writer is the worker, or the holder of the router's lock.
final class PolicyLog: RecordRing, @unchecked Sendable {
    private static let slotSize = 80
    /// `FlowDropReason.rawValue` of a flow that passes.
    static let passes: UInt8 = .max

    /// Where the writer gathers what it will record.
    private let noted = UnsafeMutablePointer<PolicyFindings.Noted>.allocate(capacity: PolicyFindings.capacity)

    /// `capacity` 0: nothing is recorded.
    init(capacity: Int) {
        noted.initialize(repeating: PolicyFindings.Noted(rule: 0, place: 0), count: PolicyFindings.capacity)
        super.init(capacity: capacity, slotSize: Self.slotSize)
    }

    deinit { noted.deallocate() }

    // MARK: The writer

    /// Empty; good until the next is asked for.
    @inline(__always) var findings: PolicyFindings { PolicyFindings(noted) }

    /// All decisions that were noted about a flow. `destinationPort`: of ICMP type << 8 | code.
    @inline(never) func record(_ findings: PolicyFindings, _ key: FlowKey, _ destinationPort: UInt16, _ reason: FlowDropReason?, now: UInt64) {
        guard capacity > 0 else { return }
        var index = 0
        while index < Int(findings.logCount) {
            write { slot in
                slot.store64(8, now)
                slot.store64(16, findings[index].rule)
                slot.store64(24, findings[index].place)
                slot.store64(32, UInt64(reason?.rawValue ?? Self.passes) << 16 | UInt64(key.proto) << 8 | UInt64(key.family))
                slot.store64(40, UInt64(key.sourcePort) << 48 | UInt64(destinationPort) << 32 | UInt64(key.vrf))
                slot.store64(48, key.a0)
                slot.store64(56, key.a1)
                slot.store64(64, key.a2)
                slot.store64(72, key.a3)
            }
            index &+= 1
        }
    }

    // MARK: Readers

    /// One decision as it was recorded.
    struct Entry {
        /// Which one, counted from 1.
        var number: UInt64
        var tsc: UInt64
        var policy: UInt32, rule: UInt32, generation: UInt32
        var vif: UInt32
        var isIngress: Bool
        /// `PolicyAction.rawValue`.
        var action: UInt8
        var reason: UInt8
        /// Its destination port is the type and code of ICMP.
        var key: FlowKey
    }

    func entries(after: UInt64) -> [Entry] { records(after: after, entry) }

    private func entry(_ number: UInt64, _ words: [UInt64]) -> Entry {
        let key = FlowKey(
            vrf: UInt32(truncatingIfNeeded: words[5]), proto: UInt8(truncatingIfNeeded: words[4] >> 8), family: UInt8(truncatingIfNeeded: words[4]),
            a0: words[6], a1: words[7], a2: words[8], a3: words[9], sourcePort: UInt16(truncatingIfNeeded: words[5] >> 48),
            destinationPort: UInt16(truncatingIfNeeded: words[5] >> 32))
        return Entry(
            number: number, tsc: words[1], policy: UInt32(words[2] & 0xFFFF), rule: UInt32(words[2] >> 16 & 0xFFFF),
            generation: UInt32(truncatingIfNeeded: words[2] >> 32), vif: UInt32(truncatingIfNeeded: words[3]), isIngress: words[3] >> 32 & 1 != 0,
            action: UInt8(truncatingIfNeeded: words[3] >> 40), reason: UInt8(truncatingIfNeeded: words[4] >> 16), key: key)
    }
}
