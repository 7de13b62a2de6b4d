import DataplaneAPI
import NetTypes
import Overlay

/// What makes a next hop the same next hop while its contents change: a tunnel stays itself when its neighbour's MAC changes, so the
/// routes through it are not touched.
enum NextHopIdentity: Hashable, Sendable {
    case receive(VifID)
    /// To a workload, with an Ethernet header written (`isRouted`) or as it is.
    case encap(VifID, isRouted: Bool)
    case tunnel(IPAddress, Dataplane_V1_Encapsulation)
    case vrf(VRFID)
    /// Where a network's broadcasts go.
    case flood(VRFID)

    /// nil for kinds this agent does not make.
    init?(_ nextHop: Dataplane_V1_NextHop) {
        switch nextHop.kind {
        case .receive(let x): self = .receive(VifID(x.vif))
        case .encap(let x): self = .encap(VifID(x.vif), isRouted: !x.destinationMac.isEmpty)
        case .tunnel(let x):
            guard let destination = IPAddress(bytes: x.destination) else { return nil }
            self = .tunnel(destination, x.encapsulation)
        case .vrf(let x): self = .vrf(VRFID(x.vrf))
        case .multicast(let x): self = .flood(VRFID(x.vrf))
        case .discard, .resolve, .ecmp, .indirect, nil: return nil
        }
    }
}

/// Gives VRFs, vifs, next hops and labels their numbers, and gives the same one again for the same thing.
///
/// After a restart the numbers come from what the data plane holds (`recover`): a VRF by its name, a vif by its name, a next hop by
/// its contents, a label by the vif it leads to. A number is free again only when nothing wants it and the data plane has let go of it.
///
/// Thread-safety: a value.
struct IdentifierAllocator: Sendable {
    /// One kind of number: a name for each, the lowest free one for a new name, or the next one round the range.
    struct Pool<Name: Hashable & Sendable>: Sendable {
        private(set) var numbers: [Name: UInt32] = [:]
        private var names: [UInt32: Name] = [:]
        /// Taken by others' objects.
        private var reserved: Set<UInt32> = []
        private var wanted: Set<Name> = []
        let range: ClosedRange<UInt32>
        /// Numbers that travel in packets are not reused soon: a packet on its way would reach another workload.
        let rotates: Bool
        private var cursor: UInt32

        init(_ range: ClosedRange<UInt32>, rotates: Bool = false) {
            self.range = range
            self.rotates = rotates
            cursor = range.lowerBound
        }

        /// nil: the range is used up.
        mutating func number(for name: Name) -> UInt32? {
            if let number = numbers[name] {
                wanted.insert(name)
                return number
            }
            guard names.count + reserved.count <= Int(range.upperBound - range.lowerBound) else { return nil }
            var candidate = cursor
            for _ in 0...(names.count + reserved.count) {
                if names[candidate] == nil, !reserved.contains(candidate) {
                    numbers[name] = candidate
                    names[candidate] = name
                    wanted.insert(name)
                    cursor = candidate == range.upperBound ? range.lowerBound : candidate + 1
                    return candidate
                }
                candidate = candidate == range.upperBound ? range.lowerBound : candidate + 1
            }
            return nil
        }

        /// The first claim to a name and to a number stands.
        mutating func recover(_ number: UInt32, for name: Name) {
            guard range.contains(number), numbers[name] == nil, names[number] == nil else { return }
            numbers[name] = number
            names[number] = name
            if rotates, number >= cursor { cursor = number == range.upperBound ? range.lowerBound : number + 1 }
        }

        mutating func reserve(_ number: UInt32) { if range.contains(number), names[number] == nil { reserved.insert(number) } }
        mutating func forgetReserved() { reserved = [] }

        mutating func beginRound() { wanted = [] }
        /// Frees what was not asked for since `beginRound` and is not `held` by the data plane.
        mutating func endRound(held: (UInt32) -> Bool) {
            for (name, number) in numbers where !wanted.contains(name) && !held(number) {
                numbers[name] = nil
                names[number] = nil
                if !rotates { cursor = min(cursor, number) }
            }
        }
    }

    private var vrfs = Pool<String>(1...65535)
    /// 0 is the fabric, 1 the host, 2 is left for an agent's own interface.
    private var vifs = Pool<String>(3...0xFFFF)
    private var nextHops = Pool<NextHopIdentity>(1...0xFFFF_FFFE)
    /// What a label leads to: a workload, or a VRF.
    private enum LabelUse: Hashable { case vif(VifID), vrf(VRFID) }
    private var labels = Pool<LabelUse>(Label.firstUnreserved...Label.maximum, rotates: true)

