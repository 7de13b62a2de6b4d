import NetTypes
public import Overlay
public import StrictYAML

/// All configuration objects and what follows from them: who refers to whom, which address, MAC address, interface and VNI is taken.
///
/// Pure: a value, changed by `apply` and `delete`, which either change it or throw and leave it as it was. The store keeps it on disk;
/// the distribution reads it.
///
/// Thread-safety: a value.
public struct ConfigModel: Sendable {
    public enum Action: String, Sendable { case created, updated, unchanged, deleted }
    public struct Change: Sendable {
        public var key: ObjectKey
        public var action: Action
        public var old: ConfigObject?
        public var new: ConfigObject?
    }

    public private(set) var objects: [ObjectKey: ConfigObject] = [:]
    /// The VNI given out last: the next one is looked for after it, so that one just freed is not at once another network's.
    public private(set) var lastVNI: UInt32

    private var portsByNode: [String: Set<String>] = [:]
    private var portsByNetwork: [String: Set<String>] = [:]
    private var portsByGroup: [String: Set<String>] = [:]
    /// By group: the groups whose rules name it.
    private var groupsByPeer: [String: Set<String>] = [:]
    /// By NetworkPolicy: the networks that have it. By network: the NetworkPolicies whose rules name it.
    private var networksByPolicy: [String: Set<String>] = [:]
    private var policiesByNetwork: [String: Set<String>] = [:]
    private var portsByNamespace: [String: Set<String>] = [:]
    private var portsByLabel: [Label: Set<String>] = [:]
    private var policiesByNamespace: [String: Set<String>] = [:]
    var nat = NATIndex()
    private var vnis: [VNI: Set<String>] = [:]
    private var nodeAddresses: [IPAddress: Set<String>] = [:]
    private var addresses: [Member<IPAddress>: Set<String>] = [:]
    private var macs: [Member<MACAddress>: Set<String>] = [:]
    private var interfaces: [Member<String>: Set<String>] = [:]

    private struct Member<Value: Hashable & Sendable>: Hashable, Sendable {
        var owner: String
        var value: Value
    }

    private struct Label: Hashable, Sendable {
        var namespace: String
        var key: String
        var value: String
    }

    /// Takes objects that were checked before.
    public init(objects: [ConfigObject] = [], lastVNI: UInt32 = 0) {
        self.lastVNI = lastVNI
        for object in objects { insert(object) }
    }

