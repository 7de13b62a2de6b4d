import DataplaneAPI
import NetTypes
import SwiftProtobuf

/// "agent" in ASCII: the cookie of every object this program makes, by which it knows its own again after a restart.
let agentCookie: UInt64 = 0x61_6765_6E74

extension Dataplane_V1_Object {
    var isOwn: Bool { object?.cookie == agentCookie }

    /// Only what a writer sets: no statistics, no reference counts, and nothing that a newer data plane adds to its answers.
    var withoutOutput: Self {
        switch object {
        case .port(let x):
            .with {
                $0.port = .with {
                    $0.name = x.name; $0.driver = x.driver; $0.mtu = x.mtu; $0.queues = x.queues; $0.cookie = x.cookie
                    if x.hasSpread { $0.spread = x.spread }
                }
            }
        case .vrf(let x):
            .vrf(VRFID(x.id), name: x.name, floodsUnknownUnicast: x.floodsUnknownUnicast, flowLimit: x.flowLimit, cookie: x.cookie)
        case .vif(let x):
            .with {
                $0.vif = .with {
                    $0.id = x.id
                    $0.name = x.name
                    $0.kind = x.kind
                    $0.port = x.port
                    $0.vrf = x.vrf
                    $0.mac = x.mac
                    $0.mtu = x.mtu
                    $0.addresses = x.addresses
                    $0.workloadMac = x.workloadMac
                    $0.workloadAddresses = x.workloadAddresses
                    $0.keepsFlows = x.keepsFlows
                    $0.bridges = x.bridges
                    $0.antispoof = x.antispoof
                    $0.allowedPairs = x.allowedPairs
                    $0.ingressPolicies = x.ingressPolicies
                    $0.egressPolicies = x.egressPolicies
                    $0.services = x.services
                    $0.flowLimit = x.flowLimit
                    $0.flowRate = x.flowRate
                    $0.fatFlows = x.fatFlows
                    $0.cookie = x.cookie
                }
            }
        case .nextHop(let x):
            .with {
                $0.nextHop = .with {
                    $0.id = x.id; $0.kind = x.kind; $0.cookie = x.cookie
                }
            }
        case .mirror(let x):
            .with {
                $0.mirror = .with {
                    $0.id = x.id; $0.sources = x.sources; $0.destination = x.destination; $0.snapLength = x.snapLength; $0.cookie = x.cookie
                }
            }
        case .label, .vni, .route, .bridgeEntry, .flow, .forwardingClass, .qosMap, .policy, .addressGroup, .natRule, .flowAgeing,
            nil:
            self
        }
    }

    /// The objects this one names: they must exist first.
    var dependencies: [TableKey] {
        func vif(_ id: UInt32) -> TableKey { .vif(VifID(id)) }
        func nextHop(_ id: UInt32) -> TableKey { .nextHop(NextHopID(id)) }
        func vrf(_ id: UInt32) -> TableKey { .vrf(VRFID(id)) }
        switch object {
        case .vif(let x): return [.port(x.port), vrf(x.vrf)] + (x.ingressPolicies + x.egressPolicies).map { .policy(PolicyID($0)) }
        case .policy(let x):
            return x.rules.flatMap { rule in
                [rule.remote, rule.local].compactMap { if case .group(let id) = $0.addresses { .addressGroup(AddressGroupID(id)) } else { nil } }
            }
        case .nextHop(let x):
            switch x.kind {
            case .receive(let y): return [vif(y.vif)]
            case .encap(let y): return [vif(y.vif)]
            case .tunnel(let y): return [vif(y.vif)]
            case .resolve(let y): return [vif(y.vif)]
            case .vrf(let y): return [vrf(y.vrf)]
            case .ecmp(let y): return y.members.map { nextHop($0.nextHop) }
            case .indirect(let y): return [nextHop(y.nextHop)]
            case .multicast(let y): return [vrf(y.vrf)] + (y.local + (y.evpn + y.fabric).map(\.nextHop)).map(nextHop)
            case .discard, nil: return []
            }
        case .label(let x): return [nextHop(x.nextHop)]
        case .vni(let x): return [nextHop(x.nextHop)]
        case .route(let x): return [vrf(x.vrf), nextHop(x.nextHop)]
        case .bridgeEntry(let x): return [vrf(x.vrf), nextHop(x.nextHop)]
        case .natRule(let x):
            switch x.kind {
            case .destination(let y): return [vrf(y.vrf)] + y.backends.map { vrf($0.vrf) }
            case .source(let y): return [vrf(y.vrf), vrf(y.outsideVrf)]
            case nil: return []
            }
        case .mirror(let x):
            let sources = x.sources.map { vif($0.vif) }
            switch x.destination {
            case .vxlan(let y): return sources + [nextHop(y.nextHop)]
            case .erspan(let y): return sources + [nextHop(y.nextHop)]
            case .vif(let id): return sources + [vif(id)]
            case .file, nil: return sources
            }
        case .port, .vrf, .flow, .forwardingClass, .qosMap, .addressGroup, .flowAgeing, nil: return []
        }
    }
}

