public import NetTypes
import SwiftProtobuf

/// Short ways to build and name what `Apply` takes.

extension Dataplane_V1_Operation {
    public static func upsert(_ object: Dataplane_V1_Object.OneOf_Object) -> Self {
        .with { $0.upsert = .with { $0.object = object } }
    }
    public static func delete(_ key: Dataplane_V1_Key.OneOf_Key) -> Self {
        .with { $0.delete = .with { $0.key = key } }
    }
}

extension Dataplane_V1_Object.OneOf_Object {
    /// What `delete` needs to remove this object.
    public var key: Dataplane_V1_Key.OneOf_Key {
        switch self {
        case .port(let port): .port(port.name)
        case .vif(let vif): .vif(vif.id)
        case .vrf(let vrf): .vrf(vrf.id)
        case .nextHop(let nextHop): .nextHop(nextHop.id)
        case .route(let route):
            .route(
                .with {
                    $0.vrf = route.vrf; $0.address = route.address; $0.prefixLength = route.prefixLength
                })
        case .bridgeEntry(let entry):
            .bridgeEntry(
                .with {
                    $0.vrf = entry.vrf; $0.mac = entry.mac
                })
        case .label(let label): .label(label.label)
        case .vni(let vni): .vni(vni.vni)
        case .flow(let flow): .flow(flow.key)
        case .forwardingClass(let value): .forwardingClass(value.id)
        case .qosMap(let map): .qosMap(map.id)
        case .mirror(let mirror): .mirror(mirror.id)
        case .policy(let policy): .policy(policy.id)
        case .addressGroup(let group): .addressGroup(group.id)
        case .natRule(let rule): .natRule(rule.id)
        case .flowAgeing(let ageing):
            .flowAgeing(
                .with {
                    $0.protocol = ageing.protocol; $0.port = ageing.port
                })
        }
    }
    public var cookie: UInt64 {
        switch self {
        case .port(let port): port.cookie
        case .vif(let vif): vif.cookie
        case .vrf(let vrf): vrf.cookie
        case .nextHop(let nextHop): nextHop.cookie
        case .route(let route): route.cookie
        case .bridgeEntry(let entry): entry.cookie
        case .label(let label): label.cookie
        case .vni(let vni): vni.cookie
        case .flow(let flow): flow.cookie
        case .forwardingClass(let value): value.cookie
        case .qosMap(let map): map.cookie
        case .mirror(let mirror): mirror.cookie
        case .policy(let policy): policy.cookie
        case .addressGroup(let group): group.cookie
        case .natRule(let rule): rule.cookie
        case .flowAgeing(let ageing): ageing.cookie
        }
    }
}

extension Dataplane_V1_RouteKey {
    public init(vrf: UInt32, prefix: IPPrefix) {
        self.init()
        self.vrf = vrf
        self.prefix = prefix
    }
}

extension Dataplane_V1_BridgeKey {
    public init(vrf: UInt32, mac: MACAddress) {
        self.init()
        self.vrf = vrf
        self.mac = mac.octets
    }
}

extension Dataplane_V1_PacketOut {
    public init(_ mode: Mode, vif: UInt32, packet: some Collection<UInt8>) {
        self.init()
        self.mode = mode
        self.vif = vif
        self.packet = .init(packet)
    }
}

extension Dataplane_V1_LoggedDecision {
    /// A rule says trap: what becomes of the flow is decided by whoever answers.
    public var isHeld: Bool { dropReason == "Undecided" }
    /// `forwarded`, `held`, `dropped (OutPolicy)`.
    public var verdict: String { isHeld ? "held" : dropReason.isEmpty ? "forwarded" : "dropped (\(dropReason))" }
}