    public func object(_ key: ObjectKey) -> ConfigObject? { objects[key] }
    public func objects(of kind: ConfigKind? = nil) -> [ConfigObject] {
        objects.values.filter { kind == nil || $0.kind == kind }.sorted { $0.key < $1.key }
    }
    public func virtualNetwork(_ name: String) -> VirtualNetwork? {
        if case .virtualNetwork(let network) = objects[ObjectKey(.virtualNetwork, name)] { network } else { nil }
    }
    public func computeNode(_ name: String) -> ComputeNode? {
        if case .computeNode(let node) = objects[ObjectKey(.computeNode, name)] { node } else { nil }
    }
    public func port(_ name: String) -> Port? {
        if case .port(let port) = objects[ObjectKey(.port, name)] { port } else { nil }
    }
    public func securityGroup(_ name: String) -> SecurityGroup? {
        if case .securityGroup(let group) = objects[ObjectKey(.securityGroup, name)] { group } else { nil }
    }
    public func networkPolicy(_ name: String) -> NetworkPolicy? {
        if case .networkPolicy(let policy) = objects[ObjectKey(.networkPolicy, name)] { policy } else { nil }
    }
    public func networks(withPolicy name: String) -> Set<String> { networksByPolicy[name] ?? [] }
    /// The networks that have policies.
    var networksWithPolicies: Set<String> { networksByPolicy.values.reduce(into: []) { $0.formUnion($1) } }
    public func kubernetesPolicies(inNamespace name: String) -> [KubernetesPolicy] {
        (policiesByNamespace[name] ?? []).sorted().compactMap {
            if case .kubernetesPolicy(let policy) = objects[ObjectKey(.kubernetesPolicy, $0)] { policy } else { nil }
        }
    }
    /// The namespaces that have policies of Kubernetes, and those that have ports.
    var namespacesWithPolicies: Dictionary<String, Set<String>>.Keys { policiesByNamespace.keys }
    var namespacesWithPorts: Dictionary<String, Set<String>>.Keys { portsByNamespace.keys }
    public func ports(inNamespace name: String) -> [Port] { (portsByNamespace[name] ?? []).sorted().compactMap(port) }
    /// Those with all of these labels, of which there is one at least.
    func ports(inNamespace name: String, withLabels labels: [String: String]) -> [Port] {
        let sets = labels.map { portsByLabel[Label(namespace: name, key: $0.key, value: $0.value)] ?? [] }.sorted { $0.count < $1.count }
        guard let first = sets.first else { return [] }
        return sets.dropFirst().reduce(first) { $0.intersection($1) }.compactMap(port)
    }
    /// The labels of a namespace, which need not be there as an object.
    public func labels(ofNamespace name: String) -> [String: String] {
        if case .namespace(let namespace) = objects[ObjectKey(.namespace, name)] { namespace.labels } else { Namespace.labels(ofNamed: name) }
    }
    public func ports(inGroup name: String) -> [Port] { (portsByGroup[name] ?? []).sorted().compactMap(port) }
    /// The nodes with a port of this group.
    public func nodes(usingGroup name: String) -> Set<String> { Set((portsByGroup[name] ?? []).compactMap { port($0)?.node }) }
    /// The nodes with a port of a group whose rules name this one.
    public func nodes(namingGroup name: String) -> Set<String> {
        (groupsByPeer[name] ?? []).reduce(into: []) { $0.formUnion(nodes(usingGroup: $1)) }
    }
    /// The port that has an address in a network.
    func owner(of address: IPAddress, in network: String) -> String? { addresses[Member(owner: network, value: address)]?.min() }
    public func ports(onNode name: String) -> [Port] { (portsByNode[name] ?? []).sorted().compactMap(port) }
    public func ports(inNetwork name: String) -> [Port] { (portsByNetwork[name] ?? []).sorted().compactMap(port) }
    public func nodes(usingNetwork name: String) -> Set<String> { Set((portsByNetwork[name] ?? []).compactMap { port($0)?.node }) }
}

// MARK: - Changes

extension ConfigModel {
    /// All of these objects, or none. Gives each a uid (`makeUID`), a generation and, where none is asked for, a VNI.
    public mutating func apply(_ located: [YAMLDocuments.Located], makeUID: () -> String) throws(ConfigError) -> [Change] {
        var next = self
        var changes: [Change] = []
        for item in located { changes.append(next.place(item.object, makeUID: makeUID)) }
        // After all that ask for a VNI have theirs.
        for (index, item) in located.enumerated() {
            guard case .virtualNetwork(var network)? = changes[index].new, network.vni == nil else { continue }
            guard let vni = next.freeVNI() else { throw item.error("all \(VNI.maximum) VNIs are in use", field: "spec.vni") }
            next.remove(.virtualNetwork(network))
            network.vni = vni
            next.lastVNI = vni.rawValue
            next.insert(.virtualNetwork(network))
            changes[index].new = .virtualNetwork(network)
        }
        next.giveBlocks(&changes)
        var connected = Connected()
        for (item, change) in zip(located, changes) where change.action != .unchanged {
            if let problem = next.problem(with: change, &connected) { throw item.error(problem.message, field: problem.field) }
        }
        // What follows from them in other objects.
        for change in changes.dropFirst(located.count) {
            if let problem = next.problem(with: change, &connected), let item = located.last {
                throw item.error("\(change.key): \(problem.message)", field: "spec")
            }
        }
        self = next
        return changes
    }

    public enum DeleteError: Error, Hashable, Sendable, CustomStringConvertible {
        case notFound(ObjectKey)
        /// These ports need it.
        case inUse(ObjectKey, by: [String])
        /// Rules of this group name it.
        case named(ObjectKey, by: String)
        /// This object names it.
        case needed(ObjectKey, by: ObjectKey)
        /// These networks have it among their policies.
        case attached(ObjectKey, to: [String])

