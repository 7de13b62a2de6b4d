import Synchronization

/// One direction of a flow: 112 octets, so that with its share of the buckets (16, `FlowTable`) a direction takes 128. The first 64 are the key and what forwarding needs; they change
/// only when the flow is resolved again. Of the rest what every packet writes comes first. An entry touches two cache lines, every second one three: at a million flows that costs
/// nothing that could be measured, as a burst's are fetched together (bench/RESULTS.md).
///
/// # Thread-safety
/// The key and the reverse index are written before the entry is published and stand until it is recycled, a grace period after its removal. Everything else is
/// shared and read and written through the accessors of `UnsafeMutablePointer<FlowEntry>` below: relaxed atomics, which cost what plain accesses cost.
/// Packets of one direction of a flow usually come to one worker. Should two workers hit one entry at a time, a count may be lost; the cached route (`remember`) and the TCP
/// state (`insert(_:)`) stay right.
struct FlowEntry {
    var sourcePort: UInt16
    var destinationPort: UInt16
    var vrf: UInt32
    var a0: UInt64
    var a1: UInt64
    var a2: UInt64
    var a3: UInt64
    var proto: UInt8
    var family: UInt8
    /// `FlowAction.rawValue`.
    var action: UInt8
    var flags: Flags
    /// A vif, or all ones; see `owner`.
    fileprivate var ownerVif: UInt16
    /// Its packets are copied to this mirror; 0: none.
    var mirror: UInt8
    /// QoS map; 0: the vif's.
    var qosMap: UInt8
    /// The cached route, and what says whether it is good; see `UnsafeMutablePointer.route(generation:)`.
    var nextHop: UInt32
    var label: UInt32
    var tableGeneration: UInt32
    fileprivate var ingress: UInt16
    /// With action `nat`: the VRF that the translated packet is routed in.
    fileprivate var translatedVRF: UInt16

    var packets: UInt64
    var bytes: UInt64
    /// Milliseconds, wrapping.
    var lastSeen: UInt32
    /// `reverse`, and above it `FlowTable.Life`; changed atomically.
    fileprivate var reverseAndLife: UInt32
    /// Sequence number after the last octet this direction has sent.
    var tcpSequenceEnd: UInt32
    /// Last acknowledgement number this direction has sent.
    var tcpAcknowledged: UInt32
    /// What this direction has done; see `FlowTCP`.
    var tcpState: FlowTCP.State
    /// `FlowDropReason.rawValue`, with action `drop`; above it `refused`.
    var dropReason: UInt8
    /// What this direction announced in its SYN (RFC 9293 section 3.7.1): the other direction sends no larger segments. 0: not seen.
    var maximumSegmentSize: UInt16
    /// One number for both entries of a flow, and of all flows of a long time (`FlowEntryPool.nextGeneration`): what is said of a flow with its key and this number is never meant of
    /// another that has the key, or the entry, now.
    var generation: UInt32
    var cookie: UInt64

    /// The entry of the other direction; its own index when both directions have one key.
    var reverse: UInt32 { reverseAndLife & Self.indexMask }
    /// Where its packets come in; `ForwardingTables.noVif`: not known yet.
    var ingressVif: UInt32 { Self.vif(ingress) }
    /// The vif that the flow counts for (`FlowQuotas`); `ForwardingTables.noVif`: none.
    var owner: UInt32 { Self.vif(ownerVif) }

    /// Beside the reason: policies have denied the flow since its first packet, and none of it has passed.
    static let refused: UInt8 = 1 << 7

    /// What packets touch is in front of this.
    static let busySize = 99
    /// Entries have indices below 2^30.
    static let indexMask: UInt32 = 0x3FFF_FFFF
    /// Vifs have ids below 65,535.
    @inline(__always) fileprivate static func vif(_ number: UInt16) -> UInt32 { number == .max ? ForwardingTables.noVif : UInt32(number) }

