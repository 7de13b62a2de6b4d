import DataplaneAPI
import NetTypes
import Overlay
import SwiftProtobuf

/// Policies between virtual networks: what the ports of a network may say to addresses of others, and the routes that connected networks know of each other.
///
/// A network is known by its prefixes; the controller sees to it that those of connected networks do not overlap. Behind the rules of a network's policies, in the
/// order of `spec.policies`, follow two of its own: within the network everything passes, and what no rule passes between it and a connected network is denied. Other
/// addresses can only be reached where something else leads to them, which is then asked itself.
extension DesiredState {
    mutating func addNetworkPolicy(
        of network: VirtualNetwork, isIngress: Bool, _ inputs: Inputs, _ allocator: inout IdentifierAllocator
    ) -> PolicyID? {
        let name = "networkPolicies/\(network.name):\(isIngress ? "ingress" : "egress")"
        guard let id = allocator.policy(name) else { return nil }
        guard objects[.policy(id)] == nil else { return id }
        let peers = inputs.networkPeers[network.name]?.networks ?? []
        var policy = Dataplane_V1_Policy()
        policy.id = id.rawValue
        policy.name = name
        policy.origin = .networkPolicy
        policy.defaultAction = .pass
        policy.cookie = agentCookie
        for given in network.policies {
            for (index, rule) in (inputs.networkPolicies[given]?.rules ?? []).enumerated() {
                let name = "\(given)/rules[\(index)]"
                var ends = [(source: rule.source, sourcePorts: rule.sourcePorts, destination: rule.destination, ports: rule.ports)]
                if rule.direction == .both { ends.append((rule.destination, rule.ports, rule.source, rule.sourcePorts)) }
                let mirror = rule.mirror.map { self.mirror($0, inputs, &allocator) } ?? 0
                for end in ends {
                    guard let local = Self.addresses(isIngress ? end.destination : end.source, near: network),
                        let remote = Self.addresses(isIngress ? end.source : end.destination, network, peers)
                    else { continue }
                    let message = Dataplane_V1_PolicyRule.with {
                        $0.name = name
                        $0.action = Dataplane_V1_PolicyAction(rule.action)
                        $0.mirror = mirror
                        $0.log = rule.log
                        if let local = Dataplane_V1_PolicyAddresses(local) { $0.local = local }
                        if let remote = Dataplane_V1_PolicyAddresses(remote) { $0.remote = remote }
                        guard let proto = rule.proto else { return }
                        $0.service = Dataplane_V1_PolicyService(
                            proto, ports: end.ports, sourcePorts: end.sourcePorts, icmpType: rule.icmpType, icmpCode: rule.icmpCode)
                    }
                    // A connection is copied in one place: where it begins, if that is a port with this policy.
                    let copied =
                        isIngress && mirror != 0 ? Self.common(remote, network.subnets.map(\.prefix) + Self.prefixes(peers, with: given)) : []
                    if !copied.isEmpty {
                        policy.rules.append(
                            message.with {
                                $0.mirror = 0
                                $0.remote.prefixes.prefixes = copied.map { Dataplane_V1_Prefix($0) }
                            })
                        if !remote.isEmpty, copied.count == remote.count, Set(copied) == Set(remote) { continue }
                    }
                    policy.rules.append(message)
                }
            }
        }
        policy.rules.append(.network("\(network.name)/itself", .pass, network.subnets.map(\.prefix)))
        for peer in peers where peer.isConnected { policy.rules.append(.network("\(network.name)/\(peer.name)", .deny, peer.prefixes)) }
        // All rules of one sense are beside each other already; a policy that is not told yet lets nothing pass to the networks it is about.
        add(.with { $0.policy = policy })
        return id
    }

    /// The workload's own end; nil: the rule is not about this network. Empty: any.
    private static func addresses(_ end: NetworkPolicy.End, near network: VirtualNetwork) -> [IPPrefix]? {
        switch end {
        case .any: return []
        case .network(let name): return name == network.name ? [] : nil
        case .prefixes(let list):
            let own = list.filter { prefix in network.subnets.contains { $0.prefix.contains(prefix) || prefix.contains($0.prefix) } }
            return own.isEmpty ? nil : own
        }
    }

