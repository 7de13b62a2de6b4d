import NetTypes
import Synchronization

/// Fat flows: many connections that are one flow, because a rule of a workload says that ports, or one address, do not matter. A name server with a million clients then has as many
/// entries as it is asked from addresses, or one.
///
/// A rule belongs to the addresses of its workload, in its VRF, wherever the other end is: packets from it and to it are masked alike, so that both directions, and both ends'
/// vifs, meet in one pair of entries. Where both ends have rules, both mask. A connection from a workload of another VRF on this node is a flow of its own, and the answers to it
/// are one of the rule's: the VRF where it begins does not know the rule.
///
/// What the first packet's policies say holds for all of a fat flow. It is never translated, its TCP state is not tracked, and one that ignores an address remembers no route.
///
/// # Thread-safety
/// `load` and the reader: any online worker. `publish`: the control thread; the old table is freed after quiescence.
final class FatFlows: @unchecked Sendable {
    private let current = Atomic<UnsafeMutablePointer<FatFlowReader>?>(nil)
    private let quiescence: Quiescence

    init(quiescence: Quiescence) { self.quiescence = quiescence }
    deinit { if let last = current.load(ordering: .relaxed) { Self.free(last) } }

    /// Nil: no workload has such rules.
    @inline(__always) func load() -> UnsafePointer<FatFlowReader>? { UnsafePointer(current.load(ordering: .acquiring)) }

    func publish(_ owners: [(vrf: UInt32, address: IPAddress, rules: [FatFlowRule])]) {
        var new: UnsafeMutablePointer<FatFlowReader>?
        if !owners.isEmpty {
            new = .allocate(capacity: 1)
            new?.initialize(to: FatFlowReader(owners))
        }
        if let old = current.exchange(new, ordering: .acquiringAndReleasing) {
            nonisolated(unsafe) let retired = old
            quiescence.retire { Self.free(retired) }
        }
    }

    private static func free(_ reader: UnsafeMutablePointer<FatFlowReader>) {
        reader.pointee.deallocate()
        reader.deinitialize(count: 1)
        reader.deallocate()
    }
}

/// What of a workload's connections does not tell flows apart.
public struct FatFlowRule: Hashable, Sendable {
    public enum Address: UInt8, Hashable, Sendable, CaseIterable {
        case none
        /// The far end's.
        case remote
        /// The workload's own.
        case local
    }
    /// IP protocol number.
    public var proto: UInt8
    /// A port of either end: the other end's is ignored. 0: both are, whatever they are.
    public var port: UInt16
    public var ignoredAddress: Address
    public init(proto: UInt8, port: UInt16 = 0, ignoredAddress: Address = .none) {
        self.proto = proto
        self.port = port
        self.ignoredAddress = ignoredAddress
    }
    public static let capacity = 16
}

/// The workloads that have rules, by VRF and address: an open hash table, and their rules side by side.
struct FatFlowReader {
    private struct Owner {
        var vrf: UInt32
        var family: UInt32
        var high: UInt64
        var low: UInt64
        var first: UInt32
        var count: UInt32
    }
    private let slots: UnsafeMutablePointer<Owner>
    private let rules: UnsafeMutablePointer<FatFlowRule>
    private let mask: Int
    private let seed = randomSeed()

    init(_ owners: [(vrf: UInt32, address: IPAddress, rules: [FatFlowRule])]) {
        var size = 16
        while size < owners.count * 2 { size *= 2 }
        mask = size - 1
        slots = .allocate(capacity: size)
        slots.initialize(repeating: Owner(vrf: 0, family: 0, high: 0, low: 0, first: 0, count: 0), count: size)
        rules = .allocate(capacity: max(1, owners.reduce(0) { $0 + $1.rules.count }))
        var next = 0
        for owner in owners {
            let (family, high, low): (UInt32, UInt64, UInt64) =
                switch owner.address {
                case .v4(let address): (4, 0, UInt64(address.rawValue))
                case .v6(let address): (6, address.high, address.low)
                }
            var slot = position(owner.vrf, family, high, low)
            while slots[slot].count != 0 { slot = (slot + 1) & mask }
            slots[slot] = Owner(vrf: owner.vrf, family: family, high: high, low: low, first: UInt32(next), count: UInt32(owner.rules.count))
            for rule in owner.rules {
                (rules + next).initialize(to: rule)
                next += 1
            }
        }
    }

    func deallocate() {
        slots.deallocate()
        rules.deallocate()
    }

    private func position(_ vrf: UInt32, _ family: UInt32, _ high: UInt64, _ low: UInt64) -> Int {
        Int(truncatingIfNeeded: foldedMultiply(low ^ seed ^ UInt64(family), high ^ UInt64(vrf) &+ 0x9E37_79B9_7F4A_7C15 | 1)) & mask
    }

    private func rule(_ vrf: UInt32, _ family: UInt8, _ high: UInt64, _ low: UInt64, _ proto: UInt8, _ ports: (UInt16, UInt16)) -> FatFlowRule? {
        var slot = position(vrf, UInt32(family), high, low)
        while slots[slot].count != 0 {
            let owner = slots + slot
            if owner.pointee.vrf == vrf, owner.pointee.family == UInt32(family), owner.pointee.high == high, owner.pointee.low == low {
                for index in Int(owner.pointee.first)..<Int(owner.pointee.first &+ owner.pointee.count) {
                    let rule = rules[index]
                    if rule.proto == proto, rule.port == 0 || rule.port == ports.0 || rule.port == ports.1 { return rule }
                }
                return nil
            }
            slot = (slot &+ 1) & mask
        }
        return nil
    }

