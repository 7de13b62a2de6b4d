import NetTypes
public import Overlay

// Which networks know each other's routes, as their policies say.
extension ConfigModel {
    /// The networks that rules of the network's policies join with it, for its part; `any`: all.
    private func joins(_ network: VirtualNetwork) -> (names: Set<String>, any: Bool) {
        network.policies.compactMap(networkPolicy).reduce(into: (names: [], any: false)) { joined, policy in
            let more = policy.joins(network.name)
            joined.names.formUnion(more.names)
            joined.any = joined.any || more.any
        }
    }

    /// The networks connected with this one: both have a policy that joins them. In order.
    public func connections(of network: VirtualNetwork) -> [VirtualNetwork] {
        guard !network.policies.isEmpty else { return [] }
        let own = joins(network)
        return (own.any ? networksWithPolicies : own.names).subtracting([network.name]).sorted().compactMap(virtualNetwork).filter { other in
            let theirs = joins(other)
            return theirs.any || theirs.names.contains(network.name)
        }
    }

    /// The networks whose addresses say something to ports of these: themselves, and those connected with them.
    func scope(of networks: Set<String>) -> Set<String> {
        networks.compactMap(virtualNetwork).reduce(into: networks) { $0.formUnion(connections(of: $1).map(\.name)) }
    }

    /// What an agent with ports in the network has to know of others; nil: nothing.
    public func peers(of network: VirtualNetwork) -> NetworkPeers? {
        guard !network.policies.isEmpty else { return nil }
        let connected = Set(connections(of: network).map(\.name))
        let named = network.policies.compactMap(networkPolicy).reduce(into: connected) { $0.formUnion($1.networks) }.subtracting([network.name])
        return NetworkPeers(
            metadata: ObjectMetadata(name: network.name),
            networks: named.sorted().compactMap(virtualNetwork).map {
                .init(
                    name: $0.name, prefixes: $0.subnets.map(\.prefix), isConnected: connected.contains($0.name),
                    policies: network.policies.filter(Set($0.policies).contains))
            })
    }

    /// Connections that were worked out already, by network; of one state of the model.
    typealias Connected = [String: [VirtualNetwork]]

    /// Networks that are connected, one with the other or both with a third, know each other by their addresses; nil: all have their own.
    ///
    /// Pairs without this network are looked at only where it is the third: the others are no different for what it is, and what else has changed is asked itself.
    func overlap(around network: VirtualNetwork, _ connected: inout Connected) -> String? {
        func connections(of center: VirtualNetwork) -> [VirtualNetwork] {
            if let known = connected[center.name] { return known }
            let found = self.connections(of: center)
            connected[center.name] = found
            return found
        }
        func clash(_ a: VirtualNetwork, _ b: VirtualNetwork) -> IPPrefix? {
            for one in a.subnets where b.subnets.contains(where: { $0.prefix.contains(one.prefix) || one.prefix.contains($0.prefix) }) {
                return one.prefix
            }
            return nil
        }
        func message(_ prefix: IPPrefix, _ one: VirtualNetwork, _ other: VirtualNetwork, via: VirtualNetwork?) -> String {
            let third = via.map { ", which are both connected with \($0.name)" } ?? ""
            return "\(prefix) is of VirtualNetwork \(one.name) and of \(other.name)\(third): connected networks need addresses of their own"
        }
        let neighbours = connections(of: network)
        for (index, one) in neighbours.enumerated() {
            if let prefix = clash(network, one) { return message(prefix, network, one, via: nil) }
            for other in neighbours[(index + 1)...] {
                if let prefix = clash(one, other) { return message(prefix, one, other, via: network) }
            }
        }
        for center in neighbours {
            for other in connections(of: center) where other.name != network.name {
                let (one, two) = network.name < other.name ? (network, other) : (other, network)
                if let prefix = clash(one, two) { return message(prefix, one, two, via: center) }
            }
        }
        return nil
    }
}
