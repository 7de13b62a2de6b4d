import NetTypes
import Overlay

/// The configuration objects that the controller has told this agent. When its session ends they are kept as stale; an object told
/// again is fresh, and what is still stale at end-of-config is swept.
///
/// Thread-safety: a value.
struct ConfigStore: Sendable {
    private(set) var objects: [Overlay.ObjectKey: ConfigObject] = [:]
    private var stale: Set<Overlay.ObjectKey> = []
    /// end-of-config has been seen at least once: an object that is not here does not exist.
    private(set) var isComplete = false

    /// Counts the changes.
    private(set) var revision = 0

    mutating func update(_ object: ConfigObject) {
        revision += 1
        objects[object.key] = object
        stale.remove(object.key)
    }
    mutating func remove(_ key: Overlay.ObjectKey) {
        revision += 1
        objects[key] = nil
        stale.remove(key)
    }
    /// Another session begins to tell everything again.
    mutating func markStale() { stale = Set(objects.keys) }
    mutating func endOfConfig() {
        revision += 1
        for key in stale { remove(key) }
        stale = []
        isComplete = true
    }

    var networks: [String: VirtualNetwork] {
        objects.values.reduce(into: [:]) { if case .virtualNetwork(let network) = $1 { $0[network.name] = network } }
    }
    var securityGroups: [String: SecurityGroup] {
        objects.values.reduce(into: [:]) { if case .securityGroup(let group) = $1 { $0[group.name] = group } }
    }
    var securityGroupMembers: [String: SecurityGroupMembers] {
        objects.values.reduce(into: [:]) { if case .securityGroupMembers(let members) = $1 { $0[members.name] = members } }
    }
    var networkPolicies: [String: NetworkPolicy] {
        objects.values.reduce(into: [:]) { if case .networkPolicy(let policy) = $1 { $0[policy.name] = policy } }
    }
    var networkPeers: [String: NetworkPeers] {
        objects.values.reduce(into: [:]) { if case .networkPeers(let peers) = $1 { $0[peers.name] = peers } }
    }
    var firewallPolicies: [FirewallPolicy] { objects.values.compactMap { if case .firewallPolicy(let policy) = $0 { policy } else { nil } } }
    /// In order of name, so that every turn decides alike.
    var floatingIPs: [FloatingIP] {
        objects.values.compactMap { if case .floatingIP(let object) = $0 { object } else { nil } }.sorted { $0.name < $1.name }
    }
    var services: [Service] {
        objects.values.compactMap { if case .service(let object) = $0 { object } else { nil } }.sorted { $0.name < $1.name }
    }
    var routers: [NetworkRouter] {
        objects.values.compactMap { if case .router(let object) = $0 { object } else { nil } }.sorted { $0.name < $1.name }
    }
    var linkLocalServices: [LinkLocalService] {
        objects.values.compactMap { if case .linkLocalService(let object) = $0 { object } else { nil } }.sorted { $0.name < $1.name }
    }
    /// Ports of any node, whose names the workloads of their network may ask for.
    var portsByNetwork: [String: [Overlay.Port]] {
        objects.values.reduce(into: [:]) { if case .port(let port) = $1 { $0[port.network, default: []].append(port) } }
    }
    /// The ports of this node; those of others are here for their names.
    func ports(of node: String) -> [String: Overlay.Port] {
        objects.values.reduce(into: [:]) { if case .port(let port) = $1, port.node == node { $0[port.name] = port } }
    }
    func address(of node: String) -> IPAddress? {
        if case .computeNode(let object)? = objects[Overlay.ObjectKey(.computeNode, node)] { object.address } else { nil }
    }
}
