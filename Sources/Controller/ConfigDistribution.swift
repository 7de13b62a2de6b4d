public import Overlay

/// Which configuration each agent needs, and what to tell it so that it has it: an agent gets its own ComputeNode, its Ports, and the
/// VirtualNetworks those are in, with their SecurityGroups and, of the groups that rules name, the members in its networks; and the other Ports of those networks,
/// whose names and addresses it tells its workloads (DNS). Only differences are sent: an agent that a change does not concern hears nothing.
///
/// Of other nodes' ports it is not kept who was told what: every agent with a port of the network has been told all of them.
///
/// Pure: events in, what to send out.
///
/// Thread-safety: a value.
public struct ConfigDistribution: Sendable {
    public enum Update: Hashable, Sendable {
        case item(ConfigObject)
        case retract(ObjectKey)
        /// Everything there is was told.
        case endOfConfig
    }

    /// What each subscribed agent was told.
    private var told: [String: [ObjectKey: ConfigObject]] = [:]
    /// The networks whose other ports each subscribed agent has been told.
    private var toldNetworks: [String: Set<String>] = [:]

    public init() {}

    /// What is worked out once for all agents that a change concerns.
    private struct Resolvers {
        var firewalls: FirewallResolver
        var services = ServiceResolver()
    }

    public func isSubscribed(_ node: String) -> Bool { told[node] != nil }

    /// The whole of it, closed by `endOfConfig`. Also for an agent that subscribes again.
    public mutating func subscribe(_ node: String, model: ConfigModel) -> [Update] {
        told[node] = [:]
        toldNetworks[node] = []
        var resolvers = Resolvers(firewalls: FirewallResolver(model))
        return difference(node, model, &resolvers) + names(node, model, changed: []) + [.endOfConfig]
    }

    public mutating func unsubscribe(_ node: String) {
        told[node] = nil
        toldNetworks[node] = nil
    }

    /// What these changes, which are in the model already, mean for each agent; in order of the agents' names.
    public mutating func update(_ changes: [ConfigModel.Change], model: ConfigModel) -> [(node: String, updates: [Update])] {
        var affected: Set<String> = []
        var named: [String: Set<ObjectKey>] = [:]
        for change in changes where change.action != .unchanged {
            switch change.key.kind {
            case .computeNode: affected.insert(change.key.name)
            case .virtualNetwork:
                affected.formUnion(model.nodes(usingNetwork: change.key.name))
                // Also those that have it for its addresses alone.
                affected.formUnion(told.filter { $0.value[change.key] != nil }.keys)
                let isJoined = [change.old, change.new].contains {
                    if case .virtualNetwork(let network)? = $0 { !network.policies.isEmpty } else { false }
                }
                if isJoined { affected.formUnion(nodesWithPolicies(model)) }
            case .networkPolicy: if !model.networks(withPolicy: change.key.name).isEmpty { affected.formUnion(nodesWithPolicies(model)) }
            case .port:
                // Whoever has a policy by labels may mean it.
                affected.formUnion(nodesWithFirewalls(model))
                for case .port(let port)? in [change.old, change.new] {
                    affected.insert(port.node)
                    affected.formUnion(model.nodes(withServiceOf: port))
                    for group in port.securityGroups { affected.formUnion(model.nodes(namingGroup: group)) }
                    for (node, networks) in toldNetworks where node != port.node && networks.contains(port.network) {
                        named[node, default: []].insert(change.key)
                    }
                }
            case .securityGroup: affected.formUnion(model.nodes(usingGroup: change.key.name))
            case .kubernetesPolicy:
                for case .kubernetesPolicy(let policy)? in [change.old, change.new] {
                    affected.formUnion(nodes(ofNamespace: policy.namespace, model))
                }
            case .namespace: affected.formUnion(nodesWithFirewalls(model))
            case .securityGroupMembers, .networkPeers, .firewallPolicy: break
            case .floatingIP, .service, .router, .linkLocalService:
                for object in [change.old, change.new] { affected.formUnion(object.map { model.nodes(translatingFor: $0) } ?? []) }
            }
        }
        var resolvers = Resolvers(firewalls: FirewallResolver(model))
        return affected.union(named.keys).sorted().compactMap { node in
            guard isSubscribed(node) else { return nil }
            let own = affected.contains(node) ? difference(node, model, &resolvers) : [], ownSet = Set(own)
            let updates = own + names(node, model, changed: named[node] ?? []).filter { !ownSet.contains($0) }
            return updates.isEmpty ? nil : (node, updates)
        }
    }

    /// Who is joined with whom may be another one now: all that have to do with policies are looked at, and told what is different for them.
    private func nodesWithPolicies(_ model: ConfigModel) -> Set<String> {
        model.networksWithPolicies.reduce(into: []) { $0.formUnion(model.nodes(usingNetwork: $1)) }
    }

    private func nodesWithFirewalls(_ model: ConfigModel) -> Set<String> {
        model.namespacesWithPolicies.reduce(into: []) { $0.formUnion(nodes(ofNamespace: $1, model)) }
    }
    private func nodes(ofNamespace name: String, _ model: ConfigModel) -> Set<String> { Set(model.ports(inNamespace: name).map(\.node)) }

    /// What an agent is told of a group's members; nil: nothing.
    public static func members(of group: String, forNode node: String, _ model: ConfigModel) -> SecurityGroupMembers? {
        if case .securityGroupMembers(let members)? = objects(for: node, model)[ObjectKey(.securityGroupMembers, group)] { members } else { nil }
    }

