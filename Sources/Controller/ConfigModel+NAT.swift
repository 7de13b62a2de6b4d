import NetTypes
import Overlay

/// Who uses which address, port and network for translations.
///
/// Thread-safety: a value.
struct NATIndex: Sendable {
    struct Address: Hashable, Sendable {
        var network: String
        var address: IPAddress
    }
    private var floatingIPs: [String: [String: FloatingIP]] = [:]
    private var services: [String: [String: Service]] = [:]
    /// By each of their inner networks.
    private var routers: [String: [String: NetworkRouter]] = [:]
    private(set) var linkLocals: [String: LinkLocalService] = [:]
    private(set) var allRouters: [String: NetworkRouter] = [:]
    private var owners: [Address: Set<ObjectKey>] = [:]
    private var users: [ObjectKey: Set<ObjectKey>] = [:]

    func floatingIPs(ofPort name: String) -> [FloatingIP] { (floatingIPs[name] ?? [:]).values.sorted { $0.name < $1.name } }
    func services(inNetwork name: String) -> [Service] { (services[name] ?? [:]).values.sorted { $0.name < $1.name } }
    func routers(ofNetwork name: String) -> [NetworkRouter] { (routers[name] ?? [:]).values.sorted { $0.name < $1.name } }

    /// The object that has an address in a network, besides `except`.
    func owner(of address: IPAddress, in network: String, except: ObjectKey? = nil) -> ObjectKey? {
        owners[Address(network: network, address: address)]?.filter { $0 != except }.min()
    }
    /// An object that cannot be without this one.
    func user(of key: ObjectKey) -> ObjectKey? { users(of: key).first }
    func users(of key: ObjectKey) -> [ObjectKey] { (users[key] ?? []).sorted() }

    mutating func insert(_ object: ConfigObject) { update(object, isThere: true) }
    mutating func remove(_ object: ConfigObject) { update(object, isThere: false) }

    private mutating func update(_ object: ConfigObject, isThere: Bool) {
        func set<Key: Hashable>(_ table: inout [Key: Set<ObjectKey>], _ key: Key) {
            if isThere { table[key, default: []].insert(object.key) } else { table[key]?.remove(object.key) }
            if table[key]?.isEmpty == true { table[key] = nil }
        }
        func set<Value>(_ table: inout [String: [String: Value]], _ key: String, _ value: Value) {
            table[key, default: [:]][object.name] = isThere ? value : nil
            if table[key]?.isEmpty == true { table[key] = nil }
        }
        switch object {
        case .floatingIP(let floating):
            set(&floatingIPs, floating.port, floating)
            set(&owners, Address(network: floating.network, address: floating.address))
            set(&users, ObjectKey(.port, floating.port))
            set(&users, ObjectKey(.virtualNetwork, floating.network))
        case .service(let service):
            set(&services, service.network, service)
            for address in service.addresses { set(&owners, Address(network: service.network, address: address)) }
            set(&users, ObjectKey(.virtualNetwork, service.network))
        case .router(let router):
            allRouters[router.name] = isThere ? router : nil
            for network in router.networks {
                set(&routers, network, router)
                set(&users, ObjectKey(.virtualNetwork, network))
            }
            for address in router.addresses { set(&owners, Address(network: router.externalNetwork, address: address)) }
            set(&users, ObjectKey(.virtualNetwork, router.externalNetwork))
        case .linkLocalService(let service):
            linkLocals[service.name] = isThere ? service : nil
            for network in service.networks { set(&users, ObjectKey(.virtualNetwork, network)) }
        default: break
        }
    }
}

extension ConfigObject {
    /// The network in which a port's or a network's traffic appears under another address.
    var externalNetwork: String? {
        switch self {
        case .floatingIP(let floating): floating.network
        case .router(let router): router.externalNetwork
        default: nil
        }
    }
}

