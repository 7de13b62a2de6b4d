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

    /// Networks that are connected, one with the other or both with a third, know each other by their addresses; nil: all have their own.
    func overlap(around network: VirtualNetwork) -> String? {
        func clash(_ a: VirtualNetwork, _ b: VirtualNetwork) -> IPPrefix? {
            a.subnets.map(\.prefix).first { one in b.subnets.contains { $0.prefix.contains(one) || one.contains($0.prefix) } }
        }
        for center in [network] + connections(of: network) {
            let around = [center] + connections(of: center)
            for (index, one) in around.enumerated() {
                for other in around[(index + 1)...] {
                    guard let prefix = clash(one, other) else { continue }
                    let via = index == 0 ? "" : ", which are both connected with \(center.name)"
                    return "\(prefix) is of VirtualNetwork \(one.name) and of \(other.name)\(via): connected networks need addresses of their own"
                }
            }
        }
        return nil
    }
}