    /// Ports of other nodes: all of a network that the agent has just come to, and just left, and those that changed.
    private mutating func names(_ node: String, _ model: ConfigModel, changed: Set<ObjectKey>) -> [Update] {
        let networks = Set((told[node] ?? [:]).keys.filter { $0.kind == .virtualNetwork }.map(\.name))
        let before = toldNetworks[node] ?? []
        toldNetworks[node] = networks
        var keys = changed
        for network in networks.symmetricDifference(before) {
            for port in model.ports(inNetwork: network) where port.node != node { keys.insert(ObjectKey(.port, port.name)) }
        }
        return keys.sorted().compactMap { key in
            guard let port = model.port(key.name), networks.contains(port.network) || port.node == node else { return .retract(key) }
            // Its own is among the differences.
            return port.node == node ? nil : .item(.port(port))
        }
    }

    /// All that an agent is told of what concerns itself.
    public static func objects(for node: String, _ model: ConfigModel) -> [ObjectKey: ConfigObject] {
        var resolvers = Resolvers(firewalls: FirewallResolver(model))
        return desired(node, model, &resolvers)
    }

    private static func desired(_ node: String, _ model: ConfigModel, _ resolvers: inout Resolvers) -> [ObjectKey: ConfigObject] {
        var desired: [ObjectKey: ConfigObject] = [:]
        if let node = model.computeNode(node) { desired[ObjectKey(.computeNode, node.name)] = .computeNode(node) }
        for port in model.ports(onNode: node) {
            desired[ObjectKey(.port, port.name)] = .port(port)
            if let network = model.virtualNetwork(port.network) { desired[ObjectKey(.virtualNetwork, network.name)] = .virtualNetwork(network) }
        }
        addTranslations(&desired, model, &resolvers.services)
        addNetworkPolicies(&desired, model)
        addSecurityGroups(model.ports(onNode: node), &desired, model)
        if !model.namespacesWithPolicies.isEmpty {
            for policy in resolvers.firewalls.policies(for: model.ports(onNode: node)) {
                desired[ObjectKey(.firewallPolicy, policy.name)] = .firewallPolicy(policy)
            }
        }
        return desired
    }

    /// Floating IPs of its ports, routers and services of its networks, and the external networks of those.
    private static func addTranslations(_ desired: inout [ObjectKey: ConfigObject], _ model: ConfigModel, _ services: inout ServiceResolver) {
        for object in desired.values {
            let users: [ConfigObject] =
                switch object {
                case .port(let port): model.nat.floatingIPs(ofPort: port.name).map { .floatingIP($0) }
                case .virtualNetwork(let network):
                    model.nat.routers(ofNetwork: network.name).map { .router($0) }
                        + model.services(knownIn: network).map { .service(services.resolve($0, model)) }
                        + model.nat.linkLocals.values.filter { $0.serves(network.name) }.map { .linkLocalService($0) }
                default: []
                }
            for user in users {
                desired[user.key] = user
                if let name = user.externalNetwork, let network = model.virtualNetwork(name) {
                    desired[ObjectKey(.virtualNetwork, name)] = .virtualNetwork(network)
                }
            }
        }
    }

    private static func addNetworkPolicies(_ desired: inout [ObjectKey: ConfigObject], _ model: ConfigModel) {
        for case .virtualNetwork(let network) in desired.values {
            for name in network.policies {
                if let policy = model.networkPolicy(name) { desired[ObjectKey(.networkPolicy, name)] = .networkPolicy(policy) }
            }
            if let peers = model.peers(of: network) { desired[ObjectKey(.networkPeers, network.name)] = .networkPeers(peers) }
        }
    }

    private static func addSecurityGroups(_ ports: [Port], _ desired: inout [ObjectKey: ConfigObject], _ model: ConfigModel) {
        var networks: Set<String> = [], peers: Set<String> = []
        for port in ports where !port.securityGroups.isEmpty {
            networks.insert(port.network)
            for name in port.securityGroups {
                guard let group = model.securityGroup(name) else { continue }
                desired[ObjectKey(.securityGroup, name)] = .securityGroup(group)
                peers.formUnion(group.peers)
            }
        }
        networks = model.scope(of: networks)
        for peer in peers {
            let members = Dictionary(grouping: model.ports(inGroup: peer).filter { networks.contains($0.network) }) { $0.network }
            desired[ObjectKey(.securityGroupMembers, peer)] = .securityGroupMembers(
                SecurityGroupMembers(
                    metadata: ObjectMetadata(name: peer),
                    networks: members.sorted { $0.key < $1.key }.map { .init(name: $0.key, addresses: $0.value.flatMap(\.addresses)) }))
        }
    }

    /// In an order in which nothing ever refers to what is not there and no address is there twice: gone ports, then what is new or
    /// changed (what is referred to first), then other things gone.
    private mutating func difference(_ node: String, _ model: ConfigModel, _ resolvers: inout Resolvers) -> [Update] {
        let desired = Self.desired(node, model, &resolvers), known = told[node] ?? [:]
        told[node] = desired
        let gone = known.keys.filter { desired[$0] == nil }.sorted()
        let changed = desired.filter { known[$0.key] != $0.value }.sorted { $0.key < $1.key }
        return gone.filter { $0.kind == .port }.map { .retract($0) } + changed.map { .item($0.value) }
            + gone.filter { $0.kind != .port }.map { .retract($0) }
    }
}