extension ConfigModel {
    /// The nodes whose agents have to know of a floating IP, a router or a service.
    func nodes(translatingFor object: ConfigObject) -> Set<String> {
        switch object {
        case .floatingIP(let floating): Set([port(floating.port)?.node].compactMap { $0 })
        case .service(let service): nodes(knowing: service)
        case .linkLocalService(let service):
            objects(of: .virtualNetwork).reduce(into: []) { if service.serves($1.name) { $0.formUnion(nodes(usingNetwork: $1.name)) } }
        case .router(let router): router.networks.reduce(into: []) { $0.formUnion(nodes(usingNetwork: $1)) }
        default: []
        }
    }

    /// Gives each node with a port in a network of a router a block of the router's ports. A node keeps its block while it exists: one that was another's a moment ago would
    /// give connections the ports of older ones.
    mutating func giveBlocks(_ changes: inout [Change]) {
        for router in nat.allRouters.values.sorted(by: { $0.name < $1.name }) {
            var nodes = router.nodes.compactMap { known in
                computeNode(known.name).map { NetworkRouter.Node(name: known.name, block: known.block, address: $0.address) }
            }
            var taken = Set(nodes.map(\.block)), next = 0
            for name in self.nodes(translatingFor: .router(router)).subtracting(nodes.map(\.name)).sorted() {
                guard let node = computeNode(name) else { continue }
                while taken.contains(next) { next += 1 }
                taken.insert(next)
                nodes.append(NetworkRouter.Node(name: name, block: next, address: node.address))
            }
            nodes.sort { $0.name < $1.name }
            guard nodes != router.nodes else { continue }
            let key = ObjectKey(.router, router.name), old = ConfigObject.router(router)
            var new = router
            new.nodes = nodes
            remove(old)
            if let index = changes.firstIndex(where: { $0.key == key && $0.action != .unchanged }) {
                changes[index].new = .router(new)
            } else {
                new.metadata.generation += 1
                changes.append(Change(key: key, action: .updated, old: old, new: .router(new)))
            }
            insert(.router(new))
        }
    }

    // MARK: - Checks

    /// An address that an object is to have in a network.
    private func addressProblem(_ address: IPAddress, of key: ObjectKey, in network: VirtualNetwork, needsSubnet: Bool) -> String? {
        if let other = nat.owner(of: address, in: network.name, except: key) { return "\(address) is already the address of \(other)" }
        if let port = owner(of: address, in: network.name) { return "\(address) is already an address of port \(port)" }
        guard let subnet = network.subnet(of: address) else {
            guard needsSubnet else { return nil }
            let all = network.subnets.map(\.prefix.description).joined(separator: ", ")
            return "\(address) is in no subnet of network \(network.name) (\(all))"
        }
        if address == subnet.gateway { return "\(address) is the gateway of \(subnet.prefix)" }
        return subnet.isReserved(address) ? "\(address) is the network or broadcast address of \(subnet.prefix)" : nil
    }

    /// Why a network and what is translated into it, or out of it, do not fit.
    func translationProblem(of network: VirtualNetwork) -> String? {
        for key in nat.users(of: ObjectKey(.virtualNetwork, network.name)) {
            let problem: Problem? =
                switch objects[key] {
                case .floatingIP(let floating)?: problem(with: floating)
                case .service(let service)?: problem(with: service)
                case .router(let router)?: problem(with: router)
                default: nil
                }
            if let problem { return "\(key): \(problem.message)" }
        }
        for service in nat.linkLocals.values.sorted(by: { $0.name < $1.name }) {
            if let problem = subnetProblem(of: service, in: network) { return "\(ObjectKey(.linkLocalService, service.name)): \(problem)" }
        }
        return nil
    }

    /// A link-local service has an address that no workload has.
    private func subnetProblem(of service: LinkLocalService, in network: VirtualNetwork) -> String? {
        guard service.serves(network.name), let subnet = network.subnet(of: service.address) else { return nil }
        return "\(service.address) is in subnet \(subnet.prefix) of network \(network.name)"
    }

    func problem(with floating: FloatingIP) -> Problem? {
        guard let network = virtualNetwork(floating.network) else {
            return ("VirtualNetwork \(floating.network) does not exist; put it before or beside this one", "spec.network")
        }
        guard let port = port(floating.port) else {
            return ("Port \(floating.port) does not exist; put it before or beside this one", "spec.port")
        }
        if let problem = floatingProblem(floating, port) { return (problem, "spec.port") }
        return addressProblem(floating.address, of: ObjectKey(.floatingIP, floating.name), in: network, needsSubnet: true).map {
            ($0, "spec.address")
        }
    }