        public var description: String {
            switch self {
            case .notFound(let key): "\(key) does not exist"
            case .needed(let key, let user): "\(key) is named by \(user); change or delete that first"
            case .attached(let key, let networks):
                "\(key) is a policy of VirtualNetwork \(networks.prefix(5).joined(separator: ", "))\(networks.count > 5 ? ", …" : ""); take it out of spec.policies first"
            case .named(let key, let group): "\(key) is named by rules of SecurityGroup \(group); change those first"
            case .inUse(let key, let ports):
                "\(key) is used by \(ports.count == 1 ? "port" : "\(ports.count) ports:") \(ports.prefix(5).joined(separator: ", "))"
                    + (ports.count > 5 ? ", …" : "") + "; delete \(ports.count == 1 ? "it" : "them") first"
            }
        }
    }

    public mutating func delete(_ key: ObjectKey) throws(DeleteError) -> Change { try delete([key])[0] }

    /// All of these objects, or none: what names only each other can go together.
    public mutating func delete(_ keys: [ObjectKey]) throws(DeleteError) -> [Change] {
        var next = self
        var changes: [Change] = []
        for key in keys {
            guard let object = next.objects[key] else { throw .notFound(key) }
            next.remove(object)
            changes.append(Change(key: key, action: .deleted, old: object, new: nil))
        }
        for key in keys { if let reason = next.need(of: key) { throw reason } }
        self = next
        return changes
    }

    /// Why an object that is not there any more is needed.
    private func need(of key: ObjectKey) -> DeleteError? {
        let users =
            switch key.kind {
            case .virtualNetwork: portsByNetwork[key.name] ?? []
            case .computeNode: portsByNode[key.name] ?? []
            case .securityGroup: portsByGroup[key.name] ?? []
            case .port, .securityGroupMembers, .networkPolicy, .networkPeers, .namespace, .kubernetesPolicy, .firewallPolicy, .floatingIP,
                .service, .router, .linkLocalService:
                Set<String>()
            }
        if !users.isEmpty { return .inUse(key, by: users.sorted()) }
        if key.kind == .securityGroup, let user = groupsByPeer[key.name]?.min() { return .named(key, by: user) }
        if key.kind == .networkPolicy, let networks = networksByPolicy[key.name] { return .attached(key, to: networks.sorted()) }
        if key.kind == .virtualNetwork, let user = policiesByNetwork[key.name]?.min() { return .needed(key, by: ObjectKey(.networkPolicy, user)) }
        return nat.user(of: key).map { .needed(key, by: $0) }
    }

    /// Stores the object, checked later. A network without a VNI keeps the one it has.
    private mutating func place(_ object: ConfigObject, makeUID: () -> String) -> Change {
        var object = object
        let old = objects[object.key]
        if case .virtualNetwork(var network) = object, network.vni == nil, case .virtualNetwork(let known)? = old {
            network.vni = known.vni
            object = .virtualNetwork(network)
        }
        if case .router(var router) = object {
            // Which node has which ports is the controller's to say.
            router.nodes = if case .router(let known)? = old, known.portsPerNode == router.portsPerNode { known.nodes } else { [] }
            object = .router(router)
        }
        if case .service(var service) = object {
            (service.members, service.networks) = ([], [])
            object = .service(service)
        }
        if let old, old.declared == object.declared { return Change(key: object.key, action: .unchanged, old: old, new: old) }
        object.metadata.uid = old?.metadata.uid ?? makeUID()
        object.metadata.generation = (old?.metadata.generation ?? 0) + 1
        if let old { remove(old) }
        insert(object)
        return Change(key: object.key, action: old == nil ? .created : .updated, old: old, new: object)
    }

    private func freeVNI() -> VNI? {
        guard vnis.count < Int(VNI.maximum) else { return nil }
        var candidate = lastVNI
        repeat { candidate = candidate >= VNI.maximum ? 1 : candidate + 1 } while vnis[VNI(candidate)] != nil
        return VNI(candidate)
    }

