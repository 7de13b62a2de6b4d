import DataplaneAPI
public import NetTypes

/// What names an object of the data plane: the table it is in and its key there.
public enum TableKey: Hashable, Sendable, CustomStringConvertible {
    case port(String)
    case vrf(VRFID)
    case addressGroup(AddressGroupID)
    case policy(PolicyID)
    case vif(VifID)
    case nextHop(NextHopID)
    case label(Label)
    case vni(VNI)
    case route(VRFID, IPPrefix)
    case bridge(VRFID, MACAddress)
    case natRule(NATRuleID)
    /// Protocol and port.
    case flowAgeing(UInt8, UInt16)
    case mirror(UInt32)

    /// The order in which objects are made: each kind refers only to kinds of a lower rank. They are deleted in the reverse order.
    var rank: Int {
        switch self {
        case .port: 0
        case .vrf: 1
        case .addressGroup: 2
        case .policy: 3
        case .vif: 4
        case .nextHop: 5
        case .label: 6
        case .vni: 7
        case .route: 8
        case .bridge: 9
        case .natRule: 10
        case .flowAgeing: 11
        // A policy may name one before it is there.
        case .mirror: 12
        }
    }

    /// As operators write it: `vif0/3`, `route 1 10.1.0.4/32`.
    public var description: String {
        switch self {
        case .port(let name): "port \(name)"
        case .vrf(let id): "vrf \(id)"
        case .addressGroup(let id): "address group \(id)"
        case .policy(let id): "policy \(id)"
        case .vif(let id): id.description
        case .nextHop(let id): "nh \(id)"
        case .label(let label): "label \(label)"
        case .vni(let vni): "vni \(vni)"
        case .route(let vrf, let prefix): "route \(vrf) \(prefix)"
        case .bridge(let vrf, let mac): "bridge \(vrf) \(mac)"
        case .natRule(let id): "nat rule \(id)"
        case .flowAgeing(let proto, let port): "flow ageing \(proto)/\(port)"
        case .mirror(let id): "mirror \(id)"
        }
    }

    static func < (a: TableKey, b: TableKey) -> Bool {
        switch (a, b) {
        case (.port(let x), .port(let y)): x < y
        case (.vrf(let x), .vrf(let y)): x < y
        case (.addressGroup(let x), .addressGroup(let y)): x < y
        case (.policy(let x), .policy(let y)): x < y
        case (.vif(let x), .vif(let y)): x < y
        case (.nextHop(let x), .nextHop(let y)): x < y
        case (.label(let x), .label(let y)): x < y
        case (.vni(let x), .vni(let y)): x < y
        case (.route(let v, let x), .route(let w, let y)): v != w ? v < w : x < y
        case (.bridge(let v, let x), .bridge(let w, let y)): v != w ? v < w : x < y
        case (.natRule(let x), .natRule(let y)): x < y
        case (.flowAgeing(let p, let x), .flowAgeing(let q, let y)): (p, x) < (q, y)
        case (.mirror(let x), .mirror(let y)): x < y
        default: a.rank < b.rank
        }
    }
}

typealias TableObject = Dataplane_V1_Object

extension TableKey {
    /// The key of an object; nil when it has none that makes sense (addresses of a wrong size) or is a flow: flows are not the agent's.
    init?(_ object: TableObject) {
        switch object.object {
        case .port(let port): self = .port(port.name)
        case .vrf(let vrf): self = .vrf(VRFID(vrf.id))
        case .vif(let vif): self = .vif(VifID(vif.id))
        case .nextHop(let nextHop): self = .nextHop(NextHopID(nextHop.id))
        case .label(let entry): self = .label(Label(entry.label))
        case .vni(let entry): self = .vni(VNI(entry.vni))
        case .route(let route):
            guard let prefix = route.prefix else { return nil }
            self = .route(VRFID(route.vrf), prefix)
        case .bridgeEntry(let entry):
            guard let mac = entry.macAddress else { return nil }
            self = .bridge(VRFID(entry.vrf), mac)
        case .policy(let policy): self = .policy(PolicyID(policy.id))
        case .addressGroup(let group): self = .addressGroup(AddressGroupID(group.id))
        case .natRule(let rule): self = .natRule(NATRuleID(rule.id))
        case .flowAgeing(let ageing): self = .flowAgeing(UInt8(clamping: ageing.protocol), UInt16(clamping: ageing.port))
        case .mirror(let mirror): self = .mirror(mirror.id)
        case .flow, .forwardingClass, .qosMap, nil: return nil
        }
    }

    var proto: Dataplane_V1_Key {
        var key = Dataplane_V1_Key()
        switch self {
        case .port(let name): key.port = name
        case .vrf(let id): key.vrf = id.rawValue
        case .addressGroup(let id): key.addressGroup = id.rawValue
        case .policy(let id): key.policy = id.rawValue
        case .vif(let id): key.vif = id.rawValue
        case .nextHop(let id): key.nextHop = id.rawValue
        case .label(let label): key.label = label.rawValue
        case .vni(let vni): key.vni = vni.rawValue
        case .route(let vrf, let prefix): key.route = Dataplane_V1_RouteKey(vrf: vrf.rawValue, prefix: prefix)
        case .natRule(let id): key.natRule = id.rawValue
        case .bridge(let vrf, let mac): key.bridgeEntry = Dataplane_V1_BridgeKey(vrf: vrf.rawValue, mac: mac)
        case .flowAgeing(let proto, let port):
            key.flowAgeing.protocol = UInt32(proto)
            key.flowAgeing.port = UInt32(port)
        case .mirror(let id): key.mirror = id
        }
        return key
    }
}