    struct Flags: OptionSet, Sendable {
        let rawValue: UInt8
        init(rawValue: UInt8) { self.rawValue = rawValue }
        /// The direction of the packet that made the flow.
        static let forward = Flags(rawValue: 1 << 0)
        /// A control program made it what it is: policies have no say.
        static let programmed = Flags(rawValue: 1 << 1)
        /// What its packets become is part of its keys, also while its action is drop.
        static let translates = Flags(rawValue: 1 << 2)
        /// It was removed although it was not due, or because its connection was over; seen while the entry has not been used again.
        static let evicted = Flags(rawValue: 1 << 3)
        /// Its key is masked (`FatFlows`): it stands for many connections.
        static let fat = Flags(rawValue: 1 << 4)
        /// Of its key an address is masked, so it remembers no route.
        static let wide = Flags(rawValue: 1 << 5)
        /// An ICMP echo reply made it: policies are asked about that, and not about a request.
        static let answer = Flags(rawValue: 1 << 6)
        /// It was held, and a control program has decided it: as long as the policies leave that to one.
        static let decided = Flags(rawValue: 1 << 7)
    }

    /// Of IPv4 the second to fourth word are not the key's: a translation is kept there; see `FlowRewrite`.
    var key: FlowKey {
        let isIPv4 = family == 4
        return FlowKey(
            vrf: vrf, proto: proto, family: family, a0: a0, a1: isIPv4 ? 0 : a1, a2: isIPv4 ? 0 : a2, a3: isIPv4 ? 0 : a3, sourcePort: sourcePort,
            destinationPort: destinationPort)
    }
}

/// The fields that several threads use.
extension UnsafeMutablePointer where Pointee == FlowEntry {
    private enum Offset {
        static let action = 42, flags = 43, owner = 44, mirror = 46, qosMap = 47, route = 48, tableGeneration = 56, ingressVif = 60
        static let translatedVRF = 62, packets = 64, bytes = 72, lastSeen = 80, reverse = 84, tcpSequenceEnd = 88, tcpAcknowledged = 92
        static let tcpState = 96, dropReason = 97, maximumSegmentSize = 98, generation = 100, cookie = 104
        /// Of IPv4: what follows the addresses.
        static let addresses = 16, portsAndSums = 24
    }

    @inline(__always) private var memory: UnsafeMutableRawPointer { UnsafeMutableRawPointer(self) }
    @inline(__always) private func octet(_ offset: Int) -> UnsafeMutablePointer<Atomic<UInt8>> {
        (memory + offset).assumingMemoryBound(to: Atomic<UInt8>.self)
    }
    @inline(__always) private func half(_ offset: Int) -> UnsafeMutablePointer<Atomic<UInt16>> {
        (memory + offset).assumingMemoryBound(to: Atomic<UInt16>.self)
    }

    @inline(__always) var action: UInt8 {
        get { octet(Offset.action).pointee.load(ordering: .relaxed) }
        nonmutating set { octet(Offset.action).pointee.store(newValue, ordering: .relaxed) }
    }
    @inline(__always) var isForward: Bool { octet(Offset.flags).pointee.load(ordering: .relaxed) & FlowEntry.Flags.forward.rawValue != 0 }
    var flags: FlowEntry.Flags {
        get { FlowEntry.Flags(rawValue: octet(Offset.flags).pointee.load(ordering: .relaxed)) }
        nonmutating set { octet(Offset.flags).pointee.store(newValue.rawValue, ordering: .relaxed) }
    }
    var isRefused: Bool { octet(Offset.dropReason).pointee.load(ordering: .relaxed) & FlowEntry.refused != 0 }
    /// Of the reason alone; set, it takes `refused` away unless it has it.
    var dropReason: UInt8 {
        get { octet(Offset.dropReason).pointee.load(ordering: .relaxed) & ~FlowEntry.refused }
        nonmutating set { octet(Offset.dropReason).pointee.store(newValue, ordering: .relaxed) }
    }
    @inline(__always) var generation: UInt32 { memory.load32(Offset.generation) }
    @inline(__always) var owner: UInt32 { FlowEntry.vif(half(Offset.owner).pointee.load(ordering: .relaxed)) }
    @inline(__always) var mirror: UInt8 {
        get { octet(Offset.mirror).pointee.load(ordering: .relaxed) }
        nonmutating set { octet(Offset.mirror).pointee.store(newValue, ordering: .relaxed) }
    }
    var qosMap: UInt8 {
        get { octet(Offset.qosMap).pointee.load(ordering: .relaxed) }
        nonmutating set { octet(Offset.qosMap).pointee.store(newValue, ordering: .relaxed) }
    }
    @inline(__always) var ingressVif: UInt32 {
        get { FlowEntry.vif(half(Offset.ingressVif).pointee.load(ordering: .relaxed)) }
        nonmutating set { half(Offset.ingressVif).pointee.store(UInt16(truncatingIfNeeded: newValue), ordering: .relaxed) }
    }
    @inline(__always) var lastSeen: UInt32 {
        get { memory.load32(Offset.lastSeen) }
        nonmutating set { memory.store32(Offset.lastSeen, newValue) }
    }
    /// In a free entry: the next one of its list. Only of free entries it is set.
    @inline(__always) var reverse: UInt32 {
        get { memory.load32(Offset.reverse) & FlowEntry.indexMask }
        nonmutating set { memory.store32(Offset.reverse, newValue) }
    }