    mutating func insert(_ object: ConfigObject) {
        objects[object.key] = object
        nat.insert(object)
        index(object) { $0.insert($1) }
    }
    mutating func remove(_ object: ConfigObject) {
        objects[object.key] = nil
        nat.remove(object)
        index(object) { $0.remove($1) }
    }

    private mutating func index(_ object: ConfigObject, _ change: (inout Set<String>, String) -> Void) {
        func update<Key: Hashable>(_ table: inout [Key: Set<String>], _ key: Key, _ name: String) {
            change(&table[key, default: []], name)
            if table[key]?.isEmpty == true { table[key] = nil }
        }
        switch object {
        case .virtualNetwork(let network):
            if let vni = network.vni { update(&vnis, vni, network.name) }
            for policy in network.policies { update(&networksByPolicy, policy, network.name) }
        case .computeNode(let node): update(&nodeAddresses, node.address, node.name)
        case .securityGroup(let group): for peer in group.peers { update(&groupsByPeer, peer, group.name) }
        case .kubernetesPolicy(let policy): update(&policiesByNamespace, policy.namespace, policy.name)
        case .networkPolicy(let policy): for network in policy.networks { update(&policiesByNetwork, network, policy.name) }
        case .securityGroupMembers, .networkPeers, .namespace, .firewallPolicy, .floatingIP, .service, .router, .linkLocalService: break
        case .port(let port):
            update(&portsByNode, port.node, port.name)
            update(&portsByNetwork, port.network, port.name)
            update(&portsByNamespace, port.namespace, port.name)
            for (key, value) in port.metadata.labels {
                update(&portsByLabel, Label(namespace: port.namespace, key: key, value: value), port.name)
            }
            update(&macs, Member(owner: port.network, value: port.mac), port.name)
            for address in port.addresses { update(&addresses, Member(owner: port.network, value: address), port.name) }
            for group in port.securityGroups { update(&portsByGroup, group, port.name) }
            if let interface = port.interface { update(&interfaces, Member(owner: port.node, value: interface), port.name) }
        }
    }
}

// MARK: - Checks that need more than one object

extension ConfigModel {
    typealias Problem = (message: String, field: String)

    private func problem(with change: Change, _ connected: inout Connected) -> Problem? {
        switch change.new {
        case .virtualNetwork(let network)?: problem(with: network, &connected)
        case .computeNode(let node)?:
            nodeAddresses[node.address]?.subtracting([node.name]).min().map {
                ("\(node.address) is already the address of ComputeNode \($0)", "spec.address")
            }
        case .port(let port)?: problem(with: port)
        case .securityGroup(let group)?:
            group.peers.subtracting([group.name]).sorted().first { securityGroup($0) == nil }.map {
                ("SecurityGroup \($0) does not exist; put it before or beside this one", "spec")
            }
        case .networkPolicy(let policy)?: problem(with: policy, &connected)
        case .namespace?, .kubernetesPolicy?: nil
        case .firewallPolicy?: ("FirewallPolicies are made by the controller; write NetworkPolicies of networking.k8s.io/v1", "kind")
        case .floatingIP(let floating)?: problem(with: floating)
        case .service(let service)?: problem(with: service)
        case .router(let router)?: problem(with: router)
        case .linkLocalService(let service)?: problem(with: service)
        case .networkPeers?: ("NetworkPeers are made by the controller; attach NetworkPolicies to the networks", "kind")
        case .securityGroupMembers?: ("SecurityGroupMembers are made by the controller; list the group in the ports' securityGroups", "kind")
        case nil: nil
        }
    }

