import DataplaneAPI
import NetTypes
import SwiftProtobuf

/// Composite next hops of this agent: where a network's broadcasts go. Their members come and go one by one, and each stands for itself.
extension Dataplane_V1_Object {
    /// Names other next hops.
    var isComposite: Bool { if case .nextHop(let x)? = object, case .multicast? = x.kind { true } else { false } }

    var hasNoLocalMember: Bool { nextHop.multicast.local.isEmpty }

    /// Without the members that `isThere` says no to. What is no composite is left as it is.
    func keepingMembers(_ isThere: (TableKey) -> Bool) -> Self {
        guard case .nextHop(var nextHop)? = object, case .multicast(var composite)? = nextHop.kind else { return self }
        composite.local.removeAll { !isThere(.nextHop(NextHopID($0))) }
        composite.evpn.removeAll { !isThere(.nextHop(NextHopID($0.nextHop))) }
        nextHop.kind = .multicast(composite)
        return .with { $0.nextHop = nextHop }
    }

    /// With the members that `other` has beyond its own, in the order in which they are made here.
    func keepingMembers(of other: Self?) -> Self {
        guard case .nextHop(var nextHop)? = object, case .multicast(var composite)? = nextHop.kind, case .nextHop(let held)? = other?.object,
            case .multicast(let earlier)? = held.kind, held.cookie == agentCookie
        else { return self }
        composite.local = Set(composite.local).union(earlier.local).sorted()
        let known = Set(composite.evpn.map(\.nextHop))
        composite.evpn = (composite.evpn + earlier.evpn.filter { !known.contains($0.nextHop) }).sorted { $0.nextHop < $1.nextHop }
        nextHop.kind = .multicast(composite)
        return .with { $0.nextHop = nextHop }
    }
}