    /// Of an entry that is free no reader may rely on more than this.
    @inline(__always) var life: FlowTable.Life { FlowTable.Life(rawValue: memory.acquire32(Offset.reverse) &>> 30) ?? .free }

    /// By who alone may change it. Releasing: who sees it sees what was written before.
    @inline(__always) func become(_ life: FlowTable.Life) {
        memory.release32(Offset.reverse, memory.load32(Offset.reverse) & FlowEntry.indexMask | life.rawValue &<< 30)
    }

    /// From live to dying. False: another was first, or it is not live.
    func beginToDie() -> Bool {
        let reverse = self.reverse
        return memory.atomic32(Offset.reverse).pointee.compareExchange(
            expected: reverse | FlowTable.Life.live.rawValue &<< 30, desired: reverse | FlowTable.Life.dying.rawValue &<< 30,
            ordering: .acquiringAndReleasing
        ).exchanged
    }
    @inline(__always) var tcpSequenceEnd: UInt32 {
        get { memory.load32(Offset.tcpSequenceEnd) }
        nonmutating set { memory.store32(Offset.tcpSequenceEnd, newValue) }
    }
    @inline(__always) var tcpAcknowledged: UInt32 {
        get { memory.load32(Offset.tcpAcknowledged) }
        nonmutating set { memory.store32(Offset.tcpAcknowledged, newValue) }
    }
    @inline(__always) var tcpState: FlowTCP.State {
        get { FlowTCP.State(rawValue: octet(Offset.tcpState).pointee.load(ordering: .relaxed)) }
        nonmutating set { octet(Offset.tcpState).pointee.store(newValue.rawValue, ordering: .relaxed) }
    }
    /// Both directions' packets add to a state, on two workers perhaps: neither loses what the other adds.
    func insert(_ state: FlowTCP.State) { octet(Offset.tcpState).pointee.bitwiseOr(state.rawValue, ordering: .relaxed) }
    @inline(__always) var maximumSegmentSize: UInt16 {
        get { half(Offset.maximumSegmentSize).pointee.load(ordering: .relaxed) }
        nonmutating set { half(Offset.maximumSegmentSize).pointee.store(newValue, ordering: .relaxed) }
    }
    @inline(__always) var cookie: UInt64 {
        get { memory.load64(Offset.cookie) }
        nonmutating set { memory.store64(Offset.cookie, newValue) }
    }

    /// Of a flow whose action is `nat`. Of IPv6 only the VRF is here: the rest is the reverse entry's key.
    var translation: FlowRewrite {
        @inline(__always) get {
            let rest = memory.load64(Offset.portsAndSums)
            return FlowRewrite(
                addresses: memory.load64(Offset.addresses), ports: UInt32(truncatingIfNeeded: rest &>> 32),
                networkSum: UInt16(truncatingIfNeeded: rest &>> 16), transportSum: UInt16(truncatingIfNeeded: rest),
                vrf: UInt32(half(Offset.translatedVRF).pointee.load(ordering: .relaxed)))
        }
        nonmutating set {
            half(Offset.translatedVRF).pointee.store(UInt16(truncatingIfNeeded: newValue.vrf), ordering: .relaxed)
            guard octet(41).pointee.load(ordering: .relaxed) == 4 else { return }
            memory.store64(Offset.addresses, newValue.addresses)
            memory.store64(
                Offset.portsAndSums, UInt64(newValue.ports) &<< 32 | UInt64(newValue.networkSum) &<< 16 | UInt64(newValue.transportSum))
        }
    }

    @inline(__always) var packets: UInt64 { memory.load64(Offset.packets) }

    /// Counts a packet. `now` in milliseconds.
    @inline(__always) func count(bytes: Int, now: UInt32) {
        memory.store64(Offset.packets, memory.load64(Offset.packets) &+ 1)
        memory.store64(Offset.bytes, memory.load64(Offset.bytes) &+ UInt64(truncatingIfNeeded: bytes))
        lastSeen = now
    }

