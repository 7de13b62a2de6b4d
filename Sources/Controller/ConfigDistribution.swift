public import Overlay

/// Which configuration each agent needs, and what to tell it so that it has it: an agent gets its own ComputeNode, its Ports, and the
/// VirtualNetworks those are in, with their SecurityGroups and, of the groups that rules name, the members in its networks. Only differences are sent: an agent that a change does not concern hears nothing.
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

    public init() {}

    public func isSubscribed(_ node: String) -> Bool { told[node] != nil }

    /// The whole of it, closed by `endOfConfig`. Also for an agent that subscribes again.
    public mutating func subscribe(_ node: String, model: ConfigModel) -> [Update] {
        told[node] = [:]
        return difference(node, model) + [.endOfConfig]
    }

    public mutating func unsubscribe(_ node: String) { told[node] = nil }

    /// What these changes, which are in the model already, mean for each agent; in order of the agents' names.
    public mutating func update(_ changes: [ConfigModel.Change], model: ConfigModel) -> [(node: String, updates: [Update])] {
        var affected: Set<String> = []
        for change in changes where change.action != .unchanged {
            switch change.key.kind {
            case .computeNode: affected.insert(change.key.name)
            case .virtualNetwork: affected.formUnion(model.nodes(usingNetwork: change.key.name))
            case .port:
                for case .port(let port)? in [change.old, change.new] {
                    affected.insert(port.node)
                    for group in port.securityGroups { affected.formUnion(model.nodes(namingGroup: group)) }
                }
            case .securityGroup: affected.formUnion(model.nodes(usingGroup: change.key.name))
            case .securityGroupMembers: break
            }
        }
        return affected.sorted().compactMap { node in
            guard isSubscribed(node) else { return nil }
            let updates = difference(node, model)
            return updates.isEmpty ? nil : (node, updates)
        }
    }

    /// What an agent is told of a group's members; nil: nothing.
    public static func members(of group: String, forNode node: String, _ model: ConfigModel) -> SecurityGroupMembers? {
        if case .securityGroupMembers(let members)? = desired(node, model)[ObjectKey(.securityGroupMembers, group)] { members } else { nil }
    }

    static func desired(_ node: String, _ model: ConfigModel) -> [ObjectKey: ConfigObject] {
        var desired: [ObjectKey: ConfigObject] = [:]
        if let node = model.computeNode(node) { desired[ObjectKey(.computeNode, node.name)] = .computeNode(node) }
        for port in model.ports(onNode: node) {
            desired[ObjectKey(.port, port.name)] = .port(port)
            if let network = model.virtualNetwork(port.network) { desired[ObjectKey(.virtualNetwork, network.name)] = .virtualNetwork(network) }
        }
        addSecurityGroups(model.ports(onNode: node), &desired, model)
        return desired
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
    private mutating func difference(_ node: String, _ model: ConfigModel) -> [Update] {
        let desired = Self.desired(node, model), known = told[node] ?? [:]
        told[node] = desired
        let gone = known.keys.filter { desired[$0] == nil }.sorted()
        let changed = desired.filter { known[$0.key] != $0.value }.sorted { $0.key < $1.key }
        return gone.filter { $0.kind == .port }.map { .retract($0) } + changed.map { .item($0.value) }
            + gone.filter { $0.kind != .port }.map { .retract($0) }
    }
}
