import NetTypes
import Overlay

/// What agents are told of a Service: its backends as addresses, by their names or their labels, and the networks that know its addresses. Resolved once, however many
/// agents ask.
///
/// Thread-safety: a value.
struct ServiceResolver {
    private var known: [String: Service] = [:]

    mutating func resolve(_ service: Service, _ model: ConfigModel) -> Service {
        if let found = known[service.name] { return found }
        var told = service
        told.backends = .names([])
        told.members = model.backends(of: service).map { Service.Member(name: $0.name, addresses: $0.addresses, ports: $0.namedPorts) }
        told.networks = model.networks(withService: service)
        known[service.name] = told
        return told
    }
}

extension ConfigModel {
    /// The ports that it names or selects, in the order of their names, as many as a service has.
    func backends(of service: Service) -> [Port] {
        let found =
            switch service.backends {
            case .names(let names): names.compactMap(port)
            case .labels(let labels): ports(inNamespace: service.namespace, withLabels: labels)
            }
        return Array(found.filter { $0.network == service.network }.sorted { $0.name < $1.name }.prefix(Service.backendCapacity))
    }

    /// Its own, and those connected with it: their workloads find the backends there by the same addresses. Not where an address of the service is somebody else's, or of a
    /// subnet.
    func networks(withService service: Service) -> [String] {
        guard let network = virtualNetwork(service.network) else { return [] }
        let others = connections(of: network).filter { other in
            service.addresses.allSatisfy { address in
                other.subnet(of: address) == nil && nat.owner(of: address, in: other.name) == nil
                    && nat.services(inNetwork: other.name).allSatisfy { !$0.addresses.contains(address) }
            }
        }
        return [network.name] + others.map(\.name)
    }

    /// The services that agents with ports in a network know: its own, and those of the networks connected with it.
    func services(knownIn network: VirtualNetwork) -> [Service] {
        nat.services(inNetwork: network.name)
            + connections(of: network).flatMap { nat.services(inNetwork: $0.name) }.filter { networks(withService: $0).contains(network.name) }
    }

    /// The nodes whose agents are told who the backends are.
    func nodes(knowing service: Service) -> Set<String> { networks(withService: service).reduce(into: []) { $0.formUnion(nodes(usingNetwork: $1)) } }

    /// The nodes to be told when a port changes: of the services that it is, or was, a backend of.
    func nodes(withServiceOf port: Port) -> Set<String> {
        nat.services(inNetwork: port.network).filter { $0.includes(port) }.reduce(into: []) { $0.formUnion(nodes(knowing: $1)) }
    }
}