    private var policies = Pool<String>(1...65_535)
    private var addressGroups = Pool<String>(1...0xFFFF_FFFE)
    private var natRules = Pool<String>(1...0xFFFF_FFFE)
    /// An entry of a flow holds one octet of it.
    private var mirrors = Pool<NetworkPolicy.Mirror>(1...255)

    mutating func policy(_ name: String) -> PolicyID? { policies.number(for: name).map { PolicyID($0) } }
    mutating func addressGroup(_ name: String) -> AddressGroupID? { addressGroups.number(for: name).map { AddressGroupID($0) } }
    mutating func natRule(_ name: String) -> NATRuleID? { natRules.number(for: name).map { NATRuleID($0) } }
    mutating func mirror(_ mirror: NetworkPolicy.Mirror) -> UInt32? { mirrors.number(for: mirror) }
    mutating func vrf(_ name: String) -> VRFID? { vrfs.number(for: name).map { VRFID($0) } }
    mutating func vif(_ name: String) -> VifID? { vifs.number(for: name).map { VifID($0) } }
    mutating func nextHop(_ identity: NextHopIdentity) -> NextHopID? { nextHops.number(for: identity).map { NextHopID($0) } }
    mutating func label(_ vif: VifID) -> Label? { labels.number(for: .vif(vif)).map { Label($0) } }
    mutating func label(_ vrf: VRFID) -> Label? { labels.number(for: .vrf(vrf)).map { Label($0) } }

    /// Learns the numbers in use from what the data plane holds.
    mutating func recover(from objects: some Collection<TableObject>) {
        vrfs.forgetReserved()
        vifs.forgetReserved()
        nextHops.forgetReserved()
        labels.forgetReserved()
        policies.forgetReserved()
        addressGroups.forgetReserved()
        natRules.forgetReserved()
        mirrors.forgetReserved()
        var identities: [UInt32: NextHopIdentity] = [:]
        // In number order, so that of two claims to one name the lower number wins, every time.
        for case .nextHop(let x)? in objects.map(\.object).sorted(by: Self.numberOrder) {
            guard x.cookie == agentCookie, let identity = NextHopIdentity(x) else { nextHops.reserve(x.id); continue }
            identities[x.id] = identity
            nextHops.recover(x.id, for: identity)
        }
        for object in objects {
            switch object.object {
            case .vrf(let x): vrfs.recover(x.id, for: x.name)
            case .vif(let x): vifs.recover(x.id, for: x.name)
            case .label(let x):
                switch x.cookie == agentCookie ? identities[x.nextHop] : nil {
                case .encap(let vif, _)?: labels.recover(x.label, for: .vif(vif))
                case .vrf(let vrf)?: labels.recover(x.label, for: .vrf(vrf))
                default: labels.reserve(x.label)
                }
            case .policy(let x): if x.cookie == agentCookie { policies.recover(x.id, for: x.name) } else { policies.reserve(x.id) }
            case .addressGroup(let x): if x.cookie == agentCookie { addressGroups.recover(x.id, for: x.name) } else { addressGroups.reserve(x.id) }
            case .natRule(let x): if x.cookie == agentCookie { natRules.recover(x.id, for: x.name) } else { natRules.reserve(x.id) }
            case .mirror(let x):
                if x.cookie == agentCookie, let mirror = NetworkPolicy.Mirror(x, identities) {
                    mirrors.recover(x.id, for: mirror)
                } else {
                    mirrors.reserve(x.id)
                }
            case .port, .nextHop, .route, .bridgeEntry, .vni, .flow, .flowAgeing, .forwardingClass, .qosMap, nil: break
            }
        }
    }

    private static func numberOrder(_ a: TableObject.OneOf_Object?, _ b: TableObject.OneOf_Object?) -> Bool {
        guard case .nextHop(let x) = a, case .nextHop(let y) = b else { return false }
        return x.id < y.id
    }

    mutating func beginRound() {
        vrfs.beginRound()
        vifs.beginRound()
        nextHops.beginRound()
        labels.beginRound()
        policies.beginRound()
        addressGroups.beginRound()
        natRules.beginRound()
        mirrors.beginRound()
    }
    mutating func endRound(held: (TableKey) -> Bool) {
        vrfs.endRound { held(.vrf(VRFID($0))) }
        vifs.endRound { held(.vif(VifID($0))) }
        nextHops.endRound { held(.nextHop(NextHopID($0))) }
        labels.endRound { held(.label(Label($0))) }
        policies.endRound { held(.policy(PolicyID($0))) }
        natRules.endRound { held(.natRule(NATRuleID($0))) }
        mirrors.endRound { held(.mirror($0)) }
        addressGroups.endRound { held(.addressGroup(AddressGroupID($0))) }
    }
}