    private func problem(with network: VirtualNetwork, _ connected: inout Connected) -> Problem? {
        if let vni = network.vni, let other = vnis[vni]?.subtracting([network.name]).min() {
            return ("VNI \(vni) is already in use by VirtualNetwork \(other)", "spec.vni")
        }
        for port in ports(inNetwork: network.name) {
            if let problem = addressProblem(of: port, in: network) { return ("port \(port.name): \(problem.message)", "spec.subnets") }
            if let problem = fatFlowProblem(of: port, in: network) { return (problem, "spec.fatFlows") }
        }
        if let problem = translationProblem(of: network) { return (problem, "spec.subnets") }
        for (index, policy) in network.policies.enumerated() where networkPolicy(policy) == nil {
            return ("NetworkPolicy \(policy) does not exist; put it before or beside the network", "spec.policies[\(index)]")
        }
        return overlap(around: network, &connected).map { ($0, "spec.policies") }
    }

    private func problem(with policy: NetworkPolicy, _ connected: inout Connected) -> Problem? {
        for (index, rule) in policy.rules.enumerated() {
            for (end, field) in [(rule.source, "source"), (rule.destination, "destination")] {
                guard case .network(let name) = end, virtualNetwork(name) == nil else { continue }
                return ("VirtualNetwork \(name) does not exist; put it before or beside the policy", "spec.rules[\(index)].\(field).network")
            }
        }
        for name in networks(withPolicy: policy.name).sorted() {
            if let network = virtualNetwork(name), let problem = overlap(around: network, &connected) { return (problem, "spec.rules") }
        }
        return nil
    }

    private func problem(with port: Port) -> Problem? {
        guard let network = virtualNetwork(port.network) else {
            return ("VirtualNetwork \(port.network) does not exist; put it before or beside the port", "spec.network")
        }
        guard computeNode(port.node) != nil else { return ("ComputeNode \(port.node) does not exist; put it before or beside the port", "spec.node") }
        if let problem = addressProblem(of: port, in: network) { return problem }
        if let problem = fatFlowProblem(of: port, in: network) { return (problem, "spec.fatFlows") }
        for (index, group) in port.securityGroups.enumerated() where securityGroup(group) == nil {
            return ("SecurityGroup \(group) does not exist; put it before or beside the port", "spec.securityGroups[\(index)]")
        }
        if let problem = nat.floatingIPs(ofPort: port.name).lazy.compactMap({ floatingProblem($0, port) }).first {
            return (problem, "spec.addresses")
        }
        if let other = macs[Member(owner: port.network, value: port.mac)]?.subtracting([port.name]).min() {
            return ("\(port.mac) is already the MAC address of port \(other) in network \(port.network)", "spec.mac")
        }
        for (index, address) in port.addresses.enumerated() {
            if let user = nat.owner(of: address, in: port.network) {
                return ("\(address) is already the address of \(user) in network \(port.network)", "spec.addresses[\(index)]")
            }
            if let other = addresses[Member(owner: port.network, value: address)]?.subtracting([port.name]).min() {
                return ("\(address) is already an address of port \(other) in network \(port.network)", "spec.addresses[\(index)]")
            }
        }
        if let interface = port.interface, let other = interfaces[Member(owner: port.node, value: interface)]?.subtracting([port.name]).min() {
            return ("\(interface) on \(port.node) is already the interface of port \(other)", "spec.interface")
        }
        return nil
    }

    private func fatFlowProblem(of port: Port, in network: VirtualNetwork) -> String? {
        let count = port.fatFlows.count + network.fatFlows.count
        if count <= FatFlow.capacity { return nil }
        return
            "port \(port.name) has \(port.fatFlows.count) rules and its network \(network.name) \(network.fatFlows.count); together they may have \(FatFlow.capacity)"
    }

    private func addressProblem(of port: Port, in network: VirtualNetwork) -> Problem? {
        for (index, address) in port.addresses.enumerated() {
            let field = "spec.addresses[\(index)]"
            guard let subnet = network.subnet(of: address) else {
                let all = network.subnets.map(\.prefix.description).joined(separator: ", ")
                return ("\(address) is in no subnet of network \(network.name) (\(all))", field)
            }
            if address == subnet.gateway { return ("\(address) is the gateway of \(subnet.prefix)", field) }
            if subnet.isReserved(address) { return ("\(address) is the network or broadcast address of \(subnet.prefix)", field) }
        }
        return nil
    }
}