    /// Takes a count back. `bytes`: of one packet.
    func retract(bytes: Int) {
        memory.store64(Offset.packets, memory.load64(Offset.packets) &- 1)
        memory.store64(Offset.bytes, memory.load64(Offset.bytes) &- UInt64(truncatingIfNeeded: bytes))
    }

    /// False: the action was another.
    func exchangeAction(_ old: UInt8, _ new: UInt8) -> Bool {
        octet(Offset.action).pointee.compareExchange(expected: old, desired: new, ordering: .acquiringAndReleasing).exchanged
    }

    // The cached route is one word, next hop and label, and beside it the generation for which it holds, mixed with that word. Two workers that cache different routes at
    // once leave either one of them or a pair that does not match, never one's route with the other's generation.

    @inline(__always) private static func seal(_ route: UInt64, _ generation: UInt32) -> UInt32 {
        generation ^ UInt32(truncatingIfNeeded: (route &* 0x9E37_79B9_7F4A_7C15) &>> 32)
    }

    /// The route that was remembered under this table generation.
    @inline(__always) func route(generation: UInt32) -> (nextHop: UInt32, label: UInt32)? {
        let route = memory.load64(Offset.route)
        guard memory.load32(Offset.tableGeneration) == Self.seal(route, generation) else { return nil }
        return (UInt32(truncatingIfNeeded: route), UInt32(truncatingIfNeeded: route &>> 32))
    }

    /// Remembers a route for as long as the table generation stands; generation 0: only for display.
    @inline(__always) func remember(nextHop: UInt32, label: UInt32, generation: UInt32) {
        let route = UInt64(nextHop) | UInt64(label) &<< 32, seal = Self.seal(route, generation)
        guard memory.load64(Offset.route) != route || memory.load32(Offset.tableGeneration) != seal else { return }
        memory.store64(Offset.route, route)
        memory.store32(Offset.tableGeneration, seal)
    }

    /// The number of `remember(nextHop:label:generation:)`.
    var rememberedGeneration: UInt32 {
        get { Self.seal(memory.load64(Offset.route), memory.load32(Offset.tableGeneration)) }
        nonmutating set { memory.store32(Offset.tableGeneration, Self.seal(memory.load64(Offset.route), newValue)) }
    }

    /// Word by word; of slightly different moments.
    func copy() -> FlowEntry {
        withUnsafeTemporaryAllocation(of: FlowEntry.self, capacity: 1) { copy in
            let target = UnsafeMutableRawPointer(copy.baseAddress.unsafelyUnwrapped)
            for offset in stride(from: 0, to: MemoryLayout<FlowEntry>.size, by: 8) {
                target.storeBytes(of: memory.load64(offset), toByteOffset: offset, as: UInt64.self)
            }
            return copy[0]
        }
    }

    /// Gives the entry its key and what it begins with; all else is zero. Word by word, as others may look at its `life`, which stays free.
    @inline(__always) func begin(
        _ key: UnsafePointer<FlowKey>, action: UInt8, flags: FlowEntry.Flags, generation: UInt32, mirror: UInt8, owner: UInt32,
        ingressVif: UInt32, now: UInt32, reverse: UInt32, cookie: UInt64
    ) {
        memory.store64(0, key.pointee.ports)
        memory.store64(8, key.pointee.a0)
        memory.store64(16, key.pointee.a1)
        memory.store64(24, key.pointee.a2)
        memory.store64(32, key.pointee.a3)
        let first = UInt64(key.pointee.kind) | UInt64(action) &<< 16 | UInt64(flags.rawValue) &<< 24
        memory.store64(40, first | UInt64(UInt16(truncatingIfNeeded: owner)) &<< 32 | UInt64(mirror) &<< 48)
        memory.store64(Offset.route, 0)
        memory.store64(Offset.tableGeneration, UInt64(UInt16(truncatingIfNeeded: ingressVif)) &<< 32)
        memory.store64(Offset.packets, 0)
        memory.store64(Offset.bytes, 0)
        memory.store64(Offset.lastSeen, UInt64(now) | UInt64(reverse) &<< 32)
        memory.store64(Offset.tcpSequenceEnd, 0)
        memory.store64(Offset.tcpState, UInt64(generation) &<< 32)
        memory.store64(Offset.cookie, cookie)
    }
}