    /// The far end; nil: nobody is there. Empty: any.
    private static func addresses(_ end: NetworkPolicy.End, _ network: VirtualNetwork, _ peers: [NetworkPeers.Network]) -> [IPPrefix]? {
        switch end {
        case .any: []
        case .network(network.name): network.subnets.map(\.prefix)
        case .network(let name): peers.first { $0.name == name }?.prefixes
        case .prefixes(let list): list.isEmpty ? nil : list
        }
    }

    private static func prefixes(_ peers: [NetworkPeers.Network], with policy: String) -> [IPPrefix] {
        peers.filter { $0.policies.contains(policy) }.flatMap(\.prefixes)
    }

    /// What both lists hold; `list` empty: any.
    private static func common(_ list: [IPPrefix], _ others: [IPPrefix]) -> [IPPrefix] {
        if list.isEmpty { return others }
        return list.flatMap { one in others.compactMap { other in other.contains(one) ? one : one.contains(other) ? other : nil } }
    }

    // MARK: - Routes

    /// A local address that networks connected with its own are told, too.
    struct Leak: Sendable {
        var network: String
        var prefix: IPPrefix
        /// Where it is in its own VRF.
        var route: TableKey
        var nextHop: RouteAdvertisement.NextHop
        var needs: [TableKey]
    }

    /// After all networks, before what other nodes tell: to the connected networks that are here, and to the controllers for those that are elsewhere.
    mutating func addLeaks(_ inputs: Inputs) {
        for leak in leaks {
            for peer in inputs.networkPeers[leak.network]?.connected ?? [] {
                if let vrf = vrfs[peer.name], case .route(let route)? = objects[leak.route]?.object, objects[.route(vrf, leak.prefix)] == nil {
                    add(.route(vrf, leak.prefix, nextHop: NextHopID(route.nextHop), proxies: true))
                }
                exports.append(
                    Export(
                        route: RouteAdvertisement(vrf: peer.name, destination: .inet(leak.prefix), nextHops: [leak.nextHop]), needs: leak.needs))
            }
        }
    }
}

extension Dataplane_V1_PolicyAction {
    init(_ action: NetworkPolicy.Action) {
        self =
            switch action {
            case .pass: .pass
            case .deny: .deny
            case .trap: .trap
            }
    }
}

extension Dataplane_V1_PolicyAddresses {
    /// Nil: any.
    init?(_ prefixes: [IPPrefix]) {
        guard !prefixes.isEmpty else { return nil }
        self.init()
        self.prefixes.prefixes = prefixes.map { Dataplane_V1_Prefix($0) }
    }
}

extension Dataplane_V1_PolicyService {
    init(
        _ proto: UInt8, ports: [ClosedRange<UInt16>], sourcePorts: [ClosedRange<UInt16>] = [], icmpType: UInt8? = nil, icmpCode: UInt8? = nil
    ) {
        self.init()
        self.protocol = UInt32(proto)
        func message(_ range: ClosedRange<UInt16>) -> Dataplane_V1_PortRange {
            .with {
                $0.first = UInt32(range.lowerBound)
                $0.last = UInt32(range.upperBound)
            }
        }
        destinationPorts = ports.map(message)
        self.sourcePorts = sourcePorts.map(message)
        if let icmpType { self.icmpType = UInt32(icmpType) }
        if let icmpCode { self.icmpCode = UInt32(icmpCode) }
    }
}

extension Dataplane_V1_PolicyRule {
    fileprivate func with(_ change: (inout Self) -> Void) -> Self {
        var copy = self
        change(&copy)
        return copy
    }

    fileprivate static func network(_ name: String, _ action: Dataplane_V1_PolicyAction, _ prefixes: [IPPrefix]) -> Self {
        .with {
            $0.name = name
            $0.action = action
            $0.remote.prefixes.prefixes = prefixes.map { Dataplane_V1_Prefix($0) }
        }
    }
}