    /// Zeroes what does not matter. False: all of it does.
    @inline(never) func mask(_ key: UnsafeMutablePointer<FlowKey>) -> Bool {
        let old = key.pointee, isIPv4 = old.family == 4
        let ports = (old.sourcePort, old.destinationPort)
        let source = isIPv4 ? (0, old.a0 &>> 32) : (old.a0, old.a1), destination = isIPv4 ? (0, old.a0 & 0xFFFF_FFFF) : (old.a2, old.a3)
        let ofSource = rule(old.vrf, old.family, source.0, source.1, old.proto, ports)
        let ofDestination = rule(old.vrf, old.family, destination.0, destination.1, old.proto, ports)
        if let ofSource { apply(ofSource, key, isSource: true, ports) }
        if let ofDestination { apply(ofDestination, key, isSource: false, ports) }
        return key.pointee != old
    }

    /// `isSource`: the workload whose rule it is sends the packet.
    private func apply(_ rule: FatFlowRule, _ key: UnsafeMutablePointer<FlowKey>, isSource: Bool, _ ports: (UInt16, UInt16)) {
        let own = isSource ? ports.0 : ports.1
        // A server's port stays and its clients' do not matter; of a client its own does not.
        let forgetsRemote = rule.port == 0 || own == rule.port, forgetsOwn = rule.port == 0 || own != rule.port
        if forgetsOwn { if isSource { key.pointee.sourcePort = 0 } else { key.pointee.destinationPort = 0 } }
        if forgetsRemote { if isSource { key.pointee.destinationPort = 0 } else { key.pointee.sourcePort = 0 } }
        switch rule.ignoredAddress {
        case .none: break
        case .remote: forgetAddress(key, isSource: !isSource)
        case .local: forgetAddress(key, isSource: isSource)
        }
    }

    private func forgetAddress(_ key: UnsafeMutablePointer<FlowKey>, isSource: Bool) {
        if key.pointee.family == 4 {
            key.pointee.a0 &= isSource ? 0xFFFF_FFFF : 0xFFFF_FFFF_0000_0000
        } else if isSource {
            (key.pointee.a0, key.pointee.a1) = (0, 0)
        } else {
            (key.pointee.a2, key.pointee.a3) = (0, 0)
        }
    }
}

extension Worker {
    /// After a burst's keys are made, where there are rules: those that are masked are hashed again.
    @inline(never) func maskKeys(_ fat: UnsafePointer<FatFlowReader>, _ count: Int) {
        let flows = tables.flows.reader
        for slot in 0..<count where fat.pointee.mask(keys + slot) { lookup.hashes[slot] = flows.begin(keys + slot) }
    }

    /// What a first packet's flow is like, whose key may be masked: `real` becomes the packet's own.
    @inline(never) func fatness(_ packet: UnsafeMutablePointer<Packet>, _ key: UnsafePointer<FlowKey>, _ real: UnsafeMutablePointer<FlowKey>)
        -> FlowEntry.Flags
    {
        // An error about a flow that a packet before it in the burst has made is a flow of its own by now.
        guard tables.fat.load() != nil, flowKey(packet, real, follows: false) else { return [] }
        let masked = key.pointee, whole = real.pointee
        if masked == whole { return [] }
        let isWide = masked.a0 != whole.a0 || masked.a1 != whole.a1 || masked.a2 != whole.a2 || masked.a3 != whole.a3
        return isWide ? [.fat, .wide] : .fat
    }
}

extension Router {
    /// Gives the workers the rules of all vifs, where a vif's may have changed.
    func publishFatFlows(_ state: State) {
        var owners: [(vrf: UInt32, address: IPAddress, rules: [FatFlowRule])] = []
        var seen: Set<[UInt8]> = []
        for spec in state.vifs.values.sorted(by: { $0.id < $1.id }) where !spec.fatFlows.isEmpty {
            // Of two workloads with one address the first one's rules hold.
            for address in spec.workloadAddresses where seen.insert(spec.vrf.rawValue.bigEndianOctets + address.bytes).inserted {
                owners.append((spec.vrf.rawValue, address, spec.fatFlows))
            }
        }
        tables.fat.publish(owners)
    }

    func checkFatFlows(_ spec: VifSpec, _ what: String) -> RouterOutcome? {
        guard !spec.fatFlows.isEmpty else { return nil }
        guard spec.fatFlows.count <= FatFlowRule.capacity else {
            return .invalid("\(what): \(spec.fatFlows.count) fat flow rules; a vif has \(FatFlowRule.capacity) at most")
        }
        guard spec.keepsFlows, !spec.workloadAddresses.isEmpty else {
            return .invalid("\(what): fat flow rules go by the workload's addresses, and need flows: give workload addresses, switch keepsFlows on")
        }
        for (index, rule) in spec.fatFlows.enumerated() {
            if rule.port != 0, !FlowAgeingTimes.withPorts.contains(rule.proto) {
                return .invalid(
                    "\(what): fat flow rule \(index): protocol \(rule.proto) has no ports; those of \(FlowAgeingTimes.withPorts) are known")
            }
        }
        return nil
    }
}

extension UInt32 {
    fileprivate var bigEndianOctets: [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: self >> (24 - 8 * UInt32($0))) } }
}