/// Builders for the objects an agent makes; each carries the agent's cookie.
extension Dataplane_V1_Object {
    static func port(_ name: String, driver: AgentConfiguration.Driver, index: VifID, mtu: Int = 0, receive: AgentConfiguration.Receive = .init())
        -> Self
    {
        with {
            $0.port.name = name
            $0.port.mtu = UInt32(clamping: mtu)
            $0.port.cookie = agentCookie
            $0.port.queues = UInt32(clamping: receive.queues)
            if let spread = receive.spread { $0.port.spread = spread }
            switch driver {
            case .pcap: $0.port.pcap.interface = name
            case .dpdk(let template):
                $0.port.dpdk.device = template.replacing("{interface}", with: name).replacing("{index}", with: String(index.rawValue))
            }
        }
    }
    static func vrf(_ id: VRFID, name: String, floodsUnknownUnicast: Bool = false, flowLimit: UInt32 = 0, cookie: UInt64 = agentCookie) -> Self {
        with {
            $0.vrf = .with {
                $0.id = id.rawValue
                $0.name = name
                $0.floodsUnknownUnicast = floodsUnknownUnicast
                $0.flowLimit = flowLimit
                $0.cookie = cookie
            }
        }
    }
    static func nextHop(_ id: NextHopID, _ kind: Dataplane_V1_NextHop.OneOf_Kind) -> Self {
        with {
            $0.nextHop = .with {
                $0.id = id.rawValue; $0.kind = kind; $0.cookie = agentCookie
            }
        }
    }
    static func label(_ label: Label, nextHop: NextHopID) -> Self {
        with {
            $0.label = .with {
                $0.label = label.rawValue; $0.nextHop = nextHop.rawValue; $0.cookie = agentCookie
            }
        }
    }
    static func vni(_ vni: VNI, nextHop: NextHopID) -> Self {
        with {
            $0.vni = .with {
                $0.vni = vni.rawValue; $0.nextHop = nextHop.rawValue; $0.cookie = agentCookie
            }
        }
    }
    /// `mac` nil: ARP and ND are answered with the gateway's.
    static func route(_ vrf: VRFID, _ prefix: IPPrefix, nextHop: NextHopID, label: UInt32? = nil, proxies: Bool = false, mac: MACAddress? = nil)
        -> Self
    {
        with {
            $0.route = .with {
                $0.vrf = vrf.rawValue
                $0.prefix = prefix
                $0.nextHop = nextHop.rawValue
                if let label { $0.label = label }
                $0.proxies = proxies
                if let mac { $0.mac = mac.octets }
                $0.cookie = agentCookie
            }
        }
    }
    static func bridgeEntry(_ vrf: VRFID, _ mac: MACAddress, nextHop: NextHopID, label: UInt32? = nil) -> Self {
        with {
            $0.bridgeEntry = .with {
                $0.vrf = vrf.rawValue
                $0.mac = mac.octets
                $0.nextHop = nextHop.rawValue
                if let label { $0.label = label }
                $0.cookie = agentCookie
            }
        }
    }
}
