import NetTypes
import Overlay

/// What policies of Kubernetes mean for the ports of a node: their selectors against the labels that there are.
///
/// Addresses count in the networks of the ports that a policy selects, and in those connected with them. A selection is made once, however many policies and nodes
/// ask for it.
///
/// Thread-safety: a value.
struct FirewallResolver {
    let model: ConfigModel
    private var selections: [Selection: [Port]] = [:]

    private struct Selection: Hashable {
        var namespace: String
        var namespaces: LabelSelector?
        var pods: LabelSelector?
    }

    init(_ model: ConfigModel) { self.model = model }

    /// Those that select any of these ports of one node.
    mutating func policies(for ports: [Port]) -> [FirewallPolicy] {
        var out: [FirewallPolicy] = []
        for (namespace, ports) in Dictionary(grouping: ports, by: \.namespace) {
            for policy in model.kubernetesPolicies(inNamespace: namespace) {
                let selected = ports.filter { policy.selector.matches($0.metadata.labels) }
                if !selected.isEmpty { out.append(resolve(policy, selected)) }
            }
        }
        return out
    }

    private mutating func resolve(_ policy: KubernetesPolicy, _ selected: [Port]) -> FirewallPolicy {
        let scope = model.scope(of: Set(selected.map(\.network)))
        var resolved = FirewallPolicy(metadata: ObjectMetadata(name: policy.name), ports: selected.map(\.name).sorted())
        if let rules = policy.ingress {
            resolved.ingress = rules.enumerated().flatMap { self.rules($0, $1, policy, scope, ingressTo: selected) }
        }
        if let rules = policy.egress { resolved.egress = rules.enumerated().flatMap { self.rules($0, $1, policy, scope, ingressTo: nil) } }
        return resolved
    }

    /// - Parameter ingressTo: the ports that a name of a port is looked up at; nil: at the far end.
    private mutating func rules(
        _ index: Int, _ rule: KubernetesPolicy.Rule, _ policy: KubernetesPolicy, _ scope: Set<String>, ingressTo selected: [Port]?
    ) -> [FirewallPolicy.Rule] {
        var out: [FirewallPolicy.Rule] = []
        // Nil: anybody.
        let peers = rule.peers.isEmpty ? [nil] : rule.peers.map(Optional.some)
        let numbers = Self.numbers(rule.services)
        for peer in peers {
            let far = resolve(peer, policy, scope)
            for (proto, ports) in numbers { out.append(.init(index: index, proto: proto, ports: ports, peer: far)) }
            for service in rule.services {
                guard case .name(let name) = service.port else { continue }
                if let selected {
                    for (number, ports) in Self.byNumber(selected, name, service.proto) {
                        out.append(
                            .init(index: index, proto: service.proto, ports: [number...number], local: ports.flatMap(\.addresses), peer: far))
                    }
                } else {
                    for (number, ports) in Self.byNumber(candidates(peer, policy, scope), name, service.proto) {
                        out.append(.init(index: index, proto: service.proto, ports: [number...number], peer: .members(Self.networks(ports))))
                    }
                }
            }
        }
        return out
    }

    /// By protocol the ranges of ports given by number; empty: all. No service at all: everything.
    private static func numbers(_ services: [KubernetesPolicy.Service]) -> [(proto: UInt8?, ports: [ClosedRange<UInt16>])] {
        if services.isEmpty { return [(nil, [])] }
        var out: [(proto: UInt8?, ports: [ClosedRange<UInt16>])] = []
        for proto in Set(services.map(\.proto)).sorted() {
            let own = services.filter { $0.proto == proto }
            let ranges = own.compactMap { if case .range(let range) = $0.port { range } else { nil } }
            if own.contains(where: { $0.port == .all }) { out.append((proto, [])) } else if !ranges.isEmpty { out.append((proto, ranges)) }
        }
        return out
    }

    private static func byNumber(_ ports: [Port], _ name: String, _ proto: UInt8) -> [(UInt16, [Port])] {
        var out: [UInt16: [Port]] = [:]
        for port in ports {
            if let named = port.namedPorts.first(where: { $0.name == name && $0.proto == proto }) { out[named.number, default: []].append(port) }
        }
        return out.sorted { $0.key < $1.key }
    }

    private static func networks(_ ports: [Port]) -> [SecurityGroupMembers.Network] {
        Dictionary(grouping: ports, by: \.network).sorted { $0.key < $1.key }.map { .init(name: $0.key, addresses: $0.value.flatMap(\.addresses)) }
    }

    private mutating func resolve(_ peer: KubernetesPolicy.Peer?, _ policy: KubernetesPolicy, _ scope: Set<String>) -> FirewallPolicy.Rule.Peer {
        switch peer {
        case nil: .any
        case .prefix(let prefix, let holes): .prefixes(prefix.subtracting(holes))
        case .ports(let namespaces, let pods): .members(Self.networks(select(namespaces, pods, policy).filter { scope.contains($0.network) }))
        }
    }

    /// The ports that a peer is, where a port of it is meant by its name.
    private mutating func candidates(_ peer: KubernetesPolicy.Peer?, _ policy: KubernetesPolicy, _ scope: Set<String>) -> [Port] {
        let all = scope.sorted().flatMap { model.ports(inNetwork: $0) }
        switch peer {
        case nil: return all
        case .prefix(let prefix, let holes):
            let prefixes = prefix.subtracting(holes)
            return all.map { port in
                var port = port
                port.addresses.removeAll { address in !prefixes.contains { $0.contains(address) } }
                return port
            }.filter { !$0.addresses.isEmpty }
        case .ports(let namespaces, let pods): return select(namespaces, pods, policy).filter { scope.contains($0.network) }
        }
    }

    private mutating func select(_ namespaces: LabelSelector?, _ pods: LabelSelector?, _ policy: KubernetesPolicy) -> [Port] {
        let selection = Selection(namespace: namespaces == nil ? policy.namespace : "", namespaces: namespaces, pods: pods)
        if let known = selections[selection] { return known }
        let names = namespaces.map { selector in
            model.namespacesWithPorts.filter { selector.matches(model.labels(ofNamespace: $0)) }.sorted()
        }
        let found = (names ?? [policy.namespace]).flatMap { model.ports(inNamespace: $0) }
            .filter { port in pods.map { $0.matches(port.metadata.labels) } ?? true }
        selections[selection] = found
        return found
    }
}