    /// Why a floating IP and its port do not fit.
    func floatingProblem(_ floating: FloatingIP, _ port: Port) -> String? {
        if port.network == floating.network { return "port \(port.name) is in network \(floating.network) itself" }
        guard let inside = floating.inside(port) else {
            let missing = floating.fixedAddress.map { "the address \($0)" } ?? "an \(floating.address.isIPv4 ? "IPv4" : "IPv6") address"
            return "port \(port.name) has not \(missing), for which FloatingIP \(floating.name) stands"
        }
        let twin = nat.floatingIPs(ofPort: port.name).first {
            $0.name != floating.name && $0.network == floating.network && $0.inside(port) == inside
        }
        return twin.map { "\(inside) of port \(port.name) has FloatingIP \($0.name) in network \(floating.network) already" }
    }

    func problem(with service: Service) -> Problem? {
        guard let network = virtualNetwork(service.network) else {
            return ("VirtualNetwork \(service.network) does not exist; put it before or beside this one", "spec.network")
        }
        for (index, address) in service.addresses.enumerated() {
            if let problem = addressProblem(address, of: ObjectKey(.service, service.name), in: network, needsSubnet: false) {
                return (problem, "spec.addresses[\(index)]")
            }
        }
        // Those that are selected come and go.
        guard case .names(let names) = service.backends else { return nil }
        for (index, name) in names.enumerated() {
            guard let port = port(name) else {
                return ("Port \(name) does not exist; put it before or beside the service", "spec.backends[\(index)]")
            }
            guard port.network == service.network else {
                return ("port \(name) is in network \(port.network); the backends of a service are in its own", "spec.backends[\(index)]")
            }
        }
        return nil
    }

    func problem(with service: LinkLocalService) -> Problem? {
        for (index, name) in service.networks.enumerated() where virtualNetwork(name) == nil {
            return ("VirtualNetwork \(name) does not exist; put it before or beside this one", "spec.networks[\(index)]")
        }
        for case .virtualNetwork(let network) in objects(of: .virtualNetwork) {
            if let problem = subnetProblem(of: service, in: network) { return (problem, "spec.address") }
        }
        let other = nat.linkLocals.values.sorted { $0.name < $1.name }.first {
            $0.name != service.name && $0.address == service.address && $0.port == service.port && $0.transport.number == service.transport.number
                && ($0.networks.isEmpty || service.networks.isEmpty || !Set($0.networks).isDisjoint(with: service.networks))
        }
        return other.map { ("\(service.address) port \(service.port) is LinkLocalService \($0.name) already in one of these networks", "spec.port") }
    }

    func problem(with router: NetworkRouter) -> Problem? {
        guard let external = virtualNetwork(router.externalNetwork) else {
            return ("VirtualNetwork \(router.externalNetwork) does not exist; put it before or beside this one", "spec.externalNetwork")
        }
        let key = ObjectKey(.router, router.name)
        for (index, name) in router.networks.enumerated() {
            guard virtualNetwork(name) != nil else {
                return ("VirtualNetwork \(name) does not exist; put it before or beside this one", "spec.networks[\(index)]")
            }
            if let other = nat.routers(ofNetwork: name).first(where: { $0.name != router.name }) {
                return ("network \(name) leaves by Router \(other.name) already; a network has one", "spec.networks[\(index)]")
            }
        }
        for (index, address) in router.addresses.enumerated() {
            if let problem = addressProblem(address, of: key, in: external, needsSubnet: true) { return (problem, "spec.snat.addresses[\(index)]") }
        }
        let needed = (router.nodes.map(\.block).max() ?? -1) + 1
        guard needed <= router.capacity else {
            return (
                "there are ports for \(router.capacity) nodes, and \(needed) need some: add an address, or lower portsPerNode", "spec.snat"
            )
        }
        return nil
    }
}
